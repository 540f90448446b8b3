/* ref.h - private to the ref backend, and to tests that ask it for more than a backend gives.
 *
 * Every tensor is a plain NCHW array of doubles of its own that holds values its dtype can hold
 * (every store rounds); the planner has no part in it. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_REF_H
#define PRESIZE_BACKEND_REF_H

#include "backend/backend.h"
#include "backend/op_traits.h"

struct ref_tensor {
    double *v;    /* (d[0], d[1], d[2], d[3]) */
    const int *d; /* NULL where the op has no such tensor; then v is NULL too */
    size_t n;
    enum dtype dtype;
    bool exact; /* stores are not rounded */
};

struct ref_call { /* one op of one step */
    const struct op *op;
    const struct step *step;
    int batch;
    double grad_norm; /* GRAD_NORM: over every gradient that an optimiser steps by */
    struct ref_tensor in[6], out[4];
};

/* out.v[i] = x, rounded to the tensor's dtype. */
void ref_store(const struct ref_tensor *t, size_t i, double x);

/* op.h's rows, one function each */
void ref_augment(const struct ref_call *c);
void ref_conv(const struct ref_call *c);
void ref_conv_bwd_data(const struct ref_call *c);
void ref_conv_bwd_weight(const struct ref_call *c);
void ref_linear(const struct ref_call *c);
void ref_linear_bwd_data(const struct ref_call *c);
void ref_linear_bwd_weight(const struct ref_call *c);
void ref_bn_stats(const struct ref_call *c);
void ref_bn_apply(const struct ref_call *c);
void ref_bn_infer(const struct ref_call *c);
void ref_bn_bwd_stats(const struct ref_call *c);
void ref_bn_bwd_apply(const struct ref_call *c);
void ref_bn_relu_bwd_stats(const struct ref_call *c);
void ref_bn_relu_bwd_apply(const struct ref_call *c);
void ref_relu(const struct ref_call *c);
void ref_relu_bwd(const struct ref_call *c);
void ref_max_pool(const struct ref_call *c);
void ref_max_pool_bwd(const struct ref_call *c);
void ref_concat_pool(const struct ref_call *c);
void ref_concat_pool_bwd(const struct ref_call *c);
void ref_dropout(const struct ref_call *c);
void ref_softmax_loss(const struct ref_call *c);
void ref_grad_sum(const struct ref_call *c);
void ref_grad_norm(const struct ref_call *c);
void ref_adam(const struct ref_call *c);
void ref_sgd(const struct ref_call *c);
void ref_ema(const struct ref_call *c);

/* As ref_backend, but nothing is rounded on a store: for central differences. */
extern const struct backend ref_exact_backend;
/* The values of a tensor of a program of either: borrowed until release(), may be changed before a
 * run. */
double *ref_values(struct be_program *p, int tensor);

#endif
