/* op_check.c - whether a list keeps to what op_traits.h says of each kind of op.
 *
 * Every tensor but PARAM and STATE has at most one writer, so a tensor's number names its value and
 * the planner may give its room to another once the last reader is through.
 * SPDX-License-Identifier: MIT */
#include "backend/op_traits.h"

#include <stdlib.h>
#include <string.h>

#include "base/size.h"

enum { MAX_DIM = 1 << 24 };

struct check { /* one op under examination */
    const struct op_list *l;
    const struct op *op;
    struct err *err;
};

static int op_number(const struct check *c)
{
    return (int)(c->op - c->l->ops);
}

static int refuse(const struct check *c, const char *what)
{
    return err_set(c->err, ERR_INPUT, "op %d (%s): %s", op_number(c), op_kind_name(c->op->kind),
                   what);
}

static bool role_fits(char letter, const struct tensor *t)
{
    switch (letter) {
    case 'a':
        return t->role == TENSOR_ACT && (t->dtype == DTYPE_F32 || dtype_is_16(t->dtype));
    case 'f':
        return t->role == TENSOR_ACT && t->dtype == DTYPE_F32;
    case 'u':
        return t->role == TENSOR_ACT && t->dtype == DTYPE_U8;
    case 'b':
        return t->role == TENSOR_ACT && t->dtype == DTYPE_BITS;
    case 'i':
        return t->role == TENSOR_ACT && t->dtype == DTYPE_I32;
    case 'p':
        return t->role == TENSOR_PARAM;
    case 's':
        return t->role == TENSOR_STATE;
    case 'e':
        return t->role == TENSOR_PARAM || t->role == TENSOR_STATE;
    case 'g':
        return t->role == TENSOR_GRAD;
    default:
        return t->role == TENSOR_STAT;
    }
}

/* Operand number I of an op's inputs and then outputs. */
static const struct operand *operand_at(const struct op *o, int i)
{
    return i < OP_MAX_IN ? &op_traits[o->kind].in[i] : &op_traits[o->kind].out[i - OP_MAX_IN];
}

static int tensor_at(const struct op *o, int i)
{
    return i < OP_MAX_IN ? o->in[i] : o->out[i - OP_MAX_IN];
}

static int check_places(const struct check *c)
{
    for (int i = 0; i < OP_MAX_IN + OP_MAX_OUT; i++) {
        const struct operand *o = operand_at(c->op, i);
        const char *side = i < OP_MAX_IN ? "input" : "output";
        const int t = tensor_at(c->op, i), number = i < OP_MAX_IN ? i : i - OP_MAX_IN;
        const bool may_lack = !o->name || (o->role >= 'A' && o->role <= 'Z');

        if (t < 0 || t >= c->l->n_tensors || (t == 0 && !may_lack) || (t > 0 && !o->name))
            return err_set(c->err, ERR_INPUT, "op %d (%s): %s %d is %s", op_number(c),
                           op_kind_name(c->op->kind), side, number,
                           t == 0 ? "missing" : "not a tensor it takes");
        if (t > 0 && !role_fits((char)(o->role | 0x20), &c->l->tensors[t]))
            return err_set(c->err, ERR_INPUT, "op %d (%s): %s %d, %s, has the wrong role or type",
                           op_number(c), op_kind_name(c->op->kind), side, number,
                           c->l->tensors[t].name);
    }
    return 0;
}

/* Tensors that may be F32, BF16 or F16 are of one type within an op. */
static int check_types(const struct check *c)
{
    int first = 0;

    for (int i = 0; i < OP_MAX_IN + OP_MAX_OUT; i++) {
        const int t = tensor_at(c->op, i);

        if (t == 0 || (operand_at(c->op, i)->role | 0x20) != 'a')
            continue;
        if (first == 0)
            first = t;
        if (c->l->tensors[t].dtype != c->l->tensors[first].dtype)
            return err_set(c->err, ERR_INPUT, "op %d (%s): %s is %s, but %s is %s", op_number(c),
                           op_kind_name(c->op->kind), c->l->tensors[first].name,
                           dtype_name(c->l->tensors[first].dtype), c->l->tensors[t].name,
                           dtype_name(c->l->tensors[t].dtype));
    }
    return 0;
}

/* The number of groups, by a weight of (k, c/g, r, s); 1 where those are no equal groups. */
static int groups_of(const int weight[4], int channels)
{
    if (weight[1] < 1 || channels % weight[1] || weight[0] % (channels / weight[1]))
        return 1;
    return channels / weight[1];
}

/* Every letter has one size in all of the op's shapes. */
static int check_shapes(const struct check *c)
{
    int sizes[OP_LETTERS] = {0};
    const char *wrong;

    for (int i = 0; i < OP_MAX_IN + OP_MAX_OUT; i++)
        if (tensor_at(c->op, i) > 0)
            op_sizes_bind(sizes, operand_at(c->op, i)->shape,
                          c->l->tensors[tensor_at(c->op, i)].dims);
    if (op_traits[c->op->kind].rule && (wrong = op_traits[c->op->kind].rule(c->op, sizes)))
        return refuse(c, wrong);
    op_sizes_derive(sizes, c->op);
    for (int i = 0; i < OP_MAX_IN + OP_MAX_OUT; i++) {
        const struct operand *o = operand_at(c->op, i);
        const struct tensor *t = &c->l->tensors[tensor_at(c->op, i)];
        int d[4];

        if (t->role == TENSOR_NONE)
            continue;
        if (strstr(o->shape, "c/8") && sizes['c' - 'a'] % 8)
            return refuse(c, "a mask takes a multiple of 8 channels");
        if (strstr(o->shape, "c/g"))
            sizes['g' - 'a'] = groups_of(t->dims, sizes['c' - 'a']);
        op_shape(d, o->shape, sizes);
        if (memcmp(d, t->dims, sizeof d) != 0)
            return err_set(c->err, ERR_INPUT, "op %d (%s): %s is %dx%dx%dx%d, expected %dx%dx%dx%d",
                           op_number(c), op_kind_name(c->op->kind), t->name, t->dims[0], t->dims[1],
                           t->dims[2], t->dims[3], d[0], d[1], d[2], d[3]);
    }
    return 0;
}

static int check_tensors(const struct op_list *l, struct err *err)
{
    for (int i = 1; i < l->n_tensors; i++) {
        const struct tensor *t = &l->tensors[i];
        size_t size = 8; /* bytes of the largest dtype, so that byte counts fit as well */

        for (int k = 0; k < 4; k++)
            if (t->dims[k] < 1 || t->dims[k] > MAX_DIM ||
                !mul_size(&size, size, (size_t)t->dims[k]))
                return err_set(err, ERR_INPUT, "tensor %s: dims %dx%dx%dx%d", t->name, t->dims[0],
                               t->dims[1], t->dims[2], t->dims[3]);
        if (t->role == TENSOR_ACT && t->dims[0] != l->batch)
            return err_set(err, ERR_INPUT, "tensor %s: %d pictures in a list of batch %d", t->name,
                           t->dims[0], l->batch);
        if (t->role != TENSOR_ACT && t->dtype != (t->role == TENSOR_STAT ? DTYPE_F64 : DTYPE_F32))
            return err_set(err, ERR_INPUT, "tensor %s: %s does not go with its role", t->name,
                           dtype_name(t->dtype));
        if (op_list_find(l, t->name) != i)
            return err_set(err, ERR_INPUT, "tensor %s: two of that name", t->name);
    }
    return 0;
}

/* Each tensor at most one writer, and no reader before it. WRITER has n_tensors entries. */
static int check_order(const struct op_list *l, int *writer, struct err *err)
{
    for (int t = 1; t < l->n_tensors; t++)
        writer[t] = -1;
    for (int i = 0; i < l->n_ops; i++)
        for (int k = 0; k < OP_MAX_OUT; k++) {
            int t = l->ops[i].out[k];

            if (t > 0 && writer[t] >= 0)
                return err_set(err, ERR_INPUT, "op %d (%s): %s was written by op %d already", i,
                               op_kind_name(l->ops[i].kind), l->tensors[t].name, writer[t]);
            if (t > 0)
                writer[t] = i;
        }
    for (int i = 0; i < l->n_ops; i++)
        for (int k = 0; k < OP_MAX_IN; k++) {
            int t = l->ops[i].in[k];

            if (t > 0 && writer[t] >= i)
                return err_set(err, ERR_INPUT, "op %d (%s): reads %s, which op %d writes later", i,
                               op_kind_name(l->ops[i].kind), l->tensors[t].name, writer[t]);
        }
    return 0;
}

int op_list_check(const struct op_list *l, struct err *err)
{
    int *writer;
    int rc;

    if (l->cap_tensors == OP_LIST_FAILED)
        return err_set(err, ERR_NOMEM, "the list of ops");
    if (check_tensors(l, err) < 0)
        return -1;
    for (int i = 0; i < l->n_ops; i++) {
        struct check c = {l, &l->ops[i], err};

        if ((unsigned)c.op->kind >= OP_KINDS)
            return refuse(&c, "not an op");
        if (check_places(&c) < 0 || check_types(&c) < 0 || check_shapes(&c) < 0)
            return -1;
    }
    writer = malloc(sizeof *writer * ((size_t)l->n_tensors + 1));
    if (!writer)
        return err_set(err, ERR_NOMEM, "the list of ops");
    rc = check_order(l, writer, err);
    free(writer);
    return rc;
}
