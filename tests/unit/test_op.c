/* test_op.c - lists of ops: what op_list_check() accepts and, by name, refuses.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "backend/op.h"

#define OP(k, ...) ((struct op){.kind = (k), __VA_ARGS__})

enum { BATCH = 4 };

struct net { /* conv, bn, relu */
    struct op_list *l;
    int x, w, y, stat, mean, var, gamma, beta, z;
};

static struct net small_net(void)
{
    struct net n = {.l = op_list_new(BATCH, 2)};

    n.x = op_list_tensor(n.l, "x", TENSOR_ACT, DTYPE_F32, BATCH, 3, 9, 7);
    n.w = op_list_tensor(n.l, "conv1.weight", TENSOR_PARAM, DTYPE_F32, 16, 3, 3, 3);
    n.y = op_list_tensor(n.l, "y", TENSOR_ACT, DTYPE_F32, BATCH, 16, 5, 4);
    n.stat = op_list_tensor(n.l, "stat", TENSOR_STAT, DTYPE_F64, 2, 16, 1, 1);
    n.mean = op_list_tensor(n.l, "mean", TENSOR_STATE, DTYPE_F32, 16, 1, 1, 1);
    n.var = op_list_tensor(n.l, "var", TENSOR_STATE, DTYPE_F32, 16, 1, 1, 1);
    n.gamma = op_list_tensor(n.l, "gamma", TENSOR_PARAM, DTYPE_F32, 16, 1, 1, 1);
    n.beta = op_list_tensor(n.l, "beta", TENSOR_PARAM, DTYPE_F32, 16, 1, 1, 1);
    n.z = op_list_tensor(n.l, "z", TENSOR_ACT, DTYPE_F32, BATCH, 16, 5, 4);
    op_list_add(n.l, OP(OP_CONV, .in = {n.x, n.w, -1, -1, -1, -1}, .out = {n.y, -1, -1, -1},
                        .stride = 2, .pad = 1));
    op_list_add(
        n.l, OP(OP_BN_STATS, .in = {n.y, n.mean, n.var, -1, -1, -1}, .out = {n.stat, -1, -1, -1}));
    op_list_add(n.l, OP(OP_BN_APPLY, .in = {n.y, n.stat, n.gamma, n.beta, -1, -1},
                        .out = {n.z, -1, -1, -1}, .relu = true));
    return n;
}

static void refused(struct op_list *l, const char *with)
{
    struct err err = {0};

    assert_true(op_list_check(l, &err) < 0);
    assert_int_equal(err.kind, ERR_INPUT);
    if (!strstr(err.msg, with))
        fail_msg("\"%s\" lacks \"%s\"", err.msg, with);
    op_list_free(l);
}

/* The network's last op again, with a mask of TYPE and so many channels. */
static struct op_list *masked_net(enum dtype type, int channels, bool relu)
{
    struct net n = small_net();
    struct op *apply = &n.l->ops[n.l->n_ops - 1];

    apply->out[1] = op_list_tensor(n.l, "mask", TENSOR_ACT, type, BATCH, channels, 5, 4);
    apply->relu = relu;
    return n.l;
}

static void masks(void **state)
{
    struct op_list *l = masked_net(DTYPE_BITS, 2, true);
    struct err err = {0};

    (void)state;
    if (op_list_check(l, &err) < 0)
        fail_msg("%s", err.msg);
    op_list_free(l);
    refused(masked_net(DTYPE_BITS, 2, false), "a mask is of a relu");
    refused(masked_net(DTYPE_BITS, 16, true), "mask is 4x16x5x4, expected 4x2x5x4");
    refused(masked_net(DTYPE_U8, 2, true), "output 1, mask, has the wrong role or type");
    l = masked_net(DTYPE_BITS, 1, true);
    for (int t = 0; t < l->n_tensors; t++) /* 12 channels in all */
        for (int k = 0; k < 2; k++)
            if (l->tensors[t].dims[k] == 16)
                l->tensors[t].dims[k] = 12;
    refused(l, "a mask takes a multiple of 8 channels");
}

static void a_sound_list_passes(void **state)
{
    struct net n = small_net();
    struct err err = {0};

    (void)state;
    assert_int_equal(op_list_check(n.l, &err), 0);
    assert_int_equal(op_list_find(n.l, "gamma"), n.gamma);
    assert_int_equal(op_list_find(n.l, "gamm"), -1);
    op_list_free(n.l);
}

static void shapes_are_checked(void **state)
{
    struct net n = small_net();

    (void)state;
    n.l->tensors[n.y].dims[2] = 6;
    refused(n.l, "op 0 (conv): y is 4x16x6x4, expected 4x16x5x4");
    n = small_net();
    n.l->tensors[n.w].dims[1] = 4;
    refused(n.l, "conv1.weight");
    n = small_net();
    n.l->tensors[n.gamma].dims[0] = 15;
    refused(n.l, "op 2 (bn_apply): gamma");
    n = small_net();
    n.l->tensors[n.x].dims[0] = 3;
    refused(n.l, "3 pictures in a list of batch 4");
    n = small_net();
    n.l->tensors[n.x].dims[3] = 0;
    refused(n.l, "dims");
}

static void roles_and_places_are_checked(void **state)
{
    struct net n = small_net();

    (void)state;
    n.l->ops[2].in[1] = n.mean;
    refused(n.l, "op 2 (bn_apply): input 1, mean, has the wrong role");
    n = small_net();
    n.l->ops[0].in[1] = -1;
    refused(n.l, "op 0 (conv): input 1 is missing");
    n = small_net();
    n.l->ops[0].in[2] = n.gamma;
    refused(n.l, "not a tensor it takes");
    n = small_net();
    n.l->ops[0].in[0] = 99;
    refused(n.l, "not a tensor it takes");
    n = small_net();
    n.l->ops[1].in[2] = -1;
    refused(n.l, "come together");
    n = small_net();
    n.l->tensors[n.stat].dtype = DTYPE_F32;
    refused(n.l, "stat");
    n = small_net();
    memcpy(n.l->tensors[n.z].name, "y", 2);
    refused(n.l, "two of that name");
}

static void order_is_checked(void **state)
{
    struct net n = small_net();
    struct op first = n.l->ops[0];

    (void)state;
    n.l->ops[0] = n.l->ops[1];
    n.l->ops[1] = first;
    refused(n.l, "reads y, which op 1 writes later");
    n = small_net();
    op_list_add(n.l, n.l->ops[0]);
    refused(n.l, "y was written by op 0 already");
}

static void types_agree_within_an_op(void **state)
{
    struct net n = small_net();
    struct err err = {0};

    (void)state;
    n.l->tensors[n.z].dtype = DTYPE_BF16;
    refused(n.l, "op 2 (bn_apply): y is fp32, but z is bf16");
    n = small_net();
    n.l->tensors[n.x].dtype = n.l->tensors[n.y].dtype = n.l->tensors[n.z].dtype = DTYPE_BF16;
    assert_int_equal(op_list_check(n.l, &err), 0);
    op_list_free(n.l);
}

static void options_are_checked(void **state)
{
    struct net n = small_net();
    struct op drop = OP(OP_DROPOUT, .in = {n.z, -1, -1, -1, -1, -1}, .out = {-1, -1, -1, -1});

    (void)state;
    drop.out[0] = op_list_tensor(n.l, "d", TENSOR_ACT, DTYPE_F32, BATCH, 16, 5, 4);
    drop.rate = 1.0f;
    op_list_add(n.l, drop);
    refused(n.l, "rate");
    n = small_net();
    n.l->ops[0].stride = 0;
    refused(n.l, "stride");
    n = small_net();
    n.l->ops[0].pad = 3;
    refused(n.l, "filter");
}

static void the_table_names_every_tensor(void **state)
{
    struct net n = small_net();
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    (void)state;
    assert_non_null(file);
    op_list_print(file, n.l);
    fclose(file);
    for (int t = 0; t < n.l->n_tensors; t++)
        assert_non_null(strstr(text, n.l->tensors[t].name));
    assert_non_null(strstr(text, "432")); /* 16 x 3 x 3 x 3 */
    free(text);
    op_list_free(n.l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks),
        cmocka_unit_test(a_sound_list_passes),
        cmocka_unit_test(shapes_are_checked),
        cmocka_unit_test(roles_and_places_are_checked),
        cmocka_unit_test(order_is_checked),
        cmocka_unit_test(types_agree_within_an_op),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(the_table_names_every_tensor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
