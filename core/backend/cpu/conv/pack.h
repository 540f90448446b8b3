/* pack.h - between tensors and the order in which sums read and write them.
 *
 * A blocked tensor has channel 16 b + l of pixel i of picture n at n * picture + b * block + 16 i + l.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CPU_CONV_PACK_H
#define PRESIZE_BACKEND_CPU_CONV_PACK_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/op.h"

/* How bf16 numbers are gathered. As fp32, of each pair of channels or pixels the odd one first; or as they are,
 * in pairs whose high half is the odd channel or pixel, or the first of the two pixels. An odd last pixel has a
 * partner of zeros. */
enum gather_order {
    GATHER_PLAIN,
    GATHER_ODD_LANES,
    GATHER_ODD_PIXELS,
    GATHER_PAIR_LANES,
    GATHER_PAIR_PIXELS,
    GATHER_PAIR_PIXELS_FIRST_HIGH
};

/* For output pixel (row, column), tap t reads source pixel (step row + at[t][0], step column + at[t][1]), zeros
 * outside. */
struct gather {
    enum dtype dtype;      /* F32, BF16 */
    size_t picture, block; /* of the source, elements */
    int h, w;
    int rows, columns; /* of the output; its pixels are counted over pictures, rows, columns */
    int step, taps;
    const signed char (*at)[2];
    enum gather_order order;
};

/* Where sums go: target = relu?(scale sum + bias + residual), each step rounded to fp32, the last to the target's
 * type. */
struct put_to {
    void *target;
    const void *residual;      /* like the target; NULL: none */
    const float *scale, *bias; /* of its channels; both NULL: the sum as it is */
    bool relu;
};

/* The pixels (step row + row0, step column + column0) of the target. */
struct put {
    enum dtype dtype;
    size_t picture, block; /* of the target, elements */
    int w;
    int planes;        /* 0, or how many channels the target has, as planes of BLOCK elements */
    int rows, columns; /* of the grid, counted over pictures, rows, columns */
    int step, row0, column0;
};

struct pack_kernels {
    /* Output pixels FIRST .. FIRST + COUNT of block b, tap t to rows of 16 (pairs of lanes: 8; pairs of pixels: half
     * as many rows) at dst + (b taps + t) segment. */
    void (*gather)(const struct gather *g, float *dst, size_t segment, const void *source,
                   int blocks, int first, int count);
    /* The sums of pixel FIRST + i of block b are at sums + b * sums_block + 16 i. */
    void (*put)(const struct put *p, const struct put_to *to, const float *sums, size_t sums_block,
                int blocks, int first, int count);
    /* C planes of (h, w) to h + 2 pad rows of (w + 2 pad, c), PITCH numbers apart, with zeros around: fp32, or PAIRS
     * of bf16 neighbours, the first high. */
    void (*interleave)(float *dst, size_t pitch, bool pairs, const void *planes, enum dtype t,
                       int c, int h, int w, int pad);
    /* Of N bf16 numbers as fp32, pairs: each number high, the one STEP behind low (none behind the last). */
    void (*pair_up)(float *numbers, size_t n, size_t step);
    /* Past the caches, for what is read when much else has been: blocks of 16, TO aligned to 64. Other threads find
     * the numbers after end_past(). */
    void (*copy_past)(float *to, const float *from, size_t floats);
    void (*end_past)(void);
};

#endif
