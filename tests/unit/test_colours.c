/* test_colours.c - saturation, hue and random erasing against torchvision (tests/oracle/augmentation.py), and the draws
 * of these and of the vertical flip. SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/elem_sample.h"
#include "data/augment.h"

enum { SIZE = 224 };

static struct augment_options options(void)
{
    struct augment_options o;

    keys_default(&(struct key_table){augment_keys, 0}, 1, KEYS_NEWEST, &o);
    return o;
}

static FILE *recorded(void)
{
    FILE *f = fopen("tests/data/augmentation.txt", "r");

    assert_non_null(f);
    return f;
}

/* How far the colour is from torchvision's, where the hue turns by SIGN times what it should. */
static double colours_off(double sign, int *n)
{
    FILE *f = recorded();
    char line[256];
    double off = 0;

    for (*n = 0; fgets(line, sizeof line, f);) {
        double saturation, hue, in[3], out[3];
        float r, g, b;

        if (sscanf(line, "colour %lf %lf %lf %lf %lf %lf %lf %lf", &saturation, &hue, &in[0],
                   &in[1], &in[2], &out[0], &out[1], &out[2]) != 8)
            continue;
        r = (float)in[0];
        g = (float)in[1];
        b = (float)in[2];
        elem_colour(&r, &g, &b, (float)saturation, (float)(sign * 6 * hue));
        off = fmax(off, fmax(fabs((double)r - out[0]),
                             fmax(fabs((double)g - out[1]), fabs((double)b - out[2]))));
        ++*n;
    }
    fclose(f);
    return off;
}

static void colours_are_torchvisions(void **state)
{
    double off;
    int n;

    (void)state;
    off = colours_off(1, &n);
    assert_int_equal(n, 60);
    if (!(off <= 2e-6))
        fail_msg("%.3g off", off);
    assert_true(colours_off(-1, &n) > 0.1); /* control: the hue turned the other way */
}

static void nothing_changes_where_nothing_should(void **state)
{
    (void)state;
    for (int i = 0; i < 4096; i++) {
        float r = (float)(i & 15) / 15, g = (float)(i >> 4 & 15) / 15, b = (float)(i >> 8) / 15;
        float x = r, y = g, z = b;

        elem_colour(&x, &y, &z, 1.0f, 0.0f);
        assert_true(fabsf(x - r) <= 1e-6f && fabsf(y - g) <= 1e-6f && fabsf(z - b) <= 1e-6f);
    }
}

struct means {
    double area, ratio, height, top, some, inside;
};

static struct means rectangles(const struct augment_options *o, int n)
{
    struct means m = {0};

    for (int i = 0; i < n; i++) {
        struct sample_map map = {0};
        double h, w;

        augment_erase(&map, o, SIZE, 5, 2, (uint32_t)i);
        h = map.erased.bottom - map.erased.top;
        w = map.erased.right - map.erased.left;
        if (h == 0)
            continue;
        m.some++;
        m.inside += map.erased.left >= 0 && map.erased.top >= 0 && map.erased.right <= SIZE &&
                    map.erased.bottom <= SIZE;
        m.area += h * w / SIZE / SIZE;
        m.ratio += log(h / w);
        m.height += h;
        m.top += map.erased.top;
    }
    m.area /= m.some;
    m.ratio /= m.some;
    m.height /= m.some;
    m.top /= m.some;
    return m;
}

/* Five standard errors of torchvision's means, and of these, which are of as many draws. */
static void rectangles_are_torchvisions(void **state)
{
    enum { N = 200000 };
    struct augment_options o = options();
    struct means m;
    FILE *f = recorded();
    char line[256], name[16];
    double mean, error;
    int n = 0;

    (void)state;
    o.erase = 1;
    m = rectangles(&o, N);
    assert_true(m.some == N && m.inside == N);
    while (fgets(line, sizeof line, f)) {
        const struct {
            const char *name;
            double value;
        } all[] = {{"area", m.area}, {"ratio", m.ratio}, {"height", m.height}, {"top", m.top}};

        if (sscanf(line, "rectangle %15s %lf %lf", name, &mean, &error) != 3)
            continue;
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            if (strcmp(name, all[i].name) == 0) {
                if (!(fabs(all[i].value - mean) <= 5 * sqrt(2) * error))
                    fail_msg("%s: %.6f instead of %.6f", name, all[i].value, mean);
                assert_true(fabs(1.02 * all[i].value - mean) > 5 * error || n == 1); /* sharp */
                n++;
            }
    }
    fclose(f);
    assert_int_equal(n, 4);
    o.erase = 0.25;
    m = rectangles(&o, N);
    assert_true(fabs(m.some / N - 0.25) < 0.005);
}

static void draws_have_their_range(void **state)
{
    enum { N = 20000 };
    struct augment_options plain = options(), o = options();
    double turned = 0, saturation = 0, low = 0, high = 0, hue = 0, hue_most = 0;

    (void)state;
    o.vflip = 0.3;
    o.saturation = 1.5;
    o.hue = 0.1;
    for (uint32_t i = 0; i < N; i++) {
        struct augment_draw a, b;

        augment_draw(&a, &plain, 460, 613, 7, 3, i);
        augment_draw(&b, &o, 460, 613, 7, 3, i);
        assert_true(a.upside_down == 0 && a.saturation == 0 && a.hue == 0);
        turned += b.upside_down;
        saturation += b.saturation;
        low = fmin(low, b.saturation);
        high = fmax(high, b.saturation);
        hue += b.hue;
        hue_most = fmax(hue_most, fabs(b.hue));
        a.upside_down = b.upside_down; /* the others stay where they were */
        a.saturation = b.saturation;
        a.hue = b.hue;
        assert_memory_equal(&a, &b, sizeof a);
    }
    assert_true(fabs(turned / N - 0.3) < 0.017);
    assert_true(low >= -1 && low < -0.999 && high <= 1.5 &&
                high > 1.499); /* a factor of 0 to 2.5 */
    assert_true(fabs(saturation / N - 0.25) < 0.026 && fabs(hue / N) < 0.0021);
    assert_true(hue_most <= 0.1 && hue_most > 0.0999);
}

static void a_map_is_turned_and_erased(void **state)
{
    struct augment_options o = options();
    struct sample_map plain, turned;
    float rgb[3] = {1, 1, 1};
    static uint8_t pixels[SIZE * SIZE * 3];

    (void)state;
    o.p_affine = 0;
    augment_training(&plain, &o, SIZE, SIZE, SIZE, 1, 2, 3, 0);
    assert_true(plain.colour == 0 && plain.erased.right == 0);
    o.vflip = 1;
    o.hue = 0.2;
    o.erase = 1;
    augment_training(&turned, &o, SIZE, SIZE, SIZE, 1, 2, 3, 0);
    /* rows from below: row 0 is what row SIZE - 1 was */
    assert_true(fabsf(turned.m[5] - (plain.m[5] + plain.m[4] * (SIZE - 1))) < 1e-3f);
    assert_true(fabsf(turned.m[4] + plain.m[4]) < 1e-6f && fabsf(turned.m[0] - plain.m[0]) < 1e-6f);
    assert_int_equal(turned.colour, 1);
    elem_sample(rgb, pixels, SIZE, SIZE, &turned, turned.erased.left, turned.erased.top);
    assert_true(rgb[0] == 0 && rgb[1] == 0 && rgb[2] == 0);
    elem_sample(rgb, pixels, SIZE, SIZE, &turned, turned.erased.right - 1,
                turned.erased.bottom - 1);
    assert_true(rgb[0] == 0 && rgb[1] == 0 && rgb[2] == 0);
    elem_sample(rgb, pixels, SIZE, SIZE, &turned, turned.erased.left, turned.erased.bottom);
    assert_true(rgb[0] < -1); /* control: black */
    augment_tta(&turned, &o, SIZE, SIZE, SIZE, 1, 0, 77);
    assert_int_equal(turned.erased.right, 0); /* no round of test-time augmentation erases */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colours_are_torchvisions),
        cmocka_unit_test(nothing_changes_where_nothing_should),
        cmocka_unit_test(rectangles_are_torchvisions),
        cmocka_unit_test(draws_have_their_range),
        cmocka_unit_test(a_map_is_turned_and_erased),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
