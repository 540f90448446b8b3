/* cuda.h - private to the CUDA backend's host side: an open device, a prepared list, one op of it.
 *
 * Kernels lie behind cuda_kernels.h, convolutions behind conv_graph.h. One stream computes, in the
 * order of the list; another copies batches to the device. A program is one piece of device memory,
 * laid out before it is asked for. Parameters and state lie in the device's store, in torch's layout;
 * what convolutions read is a copy as (k, r, s, c), made when they change.
 *
 * Several devices, a process each: cuda_ranks.c.
 *
 * Inside, pictures are NHWC, and three channels are four, the last of zeros.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CUDA_CUDA_H
#define PRESIZE_BACKEND_CUDA_CUDA_H

#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include "backend/backend.h"
#include "backend/cuda/conv_graph.h"
#include "backend/cuda/cuda_kernels.h"
#include "backend/op_traits.h"
#include "backend/persistent.h"
#include "backend/plan.h"
#include "base/thread.h"

enum { SLOTS = 3, DEVICE_ALIGN = 256, GRAPHS = 2 * SLOTS };

struct kept_plan { /* of one shape, shared by all programs */
    struct kept_plan *next;
    struct conv_shape shape;
    struct conv_plan *plan; /* NULL until it is made */
    struct err err;         /* why it could not be */
};

/* A batch on its way: struct cuda_step, cuda_pictures, pixels, in pinned memory and on the device. */
struct slot {
    char *host, *device;
    size_t bytes;
    cudaEvent_t uploaded, consumed; /* the host may refill; the copy stream may overwrite */
};

struct sent { /* a picture in a slot: its place, and which it is */
    size_t at;
    uint32_t set, rank;
};

/* All pictures of one set, on the device. */
struct kept {
    uint32_t set, n; /* 0: none */
    char *pixels;    /* on the device */
    size_t bytes;
    size_t *at; /* n, owned: where each lies */
};

struct ranks; /* cuda_ranks.c */

struct be {
    struct exec_options options;
    struct be_info info;
    int capability; /* 10 major + minor */
    bool wait;      /* for each op, so that an error names the op it came from */
    bool graphs;    /* whole runs may be CUDA graphs */
    cudaStream_t compute, copy;
    cudnnHandle_t cudnn;
    cublasHandle_t cublas;
    void *cublas_workspace;
    struct conv_device *conv_device;
    struct conv_rules rules;
    struct pool *pool; /* fills slots, builds plans */
    struct kept_plan *plans;
    struct persistents persistents;
    float *store;
    size_t store_used, store_room; /* elements */
    struct cuda_scale *scale;
    struct slot slots[SLOTS];
    int next_slot;
    struct be_program *sent_for; /* whose pixels the next slot has already; NULL */
    struct kept kept;
    struct ranks *ranks; /* NULL: this device alone */
};

/* What a graph freezes. */
struct graph_key {
    const struct cuda_step *step; /* in a slot, as are the pictures' parameters */
    const uint8_t *pixels;
    const float *store;
    bool last; /* the optimiser's ops run */
};

struct step_graph {
    struct graph_key key;
    cudaGraphExec_t exec; /* NULL: none yet */
};

struct cuda_op {
    const struct op *op;
    /* Enqueues the op; NULL: an op before it does its work. */
    int (*run)(struct be_program *p, const struct cuda_op *o, struct err *err);
    struct persistent *param[OP_MAX_IN]; /* of in[], NULL where in[] is no persistent tensor */
    struct kept_plan *conv;
    const struct op *norm; /* BN_INFER that the convolution does as well */
    struct persistent *norm_param[OP_MAX_IN];
    size_t filter, bias;       /* in p->memory: (k, r, s, c) that the convolution reads */
    int first_chunk, n_chunks; /* ADAM, SGD, EMA: of p->chunks; CONV*: of p->filters */
};

struct be_program {
    struct be *be;
    struct op_list *list; /* owned copy, one microbatch: the whole batch */
    struct plan *plan;
    struct cuda_op *ops;
    char *memory; /* on the device, everything below by byte offset */
    size_t bytes;
    size_t *at;            /* per tensor, but PARAM and STATE */
    size_t grads, n_grads; /* floats: first those that backward ops write, n_scaled of them */
    size_t n_scaled;
    size_t workspace, workspace_bytes; /* of the op that runs */
    size_t sums;                       /* batch norms' of each device, one after another */
    size_t staging;                    /* a convolution's weight gradient as it comes */
    size_t copies, constants, chunks_at, filters_at;
    struct cuda_chunk *chunks; /* host copies of the tables, owned */
    struct cuda_filter_chunk *filters;
    int n_chunks, n_filters, n_casts;    /* the first n_casts filters are weights to be cast */
    int n_steps;                         /* the first n_steps chunks are ADAM's and SGD's */
    uint64_t cast_version, fold_version; /* sum of the parameters' versions when copies were made */
    struct bucket {                      /* gradients that are added up over devices in one go */
        size_t first, n;                 /* floats from grads on */
        int last;                        /* op that writes the last of them */
    } * buckets;                         /* owned */
    int n_buckets, next_bucket;
    bool scaled; /* gradients are multiplied by the loss scale */
    struct step_graph graphs[GRAPHS];
    int next_graph;
    bool warm[2];   /* there was a run of the kind, by key.last */
    struct timing { /* of one run; as many as slots, so that no run waits for the one before */
        cudaEvent_t *marks; /* n_ops + 1, owned: before each op and at the end */
        bool *ran;          /* n_ops, owned: what ran */
        bool due;           /* is yet to be added to the profile; a graph's run has no times */
    } timings[SLOTS];
    int turn;          /* that runs next */
    struct sent *sent; /* n_sent, room for a batch, owned */
    int n_sent;
    double seconds[OP_KINDS];
    const struct step *step; /* of the run in progress, like the rest */
    const struct cuda_step *device_step;
    const struct cuda_picture *pictures;
    const uint8_t *pixels;
};

/* CODE is a cudaError_t, 0 when all is well; WHAT was asked. -1 with ERR_NOMEM or ERR_UNSUPPORTED. */
int cuda_check(int code, const char *what, struct err *err) MUST_USE;

const struct tensor *op_tensor(const struct be_program *p, int tensor);
void *act(const struct be_program *p, int tensor); /* device address; NULL for 0 */
float *param(const struct be_program *p, const struct persistent *t);
enum dtype type_of(const struct be_program *p, int tensor);
size_t rows_of(const struct be_program *p, int tensor); /* n h w */
int device_channels(const struct tensor *t);            /* of pictures and filters: 4 for 3 */
size_t device_elements(const struct tensor *t);

/* cuda_tensor.c */
/* Of the store of persistent tensors: the next place; room for all places on the device, zeros. */
int cuda_place(struct be *b, struct persistent *t, struct err *err) MUST_USE;
int store_grow(struct be *b, struct err *err) MUST_USE;
int cuda_put(struct be *b, const char *name, const float *src, struct err *err) MUST_USE;
int cuda_get(struct be *b, const char *name, float *dst, struct err *err) MUST_USE;
int cuda_read(struct be_program *p, int tensor, float *dst, struct err *err) MUST_USE;
int cuda_write(struct be_program *p, int tensor, const float *src, struct err *err) MUST_USE;

/* cuda_layout.c: where everything of a program lies; then its memory. */
int layout_make(struct be_program *p, struct err *err) MUST_USE;
void cuda_memory(const struct be_program *p, struct be_memory *m);

/* cuda_optimiser.c: chunks of ADAM, of SGD, then of EMA. GRAD tensors are placed before. */
int chunks_make(struct be_program *p, struct err *err) MUST_USE;

/* cuda_slot.c */
/* Sends the step to the device; the compute stream waits for it. Afterwards slot_done(). */
int slot_send(struct be_program *p, const struct step *step, struct slot **out,
              struct err *err) MUST_USE;
int slot_done(struct be_program *p, struct slot *s, struct err *err) MUST_USE;
/* Sends step->next's pixels while the step is computed, where they have to travel. */
int slot_ahead(struct be_program *p, const struct step *step, struct err *err) MUST_USE;
int slots_open(struct be *b, struct err *err) MUST_USE;
void slots_close(struct be *b);

/* cuda_kept.c */
int cuda_keep(struct be *b, const struct picture_set *set, struct err *err) MUST_USE;
void kept_free(struct be *b);                               /* waits for what reads it */
bool kept_has(const struct be *b, const struct step *step); /* all pictures are of the kept set */

/* cuda_graph.c */
void graphs_open(struct be *b);
void graphs_free(struct be_program *p); /* after its runs are over */
/* Enqueues the step's ops, as a graph where that may be. */
int graph_run(struct be_program *p, struct err *err) MUST_USE;

/* cuda_ranks.c: nothing to do, and 0, where the device is alone. */
int ranks_open(struct be *b, struct err *err) MUST_USE; /* options.ranks; the device is set */
void ranks_close(struct be *b);
int ranks_count(const struct be *b);
int ranks_device(const struct be *b, int devices); /* number of this process's */
/* GRAD tensors are placed before */
int buckets_make(struct be_program *p, struct err *err) MUST_USE;
/* Op number I is enqueued: adds up, on a stream beside, the bucket that it completes. */
int ranks_reduce(struct be_program *p, int i, struct err *err) MUST_USE;
int ranks_wait(struct be_program *p, struct err *err) MUST_USE; /* compute waits for all of them */
/* In several devices' place of cuda_norm_op()'s. */
int ranks_norm(struct be_program *p, const struct cuda_op *o, struct err *err) MUST_USE;

/* cuda_run.c */
/* Enqueues the step's ops one by one; TIMED: with marks between them, for the profile. */
int ops_run(struct be_program *p, bool timed, struct err *err) MUST_USE;
int cuda_run(struct be_program *p, const struct step *step, struct err *err) MUST_USE;
void cuda_profile(const struct be_program *p, double seconds[OP_KINDS]);

/* cuda_conv.c: plans of all convolutions of P, made by the pool's threads. */
int plans_make(struct be_program *p, struct err *err) MUST_USE;
void plans_free(struct be *b);
/* Puts the fastest candidate of each of N plans first (cuda_tune.c). */
int plans_tune(struct be *b, struct kept_plan *const *plans, int n, struct err *err) MUST_USE;
char *cuda_plans(const struct be *b);
/* Chunks of all filters, places of the copies; bytes of these, and of the largest gradient. GRAD
 * tensors are placed before. */
int filters_make(struct be_program *p, size_t *copies, size_t *staging, struct err *err) MUST_USE;
/* Copies of weights that have changed since the last run. */
int refresh_filters(struct be_program *p, struct err *err) MUST_USE;

/* One row per kind: what this device can do, prepared into the op. */
typedef int cuda_prepare(struct be_program *p, struct cuda_op *o, struct err *err);
cuda_prepare cuda_conv_op, cuda_linear_op, cuda_norm_op, cuda_head_op, cuda_pool_op,
    cuda_optimiser_op;

extern const struct backend cuda_backend;

#endif
