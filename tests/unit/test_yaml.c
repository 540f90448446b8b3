/* test_yaml.c - YAML in, with places in messages; out, and in again.
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
#include "base/rng.h"
#include "base/yaml.h"

static void assert_parses(const char *yaml, const char *json)
{
    struct err err = {0};
    json_t *tree;
    char *text;

    if (yaml_parse(&tree, yaml, &err) < 0)
        fail_msg("%s: %s", yaml, err.msg);
    text = json_text(tree, 0);
    assert_string_equal(text, json);
    free(text);
    json_decref(tree);
}

static void scalars_stay_text(void **state)
{
    (void)state;
    assert_parses("a: 0.10\nb: true\nc: '1'\nd:\ne: null\nf: ~\ng: \"\"\nh: 'null'\n",
                  "{\"a\": \"0.10\", \"b\": \"true\", \"c\": \"1\", \"d\": null, \"e\": null, "
                  "\"f\": null, \"g\": \"\", \"h\": \"null\"}");
    assert_parses("x: {y: [1, [2, 3]], z: {}}",
                  "{\"x\": {\"y\": [\"1\", [\"2\", \"3\"]], \"z\": {}}}");
    assert_parses("[1e-5, 1e-3]", "[\"1e-5\", \"1e-3\"]");
    assert_parses("# only a comment\n", "null");
    assert_parses("", "null");
    assert_parses("regex: '(.+)_\\\\d+.jpg$'", "{\"regex\": \"(.+)_\\\\\\\\d+.jpg$\"}");
}

static void mistakes_name_the_place(void **state)
{
    static const struct {
        const char *yaml, *place, *cause;
    } cases[] = {
        {"a: 1\nb: 2\na: 3\n", "line 3, column 1", "\"a\" is given twice"},
        {"x:\n  b: 1\n  b: 2\n", "line 3, column 3", "twice"},
        {"a: &p 1\n", "line 1, column 4", "anchors"},
        {"a: *p\n", "line 1, column 4", "aliases"},
        {"a: !!int 1\n", "line 1, column 4", "tags"},
        {"a: 1\n---\nb: 2\n", "line 2", "second document"},
        {"a: [1, 2\n", "line 2", ""},
        {"a: 1\n b: 2\n", "line 2", ""},
        {"a:\n\t- 1\n", "line 2", ""},
        {"[a, b]: 1\n", "line 1", "plain text"},
        {"a: \"\\0\"\n", "line 1", "zero byte"},
        {"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "line 1, column 17", "deeper"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {0};
        json_t *tree;

        assert_int_equal(yaml_parse(&tree, cases[i].yaml, &err), -1);
        assert_null(tree);
        assert_int_equal(err.kind, ERR_FORMAT);
        if (!strstr(err.msg, cases[i].place) || !strstr(err.msg, cases[i].cause))
            fail_msg("case %zu: %s", i, err.msg);
    }
    assert_parses("[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]",
                  "[[[[[[[[[[[[[[[\"1\"]]]]]]]]]]]]]]]"); /* 16 */
}

static void a_missing_file_is_named(void **state)
{
    struct err err = {0};
    json_t *tree;

    (void)state;
    assert_int_equal(yaml_read(&tree, "no/such.yaml", &err), -1);
    assert_int_equal(err.kind, ERR_IO);
    assert_non_null(strstr(err.msg, "no/such.yaml"));
}

static char *written(const json_t *tree)
{
    struct err err = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    assert_non_null(file);
    assert_int_equal(yaml_write(file, tree, &err), 0);
    fclose(file);
    return text;
}

static void block_style(void **state)
{
    json_t *tree = json_loads("{\"model\": {\"arch\": \"resnet18\", \"none\": {}, \"l\": []},"
                              " \"lr\": [1e-05, 0.1, 3.0], \"phases\": [{\"kind\": \"one_cycle\","
                              " \"deep\": [[1], [2]]}, {\"m\": 1}], \"s\": \"on\", \"t\": true,"
                              " \"u\": null, \"v\": \"a: b # c\", \"w\": \"\", \"x\": \"1e3\"}",
                              0, NULL);
    char *text;

    (void)state;
    assert_non_null(tree);
    text = written(tree);
    assert_string_equal(text, "model:\n"
                              "  arch: resnet18\n"
                              "  none: {}\n"
                              "  l: []\n"
                              "lr: [1.0e-05, 0.1, 3.0]\n"
                              "phases:\n"
                              "  - kind: one_cycle\n"
                              "    deep:\n"
                              "      - [1]\n"
                              "      - [2]\n"
                              "  - m: 1\n"
                              "s: \"on\"\n"
                              "t: true\n"
                              "u: null\n"
                              "v: \"a: b # c\"\n"
                              "w: \"\"\n"
                              "x: \"1e3\"\n");
    free(text);
    json_decref(tree);
}

static void what_is_written_reads_back_the_same(void **state)
{
    static const char *const awkward[] = {
        "",   " ",   "null", "~",       "- x",    "a: b",   "'", "\"",    "#",  "x #y",  "yes",
        "0x", "1_0", "é",    "line\nb", "tab\tx", "trail ", "[", "{",     "*a", "&a",    "!t",
        "%d", "@x",  "`x",   "|",       ">",      "?",      ":", "C:\\x", "-",  "--- a", "\x01"};
    /* characters that YAML's readers refuse or take for the end of a line */
    static const char *const refused[] = {"\x7f",
                                          "\u00a0\xc2\x80 \xc2\x85 \xc2\x9f",
                                          "a\u2028 b\u2029",
                                          "\ufeff",
                                          "\ufffd\uffff\ufffe",
                                          "\U0001f431"};
    struct err err = {0};
    json_t *tree = json_object(), *list = json_array(), *map = json_object(), *back;
    char *text;

    (void)state;
    for (size_t i = 0; i < sizeof awkward / sizeof awkward[0]; i++) {
        json_array_append_new(list, json_string(awkward[i]));
        json_object_set_new(map, awkward[i], json_string(awkward[i]));
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        json_object_set_new(map, refused[i], json_string(refused[i]));
    json_object_set_new(tree, "list", list);
    json_object_set_new(tree, "map", map);
    text = written(tree);
    if (yaml_parse(&back, text, &err) < 0)
        fail_msg("%s\n%s", err.msg, text);
    assert_true(json_equal(tree, back));
    json_object_set_new(tree, "more", json_null());
    assert_false(json_equal(tree, back)); /* control */
    json_decref(tree);
    json_decref(back);
    free(text);
}

/* Bytes changed, lost and doubled at random: an error or a tree, never harm (see the instrumented
 * tree), and what is taken can be written and read again. */
static void random_damage_does_no_harm(void **state)
{
    static const char whole[] =
        "# a comment\nextends: other\nmodel: {arch: resnet18, weights: none}\n"
        "train:\n  phases:\n    - {kind: one_cycle, lr: [1e-5, 1e-3]}\n"
        "    - kind: \"fine\\ttune\"\n      epochs: 3\nlabel: '(.+)_\\d'\n";
    static const char bytes[] = "\n \t:-[]{},'\"#&*!|>?%@a1\\\xff\x00\xc3";
    struct rng r = rng_begin(1, RNG_TEST, 0, 0);
    int taken = 0;

    (void)state;
    for (int i = 0; i < 4000; i++) {
        char text[sizeof whole + 8];
        struct err err = {0};
        json_t *tree, *back;
        char *again;

        memcpy(text, whole, sizeof whole);
        for (uint32_t k = rng_below(&r, 4); k < 4; k++) {
            size_t at = rng_below(&r, (uint32_t)strlen(text) + 1), rest = strlen(text + at);

            if (rng_below(&r, 3) == 0 && rest > 0)
                memmove(text + at, text + at + 1, rest);
            else if (rest > 0)
                text[at] = bytes[rng_below(&r, sizeof bytes - 1)];
        }
        if (yaml_parse(&tree, text, &err) < 0) {
            assert_int_equal(err.kind, ERR_FORMAT);
            continue;
        }
        taken++;
        again = written(tree);
        if (yaml_parse(&back, again, &err) < 0)
            fail_msg("%s\n%s", err.msg, again);
        assert_true(json_equal(tree, back));
        free(again);
        json_decref(tree);
        json_decref(back);
    }
    assert_in_range(taken, 200, 3800); /* both roads were walked */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_stay_text),
        cmocka_unit_test(mistakes_name_the_place),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(block_style),
        cmocka_unit_test(what_is_written_reads_back_the_same),
        cmocka_unit_test(random_damage_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
