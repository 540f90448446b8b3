/* cuda_kernels.h - the CUDA backend's own kernels, as plain C functions that put work on a stream.
 *
 * One function per op of op.h that is neither a convolution nor a matrix product, with the same
 * meaning, plus what 16-bit training needs. All pointers are to device memory unless said otherwise.
 * Nothing waits, nothing allocates. What changes from step to step lies in device memory (struct
 * cuda_step, cuda_picture, cuda_scale), so that a recorded graph of calls stays valid.
 *
 * Layout: pictures NHWC, filters KRSC, vectors (n, c) dense. A tensor starts on 16 bytes; one that does
 * not is handled, one value at a time. ROWS is n h w. Of outputs that share storage with an input only
 * those said to be "in place" are allowed.
 *
 * Sums have a fixed order that depends on shapes alone, and no atomics: the same numbers give the same
 * bits, on every card of a kind. Products and sums are contracted nowhere but where the text says fmaf.
 *
 * TYPE is F32, F16 or BF16. A function returns a cudaError_t: 0, 1 (cudaErrorInvalidValue: a size or
 * type that no kernel takes), or what the launch said. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CUDA_KERNELS_H
#define PRESIZE_BACKEND_CUDA_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/op.h"
#include "step/picture.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- what the host fills in before a step, in device memory ------------------------------------ */

enum { CUDA_GROUPS = 8, CUDA_CHUNK = 4096 };

struct cuda_step { /* op.h struct step; parts at least 1, part below it */
    uint64_t seed;
    uint32_t epoch, adam_step;
    int32_t n_pictures, part, parts, mean_over; /* the last: step_pictures() */
    double lr[CUDA_GROUPS], mom, sqr_mom, eps, wd, ema_decay;
};

/* One of the batch's; those from n_pictures on have their own place as position, label -1. */
struct cuda_picture {
    uint64_t pixels; /* byte offset from the base that cuda_augment() is given */
    int32_t height, width;
    struct sample_map map;
    /* partner: its own place where nothing is mixed; may lie in front of the first */
    struct mix mix;
    struct loss_target target;
    uint32_t position;
};

/* --- pictures -------------------------------------------------------------------------------- */

/* x (n, size, size, channels), channels 3, or 4 with a fourth of zeros; zeros from n_pictures on. */
int cuda_augment(void *stream, void *x, enum dtype type, int n, int size, int channels,
                 const uint8_t *pixels, const struct cuda_picture *pictures,
                 const struct cuda_step *step);
/* y (n, p, q, c), argmax likewise; p = (h - 1) / 2 + 1. */
int cuda_max_pool(void *stream, void *y, uint8_t *argmax, const void *x, enum dtype type, int n,
                  int h, int w, int c);
int cuda_max_pool_bwd(void *stream, void *dx, const void *dy, const void *dy2_or_null,
                      const uint8_t *argmax, enum dtype type, int n, int h, int w, int c);
/* x (n, pixels, c); y (n, 2 c) f32, argmax (n, c). */
int cuda_concat_pool(void *stream, float *y, int32_t *argmax, const void *x, enum dtype type, int n,
                     int pixels, int c);
int cuda_concat_pool_bwd(void *stream, void *dx, const float *dy, const int32_t *argmax,
                         enum dtype type, int n, int pixels, int c);

/* --- batch norm ------------------------------------------------------------------------------ */

/* Bytes of workspace that cuda_bn_stats() and cuda_bn_bwd_stats() need, 16-byte aligned. */
size_t cuda_bn_workspace(size_t rows, int c);
int cuda_bn_stats(void *stream, double *stat, const void *y, enum dtype type, size_t rows, int c,
                  float *running_mean_or_null, float *running_var_or_null, void *workspace);
/* The same in two halves, where a batch is shared by several devices: the sums (2, c) of this one's rows;
 * then, of N such sums one after another, the moments of all ROWS. */
int cuda_bn_sums(void *stream, double *sums, const void *y, enum dtype type, size_t rows, int c,
                 void *workspace);
int cuda_bn_finish(void *stream, double *stat, float *running_mean_or_null,
                   float *running_var_or_null, const double *sums, int n, size_t rows, int c);
/* z may be y or the residual, in place. A mask (rows, c / 8) has bit k of byte i for channel 8 i + k: z > 0. */
int cuda_bn_apply(void *stream, void *z, uint8_t *mask_or_null, const void *y, enum dtype type,
                  size_t rows, int c, const double *stat, const float *gamma, const float *beta,
                  const void *residual_or_null, bool relu);
int cuda_bn_infer(void *stream, void *z, const void *y, enum dtype type, size_t rows, int c,
                  const float *mean, const float *var, const float *gamma, const float *beta,
                  const void *residual_or_null, bool relu);
/* BN_BWD_STATS; BN_RELU_BWD_STATS where beta is given. g may be dz or dz2, in place. */
int cuda_bn_bwd_stats(void *stream, void *g_or_null, double *bstat, float *dgamma, float *dbeta,
                      const void *dz, const void *dz2_or_null, const uint8_t *mask_or_null,
                      const void *y, enum dtype type, size_t rows, int c, const double *stat,
                      const float *gamma_or_null, const float *beta_or_null, void *workspace);
/* The same in two halves. OWN: dgamma and dbeta are written; else zeros, as another device's will be added. */
int cuda_bn_bwd_sums(void *stream, double *sums, void *g_or_null, const void *dz,
                     const void *dz2_or_null, const uint8_t *mask_or_null, const void *y,
                     enum dtype type, size_t rows, int c, const double *stat,
                     const float *gamma_or_null, const float *beta_or_null, void *workspace);
int cuda_bn_bwd_finish(void *stream, double *bstat, float *dgamma, float *dbeta, const double *sums,
                       int n, int c, const double *stat, bool own);
/* BN_BWD_APPLY; BN_RELU_BWD_APPLY, g being dz, where beta is given. dy may be g, in place. ALL_ROWS: over all
 * devices. */
int cuda_bn_bwd_apply(void *stream, void *dy, const void *g, const void *y, enum dtype type,
                      size_t rows, size_t all_rows, int c, const double *stat, const double *bstat,
                      const float *gamma, const float *beta_or_null);
/* Convolution and BN_INFER as one: krsc (k, rs, c_pad) = weight (k, c, rs) gamma / sqrt(var + eps),
 * bias (k) = beta - mean gamma / sqrt(var + eps). */
int cuda_bn_fold(void *stream, void *krsc, enum dtype type, void *bias, enum dtype bias_type,
                 const float *weight, const float *mean, const float *var, const float *gamma,
                 const float *beta, int k, int c, int rs, int c_pad);

/* --- head ------------------------------------------------------------------------------------ */

/* y may be x, in place. */
int cuda_relu(void *stream, void *y, const void *x, enum dtype type, size_t elements);
/* dx may be dy, in place. */
int cuda_relu_bwd(void *stream, void *dx, const void *dy, const void *y, enum dtype type,
                  size_t elements);
/* DROPOUT and DROPOUT_BWD of x (n, pixels, c), pixels 1 for vectors; y may be x, in place. */
int cuda_dropout(void *stream, void *y, const void *x, enum dtype type, int n, int pixels, int c,
                 float rate, int layer, const struct cuda_picture *pictures,
                 const struct cuda_step *step);

struct cuda_scale;
/* All f32: prob, dlogits, logits (n, k), loss (n). dlogits over step->mean_over, times the loss scale where
 * there is one. */
int cuda_softmax_loss(void *stream, float *prob, float *loss, float *dlogits_or_null,
                      const float *logits, int n, int k, float smoothing, float focal,
                      const struct cuda_picture *pictures, const struct cuda_step *step,
                      const struct cuda_scale *scale_or_null);

/* --- loss scale: torch.cuda.amp.GradScaler's rules, on the device -------------------------------- */

/* Per step: the loss times scale; backward; cuda_unscale() over all gradients; GRAD_SUM; in the last
 * part then GRAD_NORM, cuda_adam_begin(), ADAM (left out where a gradient was not finite), EMA,
 * cuda_scale_update(). The host may copy it out to report it. */
struct cuda_scale {
    float scale, inverse; /* of the loss; 1 / scale */
    uint32_t good;        /* steps in a row without overflow, since the last growth */
    uint32_t found;       /* 1: a gradient of this step was not finite */
    uint32_t skipped;     /* steps left out since adam_step was 1 */
    uint32_t overflows;   /* steps left out in all */
};
#define CUDA_SCALE_START 65536.0f

/* Resets: scale START, nothing found. */
int cuda_scale_begin(void *stream, struct cuda_scale *scale, float start);
/* g = g / scale in place; found where g is not finite. */
int cuda_unscale(void *stream, float *grads, size_t n, struct cuda_scale *scale);
/* Found: half the scale; 2000 steps without: twice, unless that is infinite. */
int cuda_scale_update(void *stream, struct cuda_scale *scale, const struct cuda_step *step);

/* --- optimiser ------------------------------------------------------------------------------- */

/* At most CUDA_CHUNK elements of one parameter. Element offsets from the base pointers of the call, for
 * ADAM of grad, param, m, v, for SGD of the first three;
 * GRAD_NORM reads the first alone; for EMA of x, average. Offsets that are
 * multiples of four let four values be taken at a time. */
struct cuda_chunk {
    uint64_t at[4];
    uint32_t n;
    uint32_t group; /* ADAM, SGD: 2 group + (decay ? 1 : 0) */
};

struct adam_k; /* elem.h */

/* sum[i], of n gradients that lie one after another; level l of element i at levels[l * stride + i].
 * sum may be grad, in place. */
int cuda_grad_sum(void *stream, float *sum, const float *grad, float *levels, size_t stride,
                  size_t n, const struct cuda_step *step);
/* workspace: 8 bytes a chunk. */
int cuda_grad_norm(void *stream, double *clip, const float *grads, const struct cuda_chunk *chunks,
                   int n_chunks, float max_norm, void *workspace);
/* constants: 2 CUDA_GROUPS of them. The steps that the loss scale left out do not count. */
int cuda_adam_begin(void *stream, struct adam_k *constants, const struct cuda_step *step,
                    const struct cuda_scale *scale_or_null);
int cuda_adam(void *stream, const float *grads, float *params, float *m, float *v,
              const struct cuda_chunk *chunks, int n_chunks, const struct adam_k *constants,
              const double *clip_or_null, const struct cuda_scale *scale_or_null);
/* Chunks of grad, param, m; left out where the loss scale found a gradient that is not finite. */
int cuda_sgd(void *stream, const float *grads, float *params, float *m,
             const struct cuda_chunk *chunks, int n_chunks, const struct cuda_step *step,
             int nesterov, const double *clip_or_null, const struct cuda_scale *scale_or_null);
int cuda_ema(void *stream, const float *x, float *average, const struct cuda_chunk *chunks,
             int n_chunks, const struct cuda_step *step);

/* --- filters: torch's layout and the one convolutions read ----------------------------------------- */

/* Some elements of one filter (k, c, rs) at torch, (k, rs, c_pad) at krsc: element offsets from the
 * call's bases. Chunks of cuda_cast_weights() count elements of krsc, those of cuda_cast_grads()
 * elements of torch; first + n below 2^31; n any, CUDA_CHUNK keeps a card busy. */
struct cuda_filter_chunk {
    uint64_t torch, krsc;
    uint32_t c, rs, c_pad, first, n;
};

/* krsc = weight rounded to its type; channels from c on are zero. */
int cuda_cast_weights(void *stream, void *krsc, enum dtype type, const float *weights,
                      const struct cuda_filter_chunk *chunks, int n_chunks);
/* grad = krsc's values. */
int cuda_cast_grads(void *stream, float *grads, const void *krsc, enum dtype type,
                    const struct cuda_filter_chunk *chunks, int n_chunks);

#ifdef __cplusplus
}
#endif

#endif
