/* op.c - building and printing lists of ops.
 * SPDX-License-Identifier: MIT */
#include "backend/op.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backend/elem.h"
#include "backend/op_traits.h"
#include "base/size.h"

struct op_list *op_list_new(int batch, int microbatch)
{
    struct op_list *l;

    BUG_IF(batch < 1 || microbatch < 1 || batch % microbatch);
    l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->batch = batch;
    l->microbatch = microbatch;
    op_list_tensor(l, "", TENSOR_NONE, DTYPE_F32, 0, 0, 0, 0);
    if (l->cap_tensors == OP_LIST_FAILED) {
        op_list_free(l);
        return NULL;
    }
    return l;
}

struct op_list *op_list_copy(const struct op_list *l)
{
    struct op_list *copy = calloc(1, sizeof *copy);

    if (!copy)
        return NULL;
    copy->batch = l->batch;
    copy->microbatch = l->microbatch;
    copy->tensors = malloc(((size_t)l->n_tensors + 1) * sizeof *l->tensors);
    copy->ops = malloc(((size_t)l->n_ops + 1) * sizeof *l->ops);
    if (!copy->tensors || !copy->ops) {
        op_list_free(copy);
        return NULL;
    }
    if (l->n_tensors > 0)
        memcpy(copy->tensors, l->tensors, (size_t)l->n_tensors * sizeof *l->tensors);
    if (l->n_ops > 0)
        memcpy(copy->ops, l->ops, (size_t)l->n_ops * sizeof *l->ops);
    copy->n_tensors = copy->cap_tensors = l->n_tensors;
    copy->n_ops = copy->cap_ops = l->n_ops;
    return copy;
}

void op_list_free(struct op_list *l)
{
    if (!l)
        return;
    free(l->tensors);
    free(l->ops);
    free(l);
}

static void *grown(struct op_list *l, void *array, int n, int *cap, size_t item)
{
    void *larger;
    int room = *cap > 0 ? *cap : 64;

    if (l->cap_tensors == OP_LIST_FAILED)
        return NULL;
    if (array && n < *cap)
        return array;
    while (room <= n)
        room *= 2;
    larger = realloc(array, (size_t)room * item);
    if (larger)
        *cap = room;
    else
        l->cap_tensors = OP_LIST_FAILED;
    return larger;
}

int op_list_tensor(struct op_list *l, const char *name, enum tensor_role role, enum dtype dtype,
                   int d0, int d1, int d2, int d3)
{
    struct tensor *t = grown(l, l->tensors, l->n_tensors, &l->cap_tensors, sizeof *t);
    size_t length = strlen(name);

    if (!t)
        return 0;
    l->tensors = t;
    t += l->n_tensors;
    BUG_IF(length >= sizeof t->name);
    memset(t, 0, sizeof *t);
    memcpy(t->name, name, length + 1);
    t->role = role;
    t->dtype = dtype;
    t->dims[0] = d0;
    t->dims[1] = d1;
    t->dims[2] = d2;
    t->dims[3] = d3;
    return l->n_tensors++;
}

void op_list_add(struct op_list *l, struct op op)
{
    struct op *ops = grown(l, l->ops, l->n_ops, &l->cap_ops, sizeof *ops);

    if (!ops)
        return;
    l->ops = ops;
    ops[l->n_ops++] = op;
}

int op_list_find(const struct op_list *l, const char *name)
{
    for (int t = 1; t < l->n_tensors; t++)
        if (strcmp(l->tensors[t].name, name) == 0)
            return t;
    return 0;
}

bool op_list_folds(const struct op_list *l, int i)
{
    const int y = l->ops[i].out[0];
    int readers = 0;

    if (l->ops[i].kind != OP_CONV || i + 1 >= l->n_ops || l->ops[i + 1].kind != OP_BN_INFER ||
        l->ops[i + 1].in[0] != y)
        return false;
    for (int k = 0; k < l->n_ops; k++)
        for (int n = 0; n < OP_MAX_IN; n++)
            readers += l->ops[k].in[n] == y;
    return readers == 1;
}

const char *dtype_name(enum dtype t)
{
    static const char *const names[] = {"fp32", "bf16", "fp16", "u8", "bits", "i32", "fp64"};

    return (unsigned)t <= DTYPE_F64 ? names[t] : "unknown";
}

size_t dtype_size(enum dtype t)
{
    static const size_t sizes[] = {4, 2, 2, 1, 1, 4, 8};

    BUG_IF((unsigned)t > DTYPE_F64);
    return sizes[t];
}

bool dtype_is_16(enum dtype t)
{
    return t == DTYPE_BF16 || t == DTYPE_F16;
}

float dtype_get(const void *data, size_t i, enum dtype t)
{
    switch (t) {
    case DTYPE_BF16:
        return f32_from_bf16(((const uint16_t *)data)[i]);
    case DTYPE_F16:
        return f32_from_f16(((const uint16_t *)data)[i]);
    case DTYPE_U8:
    case DTYPE_BITS:
        return ((const uint8_t *)data)[i];
    case DTYPE_I32:
        return (float)((const int32_t *)data)[i];
    case DTYPE_F64:
        return (float)((const double *)data)[i];
    default:
        return ((const float *)data)[i];
    }
}

void dtype_put(void *data, size_t i, enum dtype t, float x)
{
    switch (t) {
    case DTYPE_BF16:
        ((uint16_t *)data)[i] = bf16_from_f32(x);
        return;
    case DTYPE_F16:
        ((uint16_t *)data)[i] = f16_from_f32(x);
        return;
    case DTYPE_U8:
    case DTYPE_BITS:
        ((uint8_t *)data)[i] = (uint8_t)x;
        return;
    case DTYPE_I32:
        ((int32_t *)data)[i] = (int32_t)x;
        return;
    case DTYPE_F64:
        ((double *)data)[i] = (double)x;
        return;
    default:
        ((float *)data)[i] = x;
    }
}

size_t tensor_elements(const struct tensor *t)
{
    return (size_t)t->dims[0] * (size_t)t->dims[1] * (size_t)t->dims[2] * (size_t)t->dims[3];
}

bool tensor_is_persistent(const struct tensor *t)
{
    return t->role == TENSOR_PARAM || t->role == TENSOR_STATE;
}

/* The names of the N tensors in PLACE, joined by commas and cut to SIZE bytes; what that took. */
static int print_names(char *line, size_t size, const struct op_list *l, const int *place, int n)
{
    int at = 0;

    line[0] = 0;
    for (int i = 0; i < n && at >= 0 && (size_t)at < size; i++) {
        if (place[i] > 0)
            at += snprintf(line + at, size - (size_t)at, "%s%s", at ? ", " : "",
                           l->tensors[place[i]].name);
    }
    return at;
}

void op_list_print(FILE *file, const struct op_list *l)
{
    fprintf(file, "%4s  %-17s %-44s %-38s %-5s %11s\n", "op", "kind", "reads", "writes", "type",
            "parameters");
    for (int i = 0; i < l->n_ops; i++) {
        const struct op *o = &l->ops[i];
        const struct tensor *t = o->out[0] > 0 ? &l->tensors[o->out[0]] : NULL;
        char reads[512], names[300], writes[400], kind[40];
        size_t parameters = 0;

        for (int k = 0; k < OP_MAX_IN; k++)
            if (l->tensors[o->in[k]].role == TENSOR_PARAM && !op_is_optimiser(o->kind))
                parameters += tensor_elements(&l->tensors[o->in[k]]);
        print_names(reads, sizeof reads, l, o->in, OP_MAX_IN);
        print_names(names, sizeof names, l, o->out, OP_MAX_OUT);
        if (t)
            snprintf(writes, sizeof writes, "%s %dx%dx%dx%d", names, t->dims[0], t->dims[1],
                     t->dims[2], t->dims[3]);
        else
            writes[0] = 0;
        if (o->stride)
            snprintf(kind, sizeof kind, "%s /%d p%d", op_kind_name(o->kind), o->stride, o->pad);
        else
            snprintf(kind, sizeof kind, "%s%s", op_kind_name(o->kind), o->relu ? " relu" : "");
        fprintf(file, "%4d  %-17s %-44s %-38s %-5s ", i, kind, reads, writes,
                t ? dtype_name(t->dtype) : "");
        if (parameters)
            fprintf(file, "%11zu\n", parameters);
        else
            fprintf(file, "%11s\n", "");
    }
}
