/* test_augment.c - draws and the composed map, against fastai's values where there are some.
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

static struct augment_options options(void)
{
    struct augment_options o;

    keys_default(&(struct key_table){augment_keys, 0}, 1, KEYS_NEWEST, &o);
    return o;
}

static void apply(const double m[9], double x, double y, double out[2])
{
    double c = m[6] * x + m[7] * y + m[8];

    out[0] = (m[0] * x + m[1] * y + m[2]) / c;
    out[1] = (m[3] * x + m[4] * y + m[5]) / c;
}

static void apply_map(const struct sample_map *map, double j, double i, double out[2])
{
    double m[9];

    for (int k = 0; k < 9; k++)
        m[k] = (double)map->m[k];
    apply(m, j, i, out);
}

static void warp_is_fastais(void **state)
{
    static const double golden[8] = {1, -.0310077, -.1046512, -.0310078,
                                     1, .1531008,  -.1046512, .1531008};
    static const double both[8] = {1, .0869565,  -.2173913, .0869565,
                                   1, -.2173913, -.2173913, -.2173913};
    static const double points[3][4] = {{0, 0, -.1046512, .1531008},
                                        {.5, -.25, .4432603, -.1236015},
                                        {-1, -1, -1.1283096, -.8574337}};
    double m[9], out[2];

    (void)state;
    augment_warp(m, .2, .2);
    for (int i = 0; i < 8; i++)
        near(m[i], both[i], 2e-7);
    augment_warp(m, .1, -.15);
    m[8] = 1;
    for (int i = 0; i < 8; i++)
        near(m[i], golden[i], 2e-7);
    for (int i = 0; i < 3; i++) {
        apply(m, points[i][0], points[i][1], out);
        near(out[0], points[i][2], 5e-7);
        near(out[1], points[i][3], 5e-7);
    }
}

static void affine_is_fastais(void **state)
{
    static const double golden[6] = {-.9180045, -.1208576, .0235750, -.1208576, .9180045, .0479317};
    static const double points[3][4] = {{0, 0, 1.2672852, -.8126220},
                                        {100, 229, .4513581, .2606532},
                                        {459, 459, -.9275748, .8333065}};
    struct augment_draw d = neutral;
    double m[9], out[2];

    (void)state;
    d.flip = -1;
    d.rotate = 7.5;
    d.zoom = 1.08;
    d.zoom_x = .3;
    d.zoom_y = .8;
    augment_matrix(m, &d);
    for (int i = 0; i < 6; i++)
        near(m[i], golden[i], 1e-7);
    d.warp_x = .1;
    d.warp_y = -.15;
    augment_matrix(m, &d);
    for (int i = 0; i < 3; i++) {
        apply(m, -1 + 2 * points[i][0] / 459, -1 + 2 * points[i][1] / 459, out);
        near(out[0], points[i][2], 2e-6);
        near(out[1], points[i][3], 2e-6);
    }
}

/* The outer border of the output lies on the outer border of the crop. */
static void a_crop_lands_where_it_should(void **state)
{
    struct augment_draw d = neutral;
    struct sample_map m;
    double out[2];

    (void)state;
    augment_compose(&m, &d, 460, 460, 460);
    for (int i = 0; i < 9; i++)
        near((double)m.m[i], i % 4 == 0, 1e-6);
    assert_int_equal(m.k, 1);
    assert_int_equal(m.lighting, 0);

    d.scale_area = 0.81;
    d.top = 20;
    d.left = 100;
    augment_compose(&m, &d, 460, 600, 224);
    apply_map(&m, -0.5, -0.5, out);
    near(out[0], 99.5, 1e-3);
    near(out[1], 19.5, 1e-3);
    apply_map(&m, 223.5, 223.5, out);
    near(out[0], 100 + 0.9 * 460 - 0.5, 1e-3);
    near(out[1], 20 + 0.9 * 460 - 0.5, 1e-3);

    d.flip = -1; /* left and right change, top and bottom stay */
    augment_compose(&m, &d, 460, 600, 224);
    apply_map(&m, -0.5, -0.5, out);
    near(out[0], 100 + 0.9 * 460 - 0.5, 1e-3);
    near(out[1], 19.5, 1e-3);
}

static void the_centre_is_whole(void **state)
{
    struct sample_map m;
    double out[2];

    (void)state;
    augment_centre(&m, 460, 601, 224);
    apply_map(&m, -0.5, -0.5, out);
    near(out[0], 69.5, 1e-3); /* (601 - 460) / 2, whole pixels */
    near(out[1], -0.5, 1e-3);
    apply_map(&m, 223.5, 223.5, out);
    near(out[0], 529.5, 1e-3);
    near(out[1], 459.5, 1e-3);
    assert_int_equal(m.k, 2); /* 460 / 224 = 2.05 */
    augment_centre(&m, 230, 201, 201);
    apply_map(&m, 0, 0, out);
    near(out[0], 0, 1e-4);
    near(out[1], 14, 1e-4);
}

static void samples_follow_the_stretch(void **state)
{
    static const struct {
        int height, k;
    } cases[] = {{100, 1}, {224, 1}, {280, 1}, {281, 2}, {460, 2}, {504, 2}, {505, 3}, {2000, 3}};
    struct augment_draw d = neutral;
    struct sample_map m;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        augment_centre(&m, cases[i].height, cases[i].height, 224);
        assert_int_equal(m.k, cases[i].k);
    }
    d.zoom = 2; /* half as many source pixels for one of the output */
    augment_compose(&m, &d, 460, 460, 224);
    assert_int_equal(m.k, 1);
    d.rotate = 45; /* rotation alone stretches nothing */
    augment_compose(&m, &d, 460, 460, 224);
    assert_int_equal(m.k, 1);
}

static void draws_are_distributed_as_fastais(void **state)
{
    enum { N = 40000 };
    struct augment_options o = options();
    double flips = 0, unrotated = 0, unzoomed = 0, unwarped_x = 0, unwarped_y = 0, dull = 0,
           flat = 0;
    double area = 0, rotate = 0, log_contrast = 0, rotate_max = 0;
    struct augment_draw d;

    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        double side;

        augment_draw(&d, &o, 460, 613, 7, 3, i);
        side = sqrt(d.scale_area) * 460;
        assert_true(d.scale_area >= 0.75 && d.scale_area < 1);
        assert_true(d.top >= 0 && d.top <= 460 - side && d.left >= 0 && d.left <= 613 - side);
        assert_true(fabs(d.rotate) <= 10 && d.zoom >= 1 && d.zoom <= 1.1);
        assert_true(fabs(d.warp_x) <= .2 && fabs(d.warp_y) <= .2);
        assert_true(d.brightness >= .4 && d.brightness <= .6);
        assert_true(d.contrast >= .8 && d.contrast <= 1.25);
        flips += d.flip < 0;
        unrotated += d.rotate == 0;
        unzoomed += d.zoom == 1;
        unwarped_x += d.warp_x == 0;
        unwarped_y += d.warp_y == 0;
        dull += d.brightness == 0.5;
        flat += d.contrast == 1;
        area += d.scale_area;
        rotate += d.rotate;
        log_contrast += log(d.contrast);
        rotate_max = fmax(rotate_max, d.rotate);
    }
    /* five standard deviations */
    near(flips / N, 0.5, 0.0125);
    near(unrotated / N, 0.25, 0.011);
    near(unzoomed / N, 0.25, 0.011);
    near(unwarped_x / N, 0.25, 0.011);
    near(unwarped_y / N, 0.25, 0.011);
    near(dull / N, 0.25, 0.011);
    near(flat / N, 0.25, 0.011);
    near(area / N, 0.875, 0.002);
    near(rotate / N, 0, 0.13);
    near(log_contrast / N, 0, 0.003);
    assert_true(rotate_max > 9.9);
}

static bool same(const struct augment_draw *a, const struct augment_draw *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void a_draw_belongs_to_its_place(void **state)
{
    struct augment_options o = options();
    struct augment_draw a, b;

    (void)state;
    augment_draw(&a, &o, 460, 613, 1, 2, 3);
    augment_draw(&b, &o, 460, 613, 1, 2, 3);
    assert_true(same(&a, &b));
    augment_draw(&b, &o, 460, 613, 2, 2, 3);
    assert_false(same(&a, &b));
    augment_draw(&b, &o, 460, 613, 1, 3, 3);
    assert_false(same(&a, &b));
    augment_draw(&b, &o, 460, 613, 1, 2, 4);
    assert_false(same(&a, &b));
}

/* Turning one thing off leaves the other draws where they are. */
static void options_do_not_shift_each_other(void **state)
{
    struct augment_options all = options(), some = options();

    (void)state;
    some.flip = false;
    some.max_warp = 0;
    some.max_rotate = 0;
    for (uint32_t i = 0; i < 50; i++) {
        struct augment_draw a, b;

        augment_draw(&a, &all, 460, 613, 1, 2, i);
        augment_draw(&b, &some, 460, 613, 1, 2, i);
        a.flip = 1;
        a.warp_x = a.warp_y = a.rotate = 0;
        assert_int_equal(b.flip, 1);
        near(b.warp_x, 0, 0);
        near(b.warp_y, 0, 0);
        near(b.rotate, 0, 0);
        b.warp_x = b.warp_y = b.rotate = 0; /* not -0 */
        assert_true(same(&a, &b));
    }
}

static void lighting_is_in_logits(void **state)
{
    struct augment_draw d = neutral;
    struct sample_map m;

    (void)state;
    d.brightness = 0.58;
    d.contrast = 1.2;
    augment_compose(&m, &d, 460, 460, 224);
    assert_int_equal(m.lighting, 1);
    near((double)m.brightness, log(0.58 / 0.42), 1e-7);
    near((double)m.contrast, 1.2, 1e-7);
}

/* Squished, the picture's corners are the output's; padded, they lie in the middle of a square. */
static void all_of_a_picture_is_seen(void **state)
{
    struct augment_options o = {.resize = RESIZE_SQUISH};
    struct sample_map m;
    double out[2];

    (void)state;
    augment_validation(&m, &o, 460, 601, 224);
    apply_map(&m, -0.5, -0.5, out);
    near(out[0], -0.5, 1e-3);
    near(out[1], -0.5, 1e-3);
    apply_map(&m, 223.5, 223.5, out);
    near(out[0], 600.5, 1e-3);
    near(out[1], 459.5, 1e-3);
    assert_int_equal(m.k, 3); /* 601 / 224 = 2.68 */
    o.resize = RESIZE_PAD;
    augment_validation(&m, &o, 460, 601, 224);
    apply_map(&m, -0.5, -0.5, out);
    near(out[0], -0.5, 1e-3);
    near(out[1], -70.5, 1e-3); /* 141 rows more, 70 of them above, as Python's int() */
    apply_map(&m, 223.5, 223.5, out);
    near(out[0], 600.5, 1e-3);
    near(out[1], 530.5, 1e-3);
}

static uint8_t *noise(int height, int width)
{
    uint8_t *pixels = malloc((size_t)height * (size_t)width * 3);

    assert_non_null(pixels);
    for (int i = 0; i < 3 * height * width; i++)
        pixels[i] = (uint8_t)((uint32_t)i * 2654435761u >> 24);
    return pixels;
}

/* A padded picture gives what a picture gives that was padded before, by whole pixels. */
static void padding_is_a_larger_picture(void **state)
{
    enum { H = 14, W = 32, TOP = (W - H) / 2 };
    uint8_t *own = noise(H, W), *large = noise(W, W);

    (void)state;
    for (int pad = PAD_REFLECTION; pad <= PAD_ZEROS; pad++) {
        const struct augment_options o = {.resize = RESIZE_PAD, .pad = pad};
        struct sample_map a, b;
        double off = 0, control = 0;

        for (int y = 0; y < W; y++) {
            const int at = y - TOP < 0 ? TOP - 1 - y : y - TOP < H ? y - TOP : 2 * H - 1 - y + TOP;
            const bool inside = at == y - TOP;

            memcpy(large + 3 * y * W, own + 3 * at * W, 3 * W);
            if (pad == PAD_ZEROS && !inside)
                memset(large + 3 * y * W, 0, 3 * W);
        }
        augment_validation(&a, &o, H, W, W);
        augment_centre(&b, W, W, W);
        for (int i = 0; i < W; i++)
            for (int j = 0; j < W; j++) {
                float x[3], y[3], z[3];

                elem_sample(x, own, H, W, &a, j, i);
                elem_sample(y, large, W, W, &b, j, i);
                a.black = !a.black;
                elem_sample(z, own, H, W, &a, j, i);
                a.black = !a.black;
                off = fmax(off, fabs((double)x[1] - (double)y[1]));
                control = fmax(control, fabs((double)z[1] - (double)y[1]));
            }
        assert_true(off <= 1e-4);
        assert_true(control > 1);
    }
    free(own);
    free(large);
}

/* In training the picture lies anywhere in the square, and the crop anywhere in that; squished, within the picture. */
static void resized_draws_have_their_range(void **state)
{
    struct augment_options o = options();
    double top = 0, most = -1000;
    struct augment_draw d;

    (void)state;
    for (int resize = RESIZE_SQUISH; resize <= RESIZE_PAD; resize++) {
        o.resize = resize;
        for (uint32_t i = 0; i < 5000; i++) {
            double part, side;

            augment_draw(&d, &o, 460, 613, 7, 3, i);
            part = sqrt(d.scale_area);
            side = resize == RESIZE_PAD ? part * 613 : part * 460;
            assert_true(d.left >= 0 && d.left <= 613 * (1 - part));
            if (resize == RESIZE_SQUISH)
                assert_true(d.top >= 0 && d.top <= 460 - side);
            else
                assert_true(d.top >= -153 && d.top <= 613 - side);
            top = fmin(top, d.top);
            most = fmax(most, d.top);
        }
        assert_true(resize == RESIZE_PAD ? top < -140 : top == 0);
        assert_true(most > 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warp_is_fastais),
        cmocka_unit_test(affine_is_fastais),
        cmocka_unit_test(a_crop_lands_where_it_should),
        cmocka_unit_test(the_centre_is_whole),
        cmocka_unit_test(samples_follow_the_stretch),
        cmocka_unit_test(draws_are_distributed_as_fastais),
        cmocka_unit_test(a_draw_belongs_to_its_place),
        cmocka_unit_test(options_do_not_shift_each_other),
        cmocka_unit_test(lighting_is_in_logits),
        cmocka_unit_test(all_of_a_picture_is_seen),
        cmocka_unit_test(padding_is_a_larger_picture),
        cmocka_unit_test(resized_draws_have_their_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
