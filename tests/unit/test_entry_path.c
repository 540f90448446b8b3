/* test_entry_path.c - which names inside an archive pass, and which are refused.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "data/entry_path.h"

static void plain_names_pass(void **state)
{
    static const char *const cases[][2] = {
        {"images/a.jpg", "images/a.jpg"},
        {"./images/a.jpg", "images/a.jpg"},
        {"images//./a.jpg", "images/a.jpg"},
        {"images/", "images"},
        {"./", ""},
        {".", ""},
        {"", ""},
        {"...", "..."},
        {"..a/b..", "..a/b.."},
        {"a b\\c:d", "a b\\c:d"},
        {"\xC3\xA4/\xE2\x82\xAC/\xF0\x9F\x90\xB1.jpg",
         "\xC3\xA4/\xE2\x82\xAC/\xF0\x9F\x90\xB1.jpg"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[ENTRY_PATH_MAX + 1];
        struct err err = {0};

        assert_int_equal(entry_path_clean(out, cases[i][0], &err), 0);
        assert_string_equal(out, cases[i][1]);
    }
}

static void bad_names_are_refused(void **state)
{
    static const char *const cases[][2] = {
        {"/etc/passwd", "absolute"},
        {"//etc/passwd", "absolute"},
        {"..", ".."},
        {"../x", ".."},
        {"a/../../x", ".."},
        {"a/..", ".."},
        {"./../x", ".."},
        {"a\nb", "control"},
        {"a\x7F", "control"},
        {"a\033[2Jb", "control"},
        {"\xC2\x85", "control"},
        {"\xFF", "UTF-8"},
        {"\xC3", "UTF-8"},
        {"\xC0\xAE\xC0\xAE/x", "UTF-8"}, /* an overlong ".." */
        {"\xED\xA0\x80", "UTF-8"},       /* a surrogate */
        {"\xF4\x90\x80\x80", "UTF-8"},   /* beyond U+10FFFF */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[ENTRY_PATH_MAX + 1];
        struct err err = {0};

        assert_int_equal(entry_path_clean(out, cases[i][0], &err), -1);
        assert_int_equal(err.kind, ERR_UNSAFE);
        assert_non_null(strstr(err.msg, cases[i][1]));
        for (const char *c = err.msg; *c; c++) /* the message itself drives no terminal */
            assert_true((unsigned char)*c >= 0x20 && *c != 0x7F);
    }
}

static void lengths_are_bounded(void **state)
{
    char name[4096], out[ENTRY_PATH_MAX + 1];
    struct err err = {0};
    size_t n = 0;

    (void)state;
    memset(name, 'a', 255);
    name[255] = '\0';
    assert_int_equal(entry_path_clean(out, name, &err), 0);
    name[255] = 'a';
    name[256] = '\0';
    assert_int_equal(entry_path_clean(out, name, &err), -1);

    for (int i = 0; i < 32; i++)
        n += (size_t)snprintf(name + n, sizeof name - n, "%sd", i ? "/" : "");
    assert_int_equal(entry_path_clean(out, name, &err), 0);
    snprintf(name + n, sizeof name - n, "/d");
    assert_int_equal(entry_path_clean(out, name, &err), -1);

    for (n = 0; n < 1023; n++)
        name[n] = n % 128 == 127 ? '/' : 'b';
    name[1023] = '\0';
    assert_int_equal(entry_path_clean(out, name, &err), 0);
    assert_int_equal(strlen(out), 1023);
    name[1023] = 'b';
    name[1024] = '\0';
    assert_int_equal(entry_path_clean(out, name, &err), -1);
}

static void hidden_names_are_known(void **state)
{
    (void)state;
    assert_true(entry_path_is_hidden(".DS_Store"));
    assert_true(entry_path_is_hidden("a/._b.jpg"));
    assert_true(entry_path_is_hidden("a/.git/b"));
    assert_false(entry_path_is_hidden("a/b.jpg"));
    assert_false(entry_path_is_hidden("a./b."));
}

static void quotes_fit(void **state)
{
    char out[400];

    (void)state;
    text_quote(out, sizeof out, "a\tb\xFF\xC3\xA4");
    assert_string_equal(out, "a\\x09b\\xFF\xC3\xA4");
    for (int size = 5; size < 40; size++) {
        memset(out, '#', sizeof out);
        text_quote(out, size, "\xFF\xFF\xFF\xFF\xF0\x9F\x90\xB1 long enough to be cut off");
        assert_true(strlen(out) < (size_t)size);
        assert_int_equal(out[size], '#');
    }
}

static void words_of_a_shell(void **state)
{
    static const char *const cases[][2] = {
        {"data/pets_1.yaml", "data/pets_1.yaml"},
        {"data.set=pets", "data.set=pets"},
        {"", "''"},
        {"my data", "'my data'"},
        {"it's", "'it'\\''s'"},
        {"$(rm)", "'$(rm)'"},
        {"a;b", "'a;b'"},
        {"~", "'~'"},
    };
    char out[64];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        text_shell(out, sizeof out, cases[i][0]);
        assert_string_equal(out, cases[i][1]);
    }
    for (size_t size = 4; size < 40; size++) {
        memset(out, '#', sizeof out);
        text_shell(out, size, "'' '' it's a name that is longer than the room for it");
        assert_true(strlen(out) < size);
        assert_int_equal(out[size], '#');
        assert_int_equal(out[strlen(out) - 1], '\'');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_names_pass),    cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(lengths_are_bounded), cmocka_unit_test(hidden_names_are_known),
        cmocka_unit_test(quotes_fit),          cmocka_unit_test(words_of_a_shell),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
