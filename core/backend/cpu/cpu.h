/* cpu.h - private to the cpu backend: an open device, a prepared list, one op of it.
 *
 * Where several processes share the batch (struct be_ranks), this one has as many of its microbatches, in their order;
 * sums over all of them are made by cpu_ranks.c.
 *
 * An op is prepared once into a struct cpu_op; running a segment calls, in order: begin (the
 * caller's thread, before), run (any worker, for op->pictures of a microbatch at a time), finish (the caller's thread,
 * after: sums over microbatches) and later, as work that fills idle threads, fill (any worker,
 * once for each of the op's parts). SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CPU_CPU_H
#define PRESIZE_BACKEND_CPU_CPU_H

#include <stdatomic.h>

#include "backend/backend.h"
#include "backend/cpu/conv/conv.h"
#include "backend/cpu/kernels.h"
#include "backend/op_traits.h"
#include "backend/persistent.h"
#include "backend/plan.h"
#include "base/thread.h"

struct region { /* zeroed memory, huge pages where the system has them */
    char *data;
    size_t bytes;
    /* The processes of this machine have it in common; NULL: it is this process's. */
    const struct be_ranks *sharers;
    bool populated;
};

struct
    heap { /* what lives until the device is closed; in common for the processes of this machine */
    const struct be_ranks *sharers;
    struct region *regions;
    int n;
    size_t left; /* of the last */
};

/* A copy of a persistent tensor, as convolutions read it. */
struct weight_copy {
    struct weight_copy *next;
    struct persistent *of;
    void *data; /* of the heap */
    size_t bytes;
    int users;        /* prepared lists that read it */
    uint64_t version; /* of the tensor when it was copied; 0: never */
    int parts;        /* that are filled side by side, by: */
    void (*fill)(struct be_program *p, const struct weight_copy *c, int part, int worker);
    struct conv_format format;   /* ours */
    struct dnn_reorder *reorder; /* oneDNN's, owned; NULL: ours */
};
struct be {
    struct exec_options options;
    int threads;
    enum isa isa;      /* of all kernels, */
    enum isa conv_isa; /* but convolutions, where bf16 dot products are slow or have other bits */
    bool blocked;      /* nChw16c; else NHWC */
    bool has_bf16;
    struct pool *pool;
    struct dnn *dnn; /* NULL: convolutions are ours */
    const struct kernels *kernels;
    struct heap heap;
    struct persistents persistents;
    struct weight_copy *spares; /* that no list reads, for others of the same size */
};

struct cpu_op;
struct chunk;
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
    void (*chunk)(const struct be_program *p, const struct chunk *c); /* the optimiser's, alone */
    int pictures;                                                     /* taken at a time */
    struct slab slab;           /* so many of the op's main tensor */
    struct slab out;            /* pools: of the pooled one */
    struct conv *conv;          /* owned */
    struct conv_format linear;  /* LINEAR, LINEAR_BWD_DATA: of their weight */
    struct dnn_op *dnn;         /* oneDNN's part of it, owned (cpu_onednn.c) */
    struct weight_copy *weight; /* CONV, LINEAR and their BWD_DATA; borrowed */
    struct folded *folded;      /* CONV and its BN_INFER in one (cpu_fold.c), owned */
    size_t scratch_bytes;       /* of a worker's scratch, that a run needs */
    bool runs_next;             /* does the op after it, too */
    /* Of in[], NULL where in[] is no persistent tensor; borrowed. */
    struct persistent *param[OP_MAX_IN];
    double *sums;      /* BN: (microbatches of all processes, 2, c), owned */
    float *coef;       /* BN: (4, c), per channel, owned */
    size_t leaf_bytes; /* weight gradients: one microbatch's share */
    char *leaves;      /* (microbatches of this machine, leaf_bytes), borrowed */
    size_t gradient;   /* several processes: its place in what they exchange, in floats */
    int parts;         /* of a leaf, summed one by one, */
    size_t part_n;     /* of so many numbers */
    int segment;       /* that the op is in */
    bool past;         /* BN_BWD_STATS: no op of the segment reads g, and it lies on no input */
};

struct chunk { /* part of one of the optimiser's ops, or of a gradient that GRAD_NORM reads */
    const struct cpu_op *op;
    const float *grad; /* NULL: EMA */
    size_t first, n;
};

struct refill { /* one part of a copy of weights */
    struct weight_copy *copy;
    int part;
};

struct fill { /* one part of the leaves of an op, to be summed */
    const struct cpu_op *op;
    int part;
};

struct be_program {
    struct be *be;
    struct op_list *list; /* owned copy */
    struct plan *plan;
    struct cpu_op *ops; /* list->n_ops */
    void **data; /* per tensor: GRAD float *, of GRADIENTS, STAT double *, of STATS; else NULL */
    struct region gradients, stats;
    size_t *slice;                   /* per tensor: bytes of one picture, ACT */
    int micro, n_micro;              /* pictures in a microbatch, microbatches of this process */
    struct ranks *ranks;             /* owned; NULL: one machine computes the whole batch */
    struct region arena;             /* tensors of whole batches */
    struct region local;             /* (workers, plan->local_bytes) */
    struct region leaves;            /* two halves, used by turns from segment to segment */
    struct region scratch;           /* (workers, scratch_bytes + sum_bytes) */
    size_t scratch_bytes, sum_bytes; /* primitives' scratchpad; a part of a summed gradient */
    struct weight_copy **copies;     /* that the list reads, each once */
    int n_copies;
    struct refill *refills; /* all their parts */
    int n_refills;
    struct chunk *chunks; /* in the order of the ops */
    int n_chunks;
    struct region squares;       /* double (n_chunks), of GRAD_NORM's */
    double (*seconds)[OP_KINDS]; /* per worker */
    const struct step *step;     /* of the run in progress, like the rest */
    int active;                  /* microbatches that hold pictures */
    const struct segment *segment;
    struct chunk *first_chunk; /* of the segment */
    struct fill *due;          /* this process's */
    int n_due;
    bool fills; /* some process of the machine sums gradients beside the segment */
    bool met; /* the processes of the machine have met since the segment's microbatches were done */
    bool unshared;      /* gradients of this run are not added up with those of other processes */
    atomic_bool failed; /* a primitive failed in a worker */
};

/* cpu_memory.c: *R (zeroed by the caller) gets BYTES, none for 0; WHAT is named in the message. ERR_NOMEM. */
int region_map(struct region *r, size_t bytes, const char *what, struct err *err) MUST_USE;
/* The same, in common for the processes of a machine that share memory. */
int region_share(struct region *r, const struct be_ranks *ranks, size_t bytes, const char *what,
                 struct err *err) MUST_USE;
void region_unmap(struct region *r);
/* Before its first use: gives this process's part of what is in common its pages. Planning needs none. */
void region_populate(struct region *r);
void heap_populate(struct heap *h);
size_t region_part(const struct region *r); /* bytes: of what is in common, one process's part */
/* BYTES, zeroed, aligned to 64. ERR_NOMEM. */
int heap_take(void **out, struct heap *h, size_t bytes, const char *what, struct err *err) MUST_USE;
void heap_free(struct heap *h);

/* Address of tensor T's slice of the job's first picture; NULL for 0. */
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
/* Of the store of persistent tensors. */
int cpu_place(struct be *b, struct persistent *t, struct err *err) MUST_USE;
void cpu_drop(struct be *b); /* all of them, with their copies */
/* Makes the copies of weights that no prepared list reads spares. */
void weight_copies_sweep(struct be *b);
/* A copy of W of so many BYTES, without contents and fill(); new or a spare. ERR_NOMEM. */
int weight_copy_new(struct weight_copy **out, struct be *b, struct persistent *w, size_t bytes,
                    struct err *err) MUST_USE;
/* Finds or makes the copy of W in FORMAT. */
int weight_copy_get(struct weight_copy **out, struct be *b, struct persistent *w,
                    const struct conv_format *format, struct err *err) MUST_USE;

/* ERR_UNSUPPORTED unless the op's first input is fp32. */
int f32_only(const struct be_program *p, const struct cpu_op *o, struct err *err) MUST_USE;
/* Makes the CONV at O and the BN_INFER after it one, where op_list_folds(). */
int cpu_fold(struct be_program *p, struct cpu_op *o, struct err *err) MUST_USE;
void folded_free(struct folded *f); /* NULL is fine */
struct subtree {                    /* of the microbatches' tree */
    int first, n;                   /* leaves, of this machine's */
    float *plain;                   /* where their sum belongs: a whole gradient in plain layout */
};
/* The weight gradient's leaf of the job's microbatch, and the sum of PART of the leaves of S. */
void *job_leaf(const struct job *j);
void leaves_sum(const struct be_program *p, const struct cpu_op *o, const struct subtree *s,
                int part, float *sum);
/* Splits a leaf of N numbers into equal parts of some 128 KiB. */
void leaf_parts(struct cpu_op *o, size_t n);

/* cpu_onednn.c: convolutions and linear layers by oneDNN, in place of ours (exec.conv=onednn). All of them
 * answer ERR_UNSUPPORTED in a build without the library. */
int cpu_dnn_open(struct be *b, bool isa_named, struct err *err) MUST_USE; /* b->isa is set */
void cpu_dnn_close(struct be *b);
void cpu_dnn_thread(void); /* in each worker, before it runs anything */
void cpu_dnn_describe(const struct be *b, struct be_info *info);
void dnn_op_free(struct dnn_op *o);        /* NULL is fine */
void dnn_copy_free(struct dnn_reorder *r); /* NULL is fine */

/* Entries of the backend's table that live in files of their own. */
int cpu_run(struct be_program *p, const struct step *step, struct err *err) MUST_USE;
void cpu_profile(const struct be_program *p, double seconds[OP_KINDS]);
int cpu_put(struct be *b, const char *name, const float *src, struct err *err) MUST_USE;
int cpu_get(struct be *b, const char *name, float *dst, struct err *err) MUST_USE;
int cpu_read(struct be_program *p, int tensor, float *dst, struct err *err) MUST_USE;
int cpu_write(struct be_program *p, int tensor, const float *src, struct err *err) MUST_USE;

void cpu_traffic(const struct op_list *list, int ranks, struct be_traffic *t); /* cpu_ranks.c */

/* What this device can do, prepared into the op, for each kind: cpu_conv(), ... */
typedef int cpu_prepare(struct be_program *p, struct cpu_op *o, struct err *err);
#define CPU_FUNCTION(KIND, name) cpu_prepare cpu_##name;
OP_EACH(CPU_FUNCTION)
cpu_prepare dnn_conv, dnn_conv_bwd_data, dnn_conv_bwd_weight; /* cpu_onednn.c */
cpu_prepare dnn_linear, dnn_linear_bwd_data, dnn_linear_bwd_weight;

/* cpu_ranks.c. The processes of this machine that share memory: how many, and this one's number; 1 and 0: alone. */
int machine_ranks(const struct be_ranks *r);
int machine_rank(const struct be_ranks *r);
void machine_meeting(const struct be_ranks *r); /* returns when all of the machine have called it */
/* Of N tasks that the processes of the machine share, this one's: task I of OWN_TASKS is number OWN_TASK. */
int own_tasks(const struct be_ranks *r, int n);
int own_task(const struct be_ranks *r, int i);
/* P->ranks, once the ops are prepared; gradients lie in its memory then. Nothing to do on a single machine. */
int ranks_make(struct be_program *p, struct err *err) MUST_USE;
void ranks_free(struct ranks *r);     /* NULL is fine */
void ranks_populate(struct ranks *r); /* likewise */
size_t ranks_bytes(const struct ranks *r);
int ranks_count(const struct be_program *p); /* 1: alone */
/* The first of this process's microbatches, and how many those of all processes are. */
int ranks_first(const struct be_program *p);
int ranks_all(const struct be_program *p);
/* The microbatches' rows, WIDTH doubles each: this process's to all others, theirs to it. */
void ranks_rows(struct be_program *p, double *rows, size_t width);
/* The complete subtrees of this machine's microbatches, from left to right; one alone has one. */
int ranks_subtrees(const struct be_program *p);
struct subtree ranks_subtree(const struct be_program *p, const struct cpu_op *o, int i);
/* The processes of the machine have met, and the sums of the subtrees of all ops before OP are made: they may be
 * exchanged from now on, beside what the list computes. */
void ranks_summed(struct be_program *p, int op);
/* From the subtrees' sums, once this process has made its own: the gradients, the sums over all processes. */
void ranks_gradients(struct be_program *p);

/* cpu_optimiser.c: makes p->chunks; runs the element-wise SEGMENT in progress. */
int optimiser_chunks(struct be_program *p, struct err *err) MUST_USE;
void optimiser_run(struct be_program *p);

#endif
