/* test_ops_head.c - relu, pools, dropout and the loss on every backend against ref.
 * SPDX-License-Identifier: MIT */
#include "compare.h"

// clang-format off
#define PICTURES(kind_, t, extra_) \
    {.kind = kind_, .n = 6, .micro = 3, .c = 16, .h = 13, .w = 11, .extra = extra_, .dtype = t}, \
    {.kind = kind_, .n = 5, .micro = 1, .c = 32, .h = 8,  .w = 5,  .extra = extra_, .dtype = t}, \
    {.kind = kind_, .n = 8, .micro = 4, .c = 64, .h = 1,  .w = 2,  .extra = extra_, .dtype = t}, \
    {.kind = kind_, .n = 4, .micro = 4, .c = 16, .h = 1,  .w = 1,  .extra = extra_, .dtype = t}
#define VECTORS(kind_) \
    {.kind = kind_, .n = 6, .micro = 3, .c = 512, .h = 1, .w = 1, .dtype = DTYPE_F32}, \
    {.kind = kind_, .n = 5, .micro = 1, .c = 37,  .h = 1, .w = 1, .dtype = DTYPE_F32}, \
    {.kind = kind_, .n = 8, .micro = 4, .c = 16,  .h = 1, .w = 1, .dtype = DTYPE_BF16}, \
    {.kind = kind_, .n = 4, .micro = 2, .c = 48,  .h = 1, .w = 1, .dtype = DTYPE_F16}

static const struct ops_case relu[] = {VECTORS(OP_RELU)};
static const struct ops_case relu_bwd[] = {VECTORS(OP_RELU_BWD)};
static const struct ops_case dropout[] = {VECTORS(OP_DROPOUT)};
static const struct ops_case dropout_bwd[] = {VECTORS(OP_DROPOUT_BWD)};
static const struct ops_case max_pool[] = {
    PICTURES(OP_MAX_POOL, DTYPE_F32, false), PICTURES(OP_MAX_POOL, DTYPE_BF16, false),
    PICTURES(OP_MAX_POOL, DTYPE_F16, false),
    {.kind = OP_MAX_POOL, .n = 2, .micro = 1, .c = 24, .h = 5, .w = 5,
     .dtype = DTYPE_F32, .refused = true}};
static const struct ops_case max_pool_bwd[] = {
    PICTURES(OP_MAX_POOL_BWD, DTYPE_F32, false), PICTURES(OP_MAX_POOL_BWD, DTYPE_F32, true),
    PICTURES(OP_MAX_POOL_BWD, DTYPE_BF16, false), PICTURES(OP_MAX_POOL_BWD, DTYPE_BF16, true),
    PICTURES(OP_MAX_POOL_BWD, DTYPE_F16, true)};
static const struct ops_case concat_pool[] = {
    PICTURES(OP_CONCAT_POOL, DTYPE_F32, false), PICTURES(OP_CONCAT_POOL, DTYPE_BF16, false),
    PICTURES(OP_CONCAT_POOL, DTYPE_F16, false)};
static const struct ops_case concat_pool_bwd[] = {
    PICTURES(OP_CONCAT_POOL_BWD, DTYPE_F32, false),
    PICTURES(OP_CONCAT_POOL_BWD, DTYPE_BF16, false),
    PICTURES(OP_CONCAT_POOL_BWD, DTYPE_F16, false)};
static const struct ops_case softmax_loss[] = {
    {.kind = OP_SOFTMAX_LOSS, .n = 6, .micro = 3, .k = 37, .dtype = DTYPE_F32, .extra = true},
    {.kind = OP_SOFTMAX_LOSS, .n = 5, .micro = 1, .k = 2,  .dtype = DTYPE_F32, .extra = true},
    {.kind = OP_SOFTMAX_LOSS, .n = 8, .micro = 4, .k = 16, .dtype = DTYPE_F32},
    {.kind = OP_SOFTMAX_LOSS, .n = 4, .micro = 4, .k = 1,  .dtype = DTYPE_F32},
    {.kind = OP_SOFTMAX_LOSS, .n = 6, .micro = 3, .k = 37, .extra = true, .smoothing = 0.1f},
    {.kind = OP_SOFTMAX_LOSS, .n = 6, .micro = 3, .k = 37, .extra = true, .focal = 2.0f},
    {.kind = OP_SOFTMAX_LOSS, .n = 6, .micro = 3, .k = 5,  .extra = true, .focal = 1.0f},
    {.kind = OP_SOFTMAX_LOSS, .n = 8, .micro = 4, .k = 37, .extra = true, .weighted = true},
    {.kind = OP_SOFTMAX_LOSS, .n = 8, .micro = 4, .k = 37, .extra = true, .mixed = true},
    {.kind = OP_SOFTMAX_LOSS, .n = 8, .micro = 2, .k = 9,  .extra = true, .smoothing = 0.2f,
     .focal = 1.5f, .mixed = true, .weighted = true},
};
// clang-format on

#define CHECK(name, table)                                                                         \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        ops_check(table, sizeof table / sizeof table[0]);                                          \
    }

CHECK(check_relu, relu)
CHECK(check_relu_bwd, relu_bwd)
CHECK(check_dropout, dropout)
CHECK(check_dropout_bwd, dropout_bwd)
CHECK(check_max_pool, max_pool)
CHECK(check_max_pool_bwd, max_pool_bwd)
CHECK(check_concat_pool, concat_pool)
CHECK(check_concat_pool_bwd, concat_pool_bwd)
CHECK(check_softmax_loss, softmax_loss)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_relu),         cmocka_unit_test(check_relu_bwd),
        cmocka_unit_test(check_dropout),      cmocka_unit_test(check_dropout_bwd),
        cmocka_unit_test(check_max_pool),     cmocka_unit_test(check_max_pool_bwd),
        cmocka_unit_test(check_concat_pool),  cmocka_unit_test(check_concat_pool_bwd),
        cmocka_unit_test(check_softmax_loss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
