/* test_show_batch.c - what is shown is what the network gets, with the normalisation undone.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backend/elem_sample.h"
#include "show_batch.h"

enum { SIZE = 16, PLANE = SIZE * SIZE };

static void every_level_comes_back(void **state)
{
    static float x[3 * PLANE];
    static uint8_t pixels[3 * PLANE];
    const struct sample_map map = {.k = 1};

    (void)state;
    for (int i = 0; i < PLANE; i++) {
        float rgb[3] = {(float)(i % 256), (float)((i + 85) % 256), (float)((i + 170) % 256)};

        elem_finish(rgb, &map);
        for (int c = 0; c < 3; c++)
            x[c * PLANE + i] = rgb[c];
    }
    show_pixels(pixels, x, SIZE);
    for (int i = 0; i < PLANE; i++)
        for (int c = 0; c < 3; c++)
            assert_int_equal(pixels[3 * i + c], (i + 85 * c) % 256);
    for (int i = 0; i < 3 * PLANE; i++) /* stored in bf16: 8 bits of values up to 2.7 */
        x[i] = f32_from_bf16(bf16_from_f32(x[i]));
    show_pixels(pixels, x, SIZE);
    for (int i = 0; i < PLANE; i++)
        for (int c = 0; c < 3; c++)
            assert_in_range(pixels[3 * i + c] + 1, (i + 85 * c) % 256, (i + 85 * c) % 256 + 2);
}

static void what_no_picture_has_is_clamped(void **state)
{
    const float x[3] = {-100, 100, 0};
    uint8_t pixels[3];

    (void)state;
    show_pixels(pixels, x, 1);
    assert_int_equal(pixels[0], 0);
    assert_int_equal(pixels[1], 255);
    assert_int_equal(pixels[2], 104); /* 0.406 * 255 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_comes_back),
        cmocka_unit_test(what_no_picture_has_is_clamped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
