/* test_safetensors.c - round trips, and files that lie.
 * SPDX-License-Identifier: MIT */
#include "tensorfile/safetensors.h"

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
    snprintf(folder, sizeof folder, "/tmp/test_safetensors.XXXXXX");
    return mkdtemp(folder) ? path_format(file, &err, "%s/a.safetensors", folder) : -1;
}

static int end(void **state)
{
    struct err err = {0};

    (void)state;
    return path_remove_tree(folder, &err);
}

static void write_two(void)
{
    static const uint64_t shape[] = {2, 3}, one[] = {1};
    const float values[6] = {1, -2, 0.5f, 3e-40f, INFINITY, 65504};
    const int64_t count = 1234567890123;
    struct safetensors_writer *w;
    struct err err = {0};

    if (safetensors_create(&w, file, &err) < 0 ||
        safetensors_declare(w, "n", ST_I64, 0, NULL, &err) < 0 ||
        safetensors_declare(w, "a \"quoted\" name", ST_F32, 2, shape, &err) < 0 ||
        safetensors_declare(w, "h", ST_F16, 1, one, &err) < 0 ||
        safetensors_note(w, "format", "pt", &err) < 0 ||
        safetensors_write(w, &count, sizeof count, &err) < 0 ||
        safetensors_write(w, values, 3 * sizeof *values, &err) < 0 ||
        safetensors_write(w, values + 3, 3 * sizeof *values, &err) < 0 ||
        safetensors_write(w, &(uint16_t){0x3c00}, 2, &err) < 0 || safetensors_finish(w, &err) < 0)
        fail_msg("%s", err.msg);
}

static void round_trip(void **state)
{
    const struct st_tensor *t;
    struct safetensors *s;
    struct err err = {0};
    float values[6], half;
    int64_t count;
    char *bytes;
    size_t size;

    (void)state;
    write_two();
    if (safetensors_open(&s, file, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(safetensors_count(s), 3);
    assert_string_equal(safetensors_metadata(s, "format"), "pt");
    assert_null(safetensors_metadata(s, "other"));
    assert_null(safetensors_find(s, "none"));
    t = safetensors_find(s, "a \"quoted\" name");
    assert_non_null(t);
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(t->dims[1], 3);
    assert_int_equal(t->offset % 4, 0);
    assert_int_equal(safetensors_read_f32(s, t, values, &err), 0);
    assert_true(values[1] == -2 && values[3] == 3e-40f && isinf(values[4]) && values[5] == 65504);
    assert_true(safetensors_read_i64(s, t, &count, &err) < 0);
    t = safetensors_tensor(s, 0);
    assert_string_equal(t->name, "n");
    assert_int_equal(t->n_dims, 0);
    assert_int_equal(safetensors_read_i64(s, t, &count, &err), 0);
    assert_true(count == 1234567890123);
    assert_true(safetensors_read_f32(s, t, values, &err) < 0);
    assert_int_equal(err.kind, ERR_FORMAT);
    assert_int_equal(safetensors_read_f32(s, safetensors_find(s, "h"), &half, &err), 0);
    assert_true(half == 1);
    safetensors_close(s);
    assert_int_equal(path_read(&bytes, &size, file, 1 << 20, &err), 0);
    assert_int_equal(bytes[0] % 8, 0); /* the header is padded */
    free(bytes);
}

/* Not path_write(): its fsync takes its time. */
static void put_bytes(const char *bytes, size_t size)
{
    FILE *f = fopen(file, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

/* A file of this header and N zero bytes of data. */
static void put_header(const char *header, size_t n)
{
    uint64_t size = strlen(header);
    char *bytes = calloc(1, 8 + size + n);

    assert_non_null(bytes);
    memcpy(bytes, &size, 8);
    memcpy(bytes + 8, header, size);
    put_bytes(bytes, 8 + size + n);
    free(bytes);
}

static void refused(const char *says)
{
    struct safetensors *s;
    struct err err = {0};

    if (safetensors_open(&s, file, &err) == 0)
        fail_msg("taken, expected \"%s\"", says);
    assert_null(s);
    assert_int_equal(err.kind, ERR_FORMAT);
    if (!strstr(err.msg, says) || !strstr(err.msg, file))
        fail_msg("expected \"%s\" in: %s", says, err.msg);
}

static void lies_are_refused(void **state)
{
    static const struct {
        const char *header;
        size_t n;
        const char *says;
    } bad[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7, "truncated"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9, "no tensor"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, "need 12"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "rising"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8, "rising"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8, "rising"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "cannot be"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8, "cannot be"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}", 0,
         "cannot be"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
         "at most 8"},
        {"{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "F33"},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "dtype"},
        {"{\"a\":3}", 0, "object"},
        {"[]", 0, "object"},
        {"{\"a\":", 0, "header"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "__metadata__"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
         3, "overlaps"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}",
         3, "hole"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
         2, "duplicate"},
    };
    struct safetensors *s;
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_header(bad[i].header, bad[i].n);
        refused(bad[i].says);
    }
    /* the control: the same header, told truly */
    put_header(bad[0].header, 8);
    assert_int_equal(safetensors_open(&s, file, &err), 0);
    safetensors_close(s);
    put_header("{}  ", 0); /* nothing in it is fine */
    assert_int_equal(safetensors_open(&s, file, &err), 0);
    assert_int_equal(safetensors_count(s), 0);
    safetensors_close(s);
}

static void truncation_is_refused_at_every_byte(void **state)
{
    struct err err = {0};
    char *bytes;
    size_t size;

    (void)state;
    write_two();
    assert_int_equal(path_read(&bytes, &size, file, 1 << 20, &err), 0);
    for (size_t n = 0; n < size; n++) {
        put_bytes(bytes, n);
        refused("");
    }
    bytes[7] = 1; /* a header of 2^56 bytes */
    put_bytes(bytes, size);
    refused("header");
    free(bytes);
}

/* Random damage is refused or harmless: whatever opens reads within its bounds (run under ASan). */
static void random_damage_does_no_harm(void **state)
{
    struct rng r = rng_begin(1, RNG_TEST, 0, 0);
    struct err err = {0};
    char *bytes, *copy;
    size_t size;
    int opened = 0;

    (void)state;
    write_two();
    assert_int_equal(path_read(&bytes, &size, file, 1 << 20, &err), 0);
    copy = malloc(size);
    assert_non_null(copy);
    for (int round = 0; round < 2000; round++) {
        struct safetensors *s;

        memcpy(copy, bytes, size);
        for (uint32_t k = rng_below(&r, 4) + 1; k > 0; k--)
            copy[rng_below(&r, (uint32_t)size)] = (char)rng_u32(&r);
        put_bytes(copy, size);
        if (safetensors_open(&s, file, &err) < 0)
            continue;
        opened++;
        for (size_t i = 0; i < safetensors_count(s); i++) {
            const struct st_tensor *t = safetensors_tensor(s, i);
            float *room = malloc(2 * t->bytes + 1);
            int64_t *integers = malloc(t->bytes + 1);

            assert_true(room && integers && t->bytes <= size);
            if (safetensors_read_f32(s, t, room, &err) < 0)
                assert_int_equal(err.kind, ERR_FORMAT);
            if (safetensors_read_i64(s, t, integers, &err) < 0)
                assert_int_equal(err.kind, ERR_FORMAT);
            free(room);
            free(integers);
        }
        safetensors_close(s);
    }
    assert_true(opened > 0 && opened < 2000);
    free(bytes);
    free(copy);
}

static void halves_widen_exactly(void **state)
{
    static const struct {
        uint16_t half;
        float f16;
    } values[] = {{0x0000, 0},        {0x3c00, 1},          {0xc000, -2},
                  {0x7bff, 65504},    {0x0001, 0x1p-24f},   {0x83ff, -0x1.ff8p-15f},
                  {0x0400, 0x1p-14f}, {0x3555, 0x1.554p-2f}};
    static const uint64_t shape[] = {8};
    struct safetensors_writer *w;
    struct safetensors *s;
    struct err err = {0};
    float back[8];

    (void)state;
    if (safetensors_create(&w, file, &err) < 0 ||
        safetensors_declare(w, "h", ST_F16, 1, shape, &err) < 0 ||
        safetensors_declare(w, "b", ST_BF16, 1, shape, &err) < 0)
        fail_msg("%s", err.msg);
    for (int twice = 0; twice < 2; twice++)
        for (int i = 0; i < 8; i++)
            if (safetensors_write(w, &values[i].half, 2, &err) < 0)
                fail_msg("%s", err.msg);
    if (safetensors_finish(w, &err) < 0 || safetensors_open(&s, file, &err) < 0 ||
        safetensors_read_f32(s, safetensors_find(s, "h"), back, &err) < 0)
        fail_msg("%s", err.msg);
    for (int i = 0; i < 8; i++)
        assert_true(back[i] == values[i].f16);
    assert_int_equal(safetensors_read_f32(s, safetensors_find(s, "b"), back, &err), 0);
    assert_true(back[2] == -2 && back[1] == 0x1p-7f);
    safetensors_close(s);
}

static void nothing_is_left_of_an_abort(void **state)
{
    static const uint64_t shape[] = {8};
    struct safetensors_writer *w;
    struct safetensors *s;
    struct err err = {0};
    float zero = 0;

    (void)state;
    write_two();
    if (safetensors_create(&w, file, &err) < 0 ||
        safetensors_declare(w, "x", ST_F32, 1, shape, &err) < 0 ||
        safetensors_write(w, &zero, sizeof zero, &err) < 0)
        fail_msg("%s", err.msg);
    safetensors_abort(w);
    safetensors_abort(NULL);
    assert_int_equal(safetensors_open(&s, file, &err), 0); /* what was there is still there */
    assert_int_equal(safetensors_count(s), 3);
    safetensors_close(s);
    assert_true(safetensors_create(&w, "/nowhere/at/all.safetensors", &err) < 0);
    assert_null(w);
    assert_int_equal(err.kind, ERR_IO);
    assert_true(safetensors_open(&s, "/nowhere/at/all.safetensors", &err) < 0);
    assert_int_equal(err.kind, ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(truncation_is_refused_at_every_byte),
        cmocka_unit_test(random_damage_does_no_harm),
        cmocka_unit_test(halves_widen_exactly),
        cmocka_unit_test(nothing_is_left_of_an_abort),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
