/* test_manifest.c - what is written reads back; what is damaged is refused with its line.
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

#include "base/path.h"
#include "data/entry_path.h"
#include "data/manifest.h"

static char file[64];

static int begin(void **state)
{
    int fd;

    (void)state;
    snprintf(file, sizeof file, "/tmp/test_manifest.XXXXXX");
    fd = mkstemp(file);
    return fd < 0 ? -1 : close(fd);
}

static int end(void **state)
{
    (void)state;
    return remove(file);
}

static void fill(struct manifest *m, const char *const *paths, size_t n)
{
    char hex[SHA256_HEX];
    struct err err = {0};

    snprintf(m->source, sizeof m->source, "set");
    snprintf(m->archives[0].file, sizeof m->archives[0].file, "a \"b\".tgz");
    sha256_of("archive", 7, m->archives[0].sha256);
    m->archives[0].size = 7;
    m->n_archives = 1;
    for (size_t i = 0; i < n; i++) {
        sha256_of(paths[i], strlen(paths[i]), hex);
        assert_int_equal(manifest_add(m, paths[i], i, hex, &err), 0);
    }
}

static void round_trip(void **state)
{
    static const char *const paths[] = {"t/b.jpg", "t/a/1.jpg", "t/a.jpg", "t/\xC3\xA4.jpg",
                                        "t/B/1"};
    static const char *const sorted[] = {"B/1", "a.jpg", "a/1.jpg", "b.jpg", "\xC3\xA4.jpg"};
    struct manifest m = {0}, back = {0};
    char top[ENTRY_NAME_MAX + 1];
    struct err err = {0};

    (void)state;
    fill(&m, paths, 5);
    manifest_common_top(&m, top);
    assert_string_equal(top, "t");
    manifest_strip(&m, top);
    manifest_common_top(&m, top);
    assert_string_equal(top, "");
    assert_int_equal(manifest_sort(&m, &err), 0);
    assert_int_equal(manifest_write(&m, file, &err), 0);
    if (manifest_read(&back, file, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(back.n_files, 5);
    assert_string_equal(back.source, "set");
    assert_string_equal(back.archives[0].file, "a \"b\".tgz");
    assert_int_equal(manifest_bytes(&back), 10);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(back.files[i].path, sorted[i]);
        assert_string_equal(back.files[i].sha256, m.files[i].sha256);
        assert_int_equal(back.files[i].size, m.files[i].size);
    }
    manifest_free(&m);
    manifest_free(&back);
}

static void tops_are_found_only_where_all_lie_below(void **state)
{
    static const char *const cases[][3] = {{"a/x", "a/y", "a"}, {"a/x", "ab/y", ""},
                                           {"ab/x", "a/y", ""}, {"a", "a/y", ""},
                                           {"x", "y", ""},      {"a/b/x", "a/b/y", "a"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct manifest m = {0};
        char top[ENTRY_NAME_MAX + 1];

        fill(&m, cases[i], 2);
        manifest_common_top(&m, top);
        assert_string_equal(top, cases[i][2]);
        manifest_free(&m);
    }
}

static void names_that_look_alike_are_refused(void **state)
{
    static const struct {
        const char *paths[2], *says;
    } cases[] = {
        {{"s/IMG.JPG", "s/img.jpg"}, "s/IMG.JPG"},
        {{"s/Cat/1.jpg", "s/cat/2.jpg"}, "\"s/Cat\" and \"s/cat\""},
        {{"caf\xc3\xa9/1", "cafe\xcc\x81/1"}, "Unicode form"},
        {{"a\xe2\x80\x8b/1", "a/2"}, "invisible"},
        {{"\xc3\x84/1", "\xc3\xa4/2"}, "case"},
        {{"s/cat/1.jpg", "s/cat1/1.jpg"}, NULL}, /* controls */
        {{"s/cat/1.jpg", "t/Cat/1.jpg"}, NULL},
        {{"a b/1", "ab/1"}, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct manifest m = {0};
        struct err err = {0};

        fill(&m, cases[i].paths, 2);
        assert_int_equal(manifest_sort(&m, &err), cases[i].says ? -1 : 0);
        if (cases[i].says && (err.kind != ERR_UNSAFE || !strstr(err.msg, cases[i].says)))
            fail_msg("no '%s' in: %s", cases[i].says, err.msg);
        manifest_free(&m);
    }
}

/* Writes the good text with OLD replaced by NEW (or cut before OLD when NEW is NULL), reads it. */
static void expect_refusal(const char *text, const char *old, const char *new, const char *says)
{
    struct manifest m = {0};
    struct err err = {0};
    char changed[8192];
    const char *at = strstr(text, old);

    assert_non_null(at);
    if (new)
        snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, new,
                 at + strlen(old));
    else
        snprintf(changed, sizeof changed, "%.*s", (int)(at - text), text);
    assert_int_equal(path_write(file, changed, strlen(changed), &err), 0);
    assert_int_equal(manifest_read(&m, file, &err), -1);
    assert_int_equal(err.kind, ERR_FORMAT);
    if (!strstr(err.msg, says) || !strstr(err.msg, file))
        fail_msg("\"%s\" lacks \"%s\"", err.msg, says);
    manifest_free(&m);
}

static void damage_is_refused(void **state)
{
    static const char *const paths[] = {"a", "b", "c"};
    struct manifest m = {0};
    struct err err = {0};
    char *text;
    size_t size;

    (void)state;
    fill(&m, paths, 3);
    assert_int_equal(manifest_write(&m, file, &err), 0);
    assert_int_equal(path_read(&text, &size, file, 8000, &err), 0);
    expect_refusal(text, "\"version\": 1", "\"version\": 3", "version 3");
    expect_refusal(text, "presize manifest", "other manifest", "format");
    expect_refusal(text, "\"files\": 3", "\"files\": 4", "ends too early");
    expect_refusal(text, "{\"path\": \"c\"", NULL, "ends too early");
    expect_refusal(text, "{\"format\"", NULL, "the manifest is empty");
    expect_refusal(text, "\"path\": \"c\"", "\"path\": \"a\"", "line 4");
    expect_refusal(text, "\"path\": \"c\"", "\"path\": \"../c\"", "line 4");
    expect_refusal(text, "\"path\": \"c\"", "\"path\": \"/c\"", "line 4");
    expect_refusal(text, "\"path\": \"b\"", "\"path\": 7", "line 3");
    expect_refusal(text, "\"path\": \"b\"", "\"path\": \"b\", \"path\": \"b\"", "line 3");
    expect_refusal(text, "\"size\": 1,", "\"size\": -1,", "\"size\" is -1: expected at least 0");
    expect_refusal(text, "\"size\": 1, \"sha256\": \"", "\"size\": 1, \"sha256\": \"X", "sha256");
    expect_refusal(text, "{\"path\": \"c\"", "{\"path\":  \"c\"", "the SHA-256 of its lines");
    free(text);
    manifest_free(&m);
}

/* Every bit of a manifest, changed once: it is refused. */
static void every_bit_counts(void **state)
{
    static const char *const paths[] = {"a", "b"};
    struct manifest m = {0};
    struct err err = {0};
    char *text, hex[SHA256_HEX];
    size_t size;
    FILE *out;

    (void)state;
    fill(&m, paths, 2);
    snprintf(m.archives[0].file, sizeof m.archives[0].file, "set.tgz");
    memset(m.archives[0].sha256, 'a', SHA256_HEX - 1);
    m.n_archives = 1;
    snprintf(m.source, sizeof m.source, "mine");
    assert_int_equal(manifest_write(&m, file, &err), 0);
    assert_int_equal(path_read(&text, &size, file, 8000, &err), 0);
    for (size_t i = 0; i < 8 * size; i++) {
        struct manifest got = {0};

        text[i / 8] ^= (char)(1 << i % 8);
        out = fopen(file, "wb"); /* path_write() would wait for the disk, some thousand times */
        assert_non_null(out);
        assert_int_equal(fwrite(text, 1, size, out), size);
        assert_int_equal(fclose(out), 0);
        text[i / 8] ^= (char)(1 << i % 8);
        if (manifest_read(&got, file, &err) == 0)
            fail_msg("bit %zu of byte %zu, '%c', was not missed", i % 8, i / 8, text[i / 8]);
        manifest_free(&got);
        if (manifest_sha256(file, hex, &err) == 0)
            fail_msg("the hash alone: bit %zu of byte %zu was not missed", i % 8, i / 8);
    }
    free(text);
    manifest_free(&m);
}

/* What an older fetch wrote has no hash, is read, and has the same name. */
static void without_its_hash_it_is_read(void **state)
{
    static const char old[] = "{\"format\": \"presize manifest\", \"version\": 1, \"source\": "
                              "\"mine\", \"archives\": [], \"files\": 0, \"bytes\": 0}\n";
    char hex[SHA256_HEX], again[SHA256_HEX], *text;
    size_t size;
    struct manifest m = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(path_write(file, old, sizeof old - 1, &err), 0);
    assert_int_equal(manifest_read(&m, file, &err), 0);
    assert_string_equal(m.source, "mine");
    sha256_of(old, sizeof old - 1, hex);
    assert_string_equal(m.sha256, hex);
    assert_int_equal(manifest_write(&m, file, &err), 0);
    assert_int_equal(path_read(&text, &size, file, 1 << 20, &err), 0);
    assert_true(size > sizeof old && strstr(text, "\"sha256\""));
    free(text);
    assert_int_equal(manifest_sha256(file, again, &err), 0);
    assert_string_equal(again, hex);
    manifest_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(names_that_look_alike_are_refused),
        cmocka_unit_test(tops_are_found_only_where_all_lie_below),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(without_its_hash_it_is_read),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
