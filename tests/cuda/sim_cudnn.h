/* sim_cudnn.h - a descriptor of the simulated cuDNN, and the convolution that a graph of them is.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_CUDA_SIM_CUDNN_H
#define PRESIZE_TESTS_CUDA_SIM_CUDNN_H

#include <cudnn.h>

#include "backend/op.h"
#include "sim_private.h"

enum { ATTRIBUTES_MAX = 16, OPS_MAX = 4 };

struct attribute {
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t n;
    void *values; /* owned */
};

struct sim_descriptor {
    cudnnBackendDescriptorType_t type;
    bool final;
    struct attribute attributes[ATTRIBUTES_MAX];
    int n;
    int config; /* ENGINECFG, ENGINE: its number */
    struct sim_descriptor *graph;
};

struct sim_tensor {
    int64_t d[4], uid; /* n c h w */
    enum dtype type;
    bool is_virtual;
};

/* A pointwise step behind the convolution: adds a tensor, or relu. */
struct sim_step {
    bool relu;
    struct sim_tensor other;
};

struct sim_graph {
    cudnnBackendDescriptorType_t pass;
    struct sim_tensor x, filter, y, out;
    int64_t pad, stride;
    struct sim_step steps[OPS_MAX];
    int n_steps;
};

/* What the graph descriptor G means; false with a fault where it makes no sense. */
bool sim_graph_read(struct sim_graph *out, const struct sim_descriptor *g);
size_t sim_tensor_bytes(const struct sim_tensor *t);
const struct attribute *sim_attribute(const struct sim_descriptor *d,
                                      cudnnBackendAttributeName_t name);

struct sim_execution {
    struct sim_graph graph;
    const void *x, *filter, *y, *others[OPS_MAX]; /* in the simulation's view */
    void *out, *workspace;
    size_t workspace_bytes;
    double seconds;
};
void sim_execute(void *execution);

#endif
