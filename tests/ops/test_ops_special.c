/* test_ops_special.c - NaN and infinities through every backend's ops as through ref's, and the rounding to bf16.
 * SPDX-License-Identifier: MIT */
#include "bits.h"
#include "ops.h"

struct special_case {
    struct ops_case c;
    int every;    /* so many values apart, inputs are NaN, infinite, zero or subnormal */
    bool spreads; /* sums of Winograd's tiles carry a NaN to outputs that it does not belong to */
    bool padding; /* our arithmetic of padding: oneDNN's may be another */
};

// clang-format off
#define VECTORS(kind_) {.c = {.kind = kind_, .n = 6, .micro = 3, .c = 48, .h = 1, .w = 1}, .every = 7}
#define PICTURES(kind_, t, relu_, extra_, masked_) \
    {.c = {.kind = kind_, .dtype = t, .n = 4, .micro = 2, .c = 32, .h = 5, .w = 7, .relu = relu_, .extra = extra_, \
           .masked = masked_}, .every = 29}
#define CONV(t, r_, p_, spreads_) \
    {.c = {.kind = OP_CONV, .dtype = t, .n = 4, .micro = 2, .c = 16, .h = 9, .w = 7, .k = 32, .r = r_, .stride = 1, \
           .pad = p_}, .every = 1001, .spreads = spreads_}

static const struct special_case cases[] = {
    VECTORS(OP_RELU), VECTORS(OP_RELU_BWD),
    PICTURES(OP_BN_APPLY, DTYPE_F32, false, false, false), PICTURES(OP_BN_APPLY, DTYPE_BF16, false, false, false),
    PICTURES(OP_BN_APPLY, DTYPE_F32, true, false, false), PICTURES(OP_BN_APPLY, DTYPE_BF16, true, false, false),
    PICTURES(OP_BN_APPLY, DTYPE_F32, true, true, true), PICTURES(OP_BN_APPLY, DTYPE_BF16, true, true, true),
    PICTURES(OP_BN_INFER, DTYPE_F32, true, true, false), PICTURES(OP_BN_INFER, DTYPE_BF16, true, true, false),
    PICTURES(OP_MAX_POOL, DTYPE_F32, false, false, false), PICTURES(OP_MAX_POOL, DTYPE_BF16, false, false, false),
    PICTURES(OP_CONCAT_POOL, DTYPE_F32, false, false, false), PICTURES(OP_CONCAT_POOL, DTYPE_BF16, false, false, false),
    CONV(DTYPE_F32, 1, 0, false), CONV(DTYPE_BF16, 1, 0, false),
    CONV(DTYPE_F32, 3, 1, true), CONV(DTYPE_BF16, 3, 1, false),
};
// clang-format on

/* NaN where ref has one, the same infinities, numbers where ref has numbers. */
static bool alike(float got, float want, bool spreads)
{
    if (isnan(want))
        return isnan(got);
    if (spreads && isnan(got))
        return true;
    return isinf(want) ? got == want : isfinite(got);
}

static void check_device(const struct special_case *k, const struct ops_setup *s,
                         const struct ops_results *got, const struct ops_results *ref)
{
    for (int i = 0; i < MAX_OUT; i++)
        for (size_t e = 0; got->out[i] && e < s->n_out[i]; e++)
            if (!alike(got->out[i][e], ref->out[i][e], k->spreads))
                fail_msg("%s: %d[%zu] is %g, ref %g", ops_case_name(&s->c), i, e,
                         (double)got->out[i][e], (double)ref->out[i][e]);
}

/* All devices: results to CHECK, the same bits from those that promise them. */
static void on_every_device(const struct special_case *k, const struct ops_setup *s,
                            const struct ops_results *want,
                            void check(const struct special_case *k, const struct ops_setup *s,
                                       const struct ops_results *got,
                                       const struct ops_results *want))
{
    uint64_t first = 0;

    for (int d = 0; d < N_DEVICES; d++) {
        const struct backend *b = ops_backend(d);
        struct ops_results got;
        struct err err = {0};

        if (!b || (k->padding && ops_devices[d].options.conv == CONV_ONEDNN))
            continue;
        if (ops_run(b, &ops_devices[d].options, s, &got, &err) < 0) {
            if (err.kind != ERR_UNSUPPORTED ||
                (strcmp(b->name, "cpu") == 0 && ops_devices[d].options.conv == CONV_OWN))
                fail_msg("%s on %s: %s", ops_case_name(&s->c), b->name, err.msg);
            ops_results_free(&got, s);
            continue;
        }
        check(k, s, &got, want);
        if (d == 0) {
            first = ops_bits(s, &got);
            ops_print_bits(s, &got);
        } else if (ops_devices[d].same && ops_bits(s, &got) != first) {
            fail_msg("%s on %s, device %d: other bits than device 0", ops_case_name(&s->c), b->name,
                     d);
        }
        ops_results_free(&got, s);
    }
}

static void nan_and_infinity(void **state)
{
    static const float values[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1e-39f, -1e-39f};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ops_setup s = ops_begin(&cases[i].c, i + 1);
        struct ops_results ref;
        struct err err = {0};
        const int inputs = s.c.kind == OP_RELU_BWD ? 2 : 1;
        /* no pass makes a subnormal bf16, and simd.h need not keep one */
        const size_t kinds = s.c.dtype == DTYPE_BF16 ? 5 : 7;
        size_t n = 0;

        for (int k = 0; k < inputs; k++)
            for (size_t e = 3; e < s.n_in[k]; e += (size_t)(cases[i].every + k))
                s.in[k][e] = values[n++ % kinds];
        assert_int_equal(ops_run(&ref_backend, &(struct exec_options){0}, &s, &ref, &err), 0);
        on_every_device(&cases[i], &s, &ref, check_device);
        ops_results_free(&ref, &s);
        ops_end(&s);
    }
}

/* Taps above the picture are left out (docs/arithmetic.md): an infinite weight there reaches no output of the first
 * row, where 0 times it would be NaN. */
static void infinite_weights_above_the_picture(void **state)
{
    struct special_case direct[] = {CONV(DTYPE_F32, 5, 2, false), CONV(DTYPE_BF16, 3, 1, false)};

    (void)state;
    for (size_t i = 0; i < sizeof direct / sizeof *direct; i++) {
        struct ops_setup s = ops_begin(&direct[i].c, i + 1);
        const size_t side = (size_t)s.c.r, filter = (size_t)s.c.c * side * side;
        struct ops_results ref;
        struct err err = {0};

        for (size_t k = 0; k < s.n_in[1] / filter; k += 3)
            s.in[1][k * filter + side / 2] = INFINITY; /* first channel, first row, middle */
        direct[i].padding = true;
        assert_int_equal(ops_run(&ref_backend, &(struct exec_options){0}, &s, &ref, &err), 0);
        assert_true(isfinite(ref.out[0][0]) && !isfinite(ref.out[0][s.c.h / 2 * s.c.w]));
        on_every_device(&direct[i], &s, &ref, check_device);
        ops_results_free(&ref, &s);
        ops_end(&s);
    }
}

/* ---- rounding ---- */

enum { CHANNELS = 4096 };

/* A normal number: any, one halfway between two of bf16, one that rounds to infinity. */
static float to_round(struct rng *r, size_t i)
{
    const uint32_t sign = rng_u32(r) & 0x80000000, exponent = 1 + rng_below(r, 254);
    const uint32_t u = sign | exponent << 23 | (rng_u32(r) & 0x7fffff);

    return elem_float(i % 3 == 0   ? u
                      : i % 3 == 1 ? (u & 0xffff0000) | 0x8000
                                   : sign | 0x7f7f0000 | (u & 0xffff));
}

static void check_rounded(const struct special_case *k, const struct ops_setup *s,
                          const struct ops_results *got, const struct ops_results *want)
{
    (void)k;
    (void)want;
    for (size_t e = 0; e < s->n_out[0]; e++) {
        const float shift = s->in[3][e % CHANNELS];

        if (elem_bits(got->out[0][e]) != elem_bits(f32_from_bf16(bf16_from_f32(shift))))
            fail_msg("%a is stored as %a", (double)shift, (double)got->out[0][e]);
    }
}

/* A norm of zeros with scale 1 stores its shift. */
static void bf16_is_rounded_to_nearest_even(void **state)
{
    const struct special_case k = {.c = {.kind = OP_BN_APPLY,
                                         .dtype = DTYPE_BF16,
                                         .n = 2,
                                         .micro = 1,
                                         .c = CHANNELS,
                                         .h = 1,
                                         .w = 1}};
    struct ops_setup s = ops_begin(&k.c, 1);
    struct rng r = rng_begin(7, RNG_TEST, 0, 0);

    (void)state;
    memset(s.in[0], 0, s.n_in[0] * sizeof(float));
    for (size_t c = 0; c < CHANNELS; c++) {
        s.in[1][c] = 0.0f;
        s.in[1][CHANNELS + c] = s.in[2][c] = 1.0f;
        s.in[3][c] = to_round(&r, c);
    }
    on_every_device(&k, &s, NULL, check_rounded);
    ops_end(&s);
}

/* The control: a ReLU that drops NaN, a number lost or made infinite, another NaN's bits, another zero. */
static void what_differs_is_noticed(void **state)
{
    const float one[] = {NAN, 1, 0}, other[] = {-NAN, 1, 0}, zero[] = {NAN, 1, -0.0f};

    (void)state;
    assert_false(alike(0, NAN, true) || alike(NAN, 1, false) || alike(INFINITY, 1, true));
    assert_false(alike(3e38f, INFINITY, true) || alike(-INFINITY, INFINITY, false));
    assert_true(ops_hash(1, one, 3) == ops_hash(1, other, 3));
    assert_false(ops_hash(1, one, 3) == ops_hash(1, zero, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nan_and_infinity),
        cmocka_unit_test(infinite_weights_above_the_picture),
        cmocka_unit_test(bf16_is_rounded_to_nearest_even),
        cmocka_unit_test(what_differs_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
