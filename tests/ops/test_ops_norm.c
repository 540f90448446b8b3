/* test_ops_norm.c - batch norm on every backend against ref.
 * SPDX-License-Identifier: MIT */
#include "compare.h"

// clang-format off
#define NORM(kind_, t, n_, m_, c_, h_, w_, relu_, extra_, refused_) \
    {.kind = kind_, .dtype = t, .n = n_, .micro = m_, .c = c_, .h = h_, .w = w_, .relu = relu_, \
     .extra = extra_, .refused = refused_}
#define SHAPES(kind, t, relu, extra) \
    NORM(kind, t, 6, 3, 16, 13, 11, relu, extra, false), \
    NORM(kind, t, 5, 1, 48,  3,  1, relu, extra, false), \
    NORM(kind, t, 8, 4, 64,  1,  1, relu, extra, false)
#define WIDE(kind, relu, extra) /* more channels than one block of a card takes */ \
    NORM(kind, DTYPE_F32, 3, 1, 272, 5, 3, relu, extra, false), \
    NORM(kind, DTYPE_F16, 3, 1, 272, 5, 3, relu, extra, false)
#define ROWS(kind) \
    WIDE(kind, true, true), \
    SHAPES(kind, DTYPE_F32, false, false), SHAPES(kind, DTYPE_F32, true, false), \
    SHAPES(kind, DTYPE_F32, false, true),  SHAPES(kind, DTYPE_F32, true, true), \
    SHAPES(kind, DTYPE_BF16, false, false), SHAPES(kind, DTYPE_BF16, true, false), \
    SHAPES(kind, DTYPE_BF16, false, true),  SHAPES(kind, DTYPE_BF16, true, true), \
    SHAPES(kind, DTYPE_F16, false, false), SHAPES(kind, DTYPE_F16, true, true), \
    NORM(kind, DTYPE_F32, 4, 2, 24, 3, 3, false, false, true)

static const struct ops_case stats[] = {
    SHAPES(OP_BN_STATS, DTYPE_F32, false, false), SHAPES(OP_BN_STATS, DTYPE_F32, false, true),
    SHAPES(OP_BN_STATS, DTYPE_BF16, false, false), SHAPES(OP_BN_STATS, DTYPE_BF16, false, true),
    SHAPES(OP_BN_STATS, DTYPE_F16, false, true),
    WIDE(OP_BN_STATS, false, true),
    NORM(OP_BN_STATS, DTYPE_F32, 1, 1, 16,  1,  1, false, true,  false),
    NORM(OP_BN_STATS, DTYPE_F32, 7, 1, 16, 40, 37, false, true,  false),
    NORM(OP_BN_STATS, DTYPE_F32, 2, 1, 20,  3,  3, false, false, true),
};
#define MASKED(t, n_, m_, c_, h_, w_, extra_) \
    {.kind = OP_BN_APPLY, .dtype = t, .n = n_, .micro = m_, .c = c_, .h = h_, .w = w_, .relu = true, \
     .extra = extra_, .masked = true}
#define MASKS(t) \
    MASKED(t, 6, 3, 16, 13, 11, true), MASKED(t, 5, 1, 48, 3, 1, false), \
    MASKED(t, 8, 4, 64, 1, 1, true), MASKED(t, 3, 1, 272, 5, 3, true)
static const struct ops_case apply[] = {
    ROWS(OP_BN_APPLY), MASKS(DTYPE_F32), MASKS(DTYPE_BF16), MASKS(DTYPE_F16),
};
static const struct ops_case infer[] = {ROWS(OP_BN_INFER)};
static const struct ops_case bwd_stats[] = {ROWS(OP_BN_BWD_STATS)};
static const struct ops_case bwd_apply[] = {
    WIDE(OP_BN_BWD_APPLY, false, false),
    SHAPES(OP_BN_BWD_APPLY, DTYPE_F32, false, false),
    SHAPES(OP_BN_BWD_APPLY, DTYPE_BF16, false, false),
    SHAPES(OP_BN_BWD_APPLY, DTYPE_F16, false, false),
    NORM(OP_BN_BWD_APPLY, DTYPE_F32, 2, 1, 8, 3, 3, false, false, true),
};
static const struct ops_case relu_bwd_stats[] = {
    SHAPES(OP_BN_RELU_BWD_STATS, DTYPE_F32, false, false),
    SHAPES(OP_BN_RELU_BWD_STATS, DTYPE_BF16, false, false),
    SHAPES(OP_BN_RELU_BWD_STATS, DTYPE_F16, false, false),
    WIDE(OP_BN_RELU_BWD_STATS, false, false),
    NORM(OP_BN_RELU_BWD_STATS, DTYPE_F32, 2, 1, 8, 3, 3, false, false, true),
};
static const struct ops_case relu_bwd_apply[] = {
    SHAPES(OP_BN_RELU_BWD_APPLY, DTYPE_F32, false, false),
    SHAPES(OP_BN_RELU_BWD_APPLY, DTYPE_BF16, false, false),
    SHAPES(OP_BN_RELU_BWD_APPLY, DTYPE_F16, false, false),
    WIDE(OP_BN_RELU_BWD_APPLY, false, false),
    NORM(OP_BN_RELU_BWD_APPLY, DTYPE_F32, 2, 1, 8, 3, 3, false, false, true),
};
// clang-format on

#define CHECK(name, table)                                                                         \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        ops_check(table, sizeof table / sizeof table[0]);                                          \
    }

CHECK(bn_stats, stats)
CHECK(bn_apply, apply)
CHECK(bn_infer, infer)
CHECK(bn_bwd_stats, bwd_stats)
CHECK(bn_bwd_apply, bwd_apply)
CHECK(bn_relu_bwd_stats, relu_bwd_stats)
CHECK(bn_relu_bwd_apply, relu_bwd_apply)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bn_stats),          cmocka_unit_test(bn_apply),
        cmocka_unit_test(bn_infer),          cmocka_unit_test(bn_bwd_stats),
        cmocka_unit_test(bn_bwd_apply),      cmocka_unit_test(bn_relu_bwd_stats),
        cmocka_unit_test(bn_relu_bwd_apply),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
