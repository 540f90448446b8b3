/* cpu_conv.c - convolutions and linear layers on the cpu: oneDNN, one thread per microbatch.
 *
 * Weight gradients: every microbatch writes a leaf of its own; the leaves are summed by the fixed
 * tree and put into plain layout later, as work that fills idle threads.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/cpu.h"
#include "base/size.h"

enum {
    PART_BYTES = 128 << 10
}; /* what of a gradient is summed at a time stays in the second-level cache */

static enum dnn_layout layout_of(const struct be *b, const struct tensor *t)
{
    return !b->blocked ? DNN_NHWC : t->dims[1] % LANES ? DNN_NCHW : DNN_BLOCKED16;
}

/* Winograd F(4x4, 3x3) where it is faster than direct convolution and has room to be exact: fp32,
 * stride 1, 3x3. A rule on shapes alone, so that it never depends on a measurement. */
static bool wants_winograd(const struct be *b, const struct dnn_conv_desc *c)
{
    return b->options.winograd == WINOGRAD_AUTO && c->dtype == DTYPE_F32 && c->r == 3 &&
           c->s == 3 && c->stride == 1 && c->h >= 14;
}

struct dnn_conv_desc conv_desc(const struct be_program *p, const struct cpu_op *o,
                               enum dnn_pass pass, int x, int weight, int y)
{
    const struct tensor *tx = op_tensor(p, x), *tw = op_tensor(p, weight), *ty = op_tensor(p, y);
    struct dnn_conv_desc c = {
        .pass = pass,
        .n = o->pictures,
        .c = tx->dims[1],
        .h = tx->dims[2],
        .w = tx->dims[3],
        .k = tw->dims[0],
        .r = tw->dims[2],
        .s = tw->dims[3],
        .p = ty->dims[2],
        .q = ty->dims[3],
        .stride = o->op->stride,
        .pad = o->op->pad,
        .dtype = tx->dtype,
        .x = layout_of(p->be, tx),
        .y = layout_of(p->be, ty),
    };

    c.winograd = wants_winograd(p->be, &c);
    return c;
}

static int conv_new(struct be_program *p, struct cpu_op *o, enum dnn_pass pass, int x, int weight,
                    int y, struct err *err)
{
    const struct dnn_conv_desc c = conv_desc(p, o, pass, x, weight, y);

    if (c.k % LANES || (c.c % LANES && c.c > 3))
        return err_set(
            err, ERR_UNSUPPORTED,
            "%s: the cpu backend takes 1 to 3 channels or a multiple of %d, not %d to %d",
            op_tensor(p, weight)->name, LANES, c.c, c.k);
    return dnn_conv_new(&o->conv, p->be->dnn, &c, err);
}

static void conv_run(const struct job *j)
{
    const struct op *op = j->op->op;
    const int worker = j->worker;

    if (dnn_conv_run(j->op->conv, worker, job_data(j, op->in[0]), j->op->weight->data,
                     job_data(j, op->out[0]), worker_scratch(j->p, worker)) < 0)
        job_fail(j);
}

int cpu_conv(struct be_program *p, struct cpu_op *o, struct err *err)
{
    const int folded = cpu_fold(p, o, err);

    if (folded != 0)
        return folded < 0 ? -1 : 0;
    if (conv_new(p, o, DNN_FORWARD, o->op->in[0], o->op->in[1], o->op->out[0], err) < 0)
        return -1;
    o->run = conv_run;
    return weight_copy_get(&o->weight, p->be, o->param[1], dnn_conv_format(o->conv), err);
}

static void conv_bwd_data_run(const struct job *j)
{
    const struct op *op = j->op->op;
    const int worker = j->worker;

    if (dnn_conv_run(j->op->conv, worker, job_data(j, op->out[0]), j->op->weight->data,
                     job_data(j, op->in[0]), worker_scratch(j->p, worker)) < 0)
        job_fail(j);
}

int cpu_conv_bwd_data(struct be_program *p, struct cpu_op *o, struct err *err)
{
    if (conv_new(p, o, DNN_BACKWARD_DATA, o->op->out[0], o->op->in[1], o->op->in[0], err) < 0)
        return -1;
    o->run = conv_bwd_data_run;
    return weight_copy_get(&o->weight, p->be, o->param[1], dnn_conv_format(o->conv), err);
}

static void *leaf(const struct job *j)
{
    return j->op->leaves + (size_t)j->micro * j->op->leaf_bytes;
}

static void conv_bwd_weight_run(const struct job *j)
{
    const struct op *op = j->op->op;
    const int worker = j->worker;

    if (dnn_conv_run(j->op->conv, worker, job_data(j, op->in[0]), leaf(j), job_data(j, op->in[1]),
                     worker_scratch(j->p, worker)) < 0)
        job_fail(j);
}

/* Sums PART of the leaves into SUM. */
static void sum_leaves(const struct be_program *p, const struct cpu_op *o, int part, float *sum)
{
    const float *leaves = (const float *)(const void *)o->leaves;

    p->be->kernels->tree_sum(sum, leaves + (size_t)part * o->part_n, o->leaf_bytes / sizeof(float),
                             p->n_micro, o->part_n);
}

/* Its share of the gradient is as many of the filters. */
static void conv_bwd_weight_fill(struct be_program *p, const struct cpu_op *o, int part, int worker)
{
    float *sum = worker_sum(p, worker), *gradient = p->data[o->op->out[0]];
    const size_t n = tensor_elements(op_tensor(p, o->op->out[0])) / (size_t)o->parts;

    sum_leaves(p, o, part, sum);
    if (dnn_reorder_run(o->to_plain, worker, sum, gradient + (size_t)part * n,
                        worker_scratch(p, worker)) < 0)
        atomic_store(&p->failed, true);
}

int cpu_conv_bwd_weight(struct be_program *p, struct cpu_op *o, struct err *err)
{
    const struct dnn_format *format;

    if (conv_new(p, o, DNN_BACKWARD_WEIGHT, o->op->in[0], o->op->out[0], o->op->in[1], err) < 0)
        return -1;
    format = dnn_conv_format(o->conv);
    o->parts = dnn_format_parts(format, PART_BYTES);
    if (dnn_reorder_new(&o->to_plain, p->be->dnn, op_tensor(p, o->op->out[0])->dims, format,
                        o->parts, true, err) < 0)
        return -1;
    o->part_n = dnn_format_bytes(format) / sizeof(float) / (size_t)o->parts;
    o->leaf_bytes = align_up(dnn_format_bytes(format), 64);
    o->run = conv_bwd_weight_run;
    o->fill = conv_bwd_weight_fill;
    return 0;
}

/* ---- linear layers: x (n, c), weight (k, c), y (n, k), plain f32
 * ---------------------------------- */

int f32_only(const struct be_program *p, const struct cpu_op *o, struct err *err)
{
    const struct tensor *t = op_tensor(p, o->op->in[0]);

    if (t->dtype != DTYPE_F32)
        return err_set(err, ERR_UNSUPPORTED, "%s: the cpu backend runs this op in fp32 only",
                       t->name);
    return 0;
}

static void linear_run(const struct job *j)
{
    const struct persistent *w = j->op->param[1];
    const int k = w->dims[0], c = w->dims[1];

    if (dnn_gemm(false, true, j->op->pictures, k, c, job_data(j, j->op->op->in[0]), c, w->data, c,
                 job_data(j, j->op->op->out[0]), k) < 0)
        job_fail(j);
}

int cpu_linear(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->run = linear_run;
    return f32_only(p, o, err);
}

static void linear_bwd_data_run(const struct job *j)
{
    const struct persistent *w = j->op->param[1];
    const int k = w->dims[0], c = w->dims[1];

    if (dnn_gemm(false, false, j->op->pictures, c, k, job_data(j, j->op->op->in[0]), k, w->data, c,
                 job_data(j, j->op->op->out[0]), c) < 0)
        job_fail(j);
}

int cpu_linear_bwd_data(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->run = linear_bwd_data_run;
    return f32_only(p, o, err);
}

static void linear_bwd_weight_run(const struct job *j)
{
    const int *dims = op_tensor(j->p, j->op->op->out[0])->dims, k = dims[0], c = dims[1];

    if (dnn_gemm(true, false, k, c, j->op->pictures, job_data(j, j->op->op->in[1]), k,
                 job_data(j, j->op->op->in[0]), c, leaf(j), c) < 0)
        job_fail(j);
}

static void linear_bwd_weight_fill(struct be_program *p, const struct cpu_op *o, int part,
                                   int worker)
{
    float *gradient = p->data[o->op->out[0]];

    (void)worker;
    sum_leaves(p, o, part, gradient + (size_t)part * o->part_n);
}

int cpu_linear_bwd_weight(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->part_n = tensor_elements(op_tensor(p, o->op->out[0]));
    o->leaf_bytes = align_up(o->part_n * sizeof(float), 64);
    for (o->parts = 1; o->part_n % 2 == 0 && o->part_n / 2 * sizeof(float) >= PART_BYTES;
         o->parts *= 2)
        o->part_n /= 2;
    o->run = linear_bwd_weight_run;
    o->fill = linear_bwd_weight_fill;
    return f32_only(p, o, err);
}
