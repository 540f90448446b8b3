/* conv_plan.h - private to the convolutions: one pass of one shape, planned.
 *
 * A data gradient with a stride falls into stride^2 phases, one for each place of a pixel in a square of
 * stride x stride. Each phase is a convolution of stride 1 with some of the taps. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CPU_CONV_CONV_PLAN_H
#define PRESIZE_BACKEND_CPU_CONV_CONV_PLAN_H

#include "backend/cpu/conv/conv.h"
#include "backend/cpu/conv/gemm.h"
#include "backend/cpu/conv/winograd.h"

enum { TILE = BLOCK * BLOCK, MOST_TAPS = 49, MOST_STRIDE = 16 };

struct phase {
    int row0, column0;   /* of its output pixels, which are step_out apart, */
    int rows, columns;   /* and which are so many */
    int first_tap, taps; /* in the tables below */
};

struct phases {
    int n;
    /* from one output pixel of a phase to the next: pixels of source, of target */
    int step_in, step_out;
    struct phase *phase;
    signed char (*at)[2]; /* per tap: where output pixel (0, 0) of the phase reads */
    int *tap;             /* per tap: its number r S + s in the plain weight */
};

/* ROWS x COLUMNS: of the pass's output. */
int phases_new(struct phases *p, const struct conv_format *f, int rows, int columns,
               struct err *err) MUST_USE;
void phases_clear(struct phases *p);

struct conv {
    struct conv_shape s;
    enum conv_algorithm algorithm;
    bool dot;                                         /* bf16 is multiplied by pairs */
    int tile_rows;                                    /* of the kernels */
    void (*multiply)(const struct gemm *g);           /* gemm() or gemm_dot(); */
    void (*multiply_grad)(const struct gemm_grad *g); /* likewise */
    const struct pack_kernels *pack;
    const struct winograd_kernels *winograd;
    int parts; /* groups, as many together as fill blocks: each is a convolution of its own */
    int in_blocks, out_blocks; /* of a part, read and written; BACKWARD_WEIGHT: of x and dy */
    struct phases phases;      /* CONV_DIRECT */
    int chunk;                 /* output pixels or tiles at a time */
    int group;                 /* BACKWARD_WEIGHT: blocks of x at a time */
    size_t plane[3];           /* CONV_WINOGRAD: floats between planes of the scratch's parts, */
    size_t room[3];            /* scratch: floats of each of its parts */
};

static inline int blocks_of(int channels)
{
    return (channels + BLOCK - 1) / BLOCK;
}

/* The fewest GROUPS of C and K channels that together are whole blocks; 0: no number of them is. */
int groups_together(int groups, int c, int k);

static inline int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* Planes are an odd number of cache lines apart, so that 36 of them do not meet in one set of a cache. */
static inline size_t planes_apart(size_t floats)
{
    return floats / BLOCK % 2 ? floats : floats + BLOCK;
}

/* Floats from plane to plane of one block of transformed weights, of so many input channels. */
static inline size_t winograd_weight_plane(int inputs)
{
    return planes_apart((size_t)inputs * BLOCK);
}

/* Part I of the scratch. */
static inline float *scratch_part(const struct conv *c, void *scratch, int i)
{
    float *at = scratch;

    for (int k = 0; k < i; k++)
        at += c->room[k];
    return at;
}

const struct winograd_kernels *winograd_kernels_of(enum isa isa);
const struct pack_kernels *pack_kernels_of(enum isa isa);
const struct gemm_kernels *gemm_kernels_of(enum isa isa);

/* Private halves of the entries of conv.h, by algorithm; they plan and they run. */
int direct_plan(struct conv *c, struct err *err) MUST_USE;
/* Before the parts of a data gradient: zeros where no tap leads to some of the pixels. */
void direct_clear(const struct conv *c, void *target);
void direct_run(const struct conv *c, const void *source, const float *weight,
                const struct put_to *to, void *scratch);
void direct_gradient(const struct conv *c, const void *x, const void *dy, float *leaf,
                     void *scratch);
void rows_plan(struct conv *c);
/* Whether bf16 can be multiplied by pairs. Forward: each output pixel begins at an even number of its row. Gradient:
 * a row has an even number of output pixels. */
bool rows_in_pairs(const struct conv_shape *s);
void rows_run(const struct conv *c, const void *x, const float *weight, const struct put_to *to,
              void *scratch);
void rows_gradient(const struct conv *c, const void *x, const void *dy, float *leaf, void *scratch);
void winograd_plan(struct conv *c);
void winograd_run(const struct conv *c, const float *source, const float *weight,
                  const struct put_to *to, void *scratch);
void winograd_gradient(const struct conv *c, const float *x, const float *dy, float *leaf,
                       void *scratch);

#endif
