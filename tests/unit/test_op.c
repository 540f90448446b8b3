/* test_op.c - lists of ops: what op_list_check() accepts and, by name, refuses; the table of ops and docs/ops.md.
 * `test_op --print` prints the tables for docs/ops.md. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "../documented.h"
#include "backend/op_traits.h"
#include "base/path.h"

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
    op_list_add(n.l, OP(OP_CONV, .in = {n.x, n.w}, .out = {n.y}, .stride = 2, .pad = 1));
    op_list_add(n.l, OP(OP_BN_STATS, .in = {n.y, n.mean, n.var}, .out = {n.stat}));
    op_list_add(n.l,
                OP(OP_BN_APPLY, .in = {n.y, n.stat, n.gamma, n.beta}, .out = {n.z}, .relu = true));
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
    for (int t = 1; t < l->n_tensors; t++) /* 12 channels in all */
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
    assert_int_equal(op_list_find(n.l, "gamm"), 0);
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
    n.l->ops[0].in[1] = 0;
    refused(n.l, "op 0 (conv): input 1 is missing");
    n = small_net();
    n.l->ops[0].in[2] = n.gamma;
    refused(n.l, "not a tensor it takes");
    n = small_net();
    n.l->ops[0].in[0] = -1;
    refused(n.l, "not a tensor it takes");
    n = small_net();
    n.l->ops[0].in[0] = 99;
    refused(n.l, "not a tensor it takes");
    n = small_net();
    n.l->ops[1].in[2] = 0;
    refused(n.l, "come together");
    n = small_net();
    n.l->tensors[n.stat].dtype = DTYPE_F32;
    refused(n.l, "stat");
    n = small_net();
    memcpy(n.l->tensors[n.z].name, "y", 2);
    refused(n.l, "two of that name");
}

/* Index 0 is no tensor: what is not named in an initialiser is absent. */
static void zeros_are_no_tensors(void **state)
{
    struct net n = small_net();
    struct err err = {0};

    (void)state;
    assert_int_equal(n.l->tensors[0].role, TENSOR_NONE);
    assert_int_equal(n.x, 1);
    op_list_add(n.l, OP(OP_GRAD_NORM, .max_norm = 1,
                        .out = {op_list_tensor(n.l, "clip", TENSOR_STAT, DTYPE_F64, 1, 1, 1, 1)}));
    assert_int_equal(op_list_check(n.l, &err), 0);
    op_list_add(n.l, OP(OP_RELU, .stride = 0)); /* the control */
    refused(n.l, "op 4 (relu): input 0 is missing");
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
    struct op drop = OP(OP_DROPOUT, .in = {n.z});

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
    for (int t = 1; t < n.l->n_tensors; t++)
        assert_non_null(strstr(text, n.l->tensors[t].name));
    assert_non_null(strstr(text, "432")); /* 16 x 3 x 3 x 3 */
    free(text);
    op_list_free(n.l);
}

/* --- the table of ops ------------------------------------------------------------------------ */

static const char *role_word(char role)
{
    switch (role | 0x20) {
    case 'f':
        return " fp32";
    case 'u':
        return " u8";
    case 'b':
        return " bits";
    case 'i':
        return " i32";
    case 'p':
        return " PARAM";
    case 's':
        return " STATE";
    case 'e':
        return " PARAM or STATE";
    case 'g':
        return " GRAD";
    case 't':
        return " STAT";
    default:
        return "";
    }
}

static void print_operands(FILE *file, const struct operand *o, int n)
{
    for (int i = 0; i < n && o[i].name; i++) {
        fprintf(file, "%s`%s`%s (", i ? "; " : "", o[i].name, role_word(o[i].role));
        for (const char *at = o[i].shape; *at; at++)
            fprintf(file, *at == ' ' ? ", " : "%c", *at);
        fprintf(file, ")%s%s%s", o[i].role < 'a' ? ", optional" : "",
                o[i].changed ? ", updated" : "", o[i].in_place ? ", in place" : "");
    }
}

/* The rows of PASS as docs/ops.md has them. */
static char *table_of(enum op_pass pass)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    assert_non_null(file);
    fprintf(file,
            "| op | reads | writes | computes | longest sum | runs |\n|---|---|---|---|---|---|\n");
    for (int k = 0; k < OP_KINDS; k++) {
        const struct op_traits *t = &op_traits[k];

        if (t->pass != pass)
            continue;
        fprintf(file, "| %s | ", op_kind_name((enum op_kind)k));
        print_operands(file, t->in, OP_MAX_IN);
        fprintf(file, " | ");
        print_operands(file, t->out, OP_MAX_OUT);
        fprintf(file, " | %s | %s", t->does, !t->sums ? "none" : *t->sums ? "" : "few terms");
        for (const char *letter = t->sums; letter && *letter; letter++)
            fprintf(file, "%s%c", letter > t->sums ? " " : "", *letter);
        fprintf(file, " | %s |\n",
                t->runs_last    ? "last in its segment"
                : t->every_part ? "in every part of a step"
                                : "");
    }
    fclose(file);
    return text;
}

static void every_table_is_in_the_docs(void **state)
{
    (void)state;
    for (enum op_pass pass = PASS_FORWARD; pass <= PASS_OPTIMISER; pass++) {
        char *table = table_of(pass);

        assert_documented("docs/ops.md", table, "test_op --print");
        free(table);
    }
}

/* What is wrong with a row of the table; NULL: nothing. */
static const char *wrong_row(const struct op_traits *t)
{
    const struct operand *all[] = {t->in, t->out};
    int tensors = 0;

    if (!t->does)
        return "no text";
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < (side ? OP_MAX_OUT : OP_MAX_IN); i++) {
            const struct operand *o = &all[side][i];

            if (!o->name)
                continue;
            tensors++;
            if (i > 0 && !o[-1].name)
                return "a place behind one that is empty";
            if (!strchr("afubipsegt", o->role | 0x20) || !o->shape)
                return "an unknown role, or no shape";
            if (o->in_place && (side || (o->role | 0x20) != (t->out[0].role | 0x20) ||
                                strcmp(o->shape, t->out[0].shape) != 0))
                return "out[0] cannot lie there";
            if (o->changed && (side || !strchr("ps", o->role | 0x20)))
                return "only what is persistent can be updated";
        }
    if (tensors == 0)
        return "no tensor";
    if (t->update && (t->in[0].role != 'g' || t->in[1].role != 'p'))
        return "an update is of a parameter by a gradient";
    return NULL;
}

static void every_row_is_whole(void **state)
{
    struct op_traits bad = op_traits[OP_CONV];

    (void)state;
    for (int k = 0; k < OP_KINDS; k++) {
        if (wrong_row(&op_traits[k]))
            fail_msg("%s: %s", op_kind_name((enum op_kind)k), wrong_row(&op_traits[k]));
    }
    bad.in[1].role = 'x'; /* the controls */
    assert_non_null(wrong_row(&bad));
    bad = op_traits[OP_CONV];
    bad.in[0].changed = true;
    assert_non_null(wrong_row(&bad));
    bad = op_traits[OP_CONV];
    bad.in[1].in_place = true;
    assert_non_null(wrong_row(&bad));
}

static void shapes_follow_from_letters(void **state)
{
    int sizes[OP_LETTERS] = {0}, d[4];
    const struct op conv = {.kind = OP_CONV, .stride = 2, .pad = 1};

    (void)state;
    op_sizes_bind(sizes, "n c h w", (const int[]){4, 24, 9, 7});
    op_sizes_bind(sizes, "k c/g r s", (const int[]){16, 3, 3, 2});
    op_sizes_bind(sizes, "n k p q", (const int[]){5, 17, 18, 19}); /* the first size counts */
    op_sizes_derive(sizes, &conv);
    sizes['g' - 'a'] = 8;
    op_shape(d, "n k p q", sizes);
    assert_memory_equal(d, ((int[]){4, 16, 5, 4}), sizeof d);
    op_shape(d, "k c/g r s", sizes);
    assert_memory_equal(d, ((int[]){16, 3, 3, 2}), sizeof d);
    op_shape(d, "2 2c c/8", sizes);
    assert_memory_equal(d, ((int[]){2, 48, 3, 1}), sizeof d);
    op_shape(d, "e", sizes);
    assert_memory_equal(d, ((int[]){16 * 24 * 3 * 2, 1, 1, 1}), sizeof d);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks),
        cmocka_unit_test(a_sound_list_passes),
        cmocka_unit_test(shapes_are_checked),
        cmocka_unit_test(roles_and_places_are_checked),
        cmocka_unit_test(zeros_are_no_tensors),
        cmocka_unit_test(order_is_checked),
        cmocka_unit_test(types_agree_within_an_op),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(the_table_names_every_tensor),
        cmocka_unit_test(every_table_is_in_the_docs),
        cmocka_unit_test(every_row_is_whole),
        cmocka_unit_test(shapes_follow_from_letters),
    };

    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        for (enum op_pass pass = PASS_FORWARD; pass <= PASS_OPTIMISER; pass++) {
            char *table = table_of(pass);

            printf("%s\n", table);
            free(table);
        }
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
