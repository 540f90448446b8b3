/* test_field.c - records: read with bounds, written back in order, and documented.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/field.h"
#include "base/json.h"
#include "base/log.h"

struct inner {
    int64_t n;
    double x;
};
struct outer {
    int64_t version, count, ranks;
    double loss, rate;
    const char *name, *note;
    bool fetched, dirty;
    const json_t *list, *object;
    struct inner always, maybe;
};

// clang-format off
static const struct field inner_fields[] = {
    FIELD_INT(struct inner, n, "n", 0, 10, "px", "a number"),
    FIELD_REAL(struct inner, x, "x", 0, 1, "", "a share", .flags = FIELD_NULL),
    FIELD_END,
};
static const struct field fields[] = {
    FIELD_INT(struct outer, version, "version", 1, INT32_MAX, "", "of the record"),
    FIELD_INT(struct outer, count, "count", 1, 100, "", "how many"),
    FIELD_INT(struct outer, ranks, "ranks", 1, 9, "", "processes", .implied = "1"),
    FIELD_REAL(struct outer, loss, "loss", 0, 1e300, "nat", "mean loss"),
    FIELD_REAL(struct outer, rate, "rate", 0, 1, "", "share", .flags = FIELD_OPTIONAL),
    FIELD_TEXT(struct outer, name, "name", "its name"),
    FIELD_TEXT(struct outer, note, "note", "why", .flags = FIELD_NULL),
    FIELD_BOOL(struct outer, fetched, "fetched", "whether", .flags = FIELD_OPTIONAL, .implied = "true"),
    FIELD_BOOL(struct outer, dirty, "dirty", "whether", .since = 2),
    FIELD_LIST(struct outer, list, "list", "things"),
    FIELD_OBJECT(struct outer, object, "object", "more", .flags = FIELD_OPTIONAL),
    FIELD_RECORD(struct outer, always, "always", inner_fields, "one"),
    FIELD_RECORD(struct outer, maybe, "maybe", inner_fields, "another", .flags = FIELD_OPTIONAL),
    FIELD_END,
};
// clang-format on

#define WHOLE                                                                                      \
    "{\"version\": 2, \"count\": 3, \"ranks\": 4, \"loss\": 0.5, \"rate\": 0.25, \"name\": "       \
    "\"a\", "                                                                                      \
    "\"note\": null, \"fetched\": false, \"dirty\": true, \"list\": [1], \"object\": {\"k\": 1}, " \
    "\"always\": {\"n\": 1, \"x\": null}, \"maybe\": {\"n\": 2, \"x\": 0.5}}"

static json_t *parse(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);

    assert_non_null(json);
    return json;
}

static void a_record_comes_back_as_it_was(void **state)
{
    json_t *json = parse(WHOLE), *again;
    struct outer o;
    struct err err;
    char *text;

    (void)state;
    assert_int_equal(fields_read(fields, 2, &o, json, &err), 0);
    assert_true(o.count == 3 && o.ranks == 4 && o.loss == 0.5 && o.rate == 0.25);
    assert_string_equal(o.name, "a");
    assert_null(o.note);
    assert_true(!o.fetched && o.dirty && o.always.n == 1 && isnan(o.always.x) && o.maybe.n == 2);
    again = fields_json(fields, &o);
    text = json_text(again, 0);
    assert_string_equal(text, WHOLE);
    free(text);
    json_decref(again);
    json_decref(json);
}

/* What a flag, an older version or an implied value lets be missing; it is left out when it is written. */
static void what_may_be_missing(void **state)
{
    static const char old[] = "{\"version\": 1, \"count\": 3, \"loss\": 1, \"name\": \"a\", "
                              "\"note\": null, \"list\": [], "
                              "\"always\": {\"n\": 1, \"x\": 1}, \"unknown\": 7}";
    json_t *json = parse(old), *again;
    struct outer o;
    struct err err;

    (void)state;
    assert_int_equal(fields_read(fields, 1, &o, json, &err), 0);
    assert_true(o.ranks == 1 && o.fetched && !o.dirty && isnan(o.rate) && !o.object && o.loss == 1);
    assert_true(field_is_missing(field_find(fields, "maybe"), &o));
    assert_false(field_is_missing(field_find(fields, "always"), &o));
    again = fields_json(fields, &o);
    assert_null(json_object_get(again, "rate"));
    assert_null(json_object_get(again, "maybe"));
    assert_null(json_object_get(again, "fetched"));
    assert_int_equal(json_integer_value(json_object_get(again, "ranks")), 1);
    assert_true(json_is_null(json_object_get(again, "note")));
    json_decref(again);
    o.name = NULL; /* no flag lets it be missing */
    assert_null(fields_json(fields, &o));
    json_decref(json);
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *member, *value, *says;
    } cases[] = {
        {"count", NULL, "\"count\" is missing"},
        {"dirty", NULL, "\"dirty\" is missing"}, /* version 2 has it */
        {"count", "\"3\"", "\"count\" is no whole number"},
        {"count", "3.5", "\"count\" is no whole number"},
        {"count", "0", "\"count\" is 0: expected 1 to 100"},
        {"count", "101", "\"count\" is 101: expected 1 to 100"},
        {"loss", "-1", "\"loss\" is -1: expected at least 0"},
        {"loss", "null", "\"loss\" is no number"},
        {"name", "7", "\"name\" is no text"},
        {"fetched", "1", "\"fetched\" is no true or false"},
        {"list", "{}", "\"list\" is no list"},
        {"always", "[]", "\"always\" is no object"},
        {"always", "{\"n\": 11, \"x\": 0}", "\"always\": \"n\" is 11: expected 0 to 10"},
        {"maybe", "{\"x\": 0}", "\"maybe\": \"n\" is missing"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *json = parse(WHOLE);
        struct err err;
        struct outer o;

        json_object_del(json, cases[i].member);
        if (cases[i].value)
            json_object_set_new(json, cases[i].member,
                                json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
        assert_int_equal(fields_read(fields, 2, &o, json, &err), -1);
        assert_int_equal(err.kind, ERR_FORMAT);
        assert_string_equal(err.msg, cases[i].says);
        /* without ERR the member alone is missing */
        assert_int_equal(fields_read(fields, 2, &o, json, NULL), 0);
        assert_true(o.version == 2);
        json_decref(json);
    }
}

static void lines(void **state)
{
    char name[] = "/tmp/presize-field-XXXXXX";
    const char text[] = "{\"n\": 1, \"x\": 0.5}\n[2]\n{\"n\": \"three\"}\n{\"n\": 4";
    const int fd = mkstemp(name);
    struct field_lines l;
    const struct inner *all;
    struct err err;

    (void)state;
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    assert_int_equal(fields_read_lines(&l, inner_fields, sizeof(struct inner), name, &err), 0);
    all = l.all;
    assert_int_equal(l.n, 2);
    assert_int_equal(l.bad, 2);
    assert_true(all[0].n == 1 && all[0].x == 0.5 && all[1].n == FIELD_NO_INT && isnan(all[1].x));
    fields_free_lines(&l);
    unlink(name);
    assert_int_equal(fields_read_lines(&l, inner_fields, sizeof(struct inner), name, &err), 0);
    assert_int_equal(l.n, 0);
    fields_free_lines(&l);
}

/* Of the object, of objects in lists and of records inside; what has no rows may hold anything. */
static void unknown_members_are_named_once(void **state)
{
    static const char newer[] =
        "{\"colour\": 1, \"count\": 3, \"object\": {\"k\": 1}, \"always\": {\"n\": 1, \"y\": 2}, "
        "\"maybe\": null, \"list\": [{\"n\": 1, \"z\": 0}, 7, {\"z\": 1, \"w\": 1}]}";
    struct field rows[sizeof fields / sizeof *fields];
    json_t *json = parse(newer), *whole = parse(WHOLE), *many = json_object();
    char names[400];

    (void)state;
    memcpy(rows, fields, sizeof fields);
    assert_int_equal(fields_unknown(names, sizeof names, rows, json), 2);
    assert_string_equal(names, "always.y, colour");
    for (struct field *row = rows; row->name; row++)
        if (strcmp(row->name, "list") == 0)
            row->fields = inner_fields;
    assert_int_equal(fields_unknown(names, sizeof names, rows, json), 4);
    assert_string_equal(names, "list.z, list.w, always.y, colour");
    assert_int_equal(fields_unknown(names, sizeof names, rows, whole), 0); /* the control */
    assert_string_equal(names, "");
    assert_int_equal(fields_unknown(names, sizeof names, rows, NULL), 0);
    for (int i = 0; i < 15; i++) {
        snprintf(names, sizeof names, "m%d", i);
        json_object_set_new(many, names, json_true());
    }
    assert_int_equal(fields_unknown(names, sizeof names, inner_fields, many), 15);
    assert_non_null(strstr(names, ", m11 and 3 more"));
    assert_int_equal(fields_unknown(names, 40, inner_fields, many), 15);
    assert_string_equal(names, "m0, m1, m2 and 12 more");
    json_decref(many);
    json_decref(whole);
    json_decref(json);
}

static void a_member_is_warned_of_once(void **state)
{
    static const struct {
        const char *json, *path, *writer, *says;
    } cases[] = {
        {"{\"n\": 1}", "a/run.json", "9.9", ""},
        {"{\"n\": 1, \"y\": 1}", "a/run.json", "9.9", "a/run.json has 1 member that presize "},
        {"{\"n\": 1, \"y\": 1}", "b/run.json", "9.9", ""},
        {"{\"y\": 1, \"z\": 1, \"w\": 1}", "b/run.json", "9.9",
         "b/run.json has 2 members that presize "},
        {"{\"y\": 1}", "b/score.json", NULL, "(a newer presize may have written it)"},
        {"[{\"y\": 1}, {\"v\": 1}]", "c/run.json", "9.9",
         " does not know: v; ignored here and in every other run.json (presize 9.9 wrote it)"},
    };

    (void)state;
    log_begin("test", LOG_WARN);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *json = parse(cases[i].json);
        char *text = NULL;
        size_t size;
        FILE *file = open_memstream(&text, &size);

        log_tee(file);
        fields_warn_unknown(inner_fields, json, cases[i].path, cases[i].writer);
        log_tee(NULL);
        fclose(file);
        if (cases[i].says[0])
            assert_non_null(strstr(text, cases[i].says));
        else
            assert_string_equal(text, "");
        free(text);
        json_decref(json);
    }
}

static void documented(void **state)
{
    char text[512] = "";
    FILE *file = fmemopen(text, sizeof text, "w");
    static const struct field some[] = {
        FIELD_INT(struct outer, ranks, "ranks", 1, 9, "px", "processes", .implied = "1"),
        FIELD_RECORD(struct outer, maybe, "maybe", inner_fields, "another", .flags = FIELD_OPTIONAL,
                     .since = 2),
        FIELD_END,
    };

    (void)state;
    fields_document(file, some);
    fclose(file);
    assert_string_equal(text, "| member | type | meaning |\n|---|---|---|\n"
                              "| `ranks` | whole number, 1 to 9, px | processes (missing: `1`) |\n"
                              "| `maybe` | object, or missing | another (since version 2) |\n"
                              "| `maybe.n` | whole number, 0 to 10, px | a number |\n"
                              "| `maybe.x` | number, 0 to 1, or null | a share |\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_comes_back_as_it_was),
        cmocka_unit_test(what_may_be_missing),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(lines),
        cmocka_unit_test(unknown_members_are_named_once),
        cmocka_unit_test(a_member_is_warned_of_once),
        cmocka_unit_test(documented),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
