/* cpu_onednn.c - convolutions and linear layers by oneDNN (exec.conv=onednn): a second opinion, and the
 * arithmetic of earlier versions.
 *
 * In inference a convolution and the batch norm after it are one primitive: w' = w gamma / sqrt(var + eps),
 * bias = beta - mean gamma / sqrt(var + eps). SPDX-License-Identifier: MIT */
#include "backend/cpu/cpu.h"

#ifdef PRESIZE_ONEDNN
#include <math.h>
#include <stdlib.h>

#include "backend/cpu/onednn.h"
#include "base/size.h"

enum {
    PART_BYTES =
        128 << 10 /* what of a gradient is summed at a time stays in the second-level cache */
};

struct dnn_fold { /* a BN_INFER in the convolution before it */
    const struct op *norm;
    bool add_after; /* residual and ReLU in a pass of their own: Winograd has no such end */
    struct persistent *from[5]; /* weight, mean, var, gamma, beta; borrowed */
    uint64_t version;           /* sum of theirs when folded: it only grows */
    float *scaled, *bias;       /* plain weights (k, c, r, s); (k) */
    void *weight;               /* in the primitive's format */
    struct dnn_reorder *reorder;
};

struct dnn_op {
    struct dnn_conv *conv;
    struct dnn_reorder *to_plain; /* CONV_BWD_WEIGHT */
    struct dnn_fold *fold;
};

/* ---- device
 * --------------------------------------------------------------------------------------- */

/* Its kernels for AVX-512 want blocks of 16 channels, those for AVX2 and AMX want channels last. */
int cpu_dnn_open(struct be *b, bool isa_named, struct err *err)
{
    const int layout = b->options.layout;

    if (b->options.max_isa[0])
        return err_set(err, ERR_UNSUPPORTED,
                       "exec.max_isa=%s of an earlier version, which limited oneDNN alone, is not "
                       "done any more; a "
                       "new run has exec.isa",
                       b->options.max_isa);

    if (dnn_new(&b->dnn, b->threads, isa_named ? &b->isa : NULL, err) < 0)
        return -1;
    b->has_bf16 = dnn_has_bf16(b->dnn);
    b->blocked = layout == LAYOUT_BLOCKED ||
                 (layout == LAYOUT_AUTO && dnn_has_avx512(b->dnn) && !dnn_has_amx(b->dnn));
    return 0;
}

void cpu_dnn_close(struct be *b)
{
    dnn_free(b->dnn);
}

void cpu_dnn_thread(void)
{
    dnn_one_thread();
}

void cpu_dnn_describe(const struct be *b, struct be_info *info)
{
    char isa[32];

    dnn_describe(b->dnn, isa, sizeof isa, info->library, sizeof info->library);
    snprintf(info->isa, sizeof info->isa, "%s, kernels %s", isa, isa_name(b->isa));
}

static void fold_free(struct dnn_fold *f)
{
    if (!f)
        return;
    dnn_reorder_free(f->reorder);
    free(f->scaled);
    free(f->bias);
    free(f->weight);
    free(f);
}

void dnn_op_free(struct dnn_op *o)
{
    if (!o)
        return;
    dnn_conv_free(o->conv);
    dnn_reorder_free(o->to_plain);
    fold_free(o->fold);
    free(o);
}

void dnn_copy_free(struct dnn_reorder *r)
{
    dnn_reorder_free(r);
}

/* ---- weights
 * -------------------------------------------------------------------------------------- */

static void copy_fill(struct be_program *p, const struct weight_copy *c, int part, int worker)
{
    (void)part;
    if (dnn_reorder_run(c->reorder, worker, c->of->data, c->data, worker_scratch(p, worker)) < 0)
        atomic_store(&p->failed, true);
}

static int copy_get(struct be_program *p, struct cpu_op *o, struct err *err)
{
    const struct dnn_format *format = dnn_conv_format(o->dnn->conv);
    struct persistent *w = o->param[1];
    struct weight_copy *c = w->copies;

    while (c && !(c->reorder && dnn_format_equal(dnn_reorder_format(c->reorder), format)))
        c = c->next;
    if (!c) {
        struct dnn_reorder *reorder;

        if (dnn_reorder_new(&reorder, p->be->dnn, format, 1, false, err) < 0)
            return -1;
        if (weight_copy_new(&c, p->be, w, dnn_format_bytes(format), err) < 0) {
            dnn_reorder_free(reorder);
            return -1;
        }
        c->fill = copy_fill;
        c->reorder = reorder;
    }
    o->weight = c;
    if (o->scratch_bytes < dnn_reorder_scratch(c->reorder))
        o->scratch_bytes = dnn_reorder_scratch(c->reorder);
    return 0;
}

/* ---- convolutions
 * --------------------------------------------------------------------------------- */

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

/* Every convolution passes here, folded or not: what oneDNN is not asked for is refused. */
static int conv_desc(struct dnn_conv_desc *out, const struct be_program *p, const struct cpu_op *o,
                     enum dnn_pass pass, int x, int weight, int y, struct err *err)
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
    *out = c;
    if (tx->dims[1] != tw->dims[1])
        return err_set(err, ERR_UNSUPPORTED, "%s: groups are done by exec.conv=own alone",
                       tw->name);
    if (c.k % LANES || (c.c % LANES && c.c > 3))
        return err_set(
            err, ERR_UNSUPPORTED,
            "%s: the cpu backend takes 1 to 3 channels or a multiple of %d, not %d to %d", tw->name,
            LANES, c.c, c.k);
    return 0;
}

static int op_new(struct cpu_op *o, struct err *err)
{
    o->dnn = calloc(1, sizeof *o->dnn);
    return o->dnn ? 0 : err_set(err, ERR_NOMEM, "oneDNN");
}

static int conv_of(struct be_program *p, struct cpu_op *o, enum dnn_pass pass, int x, int weight,
                   int y, struct err *err)
{
    struct dnn_conv_desc c;

    if (conv_desc(&c, p, o, pass, x, weight, y, err) < 0 || op_new(o, err) < 0 ||
        dnn_conv_new(&o->dnn->conv, p->be->dnn, &c, err) < 0)
        return -1;
    o->scratch_bytes = dnn_conv_scratch(o->dnn->conv);
    return 0;
}

static int fold(struct be_program *p, struct cpu_op *o, struct err *err);

static void conv_run(const struct job *j)
{
    const struct op *op = j->op->op;
    const int worker = j->worker;

    if (dnn_conv_run(j->op->dnn->conv, worker, job_data(j, op->in[0]), j->op->weight->data,
                     job_data(j, op->out[0]), worker_scratch(j->p, worker)) < 0)
        job_fail(j);
}

int dnn_conv(struct be_program *p, struct cpu_op *o, struct err *err)
{
    if (op_list_folds(p->list, (int)(o - p->ops)) &&
        op_tensor(p, o->op[1].out[0])->dims[1] % LANES == 0)
        return fold(p, o, err);
    if (conv_of(p, o, DNN_FORWARD, o->op->in[0], o->op->in[1], o->op->out[0], err) < 0)
        return -1;
    o->run = conv_run;
    return copy_get(p, o, err);
}

static void conv_bwd_data_run(const struct job *j)
{
    const struct op *op = j->op->op;
    const int worker = j->worker;

    if (dnn_conv_run(j->op->dnn->conv, worker, job_data(j, op->out[0]), j->op->weight->data,
                     job_data(j, op->in[0]), worker_scratch(j->p, worker)) < 0)
        job_fail(j);
}

int dnn_conv_bwd_data(struct be_program *p, struct cpu_op *o, struct err *err)
{
    if (conv_of(p, o, DNN_BACKWARD_DATA, o->op->out[0], o->op->in[1], o->op->in[0], err) < 0)
        return -1;
    o->run = conv_bwd_data_run;
    return copy_get(p, o, err);
}

static void conv_bwd_weight_run(const struct job *j)
{
    const struct op *op = j->op->op;
    const int worker = j->worker;

    if (dnn_conv_run(j->op->dnn->conv, worker, job_data(j, op->in[0]), job_leaf(j),
                     job_data(j, op->in[1]), worker_scratch(j->p, worker)) < 0)
        job_fail(j);
}

/* Its share of the gradient is as many of the filters. */
static void conv_bwd_weight_fill(struct be_program *p, const struct cpu_op *o, int part, int worker)
{
    float *sum = worker_sum(p, worker);
    const size_t n = tensor_elements(op_tensor(p, o->op->out[0])) / (size_t)o->parts;

    for (int k = 0; k < ranks_subtrees(p); k++) {
        const struct subtree s = ranks_subtree(p, o, k);

        leaves_sum(p, o, &s, part, sum);
        if (dnn_reorder_run(o->dnn->to_plain, worker, sum, s.plain + (size_t)part * n,
                            worker_scratch(p, worker)) < 0)
            atomic_store(&p->failed, true);
    }
}

int dnn_conv_bwd_weight(struct be_program *p, struct cpu_op *o, struct err *err)
{
    const struct dnn_format *format;

    if (conv_of(p, o, DNN_BACKWARD_WEIGHT, o->op->in[0], o->op->out[0], o->op->in[1], err) < 0)
        return -1;
    format = dnn_conv_format(o->dnn->conv);
    o->parts = dnn_format_parts(format, PART_BYTES);
    if (dnn_reorder_new(&o->dnn->to_plain, p->be->dnn, format, o->parts, true, err) < 0)
        return -1;
    if (o->scratch_bytes < dnn_reorder_scratch(o->dnn->to_plain))
        o->scratch_bytes = dnn_reorder_scratch(o->dnn->to_plain);
    o->part_n = dnn_format_bytes(format) / sizeof(float) / (size_t)o->parts;
    o->leaf_bytes = align_up(dnn_format_bytes(format), 64);
    o->run = conv_bwd_weight_run;
    o->fill = conv_bwd_weight_fill;
    return 0;
}

/* ---- folded batch norms
 * --------------------------------------------------------------------------- */

static void fold_begin(struct be_program *p, struct cpu_op *o)
{
    struct dnn_fold *f = o->dnn->fold;
    const size_t k = (size_t)f->from[0]->dims[0], row = f->from[0]->n / k;
    uint64_t version = 0;

    for (int i = 0; i < 5; i++)
        version += f->from[i]->version;
    if (version == f->version)
        return;
    f->version = version;
    for (size_t i = 0; i < k; i++) {
        const double scale =
            (double)f->from[3]->data[i] / sqrt((double)f->from[2]->data[i] + BN_EPS);

        f->bias[i] = (float)((double)f->from[4]->data[i] - (double)f->from[1]->data[i] * scale);
        for (size_t j = i * row; j < (i + 1) * row; j++)
            f->scaled[j] = (float)((double)f->from[0]->data[j] * scale);
    }
    if (dnn_reorder_run(f->reorder, 0, f->scaled, f->weight, worker_scratch(p, 0)) < 0)
        atomic_store(&p->failed, true);
}

static void fold_run(const struct job *j)
{
    const struct dnn_fold *f = j->op->dnn->fold;
    const int number = f->norm->in[5];
    void *residual = job_data(j, number), *z = job_data(j, f->norm->out[0]);

    if (dnn_conv_run_folded(j->op->dnn->conv, j->worker, job_data(j, j->op->op->in[0]), f->weight,
                            f->bias, f->add_after ? NULL : residual, z,
                            worker_scratch(j->p, j->worker)) < 0)
        job_fail(j);
    if (f->add_after)
        j->p->be->kernels->bn_apply(&j->op->slab, z, NULL, z, residual, j->op->coef,
                                    j->op->coef + f->from[0]->dims[0], f->norm->relu);
}

static int fold_memory(struct dnn_fold *f, const struct dnn_conv *conv, struct err *err)
{
    const size_t k = (size_t)f->from[0]->dims[0];

    f->scaled = malloc(f->from[0]->n * sizeof *f->scaled);
    f->bias = aligned_alloc(64, align_up(k * sizeof *f->bias, 64));
    f->weight = aligned_alloc(64, align_up(dnn_format_bytes(dnn_conv_format(conv)), 64));
    if (!f->scaled || !f->bias || !f->weight)
        return err_set(err, ERR_NOMEM, "%s: folded copy", f->from[0]->name);
    return 0;
}

/* Scale 1 and shift 0 for bn_apply(), of which only residual and ReLU are wanted. */
static int unit_coef(struct be_program *p, struct cpu_op *o, int z, struct err *err)
{
    const size_t k = (size_t)op_tensor(p, z)->dims[1];

    if (tensor_slab(&o->slab, p->be, op_tensor(p, z), o->pictures, err) < 0)
        return -1;
    o->coef = aligned_alloc(64, align_up(2 * k * sizeof *o->coef, 64));
    if (!o->coef)
        return err_set(err, ERR_NOMEM, "folded convolution");
    for (size_t i = 0; i < k; i++) {
        o->coef[i] = 1;
        o->coef[k + i] = 0;
    }
    return 0;
}

/* Convolutions that oneDNN makes of matrix products add a residual wrongly on ARM (2.6.3, channels last; oneDNN's issue
 * 3803 is a case of it). */
#if defined(__x86_64__)
static const bool adds_residuals = true;
#else
static const bool adds_residuals = false;
#endif

static int fold(struct be_program *p, struct cpu_op *o, struct err *err)
{
    const struct op *norm = o->op + 1;
    struct dnn_conv_desc c;
    struct dnn_fold *f;

    if (op_new(o, err) < 0)
        return -1;
    f = o->dnn->fold = calloc(1, sizeof *f);
    if (!f)
        return err_set(err, ERR_NOMEM, "folded convolution");
    f->norm = norm;
    f->from[0] = o->param[1];
    for (int k = 1; k <= 4; k++)
        if (persistents_get(&f->from[k], &p->be->persistents, op_tensor(p, norm->in[k]), err) < 0)
            return -1;
    if (conv_desc(&c, p, o, DNN_FORWARD, o->op->in[0], o->op->in[1], norm->out[0], err) < 0)
        return -1;
    f->add_after = (c.winograd || !adds_residuals) && norm->in[5];
    c.folded = true;
    c.residual = norm->in[5] && !f->add_after;
    c.relu = norm->relu && !f->add_after;
    if (f->add_after && unit_coef(p, o, norm->out[0], err) < 0)
        return -1;
    if (dnn_conv_new(&o->dnn->conv, p->be->dnn, &c, err) < 0 ||
        dnn_reorder_new(&f->reorder, p->be->dnn, dnn_conv_format(o->dnn->conv), 1, false, err) <
            0 ||
        fold_memory(f, o->dnn->conv, err) < 0)
        return -1;
    o->scratch_bytes = dnn_conv_scratch(o->dnn->conv);
    if (o->scratch_bytes < dnn_reorder_scratch(f->reorder))
        o->scratch_bytes = dnn_reorder_scratch(f->reorder);
    o->begin = fold_begin;
    o->run = fold_run;
    o->runs_next = true;
    return 0;
}

/* ---- linear layers
 * -------------------------------------------------------------------------------- */

static void linear_run_job(const struct job *j)
{
    const struct persistent *w = j->op->param[1];
    const int k = w->dims[0], c = w->dims[1];

    if (dnn_gemm(false, true, j->op->pictures, k, c, job_data(j, j->op->op->in[0]), c, w->data, c,
                 job_data(j, j->op->op->out[0]), k) < 0)
        job_fail(j);
}

int dnn_linear(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->run = linear_run_job;
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

int dnn_linear_bwd_data(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->run = linear_bwd_data_run;
    return f32_only(p, o, err);
}

static void linear_bwd_weight_run(const struct job *j)
{
    const int *dims = op_tensor(j->p, j->op->op->out[0])->dims, k = dims[0], c = dims[1];

    if (dnn_gemm(true, false, k, c, j->op->pictures, job_data(j, j->op->op->in[1]), k,
                 job_data(j, j->op->op->in[0]), c, job_leaf(j), c) < 0)
        job_fail(j);
}

int dnn_linear_bwd_weight(struct be_program *p, struct cpu_op *o, struct err *err)
{
    leaf_parts(o, tensor_elements(op_tensor(p, o->op->out[0])));
    o->run = linear_bwd_weight_run;
    return f32_only(p, o, err);
}

#else /* built without oneDNN */

static int without(struct err *err)
{
    return err_set(
        err, ERR_UNSUPPORTED,
        "exec.conv=onednn: this build has no oneDNN; a new run can do with exec.conv=own");
}

int cpu_dnn_open(struct be *b, bool isa_named, struct err *err)
{
    (void)b;
    (void)isa_named;
    return without(err);
}

void cpu_dnn_close(struct be *b)
{
    (void)b;
}

void cpu_dnn_thread(void)
{
}

void cpu_dnn_describe(const struct be *b, struct be_info *info)
{
    (void)b;
    (void)info;
}

void dnn_op_free(struct dnn_op *o)
{
    (void)o;
}

void dnn_copy_free(struct dnn_reorder *r)
{
    (void)r;
}

#define WITHOUT(name)                                                                              \
    int name(struct be_program *p, struct cpu_op *o, struct err *err)                              \
    {                                                                                              \
        (void)p;                                                                                   \
        (void)o;                                                                                   \
        return without(err);                                                                       \
    }
WITHOUT(dnn_conv)
WITHOUT(dnn_conv_bwd_data)
WITHOUT(dnn_conv_bwd_weight)
WITHOUT(dnn_linear)
WITHOUT(dnn_linear_bwd_data)
WITHOUT(dnn_linear_bwd_weight)
#undef WITHOUT
#endif
