/* test_key.c - key tables: values in, messages out, and values back as they were.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/key.h"
#include "base/yaml.h"

enum kind { FINE_TUNE, ONE_CYCLE };
static const char *const kinds[] = {"fine_tune", "one_cycle", NULL};

struct phase {
    int kind;
    int64_t epochs;
    struct key_f64s lr;
};
struct train {
    int64_t batch;
    bool verify;
    char guard_before;
    struct key_list phases_list;
    struct phase phases[KEY_LIST_MAX];
    double wd, unset;
};
struct optim {
    double lr;
    int name;
    char note[8];
    struct key_f64s betas;
};
struct all {
    struct train train;
    struct optim optim;
};

static const char *const optims[] = {"adam", "sgd", NULL};
static const struct key phase_keys[] = {
    KEY_CHOICE(struct phase, kind, "kind", "one_cycle", kinds, "what kind"),
    KEY_INT(struct phase, epochs, "epochs", "1", 1, 1000, "epochs", "how long"),
    KEY_F64S(struct phase, lr, "lr", "[1e-5, 1e-3]", 0, 10, "1", "rates"),
    KEY_END,
};
static const struct key train_keys[] = {
    KEY_INT(struct train, batch, "train.batch", "64", 1, 4096, "pictures", "pictures a step"),
    KEY_BOOL(struct train, verify, "train.verify", "true", "check"),
    KEY_LIST(struct train, phases_list, phases, "train.phases", phase_keys, "in order"),
    KEY_F64(struct train, wd, "train.wd", "0.01", 0, 1, "1", "decay"),
    KEY_F64(struct train, unset, "train.unset", "-1", 0, 1, "px", "unset by default"),
    KEY_END,
};
static const struct key optim_keys[] = {
    KEY_F64(struct optim, lr, "optim.lr", "0.1", 0, 10, "1", "learning rate"),
    KEY_CHOICE(struct optim, name, "optim.name", "adam", optims, "which"),
    KEY_STR(struct optim, note, "optim.note", "abc", "text"),
    KEY_F64S(struct optim, betas, "optim.betas", NULL, 0, 1, "1", "betas"),
    KEY_END,
};
static const struct key_table tables[] = {
    {train_keys, offsetof(struct all, train)},
    {optim_keys, offsetof(struct all, optim)},
};
enum { N = 2 };

static int apply(struct all *a, const char *yaml, struct err *err)
{
    json_t *tree;
    int rc;

    assert_int_equal(yaml_parse(&tree, yaml, err), 0);
    rc = keys_apply(tables, N, KEYS_NEWEST, a, tree, "x.yaml", err);
    json_decref(tree);
    return rc;
}

static void defaults(void **state)
{
    struct all a;

    (void)state;
    memset(&a, 0x55, sizeof a);
    keys_default(tables, N, KEYS_NEWEST, &a);
    assert_int_equal(a.train.batch, 64);
    assert_true(a.train.verify);
    assert_int_equal(a.train.phases_list.n, 0);
    assert_int_equal(a.train.phases[15].epochs, 0);
    assert_true(a.train.wd == 0.01 && a.train.unset == -1 && a.optim.lr == 0.1);
    assert_int_equal(a.optim.name, 0);
    assert_string_equal(a.optim.note, "abc");
    assert_int_equal(a.optim.betas.n, 0);
    assert_int_equal(a.train.guard_before, 0x55);
}

static void a_file_sets_what_it_names(void **state)
{
    struct err err = {0};
    struct all a;

    (void)state;
    keys_default(tables, N, KEYS_NEWEST, &a);
    if (apply(&a,
              "optim: {lr: 2e-3, name: sgd, note: '', betas: [0.9, 0.99]}\n"
              "train:\n  verify: off\n  phases:\n"
              "    - {kind: fine_tune, epochs: 3, lr: 0.5}\n    - {epochs: 2}\n  wd:\n",
              &err) < 0)
        fail_msg("%s", err.msg);
    assert_true(a.optim.lr == 2e-3);
    assert_int_equal(a.optim.name, 1);
    assert_string_equal(a.optim.note, "");
    assert_int_equal(a.optim.betas.n, 2);
    assert_true(a.optim.betas.v[1] == 0.99);
    assert_int_equal(a.train.batch, 64); /* not named: stays */
    assert_true(a.train.wd == 0.01);     /* named, nothing given: the default */
    assert_false(a.train.verify);
    assert_int_equal(a.train.phases_list.n, 2);
    assert_int_equal(a.train.phases[0].kind, FINE_TUNE);
    assert_int_equal(a.train.phases[0].epochs, 3);
    assert_int_equal(a.train.phases[0].lr.n, 1);
    assert_int_equal(a.train.phases[1].kind, ONE_CYCLE);
    assert_int_equal(a.train.phases[1].lr.n, 2); /* the element's own default */
    assert_true(a.train.phases[1].lr.v[1] == 1e-3);
    assert_int_equal(apply(&a, "train: {phases: [{epochs: 9}]}", &err), 0); /* lists replace */
    assert_int_equal(a.train.phases_list.n, 1);
    assert_int_equal(a.train.phases[1].epochs, 0);
    assert_int_equal(apply(&a, "", &err), 0);
}

static void mistakes_name_key_value_and_what_was_expected(void **state)
{
    static const struct {
        const char *yaml, *a, *b;
    } cases[] = {
        {"optim: {lrr: 1}", "optim.lrr: there is no such key", "did you mean optim.lr?"},
        {"lr: 1", "lr: there is no such key", "did you mean train.phases.0.lr?"},
        {"bs: 1", "bs: there is no such key", "did you mean train.batch?"},
        {"trian: {batch: 1}", "trian: there is no such key", "did you mean train?"},
        {"optim: {zzzzz: 1}", "optim.zzzzz: there is no such key", ""},
        {"train: {batch: 0}", "train.batch: \"0\"", "1 to 4096 pictures"},
        {"train: {batch: 4097}", "train.batch", "1 to 4096"},
        {"train: {batch: 1.5}", "train.batch", "a whole number"},
        {"train: {batch: 12x}", "train.batch", "a whole number"},
        {"train: {batch: 99999999999999999999}", "train.batch", "a whole number"},
        {"train: {batch: [1]}", "train.batch", "a whole number"},
        {"train: {verify: 2}", "train.verify", "true or false"},
        {"optim: {lr: nan}", "optim.lr", "a number, 0 to 10"},
        {"optim: {lr: inf}", "optim.lr", "a number"},
        {"optim: {lr: 11}", "optim.lr: \"11\"", "0 to 10"},
        {"optim: {lr: ''}", "optim.lr", "a number"},
        {"train: {unset: -2}", "train.unset", "0 to 1 px"},
        {"optim: {name: adma}", "one of adam, sgd", "did you mean adam?"},
        {"optim: {note: 12345678}", "optim.note", "at most 7 bytes"},
        {"optim: {betas: [1, 2]}", "optim.betas", "each 0 to 1"},
        {"optim: {betas: [0,0,0,0,0,0,0,0,0]}", "optim.betas", "at most 8"},
        {"optim: {betas: '0.1 0.2'}", "optim.betas", "a number or a list"},
        {"optim: 3", "optim", "expected a map of keys: optim.lr, "},
        {"optim.lr: 3", "optim.lr", "nested"},
        {"[1]", "x.yaml", "expected a map"},
        {"train: {phases: 3}", "train.phases", "a list of at most 16"},
        {"train: {phases: [3]}", "train.phases.0", "expected a map"},
        {"train: {phases: [{}, {epoch: 3}]}", "train.phases.1.epoch",
         "did you mean train.phases.1.epochs?"},
        {"train: {phases: [{epochs: 0}]}", "train.phases.0.epochs", "1 to 1000 epochs"},
        {"train: {phases: [{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}]}", "train.phases",
         "at most 16"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {0};
        struct all a;

        keys_default(tables, N, KEYS_NEWEST, &a);
        assert_int_equal(apply(&a, cases[i].yaml, &err), -1);
        assert_int_equal(err.kind, ERR_INPUT);
        if (strncmp(err.msg, "x.yaml: ", 8) != 0 || !strstr(err.msg, cases[i].a) ||
            !strstr(err.msg, cases[i].b))
            fail_msg("%s -> %s", cases[i].yaml, err.msg);
    }
}

static void assert_override(const char *before, const char *word, const char *after)
{
    struct err err = {0};
    json_t *tree;
    char *text;

    assert_int_equal(yaml_parse(&tree, before, &err), 0);
    if (keys_override(tree, word, &err) < 0)
        fail_msg("%s", err.msg);
    text = json_text(tree, 0);
    assert_string_equal(text, after);
    free(text);
    json_decref(tree);
}

static void words_override(void **state)
{
    static const char *const bad[] = {"optim.lr", "=1",     "a..b=1", ".a=1",  "a.=1",
                                      "a b=1",    "a=[1, ", "l.3=1",  "l.x=1", "l.9999999999=1",
                                      "",         "a=&x 1", "\x01=1", "a/b=1", "l.-1=1"};

    (void)state;
    assert_override("{}", "optim.lr=0.5", "{\"optim\": {\"lr\": \"0.5\"}}");
    assert_override("{a: 1}", "a=", "{\"a\": \"\"}");
    assert_override("{a: 1}", "a=null", "{\"a\": null}");
    assert_override("{a: 1}", "a=x=y", "{\"a\": \"x=y\"}");
    assert_override("{a: 1}", "a=[1e-5, 1e-3]", "{\"a\": [\"1e-5\", \"1e-3\"]}");
    assert_override("{a: 1}", "a.b.c=2", "{\"a\": {\"b\": {\"c\": \"2\"}}}");
    assert_override("{l: [{e: 1, f: 2}]}", "l.0.e=3", "{\"l\": [{\"e\": \"3\", \"f\": \"2\"}]}");
    assert_override("{l: [{e: 1}]}", "l.1.e=3", "{\"l\": [{\"e\": \"1\"}, {\"e\": \"3\"}]}");
    assert_override("{}", "l.0.e=3", "{\"l\": [{\"e\": \"3\"}]}");
    assert_override("{l: [1, 2]}", "l.1=5", "{\"l\": [\"1\", \"5\"]}");
    assert_override("{l: [1]}", "l=[]", "{\"l\": []}");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};
        json_t *tree;

        assert_int_equal(yaml_parse(&tree, "{l: [1, 2]}", &err), 0);
        if (keys_override(tree, bad[i], &err) == 0)
            fail_msg("taken: %s", bad[i]);
        assert_true(err.msg[0] != '\0');
        json_decref(tree);
    }
}

static void maps_merge_lists_replace(void **state)
{
    struct err err = {0};
    json_t *base, *over;
    char *text;

    (void)state;
    assert_int_equal(yaml_parse(&base, "{a: {b: 1, c: 2}, l: [1, 2], s: 1}", &err), 0);
    assert_int_equal(yaml_parse(&over, "{a: {c: 3, d: 4}, l: [5], s: {t: 1}}", &err), 0);
    assert_int_equal(keys_merge(base, over, &err), 0);
    text = json_text(base, 0);
    assert_string_equal(text, "{\"a\": {\"b\": \"1\", \"c\": \"3\", \"d\": \"4\"}, \"l\": [\"5\"], "
                              "\"s\": {\"t\": \"1\"}}");
    free(text);
    json_array_append_new(json_object_get(over, "l"), json_null());
    assert_int_equal(json_array_size(json_object_get(base, "l")), 1); /* nothing is shared */
    json_decref(over);
    over = json_string("x");
    assert_int_equal(keys_merge(base, over, &err), -1);
    json_decref(over);
    json_decref(base);
}

static void values_read_back_the_same(void **state)
{
    struct err err = {0};
    struct all a, b;
    json_t *tree, *back;
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    (void)state;
    memset(&a, 0, sizeof a);
    keys_default(tables, N, KEYS_NEWEST, &a);
    assert_int_equal(apply(&a,
                           "optim: {lr: 0.1, note: 'on', betas: [0.3333333333333333, 1e-300]}\n"
                           "train: {phases: [{kind: fine_tune}, {epochs: 7, lr: 2}]}",
                           &err),
                     0);
    a.optim.lr = 0.1 + 0.2;
    tree = keys_tree(tables, N, KEYS_NEWEST, &a, false);
    assert_non_null(tree);
    assert_int_equal(yaml_write(file, tree, &err), 0);
    fclose(file);
    assert_non_null(strstr(text, "lr: 0.30000000000000004\n"));
    assert_non_null(strstr(text, "note: \"on\"\n"));
    assert_int_equal(yaml_parse(&back, text, &err), 0);
    memset(&b, 0, sizeof b);
    keys_default(tables, N, KEYS_NEWEST, &b);
    if (keys_apply(tables, N, KEYS_NEWEST, &b, back, "again", &err) <
        0) /* "unset" -1 is taken back */
        fail_msg("%s", err.msg);
    assert_memory_equal(&a, &b, sizeof a);
    memset(&b, 0, sizeof b);
    assert_int_equal(keys_apply(tables, N, KEYS_NEWEST, &b, tree, "numbers", &err),
                     0); /* not only text */
    assert_memory_equal(&a, &b, sizeof a);
    json_decref(tree);
    json_decref(back);
    free(text);

    tree = keys_tree(tables, N, KEYS_NEWEST, &a, true);
    assert_true(json_integer_value(json_object_get(tree, "train.phases.1.epochs")) == 7);
    assert_true(json_real_value(json_object_get(tree, "optim.lr")) == 0.1 + 0.2);
    assert_string_equal(json_object_iter_key(json_object_iter(tree)), "train.batch");
    back = keys_tree(tables, N, KEYS_NEWEST, &a, false);
    assert_false(json_equal(back, tree));
    for (int i = 0; i < 2; i++) { /* what is flat stays */
        json_t *flat = keys_flatten(back);

        assert_true(json_equal(flat, tree));
        json_decref(back);
        back = flat;
    }
    json_decref(back);
    json_decref(tree);
}

static void documented(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    (void)state;
    keys_document(file, tables, N);
    fclose(file);
    assert_non_null(
        strstr(text, "| `train.batch` | `64` | 1 to 4096 | pictures | pictures a step |"));
    assert_non_null(strstr(text, "| `train.phases.N.epochs` | `1` |"));
    assert_non_null(strstr(text, "adam, sgd"));
    free(text);
}

/* --- keys that came and went ---------------------------------------------------------------------- */

struct part {
    int64_t size;
    double pace, old_pace;
};
struct grown {
    int64_t batch, early;
    int way, late;
    double gone;
    struct key_list parts_list;
    struct part parts[KEY_LIST_MAX];
};

static const char *const ways[] = {"old", "new", NULL};
static const struct key part_keys[] = {
    KEY_INT(struct part, size, "size", "1", 0, 9, "", "always there"),
    KEY_F64(struct part, pace, "pace", "2", 0, 9, "", "came in 3", .since = 3, .implied = "-1"),
    KEY_F64(struct part, old_pace, "old_pace", "7", 0, 9, "", "", .retired = 3,
            .instead = "set pace"),
    KEY_END,
};
static const struct key grown_keys[] = {
    KEY_INT(struct grown, batch, "g.batch", "64", 1, 4096, "", "always there"),
    KEY_INT(struct grown, early, "g.early", "5", 0, 9, "", "", .retired = 2, .instead = "leave it"),
    KEY_CHOICE(struct grown, way, "g.way", "new", ways, "came in 2", .since = 2, .implied = "old"),
    KEY_F64(struct grown, gone, "g.gone", "0.5", 0, 1, "", "", .since = 2, .retired = 3,
            .instead = "set g.way"),
    KEY_CHOICE(struct grown, late, "g.late", "old", ways, "came in 3", .since = 3),
    KEY_LIST(struct grown, parts_list, parts, "g.parts", part_keys, "of parts"),
    KEY_END,
};
static const struct key_table grown_tables[] = {{grown_keys, 0}};

/* What YAML, read by VERSION's rules, is recorded as in version AS. */
static void assert_record(int version, const char *yaml, int as, const char *record)
{
    struct err err = {0};
    struct grown g;
    json_t *tree;
    char *text;

    memset(&g, 0x55, sizeof g);
    assert_int_equal(yaml_parse(&tree, yaml, &err), 0);
    keys_default(grown_tables, 1, version, &g);
    if (keys_apply(grown_tables, 1, version, &g, tree, "x.yaml", &err) < 0)
        fail_msg("version %d, %s: %s", version, yaml, err.msg);
    json_decref(tree);
    tree =
        as ? keys_tree(grown_tables, 1, as, &g, true) : keys_outdated(grown_tables, 1, version, &g);
    text = json_text(tree, 0);
    assert_string_equal(text, record);
    free(text);
    json_decref(tree);
}

static void each_version_keeps_its_keys(void **state)
{
    (void)state;
    assert_int_equal(keys_version(grown_tables, 1), 3);
    assert_int_equal(keys_version(tables, N), 1);
    assert_record(1, "{}", 1, "{\"g.batch\": 64, \"g.early\": 5}");
    assert_record(2, "{}", 2, "{\"g.batch\": 64, \"g.way\": \"new\", \"g.gone\": 0.5}");
    assert_record(3, "{}", 3, "{\"g.batch\": 64, \"g.way\": \"new\", \"g.late\": \"old\"}");
    assert_record(1, "g: {early: 6, parts: [{old_pace: 3}]}", 1,
                  "{\"g.batch\": 64, \"g.early\": 6, \"g.parts.0.size\": 1, "
                  "\"g.parts.0.old_pace\": 3.0}");
    assert_record(3, "g: {late: new, parts: [{size: 2}]}", KEYS_NEWEST,
                  "{\"g.batch\": 64, \"g.way\": \"new\", \"g.late\": \"new\", "
                  "\"g.parts.0.size\": 2, \"g.parts.0.pace\": 2.0}");
}

static void an_older_record_implies_what_it_did(void **state)
{
    (void)state;
    assert_record(1, "g: {batch: 8, parts: [{}]}", KEYS_NEWEST,
                  "{\"g.batch\": 8, \"g.way\": \"old\", \"g.late\": \"old\", "
                  "\"g.parts.0.size\": 1, \"g.parts.0.pace\": -1.0}");
    /* a younger key counts in it where it says something else */
    assert_record(1, "g: {way: old}", 1, "{\"g.batch\": 64, \"g.early\": 5}");
    assert_record(1, "g: {way: new}", 1, "{\"g.batch\": 64, \"g.early\": 5, \"g.way\": \"new\"}");
    assert_record(2, "g: {parts: [{pace: 4}]}", 2,
                  "{\"g.batch\": 64, \"g.way\": \"new\", \"g.gone\": 0.5, "
                  "\"g.parts.0.size\": 1, \"g.parts.0.pace\": 4.0, "
                  "\"g.parts.0.old_pace\": 7.0}");
}

static void what_today_cannot_say_is_listed(void **state)
{
    (void)state;
    assert_record(1, "g: {early: 5, parts: [{old_pace: 7}]}", 0, "{}");
    assert_record(2, "g: {gone: 1, parts: [{}, {old_pace: 3}]}", 0,
                  "{\"g.gone\": 1.0, \"g.parts.1.old_pace\": 3.0}");
    assert_record(3, "g: {late: new}", 0, "{}");
}

static void a_retired_key_says_what_to_do(void **state)
{
    static const struct {
        int version;
        const char *yaml, *says;
    } cases[] = {
        {3, "g: {gone: 0.5}", "x.yaml: g.gone: this key was retired; set g.way"},
        {3, "g: {parts: [{}, {old_pace: 3}]}",
         "x.yaml: g.parts.1.old_pace: this key was retired; set pace"},
        {2, "g: {gone: 0.5, early: 3}", "x.yaml: g.early: this key was retired; leave it"},
        {1, "g: {gone: 2}",
         "g.gone: \"2\": expected a number, 0 to 1"}, /* younger: its row holds */
        {3, "g: {gon: 3}", "g.gon: there is no such key"},
        {3, "g: {gone: {x: 1}}", "this key was retired"},
    };
    static const struct {
        const char *word, *says; /* NULL: taken */
    } words[] = {
        {"g.gone=1", "g.gone: this key was retired; set g.way"},
        {"g.parts.3.old_pace", "g.parts.3.old_pace: this key was retired; set pace"},
        {"g.late=new", NULL},
        {"g.parts.3.pace=1", NULL},
        {"g.parts.3=[]", NULL},
        {"g.nothing=1", NULL}, /* for keys_apply() to say */
    };
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct grown g;
        json_t *tree;

        assert_int_equal(yaml_parse(&tree, cases[i].yaml, &err), 0);
        keys_default(grown_tables, 1, cases[i].version, &g);
        assert_int_equal(keys_apply(grown_tables, 1, cases[i].version, &g, tree, "x.yaml", &err),
                         -1);
        assert_int_equal(err.kind, ERR_INPUT);
        if (!strstr(err.msg, cases[i].says) || strstr(err.msg, "did you mean g.gone"))
            fail_msg("%s -> %s", cases[i].yaml, err.msg);
        json_decref(tree);
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const int rc = keys_check_name(grown_tables, 1, KEYS_NEWEST, words[i].word, &err);

        assert_int_equal(rc, words[i].says ? -1 : 0);
        if (words[i].says)
            assert_string_equal(err.msg, words[i].says);
    }
    assert_int_equal(keys_check_name(grown_tables, 1, 2, "g.gone=1", &err), 0);
}

static void history_is_documented(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    (void)state;
    keys_document(file, grown_tables, 1);
    fclose(file);
    assert_non_null(strstr(text, "came in 2 (since version 2; older records: `old`) |"));
    assert_non_null(strstr(text, "came in 3 (since version 3; older records: `-1`) |"));
    assert_non_null(strstr(text, "always there |"));
    assert_null(strstr(text, "| `g.gone` | `0.5`"));
    assert_non_null(strstr(text, "\n| `g.gone` | 3 | set g.way |\n"));
    assert_non_null(strstr(text, "| `g.parts.N.old_pace` | 3 | set pace |"));
    free(text);
}

static void nearest(void **state)
{
    static const char *const names[] = {"batch", "epochs", "lr", "seed"};
    static const char *const networks[] = {"resnet50", "resnext50_32x4d", "resnext101_32x8d"};

    (void)state;
    assert_string_equal(nearest_name("bacth", names, 4), "batch");
    assert_string_equal(nearest_name("epoch", names, 4), "epochs");
    assert_string_equal(nearest_name("l", names, 4), "lr");
    assert_null(nearest_name("zebra", names, 4));
    assert_null(nearest_name("", names, 4));
    assert_null(nearest_name("batch", names, 0));
    assert_string_equal(nearest_name("resnext50", networks, 3),
                        "resnext50_32x4d");            /* though resnet50 is nearer */
    assert_null(nearest_name("resnext", networks, 3)); /* begins two */
}

/* What a short word sets in a tree; "" where it is refused, with TEXT in the message. */
static void short_words(void **state)
{
    static const struct {
        const char *yaml, *word, *tree, *text;
    } cases[] = {
        {"{}", "bs=32", "{\"train\":{\"batch\":\"32\"}}", ""},
        {"{}", "batch-size=32", "{\"train\":{\"batch\":\"32\"}}", ""},
        {"{}", "epochs=3", "{\"train\":{\"phases\":[{\"epochs\":\"3\"}]}}", ""},
        {"train: {phases: [{kind: one_cycle}]}", "lr=1e-3",
         "{\"train\":{\"phases\":[{\"kind\":\"one_cycle\",\"lr\":\"1e-3\"}]}}", ""},
        {"train: {phases: [{epochs: 1}, {epochs: 2}]}", "epochs=3", "",
         "epochs: the experiment has 2 phases: say which one, as in train.phases.0.epochs=3"},
        {"{}", "optim.lr=1", "{\"optim\":{\"lr\":\"1\"}}", ""},
        {"{}", "fp16=1", "{\"fp16\":\"1\"}",
         ""}, /* not short for anything: keys_apply() refuses it */
        {"{}", "bs", "", "expected KEY=VALUE"},
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *tree;
        char *text;

        assert_int_equal(yaml_parse(&tree, cases[i].yaml, &err), 0);
        err.msg[0] = 0;
        if (keys_set_word(tree, tables, N, cases[i].word, &err) < 0) {
            assert_string_equal(cases[i].tree, "");
            assert_non_null(strstr(err.msg, cases[i].text));
        } else {
            text = json_dumps(tree, JSON_COMPACT);
            assert_string_equal(text, cases[i].tree);
            free(text);
        }
        json_decref(tree);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(a_file_sets_what_it_names),
        cmocka_unit_test(mistakes_name_key_value_and_what_was_expected),
        cmocka_unit_test(words_override),
        cmocka_unit_test(maps_merge_lists_replace),
        cmocka_unit_test(values_read_back_the_same),
        cmocka_unit_test(documented),
        cmocka_unit_test(each_version_keeps_its_keys),
        cmocka_unit_test(an_older_record_implies_what_it_did),
        cmocka_unit_test(what_today_cannot_say_is_listed),
        cmocka_unit_test(a_retired_key_says_what_to_do),
        cmocka_unit_test(history_is_documented),
        cmocka_unit_test(nearest),
        cmocka_unit_test(short_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
