/* conv.h - convolutions of blocked tensors, one pass of one shape at a time, on the calling thread.
 *
 * The algorithm follows from the shape alone (conv_algorithm), never from a measurement, the batch or the
 * processor; the sums are defined in docs/arithmetic.md. fp32 and bf16 tensors; weights, their gradients and
 * all arithmetic are fp32, weights rounded to bf16 first where the tensors are.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CPU_CONV_CONV_H
#define PRESIZE_BACKEND_CPU_CONV_CONV_H

#include "backend/cpu/conv/pack.h"
#include "base/err.h"
#include "base/isa.h"

enum conv_pass { CONV_FORWARD, CONV_BACKWARD_DATA, CONV_BACKWARD_WEIGHT };

/* x (n, c, h, w), weight (k, c / groups, r, s), y (n, k, p, q); x and y blocked (pack.h), x with c <= 3 in
 * planes. Filter k reads the channels of group k / (k's of a group). */
struct conv_shape {
    enum conv_pass pass;
    int n, c, h, w, k, r, s, p, q, stride, pad, groups;
    enum dtype dtype; /* of x and y: F32, BF16 */
};

enum conv_algorithm {
    CONV_ROWS,    /* c <= 3: rows of pixels with their channels side by side */
    CONV_DIRECT,  /* a product of matrices over channel blocks and taps */
    CONV_WINOGRAD /* fp32, 3x3, stride 1: F(4x4, 3x3) */
};
enum conv_algorithm conv_algorithm(const struct conv_shape *s);
const char *conv_algorithm_name(enum conv_algorithm a);

struct conv;
/* Whether this processor's dot product of bf16 pairs has the bits of arithmetic.md. To be asked with subnormals
 * flushed, where ISA_AVX512BF16 is there. */
bool conv_dot_agrees(void);
/* ERR_UNSUPPORTED where channels do not fill blocks, for more than 49 taps, a stride above 16; ERR_NOMEM. The
 * kernels are those of ISA; bf16 tensors use dot products with ISA_AVX512BF16 alone. */
int conv_new(struct conv **out, const struct conv_shape *s, enum isa isa, struct err *err) MUST_USE;
void conv_free(struct conv *c); /* NULL is fine */
/* Bytes of scratch that a run needs, aligned to 64; each thread has its own, what it holds is lost. */
size_t conv_scratch(const struct conv *c);

/* How FORWARD and BACKWARD_DATA read weights. Convolutions of equal formats share a copy. */
struct conv_format {
    int k, c, r, s, stride, pad, groups;
    bool backward, winograd, bf16;
    /* bf16 numbers in pairs, for kernels that multiply these */
    bool pairs;
    /* an output's weights in one run, in the order of the input: CONV_ROWS, linear layers */
    bool rows;
};
struct conv_format conv_weight_format(const struct conv *c);
bool conv_format_equal(const struct conv_format *a, const struct conv_format *b);
size_t conv_format_bytes(const struct conv_format *f);
int conv_format_strips(const struct conv_format *f);
/* What STRIP, one of conv_format_strips(), of the plain weight (k, c / groups, r, s) becomes in DATA
 * (conv_format_bytes(), aligned to 64). Strips may be filled on several threads at once. */
void conv_format_fill(const struct conv_format *f, int strip, const float *plain, float *data,
                      enum isa isa);

/* What follows a forward pass in inference: y = relu?(scale conv + bias + residual). */
struct conv_end {
    const float *scale, *bias; /* (k), rounded up to whole blocks */
    const void *residual;      /* like y; NULL: none */
    bool relu;
};
/* All of the shape's n pictures. END: NULL, the sums as they are. WEIGHT in the convolution's format. Y overlaps
 * nothing that is read but a residual that is y itself. */
void conv_forward(const struct conv *c, const void *x, const float *weight, void *y,
                  const struct conv_end *end, void *scratch);
void conv_backward_data(const struct conv *c, const void *dy, const float *weight, void *dx,
                        void *scratch);

/* The gradient of the weight over the shape's n pictures, as conv_leaf_floats() numbers in an order of its
 * own, which sums over microbatches keep; conv_leaf_plain() puts PART of conv_leaf_parts() into
 * (k, c / groups, r, s). */
void conv_backward_weight(const struct conv *c, const void *x, const void *dy, float *leaf,
                          void *scratch);
size_t conv_leaf_floats(const struct conv *c);
int conv_leaf_parts(const struct conv *c); /* equal shares of the leaf */
void conv_leaf_plain(const struct conv *c, int part, const float *sum, float *gradient);

/* Linear layers: y (n, k) = x (n, c) weight (k, c), and dx (n, c) = dy (n, k) weight; plain fp32. */
struct conv_format linear_format(int k, int c, bool backward);
size_t linear_scratch(const struct conv_format *f, int n); /* bytes */
void linear_run(const struct conv_format *f, enum isa isa, const float *in, const float *weight,
                float *out, int n, void *scratch);
/* The weight's gradient (k, c) = the sum over N pictures of dy (n, k) x (n, c). */
void linear_gradient(enum isa isa, float *gradient, const float *dy, const float *x, int n, int k,
                     int c);

#endif
