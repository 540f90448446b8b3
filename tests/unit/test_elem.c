/* test_elem.c - the per-element formulas, against double arithmetic and golden values.
 *
 * Golden values: the reference notes on fastai (lighting, Adam) and Random123's known answers (Philox).
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "backend/elem_sample.h"
#include "base/rng.h"

/* |got - want| in units of want's last place. */
static double ulps(float got, double want)
{
    int e;

    frexp(want, &e);
    return fabs((double)got - want) / ldexp(1.0, e - 24);
}

static void exp_and_log_are_within_one_ulp(void **state)
{
    double worst_exp = 0.0, worst_log = 0.0;

    (void)state;
    for (int i = -87000; i <= 87000; i++) {
        float x = (float)i * 0.001f;
        double u = ulps(elem_expf(x), exp((double)(x < -87.0f ? -87.0f : x > 87.0f ? 87.0f : x)));

        worst_exp = u > worst_exp ? u : worst_exp;
    }
    for (uint32_t b = 0x00800000u; b < 0x7f800000u;
         b += b >= 0x3f000000u && b < 0x40000000u ? 67u : 9973u) {
        double u = elem_float(b) == 1.0f
                       ? 0.0
                       : ulps(elem_logf(elem_float(b)), log((double)elem_float(b)));

        worst_log = u > worst_log ? u : worst_log;
    }
    assert_true(worst_exp <= 1.0 && worst_log <= 1.0);
    assert_true(elem_logf(1.0f) == 0.0f && elem_expf(0.0f) == 1.0f);
    assert_true(isnan(elem_expf(NAN)) && isnan(elem_logf(NAN)) && isnan(elem_logf(INFINITY)));
    assert_true(elem_expf(-1e30f) > 0.0f && isfinite(elem_expf(1e30f)));
}

static void bf16_rounds_to_nearest_even(void **state)
{
    struct rng r = rng_begin(1, RNG_TEST, 0, 0);

    (void)state;
    for (uint32_t b = 0; b < 65536; b++) {
        float x = f32_from_bf16((uint16_t)b);

        assert_true(bf16_from_f32(x) == b || (x != x && bf16_from_f32(x) == (b | 0x40)));
    }
    for (int i = 0; i < 100000; i++) {
        uint32_t u = rng_u32(&r), low = u & 0xffffu, b = u >> 16;
        uint32_t want = b + (low > 0x8000u || (low == 0x8000u && (b & 1u)));

        if (!isnan(elem_float(u)))
            assert_int_equal(bf16_from_f32(elem_float(u)), want & 0xffffu);
    }
    assert_int_equal(bf16_from_f32(elem_float(0x3f808000u)), 0x3f80); /* ties to even, down */
    assert_int_equal(bf16_from_f32(elem_float(0x3f818000u)), 0x3f82); /* and up */
    assert_int_equal(bf16_from_f32(elem_float(0x7f7fffffu)), 0x7f80); /* overflow */
    assert_true(isnan(f32_from_bf16(bf16_from_f32(elem_float(0x7f800001u)))));
    assert_true(isnan(f32_from_bf16(bf16_from_f32(elem_float(0xffffffffu)))));
}

/* Every half precision value, and what lies half way between two. */
static void f16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        float x = f32_from_f16((uint16_t)h);

        if ((h & 0x7fff) > 0x7c00) {
            assert_true(isnan(x) && f16_from_f32(x) == (h | 0x200));
            continue;
        }
        assert_int_equal(f16_from_f32(x), h);
        if ((h & 0x7fff) < 0x7bff) { /* half way to the next: to the even one */
            float next = f32_from_f16((uint16_t)(h + 1)), middle = 0.5f * x + 0.5f * next;

            assert_int_equal(f16_from_f32(middle), h + (h & 1));
            assert_int_equal(f16_from_f32(nextafterf(middle, x)), h);
            assert_int_equal(f16_from_f32(nextafterf(middle, next)), h + 1);
        }
    }
    assert_true(f32_from_f16(0x3c00) == 1.0f && f32_from_f16(0xc000) == -2.0f);
    assert_true(f32_from_f16(0x7bff) == 65504.0f && f32_from_f16(1) == 0x1p-24f);
    assert_int_equal(f16_from_f32(65519.996f), 0x7bff);
    assert_int_equal(f16_from_f32(65520.0f), 0x7c00);
    assert_int_equal(f16_from_f32(-INFINITY), 0xfc00);
    assert_int_equal(f16_from_f32(0x1p-26f), 0);
}

static void lighting_meets_fastai(void **state)
{
    static const float x[] = {0.0f, 0.1f, 0.25f, 0.5f, 0.9f, 1.0f};
    static const double bright[] = {5.86e-9, .0954063, .2827205, .5956393, .9536465, 1.0};
    static const double dark[] = {1.94e-6, .1175334, .2428517, .4358016, .8175089, .9999963};

    (void)state;
    for (int i = 0; i < 6; i++) {
        double a = (double)elem_lighting(x[i], (float)log(.58 / .42), 1.2f);
        double b = (double)elem_lighting(x[i], (float)log(.42 / .58), 0.8f);

        assert_true(fabs(a - bright[i]) <= 1e-3 * bright[i] && fabs(a - bright[i]) <= 2e-7);
        assert_true(fabs(b - dark[i]) <= 1e-3 * dark[i] && fabs(b - dark[i]) <= 2e-7);
    }
    assert_true(fabs((double)elem_sigmoid(elem_logit(0.3f)) - 0.3) < 1e-7);
    assert_true(elem_logit(-1.0f) == elem_logit(0.0f) && elem_logit(2.0f) == elem_logit(1.0f));
}

static void adam_meets_fastai(void **state)
{
    static const double lr[] = {1e-3, 2e-3, 3e-3}, mom[] = {.95, .94, .93}, g[] = {.1, -.2, .3};
    static const double want[] = {.998990099990001, .9997621630, .9987263645};
    float p = 1.0f, m = 0.0f, v = 0.0f;

    (void)state;
    for (uint32_t t = 0; t < 3; t++) {
        adam_elem(adam_constants(lr[t], .01, mom[t], .99, 1e-5, t + 1), (float)g[t], &p, &m, &v);
        assert_true(fabs((double)p - want[t]) < 2e-7);
    }
    p = 1.0f;
    m = v = 0.0f;
    adam_elem(adam_constants(1e-3, 0.0, .95, .99, 1e-5, 1), 0.0f, &p, &m, &v);
    assert_true(p == 1.0f); /* no decay, no gradient: nothing moves */
}

/* tests/data/optimisers.txt, which tests/oracle/optimisers.py wrote: four steps a case. */
static void optimisers_are_torchs(void **state)
{
    FILE *file = fopen("tests/data/optimisers.txt", "r");
    float p[3], m[3], v[3], g[3], want[3];
    double lr, wd, mom;
    int nesterov, n = 0;
    unsigned step;
    char name[8], line[256];

    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#')
            continue;
        assert_int_equal(sscanf(line, "%7s %lf %lf %lf %d %u %f %f %f %f %f %f", name, &lr, &wd,
                                &mom, &nesterov, &step, &g[0], &g[1], &g[2], &want[0], &want[1],
                                &want[2]),
                         12);
        if (step == 1) {
            memcpy(p, (const float[3]){1.0f, -0.5f, 2.0f}, sizeof p);
            memset(m, 0, sizeof m);
            memset(v, 0, sizeof v);
        }
        for (int i = 0; i < 3; i++) {
            if (strcmp(name, "sgd") == 0)
                sgd_elem(sgd_constants(lr, wd, mom, nesterov), g[i], &p[i], &m[i]);
            else
                adam_elem(adam_constants(lr, wd, mom, .99, 1e-5, step), g[i], &p[i], &m[i], &v[i]);
            assert_true(fabsf(p[i] - want[i]) <= 4e-7f * (1 + fabsf(want[i])));
        }
        n++;
    }
    fclose(file);
    assert_int_equal(n, 20);
    memcpy(p, want, sizeof p); /* the control: with and without Nesterov's momentum differ */
    memset(m, 0, sizeof m);
    sgd_elem(sgd_constants(.1, 0, .9, 0), 1.0f, &p[0], &m[0]);
    sgd_elem(sgd_constants(.1, 0, .9, 1), 1.0f, &want[0], &m[1]);
    assert_true(fabsf(p[0] - want[0]) > 0.01f);
}

static void philox_is_base_rngs(void **state)
{
    static const uint32_t zero[4] = {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u};
    uint32_t mine[4], theirs[4];

    (void)state;
    philox_words(mine, 0, 0, 0, 0, 0);
    assert_memory_equal(mine, zero, sizeof zero);
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t seed = 0x9e3779b97f4a7c15u * i;
        struct rng_counter c = {RNG_DROPOUT, i, i * i, i << 20};

        philox_words(mine, seed, c.purpose, c.epoch, c.position, c.draw);
        rng_words(theirs, seed, c);
        assert_memory_equal(mine, theirs, sizeof mine);
    }
}

static void dropout_keeps_the_stated_share(void **state)
{
    int kept = 0;
    const int n = 200000;
    uint32_t words[4];

    (void)state;
    for (int i = 0; i < n / 4; i++) {
        philox_words(words, 7, RNG_DROPOUT, 0, 0, (uint32_t)i);
        for (int k = 0; k < 4; k++) {
            float y = dropout_elem(3.0f, words[k], dropout_threshold(0.25f), dropout_scale(0.25f));

            kept += y != 0.0f;
            assert_true(y == 0.0f || y == 4.0f);
        }
    }
    assert_true(fabs(kept / (double)n - 0.75) < 5.0 * sqrt(.75 * .25 / n));
    assert_true(dropout_elem(3.0f, 0, dropout_threshold(0.0f), dropout_scale(0.0f)) == 3.0f);
}

/* numpy.pad(mode="symmetric") at whole numbers. */
static void reflection_is_about_the_edge(void **state)
{
    static const float x[] = {-2.2f, -1.6f, -1.0f, -.3f, .5f,   1.0f, 1.3f,
                              2.5f,  4.4f,  4.6f,  6.0f, -5.6f, 12.2f};
    static const float want[] = {1.2f, .6f,  0.0f, 0.0f, .5f,  1.0f, 1.3f,
                                 2.5f, 4.0f, 4.0f, 3.0f, 4.0f, 2.2f};

    (void)state;
    for (size_t i = 0; i < sizeof x / sizeof x[0]; i++)
        assert_true(fabsf(elem_reflect(x[i], 5) - want[i]) < 1e-5f);
    assert_true(elem_reflect(NAN, 5) == 0.0f);
    for (int e = -126; e < 128; e++) { /* whatever comes, no place outside */
        float far = elem_reflect(ldexpf(1.37f, e), 7), back = elem_reflect(-ldexpf(1.37f, e), 7);

        assert_true(far >= 0.0f && far <= 6.0f && back >= 0.0f && back <= 6.0f);
    }
    assert_true(elem_reflect(INFINITY, 7) >= 0.0f && elem_reflect(-INFINITY, 7) >= 0.0f);
    assert_true(elem_reflect(0.3f, 1) == 0.0f);
}

static struct sample_map identity(int k)
{
    struct sample_map m = {
        .m = {1, 0, 0, 0, 1, 0, 0, 0, 1}, .k = k, .lighting = 0, .contrast = 1.0f};

    return m;
}

/* Undoes the normalisation: value in [0, 255]. */
static double level(float x, int c)
{
    return ((double)x / (double)imagenet_scale(c) + (double)imagenet_mean(c)) * 255.0;
}

static void sampling_is_bilinear(void **state)
{
    enum { H = 5, W = 7 };
    uint8_t pixels[H * W * 3];
    struct sample_map m = identity(1);
    float rgb[3];

    (void)state;
    for (int i = 0; i < H * W * 3; i++)
        pixels[i] = (uint8_t)(i % 3 * 50 + i / 3 % W * 6 + i / 3 / W * 9); /* linear in x and y */
    for (int i = 0; i < H; i++)
        for (int j = 0; j < W; j++) {
            elem_sample(rgb, pixels, H, W, &m, j, i);
            for (int c = 0; c < 3; c++)
                assert_true(fabs(level(rgb[c], c) - (50 * c + 6 * j + 9 * i)) < 1e-4);
        }
    m.m[2] = 0.25f;
    m.m[5] = 1.5f;
    for (int k = 1; k <= 3; k++) {
        m.k = k;
        elem_sample(rgb, pixels, H, W, &m, 2,
                    1); /* linear: any number of samples gives the centre */
        for (int c = 0; c < 3; c++)
            assert_true(fabs(level(rgb[c], c) - (50 * c + 6 * 2.25 + 9 * 2.5)) < 1e-4);
    }
    m = identity(1);
    m.m[6] = 0.1f; /* x = j / (0.1 j + 1) */
    elem_sample(rgb, pixels, H, W, &m, 5, 0);
    assert_true(fabs(level(rgb[0], 0) - 6 * 5 / 1.5) < 1e-4);
    m = identity(1);
    m.m[2] = -3.0f; /* column 0 stands at -3, which mirrors pixel 2 */
    elem_sample(rgb, pixels, H, W, &m, 0, 0);
    assert_true(fabs(level(rgb[0], 0) - 12) < 1e-4);
}

static void softmax_is_stable(void **state)
{
    const struct loss_k plain = {0, 0, 1};
    const struct loss_target one = {{1, -1}, {1, 0}};
    float logits[3] = {1000.0f, 999.0f, -1000.0f}, prob[3];
    float loss = elem_softmax_loss(prob, NULL, logits, 3, plain, &one);

    (void)state;
    assert_true(fabs((double)loss - log(1.0 + exp(1.0))) < 1e-6);
    assert_true(fabs((double)prob[0] - 1.0 / (1.0 + exp(-1.0))) < 1e-6);
    for (int i = 0; i < 3; i++) { /* must never hide what is not finite */
        float spoilt[3] = {0.0f, 0.0f, 0.0f};

        spoilt[i == 2 ? 0 : 2 - 2 * i] = i == 2 ? INFINITY : NAN;
        assert_true(isnan(elem_softmax_loss(prob, NULL, spoilt, 3, plain, &one)));
        assert_true(
            isnan(elem_softmax_loss(prob, NULL, spoilt, 3, (struct loss_k){.1f, 2, 1}, &one)));
    }
}

/* Cross-entropy, softmax and label smoothing of the worked example in fastai's book. */
static void loss_meets_the_chapter(void **state)
{
    static const float acts[6][2] = {{.673381f, .257619f},    {.468925f, .460666f},
                                     {-2.245713f, -.372657f}, {4.416403f, -1.275994f},
                                     {.923314f, .534702f},    {1.069809f, 1.618714f}};
    static const int targets[6] = {0, 1, 0, 1, 1, 0};
    static const double first[6] = {.602469, .502065, .133188, .996640, .595949, .366118};
    static const double nll[6] = {.506720, .697285, 2.015990, 5.695763, .906213, 1.004798};
    double plain = 0, smooth = 0, focal = 0, focal_wanted = 0;

    (void)state;
    for (int i = 0; i < 6; i++) {
        const struct loss_target t = {{targets[i], -1}, {1, 0}};
        float prob[2];
        double loss =
            (double)elem_softmax_loss(prob, NULL, acts[i], 2, (struct loss_k){0, 0, 1}, &t);

        assert_true(fabs(loss - nll[i]) < 2e-6 && fabs((double)prob[0] - first[i]) < 2e-6);
        plain += loss / 6;
        smooth +=
            (double)elem_softmax_loss(prob, NULL, acts[i], 2, (struct loss_k){.1f, 0, 1}, &t) / 6;
        focal +=
            (double)elem_softmax_loss(prob, NULL, acts[i], 2, (struct loss_k){0, 2, 1}, &t) / 6;
        focal_wanted += pow(1 - exp(-nll[i]), 2) * nll[i] / 6;
    }
    assert_true(fabs(plain - 1.804462) < 1e-6);
    assert_true(fabs(smooth - 1.737000) < 1e-6);
    assert_true(fabs(focal - focal_wanted) < 1e-5);
}

/* The tree over runs is the tree over microbatches; what does not change stays. */
static void sums_over_runs_are_a_tree(void **state)
{
    const float g[7] = {1e8f, 1, -1e8f, 3e-3f, 5, .7f, 2e-5f};
    float level[3 * 2], want = ((g[0] + g[1]) + (g[2] + g[3])) + ((g[4] + g[5]) + g[6]), got = 0;

    (void)state;
    for (int part = 0; part < 7; part++)
        got = elem_grad_sum(g[part], level, 2, part, 7);
    assert_true(got == want);
    assert_true(got != ((((((g[0] + g[1]) + g[2]) + g[3]) + g[4]) + g[5]) + g[6]));
    assert_true(elem_grad_sum(3.0f, level, 2, 0, 1) == 3.0f);
    assert_true(elem_ema(0.1f, 0.1f, 0.3f) == 0.1f && elem_ema(1.0f, 3.0f, 0.5f) == 2.0f);
    assert_true(elem_clip(2.0, 1.0) < 0.5 && elem_clip(0.5, 1.0) == 1.0);
    assert_true(isnan(elem_clip((double)NAN, 1.0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_and_log_are_within_one_ulp),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(f16_rounds_to_nearest_even),
        cmocka_unit_test(lighting_meets_fastai),
        cmocka_unit_test(adam_meets_fastai),
        cmocka_unit_test(optimisers_are_torchs),
        cmocka_unit_test(philox_is_base_rngs),
        cmocka_unit_test(dropout_keeps_the_stated_share),
        cmocka_unit_test(reflection_is_about_the_edge),
        cmocka_unit_test(sampling_is_bilinear),
        cmocka_unit_test(softmax_is_stable),
        cmocka_unit_test(loss_meets_the_chapter),
        cmocka_unit_test(sums_over_runs_are_a_tree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
