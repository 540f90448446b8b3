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

/* A function for each kind of op: ref_conv(), ... */
#define REF_FUNCTION(KIND, name) void ref_##name(const struct ref_call *c);
OP_EACH(REF_FUNCTION)

/* As ref_backend, but nothing is rounded on a store: for central differences. */
extern const struct backend ref_exact_backend;
/* The values of a tensor of a program of either: borrowed until release(), may be changed before a
 * run. */
double *ref_values(struct be_program *p, int tensor);

#endif
