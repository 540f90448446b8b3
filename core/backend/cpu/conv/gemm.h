/* gemm.h - products of matrices in blocks of 16: all sums of the convolutions and linear layers.
 *
 * Every sum is a chain of fused multiply-adds from +0 in the stated order, one vector lane per output
 * (docs/arithmetic.md), so neither the instruction set nor the shape of the register tile changes a bit.
 * Strides are in floats, those of OUT in its numbers. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CPU_CONV_GEMM_H
#define PRESIZE_BACKEND_CPU_CONV_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/cpu/conv/pack.h"

enum { BLOCK = 16 }; /* channels that lie side by side */

/* out[b][i][k] = sum over channel blocks c, segments s, terms l: a[c, s][i][l] w[b][c][s][l][k]; i < rows, b < blocks,
 * k < 16. */
struct gemm {
    const float *a; /* number (c, s, i, l) at (c * segments + s) * a_segment + i * a_row + l */
    size_t a_segment, a_row;
    int channels, segments, terms, rows; /* how many c, s, l, i */
    const float *w; /* (segments, terms, 16) of b and c at b * w_block + c * w_channel */
    size_t w_block, w_channel;
    int blocks;
    float *out; /* number (b, i, k) at out_first + b * out_block + 16 i + k */
    size_t out_first, out_block;
    /* NULL, or in place of OUT: what follows a sum, into a target of DTYPE */
    const struct put_to *to;
    enum dtype dtype;
    int pictures; /* A and OUT again, so far apart: */
    size_t a_picture, out_picture;
    /* GEMM_DOT: of the last pair of a segment the high halves alone are multiplied */
    bool odd_terms;
};

/* out[kb][cb][l][k] (+)= sum over pixels i: x[cb][i][l] d[kb][i][k]; l < columns, k < 16. */
struct gemm_grad {
    const float *x; /* number (cb, i, l) at cb * x_block + i * x_row + l */
    size_t x_block, x_row;
    const float *d; /* number (kb, i, k) at kb * d_block + 16 i + k */
    size_t d_block;
    int pixels, x_blocks, d_blocks, columns;
    float *out; /* (kb, cb, l, k) at kb * out_d + cb * out_x + 16 l + k */
    size_t out_d, out_x;
    bool add; /* each sum is added to what is there */
};

struct gemm_kernels {
    int rows; /* of a register tile */
    void (*gemm)(const struct gemm *g);
    void (*gemm_grad)(const struct gemm_grad *g);
    /* The same of bf16 pairs: each number of A, W, X and D is two, of which the product of the high halves is
     * added first. NULL where the processor has no instruction for it. DOT_AGREES: whether it has the bits of two
     * fused multiply-adds; to be asked with subnormals flushed. */
    void (*gemm_dot)(const struct gemm *g);
    void (*gemm_grad_dot)(const struct gemm_grad *g);
    bool (*dot_agrees)(void);
    /* out (k, c) = sum over n: d (n, k) x (n, c) */
    void (*outer)(float *out, const float *d, const float *x, int n, int k, int c);
};

#endif
