/* op.h - a network as a flat list of ops over tensors: the only thing that crosses to a backend.
 *
 * nn builds lists, a backend prepares and runs them. Letters as in cuDNN: n h w c input, k r s
 * filter, p q output. Shapes are those seen from outside: NCHW pictures, torchvision's weights; the
 * layout inside is the backend's affair.
 *
 * Which numbers cross microbatches: the outputs of role STAT and GRAD, summed in a fixed binary tree
 * over microbatch numbers (pairs (2i, 2i+1) level by level, an odd last one passes through).
 * Everything else of a picture depends on that picture alone (and on STATs).
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_OP_H
#define PRESIZE_BACKEND_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "step/step.h"

enum dtype {
    DTYPE_F32,
    DTYPE_BF16,
    DTYPE_F16,
    DTYPE_U8,
    DTYPE_BITS, /* bytes: bit k of channel i is of channel 8 i + k of the tensor it speaks of */
    DTYPE_I32,
    DTYPE_F64
};

enum tensor_role {
    TENSOR_NONE,  /* tensor 0 of every list: none */
    TENSOR_ACT,   /* one slice per picture, dims (batch, c, h, w); vectors are (batch, c, 1, 1) */
    TENSOR_PARAM, /* persistent by NAME over all programs of an open backend; f32, torch shape */
    TENSOR_STATE, /* the same, not trained: running statistics, optimiser moments, averages */
    TENSOR_GRAD,  /* f32, shape of its parameter; valid from its op to the end of the list */
    TENSOR_STAT,  /* f64 vectors of one batch; (rows, c): see the op that writes it */
};

struct tensor {
    char name[64]; /* unique in the list; parameters as in torchvision ("layer1.0.conv1.weight") */
    enum tensor_role role;
    enum dtype dtype;
    int dims[4]; /* unused ones are 1; dims[0] = batch for ACT */
};

/* All kinds of ops; OP_EACH(X) is X(CONV, conv) and so on. What each takes, gives and computes: op_traits.h, printed in
 * docs/ops.md. Sums and arithmetic are at least f32, with one rounding on store. All gradients are of the mean loss
 * over the pictures of a step: the batch, or parts of them, one run each. */
// clang-format off
#define OP_EACH(X) \
    X(AUGMENT, augment) X(CONV, conv) X(BN_STATS, bn_stats) X(BN_APPLY, bn_apply) \
    X(BN_INFER, bn_infer) X(RELU, relu) X(MAX_POOL, max_pool) X(CONCAT_POOL, concat_pool) \
    X(LINEAR, linear) X(DROPOUT, dropout) X(SOFTMAX_LOSS, softmax_loss) \
    X(LINEAR_BWD_DATA, linear_bwd_data) X(LINEAR_BWD_WEIGHT, linear_bwd_weight) \
    X(DROPOUT_BWD, dropout_bwd) X(RELU_BWD, relu_bwd) X(CONCAT_POOL_BWD, concat_pool_bwd) \
    X(MAX_POOL_BWD, max_pool_bwd) X(BN_BWD_STATS, bn_bwd_stats) X(BN_BWD_APPLY, bn_bwd_apply) \
    X(BN_RELU_BWD_STATS, bn_relu_bwd_stats) X(BN_RELU_BWD_APPLY, bn_relu_bwd_apply) \
    X(CONV_BWD_DATA, conv_bwd_data) X(CONV_BWD_WEIGHT, conv_bwd_weight) X(GRAD_SUM, grad_sum) \
    X(GRAD_NORM, grad_norm) X(ADAM, adam) X(SGD, sgd) X(EMA, ema)
// clang-format on
#define OP_ENUMERATOR(KIND, name) OP_##KIND,
enum op_kind { OP_EACH(OP_ENUMERATOR) OP_KINDS };

/* torch.nn.BatchNorm2d's defaults, fastai's too. */
#define BN_EPS 1e-5
#define BN_MOMENTUM 0.1

enum { OP_MAX_IN = 6, OP_MAX_OUT = 4 };

struct op {
    enum op_kind kind;
    int in[OP_MAX_IN], out[OP_MAX_OUT]; /* tensor numbers; 0: none */
    int stride, pad; /* CONV*, pixels, both axes; p = (h + 2 pad - r) / stride + 1 */
    bool relu;       /* BN_APPLY, BN_INFER */
    float rate;      /* DROPOUT: probability to drop, in [0, 1) */
    int layer;       /* DROPOUT: which, for its random counter */
    float smoothing; /* SOFTMAX_LOSS: share of the label that all classes get alike, [0, 1) */
    float focal;     /* SOFTMAX_LOSS: gamma of the focal loss, >= 0; 0: cross-entropy */
    float max_norm;  /* GRAD_NORM: > 0 */
    int group;       /* ADAM, SGD: parameter group, index into step.lr */
    bool decay;      /* ADAM, SGD: weight decay applies */
    bool nesterov;   /* SGD: Nesterov's momentum */
};

enum { OP_LIST_FAILED = -1 };

struct op_list {
    int batch, microbatch; /* pictures; microbatch divides batch */
    struct tensor *tensors;
    struct op *ops;
    int n_tensors, n_ops;
    int cap_tensors, cap_ops; /* private to op.c; OP_LIST_FAILED: out of memory on the way */
};

/* Of batches of BATCH pictures in microbatches, which divide it. NULL: out of memory. */
struct op_list *op_list_new(int batch, int microbatch);
struct op_list *op_list_copy(const struct op_list *l); /* NULL: out of memory */
void op_list_free(struct op_list *l);                  /* NULL is fine */
/* Number of the new tensor. Out of memory is remembered, and the number 0: op_list_check() reports it. */
int op_list_tensor(struct op_list *l, const char *name, enum tensor_role role, enum dtype dtype,
                   int d0, int d1, int d2, int d3);
void op_list_add(struct op_list *l, struct op op);
/* Finds a tensor by name; 0: none. */
int op_list_find(const struct op_list *l, const char *name);
/* Every op has the tensors, roles and shapes that its row of op_traits[] asks for, and reads only what was written
 * before it. ERR_INPUT names the op; ERR_NOMEM. Backends call it first. */
int op_list_check(const struct op_list *l, struct err *err) MUST_USE;
/* Whether op I is a CONV and the op after it the BN_INFER that alone reads what it writes: a backend may run both as
 * one. */
bool op_list_folds(const struct op_list *l, int i);
/* The list as a table (train --summary). */
void op_list_print(FILE *file, const struct op_list *l);
const char *dtype_name(enum dtype t); /* "fp32", "bf16", ... */
size_t dtype_size(enum dtype t);
bool dtype_is_16(enum dtype t); /* BF16, F16 */
/* Element I of dense DATA as a float, and from one (one rounding). */
float dtype_get(const void *data, size_t i, enum dtype t);
void dtype_put(void *data, size_t i, enum dtype t, float x);
size_t tensor_elements(const struct tensor *t);
bool tensor_is_persistent(const struct tensor *t); /* PARAM, STATE */

#endif
