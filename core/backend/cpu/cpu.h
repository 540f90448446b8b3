/* cpu.h - private to the cpu backend: an open device, a prepared list, one op of it.
 *
 * An op is prepared once into a struct cpu_op; running a segment calls, in order: begin (the
 * caller's thread, before), run (any worker, for op->pictures of a microbatch at a time), finish (the caller's thread,
 * after: sums over microbatches) and later, as work that fills idle threads, fill (any worker,
 * once for each of the op's parts). SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CPU_CPU_H
#define PRESIZE_BACKEND_CPU_CPU_H

#include <stdatomic.h>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/onednn.h"
#include "backend/plan.h"
#include "base/thread.h"

/* A persistent tensor in plain layout, and the copies that primitives read. */
struct weight_copy {
    struct weight_copy *next;
    struct persistent *of;
    struct dnn_reorder *reorder; /* owned; its format is the copy's */
    void *data;                  /* owned */
    uint64_t version;            /* of the tensor when it was copied; 0: never */
};
struct persistent {
    struct persistent *next;
    char name[64];
    int dims[4];
    size_t n;
    float *data;
    uint64_t version; /* counts changes from 1; copies made from an older one are stale */
    struct weight_copy *copies;
};

struct be {
    struct exec_options options;
    int threads;
    bool blocked; /* nChw16c; else NHWC */
    bool has_bf16;
    struct pool *pool;
    struct dnn *dnn;
    const struct kernels *kernels;
    struct persistent *persistents;
};

struct cpu_op;
struct job { /* one op of op->pictures pictures */
    struct be_program *p;
    const struct cpu_op *op;
    int worker, micro; /* who, which microbatch */
    int first;         /* of the pictures, in the batch */
};

struct cpu_op {
    const struct op *op;
    void (*begin)(struct be_program *p, struct cpu_op *o);
    void (*run)(const struct job *j);
    void (*finish)(struct be_program *p, struct cpu_op *o);
    void (*fill)(struct be_program *p, const struct cpu_op *o, int part, int worker);
    int pictures;                 /* taken at a time */
    struct slab slab;             /* so many of the op's main tensor */
    struct slab out;              /* pools: of the pooled one */
    struct dnn_conv *conv;        /* owned */
    struct dnn_reorder *to_plain; /* CONV_BWD_WEIGHT, owned */
    struct weight_copy *weight;   /* CONV, CONV_BWD_DATA; borrowed */
    struct folded *folded;        /* CONV and its BN_INFER in one (cpu_fold.c), owned */
    struct persistent *param[6];  /* of in[], NULL where in[] is no persistent tensor; borrowed */
    double *sums;                 /* BN: (microbatches, 2, c), owned */
    float *coef;                  /* BN: (4, c), per channel, owned */
    size_t leaf_bytes;            /* weight gradients: one microbatch's share */
    char *leaves;                 /* (microbatches, leaf_bytes), borrowed */
    int parts;                    /* of a leaf, summed one by one, */
    size_t part_n;                /* of so many numbers */
    int segment;                  /* that the op is in */
    bool past; /* BN_BWD_STATS: no op of the segment reads g, and it lies on no input */
};

struct chunk { /* part of one of the optimiser's ops, or of a gradient that GRAD_NORM reads */
    const struct cpu_op *op;
    const float *grad; /* NULL: EMA */
    size_t first, n;
    double squares; /* GRAD_NORM */
};

struct fill { /* one part of the leaves of an op, to be summed */
    const struct cpu_op *op;
    int part;
};

struct region { /* zeroed anonymous memory, huge pages where the system has them */
    char *data;
    size_t bytes;
};

struct be_program {
    struct be *be;
    struct op_list *list; /* owned copy */
    struct plan *plan;
    struct cpu_op *ops;              /* list->n_ops */
    void **data;                     /* per tensor: GRAD float *, STAT double *, owned; else NULL */
    size_t *slice;                   /* per tensor: bytes of one picture, ACT */
    int micro, n_micro;              /* pictures in a microbatch, microbatches in a batch */
    struct region arena;             /* tensors of whole batches */
    struct region local;             /* (workers, plan->local_bytes) */
    struct region leaves;            /* two halves, used by turns from segment to segment */
    struct region scratch;           /* (workers, scratch_bytes + sum_bytes) */
    size_t scratch_bytes, sum_bytes; /* primitives' scratchpad; a part of a summed gradient */
    struct weight_copy **copies;     /* that the list reads, each once */
    int n_copies;
    struct chunk *chunks; /* in the order of the ops */
    int n_chunks;
    double (*seconds)[OP_KINDS]; /* per worker */
    const struct step *step;     /* of the run in progress, like the rest */
    int active;                  /* microbatches that hold pictures */
    const struct segment *segment;
    struct chunk *first_chunk; /* of the segment */
    struct fill *due;
    int n_due;
    atomic_bool failed; /* a primitive failed in a worker */
};

/* Address of tensor T's slice of the job's first picture. */
void *job_data(const struct job *j, int tensor);
char *worker_scratch(const struct be_program *p, int worker);
float *worker_sum(const struct be_program *p, int worker);
void job_fail(const struct job *j);
const struct tensor *op_tensor(const struct be_program *p, int tensor);

/* The slab of ACT tensor T with N pictures; ERR_UNSUPPORTED when its channels do not fill blocks.
 */
int tensor_slab(struct slab *s, const struct be *b, const struct tensor *t, int n,
                struct err *err) MUST_USE;
/* act_data: the same without a job. */
char *act_data(const struct be_program *p, int tensor, int worker, int picture);
bool is_persistent(const struct tensor *t);
int persistent_get(struct persistent **out, struct be *b, const struct tensor *t,
                   struct err *err) MUST_USE; /* finds or makes it */
void persistents_free(struct be *b);
/* Finds or makes the copy of W in FORMAT. */
int weight_copy_get(struct weight_copy **out, struct be *b, struct persistent *w,
                    const struct dnn_format *format, struct err *err) MUST_USE;

bool op_wanted(const struct be_program *p, const struct cpu_op *o); /* by step->only */
/* ERR_UNSUPPORTED unless the op's first input is fp32. */
int f32_only(const struct be_program *p, const struct cpu_op *o, struct err *err) MUST_USE;
/* Makes the CONV at O and the BN_INFER after it one convolution with bias, where nothing else reads
 * what lies between. 1 when it did, 0 when not, -1. */
int cpu_fold(struct be_program *p, struct cpu_op *o, struct err *err) MUST_USE;
void folded_free(struct folded *f); /* NULL is fine */
size_t folded_scratch(const struct folded *f);
struct dnn_conv_desc conv_desc(const struct be_program *p, const struct cpu_op *o,
                               enum dnn_pass pass, int x, int weight, int y);

/* Entries of the backend's table that live in files of their own. */
int cpu_run(struct be_program *p, const struct step *step, struct err *err) MUST_USE;
void cpu_profile(const struct be_program *p, double seconds[OP_KINDS]);
int cpu_put(struct be *b, const char *name, const float *src, struct err *err) MUST_USE;
int cpu_get(struct be *b, const char *name, float *dst, struct err *err) MUST_USE;
int cpu_read(struct be_program *p, int tensor, float *dst, struct err *err) MUST_USE;
int cpu_write(struct be_program *p, int tensor, const float *src, struct err *err) MUST_USE;

/* One row per kind: what this device can do, prepared into the op (NULL: nothing it can do). */
typedef int cpu_prepare(struct be_program *p, struct cpu_op *o, struct err *err);
cpu_prepare cpu_conv, cpu_conv_bwd_data, cpu_conv_bwd_weight;
cpu_prepare cpu_linear, cpu_linear_bwd_data, cpu_linear_bwd_weight;
cpu_prepare cpu_bn_stats, cpu_bn_apply, cpu_bn_infer, cpu_bn_bwd_stats, cpu_bn_bwd_apply;
cpu_prepare cpu_max_pool, cpu_max_pool_bwd, cpu_concat_pool, cpu_concat_pool_bwd;
cpu_prepare cpu_augment, cpu_relu, cpu_relu_bwd, cpu_dropout, cpu_dropout_bwd, cpu_softmax_loss;
cpu_prepare cpu_optimiser;

/* cpu_optimiser.c: makes p->chunks; runs the element-wise SEGMENT in progress. */
int optimiser_chunks(struct be_program *p, struct err *err) MUST_USE;
void optimiser_run(struct be_program *p);

#endif
