/* test_experiment.c - the extends chain, overrides, the resolved copy and its hash.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>

#include "base/path.h"
#include "data/shard_choice.h"
#include "experiment/experiment.h"

static char scratch[PATH_LEN];

static const char *at(const char *name)
{
    static char paths[8][PATH_LEN];
    static int next;
    char *path = paths[next++ % 8];

    assert_int_equal(path_format(path, NULL, "%s/%s", scratch, name), 0);
    return path;
}

static void put(const char *name, const char *text)
{
    struct err err = {0};

    assert_int_equal(path_write(at(name), text, strlen(text), &err), 0);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(scratch, sizeof scratch, "%s/experiment-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(scratch) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct err err;

    (void)state;
    return path_remove_tree(scratch, &err);
}

static struct experiment *read_ok(const char *name, char *const *words, int n)
{
    struct experiment *e;
    struct err err = {0};

    if (experiment_read(&e, name, words, n, &err) < 0)
        fail_msg("%s", err.msg);
    return e;
}

static void refused(const char *name, const char *word, const char *says)
{
    struct experiment *e;
    struct err err = {0};
    char *words[] = {(char *)(uintptr_t)word};

    assert_true(experiment_read(&e, name, words, word ? 1 : 0, &err) < 0);
    assert_null(e);
    if (!strstr(err.msg, says))
        fail_msg("expected \"%s\" in: %s", says, err.msg);
}

static void maps_merge_and_lists_replace(void **state)
{
    struct experiment *e;

    (void)state;
    put("base.yaml", "title: base\nseed: 7\ntrain:\n  batch: 32\n  phases:\n"
                     "    - {kind: one_cycle, epochs: 3}\n    - {kind: one_cycle, epochs: 4}\n");
    put("child.yaml", "extends: base\ntrain:\n  phases:\n    - {kind: constant, epochs: 2}\n");
    e = read_ok(at("child.yaml"), NULL, 0);
    assert_string_equal(e->name, "child");
    assert_string_equal(e->title, "base");
    assert_int_equal(e->seed, 7);
    assert_int_equal(e->train.batch, 32);
    assert_int_equal(e->train.phases_list.n, 1);
    assert_int_equal(e->train.phases[0].kind, PHASE_CONSTANT);
    assert_int_equal(e->train.phases[0].epochs, 2);
    experiment_free(e);
}

static void words_override(void **state)
{
    char *words[] = {"train.phases.1.epochs=9", "train.batch=8", "optim.lr=0.5"};
    struct experiment *e = read_ok(at("base.yaml"), words, 3);

    (void)state;
    assert_int_equal(e->train.phases_list.n, 2);
    assert_int_equal(e->train.phases[0].epochs, 3);
    assert_int_equal(e->train.phases[1].epochs, 9);
    assert_int_equal(e->train.batch, 8);
    assert_true(e->optim.lr > 0.4999 && e->optim.lr < 0.5001);
    experiment_free(e);
}

static void bad_files_are_named(void **state)
{
    (void)state;
    put("typo.yaml", "train:\n  bacth: 3\n");
    put("on_typo.yaml", "extends: typo\nseed: 1\n");
    refused(at("on_typo.yaml"), NULL, "typo.yaml");
    refused(at("on_typo.yaml"), NULL, "train.batch");
    put("range.yaml", "train: {batch: -1}\n");
    refused(at("range.yaml"), NULL, "range.yaml");
    put("a.yaml", "extends: b\n");
    put("b.yaml", "extends: a\n");
    refused(at("a.yaml"), NULL, "loop");
    put("list.yaml", "- 1\n- 2\n");
    refused(at("list.yaml"), NULL, "list.yaml");
    put("extends_list.yaml", "extends: [a, b]\n");
    refused(at("extends_list.yaml"), NULL, "extends");
    put("no_base.yaml", "extends: nowhere_to_be_found\n");
    refused(at("no_base.yaml"), NULL, "nowhere_to_be_found");
    refused(at("none.yaml"), NULL, "none.yaml");
    refused("smokee", NULL, "smoke");
}

static void a_deep_chain_is_refused(void **state)
{
    char name[32], text[32];

    (void)state;
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "deep%d.yaml", i);
        snprintf(text, sizeof text, "extends: deep%d\n", i + 1);
        put(name, i < 8 ? text : "seed: 3\n");
    }
    refused(at("deep0.yaml"), NULL, "8 files");
    experiment_free(read_ok(at("deep1.yaml"), NULL, 0));
}

static void bad_words_say_command_line(void **state)
{
    static const char *const words[] = {"train.bacth=3", "train.batch=-3", "train.batch=many",
                                        "model.arch=resnet9", "train.phases.7.epochs=1"};

    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct experiment *e;
        struct err err = {0};
        char *word = (char *)(uintptr_t)words[i];

        assert_true(experiment_read(&e, at("base.yaml"), &word, 1, &err) < 0);
        assert_int_equal(err.kind, ERR_USAGE);
        if (strncmp(err.msg, "command line", 12) != 0)
            fail_msg("%s", err.msg);
    }
    refused(at("base.yaml"), "train.bacth=3", "train.batch");
}

static void hash_of(const struct experiment *e, char hex[SHA256_HEX])
{
    struct err err = {0};

    assert_int_equal(experiment_sha256(e, hex, &err), 0);
}

/* What is written is read back to the same experiment, whatever it holds. */
static void resolved_reads_back(void **state)
{
    static const char *const names[] = {"base.yaml", "child.yaml", "odd.yaml"};
    struct err err = {0};
    char one[SHA256_HEX], two[SHA256_HEX];

    (void)state;
    put("odd.yaml", "title: \"a: #b 'c' \\\"d\\\" [e]\"\noptim: {lr: 3e-3}\ntrain:\n  phases:\n"
                    "    - {kind: one_cycle, epochs: 1, lr: [1e-6, 1e-4], freeze: true}\n"
                    "    - {kind: fine_tune, epochs: 2, base_lr: 0.1}\n");
    for (size_t i = 0; i < 3; i++) {
        struct experiment *e = read_ok(at(names[i]), NULL, 0), *again;

        if (experiment_write(e, scratch, &err) < 0)
            fail_msg("%s", err.msg);
        again = read_ok(at("resolved.yaml"), NULL, 0);
        hash_of(e, one);
        hash_of(again, two);
        assert_string_equal(one, two);
        assert_string_equal(e->title, again->title);
        assert_memory_equal(&e->train, &again->train, sizeof e->train);
        assert_memory_equal(&e->optim, &again->optim, sizeof e->optim);
        assert_true(path_is_file(at("params.yaml")));
        assert_true(path_is_file(at("experiment.yaml")));
        experiment_free(e);
        experiment_free(again);
    }
}

static void hash_covers_what_changes_bits(void **state)
{
    static const struct {
        const char *word;
        bool same;
    } cases[] = {
        {"exec.threads=3", true},
        {"exec.prefetch=7", true},
        {"exec.cuda_graph=off", true},
        {"title=other", true},
        {"exec.readers=3", true},
        {"data.verify=off", true},
        {"seed=8", false},
        {"exec.microbatch=4", false},
        {"exec.conv=onednn", false},
        {"exec.isa=base", false},
        {"train.precision=bf16", false},
        {"train.phases.1.epochs=5", false},
        {"model.weights=none", false},
    };
    char *fixed[] = {"model.weights=imagenet", NULL};
    struct experiment *e = read_ok(at("base.yaml"), fixed, 1);
    char before[SHA256_HEX], after[SHA256_HEX];

    (void)state;
    hash_of(e, before);
    experiment_free(e);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixed[1] = (char *)(uintptr_t)cases[i].word;
        e = read_ok(at("base.yaml"), fixed, 2);
        hash_of(e, after);
        if ((strcmp(before, after) == 0) != cases[i].same)
            fail_msg("%s", cases[i].word);
        experiment_free(e);
    }
}

/* The version of the keys that a new experiment gets. */
static int today(void)
{
    struct experiment *e = read_ok(at("base.yaml"), NULL, 0);
    const int version = e->version;

    experiment_free(e);
    return version;
}

static struct experiment *reopen_ok(char *const *words, int n)
{
    struct experiment *e;
    struct err err = {0};

    if (experiment_reopen(&e, scratch, words, n, &err) < 0)
        fail_msg("%s", err.msg);
    return e;
}

/* A record of each version, with every key of it, and the hash it always had. */
static void records_keep_their_hash(void **state)
{
    static const struct {
        const char *file, *sha256;
        int version;
    } cases[] = {
        {"tests/data/resolved-1.yaml",
         "44dbca23a480c61dbb7d4bf22c0964f24ff6db4023760ae961798451bd90c819", 1},
        {"tests/data/resolved-2.yaml",
         "6e4f18dfd38b5dab7238a78308f87ad743181aa9ca3370e0bbe1b632d41ff081", 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        struct experiment *e;
        char hex[SHA256_HEX], *text, *word = (char *)(uintptr_t) "exec.conv=own";
        size_t size;

        if (path_read(&text, &size, cases[i].file, 1 << 20, &err) < 0)
            fail_msg("%s", err.msg);
        put("resolved.yaml", text);
        free(text);
        e = reopen_ok(NULL, 0);
        assert_int_equal(e->version, cases[i].version);
        assert_int_equal(e->exec.conv, cases[i].version == 1 ? CONV_ONEDNN : CONV_OWN);
        hash_of(e, hex);
        if (strcmp(hex, cases[i].sha256) != 0)
            fail_msg("%s: %s: the keys of version %d are not what they were. A key that comes or "
                     "goes says in its row since when (.since, .retired). Where no release has "
                     "version %d, the new hash belongs here",
                     cases[i].file, hex, cases[i].version, cases[i].version);
        experiment_free(e);
        /* a key that is younger than the record, set to something else than it implies */
        e = reopen_ok(&word, 1);
        hash_of(e, hex);
        assert_int_equal(strcmp(hex, cases[i].sha256) == 0, cases[i].version > 1);
        experiment_free(e);
    }
}

/* They tell neither recipes nor configurations apart. */
static void keys_without_result_are_in_no_hash(void **state)
{
    static const char *const words[] = {"title=other",
                                        "exec.threads=3",
                                        "exec.prefetch=7",
                                        "exec.cuda_graph=off",
                                        "data.verify=off",
                                        "train.score_train=true",
                                        "train.batch=7", /* the control */
                                        "train.checkpoint_minutes=3"};
    char plain[SHA256_HEX], hex[SHA256_HEX], name[64];
    struct experiment *e = read_ok(at("base.yaml"), NULL, 0);

    (void)state;
    hash_of(e, plain);
    experiment_free(e);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char word[64], *list[] = {word};
        const bool is_control = strncmp(words[i], "train.batch", 11) == 0;

        snprintf(word, sizeof word, "%s", words[i]);
        snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
        e = read_ok(at("base.yaml"), list, 1);
        hash_of(e, hex);
        experiment_free(e);
        assert_int_equal(experiment_is_harmless(name), !is_control);
        assert_int_equal(strcmp(plain, hex) == 0, !is_control);
    }
    assert_true(experiment_is_repeat("seed") && experiment_is_repeat("data.split_seed") &&
                experiment_is_repeat("data.fold") && !experiment_is_repeat("data.folds"));
}

/* Of a name that was used again, an older record could not say which it means. */
static void names_are_used_once(void **state)
{
    char *text = NULL, *rest, *seen[256];
    size_t size = 0, n = 0;
    FILE *file = open_memstream(&text, &size);

    (void)state;
    experiment_document(file);
    fclose(file);
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "| `", 3) != 0)
            continue;
        line[3 + strcspn(line + 3, "`")] = '\0';
        for (size_t i = 0; i < n; i++)
            assert_string_not_equal(seen[i], line + 3);
        assert_true(n < sizeof seen / sizeof *seen);
        seen[n++] = line + 3;
    }
    assert_true(n >= 50);
    free(text);
}

/* An older record as the experiment to train: today's keys, with what it implies. */
static void an_older_record_is_trained_anew(void **state)
{
    struct experiment *e;
    json_t *params;
    struct err err = {0};
    char one[SHA256_HEX], two[SHA256_HEX];

    (void)state;
    put("resolved.yaml", "seed: 3\nexec: {winograd: auto, max_isa: ''}\n");
    e = read_ok(at("resolved.yaml"), NULL, 0);
    assert_int_equal(e->version, today());
    assert_int_equal(e->exec.conv, CONV_ONEDNN);
    assert_int_equal(experiment_params(&params, e, &err), 0);
    assert_string_equal(json_string_value(json_object_get(params, "exec.conv")), "onednn");
    assert_string_equal(json_string_value(json_object_get(params, "seed")), "3");
    assert_null(json_object_get(params, "exec.winograd"));
    json_decref(params);
    hash_of(e, one);
    assert_int_equal(experiment_write(e, scratch, &err), 0);
    experiment_free(e);
    e = reopen_ok(NULL, 0);
    assert_int_equal(e->version, today());
    hash_of(e, two);
    assert_string_equal(one, two);
    experiment_free(e);

    put("resolved.yaml", "version: 1\nexec: {layout: nhwc}\n");
    refused(at("resolved.yaml"), NULL,
            "resolved.yaml: exec.layout: this key was retired; leave it");
    e = reopen_ok(NULL, 0);
    assert_int_equal(e->version, 1);
    assert_int_equal(experiment_params(&params, e, &err), 0);
    assert_string_equal(json_string_value(json_object_get(params, "exec.layout")), "nhwc");
    json_decref(params);
    experiment_free(e);
}

static void a_file_says_its_version(void **state)
{
    static const struct {
        const char *yaml, *says;
    } cases[] = {
        {"version: 99\n", "version: 99: this presize reads versions 1 to "},
        {"version: 99\n", " of the keys; a newer one wrote this"},
        {"version: 0\n", "version: 0: this presize reads versions 1 to "},
        {"version: two\n", "version: two: this presize reads"},
        {"version: [1]\n", "version: no number: this presize reads"},
        {"version:\n", "version: no number"},
        {"version: 2\nexec: {winograd: auto}\n", "exec.winograd: this key was retired"},
        {"exec: {winograd: auto}\n", "exec.winograd: this key was retired"},
        {"version: 1\nexec: {winograd: off}\n", "exec.winograd: this key was retired"},
    };
    struct experiment *e;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put("versions.yaml", cases[i].yaml);
        refused(at("versions.yaml"), NULL, cases[i].says);
    }
    put("versions.yaml", "version: 1\nseed: 4\nexec: {winograd: auto}\n");
    put("on_versions.yaml", "extends: versions\nexec: {threads: 2}\n");
    e = read_ok(at("on_versions.yaml"), NULL, 0);
    assert_int_equal(e->exec.conv, CONV_ONEDNN); /* what the older file left out */
    assert_int_equal(e->version, today());
    experiment_free(e);
    put("on_versions.yaml", "extends: versions\nexec: {conv: own}\n");
    e = read_ok(at("on_versions.yaml"), NULL, 0);
    assert_int_equal(e->exec.conv, CONV_OWN);
    experiment_free(e);
    refused(at("base.yaml"), "version=1", "version: there is no such key");
    refused(at("base.yaml"), "exec.layout=nhwc",
            "command line: exec.layout: this key was retired; leave it out; exec.isa decides");
}

/* Every experiment that is shipped reads, expands and says its question first. */
static void shipped_experiments_read(void **state)
{
    DIR *dir = opendir("experiments");
    const struct dirent *entry;
    int n = 0;

    (void)state;
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        struct run_phase phases[2 * KEY_LIST_MAX];
        struct err err = {0};
        struct experiment *e;
        char name[300];
        size_t length = strlen(entry->d_name);
        int n_phases;

        if (length < 6 || strcmp(entry->d_name + length - 5, ".yaml") != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)length - 5, entry->d_name);
        e = read_ok(name, NULL, 0);
        if (recipe_expand(phases, &n_phases, &e->train, &e->optim, &err) < 0)
            fail_msg("%s: %s", name, err.msg);
        if (e->given[0] != '#' || !strpbrk(e->given, "?."))
            fail_msg("%s: the first line is no comment that asks a question", name);
        experiment_free(e);
        n++;
    }
    closedir(dir);
    assert_true(n >= 8);
}

#define Z "0000000000000000000000000000000000000000000000000000000000000"
#define INDEX(manifest, class, exif, labels)                                                       \
    "{\"manifest_sha256\": \"" manifest                                                            \
    "\", \"classes\": [\"" class "\"], \"groups\": [], \"max_aspect\": 2, \"settings\": "          \
                                 "{\"exif\": \"" exif "\"}, \"labels_sha256\": \"0" Z labels "\"}"

#define MANIFEST_HEAD                                                                              \
    "{\"format\": \"presize manifest\", \"version\": 1, \"source\": \"mine\", \"archives\": [], "  \
    "\"files\": 0, \"bytes\": 0"
#define MANIFEST MANIFEST_HEAD "}\n"
#define MANIFEST_DAMAGED MANIFEST_HEAD ", \"sha256\": \"0" Z "11\"}\n"

static void shards_are_found_by_size(void **state)
{
    static const struct {
        const char *index, *says;
    } others[] = {{INDEX("b", "cat", "ignore", "11"), "disagree about pictures"},
                  {INDEX("a", "dog", "ignore", "11"), "disagree about classes"},
                  {INDEX("a", "cat", "apply", "11"), "disagree about decode.exif"},
                  {INDEX("a", "cat", "ignore", "22"), "disagree about labels or lists"}};
    char hex[SHA256_HEX], index[1000];
    struct experiment *e = read_ok(at("base.yaml"), NULL, 0);
    struct err err = {0};
    char folder[PATH_LEN];

    (void)state;
    snprintf(e->data.set, sizeof e->data.set, "%s", "mine");
    e->data.size = 0;
    assert_true(experiment_shards(folder, e, scratch, &err) < 0);
    assert_non_null(strstr(err.msg, "prep mine"));
    assert_int_equal(path_make_dirs(at("mine/shards-64"), &err), 0);
    assert_int_equal(path_make_dirs(at("mine/shards-460"), &err), 0);
    assert_int_equal(path_make_dirs(at("mine/shards-512"), &err), 0); /* no index: not complete */
    assert_true(experiment_shards(folder, e, scratch, &err) < 0);
    assert_non_null(strstr(err.msg, "prep mine"));
    put("mine/shards-64/index.json", INDEX("a", "cat", "ignore", "11"));
    put("mine/shards-460/index.json", INDEX("a", "cat", "ignore", "11"));
    assert_int_equal(experiment_shards(folder, e, scratch, &err), 0);
    assert_string_equal(folder, at("mine/shards-460"));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        put("mine/shards-64/index.json", others[i].index);
        assert_true(experiment_shards(folder, e, scratch, &err) < 0);
        assert_int_equal(err.kind, ERR_INPUT);
        assert_non_null(strstr(err.msg, others[i].says));
        assert_non_null(strstr(err.msg, "data.size"));
    }
    /* with a manifest, only what was made from it counts */
    put("mine/manifest.jsonl", MANIFEST);
    assert_true(experiment_shards(folder, e, scratch, &err) < 0);
    assert_non_null(strstr(err.msg, "other pictures"));
    sha256_of(MANIFEST, sizeof MANIFEST - 1, hex);
    snprintf(index, sizeof index, INDEX("%s", "cat", "ignore", "11"), hex);
    put("mine/shards-64/index.json", index);
    assert_int_equal(experiment_shards(folder, e, scratch, &err), 0);
    assert_string_equal(folder, at("mine/shards-64"));
    assert_false(shard_is_stale(at("mine/shards-64")));
    assert_true(shard_is_stale(at("mine/shards-460")));
    /* a damaged one says nothing, and is not taken for none */
    put("mine/manifest.jsonl", MANIFEST_DAMAGED);
    assert_true(experiment_shards(folder, e, scratch, &err) < 0);
    assert_int_equal(err.kind, ERR_FORMAT);
    assert_non_null(strstr(err.msg, "changed or damaged"));
    assert_non_null(strstr(err.msg, "fetch mine --verify"));
    assert_true(shard_is_stale(at("mine/shards-64")));
    put("mine/manifest.jsonl", MANIFEST);
    e->data.size = 64;
    assert_int_equal(experiment_shards(folder, e, scratch, &err), 0);
    assert_string_equal(folder, at("mine/shards-64"));
    e->data.size = 512;
    assert_true(experiment_shards(folder, e, scratch, &err) < 0);
    assert_non_null(strstr(err.msg, "512"));
    experiment_free(e);
}

static void precision_falls_back_and_says_so(void **state)
{
    struct experiment *e = read_ok(at("base.yaml"), NULL, 0);
    struct be_info with = {.has_bf16 = true}, without = {.has_bf16 = false},
                   both = {.has_bf16 = true, .has_fp16 = true};
    const char *note;

    (void)state;
    e->train.precision = PRECISION_FP32;
    assert_int_equal(experiment_dtype(e, &with, &note), DTYPE_F32);
    assert_null(note);
    e->train.precision = PRECISION_BF16;
    assert_int_equal(experiment_dtype(e, &with, &note), DTYPE_BF16);
    assert_null(note);
    assert_int_equal(experiment_dtype(e, &without, &note), DTYPE_F32);
    assert_non_null(note);
    e->train.precision = PRECISION_FP16;
    assert_int_equal(experiment_dtype(e, &with, &note), DTYPE_BF16);
    assert_non_null(strstr(note, "bf16"));
    assert_int_equal(experiment_dtype(e, &without, &note), DTYPE_F32);
    assert_non_null(strstr(note, "fp32"));
    assert_int_equal(experiment_dtype(e, &both, &note), DTYPE_F16);
    assert_null(note);
    experiment_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_merge_and_lists_replace),
        cmocka_unit_test(words_override),
        cmocka_unit_test(bad_files_are_named),
        cmocka_unit_test(a_deep_chain_is_refused),
        cmocka_unit_test(bad_words_say_command_line),
        cmocka_unit_test(resolved_reads_back),
        cmocka_unit_test(hash_covers_what_changes_bits),
        cmocka_unit_test(records_keep_their_hash),
        cmocka_unit_test(keys_without_result_are_in_no_hash),
        cmocka_unit_test(names_are_used_once),
        cmocka_unit_test(an_older_record_is_trained_anew),
        cmocka_unit_test(a_file_says_its_version),
        cmocka_unit_test(shipped_experiments_read),
        cmocka_unit_test(shards_are_found_by_size),
        cmocka_unit_test(precision_falls_back_and_says_so),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
