/* test_ops_conv.c - convolutions and linear layers on every backend against ref.
 * SPDX-License-Identifier: MIT */
#include "compare.h"

// clang-format off
#define CONV(kind_, t, n_, m_, c_, h_, w_, k_, r_, s_, p_, refused_) \
    {.kind = kind_, .dtype = t, .n = n_, .micro = m_, .c = c_, .h = h_, .w = w_, .k = k_, .r = r_, \
     .stride = s_, .pad = p_, .refused = refused_}
#define GROUPED(kind_, t, n_, m_, c_, h_, w_, k_, r_, s_, p_, g_) \
    {.kind = kind_, .dtype = t, .n = n_, .micro = m_, .c = c_, .h = h_, .w = w_, .k = k_, .r = r_, \
     .stride = s_, .pad = p_, .groups = g_}
/* pictures, microbatch, c, h, w, k, r, stride, pad, refused or groups */
#define ROWS(kind, t) \
    CONV(kind, t, 6, 3,  3, 23, 19, 16, 7, 2, 3, false), \
    CONV(kind, t, 5, 1, 16,  9,  7, 32, 3, 1, 1, false), \
    CONV(kind, t, 8, 4, 32, 13, 11, 16, 3, 2, 1, false), \
    CONV(kind, t, 6, 3, 48,  5,  7, 64, 1, 1, 0, false), \
    CONV(kind, t, 4, 2, 64,  9,  6, 32, 1, 2, 0, false), \
    CONV(kind, t, 2, 2, 16,  2,  1, 16, 3, 1, 1, false), \
    CONV(kind, t, 3, 3, 16,  1,  1, 16, 3, 2, 1, false), \
    CONV(kind, t, 2, 1, 16,  5,  4, 32, 3, 1, 0, false), \
    CONV(kind, t, 4, 4, 32, 30, 26, 48, 3, 1, 1, false), \
    CONV(kind, t, 2, 2, 16, 37, 18, 32, 1, 3, 0, false), \
    CONV(kind, t, 2, 1,  1, 11, 14, 32, 5, 1, 2, false), \
    CONV(kind, t, 2, 2, 16, 13,  6, 16, 5, 2, 1, false), \
    GROUPED(kind, t, 3, 3, 32, 11, 9, 32, 3, 1, 1,  8),  \
    GROUPED(kind, t, 4, 2, 64,  7, 9, 32, 3, 2, 1,  4),  \
    GROUPED(kind, t, 2, 2, 96,  6, 5, 64, 1, 1, 0,  2),  \
    CONV(kind, t, 2, 2, 64, 20, 20, 32, 1, 1, 0, false), \
    CONV(kind, t, 2, 2, 64, 37, 37, 16, 3, 2, 1, false), \
    CONV(kind, t, 3, 3, 80, 14, 14, 48, 3, 1, 1, false), \
    CONV(kind, t, 2, 1, 24,  5,  5, 16, 3, 1, 1, true),  \
    CONV(kind, t, 2, 1, 16,  5,  5, 20, 3, 1, 1, true)

/* Behind all others: the recorded bits go by the place in the table. */
#define MORE_ROWS(kind, t) \
    CONV(kind, t, 3, 3,  2,  9, 12, 16, 3, 1, 1, false), \
    CONV(kind, t, 2, 1,  2, 10,  8, 32, 5, 1, 2, false), \
    CONV(kind, t, 2, 2,  3, 10, 13, 48, 3, 2, 1, false), \
    CONV(kind, t, 3, 1,  1, 12, 10, 16, 7, 2, 3, false), \
    CONV(kind, t, 8, 8, 32,  7,  7, 48, 3, 1, 1, false), \
    CONV(kind, t, 5, 5, 16,  3, 28, 16, 5, 1, 2, false), \
    CONV(kind, t, 2, 2, 16,  3, 130, 16, 3, 1, 1, false), \
    CONV(kind, t, 2, 1, 32,  6, 250, 16, 3, 2, 1, false), \
    CONV(kind, t, 2, 2, 16,  2,  5, 16, 5, 2, 4, false)

static const struct ops_case forward[] = {ROWS(OP_CONV, DTYPE_F32), ROWS(OP_CONV, DTYPE_BF16),
    MORE_ROWS(OP_CONV, DTYPE_F32), MORE_ROWS(OP_CONV, DTYPE_BF16)};
static const struct ops_case data[] = {
    ROWS(OP_CONV_BWD_DATA, DTYPE_F32), ROWS(OP_CONV_BWD_DATA, DTYPE_BF16),
    MORE_ROWS(OP_CONV_BWD_DATA, DTYPE_F32), MORE_ROWS(OP_CONV_BWD_DATA, DTYPE_BF16)};
static const struct ops_case weight[] = {
    ROWS(OP_CONV_BWD_WEIGHT, DTYPE_F32), ROWS(OP_CONV_BWD_WEIGHT, DTYPE_BF16),
    MORE_ROWS(OP_CONV_BWD_WEIGHT, DTYPE_F32), MORE_ROWS(OP_CONV_BWD_WEIGHT, DTYPE_BF16)};

#define LINEAR_ROWS(kind_) \
    {.kind = kind_, .n = 6, .micro = 3, .c = 33,  .h = 1, .w = 1, .k = 37, .dtype = DTYPE_F32}, \
    {.kind = kind_, .n = 5, .micro = 1, .c = 512, .h = 1, .w = 1, .k = 5,  .dtype = DTYPE_F32}, \
    {.kind = kind_, .n = 8, .micro = 4, .c = 1,   .h = 1, .w = 1, .k = 1,  .dtype = DTYPE_F32}, \
    {.kind = kind_, .n = 6, .micro = 2, .c = 48,  .h = 1, .w = 1, .k = 16, .dtype = DTYPE_BF16}

static const struct ops_case linear[] = {LINEAR_ROWS(OP_LINEAR)};
static const struct ops_case linear_data[] = {LINEAR_ROWS(OP_LINEAR_BWD_DATA)};
static const struct ops_case linear_weight[] = {LINEAR_ROWS(OP_LINEAR_BWD_WEIGHT)};
// clang-format on

#define CHECK(name, table)                                                                         \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        ops_check(table, sizeof table / sizeof table[0]);                                          \
    }

CHECK(conv, forward)
CHECK(conv_bwd_data, data)
CHECK(conv_bwd_weight, weight)
CHECK(linear_forward, linear)
CHECK(linear_bwd_data, linear_data)
CHECK(linear_bwd_weight, linear_weight)

/* The control: a filter tap dropped, a value made NaN, must be noticed by the comparison's bounds.
 */
static void a_wrong_value_is_noticed(void **state)
{
    struct ops_setup s = ops_begin(&forward[1], 1);
    float *tol[MAX_OUT] = {0};
    struct ops_results ref;
    struct err err = {0};
    double most = 0.0, least = 1e9;

    (void)state;
    assert_int_equal(ops_run(&ref_backend, &(struct exec_options){0}, &s, &ref, &err), 0);
    assert_non_null(tol[0] = calloc(s.n_out[0], sizeof(float)));
    ops_bound_linear(&s, tol);
    for (size_t i = 0; i < s.n_out[0]; i++) {
        most = fmax(most, (double)tol[0][i]);
        least = fmin(least, (double)tol[0][i]);
        assert_false((double)fabsf(NAN - ref.out[0][i]) <= (double)tol[0][i]);
    }
    assert_true(least > 0.0 && most < 1e-2); /* one term of about 0.5 lost would show */
    free(tol[0]);
    ops_results_free(&ref, &s);
    ops_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv),
        cmocka_unit_test(conv_bwd_data),
        cmocka_unit_test(conv_bwd_weight),
        cmocka_unit_test(linear_forward),
        cmocka_unit_test(linear_bwd_data),
        cmocka_unit_test(linear_bwd_weight),
        cmocka_unit_test(a_wrong_value_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
