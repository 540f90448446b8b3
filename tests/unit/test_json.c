/* test_json.c - JSON files: numbers that read back, damage with its place, typed access.
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

#include "base/json.h"
#include "base/path.h"

static void reals_are_short_and_exact(void **state)
{
    static const struct {
        double x;
        const char *text;
    } cases[] = {{0.1, "0.1"},          {3, "3.0"},
                 {-0.0, "-0.0"},        {1e-5, "1.0e-05"},
                 {1.5e300, "1.5e+300"}, {0.1 + 0.2, "0.30000000000000004"},
                 {1e22, "1.0e+22"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[JSON_REAL_TEXT];

        json_real_text(cases[i].x, text);
        assert_string_equal(text, cases[i].text);
    }
    for (int i = 0; i < 1000; i++) {
        double x = exp((i - 500) * 1.4142);
        char text[JSON_REAL_TEXT];

        json_real_text(x, text);
        assert_true(strtod(text, NULL) == x);
    }
}

static void files(void **state)
{
    char name[] = "/tmp/presize-json-XXXXXX";
    struct err err = {0};
    json_t *tree = json_pack("{s:i, s:[f, b, n], s:{s:s}, s:[], s:{}}", "z", 1, "a", 0.1, 1, "o",
                             "k", "q\"\n\xc3\xa9", "e", "f"),
           *back;
    char *data;
    size_t size;
    FILE *file;
    int fd = mkstemp(name);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_non_null(tree);
    assert_int_equal(json_write(name, tree, &err), 0);
    assert_int_equal(path_read(&data, &size, name, 1000, &err), 0);
    assert_string_equal(data, "{\n  \"z\": 1,\n  \"a\": [\n    0.1,\n    true,\n    null\n  ],\n"
                              "  \"o\": {\n    \"k\": \"q\\\"\\n\xc3\xa9\"\n  },\n  \"e\": [],\n"
                              "  \"f\": {}\n}\n");
    free(data);
    assert_int_equal(json_read(&back, name, &err), 0);
    assert_true(json_equal(tree, back));
    json_decref(back);

    file = fopen(name, "w");
    assert_int_equal(json_append_line(file, tree, &err), 0);
    json_decref(tree);
    tree = json_pack("{s:b}", "x", 0);
    assert_int_equal(json_append_line(file, tree, &err), 0);
    fclose(file);
    assert_int_equal(path_read(&data, &size, name, 1000, &err), 0);
    assert_non_null(strstr(data, "}\n{\"x\": false}\n"));
    free(data);
    json_decref(tree);

    assert_int_equal(path_write(name, "{\"a\": 1,\n  oops}", 16, &err), 0);
    assert_int_equal(json_read(&back, name, &err), -1);
    assert_int_equal(err.kind, ERR_FORMAT);
    assert_non_null(strstr(err.msg, "line 2"));
    assert_non_null(strstr(err.msg, name));
    assert_int_equal(path_write(name, "{\"a\": 1, \"a\": 2}", 16, &err), 0);
    assert_int_equal(json_read(&back, name, &err), -1); /* which of the two was meant? */
    unlink(name);
    assert_int_equal(json_read(&back, name, &err), -1);
    assert_int_equal(err.kind, ERR_IO);
    assert_null(back);
}

static void a_full_disk_is_told(void **state)
{
    struct err err = {0};
    json_t *tree = json_object();
    FILE *file = fopen("/dev/full", "w");

    (void)state;
    assert_non_null(file);
    assert_int_equal(json_append_line(file, tree, &err), -1);
    assert_int_equal(err.kind, ERR_FULL);
    fclose(file);
    json_decref(tree);
}

static void typed_access(void **state)
{
    struct err err = {0};
    json_t *obj = json_pack("{s:s, s:i, s:[i]}", "s", "text", "i", 7, "a", 1), *array;
    const char *s;
    json_int_t i;

    (void)state;
    assert_int_equal(json_get_string(obj, "s", &s, &err), 0);
    assert_string_equal(s, "text");
    assert_int_equal(json_get_int(obj, "i", &i, &err), 0);
    assert_int_equal(i, 7);
    assert_int_equal(json_get_array(obj, "a", &array, &err), 0);
    assert_int_equal(json_get_int(obj, "s", &i, &err), -1);
    assert_string_equal(err.msg, "\"s\" is not a whole number");
    assert_int_equal(json_get_string(obj, "none", &s, &err), -1);
    assert_string_equal(err.msg, "\"none\" is missing");
    assert_int_equal(json_get_array(json_null(), "a", &array, &err), -1);
    assert_int_equal(err.kind, ERR_FORMAT);
    json_decref(obj);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(reals_are_short_and_exact),
        cmocka_unit_test(files),
        cmocka_unit_test(a_full_disk_is_told),
        cmocka_unit_test(typed_access),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
