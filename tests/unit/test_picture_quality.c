/* test_picture_quality.c - each fault is named where it was made, and nowhere else. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "data/picture_quality.h"

enum { HEIGHT = 96, WIDTH = 120, BYTES = HEIGHT * WIDTH * 3 };

/* Blocks of random brightness, of 1 to 16 px: detail at every size, as photographs have it. LOW to HIGH. */
static void draw(uint8_t *pixels, int low, int high)
{
    for (uint32_t i = 0; i < HEIGHT * WIDTH; i++) {
        const uint32_t y = i / WIDTH, x = i % WIDTH;
        uint64_t sum = 0, weights = 0;

        for (uint32_t shift = 0; shift <= 4; shift++) {
            struct rng r = rng_begin(1, RNG_TEST, shift, (y >> shift) * WIDTH + (x >> shift));

            sum += (rng_u32(&r) & 255) << shift;
            weights += 255u << shift;
        }
        for (int c = 0; c < 3; c++)
            pixels[3 * i + (uint32_t)c] =
                (uint8_t)(low + (int)(sum * (uint64_t)(high - low) / weights));
    }
}

/* ROUNDS means of 3 x 3. */
static void blur(uint8_t *pixels, int rounds)
{
    uint8_t *from = malloc(BYTES);

    assert_non_null(from);
    while (rounds-- > 0) {
        memcpy(from, pixels, BYTES);
        for (int i = 0; i < HEIGHT * WIDTH * 3; i++) {
            const int y = i / (3 * WIDTH), x = i / 3 % WIDTH, c = i % 3;
            int sum = 0;

            for (int v = y - 1; v <= y + 1; v++)
                for (int u = x - 1; u <= x + 1; u++) {
                    const int b = v < 0 ? 0 : v >= HEIGHT ? HEIGHT - 1 : v;
                    const int a = u < 0 ? 0 : u >= WIDTH ? WIDTH - 1 : u;

                    sum += from[(b * WIDTH + a) * 3 + c];
                }
            pixels[i] = (uint8_t)(sum / 9);
        }
    }
    free(from);
}

static void faults_are_named(void **state)
{
    static const struct {
        int low, high, blurs;
        uint32_t original_height, original_width;
        unsigned faults;
    } cases[] = {
        {0, 255, 0, 960, 1200, 0},
        {0, 255, 6, 960, 1200, QUALITY_BLURRED},
        {40, 140, 0, 960, 1200, 0}, /* little contrast is no blur */
        {0, 60, 0, 960, 1200, QUALITY_DARK},
        {246, 255, 0, 960, 1200, QUALITY_LIGHT | QUALITY_CONSTANT},
        {80, 90, 0, 960, 1200, QUALITY_CONSTANT},
        {0, 255, 0, 40, 50, QUALITY_TINY},
        {0, 255, 0, 48, 60, 0},
        {0, 255, 0, 300, 1000, QUALITY_ODD_ASPECT},
        {0, 255, 0, 1000, 300, QUALITY_ODD_ASPECT},
        {0, 255, 0, 300, 800, 0},
    };
    uint8_t *pixels = malloc(BYTES);
    struct quality q;
    struct err err;

    (void)state;
    assert_non_null(pixels);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        draw(pixels, cases[i].low, cases[i].high);
        blur(pixels, cases[i].blurs);
        assert_int_equal(quality_measure(&q, pixels, HEIGHT, WIDTH, cases[i].original_height,
                                         cases[i].original_width, &err),
                         0);
        if (q.faults != cases[i].faults)
            fail_msg("case %zu: faults %#x, not %#x (darkest %g, lightest %g, detail %g)", i,
                     q.faults, cases[i].faults, q.dark_px, q.light_px, q.detail);
    }
    free(pixels);
}

/* No pixel is read that is not there, and none is needed. */
static void small_pictures_have_no_detail_to_judge(void **state)
{
    uint8_t *one = calloc(3, 1);
    struct quality q;
    struct err err;

    (void)state;
    assert_non_null(one);
    assert_int_equal(quality_measure(&q, one, 1, 1, 1, 1, &err), 0);
    assert_int_equal(q.faults, QUALITY_DARK | QUALITY_CONSTANT);
    free(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_are_named),
        cmocka_unit_test(small_pictures_have_no_detail_to_judge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
