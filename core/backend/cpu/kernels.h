/* kernels.h - the elementwise passes between convolutions, over blocks of 16 channels.
 *
 * Every kernel works on the pictures of one microbatch on one thread. Operands of a call share one
 * shape and layout; sums run over pictures, then pixels, in rising order, each lane on its own, so
 * the bits depend on nothing but the numbers. Compiled once per instruction set (kernels_isa.c),
 * same arithmetic in each. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CPU_KERNELS_H
#define PRESIZE_BACKEND_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/op.h"
#include "base/isa.h"

struct adam_k; /* elem.h */
struct sgd_k;

enum { LANES = 16 }; /* channels in a block */

/* Where channel c = 16 cb + lane of pixel i of picture n lies, in elements:
 * n * picture + cb * block + i * pixel + lane. Blocked nChw16c: block = 16 h w, pixel = 16; NHWC:
 * block = 16, pixel = c; vectors: block = 16. */
struct slab {
    enum dtype dtype; /* F32 or BF16 */
    int n, blocks, h, w;
    size_t picture, block, pixel;
};

/* A mask has, for the 16 lanes at element e, bit l of number e / 16 for lane l.
 * Sums are two rows of c doubles, one microbatch's share; FRESH: from 0, otherwise added to what is there. */
struct kernels {
    /* sum y, sum y y */
    void (*bn_stats)(const struct slab *s, const void *y, bool fresh, double *sum, double *squares);
    /* z = relu?(y scale + shift + residual), with relu mask = z > 0; residual and mask may be NULL, z may be
     * residual */
    void (*bn_apply)(const struct slab *s, void *z, uint16_t *mask, const void *y,
                     const void *residual, const float *scale, const float *shift, bool relu);
    /* g = (dz + dz2) where mask is set; sum g, sum g (y - mean); dz2 and mask may be NULL, without both g is:
     * dz itself; else g may be dz2. PAST: g is not read soon, and none of the inputs */
    void (*bn_bwd_stats)(const struct slab *s, void *g, bool past, const void *dz, const void *dz2,
                         const uint16_t *mask, const void *y, const float *mean, bool fresh,
                         double *sum, double *product);
    /* the same of g = dz where y scale + shift > 0, which is not stored */
    void (*bn_relu_bwd_stats)(const struct slab *s, const void *dz, const void *y,
                              const float *scale, const float *shift, const float *mean, bool fresh,
                              double *sum, double *product);
    /* dy = a g + b (y - mean) + c; SCALE (may be NULL): of g where y scale + shift > 0 */
    void (*bn_bwd_apply)(const struct slab *s, void *dy, const void *g, const void *y,
                         const float *scale, const float *shift, const float *mean, const float *a,
                         const float *b, const float *c);
    /* 3x3 stride 2 pad 1; argmax = 3 r + s of the first maximum, in y's layout as uint8 */
    void (*max_pool)(const struct slab *in, const struct slab *out, void *y, uint8_t *argmax,
                     const void *x);
    void (*max_pool_bwd)(const struct slab *in, const struct slab *out, void *dx, const void *dy,
                         const void *dy2, const uint8_t *argmax);
    /* y (n, 2c) f32 = max, mean over pixels; argmax (n, c) = pixel of the first maximum */
    void (*concat_pool)(const struct slab *s, float *y, int32_t *argmax, const void *x);
    void (*concat_pool_bwd)(const struct slab *s, void *dx, const float *dy, const int32_t *argmax);
    /* sum[0, n) = the tree sum of LEAVES rows, row i at rows + i * stride */
    void (*tree_sum)(float *sum, const float *rows, size_t stride, int leaves, size_t n);
    /* sum x x: 16 interleaved sums in double, added in rising order */
    double (*squares)(size_t n, const float *x);
    /* elem.h adam_elem() over n elements */
    void (*adam)(const struct adam_k *k, size_t n, const float *g, float *p, float *m, float *v);
    /* sgd_elem() */
    void (*sgd)(const struct sgd_k *k, size_t n, const float *g, float *p, float *m);
};

const struct kernels *kernels_of(enum isa isa);

#endif
