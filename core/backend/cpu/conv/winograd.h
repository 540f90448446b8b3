/* winograd.h - the transforms of Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray 2015) at the points
 * 0, 5/8, -5/8, 3/2, -3/2, infinity, formula by formula in docs/arithmetic.md.
 *
 * Transformed tensors are 36 planes; in a plane, tile t of block b is a row of 16 channels at b * block + 16 t.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CPU_CONV_WINOGRAD_H
#define PRESIZE_BACKEND_CPU_CONV_WINOGRAD_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/cpu/conv/pack.h"

enum { WINOGRAD_PLANES = 36, WINOGRAD_TILE = 4 };

/* Tiles of 4 x 4 pixels of a blocked fp32 tensor, counted over pictures, rows, columns. */
struct tiling {
    int h, w, down, across; /* of the picture in pixels; tiles */
    size_t picture, block;
};
struct planes {
    float *data;
    size_t plane, block;
};

struct winograd_kernels {
    /* B^T x B of COUNT tiles from FIRST on; a tile's 6 x 6 begin one pixel above and left of it */
    void (*input)(const struct tiling *g, const struct planes *v, const float *x, int blocks,
                  int first, int count);
    /* A dy A^T */
    void (*gradient)(const struct tiling *g, const struct planes *v, const float *dy, int blocks,
                     int first, int count);
    /* y = relu?(scale A^T m A + bias + residual) */
    void (*output)(const struct tiling *g, const struct put_to *to, const struct planes *m,
                   int blocks, int first, int count);
    /* ROWS rows of 16 of a weight gradient, taps out_tap apart, (+)= G^T m G */
    void (*weight_gradient)(float *out, size_t out_tap, const float *m, size_t plane, int rows,
                            bool add);
    /* G w G^T in double, each number rounded once; w (9, 16, 16), turned by half a circle or not, u (36, 16, 16) */
    void (*weight)(float *u, const float *w, bool turned);
};

#endif
