/* onednn.h - the handful of oneDNN calls this backend makes, so that its versions differ in one place.
 *
 * Every primitive is created for one thread and runs on the calling thread; it is shared by all
 * workers, each with memory objects, stream and scratchpad of its own. SPDX-License-Identifier: MIT
 */
#ifndef PRESIZE_BACKEND_CPU_ONEDNN_H
#define PRESIZE_BACKEND_CPU_ONEDNN_H

#include <stdbool.h>
#include <stddef.h>

#include "backend/op.h"
#include "base/err.h"
#include "base/isa.h"

struct dnn; /* an engine and a stream per worker */
/* MOST: the best instruction set to use, NULL for all the processor has; counts only before the process's
 * first primitive. */
int dnn_new(struct dnn **out, int workers, const enum isa *most, struct err *err) MUST_USE;
void dnn_free(struct dnn *d); /* NULL is fine */
bool dnn_has_avx512(const struct dnn *d);
bool dnn_has_amx(const struct dnn *d);
bool dnn_has_bf16(const struct dnn *d); /* native dot products */
/* D may be NULL. */
void dnn_describe(const struct dnn *d, char *isa, size_t isa_size, char *library,
                  size_t library_size);
/* oneDNN's OpenMP runtime to one thread, for the calling thread: before it creates or runs
 * anything. */
void dnn_one_thread(void);

enum dnn_layout { DNN_NCHW, DNN_BLOCKED16, DNN_NHWC, DNN_ANY /* the library's choice */ };
enum dnn_pass { DNN_FORWARD, DNN_BACKWARD_DATA, DNN_BACKWARD_WEIGHT };
struct dnn_conv_desc {
    enum dnn_pass pass;
    int n, c, h, w, k, r, s, p, q, stride, pad;
    enum dtype dtype; /* of x and y; weights alike, their gradient f32 */
    enum dnn_layout x, y;
    bool winograd; /* use it if the library has it for this shape */
    bool folded;   /* FORWARD: y = relu?(conv + bias + residual?), for inference */
    bool residual, relu;
};

struct dnn_format; /* how a weight lies in memory */
size_t dnn_format_bytes(const struct dnn_format *f);
bool dnn_format_equal(const struct dnn_format *a, const struct dnn_format *b);
/* Into how many equal runs of memory, none smaller than BYTES, an f32 weight falls along k: a power of two. */
int dnn_format_parts(const struct dnn_format *f, size_t bytes);

struct dnn_conv;
int dnn_conv_new(struct dnn_conv **out, struct dnn *d, const struct dnn_conv_desc *c,
                 struct err *err) MUST_USE;
void dnn_conv_free(struct dnn_conv *c); /* NULL is fine */
/* Of the weights read, or of the gradient written; borrowed. */
const struct dnn_format *dnn_conv_format(const struct dnn_conv *c);
size_t dnn_conv_scratch(const struct dnn_conv *c);     /* bytes per worker */
const char *dnn_conv_kernel(const struct dnn_conv *c); /* the implementation's name */
/* Of a folded one: f32 bias (k), residual like y or NULL. 0 or -1. */
int dnn_conv_run_folded(const struct dnn_conv *c, int worker, void *x, void *weight, void *bias,
                        void *residual, void *y, void *scratch);
/* x or dx, weight or its gradient, y or dy. 0 or -1. */
int dnn_conv_run(const struct dnn_conv *c, int worker, void *x, void *weight, void *y,
                 void *scratch);

/* Between plain f32 (k, c, r, s) and FORMAT, whole or one of its PARTS at a time. */
struct dnn_reorder;
int dnn_reorder_new(struct dnn_reorder **out, struct dnn *d, const struct dnn_format *format,
                    int parts, bool to_plain, struct err *err) MUST_USE;
void dnn_reorder_free(struct dnn_reorder *r); /* NULL is fine */
size_t dnn_reorder_scratch(const struct dnn_reorder *r);
const struct dnn_format *dnn_reorder_format(const struct dnn_reorder *r); /* a copy of its own */
int dnn_reorder_run(const struct dnn_reorder *r, int worker, const void *src, void *dst,
                    void *scratch);

/* Row-major C (m, n) = op(A) op(B), one thread. 0 or -1. */
int dnn_gemm(bool transpose_a, bool transpose_b, int m, int n, int k, const float *a, int lda,
             const float *b, int ldb, float *c, int ldc);

#endif
