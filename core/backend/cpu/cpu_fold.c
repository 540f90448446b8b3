/* cpu_fold.c - inference: a convolution and the batch norm after it in one.
 *
 * The norm's scale and shift, the residual and the ReLU follow each sum while it is in a register or in cache
 * (struct conv_end), so what lies between is never stored and the weights are those of training.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>

#include "backend/cpu/cpu.h"
#include "base/size.h"

struct folded {
    const struct op *norm;      /* the BN_INFER */
    struct persistent *from[4]; /* mean, var, gamma, beta; borrowed */
    uint64_t version;           /* sum of theirs when folded: it only grows */
    float *scale, *bias;        /* (k) */
};

void folded_free(struct folded *f)
{
    if (!f)
        return;
    free(f->scale);
    free(f->bias);
    free(f);
}

/* scale = gamma / sqrt(var + eps), bias = beta - mean scale, in double, each rounded once. */
static void fold_begin(struct be_program *p, struct cpu_op *o)
{
    struct folded *f = o->folded;
    uint64_t version = 0;

    (void)p;
    for (int i = 0; i < 4; i++)
        version += f->from[i]->version;
    if (version == f->version)
        return;
    f->version = version;
    for (size_t i = 0; i < f->from[0]->n; i++) {
        const double scale =
            (double)f->from[2]->data[i] / sqrt((double)f->from[1]->data[i] + BN_EPS);

        f->scale[i] = (float)scale;
        f->bias[i] = (float)((double)f->from[3]->data[i] - (double)f->from[0]->data[i] * scale);
    }
}

static void fold_run(const struct job *j)
{
    const struct folded *f = j->op->folded;
    const int residual = f->norm->in[5];
    const struct conv_end end = {f->scale, f->bias, job_data(j, residual), f->norm->relu};

    conv_forward(j->op->conv, job_data(j, j->op->op->in[0]), j->op->weight->data,
                 job_data(j, f->norm->out[0]), &end, worker_scratch(j->p, j->worker));
}

int cpu_fold(struct be_program *p, struct cpu_op *o, struct err *err)
{
    const struct op *norm = o->op + 1;
    const size_t k = (size_t)o->param[1]->dims[0];
    struct folded *f;

    if (!op_list_folds(p->list, (int)(o - p->ops)))
        return 0;
    f = o->folded = calloc(1, sizeof *f);
    if (!f)
        return err_set(err, ERR_NOMEM, "folded convolution");
    f->norm = norm;
    for (int i = 0; i < 4; i++)
        if (persistents_get(&f->from[i], &p->be->persistents, op_tensor(p, norm->in[1 + i]), err) <
            0)
            return -1;
    f->scale = aligned_alloc(64, align_up(k * sizeof *f->scale, 64));
    f->bias = aligned_alloc(64, align_up(k * sizeof *f->bias, 64));
    if (!f->scale || !f->bias)
        return err_set(err, ERR_NOMEM, "folded convolution");
    o->begin = fold_begin;
    o->run = fold_run;
    o->runs_next = true;
    return 0;
}
