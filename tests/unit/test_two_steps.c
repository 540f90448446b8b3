/* test_two_steps.c - augment.mode fastai against values that fastai and torch gave.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/elem_sample.h"
#include "data/augment.h"

enum { SIDE = 460, SIZE = 224 };

struct golden {
    int c, y, x;
    double value;
};

static const struct augment_draw neutral = {.scale_area = 1,
                                            .flip = 1,
                                            .zoom = 1,
                                            .zoom_x = 0.5,
                                            .zoom_y = 0.5,
                                            .brightness = 0.5,
                                            .contrast = 1};

static void near(double got, double expected, double tolerance)
{
    if (!(fabs(got - expected) <= tolerance))
        fail_msg("%.9g instead of %.9g", got, expected);
}

/* The reference's picture, (SIDE, SIDE, 3), in the middle of a wider one full of 255. */
static uint8_t *picture(int width, int left)
{
    uint8_t *pixels = malloc((size_t)SIDE * (size_t)width * 3);

    assert_non_null(pixels);
    memset(pixels, 255, (size_t)SIDE * (size_t)width * 3);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int c = 0; c < 3; c++)
                pixels[3 * (y * width + left + x) + c] =
                    (uint8_t)(7 * x + 13 * y + 29 * c + x * y / 17);
    return pixels;
}

/* flip, 7.5 degrees, zoom 1.08 about (.3, .8), warp (.1, -.15) */
static struct augment_draw everything(void)
{
    struct augment_draw d = neutral;

    d.flip = -1;
    d.rotate = 7.5;
    d.zoom = 1.08;
    d.zoom_x = .3;
    d.zoom_y = .8;
    d.warp_x = .1;
    d.warp_y = -.15;
    return d;
}

static void check_output(const uint8_t *pixels, int width, const struct sample_map *map, bool first,
                         int size, double mean, const struct golden *g, int n, double tolerance)
{
    double sum = 0;

    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++) {
            float rgb[3] = {0, 0, 0};

            if (first)
                elem_first_step(rgb, pixels, width, map, j, i);
            else
                elem_two_steps(rgb, pixels, width, map, j, i);
            for (int c = 0; c < 3; c++) {
                sum += (double)rgb[c] / 255;
                for (int k = 0; k < n; k++)
                    if (g[k].c == c && g[k].y == i && g[k].x == j)
                        near((double)rgb[c] / 255, g[k].value, tolerance);
            }
        }
    near(sum / (3.0 * size * size), mean, 1e-6);
}

static void grid_sample_is_torchs(void **state)
{
    static const uint8_t row[15] = {0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4};
    static const float x[8] = {-2.2f, -1.6f, -1.0f, -.3f, .5f, 1.0f, 1.3f, 2.5f};
    static const double corners[8] = {2.4, 1.2, 0, 1.4, 3, 4, 3.4, 1.0};
    static const double edges[8] = {2.5, 1, 0, 1.25, 3.25, 4, 3.75, .75}; /* align_corners False */

    (void)state;
    for (int i = 0; i < 8; i++) {
        float a[3] = {0, 0, 0}, b[3] = {0, 0, 0};

        elem_taps(a, row, 5, 1, 5, elem_reflect_centres((x[i] + 1) / 2 * 4, 5), 0);
        near((double)a[1], corners[i], 2e-6);
        elem_bilinear(b, row, 1, 5, ((x[i] + 1) * 5 - 1) / 2, 0);
        near((double)b[1], edges[i], 2e-6);
    }
    near((double)elem_reflect_centres(-3.0f, 1), 0, 0);
    near((double)elem_reflect_centres(NAN, 5), 0, 0);
    near((double)elem_reflect_centres(8.5f, 5), .5, 0); /* twice reflected */
}

static void the_first_step_is_fastais(void **state)
{
    static const struct golden g[] = {{0, 0, 0, .985125},
                                      {1, 229, 100, .056147},
                                      {2, 459, 459, .656099},
                                      {0, 100, 300, .132071},
                                      {1, 450, 10, .462417}};
    const struct augment_draw d = everything();
    const struct augment_crop whole = {.side = SIDE};
    uint8_t *pixels = picture(SIDE, 0);
    struct sample_map map;

    (void)state;
    augment_two_steps(&map, &d, &whole, SIDE, SIDE, SIZE);
    check_output(pixels, SIDE, &map, true, SIDE, .499889, g, 5, 5e-5);
    free(pixels);
}

static void the_crop_is_fastais(void **state)
{
    static const struct golden g[] = {
        {0, 0, 0, .851072}, {1, 111, 50, .546217}, {2, 223, 223, .301332}};
    const struct augment_crop crop = {.side = 430, .left = 30, .top = 12};
    struct augment_draw d = everything();
    uint8_t *pixels = picture(SIDE, 0);
    struct sample_map map;

    (void)state;
    augment_two_steps(&map, &d, &crop, SIDE, SIDE, SIZE);
    assert_int_equal(map.two.area, 430);
    check_output(pixels, SIDE, &map, false, SIZE, .499879, g, 3, 5e-5);
    free(pixels);
    pixels = picture(700, 77); /* the square that Resize left elsewhere in a wider picture */
    d.left = 77.9;
    augment_two_steps(&map, &d, &crop, SIDE, 700, SIZE);
    check_output(pixels, 700, &map, false, SIZE, .499879, g, 3, 5e-5);
    free(pixels);
}

static void validation_is_fastais(void **state)
{
    static const struct golden g[] = {{0, 0, 0, .039216},
                                      {0, 0, 1, .094241},
                                      {1, 111, 50, .856073},
                                      {2, 223, 223, .352941},
                                      {0, 223, 0, .350000}};
    uint8_t *pixels = picture(SIDE, 0);
    struct sample_map map;

    (void)state;
    augment_validation(&map, &(struct augment_options){.mode = AUGMENT_FASTAI}, SIDE, SIDE, SIZE);
    assert_int_equal(map.two.area, 448);
    check_output(pixels, SIDE, &map, false, SIZE, .499949, g, 5, 2e-5);
    free(pixels);
}

static void the_average_has_torchs_size(void **state)
{
    static const int sides[][2] = {{398, 398}, {448, 448}, {449, 448}, {450, 447},
                                   {454, 447}, {457, 447}, {460, 448}};
    struct sample_map map;

    (void)state;
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
        const struct augment_crop crop = {.side = sides[i][0]};

        augment_two_steps(&map, &neutral, &crop, SIDE, SIDE, SIZE);
        assert_int_equal(map.two.area, sides[i][1]);
    }
}

static void a_crop_belongs_to_its_batch(void **state)
{
    struct augment_options o;
    int smallest = SIDE, largest = 0;
    bool lowest = false, top = false;

    (void)state;
    keys_default(&(struct key_table){augment_keys, 0}, 1, KEYS_NEWEST, &o);
    for (uint32_t first = 0; first < 2000; first++) {
        struct augment_crop a, b;

        augment_crop(&a, &o, SIDE, 1, 2, first);
        augment_crop(&b, &o, SIDE, 1, 2, first);
        assert_memory_equal(&a, &b, sizeof a);
        assert_true(a.top >= 0 && a.left >= 0);
        assert_true(a.top + a.side <= SIDE && a.left + a.side <= SIDE);
        smallest = a.side < smallest ? a.side : smallest;
        largest = a.side > largest ? a.side : largest;
        lowest |= a.side < 450 && a.top + a.side == SIDE;
        top |= a.side < 450 && a.top == 0;
    }
    assert_int_equal(smallest, 398);
    assert_int_equal(largest, 460);
    assert_true(lowest && top);
}

/* The squares move along the long side, over all of it. */
static void resize_moves_along_the_long_side(void **state)
{
    struct augment_options o;
    struct augment_draw d;
    double largest = 0;

    (void)state;
    keys_default(&(struct key_table){augment_keys, 0}, 1, KEYS_NEWEST, &o);
    o.mode = AUGMENT_FASTAI;
    for (uint32_t i = 0; i < 500; i++) {
        augment_draw(&d, &o, SIDE, 700, 1, 2, i);
        near(d.scale_area, 1, 0);
        near(d.top, 0, 0);
        assert_true(d.left >= 0 && d.left < 240);
        largest = fmax(largest, d.left);
    }
    assert_true(largest > 230);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grid_sample_is_torchs),
        cmocka_unit_test(the_first_step_is_fastais),
        cmocka_unit_test(the_crop_is_fastais),
        cmocka_unit_test(validation_is_fastais),
        cmocka_unit_test(the_average_has_torchs_size),
        cmocka_unit_test(a_crop_belongs_to_its_batch),
        cmocka_unit_test(resize_moves_along_the_long_side),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
