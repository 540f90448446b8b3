/* op_check.c - what each kind of op takes, and whether a list keeps to it.
 *
 * Every tensor but PARAM and STATE has at most one writer, so a tensor's number names its value and
 * the planner may give its room to another once the last reader is through.
 * SPDX-License-Identifier: MIT */
#include "backend/op.h"

#include <stdlib.h>
#include <string.h>

#include "base/size.h"

enum { MAX_GROUPS = 8, MAX_DIM = 1 << 24, MAX_FILTER = 255 };

/* What stands in each place of a row of the table in op.h:
 *   a ACT, F32 or 16 bits   f ACT, F32   u ACT, U8   b ACT, BITS   i ACT, I32   p PARAM   s STATE   g GRAD
 *   t STAT   e PARAM or STATE
 * a capital may be absent. */
struct op_row {
    const char *name, *in, *out;
};
// clang-format off
static const struct op_row rows[OP_KINDS] = {
    [OP_AUGMENT]           = {"augment",           "",       "a"},
    [OP_CONV]              = {"conv",              "ap",     "a"},
    [OP_BN_STATS]          = {"bn_stats",          "aSS",    "t"},
    [OP_BN_APPLY]          = {"bn_apply",          "atppA",  "aB"},
    [OP_BN_INFER]          = {"bn_infer",          "assppA", "a"},
    [OP_RELU]              = {"relu",              "a",      "a"},
    [OP_MAX_POOL]          = {"max_pool",          "a",      "au"},
    [OP_CONCAT_POOL]       = {"concat_pool",       "a",      "fi"},
    [OP_LINEAR]            = {"linear",            "ap",     "a"},
    [OP_DROPOUT]           = {"dropout",           "a",      "a"},
    [OP_SOFTMAX_LOSS]      = {"softmax_loss",      "a",      "afA"},
    [OP_LINEAR_BWD_DATA]   = {"linear_bwd_data",   "ap",     "a"},
    [OP_LINEAR_BWD_WEIGHT] = {"linear_bwd_weight", "aa",     "g"},
    [OP_DROPOUT_BWD]       = {"dropout_bwd",       "a",      "a"},
    [OP_RELU_BWD]          = {"relu_bwd",          "aa",     "a"},
    [OP_CONCAT_POOL_BWD]   = {"concat_pool_bwd",   "fi",     "a"},
    [OP_MAX_POOL_BWD]      = {"max_pool_bwd",      "aAu",    "a"},
    [OP_BN_BWD_STATS]      = {"bn_bwd_stats",      "aABat",  "Atgg"},
    [OP_BN_BWD_APPLY]      = {"bn_bwd_apply",      "aattp",  "a"},
    [OP_BN_RELU_BWD_STATS] = {"bn_relu_bwd_stats", "aatpp",  "tgg"},
    [OP_BN_RELU_BWD_APPLY] = {"bn_relu_bwd_apply", "aattpp", "a"},
    [OP_CONV_BWD_DATA]     = {"conv_bwd_data",     "ap",     "a"},
    [OP_CONV_BWD_WEIGHT]   = {"conv_bwd_weight",   "aa",     "g"},
    [OP_GRAD_SUM]          = {"grad_sum",          "gs",     "g"},
    [OP_GRAD_NORM]         = {"grad_norm",         "",       "t"},
    [OP_ADAM]              = {"adam",              "gpssT",  ""},
    [OP_SGD]               = {"sgd",               "gpsT",   ""},
    [OP_EMA]               = {"ema",               "es",     ""},
};
// clang-format on

const char *op_kind_name(enum op_kind k)
{
    return (unsigned)k < OP_KINDS ? rows[k].name : "unknown";
}

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

/* Tensor T, when there is one, must have these dims. */
static int want(const struct check *c, int t, int d0, int d1, int d2, int d3)
{
    const int *d;

    if (t < 0)
        return 0;
    d = c->l->tensors[t].dims;
    if (d[0] == d0 && d[1] == d1 && d[2] == d2 && d[3] == d3)
        return 0;
    return err_set(c->err, ERR_INPUT, "op %d (%s): %s is %dx%dx%dx%d, expected %dx%dx%dx%d",
                   op_number(c), op_kind_name(c->op->kind), c->l->tensors[t].name, d[0], d[1], d[2],
                   d[3], d0, d1, d2, d3);
}

static int want_like(const struct check *c, int t, const int d[4])
{
    return want(c, t, d[0], d[1], d[2], d[3]);
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

/* The places of one side of an op against its row's letters. */
static int check_places(const struct check *c, const char *letters, const int *place, int n,
                        const char *side)
{
    int given = (int)strlen(letters);

    for (int i = 0; i < n; i++) {
        bool may_lack = i >= given || (letters[i] >= 'A' && letters[i] <= 'Z');
        char letter = i < given ? (char)(letters[i] | 0x20) : 0;

        if (place[i] < -1 || place[i] >= c->l->n_tensors || (place[i] < 0 && !may_lack) ||
            (place[i] >= 0 && !letter))
            return err_set(c->err, ERR_INPUT, "op %d (%s): %s %d is %s", op_number(c),
                           op_kind_name(c->op->kind), side, i,
                           place[i] < 0 ? "missing" : "not a tensor it takes");
        if (place[i] >= 0 && !role_fits(letter, &c->l->tensors[place[i]]))
            return err_set(c->err, ERR_INPUT, "op %d (%s): %s %d, %s, has the wrong role or type",
                           op_number(c), op_kind_name(c->op->kind), side, i,
                           c->l->tensors[place[i]].name);
    }
    return 0;
}

/* Tensors that may be F32, BF16 or F16 are of one type within an op. */
static int check_types(const struct check *c)
{
    const struct op_row *row = &rows[c->op->kind];
    int first = -1;

    for (int i = 0; i < OP_MAX_IN + OP_MAX_OUT; i++) {
        bool input = i < OP_MAX_IN;
        const char *letters = input ? row->in : row->out;
        int k = input ? i : i - OP_MAX_IN, t = input ? c->op->in[k] : c->op->out[k];

        if (t < 0 || (letters[k] | 0x20) != 'a')
            continue;
        if (first < 0)
            first = t;
        if (c->l->tensors[t].dtype != c->l->tensors[first].dtype)
            return err_set(c->err, ERR_INPUT, "op %d (%s): %s is %s, but %s is %s", op_number(c),
                           row->name, c->l->tensors[first].name,
                           dtype_name(c->l->tensors[first].dtype), c->l->tensors[t].name,
                           dtype_name(c->l->tensors[t].dtype));
    }
    return 0;
}

/* x (n,c,h,w), weight (k,c/groups,r,s), y (n,k,p,q) of any of the three convolutions. */
static int check_conv(const struct check *c, int x, int weight, int y)
{
    const int *dx = c->l->tensors[x].dims, *dw = c->l->tensors[weight].dims;
    int stride = c->op->stride, pad = c->op->pad;
    int p = 0, q = 0;

    if (stride < 1 || pad < 0 || stride > MAX_FILTER || pad > MAX_FILTER)
        return refuse(c, "stride must be at least 1 and pad at least 0");
    if (dw[2] > MAX_FILTER || dw[3] > MAX_FILTER)
        return refuse(c, "filter larger than 255");
    if (dx[2] + 2 * pad < dw[2] || dx[3] + 2 * pad < dw[3] || pad >= dw[2] || pad >= dw[3])
        return refuse(c, "the filter does not fit into the padded input");
    p = (dx[2] + 2 * pad - dw[2]) / stride + 1;
    q = (dx[3] + 2 * pad - dw[3]) / stride + 1;
    if (dw[1] < 1 || dx[1] % dw[1] || dw[0] % (dx[1] / dw[1])) /* no equal groups */
        return want(c, weight, dw[0], dx[1], dw[2], dw[3]);
    if (want(c, weight, dw[0], dw[1], dw[2], dw[3]) < 0)
        return -1;
    return want(c, y, c->l->batch, dw[0], p, q);
}

/* x (n,c), weight (k,c), y (n,k). */
static int check_linear(const struct check *c, int x, int weight, int y)
{
    const int *dx = c->l->tensors[x].dims, *dy = c->l->tensors[y].dims;

    if (want(c, x, c->l->batch, dx[1], 1, 1) < 0 || want(c, y, c->l->batch, dy[1], 1, 1) < 0)
        return -1;
    return want(c, weight, dy[1], dx[1], 1, 1);
}

/* STAT (2, c) and what else there is of a channel. */
static int want_channels(const struct check *c, int channels, int stat, int a, int b)
{
    if (want(c, stat, 2, channels, 1, 1) < 0 || want(c, a, channels, 1, 1, 1) < 0)
        return -1;
    return want(c, b, channels, 1, 1, 1);
}

/* A bit for each element of a tensor of dims D. */
static int want_mask(const struct check *c, int t, const int d[4])
{
    if (t >= 0 && d[1] % 8 != 0)
        return refuse(c, "a mask takes a multiple of 8 channels");
    return want(c, t, d[0], d[1] / 8, d[2], d[3]);
}

static int check_bn_bwd(const struct check *c)
{
    const int *in = c->op->in, *out = c->op->out;
    const int *d = c->l->tensors[in[c->op->kind == OP_BN_BWD_STATS ? 3 : 1]].dims;

    switch (c->op->kind) {
    case OP_BN_BWD_STATS:
        if ((out[0] >= 0) != (in[1] >= 0 || in[2] >= 0))
            return refuse(c, "g is written where dz2 or a mask is given, and only there");
        if (want_like(c, in[0], d) < 0 || want_like(c, in[1], d) < 0 || want_mask(c, in[2], d) < 0)
            return -1;
        if (want_channels(c, d[1], in[4], -1, -1) < 0 || want_like(c, out[0], d) < 0)
            return -1;
        return want_channels(c, d[1], out[1], out[2], out[3]);
    case OP_BN_RELU_BWD_STATS:
        if (want_like(c, in[0], d) < 0 || want_channels(c, d[1], in[2], in[3], in[4]) < 0)
            return -1;
        return want_channels(c, d[1], out[0], out[1], out[2]);
    default: /* OP_BN_BWD_APPLY, OP_BN_RELU_BWD_APPLY */
        if (want_like(c, in[0], d) < 0 || want_channels(c, d[1], in[2], in[4], in[5]) < 0 ||
            want_channels(c, d[1], in[3], -1, -1) < 0)
            return -1;
        return want_like(c, out[0], d);
    }
}

static int check_bn(const struct check *c)
{
    const int *in = c->op->in, *out = c->op->out;
    const int *d;
    int channels;

    switch (c->op->kind) {
    case OP_BN_STATS:
        channels = c->l->tensors[in[0]].dims[1];
        if ((in[1] < 0) != (in[2] < 0))
            return refuse(c, "running mean and variance come together");
        if (want(c, in[1], channels, 1, 1, 1) < 0 || want(c, in[2], channels, 1, 1, 1) < 0)
            return -1;
        return want(c, out[0], 2, channels, 1, 1);
    case OP_BN_APPLY:
        d = c->l->tensors[in[0]].dims;
        if (want(c, in[1], 2, d[1], 1, 1) < 0 || want(c, in[2], d[1], 1, 1, 1) < 0 ||
            want(c, in[3], d[1], 1, 1, 1) < 0 || want_like(c, in[4], d) < 0)
            return -1;
        if (out[1] >= 0 && !c->op->relu)
            return refuse(c, "a mask is of a relu");
        if (want_mask(c, out[1], d) < 0)
            return -1;
        return want_like(c, out[0], d);
    default: /* OP_BN_INFER */
        d = c->l->tensors[in[0]].dims;
        for (int i = 1; i <= 4; i++)
            if (want(c, in[i], d[1], 1, 1, 1) < 0)
                return -1;
        if (want_like(c, in[5], d) < 0)
            return -1;
        return want_like(c, out[0], d);
    }
}

static int check_pool(const struct check *c)
{
    const int *in = c->op->in, *out = c->op->out;
    const int *d;
    bool backward = c->op->kind == OP_MAX_POOL_BWD || c->op->kind == OP_CONCAT_POOL_BWD;
    int small = backward ? in[0] : out[0];

    d = c->l->tensors[backward ? out[0] : in[0]].dims;
    switch (c->op->kind) {
    case OP_MAX_POOL:
    case OP_MAX_POOL_BWD:
        for (int i = 0; i < 3; i++) {
            int t = backward ? in[i] : i < 2 ? out[i] : -1;

            if (want(c, t, d[0], d[1], (d[2] - 1) / 2 + 1, (d[3] - 1) / 2 + 1) < 0)
                return -1;
        }
        return 0;
    default:
        if (want(c, small, d[0], 2 * d[1], 1, 1) < 0)
            return -1;
        return want(c, backward ? in[1] : out[1], d[0], d[1], 1, 1);
    }
}

static int check_loss(const struct check *c)
{
    const int *d = c->l->tensors[c->op->in[0]].dims;

    if (!(c->op->smoothing >= 0.0f && c->op->smoothing < 1.0f) || !(c->op->focal >= 0.0f))
        return refuse(c, "smoothing must lie in [0, 1), focal be at least 0");
    if (want(c, c->op->in[0], c->l->batch, d[1], 1, 1) < 0 || want_like(c, c->op->out[0], d) < 0 ||
        want(c, c->op->out[1], c->l->batch, 1, 1, 1) < 0)
        return -1;
    return want_like(c, c->op->out[2], d);
}

static int check_optimiser(const struct check *c)
{
    const int *in = c->op->in;
    const int *d = in[0] < 0 ? NULL : c->l->tensors[in[0]].dims;

    switch (c->op->kind) {
    case OP_GRAD_SUM:
        if (want(c, in[1], c->l->tensors[in[1]].dims[0],
                 (int)tensor_elements(&c->l->tensors[in[0]]), 1, 1) < 0)
            return -1;
        return want_like(c, c->op->out[0], d);
    case OP_GRAD_NORM:
        if (!(c->op->max_norm > 0.0f))
            return refuse(c, "max_norm must be above 0");
        return want(c, c->op->out[0], 1, 1, 1, 1);
    case OP_EMA:
        return want_like(c, in[1], d);
    default: /* OP_ADAM, OP_SGD */
        if (c->op->group < 0 || c->op->group >= MAX_GROUPS)
            return refuse(c, "group must lie in [0, 7]");
        if (want_like(c, in[1], d) < 0 || want_like(c, in[2], d) < 0)
            return -1;
        if (c->op->kind == OP_SGD)
            return want(c, in[3], 1, 1, 1, 1);
        if (want_like(c, in[3], d) < 0)
            return -1;
        return want(c, in[4], 1, 1, 1, 1);
    }
}

static int check_shapes(const struct check *c)
{
    const int *in = c->op->in, *out = c->op->out;
    const int *d;

    switch (c->op->kind) {
    case OP_AUGMENT:
        d = c->l->tensors[out[0]].dims;
        return want(c, out[0], c->l->batch, 3, d[2], d[2]);
    case OP_CONV:
        return check_conv(c, in[0], in[1], out[0]);
    case OP_CONV_BWD_DATA:
        return check_conv(c, out[0], in[1], in[0]);
    case OP_CONV_BWD_WEIGHT:
        return check_conv(c, in[0], out[0], in[1]);
    case OP_BN_STATS:
    case OP_BN_APPLY:
    case OP_BN_INFER:
        return check_bn(c);
    case OP_BN_BWD_STATS:
    case OP_BN_BWD_APPLY:
    case OP_BN_RELU_BWD_STATS:
    case OP_BN_RELU_BWD_APPLY:
        return check_bn_bwd(c);
    case OP_DROPOUT:
    case OP_DROPOUT_BWD:
        if (!(c->op->rate >= 0.0f && c->op->rate < 1.0f))
            return refuse(c, "rate must lie in [0, 1)");
        d = c->l->tensors[in[0]].dims;
        if (c->op->layer < 0 || c->op->layer > 255 ||
            tensor_elements(&c->l->tensors[in[0]]) / (size_t)d[0] > 4 << 24)
            return refuse(c, "layer must lie in [0, 255], elements per picture below 2^26");
        return want_like(c, out[0], d);
    case OP_RELU:
        return want_like(c, out[0], c->l->tensors[in[0]].dims);
    case OP_RELU_BWD:
        if (want_like(c, in[1], c->l->tensors[in[0]].dims) < 0)
            return -1;
        return want_like(c, out[0], c->l->tensors[in[0]].dims);
    case OP_MAX_POOL:
    case OP_MAX_POOL_BWD:
    case OP_CONCAT_POOL:
    case OP_CONCAT_POOL_BWD:
        return check_pool(c);
    case OP_LINEAR:
        return check_linear(c, in[0], in[1], out[0]);
    case OP_LINEAR_BWD_DATA:
        return check_linear(c, out[0], in[1], in[0]);
    case OP_LINEAR_BWD_WEIGHT:
        return check_linear(c, in[0], out[0], in[1]);
    case OP_SOFTMAX_LOSS:
        return check_loss(c);
    case OP_GRAD_SUM:
    case OP_GRAD_NORM:
    case OP_ADAM:
    case OP_SGD:
    case OP_EMA:
        return check_optimiser(c);
    default:
        return refuse(c, "not an op");
    }
}

static int check_tensors(const struct op_list *l, struct err *err)
{
    for (int i = 0; i < l->n_tensors; i++) {
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
    for (int t = 0; t < l->n_tensors; t++)
        writer[t] = -1;
    for (int i = 0; i < l->n_ops; i++)
        for (int k = 0; k < OP_MAX_OUT; k++) {
            int t = l->ops[i].out[k];

            if (t >= 0 && writer[t] >= 0)
                return err_set(err, ERR_INPUT, "op %d (%s): %s was written by op %d already", i,
                               op_kind_name(l->ops[i].kind), l->tensors[t].name, writer[t]);
            if (t >= 0)
                writer[t] = i;
        }
    for (int i = 0; i < l->n_ops; i++)
        for (int k = 0; k < OP_MAX_IN; k++) {
            int t = l->ops[i].in[k];

            if (t >= 0 && writer[t] >= i)
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
        if (check_places(&c, rows[c.op->kind].in, c.op->in, OP_MAX_IN, "input") < 0 ||
            check_places(&c, rows[c.op->kind].out, c.op->out, OP_MAX_OUT, "output") < 0 ||
            check_types(&c) < 0 || check_shapes(&c) < 0)
            return -1;
    }
    writer = malloc(sizeof *writer * ((size_t)l->n_tensors + 1));
    if (!writer)
        return err_set(err, ERR_NOMEM, "the list of ops");
    rc = check_order(l, writer, err);
    free(writer);
    return rc;
}
