/* test_err.c - messages and kinds of struct err.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"

static void set_wrap_append_build_one_sentence(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(err_set(&err, ERR_FORMAT, "row %d", 7), -1);
    assert_int_equal(err_wrap(&err, "%s", "a.h5"), -1);
    assert_int_equal(err_append(&err, "; make it anew"), -1);
    assert_string_equal(err.msg, "a.h5: row 7; make it anew");
    assert_int_equal(err.kind, ERR_FORMAT);
    err_set(&err, ERR_INPUT, "was: %s", err.msg); /* an argument inside the target */
    assert_string_equal(err.msg, "was: a.h5: row 7; make it anew");
}

static void errno_chooses_the_kind(void **state)
{
    static const struct {
        int number;
        enum err_kind kind;
    } cases[] = {{ENOENT, ERR_IO},   {EACCES, ERR_IO},  {ENOSPC, ERR_FULL},
                 {EDQUOT, ERR_FULL}, {EFBIG, ERR_FULL}, {ENOMEM, ERR_NOMEM}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {0};

        errno = cases[i].number;
        assert_int_equal(err_errno(&err, "x"), -1);
        assert_int_equal(err.kind, cases[i].kind);
        assert_non_null(strstr(err.msg, strerror(cases[i].number)));
    }
}

static void long_messages_are_cut_not_overrun(void **state)
{
    struct {
        struct err err;
        char guard[16];
    } box = {.guard = "guard guard"};
    char text[5000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    err_set(&box.err, ERR_IO, "%s", text);
    err_wrap(&box.err, "%s", text);
    err_append(&box.err, "%s", text);
    assert_int_equal(strlen(box.err.msg), sizeof box.err.msg - 1);
    assert_string_equal(box.guard, "guard guard");
}

static void no_err_is_fine(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, ERR_IO, "x"), -1);
    assert_int_equal(err_errno(NULL, "x"), -1);
    assert_int_equal(err_wrap(NULL, "x"), -1);
    assert_int_equal(err_append(NULL, "x"), -1);
}

static void a_kind_has_its_status(void **state)
{
    (void)state;
    assert_int_equal(err_status(&(struct err){.kind = ERR_USAGE}), 2);
    assert_int_equal(err_status(&(struct err){.kind = ERR_IO}), 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_wrap_append_build_one_sentence),
        cmocka_unit_test(errno_chooses_the_kind),
        cmocka_unit_test(long_messages_are_cut_not_overrun),
        cmocka_unit_test(no_err_is_fine),
        cmocka_unit_test(a_kind_has_its_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
