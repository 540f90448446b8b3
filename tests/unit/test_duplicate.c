/* test_duplicate.c - pictures that are there twice: copies, and the same scaled, lighter, mirrored.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/duplicate.h"

enum { H = 96, W = 128, N = 9 };

/* A value of the lattice that a picture is smoothed from. */
static double node(int seed, int x, int y)
{
    const uint32_t h = (uint32_t)(seed * 7919 + x * 104729 + y * 1299709) * 2654435761u;

    return (double)(h >> 24) * 200 / 256;
}

/* A smooth picture of SEED, H x W, scaled by SHIFT (halved each time), MIRRORED, LIGHTER. */
static void draw(struct picture_hash *out, int seed, int shift, bool mirrored, int lighter)
{
    const int h = H >> shift, w = W >> shift;
    uint8_t *p = malloc((size_t)(h * w * 3));

    assert_non_null(p);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const double fx = ((mirrored ? w - 1 - x : x) + 0.5) * 6 / w, fy = (y + 0.5) * 6 / h;
            const int gx = (int)fx, gy = (int)fy;
            const double top =
                node(seed, gx, gy) + (fx - gx) * (node(seed, gx + 1, gy) - node(seed, gx, gy));
            const double low = node(seed, gx, gy + 1) +
                               (fx - gx) * (node(seed, gx + 1, gy + 1) - node(seed, gx, gy + 1));

            memset(p + (y * w + x) * 3, (int)(top + (fy - gy) * (low - top)) + lighter, 3);
        }
    picture_hash(out, p, h, w);
    free(p);
}

static void like_pictures_are_near_and_others_far(void **state)
{
    struct picture_hash a, b, other, flat;
    uint8_t grey[16 * 16 * 3];

    (void)state;
    draw(&a, 1, 0, false, 0);
    draw(&b, 1, 0, false, 0);
    assert_int_equal(picture_distance(&a, &b), 0);
    draw(&b, 1, 1, false, 0);
    assert_true(picture_distance(&a, &b) <= DUPLICATE_DISTANCE);
    draw(&b, 1, 0, false, 40);
    assert_true(picture_distance(&a, &b) <= DUPLICATE_DISTANCE);
    draw(&b, 1, 0, true, 0);
    assert_true(picture_distance(&a, &b) <= DUPLICATE_DISTANCE);
    for (int seed = 2; seed < 6; seed++) { /* control */
        draw(&other, seed, 0, false, 0);
        assert_true(picture_distance(&a, &other) > 2 * DUPLICATE_DISTANCE);
    }
    memset(grey, 100, sizeof grey);
    picture_hash(&flat, grey, 16, 16);
    assert_true(flat.flat && !a.flat);
}

static int same_bytes(void *ctx, uint32_t a, uint32_t b, struct err *err)
{
    const char *text = ctx; /* one letter per file: its content */

    (void)err;
    return text[a] == text[b];
}

static void groups_are_found(void **state)
{
    struct duplicate_item items[N] = {0};
    uint32_t exact[N], near[N];
    char content[] = "abacdefgx";
    struct err err;

    (void)state;
    for (int i = 0; i < N; i++) {
        draw(&items[i].hash, i, 0, false, 0);
        items[i].size = (uint64_t)i;
        items[i].crc32c = (uint32_t)i;
    }
    items[2] = items[0];           /* a copy */
    items[4].size = items[3].size; /* the same size and CRC, other bytes: no copy */
    items[4].crc32c = items[3].crc32c;
    draw(&items[6].hash, 5, 1, true, 3);  /* 5, mirrored and smaller */
    draw(&items[7].hash, 0, 1, false, 5); /* 0, smaller */
    items[8] = items[0];
    items[8].left_out = true;
    assert_int_equal(duplicate_find(exact, near, items, N, same_bytes, content, &err), 0);
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(exact[i], i == 2 ? 0 : i);
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(near[i], i == 2 || i == 7 ? 0 : i == 6 ? 5 : i);
    /* nearly constant pictures are no near duplicates of one another, copies of one are copies */
    items[6].hash.flat = items[5].hash.flat = items[0].hash.flat = items[2].hash.flat = true;
    assert_int_equal(duplicate_find(exact, near, items, N, same_bytes, content, &err), 0);
    assert_int_equal(near[6], 6);
    assert_int_equal(near[2], 0);
    assert_int_equal(near[7], 7);
}

static void a_group_has_a_bound(void **state)
{
    enum { MANY = 3 * DUPLICATE_GROUP_MAX };
    static struct duplicate_item items[MANY];
    static uint32_t exact[MANY], near[MANY], members[MANY];
    static char content[MANY];
    struct err err;

    (void)state;
    for (int i = 0; i < MANY; i++) {
        draw(&items[i].hash, 1, 0, false, i % 3);
        items[i].crc32c = (uint32_t)i;
        content[i] = (char)i;
    }
    assert_int_equal(duplicate_find(exact, near, items, MANY, same_bytes, content, &err), 0);
    for (int i = 0; i < MANY; i++)
        assert_true(++members[near[i]] <= DUPLICATE_GROUP_MAX);
    assert_int_equal(members[0], DUPLICATE_GROUP_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_pictures_are_near_and_others_far),
        cmocka_unit_test(groups_are_found),
        cmocka_unit_test(a_group_has_a_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
