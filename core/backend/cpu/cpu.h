/* cpu.h - private to the cpu backend: an open device, a prepared list, one op of it.
 *
 * An op is prepared once into a struct cpu_op; running a segment calls, in order: begin (the caller's
 * thread, before), run (any worker, once per microbatch), finish (the caller's thread, after: sums over
 * microbatches) and later, as work that fills idle threads, fill (any worker, once).
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CPU_CPU_H
#define PRESIZE_BACKEND_CPU_CPU_H

#include "backend/backend.h"
#include "backend/cpu/augment.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/onednn.h"
#include "backend/plan.h"
#include "base/thread.h"

/* A persistent tensor in plain layout, and the copies that primitives read. */
struct weight_copy {
    struct weight_copy *next;
    struct dnn_format format;
    struct dnn_reorder *reorder;
    void *data;
    uint64_t version; /* of the tensor when it was copied */
};
struct persistent {
    struct persistent *next;
    char name[64];
    int dims[4];
    size_t n;
    float *data;
    uint64_t version; /* counts changes; copies made from an older one are stale */
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
struct job { /* one op of one microbatch */
    struct be_program *p;
    const struct cpu_op *op;
    int worker, micro;   /* who, which microbatch */
    int first, n;        /* pictures [first, first + n) of the batch */
};

struct cpu_op {
    const struct op *op;
    void (*begin)(struct be_program *p, struct cpu_op *o);
    void (*run)(const struct job *j);
    void (*finish)(struct be_program *p, struct cpu_op *o);
    void (*fill)(struct be_program *p, struct cpu_op *o, int worker);
    struct slab slab;       /* of one microbatch of the op's main tensor */
    struct slab out;        /* pools: of the result */
    struct dnn_conv *conv;  /* owned */
    struct dnn_reorder *to_plain; /* CONV_BWD_WEIGHT, owned */
    struct weight_copy *weight;   /* CONV, CONV_BWD_DATA; borrowed from the persistent */
    struct persistent *param[4];  /* by role in the op's row of op.h */
    double *leaves;         /* BN sums, (microbatches, 2, c), owned */
    float *coef;            /* BN per-channel coefficients, (4, c), owned */
    size_t leaf_offset, leaf_bytes; /* weight gradients: in the program's leaf buffer */
};

struct chunk { /* part of an ADAM op */
    int op;
    size_t first, n;
};

struct be_program {
    struct be *be;
    struct op_list *list;
    struct plan *plan;
    struct cpu_op *ops;     /* list->n_ops */
    void **data;            /* per tensor: ACT in the arena (whole batch) or NULL when local; GRAD float*; STAT double* */
    size_t *slice;          /* per tensor: bytes of one picture */
    char *arena, *local, *leaves, *scratch; /* mapped; local and scratch: per worker */
    size_t local_bytes, leaf_bytes, scratch_bytes; /* leaf: of one of the two halves */
    float **fill_sum;       /* per worker: room for a summed weight gradient */
    size_t fill_bytes;
    struct chunk *chunks;
    int n_chunks;
    int micro, n_micro;     /* pictures in a microbatch, microbatches in a batch */
    const struct step *step; /* of the run in progress */
    int active;             /* microbatches that hold pictures in this run */
    int segment;            /* in progress */
    int *fill;              /* ops whose fill is due */
    int n_fill;
    bool failed;            /* a primitive failed in a worker */
    double (*seconds)[OP_KINDS]; /* per worker */
    struct be_memory memory;
};

/* Address of tensor T for a job: the slice of the job's first picture. */
void *job_data(const struct job *j, int tensor);
float *worker_scratch(struct be_program *p, int worker);
char *leaf_data(struct be_program *p, const struct cpu_op *o, int segment, int micro);

/* The slab of ACT tensor T with N pictures. */
struct slab tensor_slab(const struct be *b, const struct tensor *t, int n);
/* Finds or makes the persistent tensor of T. NULL: out of memory. */
struct persistent *persistent_get(struct be *b, const struct tensor *t);
/* A copy of W in FORMAT, made stale at first. NULL with ERR. */
struct weight_copy *weight_copy_get(struct be *b, struct persistent *w, const struct dnn_format *f,
                                    struct err *err);

/* One row per kind: checks what this device can do and fills in the op. */
struct cpu_kind {
    int (*prepare)(struct be_program *p, struct cpu_op *o, struct err *err) MUST_USE;
};
extern const struct cpu_kind cpu_kinds[OP_KINDS];
int cpu_conv_prepare(struct be_program *p, struct cpu_op *o, struct err *err) MUST_USE;
int cpu_conv_bwd_data_prepare(struct be_program *p, struct cpu_op *o, struct err *err) MUST_USE;
int cpu_conv_bwd_weight_prepare(struct be_program *p, struct cpu_op *o, struct err *err) MUST_USE;
int cpu_linear_prepare(struct be_program *p, struct cpu_op *o, struct err *err) MUST_USE;
int cpu_bn_stats_prepare(struct be_program *p, struct cpu_op *o, struct err *err) MUST_USE;
int cpu_bn_apply_prepare(struct be_program *p, struct cpu_op *o, struct err *err) MUST_USE;
int cpu_bn_infer_prepare(struct be_program *p, struct cpu_op *o, struct err *err) MUST_USE;
int cpu_bn_bwd_stats_prepare(struct be_program *p, struct cpu_op *o, struct err *err) MUST_USE;
int cpu_bn_bwd_apply_prepare(struct be_program *p, struct cpu_op *o, struct err *err) MUST_USE;
int cpu_pool_prepare(struct be_program *p, struct cpu_op *o, struct err *err) MUST_USE;
int cpu_head_prepare(struct be_program *p, struct cpu_op *o, struct err *err) MUST_USE;
int cpu_adam_prepare(struct be_program *p, struct cpu_op *o, struct err *err) MUST_USE;
int cpu_augment_prepare(struct be_program *p, struct cpu_op *o, struct err *err) MUST_USE;

#endif
