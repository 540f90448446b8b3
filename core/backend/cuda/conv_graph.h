/* conv_graph.h - convolutions as cuDNN graphs: described, checked, planned, run.
 *
 * Everything up to the plan works without a device, from a JSON of its properties; then only
 * conv_plan_run() is missing. NHWC throughout, filters (k, r, s, c). A plan belongs to one thread
 * at a time. No other file calls cuDNN's graph functions. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CUDA_CONV_GRAPH_H
#define PRESIZE_BACKEND_CUDA_CONV_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/op.h"
#include "base/err.h"

enum conv_pass { CONV_FORWARD, CONV_DATA, CONV_WEIGHT, CONV_PASSES };

/* What a plan is for, and the key it is kept by: memcmp decides, so zero it before it is filled. */
struct conv_shape {
    int32_t pass;  /* enum conv_pass */
    int32_t dtype; /* enum dtype of all tensors: F32, F16, BF16; sums are fp32 */
    int32_t n, c, h, w, k, r, s, p, q; /* x (n,h,w,c), filter (k,r,s,filter_c), y (n,p,q,k) */
    int32_t filter_c, groups;          /* c of the filter's tensor: that of x over the groups */
    int32_t stride, pad;
    int32_t bias, add, relu; /* FORWARD: y = relu?(conv + add + bias), bias (k) of DTYPE */
};

struct conv_rules {
    bool deterministic; /* engines with other bits from run to run are left out */
    bool tf32;          /* fp32 may round its inputs to TF32 */
    size_t workspace;   /* bytes at most */
};

enum { CONV_WORKSPACE = 256 << 20, CONV_CANDIDATES = 4 };

struct conv_choice { /* of a plan: what is recorded */
    int64_t engine;  /* cuDNN's global index */
    size_t workspace;
    bool deterministic, tensor_core;
    float ms;             /* that it took where candidates were timed, else 0 */
    int offered, fitting; /* configurations that the heuristics named; of those looked at, usable */
};

struct conv_device; /* properties that plans are made for */
struct conv_plan;

/* HANDLE is a cudnnHandle_t. ERR_UNSUPPORTED. */
int conv_device_of(struct conv_device **out, void *handle, struct err *err) MUST_USE;
/* From cuDNN's JSON of device properties, without a device. ERR_FORMAT. */
int conv_device_from_json(struct conv_device **out, const char *json, size_t n,
                          struct err *err) MUST_USE;
void conv_device_free(struct conv_device *d); /* NULL is fine */

/* What cuDNN itself lets pass: channels that would mean other groups, sizes that do not belong
 * together, tensors beyond 2^31 elements. ERR_UNSUPPORTED. */
int conv_shape_check(const struct conv_shape *s, struct err *err) MUST_USE;
void conv_shape_name(const struct conv_shape *s, char *out, size_t size);

/* Checks S, then keeps the first configurations of cuDNN's heuristics that RULES allow. Different
 * plans may be made by several threads at once. ERR_UNSUPPORTED, ERR_NOMEM. */
int conv_plan_make(struct conv_plan **out, const struct conv_shape *s, const struct conv_device *d,
                   const struct conv_rules *rules, struct err *err) MUST_USE;
void conv_plan_free(struct conv_plan *p); /* NULL is fine */
void conv_plan_choice(const struct conv_plan *p, struct conv_choice *out);
size_t conv_plan_workspace(const struct conv_plan *p); /* of all its candidates */

struct conv_data { /* device addresses, 16-byte aligned */
    void *x, *filter, *y, *bias, *add;
};
/* Enqueues on the stream of HANDLE. The candidate that runs is the first that cuDNN does not refuse;
 * it stays, whatever is refused later. ERR_UNSUPPORTED. */
int conv_plan_run(struct conv_plan *p, void *handle, const struct conv_data *data, void *workspace,
                  struct err *err) MUST_USE;

/* For who wants the fastest, before the first run: candidate I (of choice.fitting) alone, false where
 * cuDNN refuses it; candidate I first, as it took MS. */
bool conv_plan_try(const struct conv_plan *p, int i, void *handle, const struct conv_data *data,
                   void *workspace);
void conv_plan_prefer(struct conv_plan *p, int i, float ms);

#endif
