/* cuda_layout.c - one piece of device memory for everything of a program, planned before it is asked
 * for. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/cuda.h"
#include "backend/elem.h"
#include "base/size.h"

/* The next BYTES of the program's memory. */
static size_t place(struct be_program *p, size_t bytes)
{
    const size_t at = p->bytes;

    p->bytes = align_up(p->bytes + bytes, DEVICE_ALIGN);
    return at;
}

static size_t slice_bytes(const void *ctx, int tensor)
{
    const struct be_program *p = ctx;
    const struct tensor *t = op_tensor(p, tensor);

    return device_elements(t) / (size_t)p->list->batch * dtype_size(t->dtype);
}

static bool is_written(const struct op_list *l, int tensor)
{
    for (int i = 0; i < l->n_ops; i++)
        for (int k = 0; k < OP_MAX_OUT; k++)
            if (l->ops[i].out[k] == tensor)
                return true;
    return false;
}

static void place_grad(struct be_program *p, int tensor)
{
    if (op_tensor(p, tensor)->role == TENSOR_GRAD)
        p->at[tensor] = place(p, tensor_elements(op_tensor(p, tensor)) * sizeof(float));
}

/* GRAD tensors one after another as they get ready, sums over several runs behind the others: the loss
 * scale is taken out of those in one go. */
static void place_grads(struct be_program *p)
{
    const struct op_list *l = p->list;

    p->grads = p->bytes;
    for (int t = 1; t < l->n_tensors; t++)
        if (!is_written(l, t))
            place_grad(p, t);
    for (int sums = 0; sums < 2; sums++) {
        for (int i = 0; i < l->n_ops; i++)
            for (int k = 0; (l->ops[i].kind == OP_GRAD_SUM) == sums && k < OP_MAX_OUT; k++)
                place_grad(p, l->ops[i].out[k]);
        p->n_grads = (p->bytes - p->grads) / sizeof(float);
        if (sums == 0)
            p->n_scaled = p->n_grads;
    }
}

/* Of the batch norm with the most channels, from each device. */
static size_t sums_bytes(const struct be_program *p)
{
    int c = 0;

    for (int t = 1; ranks_count(p->be) > 1 && t < p->list->n_tensors; t++)
        if (op_tensor(p, t)->role == TENSOR_STAT && op_tensor(p, t)->dims[1] > c)
            c = op_tensor(p, t)->dims[1];
    return (size_t)ranks_count(p->be) * 2 * (size_t)c * sizeof(double);
}

static int place_tensors(struct be_program *p, struct err *err)
{
    size_t arena, local;

    p->at = calloc((size_t)p->list->n_tensors + 1, sizeof *p->at);
    if (!p->at)
        return err_set(err, ERR_NOMEM, "list of %d tensors", p->list->n_tensors);
    if (plan_make(&p->plan, p->list, slice_bytes, p, 0, err) < 0)
        return -1;
    arena = place(p, p->plan->arena_bytes);
    local = place(p, p->plan->local_bytes);
    for (int t = 1; t < p->list->n_tensors; t++) {
        if (op_tensor(p, t)->role == TENSOR_ACT)
            p->at[t] = (p->plan->tensors[t].place == PLACE_LOCAL ? local : arena) +
                       p->plan->tensors[t].offset;
        else if (op_tensor(p, t)->role == TENSOR_STAT)
            p->at[t] = place(p, tensor_elements(op_tensor(p, t)) * sizeof(double));
    }
    place_grads(p);
    return 0;
}

static int place_rest(struct be_program *p, struct err *err)
{
    size_t copies, staging;

    if (filters_make(p, &copies, &staging, err) < 0 || chunks_make(p, err) < 0 ||
        buckets_make(p, err) < 0)
        return -1;
    for (int i = 0; i < p->list->n_ops; i++)
        if (p->ops[i].conv && p->workspace_bytes < conv_plan_workspace(p->ops[i].conv->plan))
            p->workspace_bytes = conv_plan_workspace(p->ops[i].conv->plan);
    if (p->workspace_bytes < (size_t)p->n_steps * sizeof(double))
        p->workspace_bytes = (size_t)p->n_steps * sizeof(double); /* of the gradients' norm */
    p->copies = place(p, copies);
    p->staging = place(p, staging);
    p->workspace = place(p, p->workspace_bytes);
    p->sums = place(p, sums_bytes(p));
    p->constants = place(p, 2 * CUDA_GROUPS * sizeof(struct adam_k));
    p->chunks_at = place(p, (size_t)p->n_chunks * sizeof *p->chunks);
    p->filters_at = place(p, (size_t)p->n_filters * sizeof *p->filters);
    return 0;
}

/* Says how much was planned and how much there is, and the batch for which that would do. */
static int too_large(const struct be_program *p, struct err *err)
{
    const size_t batch = (size_t)p->list->batch,
                 picture = (p->plan->arena_bytes + p->plan->local_bytes) / batch;
    size_t available = 0, all = 0, fixed = p->bytes - picture * batch;

    (void)cudaGetLastError();
    (void)cudaMemGetInfo(&available, &all);
    err_set(err, ERR_NOMEM,
            "%zu MB of GPU memory planned for a batch of %zu, %zu MB of %zu MB are free",
            p->bytes >> 20, batch, available >> 20, all >> 20);
    if (picture > 0 && available > fixed + picture)
        return err_append(err, ": a batch of %zu fits", (available - fixed) / picture);
    return err_append(err, ": not even a batch of 1 fits");
}

static int upload(const struct be_program *p, size_t to, const void *from, size_t bytes,
                  struct err *err)
{
    if (bytes == 0)
        return 0;
    return cuda_check(
        cudaMemcpyAsync(p->memory + to, from, bytes, cudaMemcpyHostToDevice, p->be->compute),
        "tables", err);
}

int layout_make(struct be_program *p, struct err *err)
{
    int code;

    if (place_tensors(p, err) < 0 || place_rest(p, err) < 0)
        return -1;
    code = cudaMalloc((void **)&p->memory, p->bytes);
    if (code == cudaErrorMemoryAllocation && p->be->kept.set) { /* pictures can travel again */
        (void)cudaGetLastError();
        kept_free(p->be);
        code = cudaMalloc((void **)&p->memory, p->bytes);
    }
    if (code == cudaErrorMemoryAllocation)
        return too_large(p, err);
    if (cuda_check(code, "memory of a program", err) < 0 ||
        upload(p, p->chunks_at, p->chunks, (size_t)p->n_chunks * sizeof *p->chunks, err) < 0 ||
        upload(p, p->filters_at, p->filters, (size_t)p->n_filters * sizeof *p->filters, err) < 0)
        return -1;
    /* also what lies between gradients, which is unscaled with them */
    if (p->n_grads > 0 && cuda_check(cudaMemsetAsync(p->memory + p->grads, 0,
                                                     p->n_grads * sizeof(float), p->be->compute),
                                     "gradients", err) < 0)
        return -1;
    return cuda_check(cudaStreamSynchronize(p->be->compute), "memory of a program", err);
}

void cuda_memory(const struct be_program *p, struct be_memory *m)
{
    const size_t copies = p->staging - p->copies;

    memset(m, 0, sizeof *m);
    m->activations = p->plan->arena_bytes + p->plan->local_bytes;
    m->gradients = p->n_grads * sizeof(float);
    m->parameters = copies;
    m->workspace = p->bytes - m->activations - m->gradients - copies;
    for (int i = 1; i < p->list->n_tensors; i++)
        if (tensor_is_persistent(op_tensor(p, i)))
            m->parameters += tensor_elements(op_tensor(p, i)) * sizeof(float);
    for (int i = 0; i < p->list->n_ops; i++)
        for (int k = 1; op_is_optimiser(p->list->ops[i].kind) && k < 4; k++) {
            const struct persistent *state = p->ops[i].param[k];

            if (!state || op_tensor(p, p->list->ops[i].in[k])->role != TENSOR_STATE)
                continue;
            m->optimiser += state->n * sizeof(float);
            m->parameters -= state->n * sizeof(float);
        }
    m->total = m->activations + m->workspace + m->gradients + m->parameters + m->optimiser;
}
