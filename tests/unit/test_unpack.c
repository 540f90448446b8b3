/* test_unpack.c - crafted archives: what must be refused is, what is cut off is noticed, a full disk
 * is told. Wraps:
 * wrap: write
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/path.h"
#include "data/manifest.h"
#include "unpack.h"
#include "unpacked.h"

/* --- writes that fail: the N-th from now, with ERROR; 0: none --- */

static int fail_at, fail_with;
ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    if (fail_at > 0 && --fail_at == 0) {
        errno = fail_with;
        return -1;
    }
    return __real_write(fd, data, size);
}

/* --- archives made here --- */

struct item {
    const char *path;
    unsigned type; /* AE_IFREG, ... */
    const char *symlink, *hardlink;
    const char *text;
};

static void pack(const char *format, const char *filter, const struct item *items, size_t n)
{
    struct archive *a = archive_write_new();

    assert_int_equal(archive_write_set_format_by_name(a, format), ARCHIVE_OK);
    if (filter)
        assert_int_equal(archive_write_add_filter_by_name(a, filter), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, file), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        struct archive_entry *e = archive_entry_new();
        const char *text = items[i].text ? items[i].text : "";

        archive_entry_set_pathname(e, items[i].path);
        archive_entry_set_filetype(e, items[i].type);
        archive_entry_set_perm(e, 0777);
        archive_entry_set_size(e, (la_int64_t)strlen(text));
        if (items[i].symlink)
            archive_entry_set_symlink(e, items[i].symlink);
        if (items[i].hardlink)
            archive_entry_set_hardlink(e, items[i].hardlink);
        assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
        archive_write_data(a, text, strlen(text));
        archive_entry_free(e);
    }
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

static const struct item good[] = {
    {"./top/", AE_IFDIR, NULL, NULL, NULL},
    {"./top/b/2.jpg", AE_IFREG, NULL, NULL, "two"},
    {"./top/a/1.jpg", AE_IFREG, NULL, NULL, "one"},
    {"./top/a/._1.jpg", AE_IFREG, NULL, NULL, "apple"},
    {"./top/.git/x", AE_IFREG, NULL, NULL, "git"},
    {"./top/empty", AE_IFREG, NULL, NULL, NULL},
};
enum { N_GOOD = sizeof good / sizeof good[0] };

static void good_archives_pass_in_every_format(void **state)
{
    static const char *const formats[][2] = {{"ustar", NULL},   {"pax", NULL},    {"gnutar", NULL},
                                             {"ustar", "gzip"}, {"pax", "bzip2"}, {"pax", "xz"},
                                             {"pax", "zstd"},   {"zip", NULL},    {"v7tar", NULL}};
    char hex[SHA256_HEX];

    (void)state;
    sha256_of("one", 3, hex);
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        struct manifest m = {0};
        struct unpack_report r;
        struct err err = {0};
        char path[PATH_LEN];

        pack(formats[i][0], formats[i][1], good, N_GOOD);
        if (unpack_file(&m, &r, &err) < 0)
            fail_msg("%s: %s", formats[i][0], err.msg);
        assert_int_equal(manifest_sort(&m, &err), 0);
        assert_int_equal(m.n_files, 3);
        assert_int_equal(r.remarks->of[REMARK_HIDDEN_ENTRIES].n, 2);
        assert_string_equal(r.remarks->of[REMARK_HIDDEN_ENTRIES].example[0], "top/a/._1.jpg");
        assert_int_equal(r.bytes, 14);
        assert_string_equal(m.files[0].path, "top/a/1.jpg");
        assert_string_equal(m.files[0].sha256, hex);
        assert_string_equal(m.files[2].path, "top/empty");
        assert_int_equal(m.files[2].size, 0);
        snprintf(path, sizeof path, "%.200s/top/.git", folder);
        assert_false(path_exists(path));
        manifest_free(&m);
    }
}

/* libarchive composes a pax tar's names: two folders would become one without a word. */
static void folders_of_two_unicode_forms_are_refused(void **state)
{
    static const struct item items[2][3] = {
        {{"B\xc3\xa4r", AE_IFDIR, NULL, NULL, NULL},
         {"B\xc3\xa4r/1.jpg", AE_IFREG, NULL, NULL, "one"},
         {"B\xc3\xa4r/2.jpg", AE_IFREG, NULL, NULL, "two"}},
        {{"B\xc3\xa4r", AE_IFDIR, NULL, NULL, NULL},
         {"B\xc3\xa4r/1.jpg", AE_IFREG, NULL, NULL, "one"},
         {"Ba\xcc\x88r/2.jpg", AE_IFREG, NULL, NULL, "two"}},
    };
    static const char *const filters[] = {NULL, "gzip", "zstd"};
    const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);

    (void)state;
    assert_true(utf8 != (locale_t)0);
    for (int i = 0; i < 6; i++) {
        struct manifest m = {0};
        struct unpack_report r;
        struct err err = {0};
        const locale_t before = uselocale(utf8);

        pack("pax", filters[i / 2], items[i % 2], 3);
        uselocale(before);
        assert_int_equal(unpack_file(&m, &r, &err), i % 2 ? -1 : 0);
        assert_int_equal(err.kind, i % 2 ? ERR_UNSAFE : ERR_NONE);
        assert_true(i % 2 == 0 || strstr(err.msg, "in Unicode form"));
        manifest_free(&m);
    }
    freelocale(utf8);
}

/* Archives of one bad entry behind a good one, in each format that can hold it. */
static void unsafe_entries_are_refused(void **state)
{
    static const struct {
        struct item item;
        const char *says;
    } cases[] = {
        {{"../x", AE_IFREG, NULL, NULL, "bad"}, "\"..\""},
        {{"a/../../x", AE_IFREG, NULL, NULL, "bad"}, "\"..\""},
        {{"/tmp/presize-x", AE_IFREG, NULL, NULL, "bad"}, "absolute"},
        {{"a\nb", AE_IFREG, NULL, NULL, "bad"}, "control"},
        {{"l", AE_IFLNK, "/etc/passwd", NULL, NULL}, "symbolic link"},
        {{".l", AE_IFLNK, "/etc/passwd", NULL, NULL}, "symbolic link"},
        {{"h", AE_IFREG, NULL, "first.jpg", NULL}, "hard link"},
        {{"p", AE_IFIFO, NULL, NULL, NULL}, "pipe"},
        {{"c", AE_IFCHR, NULL, NULL, NULL}, "device"},
        {{"b", AE_IFBLK, NULL, NULL, NULL}, "device"},
        {{"first.jpg", AE_IFREG, NULL, NULL, "bad"}, "twice"},
        {{"./first.jpg", AE_IFREG, NULL, NULL, "bad"}, "twice"},
        {{"first.jpg/x", AE_IFREG, NULL, NULL, "bad"}, "file and folder"},
        {{"folder", AE_IFREG, NULL, NULL, "bad"}, "file and folder"},
        {{"FIRST.jpg", AE_IFREG, NULL, NULL, "bad"}, "case"},
    };
    static const struct item first = {"first.jpg", AE_IFREG, NULL, NULL, "good"},
                             second = {"folder/x", AE_IFREG, NULL, NULL, "good"};

    (void)state;
    for (size_t k = 0; k < 2 * (sizeof cases / sizeof cases[0]); k++) {
        const size_t i = k / 2;
        struct item items[3] = {first, second, cases[i].item};
        struct manifest m = {0};
        struct unpack_report r;
        struct err err = {0};
        const bool zip = k % 2 == 1;
        int rc;

        if (zip && (cases[i].item.hardlink ||
                    (cases[i].item.type != AE_IFREG && cases[i].item.type != AE_IFLNK)))
            continue;
        pack(zip ? "zip" : "pax", zip ? NULL : "gzip", items, 3);
        rc = unpack_file(&m, &r, &err);
        if (rc == 0)
            rc = manifest_sort(&m, &err);
        if (rc == 0)
            fail_msg("%s passed", cases[i].item.path);
        assert_int_equal(err.kind, ERR_UNSAFE);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("%s: \"%s\" lacks \"%s\"", cases[i].item.path, err.msg, cases[i].says);
        assert_false(path_exists("/tmp/presize-x"));
        manifest_free(&m);
    }
}

/* The file cut after each of its bytes; of a zip, its directory, without which a link would be a file, ends it. */
static void every_cut_is_noticed(void **state)
{
    static const struct {
        const char *format, *filter;
        size_t step;
    } cases[] = {{"ustar", NULL, 97}, {"ustar", "gzip", 1}, {"pax", "xz", 1}, {"zip", NULL, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *bytes;
        size_t size, whole;
        struct err err = {0};

        pack(cases[i].format, cases[i].filter, good, N_GOOD);
        assert_int_equal(path_read(&bytes, &size, file, 1 << 20, &err), 0);
        whole = size;
        if (!cases[i].filter && strcmp(cases[i].format, "ustar") == 0)
            while (whole > 0 &&
                   bytes[whole - 1] == 0) /* the last file is empty: its header's end */
                whole--;
        for (size_t n = whole - 1; n >= cases[i].step; n -= cases[i].step) {
            struct manifest m = {0};
            struct unpack_report r;
            int rc;

            assert_int_equal(truncate(file, (off_t)n), 0);
            rc = unpack_file(&m, &r, &err);
            if (rc == 0)
                fail_msg("%s %s cut at %zu of %zu passed", cases[i].format,
                         cases[i].filter ? cases[i].filter : "", n, size);
            assert_int_equal(err.kind, ERR_FORMAT);
            manifest_free(&m);
        }
        free(bytes);
    }
}

static void tar_without_end_mark_is_noticed(void **state)
{
    struct err err = {0};
    char *bytes;
    size_t size;

    (void)state;
    pack("ustar", NULL, good, N_GOOD);
    assert_int_equal(path_read(&bytes, &size, file, 1 << 20, &err), 0);
    for (size_t n = 512; n + 1024 <= size; n += 512) { /* 5 headers and contents, then zeros */
        struct manifest m = {0};
        struct unpack_report r;
        bool zeros = n >= 512 && memcmp(bytes + n - 512, (char[512]){0}, 512) == 0;
        int rc;

        assert_int_equal(path_write(file, bytes, n, &err), 0);
        rc = unpack_file(&m, &r, &err);
        if (!zeros && rc == 0)
            fail_msg("cut at %zu passed", n);
        manifest_free(&m);
    }
    free(bytes);
}

static void what_is_no_archive_is_named(void **state)
{
    static const char *const texts[] = {"", "x", "\xFF\xD8\xFF\xE0 a picture, not an archive",
                                        "\x1F\x8B\x08 gzip it seems, and is not"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct manifest m = {0};
        struct unpack_report r;
        struct err err = {0};

        assert_int_equal(path_write(file, texts[i], strlen(texts[i]), &err), 0);
        assert_int_equal(unpack_file(&m, &r, &err), -1);
        assert_int_equal(err.kind, ERR_FORMAT);
        assert_non_null(strstr(err.msg, file));
        manifest_free(&m);
    }
}

/* --- more than one archive in a file, and other things behind the end --- */

static void append_text(const char *text, size_t size)
{
    FILE *out = fopen(file, "ab");

    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, size, out), size);
    fclose(out);
}

static void joined_archives_are_read_whole(void **state)
{
    static const struct item one[] = {{"cat/1.jpg", AE_IFREG, NULL, NULL, "one"}};
    static const struct item two[] = {{"dog/2.jpg", AE_IFREG, NULL, NULL, "two"}};
    static const char *const filters[] = {NULL, "gzip", "bzip2", "xz", "zstd"};
    char first[PATH_LEN];

    (void)state;
    snprintf(first, sizeof first, "%.100s/first", work);
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        struct manifest m = {0};
        struct unpack_report r;
        struct err err = {0};

        pack("pax", filters[i], one, 1);
        assert_int_equal(rename(file, first), 0);
        pack("ustar", filters[i], two, 1);
        append_file(first, file);
        assert_int_equal(rename(first, file), 0);
        if (unpack_file(&m, &r, &err) < 0)
            fail_msg("%s: %s", filters[i] ? filters[i] : "tar", err.msg);
        assert_int_equal(m.n_files, 2);
        manifest_free(&m);
    }
}

static void what_follows_the_end_is_refused(void **state)
{
    static const struct item one[] = {{"cat/1.jpg", AE_IFREG, NULL, NULL, "one"}};
    static const struct {
        const char *format, *filter, *says;
    } cases[] = {
        {"ustar", NULL, "behind the end mark"},
        {"ustar", "gzip", "follow the compressed data"},
        {"ustar", "bzip2", "follow the compressed"},
        {"ustar", "xz", "damaged"},
        {"zip", NULL, "follow the end of the zip"},
    };
    static char junk[2048];

    (void)state;
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        const bool zeros = i & 1;
        struct manifest m = {0};
        struct unpack_report r;
        struct err err = {0};

        memset(junk, zeros ? 0 : 'x', sizeof junk);
        pack(cases[i / 2].format, cases[i / 2].filter, one, 1);
        append_text(junk, sizeof junk);
        if (zeros) { /* tapes and disks pad with them */
            if (unpack_file(&m, &r, &err) < 0)
                fail_msg("%s: %s", cases[i / 2].says, err.msg);
        } else {
            assert_int_equal(unpack_file(&m, &r, &err), -1);
            assert_int_equal(err.kind, ERR_FORMAT);
            if (!strstr(err.msg, cases[i / 2].says))
                fail_msg("no '%s' in: %s", cases[i / 2].says, err.msg);
        }
        manifest_free(&m);
    }
}

/* A file that is a hole but for its middle, as `tar -S` packs it, and the last of the archive. */
static void sparse_files_are_whole(void **state)
{
    enum { SIZE = 3 << 20, PLACE = 1 << 20 };
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    static char zeros[4096];
    char hex[SHA256_HEX];
    struct sha256 *sha;
    struct manifest m = {0};
    struct unpack_report r;
    struct err err = {0};

    (void)state;
    memcpy(zeros, "data", 4);
    assert_int_equal(archive_write_set_format_by_name(a, "pax"), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, file), ARCHIVE_OK);
    archive_entry_set_pathname(e, "z.bin");
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, SIZE);
    archive_entry_sparse_add_entry(e, PLACE, sizeof zeros);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    for (int at = 0; at < SIZE; at += (int)sizeof zeros) {
        static const char none[sizeof zeros];

        archive_write_data(a, at == PLACE ? zeros : none, sizeof zeros);
    }
    archive_entry_free(e);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
    assert_int_equal(sha256_new(&sha, &err), 0);
    for (int at = 0; at < SIZE; at += (int)sizeof zeros) {
        static const char none[sizeof zeros];

        sha256_update(sha, at == PLACE ? zeros : none, sizeof zeros);
    }
    sha256_hex(sha, hex);
    sha256_free(sha);
    if (unpack_file(&m, &r, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(m.files[0].size, SIZE);
    assert_string_equal(m.files[0].sha256, hex);
    manifest_free(&m);
}

static void two_archives_may_not_have_one_name(void **state)
{
    static const struct item one[] = {{"1.jpg", AE_IFREG, NULL, NULL, "one"}};
    static struct remarks remarks;
    struct unpack_report r = {.remarks = &remarks};
    struct manifest m = {.n_archives = 2};
    struct err err = {0};

    (void)state;
    snprintf(m.archives[0].file, sizeof m.archives[0].file, "train.tar");
    pack("ustar", NULL, one, 1);
    assert_int_equal(path_remove_tree(folder, &err), 0);
    assert_int_equal(path_make_dirs(folder, &err), 0);
    assert_int_equal(unpack(&m, &r, file, folder, NULL, &unpack_limits_default, &err), 0);
    assert_int_equal(unpack(&m, &r, file, folder, NULL, &unpack_limits_default, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_non_null(strstr(err.msg, "a file 1.jpg, this one and train.tar"));
    manifest_free(&m);
}

static void limits_hold(void **state)
{
    static const struct unpack_limits cases[] = {
        {.entries = 5, .file_bytes = 100, .total_bytes = 100, .ratio = 100},
        {.entries = 9, .file_bytes = 2, .total_bytes = 100, .ratio = 100},
        {.entries = 9, .file_bytes = 4, .total_bytes = 100, .ratio = 100}, /* a hidden one has 5 */
        {.entries = 9, .file_bytes = 100, .total_bytes = 13, .ratio = 100},
    };
    struct unpack_limits enough = {.entries = 6, .file_bytes = 5, .total_bytes = 14, .ratio = 0};
    static struct remarks remarks;
    struct unpack_report r = {.remarks = &remarks};
    struct manifest m = {0};
    struct err err = {0};

    (void)state;
    pack("ustar", "gzip", good, N_GOOD);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(path_remove_tree(folder, &err), 0);
        assert_int_equal(path_make_dirs(folder, &err), 0);
        r.n_starts = 0;
        assert_int_equal(unpack(&m, &r, file, folder, NULL, &cases[i], &err), -1);
        assert_int_equal(err.kind, ERR_UNSAFE);
        manifest_free(&m);
    }
    assert_int_equal(path_remove_tree(folder, &err), 0);
    assert_int_equal(path_make_dirs(folder, &err), 0);
    r.n_starts = 0;
    assert_int_equal(unpack(&m, &r, file, folder, NULL, &enough, &err), 0);
    manifest_free(&m);
}

/* 80 MiB of zeros in 80 kB: a ratio of a thousand. */
static void bombs_are_refused(void **state)
{
    size_t size = 80 << 20;
    char *zeros = malloc(size + 1);
    struct item bomb = {"bomb", AE_IFREG, NULL, NULL, zeros};
    struct manifest m = {0};
    struct unpack_report r;
    struct err err = {0};

    (void)state;
    assert_non_null(zeros);
    memset(zeros, '0', size);
    zeros[size] = '\0';
    pack("ustar", "gzip", &bomb, 1);
    free(zeros);
    assert_int_equal(unpack_file(&m, &r, &err), -1);
    assert_int_equal(err.kind, ERR_UNSAFE);
    assert_non_null(strstr(err.msg, "trap"));
    manifest_free(&m);
}

static void a_full_disk_is_told(void **state)
{
    struct err err = {0};

    (void)state;
    pack("ustar", NULL, good, N_GOOD);
    for (int n = 1; n <= 2; n++) {
        struct manifest m = {0};
        struct unpack_report r;

        fail_at = n;
        fail_with = ENOSPC;
        assert_int_equal(unpack_file(&m, &r, &err), -1);
        assert_int_equal(err.kind, ERR_FULL);
        assert_non_null(strstr(err.msg, n == 1 ? "top/b/2.jpg" : "top/a/1.jpg"));
        fail_at = n;
        fail_with = EINTR; /* no failure: tried again */
        manifest_free(&m);
        assert_int_equal(unpack_file(&m, &r, &err), 0);
        manifest_free(&m);
    }
    fail_at = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_archives_pass_in_every_format),
        cmocka_unit_test(folders_of_two_unicode_forms_are_refused),
        cmocka_unit_test(unsafe_entries_are_refused),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(tar_without_end_mark_is_noticed),
        cmocka_unit_test(what_is_no_archive_is_named),
        cmocka_unit_test(joined_archives_are_read_whole),
        cmocka_unit_test(what_follows_the_end_is_refused),
        cmocka_unit_test(sparse_files_are_whole),
        cmocka_unit_test(two_archives_may_not_have_one_name),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(a_full_disk_is_told),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
