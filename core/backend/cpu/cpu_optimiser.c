/* cpu_optimiser.c - the optimiser's ops on the cpu: chunks of parameters, one kind of op after the other.
 *
 * Chunks are of one size whatever the threads; the norm's partial sums are added in their order. The processes of a
 * machine share the chunks.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>

#include "backend/cpu/cpu.h"
#include "backend/elem.h"
#include "base/clock.h"

enum { CHUNK_ELEMENTS = 1 << 16 };

/* Appends the chunks of N elements; CHUNKS is NULL while they are counted. */
static void add_chunks(struct be_program *p, const struct cpu_op *o, const float *grad, size_t n)
{
    for (size_t first = 0; first < n; first += CHUNK_ELEMENTS, p->n_chunks++)
        if (p->chunks)
            p->chunks[p->n_chunks] = (struct chunk){
                o, grad, first, n - first < CHUNK_ELEMENTS ? n - first : CHUNK_ELEMENTS};
}

static void chunks_of(struct be_program *p, const struct cpu_op *o)
{
    const int *in = o->op->in;

    if (!op_traits[o->op->kind].whole_list) /* EMA reads no gradient: its data is NULL */
        add_chunks(p, o, p->data[in[0]], tensor_elements(op_tensor(p, in[0])));
    for (int i = 0; op_traits[o->op->kind].whole_list && i < p->list->n_ops; i++)
        if (op_is_update(p->list->ops[i].kind)) {
            const int g = p->list->ops[i].in[0];

            add_chunks(p, o, p->data[g], tensor_elements(op_tensor(p, g)));
        }
}

int optimiser_chunks(struct be_program *p, struct err *err)
{
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && p->n_chunks > 0 &&
            !(p->chunks = calloc((size_t)p->n_chunks, sizeof *p->chunks)))
            return err_set(err, ERR_NOMEM, "optimiser");
        p->n_chunks = 0;
        for (int i = 0; i < p->list->n_ops; i++)
            if (op_is_optimiser(p->list->ops[i].kind))
                chunks_of(p, &p->ops[i]);
    }
    return region_share(&p->squares, p->be->options.ranks, (size_t)p->n_chunks * sizeof(double),
                        "optimiser", err);
}

static void run_adam(const struct be_program *p, const struct chunk *c)
{
    const struct cpu_op *o = c->op;
    const struct step *s = p->step;
    struct adam_k k = adam_constants(s->lr[o->op->group], o->op->decay ? s->wd : 0, s->mom,
                                     s->sqr_mom, s->eps, s->adam_step);

    if (o->op->in[4])
        k.clip = (float)*(const double *)p->data[o->op->in[4]];
    p->be->kernels->adam(&k, c->n, c->grad + c->first, o->param[1]->data + c->first,
                         o->param[2]->data + c->first, o->param[3]->data + c->first);
}

static void run_sgd(const struct be_program *p, const struct chunk *c)
{
    const struct cpu_op *o = c->op;
    const struct step *s = p->step;
    struct sgd_k k =
        sgd_constants(s->lr[o->op->group], o->op->decay ? s->wd : 0, s->mom, o->op->nesterov);

    if (o->op->in[3])
        k.clip = (float)*(const double *)p->data[o->op->in[3]];
    p->be->kernels->sgd(&k, c->n, c->grad + c->first, o->param[1]->data + c->first,
                        o->param[2]->data + c->first);
}

static void run_grad_sum(const struct be_program *p, const struct chunk *c)
{
    const size_t n = tensor_elements(op_tensor(p, c->op->op->in[0]));
    float *sum = p->data[c->op->op->out[0]], *levels = c->op->param[1]->data;

    for (size_t i = c->first; i < c->first + c->n; i++)
        sum[i] = elem_grad_sum(c->grad[i], levels + i, n, p->step->part, p->step->parts);
}

static void run_ema(const struct be_program *p, const struct chunk *c)
{
    const float *x = c->op->param[0]->data, rest = (float)(1.0 - p->step->ema_decay);
    float *average = c->op->param[1]->data;

    for (size_t i = c->first; i < c->first + c->n; i++)
        average[i] = elem_ema(average[i], x[i], rest);
}

/* Of the segment's chunks. */
static double *squares(const struct be_program *p)
{
    return (double *)(void *)p->squares.data + (p->first_chunk - p->chunks);
}

static void run_squares(const struct be_program *p, const struct chunk *c)
{
    squares(p)[c - p->first_chunk] = p->be->kernels->squares(c->n, c->grad + c->first);
}

static void chunk_task(void *ctx, int task, int worker)
{
    struct be_program *p = ctx;
    const struct chunk *c = &p->first_chunk[own_task(p->be->options.ranks, task)];
    const double start = clock_seconds();

    c->op->chunk(p, c);
    p->seconds[worker][c->op->op->kind] += clock_seconds() - start;
}

/* The whole op is done: what follows from all its chunks. */
static void finish(struct be_program *p, const struct cpu_op *o, int n_chunks)
{
    double sum = 0;

    for (int k = 0; k < OP_MAX_IN; k++)
        if (op_traits[o->op->kind].in[k].changed)
            o->param[k]->version++;
    if (o->op->kind != OP_GRAD_NORM)
        return;
    for (int i = 0; i < n_chunks; i++)
        sum += squares(p)[i];
    *(double *)p->data[o->op->out[0]] = elem_clip(sqrt(sum), (double)o->op->max_norm);
}

void optimiser_run(struct be_program *p)
{
    const struct segment *s = p->segment;
    const struct cpu_op *first = &p->ops[s->first];
    int n = 0;

    while (p->first_chunk + n < p->chunks + p->n_chunks &&
           p->first_chunk[n].op < &p->ops[s->first + s->n])
        n++;
    if (op_runs(first->op, p->step)) {
        pool_run(p->be->pool, own_tasks(p->be->options.ranks, n), chunk_task, p);
        machine_meeting(p->be->options.ranks);
        for (int i = 0; i < s->n; i++)
            finish(p, first + i, n);
    }
    p->first_chunk += n;
}

/* ---- what each kind does to a chunk ---------------------------------------------------------- */

#define PREPARE(name, run)                                                                         \
    int name(struct be_program *p, struct cpu_op *o, struct err *err)                              \
    {                                                                                              \
        (void)p;                                                                                   \
        (void)err;                                                                                 \
        o->chunk = run;                                                                            \
        return 0;                                                                                  \
    }
PREPARE(cpu_grad_sum, run_grad_sum)
PREPARE(cpu_grad_norm, run_squares)
PREPARE(cpu_adam, run_adam)
PREPARE(cpu_sgd, run_sgd)
PREPARE(cpu_ema, run_ema)
