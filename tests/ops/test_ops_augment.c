/* test_ops_augment.c - the augmentation kernels give elem_sample()'s bits.
 *
 * Over random maps (inside, turned, warped, far outside, degenerate), every number of samples,
 * sizes that no vector width divides, every variant that this processor has.
 * SPDX-License-Identifier: MIT */
#include "sampled.h"

static void random_maps(void **state)
{
    static const int sizes[] = {1, 2, 15, 16, 17, 33, 64, 255, 257};
    static const int shapes[][2] = {{1, 1}, {1, 9},   {9, 1},   {2, 2},
                                    {3, 5}, {46, 61}, {61, 46}, {91, 60}};
    struct rng r = rng_begin(11, RNG_TEST, 0, 0);
    float *want = malloc(sizeof *want * 3 * 257 * 257),
          *got = malloc(sizeof *got * (3 * 257 * 257 + 1));

    (void)state;
    assert_non_null(want);
    assert_non_null(got);
    for (int round = 0; round < 160; round++) {
        const int *shape = shapes[rng_below(&r, 8)];
        int size = sizes[rng_below(&r, 9)];
        size_t bytes = (size_t)shape[0] * (size_t)shape[1] * 3;
        uint8_t *pixels =
            malloc(bytes); /* exactly that many, so that a sanitiser sees a tap beyond */
        struct picture p = {.pixels = pixels, .height = shape[0], .width = shape[1]};

        assert_non_null(pixels);
        for (size_t i = 0; i < bytes; i++)
            pixels[i] = (uint8_t)rng_u32(&r);
        p.map = random_map(&r, p.height, p.width, size);
        check_picture(&p, size, want, got);
        free(pixels);
    }
    free(want);
    free(got);
}

enum { PLAIN, MIXED_UP, CUT, MIXINGS };

/* Every picture but the last, which is its own partner, gets another one. */
static void set_mixes(struct ops_setup *s, int mixing)
{
    for (int n = 0; n < 5; n++) {
        s->mixes[n] =
            (struct mix){.partner = n == 4 ? 4 : (n + 2) % 4, .share = 0.2f + 0.1f * (float)n};
        if (mixing == CUT)
            s->mixes[n] = (struct mix){s->mixes[n].partner, 0.3f, 2 * n, 3, 2 * n + 9, 23};
    }
    s->step.mixes = mixing == PLAIN ? NULL : s->mixes;
}

/* X (fp32) is what the formula says of the two pictures. */
static void check_mixed(const struct ops_setup *s, const float *x)
{
    for (int n = 0; n < 5; n++)
        for (int i = 0; i < 23; i++)
            for (int j = 0; j < 23; j++) {
                const struct mix *m = &s->mixes[n];
                const struct picture *own = &s->pictures[n], *other = &s->pictures[m->partner];
                bool inside = j >= m->left && j < m->right && i >= m->top && i < m->bottom;
                float a[3], b[3];

                elem_sample(a, own->pixels, 46, 61, &own->map, j, i);
                elem_sample(b, other->pixels, 46, 61, &other->map, j, i);
                for (int c = 0; c < 3; c++) {
                    double got = (double)x[(n * 3 + c) * 23 * 23 + i * 23 + j],
                           share = (double)m->share;
                    double want = m->right == 0 ? (1 - share) * (double)a[c] + share * (double)b[c]
                                  : inside      ? (double)b[c]
                                                : (double)a[c];

                    assert_true(fabs(got - want) <= 1e-6);
                }
            }
}

static void the_op_is_the_kernel(void **state)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};
    struct rng r = rng_begin(12, RNG_TEST, 0, 0);
    uint8_t *pixels = malloc(46 * 61 * 3);

    (void)state;
    assert_non_null(pixels);
    for (int i = 0; i < 46 * 61 * 3; i++)
        pixels[i] = (uint8_t)rng_u32(&r);
    for (int round = 0; round < 3 * MIXINGS; round++) {
        struct ops_case c = {.kind = OP_AUGMENT,
                             .n = 6,
                             .micro = 3,
                             .c = 3,
                             .h = 23,
                             .w = 23,
                             .dtype = types[round % 3]};
        struct ops_setup s = ops_begin(&c, 1);
        struct ops_results ref, got;
        struct err err = {0};

        for (int n = 0; n < c.n; n++) {
            s.pictures[n].pixels = pixels;
            s.pictures[n].height = 46;
            s.pictures[n].width = 61;
            s.pictures[n].map = random_map(&r, 46, 61, 23);
        }
        s.step.n_pictures = 5; /* the sixth is padding: zeros */
        set_mixes(&s, round / 3);
        assert_int_equal(ops_run(&ref_backend, &(struct exec_options){0}, &s, &ref, &err), 0);
        if (s.step.mixes && c.dtype == DTYPE_F32)
            check_mixed(&s, ref.out[0]);
        for (int d = 0; d < N_DEVICES; d++) {
            const struct backend *k = ops_backend(d);

            if (!k)
                continue;
            if (ops_run(k, &ops_devices[d].options, &s, &got, &err) == 0)
                assert_true(ops_same_bits(&s, &ref, &got));
            else
                assert_int_equal(err.kind, ERR_UNSUPPORTED);
            ops_results_free(&got, &s);
        }
        ops_results_free(&ref, &s);
        ops_end(&s);
    }
    free(pixels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_maps),
        cmocka_unit_test(the_op_is_the_kernel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
