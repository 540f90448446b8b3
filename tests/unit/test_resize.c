/* test_resize.c - the resize has Pillow's bits, in every compiled variant and at odd shapes.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/isa.h"
#include "base/rng.h"
#include "image/resize.h"

static const char *const variants[] = {"base", "avx2", "avx512"};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

/* v(c, y, x) = (3 x + 5 y + (x y) / 7 + 31 c) mod 256 */
static uint8_t *synthetic(int h, int w)
{
    uint8_t *p = malloc((size_t)h * (size_t)w * 3);

    assert_non_null(p);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int c = 0; c < 3; c++)
                p[(y * w + x) * 3 + c] = (uint8_t)((3 * x + 5 * y + x * y / 7 + 31 * c) % 256);
    return p;
}

static void use_variant(const char *name)
{
    assert_int_equal(setenv("PRESIZE_ISA", name, 1), 0);
}

/* Made with Pillow 9.4 and equal with 13.0: crop((left, top, ...)).resize((460, 460), BILINEAR). */
static void golden_md5s(void **state)
{
    static const struct {
        int w, h, side, left, top;
        const char *md5;
    } cases[] = {
        {500, 375, 375, 62, 0, "60a234c2d2eef8958e225438ef994730"},
        {500, 281, 281, 109, 0, "daa7c9794e3e1d3cb662645462cc8795"},
        {300, 203, 203, 48, 0, "2dee2b579653030891136500287c13cd"},
        {960, 720, 720, 120, 0, "1819a5514feb180ed7ad2ae68043d6e2"},
        {466, 500, 465, 0, 17, "7e1e0d98094a804f3e198476c44bc507"},
    };
    struct resizer r = {0};
    struct err err = {0};
    uint8_t *out = malloc(460 * 460 * 3);

    (void)state;
    assert_non_null(out);
    for (size_t v = 0; v < VARIANTS; v++) {
        use_variant(variants[v]);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            uint8_t *src = synthetic(cases[i].h, cases[i].w);
            char hex[MD5_HEX];

            assert_int_equal(resize_bilinear(&r, out, 460, 460, src, cases[i].h, cases[i].w,
                                             (struct box){cases[i].left, cases[i].top,
                                                          cases[i].side, cases[i].side},
                                             &err),
                             0);
            md5_of(out, 460 * 460 * 3, hex);
            assert_string_equal(hex, cases[i].md5);
            free(src);
        }
    }
    free(out);
    resizer_free(&r);
}

/* The formula as written in the reference, one pixel at a time: the oracle of the odd shapes. */
static void slow_weights(int in, int out, int i, int *lo, int *n, uint32_t *w)
{
    const double scale = (double)in / out, fs = scale < 1 ? 1 : scale;
    const double center = (i + 0.5) * scale;
    double k[2048], sum = 0;
    int hi = (int)(center + fs + 0.5);

    *lo = (int)(center - fs + 0.5);
    *lo = *lo < 0 ? 0 : *lo;
    hi = hi > in ? in : hi;
    *n = hi - *lo;
    assert_true(*n <= 2048);
    for (int j = 0; j < *n; j++) {
        double x = (j + *lo - center + 0.5) * (1 / fs);

        x = x < 0 ? -x : x;
        k[j] = x < 1 ? 1 - x : 0;
        sum += k[j];
    }
    for (int j = 0; j < *n; j++)
        w[j] = (uint32_t)(0.5 + k[j] / sum * (1 << 22));
}

static void slow_pass(uint8_t *dst, const uint8_t *src, int lines, int in, int out,
                      size_t line_step, size_t in_step, size_t out_line_step)
{
    static uint32_t w[2048];

    for (int i = 0; i < out; i++) {
        int lo, n;

        slow_weights(in, out, i, &lo, &n, w);
        for (int y = 0; y < lines; y++)
            for (size_t c = 0; c < 3; c++) {
                uint32_t acc = 1u << 21;

                for (int j = 0; j < n; j++)
                    acc += w[j] * src[(size_t)y * line_step + (size_t)(lo + j) * in_step + c];
                dst[(size_t)y * out_line_step + (size_t)i * in_step + c] = (uint8_t)(acc >> 22);
            }
    }
}

static void slow_resize(uint8_t *dst, int out_h, int out_w, const uint8_t *src, int h, int w)
{
    const size_t line = (size_t)out_w * 3;
    uint8_t *mid = malloc((size_t)h * line);

    assert_non_null(mid);
    if (out_w == w)
        memcpy(mid, src, (size_t)h * line);
    else
        slow_pass(mid, src, h, w, out_w, (size_t)w * 3, 3, line);
    if (out_h == h) {
        memcpy(dst, mid, (size_t)h * line);
    } else {
        for (int x = 0; x < out_w; x++) { /* a column at a time: pixels are LINE apart */
            static uint8_t in_column[3 * 1024], out_column[3 * 1024];

            for (int y = 0; y < h; y++)
                memcpy(in_column + 3 * y, mid + (size_t)y * line + 3 * x, 3);
            slow_pass(out_column, in_column, 1, h, out_h, 0, 3, 0);
            for (int y = 0; y < out_h; y++)
                memcpy(dst + (size_t)y * line + 3 * x, out_column + 3 * y, 3);
        }
    }
    free(mid);
}

static void fill_random(uint8_t *p, size_t n, uint32_t which, int extreme)
{
    struct rng r = rng_begin(7, RNG_TEST, 0, which);

    for (size_t i = 0; i < n; i++) {
        const uint32_t v = rng_u32(&r);

        p[i] = extreme ? (v & 1 ? 255 : 0) : (uint8_t)(v >> 24);
    }
}

/* Every variant against the formula, guard bytes behind the output, boxes inside larger pictures.
 */
static void odd_shapes(void **state)
{
    static const int shapes[][4] = {
        {1, 1, 1, 1},      {1, 1, 5, 7},        {7, 5, 1, 1},       {15, 17, 31, 33},
        {16, 16, 16, 40},  {64, 21, 64, 22},    {65, 22, 100, 22},  {63, 64, 20, 21},
        {130, 70, 64, 33}, {129, 43, 300, 100}, {5, 300, 9, 71},    {300, 5, 71, 9},
        {900, 3, 10, 2},   {2, 900, 3, 10},     {97, 101, 97, 101},
    };
    struct resizer r = {0};
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const int h = shapes[i][0], w = shapes[i][1], oh = shapes[i][2], ow = shapes[i][3];
        const int left = 3, top = 2, big_w = w + 5, big_h = h + 3;
        const size_t n = (size_t)oh * (size_t)ow * 3;
        uint8_t *big = malloc((size_t)big_w * (size_t)big_h * 3),
                *box = malloc((size_t)w * (size_t)h * 3);
        uint8_t *want = malloc(n), *got = malloc(n + 64);

        assert_true(big && box && want && got);
        fill_random(big, (size_t)big_w * (size_t)big_h * 3, (uint32_t)i, i % 2);
        for (int y = 0; y < h; y++)
            memcpy(box + y * w * 3, big + ((y + top) * big_w + left) * 3, (size_t)w * 3);
        slow_resize(want, oh, ow, box, h, w);
        for (size_t v = 0; v < VARIANTS; v++) {
            use_variant(variants[v]);
            memset(got, 0xa5, n + 64);
            assert_int_equal(resize_bilinear(&r, got, oh, ow, big, big_h, big_w,
                                             (struct box){left, top, w, h}, &err),
                             0);
            assert_memory_equal(got, want, n);
            for (size_t g = n; g < n + 64; g++)
                assert_int_equal(got[g], 0xa5);
        }
        free(big);
        free(box);
        free(want);
        free(got);
    }
    resizer_free(&r);
}

static void presized_shapes(void **state)
{
    static const struct {
        int h, w;
        double aspect;
        struct presize want;
    } cases[] = {
        {375, 500, 2, {{0, 0, 500, 375}, 460, 613}},
        {500, 375, 2, {{0, 0, 375, 500}, 613, 460}},
        {500, 500, 2, {{0, 0, 500, 500}, 460, 460}},
        {100, 200, 2, {{0, 0, 200, 100}, 460, 920}},
        {100, 201, 2, {{0, 0, 200, 100}, 460, 920}},
        {100, 203, 2, {{1, 0, 200, 100}, 460, 920}},
        {900, 101, 1.5, {{0, 374, 101, 151}, 687, 460}},
        {7, 10, 1, {{1, 0, 7, 7}, 460, 460}},
        {1, 1, 2, {{0, 0, 1, 1}, 460, 460}},
        {1, 65500, 2, {{32749, 0, 2, 1}, 460, 920}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct presize p = presize_plan(cases[i].h, cases[i].w, 460, cases[i].aspect);

        assert_memory_equal(&p, &cases[i].want, sizeof p);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_md5s),
        cmocka_unit_test(odd_shapes),
        cmocka_unit_test(presized_shapes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
