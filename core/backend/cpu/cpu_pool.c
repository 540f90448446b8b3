/* cpu_pool.c - max pooling and the head's concatenated pooling on the cpu.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/cpu.h"

/* Slabs of the larger tensor and, for max pooling, of the pooled one. */
static int pool_init(struct be_program *p, struct cpu_op *o, int large, int small, struct err *err)
{
    if (tensor_slab(&o->slab, p->be, op_tensor(p, large), o->pictures, err) < 0)
        return -1;
    return tensor_slab(&o->out, p->be, op_tensor(p, small), o->pictures, err);
}

static void max_pool_run(const struct job *j)
{
    const struct op *op = j->op->op;

    j->p->be->kernels->max_pool(&j->op->slab, &j->op->out, job_data(j, op->out[0]),
                                job_data(j, op->out[1]), job_data(j, op->in[0]));
}

int cpu_max_pool(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->run = max_pool_run;
    return pool_init(p, o, o->op->in[0], o->op->out[0], err);
}

static void max_pool_bwd_run(const struct job *j)
{
    const struct op *op = j->op->op;

    j->p->be->kernels->max_pool_bwd(&j->op->slab, &j->op->out, job_data(j, op->out[0]),
                                    job_data(j, op->in[0]), job_data(j, op->in[1]),
                                    job_data(j, op->in[2]));
}

int cpu_max_pool_bwd(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->run = max_pool_bwd_run;
    return pool_init(p, o, o->op->out[0], o->op->in[0], err);
}

static void concat_pool_run(const struct job *j)
{
    const struct op *op = j->op->op;

    j->p->be->kernels->concat_pool(&j->op->slab, job_data(j, op->out[0]), job_data(j, op->out[1]),
                                   job_data(j, op->in[0]));
}

int cpu_concat_pool(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->run = concat_pool_run;
    return tensor_slab(&o->slab, p->be, op_tensor(p, o->op->in[0]), o->pictures, err);
}

static void concat_pool_bwd_run(const struct job *j)
{
    const struct op *op = j->op->op;

    j->p->be->kernels->concat_pool_bwd(&j->op->slab, job_data(j, op->out[0]),
                                       job_data(j, op->in[0]), job_data(j, op->in[1]));
}

int cpu_concat_pool_bwd(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->run = concat_pool_bwd_run;
    return tensor_slab(&o->slab, p->be, op_tensor(p, o->op->out[0]), o->pictures, err);
}
