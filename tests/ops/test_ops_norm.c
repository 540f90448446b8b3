/* test_ops_norm.c - batch norm on every backend against ref.
 * SPDX-License-Identifier: MIT */
#include "compare.h"

// clang-format off
#define SHAPES(kind_, t, relu_, extra_) \
    {.kind = kind_, .n = 6, .micro = 3, .c = 16, .h = 13, .w = 11, .relu = relu_, .extra = extra_, .dtype = t}, \
    {.kind = kind_, .n = 5, .micro = 1, .c = 48, .h = 3,  .w = 1,  .relu = relu_, .extra = extra_, .dtype = t}, \
    {.kind = kind_, .n = 8, .micro = 4, .c = 64, .h = 1,  .w = 1,  .relu = relu_, .extra = extra_, .dtype = t}

#define ROWS(kind_) \
    SHAPES(kind_, DTYPE_F32, false, false), SHAPES(kind_, DTYPE_F32, true, false), \
    SHAPES(kind_, DTYPE_F32, false, true),  SHAPES(kind_, DTYPE_F32, true, true), \
    SHAPES(kind_, DTYPE_BF16, false, false), SHAPES(kind_, DTYPE_BF16, true, false), \
    SHAPES(kind_, DTYPE_BF16, false, true),  SHAPES(kind_, DTYPE_BF16, true, true), \
    {.kind = kind_, .n = 4, .micro = 2, .c = 24, .h = 3, .w = 3, .dtype = DTYPE_F32, .refused = true}

static const struct ops_case stats[] = {
    SHAPES(OP_BN_STATS, DTYPE_F32, false, false), SHAPES(OP_BN_STATS, DTYPE_F32, false, true),
    SHAPES(OP_BN_STATS, DTYPE_BF16, false, false), SHAPES(OP_BN_STATS, DTYPE_BF16, false, true),
    {.kind = OP_BN_STATS, .n = 1, .micro = 1, .c = 16, .h = 1, .w = 1, .extra = true, .dtype = DTYPE_F32},
    {.kind = OP_BN_STATS, .n = 7, .micro = 1, .c = 16, .h = 40, .w = 37, .extra = true, .dtype = DTYPE_F32},
    {.kind = OP_BN_STATS, .n = 2, .micro = 1, .c = 20, .h = 3, .w = 3, .dtype = DTYPE_F32, .refused = true},
};
static const struct ops_case apply[] = {ROWS(OP_BN_APPLY)};
static const struct ops_case infer[] = {ROWS(OP_BN_INFER)};
static const struct ops_case bwd_stats[] = {ROWS(OP_BN_BWD_STATS)};
static const struct ops_case bwd_apply[] = {
    SHAPES(OP_BN_BWD_APPLY, DTYPE_F32, false, false), SHAPES(OP_BN_BWD_APPLY, DTYPE_BF16, false, false),
    {.kind = OP_BN_BWD_APPLY, .n = 2, .micro = 1, .c = 8, .h = 3, .w = 3, .dtype = DTYPE_F32, .refused = true},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bn_stats),     cmocka_unit_test(bn_apply),     cmocka_unit_test(bn_infer),
        cmocka_unit_test(bn_bwd_stats), cmocka_unit_test(bn_bwd_apply),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
