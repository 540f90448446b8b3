/* test_unpack_zip.c - zips made by hand: what is joined, overlaps, or has names in a code page.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/path.h"
#include "data/manifest.h"
#include "unpack.h"
#include "unpacked.h"

struct zip {
    unsigned char out[4000], directory[4000];
    size_t n, n_directory, entries;
    unsigned long flags; /* of entries: 0x800, the name is UTF-8 */
    /* Of the next entry, in an Info-ZIP Unicode Path Extra Field; NULL: none. */
    const char *unicode;
};

static void put_le(unsigned char *to, size_t *n, unsigned long v, int bytes)
{
    for (int i = 0; i < bytes; i++, v >>= 8)
        to[(*n)++] = (unsigned char)v;
}

/* A stored entry; AT: where its local header is, or SIZE_MAX to write one. */
static size_t zip_add(struct zip *z, const char *name, const char *text, size_t at)
{
    const unsigned long crc = text[0] == '1' ? 0x83dcefb7 : 0x1ad5be0d; /* of "1" and "2" */
    const size_t length = strlen(name), size = strlen(text);
    const size_t unicode = z->unicode ? strlen(z->unicode) : 0;

    if (at == SIZE_MAX) {
        at = z->n;
        put_le(z->out, &z->n, 0x04034b50, 4);
        put_le(z->out, &z->n, 20, 2);
        put_le(z->out, &z->n, z->flags, 2);
        put_le(z->out, &z->n, 0, 6);
        put_le(z->out, &z->n, crc, 4);
        put_le(z->out, &z->n, size, 4);
        put_le(z->out, &z->n, size, 4);
        put_le(z->out, &z->n, length, 4);
        memcpy(z->out + z->n, name, length);
        memcpy(z->out + z->n + length, text, size);
        z->n += length + size;
    }
    put_le(z->directory, &z->n_directory, 0x02014b50, 4);
    put_le(z->directory, &z->n_directory, 20, 2);
    put_le(z->directory, &z->n_directory, 20, 2);
    put_le(z->directory, &z->n_directory, z->flags, 2);
    put_le(z->directory, &z->n_directory, 0, 6);
    put_le(z->directory, &z->n_directory, crc, 4);
    put_le(z->directory, &z->n_directory, size, 4);
    put_le(z->directory, &z->n_directory, size, 4);
    put_le(z->directory, &z->n_directory, length, 2);
    put_le(z->directory, &z->n_directory, unicode ? 9 + unicode : 0, 2);
    put_le(z->directory, &z->n_directory, 0, 8);
    put_le(z->directory, &z->n_directory, 0, 2);
    put_le(z->directory, &z->n_directory, at, 4);
    memcpy(z->directory + z->n_directory, name, length);
    z->n_directory += length;
    if (unicode) {
        put_le(z->directory, &z->n_directory, 0x7075, 2);
        put_le(z->directory, &z->n_directory, 5 + unicode, 2);
        put_le(z->directory, &z->n_directory, 1, 1);
        put_le(z->directory, &z->n_directory, crc32(0, (const Bytef *)name, (uInt)length), 4);
        memcpy(z->directory + z->n_directory, z->unicode, unicode);
        z->n_directory += unicode;
    }
    z->entries++;
    return at;
}

static void zip_write(struct zip *z)
{
    const size_t at = z->n;
    struct err err;

    memcpy(z->out + z->n, z->directory, z->n_directory);
    z->n += z->n_directory;
    put_le(z->out, &z->n, 0x06054b50, 4);
    put_le(z->out, &z->n, 0, 4);
    put_le(z->out, &z->n, z->entries, 2);
    put_le(z->out, &z->n, z->entries, 2);
    put_le(z->out, &z->n, z->n_directory, 4);
    put_le(z->out, &z->n, at, 4);
    put_le(z->out, &z->n, 0, 2);
    assert_int_equal(path_write(file, z->out, z->n, &err), 0);
}

static void zips_give_all_that_they_list(void **state)
{
    struct manifest m = {0};
    struct unpack_report r;
    struct err err = {0};
    struct zip z = {.n = 0};
    char first[PATH_LEN];
    size_t at;

    (void)state;
    zip_add(&z, "a/1.jpg", "1", SIZE_MAX);
    zip_add(&z, "a/2.jpg", "2", SIZE_MAX);
    zip_write(&z);
    if (unpack_file(&m, &r, &err) < 0) /* control */
        fail_msg("%s", err.msg);
    assert_int_equal(m.n_files, 2);
    manifest_free(&m);
    /* joined with another */
    snprintf(first, sizeof first, "%.100s/first", work);
    assert_int_equal(rename(file, first), 0);
    z = (struct zip){.n = 0};
    zip_add(&z, "b/1.jpg", "1", SIZE_MAX);
    zip_write(&z);
    append_file(first, file);
    assert_int_equal(rename(first, file), 0);
    assert_int_equal(unpack_file(&m, &r, &err), -1);
    assert_non_null(strstr(err.msg, "two zips joined"));
    manifest_free(&m);
    /* three names for one place */
    z = (struct zip){.n = 0};
    at = zip_add(&z, "a/1.jpg", "1", SIZE_MAX);
    zip_add(&z, "a/2.jpg", "1", at);
    zip_add(&z, "a/3.jpg", "1", at);
    zip_write(&z);
    assert_int_equal(unpack_file(&m, &r, &err), -1);
    assert_non_null(strstr(err.msg, "lists 3 entries, 1 could be read"));
    manifest_free(&m);
}

static void names_in_a_code_page_can_be_read(void **state)
{
    static const struct {
        const char *name, *charset, *is;
    } cases[] = {{"B\x84r/1.jpg", "CP437", "B\xc3\xa4r/1.jpg"},
                 {"\x94L/1.jpg", "SHIFT_JIS", "\xe7\x8c\xab/1.jpg"}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        static struct remarks remarks;
        struct unpack_report r = {.remarks = &remarks};
        struct manifest m = {0};
        struct err err = {0};
        struct zip z = {.n = 0};

        zip_add(&z, cases[i].name, "1", SIZE_MAX);
        zip_write(&z);
        assert_int_equal(unpack_file(&m, &r, &err), -1);
        assert_non_null(strstr(err.msg, "--names CP437"));
        assert_int_equal(path_remove_tree(folder, &err), 0);
        assert_int_equal(path_make_dirs(folder, &err), 0);
        r = (struct unpack_report){.remarks = &remarks};
        if (unpack(&m, &r, file, folder, cases[i].charset, &unpack_limits_default, &err) < 0)
            fail_msg("%s", err.msg);
        assert_string_equal(m.files[0].path, cases[i].is);
        manifest_free(&m);
        r = (struct unpack_report){.remarks = &remarks};
        assert_int_equal(unpack(&m, &r, file, folder, "no-such", &unpack_limits_default, &err), -1);
        assert_int_equal(err.kind, ERR_INPUT);
        manifest_free(&m);
    }
}

/* libarchive composes UTF-8 names: two folders would become one without a word. */
static void folders_of_two_unicode_forms_are_refused(void **state)
{
    static const char *const second[] = {"B\xc3\xa4r/2.jpg", "Ba\xcc\x88r/2.jpg"};

    (void)state;
    for (int i = 0; i < 4; i++) {
        static struct remarks remarks;
        struct unpack_report r = {.remarks = &remarks};
        struct manifest m = {0};
        struct err err = {0};
        struct zip z = {.flags = i < 2 ? 0x800 : 0};
        static const char first[] = "B\xc3\xa4r/1.jpg";

        z.unicode = i < 2 ? NULL : first;
        zip_add(&z, z.unicode ? "1/1.jpg" : first, "1", SIZE_MAX);
        z.unicode = i < 2 ? NULL : second[i % 2];
        zip_add(&z, z.unicode ? "2/2.jpg" : second[i % 2], "2", SIZE_MAX);
        zip_write(&z);
        assert_int_equal(path_remove_tree(folder, &err), 0);
        assert_int_equal(path_make_dirs(folder, &err), 0);
        assert_int_equal(unpack_file(&m, &r, &err), i % 2 ? -1 : 0);
        if (i % 2) {
            assert_int_equal(err.kind, ERR_UNSAFE);
            assert_non_null(strstr(err.msg, "in Unicode form"));
        }
        manifest_free(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(zips_give_all_that_they_list, begin, end),
        cmocka_unit_test_setup_teardown(names_in_a_code_page_can_be_read, begin, end),
        cmocka_unit_test_setup_teardown(folders_of_two_unicode_forms_are_refused, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
