/* cpu_conv.c - convolutions and linear layers on the cpu, one thread per microbatch.
 *
 * Weight gradients: every microbatch writes a leaf of its own; the leaves are summed by the fixed
 * tree and put into plain layout later, as work that fills idle threads.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/cpu.h"
#include "base/size.h"

enum {
    PART_BYTES =
        128 << 10 /* what of a gradient is summed at a time stays in the second-level cache */
};

void *job_leaf(const struct job *j)
{
    const int before = machine_rank(j->p->be->options.ranks) * j->p->n_micro;

    return j->op->leaves + (size_t)(before + j->micro) * j->op->leaf_bytes;
}

void leaves_sum(const struct be_program *p, const struct cpu_op *o, const struct subtree *s,
                int part, float *sum)
{
    const float *leaves =
        (const float *)(const void *)(o->leaves + (size_t)s->first * o->leaf_bytes);

    p->be->kernels->tree_sum(sum, leaves + (size_t)part * o->part_n, o->leaf_bytes / sizeof(float),
                             s->n, o->part_n);
}

static int conv_of(struct be_program *p, struct cpu_op *o, enum conv_pass pass, int x, int weight,
                   int y, struct err *err)
{
    const struct tensor *tx = op_tensor(p, x), *tw = op_tensor(p, weight), *ty = op_tensor(p, y);
    const struct conv_shape s = {
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
        .groups = tx->dims[1] / tw->dims[1],
        .dtype = tx->dtype,
    };

    if (conv_new(&o->conv, &s, p->be->conv_isa, err) < 0)
        return err_wrap(err, "%s", tw->name);
    o->scratch_bytes = conv_scratch(o->conv);
    return 0;
}

static int weight_of(struct be_program *p, struct cpu_op *o, struct err *err)
{
    const struct conv_format f = conv_weight_format(o->conv);

    return weight_copy_get(&o->weight, p->be, o->param[1], &f, err);
}

static void conv_run(const struct job *j)
{
    const struct op *op = j->op->op;

    conv_forward(j->op->conv, job_data(j, op->in[0]), j->op->weight->data, job_data(j, op->out[0]),
                 NULL, worker_scratch(j->p, j->worker));
}

int cpu_conv(struct be_program *p, struct cpu_op *o, struct err *err)
{
    if (conv_of(p, o, CONV_FORWARD, o->op->in[0], o->op->in[1], o->op->out[0], err) < 0 ||
        weight_of(p, o, err) < 0)
        return -1;
    o->run = conv_run;
    return cpu_fold(p, o, err);
}

static void conv_bwd_data_run(const struct job *j)
{
    const struct op *op = j->op->op;

    conv_backward_data(j->op->conv, job_data(j, op->in[0]), j->op->weight->data,
                       job_data(j, op->out[0]), worker_scratch(j->p, j->worker));
}

int cpu_conv_bwd_data(struct be_program *p, struct cpu_op *o, struct err *err)
{
    if (conv_of(p, o, CONV_BACKWARD_DATA, o->op->out[0], o->op->in[1], o->op->in[0], err) < 0)
        return -1;
    o->run = conv_bwd_data_run;
    return weight_of(p, o, err);
}

static void conv_bwd_weight_run(const struct job *j)
{
    const struct op *op = j->op->op;

    conv_backward_weight(j->op->conv, job_data(j, op->in[0]), job_data(j, op->in[1]), job_leaf(j),
                         worker_scratch(j->p, j->worker));
}

/* Its share of the gradient is as many of the filters. */
static void conv_bwd_weight_fill(struct be_program *p, const struct cpu_op *o, int part, int worker)
{
    float *sum = worker_sum(p, worker);
    const int each = conv_leaf_parts(o->conv) / o->parts;
    const size_t n = o->part_n / (size_t)each;

    for (int k = 0; k < ranks_subtrees(p); k++) {
        const struct subtree s = ranks_subtree(p, o, k);

        leaves_sum(p, o, &s, part, sum);
        for (int i = 0; i < each; i++)
            conv_leaf_plain(o->conv, part * each + i, sum + (size_t)i * n, s.plain);
    }
}

int cpu_conv_bwd_weight(struct be_program *p, struct cpu_op *o, struct err *err)
{
    size_t bytes;

    if (conv_of(p, o, CONV_BACKWARD_WEIGHT, o->op->in[0], o->op->out[0], o->op->in[1], err) < 0)
        return -1;
    bytes = conv_leaf_floats(o->conv) * sizeof(float);
    for (o->parts = conv_leaf_parts(o->conv);
         o->parts % 2 == 0 && bytes / (size_t)o->parts < PART_BYTES;)
        o->parts /= 2;
    o->part_n = bytes / sizeof(float) / (size_t)o->parts;
    o->leaf_bytes = align_up(bytes, 64);
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

static void linear_job(const struct job *j)
{
    linear_run(&j->op->linear, j->p->be->isa, job_data(j, j->op->op->in[0]), j->op->weight->data,
               job_data(j, j->op->op->out[0]), j->op->pictures, worker_scratch(j->p, j->worker));
}

static int linear_of(struct be_program *p, struct cpu_op *o, bool backward, struct err *err)
{
    o->linear = linear_format(o->param[1]->dims[0], o->param[1]->dims[1], backward);
    o->scratch_bytes = linear_scratch(&o->linear, o->pictures);
    o->run = linear_job;
    if (f32_only(p, o, err) < 0)
        return -1;
    return weight_copy_get(&o->weight, p->be, o->param[1], &o->linear, err);
}

int cpu_linear(struct be_program *p, struct cpu_op *o, struct err *err)
{
    return linear_of(p, o, false, err);
}

int cpu_linear_bwd_data(struct be_program *p, struct cpu_op *o, struct err *err)
{
    return linear_of(p, o, true, err);
}

static void linear_bwd_weight_run(const struct job *j)
{
    const int *dims = op_tensor(j->p, j->op->op->out[0])->dims;

    linear_gradient(j->p->be->isa, job_leaf(j), job_data(j, j->op->op->in[1]),
                    job_data(j, j->op->op->in[0]), j->op->pictures, dims[0], dims[1]);
}

static void linear_bwd_weight_fill(struct be_program *p, const struct cpu_op *o, int part,
                                   int worker)
{
    (void)worker;
    for (int k = 0; k < ranks_subtrees(p); k++) {
        const struct subtree s = ranks_subtree(p, o, k);

        leaves_sum(p, o, &s, part, s.plain + (size_t)part * o->part_n);
    }
}

void leaf_parts(struct cpu_op *o, size_t n)
{
    o->part_n = n;
    o->leaf_bytes = align_up(n * sizeof(float), 64);
    for (o->parts = 1; o->part_n % 2 == 0 && o->part_n / 2 * sizeof(float) >= PART_BYTES;
         o->parts *= 2)
        o->part_n /= 2;
    o->fill = linear_bwd_weight_fill;
}

int cpu_linear_bwd_weight(struct be_program *p, struct cpu_op *o, struct err *err)
{
    leaf_parts(o, tensor_elements(op_tensor(p, o->op->out[0])));
    o->run = linear_bwd_weight_run;
    return f32_only(p, o, err);
}
