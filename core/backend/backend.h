/* backend.h - a backend is one const table: prepare a list once, run it once per step.
 *
 * Persistent tensors (PARAM, STATE) belong to the open backend and are shared by name between all its
 * programs; they start at zero. What a device cannot do fails in prepare with ERR_UNSUPPORTED, naming
 * the op. No library's type appears here.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_BACKEND_H
#define PRESIZE_BACKEND_BACKEND_H

#include <stdio.h>

#include "backend/op.h"
#include "base/key.h"

/* The version of what is computed: raised by every change after which the same configuration gives other
 * bits. A run records it (run.json) and resumes only under its own; 1 is that of 0.1.0, which records
 * none. */
enum { ARITHMETIC = 2 };

enum be_layout { LAYOUT_AUTO, LAYOUT_BLOCKED, LAYOUT_NHWC };
enum be_winograd { WINOGRAD_AUTO, WINOGRAD_OFF };
enum be_conv { CONV_OWN, CONV_ONEDNN };
enum be_resident { RESIDENT_AUTO, RESIDENT_OFF };
enum be_cuda_graph { CUDA_GRAPH_AUTO, CUDA_GRAPH_OFF };
enum be_kind { BACKEND_AUTO, BACKEND_CPU, BACKEND_REF, BACKEND_CUDA };

struct group_parts; /* group/group.h */

/* The processes that share each step's pictures, on GPUs a device each: same list, same steps, each its part of the
 * batch (struct step). Sums over pictures are then those of all of them: batch norms' and gradients'. */
struct be_ranks {
    int rank, ranks, local; /* local: among those of this machine */
    bool by_launcher;       /* mpirun, srun: it may show each process its own device alone */
    /* All call it in the same order: each gives the part at ALL + rank * BYTES and gets the others'. */
    void (*share)(void *ctx, void *all, size_t bytes);
    void *ctx;
    int sharers; /* of them, with this one, that have exactly its processors; 0: not known */

    /* Machines whose processes share memory: a range of ranks each, as many on every machine. Processes of this machine
     * and this one's number among them; 0 or 1, and 0: none shares memory, and each counts as a machine. */
    int machine_ranks, machine_rank;
    /* Zeroed, the same for all processes of the machine, who ask in the same order; NULL: out of memory. */
    void *(*memory)(void *ctx, size_t bytes);
    /* before it is used: this process's part of the pages */
    void (*populate)(void *ctx, void *memory, size_t bytes);
    void (*give_back)(void *ctx, void *memory, size_t bytes);
    /* returns when all of the machine have called it; they see what was written before */
    void (*meet)(void *ctx);
    /* As group_across() and group_across_end(): exchanges among one process of each machine, by another thread than the
     * one that makes all other calls, and at their end by that one. */
    bool (*across)(void *ctx, const struct group_parts *parts, int n, bool all);
    void (*across_end)(void *ctx, double waited_s);
};

/* Keys exec.*. The device, conv and, with oneDNN, isa may change a bit; threads, prefetch, readers
 * and cuda_graph never do. */
struct exec_options {
    int backend;        /* enum be_kind */
    int64_t device;     /* number of the GPU */
    int64_t threads;    /* 0: one per processor, which the processes of a machine share */
    int64_t microbatch; /* 0: the largest divisor of the batch that is at most 8 */
    int conv;           /* enum be_conv */
    int isa;            /* index into isa_choices */
    int64_t prefetch;   /* batches read ahead */
    int64_t readers;    /* threads that read them; 0: as struct stream_options says */
    int resident;       /* enum be_resident */
    int cuda_graph;     /* enum be_cuda_graph */
    bool tf32;          /* GPU: fp32 convolutions may round their inputs to 10 bits */
    bool deterministic; /* always so on cpu and ref */

    /* Of retired keys: the fields keep what an older record says, so that its hash can be checked. */
    int winograd;     /* enum be_winograd */
    int layout;       /* enum be_layout */
    char max_isa[32]; /* oneDNN's name, "" for all the processor has */

    const struct be_ranks *ranks; /* no key; borrowed while the device is open; NULL: alone */
};
extern const struct key exec_keys[];

struct be;         /* an open device */
struct be_program; /* a prepared list */

struct be_info {      /* recorded in run.json */
    char device[128]; /* processor's name */
    int number;       /* of the GPU */
    char isa[64];     /* what kernels and primitives use */
    char library[64]; /* that convolves: "own convolutions", "oneDNN 2.6.3" */
    int threads;
    /* bytes of its own that were free when it was opened; 0: it has the machine's */
    uint64_t memory;
    int batch; /* pictures that it likes to infer at a time; 0: as many microbatches as threads */
    bool has_bf16, has_fp16;
    char steps[256]; /* how whole runs were put on the device; "": there was none, or but one way */
    char hint[256];  /* what could be faster here; "" */
    char slow[160];  /* what is slow here, for all to know; "" */
    char note[512];  /* why exec.backend=auto took this device and no better one; "" */
};

struct be_memory { /* bytes, planned before the first step */
    size_t activations, gradients, workspace, parameters, optimiser, total;
};

/* What scales the loss in fp16, of BACKEND_SCALE_VALUES numbers; only to be kept and put back. */
#define BACKEND_LOSS_SCALE "loss_scale"
enum { BACKEND_SCALE_VALUES = 4 };

/* All pictures of a set (step/picture.h), by rank. */
struct picture_set {
    uint32_t set, n; /* its number, from 1; pictures */
    void *ctx;
    size_t (*bytes)(void *ctx, uint32_t rank);                               /* of its pixels */
    int (*read)(void *ctx, uint32_t rank, uint8_t *pixels, struct err *err); /* in any thread */
};

/* What each process sends in a run of a list: in all, and of that beside what the list computes. */
struct be_traffic {
    int exchanges, exchanges_beside;
    size_t bytes, bytes_beside;
    int rounds_beside;      /* latencies that those beside take, GROUP_WINDOW pieces at once */
    int exchanges_backward; /* in the backward pass, of those that are not beside */
};

struct backend {
    /* "ref" plain loops in double, "cpu" own kernels on vectors, "cuda" (plugin.h) */
    const char *name;
    /* What several processes share of a batch: nothing, as there is one process alone; its microbatches, whose sums
     * are then those of one process; its pictures, whose sums have an order of their own. */
    enum { SHARES_NOTHING, SHARES_MICROBATCHES, SHARES_PICTURES } shares;
    int (*open)(struct be **out, const struct exec_options *o, struct err *err) MUST_USE;
    void (*close)(struct be *b); /* after its programs; NULL is fine */
    void (*info)(const struct be *b, struct be_info *info);
    /* What a library chose for the lists prepared so far, one line each, for run.json; NULL where there
     * is no choice, and out of memory. The caller's to free. */
    char *(*plans)(const struct be *b);
    /* Where all pictures of SET have room on the device besides the lists prepared so far, reads each once
     * and keeps it: steps need no pixels of them until a list is prepared again. 1; 0: no room; -1, also
     * what read() gives as errors. 1 at once where they are there already. NULL: pictures are read where
     * they are. */
    int (*keep)(struct be *b, const struct picture_set *set, struct err *err);

    /* LIST is copied. ERR_UNSUPPORTED, ERR_NOMEM (with the planned size), ERR_INPUT. */
    int (*prepare)(struct be_program **out, struct be *b, const struct op_list *list,
                   struct err *err) MUST_USE;
    void (*release)(struct be_program *p); /* NULL is fine */
    void (*memory)(const struct be_program *p, struct be_memory *m);
    /* What each of RANKS processes would send, each on a machine of its own, that share the microbatches of LIST alike.
     * NULL where it is not known. */
    void (*traffic)(const struct op_list *list, int ranks, struct be_traffic *t);

    /* All ops, in order. ERR_NOMEM, ERR_UNSUPPORTED from the library. */
    int (*run)(struct be_program *p, const struct step *step, struct err *err) MUST_USE;
    /* Seconds spent per op kind over all runs since prepare, summed over threads. Runs that were CUDA graphs
     * are not among them: exec.cuda_graph=off has them all. */
    void (*profile)(const struct be_program *p, double seconds[OP_KINDS]);

    /* A persistent tensor by name, whole, plain layout (torch shape). ERR_INPUT: no program has it. Also
     * BACKEND_LOSS_SCALE, where the device has fp16. */
    int (*put)(struct be *b, const char *name, const float *src, struct err *err) MUST_USE;
    int (*get)(struct be *b, const char *name, float *dst, struct err *err) MUST_USE;
    /* A tensor of the list after (before) a run, plain layout, converted to f32 (from f32: one
     * rounding). Which: below the table. */
    int (*read)(struct be_program *p, int tensor, float *dst, struct err *err) MUST_USE;
    int (*write)(struct be_program *p, int tensor, const float *src, struct err *err) MUST_USE;
};

/* Readable after run: ACT tensors that no op reads (prob, loss, outputs of one-op lists), GRAD and
 * STAT tensors. Writable before run: ACT, STAT and GRAD tensors that no op writes. */

/* "auto" is cpu here. NULL: unknown, or cuda without its plug-in. */
const struct backend *backend_find(const char *name);
/* Where NVIDIA's driver is installed and its kernel module not yet loaded, has the driver load it, for which it runs a
 * program (nvidia-modprobe): before sandbox_enter(). Nothing elsewhere. */
void backend_wake_driver(void);

struct device { /* an open backend */
    const struct backend *kind;
    struct be *be; /* NULL: not open */
    struct be_info info;
    const struct be_ranks *ranks; /* borrowed; NULL: alone */
};
/* Opens what o->backend asks for. auto: the GPU if there is one (for each of several processes), otherwise the cpu, and
 * info.note says why. Nothing is open on failure. ERR_UNSUPPORTED, ERR_NOMEM; ERR_INPUT: processes ask for different
 * backends. */
int device_open(struct device *out, const struct exec_options *o, struct err *err) MUST_USE;
void device_close(struct device *d); /* after its programs; not open is fine */
extern const struct backend ref_backend, cpu_backend;
/* Whether this build has oneDNN, for exec.conv=onednn. */
bool backend_has_onednn(void);
void backend_libraries(FILE *file); /* for base/version.h */

#endif
