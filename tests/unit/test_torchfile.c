/* test_torchfile.c - .pth files that torch wrote, and files that would harm.
 *
 * The files of tests/data are made by tests/oracle/torch_files.py.
 * SPDX-License-Identifier: MIT */
#include "tensorfile/torchfile.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/path.h"
#include "base/rng.h"

static char folder[64], file[PATH_LEN];

static int begin(void **state)
{
    struct err err = {0};

    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test_torchfile.XXXXXX");
    return mkdtemp(folder) ? path_format(file, &err, "%s/a.pth", folder) : -1;
}

static int end(void **state)
{
    struct err err = {0};

    (void)state;
    return path_remove_tree(folder, &err);
}

static const struct st_tensor *find(const struct torchfile *f, const char *name)
{
    for (size_t i = 0; i < torchfile_count(f); i++)
        if (strcmp(torchfile_tensor(f, i)->name, name) == 0)
            return torchfile_tensor(f, i);
    fail_msg("no tensor %s", name);
    return NULL;
}

static const struct st_tensor *read_f32(const struct torchfile *f, const char *name, float *v)
{
    const struct st_tensor *t = find(f, name);
    struct err err = {0};

    if (torchfile_read_f32(f, t, v, &err) < 0)
        fail_msg("%s", err.msg);
    return t;
}

static void reads(const char *path)
{
    const struct st_tensor *t;
    struct torchfile *f;
    struct err err = {0};
    float v[32];
    int64_t count;

    if (torchfile_open(&f, path, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(torchfile_count(f), 8);
    assert_string_equal(torchfile_tensor(f, 0)->name, "conv1.weight");
    t = read_f32(f, "conv1.weight", v);
    assert_true(t->n_dims == 3 && t->dims[0] == 2 && t->dims[1] == 3 && t->dims[2] == 4);
    for (int i = 0; i < 24; i++)
        assert_true(v[i] == (float)i / 8);
    t = read_f32(f, "turned", v); /* (i, j, k) of it is (j, k, i) of the former */
    assert_true(t->dims[0] == 4 && t->dims[1] == 2 && t->dims[2] == 3);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 2; j++)
            for (int k = 0; k < 3; k++)
                assert_true(v[(i * 2 + j) * 3 + k] == (float)(j * 12 + k * 4 + i) / 8);
    t = read_f32(f, "tail", v);
    assert_true(t->n_dims == 1 && t->dims[0] == 4 && v[0] == 2.5f && v[3] == 2.875f);
    t = read_f32(f, "empty", v);
    assert_true(t->n_dims == 2 && t->dims[0] == 0 && t->bytes == 0);
    t = read_f32(f, "half", v);
    assert_true(t->dtype == ST_F16 && v[1] == -2.5f && v[2] == 65504 && v[3] == 0x1p-24f);
    t = read_f32(f, "brain", v);
    assert_true(t->dtype == ST_BF16 && v[1] == -2.5f && fabsf(v[2] / 3e38f - 1) < 0.01f);
    read_f32(f, "parameter", v);
    assert_true(v[0] == 0.5f && v[3] == 0.5f);
    t = find(f, "bn1.num_batches_tracked");
    assert_int_equal(t->n_dims, 0);
    assert_int_equal(torchfile_read_i64(f, t, &count, &err), 0);
    assert_true(count == 1234567890123);
    assert_true(torchfile_read_f32(f, t, v, &err) < 0);
    assert_true(torchfile_read_i64(f, find(f, "half"), &count, &err) < 0);
    torchfile_close(f);
}

static void both_forms_read(void **state)
{
    struct torchfile *f;
    struct err err = {0};
    float v[2];

    (void)state;
    reads("tests/data/torch_zip.pth");
    reads("tests/data/torch_plain.pth");
    if (torchfile_open(&f, "tests/data/torch_inner.pth", &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(torchfile_count(f), 1);
    assert_string_equal(torchfile_tensor(f, 0)->name, "state_dict.a"); /* keys, joined by dots */
    read_f32(f, "state_dict.a", v);
    assert_true(v[1] == 0.125f);
    torchfile_close(f);
    if (torchfile_open(&f, "tests/data/torch_double.pth", &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(torchfile_tensor(f, 0)->dtype, ST_F64);
    torchfile_close(f);
}

static void refused(const char *path, const char *says)
{
    struct torchfile *f;
    struct err err = {0};

    if (torchfile_open(&f, path, &err) == 0)
        fail_msg("%s was taken", path);
    assert_null(f);
    if (!strstr(err.msg, says) || !strstr(err.msg, path))
        fail_msg("expected \"%s\" in: %s", says, err.msg);
}

static void code_is_refused_by_name(void **state)
{
    (void)state;
    refused("tests/data/torch_evil_zip.pth", "posix.system");
    refused("tests/data/torch_evil_plain.pth", "posix.system");
}

static void put_bytes(const char *bytes, size_t size)
{
    FILE *f = fopen(file, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static void others_are_refused(void **state)
{
    struct err err = {0};
    struct torchfile *f;

    (void)state;
    put_bytes("", 0);
    refused(file, "not written by torch.save");
    put_bytes("\x80\x02K\x01.", 5);
    refused(file, "not written by torch.save");
    put_bytes("PK\3\4 and no more", 16);
    refused(file, "zip");
    put_bytes("\x80\x02(((((", 7);
    refused(file, "too early");
    assert_true(torchfile_open(&f, "/nowhere/at/all.pth", &err) < 0);
    assert_int_equal(err.kind, ERR_IO);
}

/* As in a plain file, the pickles that come before the dictionary. */
static const char plain_head[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
                                 "\x80\x02M\xe9\x03."
                                 "\x80\x02}X\x0d\0\0\0little_endian\x88s.";

static void put_pickle(const char *pickle, size_t size)
{
    char *all = malloc(sizeof plain_head - 1 + size);

    assert_non_null(all);
    memcpy(all, plain_head, sizeof plain_head - 1);
    memcpy(all + sizeof plain_head - 1, pickle, size);
    put_bytes(all, sizeof plain_head - 1 + size);
    free(all);
}

#define STORAGE(n)                                                                                 \
    "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"                                             \
    "0X\3\0\0\0cpuK" n "tQ"
#define TENSOR "ctorch._utils\n_rebuild_tensor_v2\n("
#define PUT(text) put_pickle("\x80\x02}X\1\0\0\0a" text "s.", sizeof text + 10)

static void lying_shapes_are_refused(void **state)
{
    (void)state;
    /* 4 numbers: from 0, shape (2, 2), strides (2, 1): reaches the storages, which are missing */
    PUT(TENSOR STORAGE("\4") "K\0K\2K\2\x86K\2K\1\x86\x89)tR");
    refused(file, "too early");
    PUT(TENSOR STORAGE("\4") "K\1K\2K\2\x86K\2K\1\x86\x89)tR");
    refused(file, "beyond its storage");
    PUT(TENSOR STORAGE("\4") "K\0K\2K\2\x86K\3K\1\x86\x89)tR");
    refused(file, "beyond its storage");
    PUT(TENSOR STORAGE("\4") "K\0K\3K\3\x86K\0K\0\x86\x89)tR"); /* 9 out of 4 by strides of 0 */
    refused(file, "beyond its storage");
    PUT(TENSOR STORAGE("\4") "K\0J\xff\xff\xff\x7f\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x86"
                             "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\1\x86\x89)tR");
    refused(file, "beyond its storage");
    PUT(TENSOR STORAGE("\4") "K\0J\xff\xff\xff\xffK\2\x86K\2K\1\x86\x89)tR");
    refused(file, "something else than sizes");
    PUT(TENSOR STORAGE("\4") "K\0K\2\x85K\2K\1\x86\x89)tR");
    refused(file, "differ in length");
    PUT(TENSOR "K\1K\0K\2\x85K\1\x85\x89)tR");
    refused(file, "without storage");
    PUT("K\1");
    refused(file, "no tensors by name");
    PUT("h\7");
    refused(file, "memo");
    PUT("P0\n");
    refused(file, "opcode 0x50");
}

static char *original(const char *path, size_t *size)
{
    struct err err = {0};
    char *bytes;

    if (path_read(&bytes, size, path, 1 << 20, &err) < 0)
        fail_msg("%s", err.msg);
    return bytes;
}

static void truncation_is_refused(void **state)
{
    static const char *const paths[] = {"tests/data/torch_zip.pth", "tests/data/torch_plain.pth"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        size_t size;
        char *bytes = original(paths[i], &size);

        for (size_t n = 0; n < size; n++) {
            struct torchfile *f;
            struct err err = {0};

            put_bytes(bytes, n);
            if (torchfile_open(&f, file, &err) == 0)
                fail_msg("%s: %zu of %zu bytes were taken", paths[i], n, size);
        }
        free(bytes);
    }
}

/* Random damage is refused or harmless (run under ASan). */
static void random_damage_does_no_harm(void **state)
{
    static const char *const paths[] = {"tests/data/torch_zip.pth", "tests/data/torch_plain.pth"};
    struct rng r = rng_begin(1, RNG_TEST, 0, 0);
    int opened = 0;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        size_t size;
        char *bytes = original(paths[round & 1], &size);
        struct torchfile *f;
        struct err err = {0};

        for (uint32_t k = rng_below(&r, 3) + 1; k > 0; k--)
            bytes[rng_below(&r, (uint32_t)size)] = (char)rng_u32(&r);
        put_bytes(bytes, size);
        free(bytes);
        if (torchfile_open(&f, file, &err) < 0)
            continue;
        opened++;
        for (size_t i = 0; i < torchfile_count(f); i++) {
            const struct st_tensor *t = torchfile_tensor(f, i);
            float *room = malloc(2 * t->bytes + 1);
            int64_t *integers = malloc(t->bytes + 1);

            assert_true(room && integers);
            if (torchfile_read_f32(f, t, room, &err) < 0)
                assert_int_equal(err.kind, ERR_FORMAT);
            if (torchfile_read_i64(f, t, integers, &err) < 0)
                assert_int_equal(err.kind, ERR_FORMAT);
            free(room);
            free(integers);
        }
        torchfile_close(f);
    }
    assert_true(opened > 0 && opened < 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_read),       cmocka_unit_test(code_is_refused_by_name),
        cmocka_unit_test(others_are_refused),    cmocka_unit_test(lying_shapes_are_refused),
        cmocka_unit_test(truncation_is_refused), cmocka_unit_test(random_damage_does_no_harm),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
