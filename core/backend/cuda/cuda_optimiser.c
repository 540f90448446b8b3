/* cuda_optimiser.c - the optimiser's ops: all ADAM or SGD ops of a list in one launch, all EMA ops in another.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "backend/cuda/cuda.h"
#include "backend/elem.h"

/* Whether the op after O does the same to another parameter, so that one launch does both. */
static bool goes_on(const struct be_program *p, const struct cuda_op *o)
{
    const struct cuda_op *next = o + 1;

    return next < p->ops + p->list->n_ops && next->op->kind == o->op->kind &&
           next->op->in[4] == o->op->in[4];
}

static const struct cuda_chunk *chunks_of(const struct be_program *p, int first)
{
    return (const struct cuda_chunk *)(void *)(p->memory + p->chunks_at) + first;
}

static int run_sum(struct be_program *p, const struct cuda_op *o, struct err *err)
{
    const size_t n = tensor_elements(op_tensor(p, o->op->in[0]));

    return cuda_check(cuda_grad_sum(p->be->compute, act(p, o->op->out[0]), act(p, o->op->in[0]),
                                    param(p, o->param[1]), n, n, p->device_step),
                      op_tensor(p, o->op->out[0])->name, err);
}

static int run_norm(struct be_program *p, const struct cuda_op *o, struct err *err)
{
    return cuda_check(cuda_grad_norm(p->be->compute, act(p, o->op->out[0]),
                                     (const float *)(void *)(p->memory + p->grads), chunks_of(p, 0),
                                     p->n_steps, o->op->max_norm, p->memory + p->workspace),
                      "the gradients' norm", err);
}

static int run_adam(struct be_program *p, const struct cuda_op *o, struct err *err)
{
    struct cuda_scale *scale = p->scaled ? p->be->scale : NULL;
    struct adam_k *constants = (struct adam_k *)(void *)(p->memory + p->constants);
    float *store = p->be->store, *grads = (float *)(void *)(p->memory + p->grads);

    if (cuda_check(cuda_adam_begin(p->be->compute, constants, p->device_step, scale), "adam", err) <
        0)
        return -1;
    return cuda_check(cuda_adam(p->be->compute, grads, store, store, store,
                                chunks_of(p, o->first_chunk), o->n_chunks, constants,
                                act(p, o->op->in[4]), scale),
                      "adam", err);
}

static int run_sgd(struct be_program *p, const struct cuda_op *o, struct err *err)
{
    float *store = p->be->store, *grads = (float *)(void *)(p->memory + p->grads);

    return cuda_check(cuda_sgd(p->be->compute, grads, store, store, chunks_of(p, o->first_chunk),
                               o->n_chunks, p->device_step, o->op->nesterov, act(p, o->op->in[3]),
                               p->scaled ? p->be->scale : NULL),
                      "sgd", err);
}

static int run_ema(struct be_program *p, const struct cuda_op *o, struct err *err)
{
    return cuda_check(cuda_ema(p->be->compute, p->be->store, p->be->store,
                               chunks_of(p, o->first_chunk), o->n_chunks, p->device_step),
                      "averages of weights", err);
}

int cuda_optimiser_op(struct be_program *p, struct cuda_op *o, struct err *err)
{
    static int (*const runs[OP_KINDS])(struct be_program * p, const struct cuda_op *o,
                                       struct err *err) = {
        [OP_GRAD_SUM] = run_sum, [OP_GRAD_NORM] = run_norm, [OP_ADAM] = run_adam,
        [OP_SGD] = run_sgd,      [OP_EMA] = run_ema,
    };
    const bool many = op_is_update(o->op->kind) || o->op->kind == OP_EMA;

    (void)err;
    if (!many || o == p->ops || !(o - 1)->op || (o - 1)->op->kind != o->op->kind ||
        (o - 1)->op->in[4] != o->op->in[4])
        o->run = runs[o->op->kind];
    return 0;
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static int add_chunks(struct be_program *p, const struct cuda_op *o, struct err *err)
{
    const bool steps = op_is_update(o->op->kind); /* by a gradient, which lies elsewhere */
    const int parts = o->op->kind == OP_ADAM ? 4 : o->op->kind == OP_SGD ? 3 : 2;
    const size_t n = o->param[1]->n;
    const int more = (int)((n + CUDA_CHUNK - 1) / CUDA_CHUNK);
    struct cuda_chunk *grown = realloc(p->chunks, (size_t)(p->n_chunks + more) * sizeof *grown);

    if (!grown)
        return err_set(err, ERR_NOMEM, "optimiser");
    p->chunks = grown;
    for (size_t first = 0; first < n; first += CUDA_CHUNK) {
        struct cuda_chunk *c = &p->chunks[p->n_chunks++];

        *c = (struct cuda_chunk){.n = (uint32_t)(n - first < CUDA_CHUNK ? n - first : CUDA_CHUNK),
                                 .group = (uint32_t)(2 * o->op->group + o->op->decay)};
        for (int k = 0; k < parts; k++)
            c->at[k] = first + (steps && k == 0 ? (p->at[o->op->in[0]] - p->grads) / sizeof(float)
                                                : o->param[k]->at);
    }
    return 0;
}

int chunks_make(struct be_program *p, struct err *err)
{
    static const enum op_kind many[3] = {OP_ADAM, OP_SGD, OP_EMA};

    for (int m = 0; m < 3; m++) {
        struct cuda_op *launch = NULL;

        for (int i = 0; i < p->list->n_ops; i++) {
            struct cuda_op *o = &p->ops[i];

            if (o->op->kind != many[m])
                continue;
            if (o->run) {
                launch = o;
                launch->first_chunk = p->n_chunks;
            }
            if (add_chunks(p, o, err) < 0)
                return -1;
            launch->n_chunks = p->n_chunks - launch->first_chunk;
        }
        if (op_is_update(many[m]))
            p->n_steps = p->n_chunks;
    }
    return 0;
}
