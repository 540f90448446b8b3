/* sim_graph.c - what a graph of descriptors means to the simulated cuDNN, and whether it may.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "sim_cudnn.h"

static const struct sim_descriptor *child(const struct sim_descriptor *d,
                                          cudnnBackendAttributeName_t name)
{
    const struct attribute *a = sim_attribute(d, name);

    return a ? *(struct sim_descriptor *const *)a->values : NULL;
}

static int64_t number(const struct sim_descriptor *d, cudnnBackendAttributeName_t name, int at)
{
    const struct attribute *a = sim_attribute(d, name);

    BUG_IF(!a || a->type != CUDNN_TYPE_INT64);
    return ((const int64_t *)a->values)[at];
}

static bool read_tensor(struct sim_tensor *t, const struct sim_descriptor *d)
{
    const struct attribute *is_virtual, *type;
    int64_t strides[4];

    if (!d || d->type != CUDNN_BACKEND_TENSOR_DESCRIPTOR) {
        sim_fault("cuDNN: a tensor is missing in a graph");
        return false;
    }
    is_virtual = sim_attribute(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL);
    type = sim_attribute(d, CUDNN_ATTR_TENSOR_DATA_TYPE);
    for (int i = 0; i < 4; i++) {
        t->d[i] = number(d, CUDNN_ATTR_TENSOR_DIMENSIONS, i);
        strides[i] = number(d, CUDNN_ATTR_TENSOR_STRIDES, i);
    }
    t->uid = number(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, 0);
    t->is_virtual = is_virtual && *(const bool *)is_virtual->values;
    switch (*(const cudnnDataType_t *)type->values) {
    case CUDNN_DATA_HALF:
        t->type = DTYPE_F16;
        break;
    case CUDNN_DATA_BFLOAT16:
        t->type = DTYPE_BF16;
        break;
    default:
        t->type = DTYPE_F32;
    }
    if (strides[1] != 1 || strides[3] != t->d[1] || strides[2] != t->d[3] * t->d[1] ||
        strides[0] != t->d[2] * t->d[3] * t->d[1]) {
        sim_fault("cuDNN: a tensor's strides are not those of packed NHWC");
        return false;
    }
    return true;
}

static bool read_conv(struct sim_graph *g, const struct sim_descriptor *op)
{
    const struct sim_descriptor *conv;
    bool ok;

    g->pass = op->type;
    switch (op->type) {
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
        conv = child(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC);
        ok = read_tensor(&g->x, child(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X)) &&
             read_tensor(&g->filter, child(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W)) &&
             read_tensor(&g->y, child(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y));
        g->out = g->y;
        break;
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
        conv = child(op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC);
        ok = read_tensor(&g->x, child(op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX)) &&
             read_tensor(&g->filter, child(op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W)) &&
             read_tensor(&g->y, child(op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY));
        g->out = g->x;
        break;
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
        conv = child(op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC);
        ok = read_tensor(&g->x, child(op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X)) &&
             read_tensor(&g->filter, child(op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW)) &&
             read_tensor(&g->y, child(op, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY));
        g->out = g->filter;
        break;
    default:
        sim_fault("cuDNN: a graph that does not begin with a convolution");
        return false;
    }
    if (!ok)
        return false;
    g->pad = number(conv, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, 0);
    g->stride = number(conv, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, 0);
    return true;
}

static bool same_size(const struct sim_tensor *a, const struct sim_tensor *b)
{
    return memcmp(a->d, b->d, sizeof a->d) == 0;
}

static bool check_conv(const struct sim_graph *g)
{
    const int64_t *x = g->x.d, *f = g->filter.d, *y = g->y.d;

    if (x[1] % f[1] || f[0] % (x[1] / f[1]))
        sim_fault("cuDNN: a filter of %d channels on pictures of %d means no groups", (int)f[1],
                  (int)x[1]);
    else if (y[0] != x[0] || y[1] != f[0] || y[2] != (x[2] + 2 * g->pad - f[2]) / g->stride + 1 ||
             y[3] != (x[3] + 2 * g->pad - f[3]) / g->stride + 1)
        sim_fault("cuDNN: sizes that do not belong together");
    else if (g->x.type != g->filter.type || (g->x.type != g->y.type && !g->y.is_virtual))
        sim_fault("cuDNN: tensors of several types");
    else
        return true;
    return false;
}

static bool read_step(struct sim_graph *g, const struct sim_descriptor *op)
{
    const struct sim_descriptor *what = child(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    const cudnnPointwiseMode_t mode =
        *(const cudnnPointwiseMode_t *)sim_attribute(what, CUDNN_ATTR_POINTWISE_MODE)->values;
    struct sim_step *step = &g->steps[g->n_steps++];
    struct sim_tensor x, y;

    if (!read_tensor(&x, child(op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC)) ||
        !read_tensor(&y, child(op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC)))
        return false;
    step->relu = mode == CUDNN_POINTWISE_RELU_FWD;
    if (!step->relu && mode != CUDNN_POINTWISE_ADD)
        sim_fault("cuDNN: a pointwise step that is not simulated");
    if (x.uid != g->out.uid || !x.is_virtual || !same_size(&x, &y))
        sim_fault("cuDNN: a step that does not read what the one before it wrote");
    if (!step->relu) {
        if (!read_tensor(&step->other, child(op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC)))
            return false;
        if (!same_size(&step->other, &y) &&
            !(step->other.d[1] == y.d[1] && step->other.d[0] * step->other.d[2] == 1))
            sim_fault("cuDNN: what is added is neither a tensor of the size nor a vector");
    }
    g->out = y;
    return !sim.fault[0];
}

bool sim_graph_read(struct sim_graph *g, const struct sim_descriptor *d)
{
    const struct attribute *ops = sim_attribute(d, CUDNN_ATTR_OPERATIONGRAPH_OPS);
    struct sim_descriptor *const *op = ops ? ops->values : NULL;

    memset(g, 0, sizeof *g);
    if (!ops || ops->n < 1 || ops->n > OPS_MAX) {
        sim_fault("cuDNN: a graph of no or too many operations");
        return false;
    }
    if (!read_conv(g, op[0]) || !check_conv(g))
        return false;
    for (int64_t i = 1; i < ops->n; i++)
        if (!read_step(g, op[i]))
            return false;
    if (g->out.is_virtual)
        sim_fault("cuDNN: a graph that writes nothing");
    return !g->out.is_virtual;
}
