/* cpu_fold.c - inference: a convolution and the batch norm after it as one convolution with bias.
 *
 * w' = w gamma / sqrt(var + eps), bias = beta - mean gamma / sqrt(var + eps); the residual and the
 * ReLU follow inside the primitive, so what lies between is never stored.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>

#include "backend/cpu/cpu.h"
#include "base/size.h"

struct folded {
    struct dnn_reorder *reorder;
    const struct op *norm; /* the BN_INFER */
    bool add_after;        /* residual and ReLU in a pass of their own: Winograd has no such end */
    struct persistent *from[5]; /* weight, mean, var, gamma, beta; borrowed */
    uint64_t version;           /* sum of theirs when folded: it only grows */
    float *scaled, *bias;       /* plain weights (k, c, r, s); (k) */
    void *weight;               /* in the primitive's format */
};

void folded_free(struct folded *f)
{
    if (!f)
        return;
    dnn_reorder_free(f->reorder);
    free(f->scaled);
    free(f->bias);
    free(f->weight);
    free(f);
}

size_t folded_scratch(const struct folded *f)
{
    return dnn_reorder_scratch(f->reorder);
}

static void fold_begin(struct be_program *p, struct cpu_op *o)
{
    struct folded *f = o->folded;
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
    const struct folded *f = j->op->folded;
    const int number = f->norm->in[5];
    void *residual = number < 0 ? NULL : job_data(j, number), *z = job_data(j, f->norm->out[0]);

    if (dnn_conv_run_folded(j->op->conv, j->worker, job_data(j, j->op->op->in[0]), f->weight,
                            f->bias, f->add_after ? NULL : residual, z,
                            worker_scratch(j->p, j->worker)) < 0)
        job_fail(j);
    if (f->add_after)
        j->p->be->kernels->bn_apply(&j->op->slab, z, NULL, z, residual, j->op->coef,
                                    j->op->coef + f->from[0]->dims[0], f->norm->relu);
}

/* Whether op I + 1 is the BN_INFER that alone reads what op I writes. */
static bool foldable(const struct op_list *l, int i)
{
    const int y = l->ops[i].out[0];
    int readers = 0;

    for (int k = 0; k < l->n_ops; k++)
        for (int n = 0; n < 6; n++)
            readers += l->ops[k].in[n] == y;
    return i + 1 < l->n_ops && l->ops[i + 1].kind == OP_BN_INFER && l->ops[i + 1].in[0] == y &&
           readers == 1;
}

static int fold_memory(struct folded *f, const struct dnn_conv *conv, struct err *err)
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

int cpu_fold(struct be_program *p, struct cpu_op *o, struct err *err)
{
    const struct op *norm = o->op + 1;
    struct dnn_conv_desc c;
    struct folded *f;

    if (!foldable(p->list, (int)(o - p->ops)) || op_tensor(p, norm->out[0])->dims[1] % LANES)
        return 0;
    f = o->folded = calloc(1, sizeof *f);
    if (!f)
        return err_set(err, ERR_NOMEM, "folded convolution");
    f->norm = norm;
    f->from[0] = o->param[1];
    for (int k = 1; k <= 4; k++)
        if (persistent_get(&f->from[k], p->be, op_tensor(p, norm->in[k]), err) < 0)
            return -1;
    c = conv_desc(p, o, DNN_FORWARD, o->op->in[0], o->op->in[1], norm->out[0]);
    f->add_after = c.winograd && norm->in[5] >= 0;
    c.folded = true;
    c.residual = norm->in[5] >= 0 && !f->add_after;
    c.relu = norm->relu && !f->add_after;
    if (f->add_after && unit_coef(p, o, norm->out[0], err) < 0)
        return -1;
    if (dnn_conv_new(&o->conv, p->be->dnn, &c, err) < 0 ||
        dnn_reorder_new(&f->reorder, p->be->dnn, f->from[0]->dims, dnn_conv_format(o->conv), 1,
                        false, err) < 0 ||
        fold_memory(f, o->conv, err) < 0)
        return -1;
    o->begin = fold_begin;
    o->run = fold_run;
    return 1;
}
