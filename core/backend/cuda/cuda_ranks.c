/* cuda_ranks.c - several devices, a process each: what they add up and gather, by NCCL.
 *
 * Gradients are added up in buckets, each as soon as its last one is enqueued, on a stream beside the
 * computing one, which waits for all of them before the optimiser. Batch norms' sums are gathered, bits moved
 * only, and added by our own kernel by rank, so that no algorithm of NCCL's decides their bits; of dgamma and
 * dbeta, which then are those of all devices, rank 0's are added to zeros.
 *
 * One communicator, on one stream: its collectives run one after another, in the order in which all
 * processes enqueue them. Two communicators would let a gather overtake a bucket, but two collectives under
 * way at a time may each hold what the other waits for on another device. SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/cuda.h"
#include "backend/cuda/nccl_api.h"

/* Bytes at least. NCCL reaches its rate from some MB on; what is left after the last op is not hidden. */
enum { BUCKET = 8 << 20 };

struct ranks {
    void *library;
    struct nccl_api nccl;
    struct ncclComm *comm;
    cudaStream_t stream;
    cudaEvent_t ready, done; /* recorded on compute and on stream; each wait follows at once */
    int rank, n;
};

int ranks_count(const struct be *b)
{
    return b->options.ranks ? b->options.ranks->ranks : 1;
}

int ranks_device(const struct be *b, int devices)
{
    const struct be_ranks *r = b->options.ranks;

    if (!r || (r->by_launcher && devices == 1)) /* it shows each process its own */
        return (int)b->options.device;
    return (int)b->options.device + r->local;
}

/* ---- the library ----------------------------------------------------------------------------- */

static int nccl_check(const struct ranks *r, int result, const char *what, struct err *err)
{
    if (result == 0)
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   "%s: NCCL says %s (%s); NCCL_DEBUG=INFO in the environment makes it say more",
                   what, r->nccl.error(result), r->nccl.last_error(r->comm));
}

static int load(struct ranks *r, struct err *err)
{
    const struct {
        const char *name;
        void *at;
    } functions[] = {
        {"ncclGetVersion", &r->nccl.version},   {"ncclGetUniqueId", &r->nccl.unique_id},
        {"ncclCommInitRank", &r->nccl.init},    {"ncclCommDestroy", &r->nccl.destroy},
        {"ncclAllReduce", &r->nccl.all_reduce}, {"ncclAllGather", &r->nccl.all_gather},
        {"ncclGetErrorString", &r->nccl.error}, {"ncclGetLastError", &r->nccl.last_error},
    };
    const char *given = getenv("PRESIZE_NCCL");

    r->library = dlopen(given && *given ? given : "libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!r->library)
        return err_set(err, ERR_UNSUPPORTED,
                       "several GPUs need NCCL 2, which cannot be loaded: %s ($PRESIZE_NCCL names "
                       "its file)",
                       dlerror());
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *f = dlsym(r->library, functions[i].name);

        if (!f)
            return err_set(err, ERR_UNSUPPORTED, "NCCL has no %s: too old", functions[i].name);
        memcpy(functions[i].at, &f, sizeof f);
    }
    return 0;
}

/* Rank 0's id to all. One that could not be made is all zeros, and everybody fails. */
static int agree_on_id(struct nccl_id *id, const struct ranks *r, const struct be_ranks *all,
                       struct err *err)
{
    const struct nccl_id none = {{0}};
    struct nccl_id *ids = calloc((size_t)r->n, sizeof *ids);
    int code = 0;

    if (!ids)
        return err_set(err, ERR_NOMEM, "%d processes", r->n);
    if (r->rank == 0)
        code = r->nccl.unique_id(&ids[0]);
    if (code)
        ids[0] = none;
    all->share(all->ctx, ids, sizeof *ids);
    *id = ids[0];
    free(ids);
    if (nccl_check(r, code, "NCCL's start", err) < 0)
        return -1;
    if (memcmp(id, &none, sizeof none) == 0)
        return err_set(err, ERR_UNSUPPORTED, "NCCL's start failed on rank 0");
    return 0;
}

int ranks_open(struct be *b, struct err *err)
{
    const struct be_ranks *all = b->options.ranks;
    struct nccl_id id;
    struct ranks *r;
    int version = 0;
    size_t used;

    if (ranks_count(b) == 1)
        return 0;
    b->ranks = r = calloc(1, sizeof *r);
    if (!r)
        return err_set(err, ERR_NOMEM, "cuda backend");
    r->rank = all->rank;
    r->n = all->ranks;
    /* sums in the ring's order from run to run; in a switch (NVLS) there is none */
    if (b->options.deterministic)
        setenv("NCCL_ALGO", "Ring", 0);
    if (load(r, err) < 0 || agree_on_id(&id, r, all, err) < 0 ||
        nccl_check(r, r->nccl.init(&r->comm, r->n, id, r->rank), "several GPUs", err) < 0 ||
        cuda_check(cudaStreamCreateWithPriority(&r->stream, cudaStreamNonBlocking, 0), "a stream",
                   err) < 0 ||
        cuda_check(cudaEventCreateWithFlags(&r->ready, cudaEventDisableTiming), "an event", err) <
            0 ||
        cuda_check(cudaEventCreateWithFlags(&r->done, cudaEventDisableTiming), "an event", err) < 0)
        return -1;
    (void)r->nccl.version(&version);
    used = strlen(b->info.library);
    snprintf(b->info.library + used, sizeof b->info.library - used, ", NCCL %d", version);
    return 0;
}

void ranks_close(struct be *b)
{
    struct ranks *r = b->ranks;

    if (!r)
        return;
    if (r->stream)
        cudaStreamSynchronize(r->stream);
    if (r->comm)
        r->nccl.destroy(r->comm);
    if (r->ready)
        cudaEventDestroy(r->ready);
    if (r->done)
        cudaEventDestroy(r->done);
    if (r->stream)
        cudaStreamDestroy(r->stream);
    /* NCCL's threads may outlive its communicators: it stays loaded */
    free(r);
    b->ranks = NULL;
}

/* ---- order ----------------------------------------------------------------------------------- */

static int after(cudaStream_t waits, cudaEvent_t event, cudaStream_t for_what, struct err *err)
{
    if (cuda_check(cudaEventRecord(event, for_what), "several GPUs", err) < 0)
        return -1;
    return cuda_check(cudaStreamWaitEvent(waits, event, 0), "several GPUs", err);
}

static int collectives_after_compute(struct be_program *p, struct err *err)
{
    return after(p->be->ranks->stream, p->be->ranks->ready, p->be->compute, err);
}

static int compute_after_collectives(struct be_program *p, struct err *err)
{
    return after(p->be->compute, p->be->ranks->done, p->be->ranks->stream, err);
}

/* ---- gradients ------------------------------------------------------------------------------- */

int buckets_make(struct be_program *p, struct err *err)
{
    const struct op_list *l = p->list;
    size_t first = 0;

    if (!p->be->ranks || p->n_scaled == 0)
        return 0;
    p->buckets = calloc((size_t)l->n_ops + 1, sizeof *p->buckets);
    if (!p->buckets)
        return err_set(err, ERR_NOMEM, "cuda program");
    for (int i = 0; i < l->n_ops; i++) {
        size_t end = 0;

        for (int k = 0; l->ops[i].kind != OP_GRAD_SUM && k < OP_MAX_OUT; k++) {
            const int t = l->ops[i].out[k];

            if (op_tensor(p, t)->role == TENSOR_GRAD)
                end = (p->at[t] - p->grads) / sizeof(float) + tensor_elements(op_tensor(p, t));
        }
        if (end == 0)
            continue;
        p->buckets[p->n_buckets] = (struct bucket){first, end - first, i};
        if ((end - first) * sizeof(float) < BUCKET)
            continue; /* continues with the next op's gradients */
        first = end;
        p->n_buckets++;
    }
    if (p->buckets[p->n_buckets].n > 0)
        p->n_buckets++;
    return 0;
}

int ranks_reduce(struct be_program *p, int i, struct err *err)
{
    const struct bucket *bucket;
    struct ranks *r = p->be->ranks;
    float *grads;

    if (!r || p->step->only || p->next_bucket == p->n_buckets)
        return 0;
    bucket = &p->buckets[p->next_bucket];
    if (bucket->last != i)
        return 0;
    p->next_bucket++;
    grads = (float *)(void *)(p->memory + p->grads) + bucket->first;
    if (collectives_after_compute(p, err) < 0)
        return -1;
    return nccl_check(
        r, r->nccl.all_reduce(grads, grads, bucket->n, NCCL_FLOAT32, NCCL_SUM, r->comm, r->stream),
        "gradients", err);
}

int ranks_wait(struct be_program *p, struct err *err)
{
    if (!p->be->ranks || p->step->only || p->n_buckets == 0)
        return 0;
    BUG_IF(p->next_bucket != p->n_buckets);
    p->next_bucket = 0;
    return compute_after_collectives(p, err);
}

/* ---- batch norm ------------------------------------------------------------------------------ */

/* The 2 C sums that compute has put into this rank's place, from all into all places. */
static int gather(struct be_program *p, double *sums, int c, struct err *err)
{
    struct ranks *r = p->be->ranks;
    const size_t n = 2 * (size_t)c;

    if (collectives_after_compute(p, err) < 0 ||
        nccl_check(r,
                   r->nccl.all_gather(sums + (size_t)r->rank * n, sums, n, NCCL_FLOAT64, r->comm,
                                      r->stream),
                   "batch norm", err) < 0)
        return -1;
    return compute_after_collectives(p, err);
}

static int forward(struct be_program *p, const struct cuda_op *o, double *sums, struct err *err)
{
    const int y = o->op->in[0], c = op_tensor(p, y)->dims[1], n = p->be->ranks->n;
    const size_t rows = rows_of(p, y);
    void *const stream = p->be->compute;
    double *own = sums + (size_t)p->be->ranks->rank * 2 * (size_t)c;
    float *running[2] = {NULL, NULL};

    for (int i = 0; i < 2; i++)
        if (o->param[1 + i])
            running[i] = param(p, o->param[1 + i]);
    if (cuda_check(
            cuda_bn_sums(stream, own, act(p, y), type_of(p, y), rows, c, p->memory + p->workspace),
            op_tensor(p, y)->name, err) < 0 ||
        gather(p, sums, c, err) < 0)
        return -1;
    return cuda_check(cuda_bn_finish(stream, act(p, o->op->out[0]), running[0], running[1], sums, n,
                                     rows * (size_t)n, c),
                      op_tensor(p, y)->name, err);
}

static int backward(struct be_program *p, const struct cuda_op *o, double *sums, struct err *err)
{
    const int *in = o->op->in, *out = o->op->out, c = op_tensor(p, in[0])->dims[1];
    const bool relu = o->op->kind == OP_BN_RELU_BWD_STATS;
    const struct ranks *r = p->be->ranks;
    const double *stat = act(p, in[relu ? 2 : 4]);
    void *const stream = p->be->compute;
    const int code = cuda_bn_bwd_sums(
        stream, sums + (size_t)r->rank * 2 * (size_t)c, relu ? NULL : act(p, out[0]), act(p, in[0]),
        relu ? NULL : act(p, in[1]), relu ? NULL : act(p, in[2]), act(p, in[relu ? 1 : 3]),
        type_of(p, in[0]), rows_of(p, in[0]), c, stat, relu ? param(p, o->param[3]) : NULL,
        relu ? param(p, o->param[4]) : NULL, p->memory + p->workspace);

    out += relu ? 0 : 1;
    if (cuda_check(code, op_tensor(p, out[0])->name, err) < 0 || gather(p, sums, c, err) < 0)
        return -1;
    return cuda_check(cuda_bn_bwd_finish(stream, act(p, out[0]), act(p, out[1]), act(p, out[2]),
                                         sums, r->n, c, stat, r->rank == 0),
                      op_tensor(p, out[0])->name, err);
}

int ranks_norm(struct be_program *p, const struct cuda_op *o, struct err *err)
{
    double *sums = (double *)(void *)(p->memory + p->sums);

    return o->op->kind == OP_BN_STATS ? forward(p, o, sums, err) : backward(p, o, sums, err);
}
