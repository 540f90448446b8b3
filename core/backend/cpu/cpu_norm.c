/* cpu_norm.c - batch norm on the cpu: sums per microbatch, the tree, per-channel coefficients.
 *
 * Statistics are sums in double over the stored values; mean, variance and the gradients'
 * coefficients are made from them in double on the caller's thread, once per batch.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"

/* Slab of tensor T and, as asked, room for sums and coefficients. */
static int norm_init(struct be_program *p, struct cpu_op *o, int tensor, bool sums, int rows,
                     struct err *err)
{
    const struct tensor *t = op_tensor(p, tensor);
    const size_t c = (size_t)t->dims[1];

    if (tensor_slab(&o->slab, p->be, t, o->pictures, err) < 0)
        return -1;
    if (sums)
        o->sums = calloc((size_t)ranks_all(p) * 2 * c, sizeof(double));
    if (rows)
        o->coef = aligned_alloc(64, (size_t)rows * c * sizeof(float));
    if ((sums && !o->sums) || (rows && !o->coef))
        return err_set(err, ERR_NOMEM, "batch norm of %zu channels", c);
    return 0;
}

static size_t channels(const struct cpu_op *o)
{
    return (size_t)o->slab.blocks * LANES;
}

static double *micro_sums(const struct job *j)
{
    return j->op->sums + (size_t)(ranks_first(j->p) + j->micro) * 2 * channels(j->op);
}

/* Whether the job's pictures are the first that its microbatch's sums are of. */
static bool begins(const struct job *j)
{
    return j->first == j->micro * j->p->micro;
}

/* Row 0 becomes the tree sum of the rows: pairs (2i, 2i + 1) level by level. */
static void tree_rows(double *rows, int n, size_t width)
{
    for (int gap = 1; gap < n; gap *= 2)
        for (int i = 0; i + gap < n; i += 2 * gap)
            for (size_t k = 0; k < width; k++)
                rows[(size_t)i * width + k] += rows[(size_t)(i + gap) * width + k];
}

/* The sums over all microbatches, in row 0. */
static void sum_up(struct be_program *p, const struct cpu_op *o)
{
    ranks_rows(p, o->sums, 2 * channels(o));
    tree_rows(o->sums, ranks_all(p), 2 * channels(o));
}

static double count(const struct be_program *p, const struct cpu_op *o)
{
    return (double)p->list->batch * ranks_count(p) * o->slab.h * o->slab.w;
}

/* ---- forward
 * ------------------------------------------------------------------------------------- */

static void stats_run(const struct job *j)
{
    double *sums = micro_sums(j);

    j->p->be->kernels->bn_stats(&j->op->slab, job_data(j, j->op->op->in[0]), begins(j), sums,
                                sums + channels(j->op));
}

/* The first process of a machine does, for all: they have the tensor in common, and the same sums. */
static void update_running(const struct be_program *p, struct persistent *r, const double *batch,
                           double factor)
{
    for (size_t i = 0; machine_rank(p->be->options.ranks) == 0 && i < r->n; i++)
        r->data[i] =
            (float)((1 - BN_MOMENTUM) * (double)r->data[i] + BN_MOMENTUM * factor * batch[i]);
    r->version++;
}

static void stats_finish(struct be_program *p, struct cpu_op *o)
{
    const size_t c = channels(o);
    const double m = count(p, o);
    double *mean = p->data[o->op->out[0]], *rstd = mean + c, *squares = o->sums + c;

    sum_up(p, o);
    for (size_t i = 0; i < c; i++) {
        mean[i] = o->sums[i] / m;
        squares[i] = squares[i] / m - mean[i] * mean[i]; /* now the biased variance */
        if (squares[i] < 0)
            squares[i] = 0;
        rstd[i] = 1 / sqrt(squares[i] + BN_EPS);
    }
    if (o->param[1])
        update_running(p, o->param[1], mean, 1);
    if (o->param[2])
        update_running(p, o->param[2], squares, m > 1 ? m / (m - 1) : 1);
}

int cpu_bn_stats(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->run = stats_run;
    o->finish = stats_finish;
    return norm_init(p, o, o->op->in[0], true, 0, err);
}

static void apply_run(const struct job *j)
{
    const struct cpu_op *o = j->op;
    const int residual = o->op->in[o->op->kind == OP_BN_INFER ? 5 : 4], mask = o->op->out[1];

    j->p->be->kernels->bn_apply(&o->slab, job_data(j, o->op->out[0]), job_data(j, mask),
                                job_data(j, o->op->in[0]), job_data(j, residual), o->coef,
                                o->coef + channels(o), o->op->relu);
}

/* What a norm does to a channel: y SCALE + SHIFT. */
static void scale_and_shift(float *scale, float *shift, double mean, double rstd, double gamma,
                            double beta)
{
    *scale = (float)(gamma * rstd);
    *shift = (float)(beta - mean * gamma * rstd);
}

static void apply_begin(struct be_program *p, struct cpu_op *o)
{
    const size_t c = channels(o);
    const double *stat = p->data[o->op->in[1]];

    for (size_t i = 0; i < c; i++)
        scale_and_shift(o->coef + i, o->coef + c + i, stat[i], stat[c + i],
                        (double)o->param[2]->data[i], (double)o->param[3]->data[i]);
}

int cpu_bn_apply(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->begin = apply_begin;
    o->run = apply_run;
    return norm_init(p, o, o->op->in[0], false, 2, err);
}

static void infer_begin(struct be_program *p, struct cpu_op *o)
{
    const size_t c = channels(o);

    (void)p;
    for (size_t i = 0; i < c; i++)
        scale_and_shift(o->coef + i, o->coef + c + i, (double)o->param[1]->data[i],
                        1 / sqrt((double)o->param[2]->data[i] + BN_EPS),
                        (double)o->param[3]->data[i], (double)o->param[4]->data[i]);
}

int cpu_bn_infer(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->begin = infer_begin;
    o->run = apply_run;
    return norm_init(p, o, o->op->in[0], false, 2, err);
}

/* ---- backward
 * ------------------------------------------------------------------------------------ */

/* Rows of coefficients: the mean of each channel, then what the op needs besides; scale and shift of the ReLU's
 * input, the same floats as forward, last. */
enum { STATS_ROWS = 1, APPLY_ROWS = 4, RELU_ROWS = 2 };

static bool through_relu(const struct cpu_op *o)
{
    return o->op->kind == OP_BN_RELU_BWD_STATS || o->op->kind == OP_BN_RELU_BWD_APPLY;
}

static float *row(const struct cpu_op *o, int i)
{
    return o->coef + (size_t)i * channels(o);
}

/* Rows FIRST and on of a RELU op: scale and shift, from in[2] and the parameters GAMMA and GAMMA + 1. */
static void relu_rows(const struct be_program *p, struct cpu_op *o, int first, int gamma)
{
    const double *stat = p->data[o->op->in[2]];

    for (size_t i = 0; i < channels(o); i++)
        scale_and_shift(row(o, first) + i, row(o, first + 1) + i, stat[i], stat[channels(o) + i],
                        (double)o->param[gamma]->data[i], (double)o->param[gamma + 1]->data[i]);
}

static void bwd_stats_begin(struct be_program *p, struct cpu_op *o)
{
    const double *stat = p->data[o->op->in[through_relu(o) ? 2 : 4]];

    for (size_t i = 0; i < channels(o); i++)
        o->coef[i] = (float)stat[i];
    if (through_relu(o))
        relu_rows(p, o, STATS_ROWS, 3);
}

static void bwd_stats_run(const struct job *j)
{
    const struct cpu_op *o = j->op;
    const struct kernels *k = j->p->be->kernels;
    const int *in = o->op->in;
    double *sums = micro_sums(j);

    if (through_relu(o))
        k->bn_relu_bwd_stats(&o->slab, job_data(j, in[0]), job_data(j, in[1]), row(o, STATS_ROWS),
                             row(o, STATS_ROWS + 1), o->coef, begins(j), sums, sums + channels(o));
    else
        k->bn_bwd_stats(&o->slab, job_data(j, o->op->out[0]), o->past, job_data(j, in[0]),
                        job_data(j, in[1]), job_data(j, in[2]), job_data(j, in[3]), o->coef,
                        begins(j), sums, sums + channels(o));
}

static void bwd_stats_finish(struct be_program *p, struct cpu_op *o)
{
    const size_t c = channels(o);
    const int *out = o->op->out + (through_relu(o) ? 0 : 1);
    const double *rstd = (const double *)p->data[o->op->in[through_relu(o) ? 2 : 4]] + c;
    double *bstat = p->data[out[0]];
    float *dgamma = p->data[out[1]], *dbeta = p->data[out[2]];

    sum_up(p, o);
    for (size_t i = 0; i < c; i++) {
        bstat[i] = o->sums[i];
        bstat[c + i] = o->sums[c + i] * rstd[i];
        dbeta[i] = (float)bstat[i];
        dgamma[i] = (float)bstat[c + i];
    }
}

static bool read_in_segment(const struct be_program *p, const struct cpu_op *o, int tensor)
{
    const struct segment *s = &p->plan->segments[o->segment];

    for (int i = s->first; i < s->first + s->n; i++)
        for (int k = 0; k < OP_MAX_IN; k++)
            if (p->list->ops[i].in[k] == tensor)
                return true;
    return false;
}

static int bwd_stats(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->begin = bwd_stats_begin;
    o->run = bwd_stats_run;
    o->finish = bwd_stats_finish;
    return norm_init(p, o, o->op->in[0], true, STATS_ROWS + (through_relu(o) ? RELU_ROWS : 0), err);
}

int cpu_bn_bwd_stats(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->past = !plan_same_room(p->plan, o->op->in[1], o->op->out[0]) &&
              !read_in_segment(p, o, o->op->out[0]);
    return bwd_stats(p, o, err);
}

int cpu_bn_relu_bwd_stats(struct be_program *p, struct cpu_op *o, struct err *err)
{
    return bwd_stats(p, o, err);
}

/* dy = a g + b (y - mean) + d with a = gamma rstd, b = -a rstd bstat1 / m, d = -a bstat0 / m:
 * Ioffe and Szegedy 2015 (ICML), section 3, collected. */
static void bwd_apply_begin(struct be_program *p, struct cpu_op *o)
{
    const size_t c = channels(o);
    const double *stat = p->data[o->op->in[2]], *bstat = p->data[o->op->in[3]], m = count(p, o);

    for (size_t i = 0; i < c; i++) {
        const double a = (double)o->param[4]->data[i] * stat[c + i];

        o->coef[i] = (float)stat[i];
        o->coef[c + i] = (float)a;
        o->coef[2 * c + i] = (float)(-a * stat[c + i] * bstat[c + i] / m);
        o->coef[3 * c + i] = (float)(-a * bstat[i] / m);
    }
    if (through_relu(o))
        relu_rows(p, o, APPLY_ROWS, 4);
}

static void bwd_apply_run(const struct job *j)
{
    const struct cpu_op *o = j->op;
    const bool relu = through_relu(o);

    j->p->be->kernels->bn_bwd_apply(&o->slab, job_data(j, o->op->out[0]), job_data(j, o->op->in[0]),
                                    job_data(j, o->op->in[1]), relu ? row(o, APPLY_ROWS) : NULL,
                                    relu ? row(o, APPLY_ROWS + 1) : NULL, o->coef, row(o, 1),
                                    row(o, 2), row(o, 3));
}

static int bwd_apply(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->begin = bwd_apply_begin;
    o->run = bwd_apply_run;
    return norm_init(p, o, o->op->in[0], false, APPLY_ROWS + (through_relu(o) ? RELU_ROWS : 0),
                     err);
}

int cpu_bn_bwd_apply(struct be_program *p, struct cpu_op *o, struct err *err)
{
    return bwd_apply(p, o, err);
}

int cpu_bn_relu_bwd_apply(struct be_program *p, struct cpu_op *o, struct err *err)
{
    return bwd_apply(p, o, err);
}
