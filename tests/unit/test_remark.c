/* test_remark.c - what was left out or changed is counted, named, said once and recorded.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/remark.h"

static struct remarks r;

static int clear(void **state)
{
    (void)state;
    memset(&r, 0, sizeof r);
    return 0;
}

static void a_remark_counts_and_names_the_first(void **state)
{
    char text[2048];

    (void)state;
    remarks_text(&r, REMARK_ENLARGED, text, sizeof text);
    assert_string_equal(text, "");
    remarks_add(&r, REMARK_ENLARGED, "%s (%d px)", "a.jpg", 20);
    remarks_text(&r, REMARK_ENLARGED, text, sizeof text);
    assert_string_equal(text,
                        "1 picture is smaller than presize.size and is enlarged: a.jpg (20 px)");
    for (int i = 0; i < 6; i++)
        remarks_add(&r, REMARK_ENLARGED, "%c.jpg", 'b' + i);
    remarks_text(&r, REMARK_ENLARGED, text, sizeof text);
    assert_non_null(strstr(text, "7 pictures are smaller"));
    assert_non_null(strstr(text, "a.jpg (20 px), b.jpg, c.jpg, d.jpg, e.jpg and 2 more"));
    assert_null(strstr(text, "f.jpg"));
}

static void names_cannot_write_to_the_terminal(void **state)
{
    char text[2048];

    (void)state;
    remarks_add(&r, REMARK_BAD_NAMES, "%s", "b\xe4r\033[31m.jpg");
    remarks_text(&r, REMARK_BAD_NAMES, text, sizeof text);
    assert_non_null(strstr(text, "b\\xE4r\\x1B[31m.jpg"));
}

static void json_has_what_is_printed(void **state)
{
    char printed[4096] = "", again[4096] = "";
    FILE *file = tmpfile();
    json_t *list;

    (void)state;
    assert_non_null(file);
    remarks_add(&r, REMARK_COPIES, "b.jpg of a.jpg");
    remarks_add(&r, REMARK_OTHER_FILES, "x.txt");
    remarks_advise(&r, REMARK_COPIES, "look at %d", 1);
    list = remarks_json(&r);
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "kind")),
                        "copies");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 1), "count")), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "advice")),
                        "look at 1");
    assert_true(json_is_false(json_object_get(json_array_get(list, 0), "warning")));
    log_tee(file);
    remarks_print(&r);
    rewind(file);
    assert_true(fread(printed, 1, sizeof printed - 1, file) > 0);
    fclose(file);
    file = tmpfile();
    assert_non_null(file);
    log_tee(file);
    remarks_print_json(list);
    log_tee(NULL);
    rewind(file);
    assert_true(fread(again, 1, sizeof again - 1, file) > 0);
    fclose(file);
    assert_non_null(strstr(printed, "b.jpg of a.jpg; look at 1\n"));
    assert_string_equal(printed, again);
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_remark_counts_and_names_the_first, clear),
        cmocka_unit_test_setup(names_cannot_write_to_the_terminal, clear),
        cmocka_unit_test_setup(json_has_what_is_printed, clear),
    };

    log_begin("test", LOG_INFO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
