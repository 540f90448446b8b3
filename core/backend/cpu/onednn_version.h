/* onednn_version.h - where oneDNN 2.6 and 3 differ, for onednn.c alone, which is written against 3.
 *
 * What 2.6 lacks is made of its own calls, by the names of 3. A memory descriptor is a handle in 3 and a struct in
 * 2.6: there a handle is a struct from malloc(). SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CPU_ONEDNN_VERSION_H
#define PRESIZE_BACKEND_CPU_ONEDNN_VERSION_H

#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>

#if DNNL_VERSION_MAJOR == 3
typedef dnnl_memory_desc_t dnn_desc;
typedef const_dnnl_memory_desc_t const_dnn_desc;

static inline dnnl_status_t dnn_set_data(dnnl_memory_t memory, void *data, dnnl_stream_t stream)
{
    (void)stream;
    return dnnl_memory_set_data_handle(memory, data);
}

#else
typedef dnnl_memory_desc_t *dnn_desc;
typedef const dnnl_memory_desc_t *const_dnn_desc;

/* 2.6 zeroes padding when it is given the data, on STREAM. */
static inline dnnl_status_t dnn_set_data(dnnl_memory_t memory, void *data, dnnl_stream_t stream)
{
    return dnnl_memory_set_data_handle_v2(memory, data, stream);
}

static inline dnnl_status_t dnnl_memory_desc_destroy(dnn_desc desc)
{
    free(desc);
    return dnnl_success;
}

static inline dnnl_status_t dnnl_memory_desc_clone(dnn_desc *out, const_dnn_desc from)
{
    *out = malloc(sizeof **out);
    if (!*out)
        return dnnl_out_of_memory;
    **out = *from;
    return dnnl_success;
}

/* Frees *OUT where STATUS says that 2.6 did not fill it; returns STATUS. */
static inline dnnl_status_t dnn_kept(dnn_desc *out, dnnl_status_t status)
{
    if (status != dnnl_success) {
        free(*out);
        *out = NULL;
    }
    return status;
}

static inline dnnl_status_t dnnl_memory_desc_create_with_tag(dnn_desc *out, int n,
                                                             const dnnl_dims_t dims,
                                                             dnnl_data_type_t type,
                                                             dnnl_format_tag_t tag)
{
    *out = malloc(sizeof **out);
    if (!*out)
        return dnnl_out_of_memory;
    return dnn_kept(out, dnnl_memory_desc_init_by_tag(*out, n, dims, type, tag));
}

static inline dnnl_status_t dnnl_memory_desc_create_submemory(dnn_desc *out, const_dnn_desc parent,
                                                              const dnnl_dims_t dims,
                                                              const dnnl_dims_t offsets)
{
    *out = malloc(sizeof **out);
    if (!*out)
        return dnnl_out_of_memory;
    return dnn_kept(out, dnnl_memory_desc_init_submemory(*out, parent, dims, offsets));
}

static inline dnnl_status_t dnnl_convolution_forward_primitive_desc_create(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dnnl_prop_kind_t kind,
    dnnl_alg_kind_t algorithm, const_dnn_desc x, const_dnn_desc weight, const_dnn_desc bias,
    const_dnn_desc y, const dnnl_dims_t stride, const dnnl_dims_t dilation,
    const dnnl_dims_t before, const dnnl_dims_t after, const_dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
        &desc, kind, algorithm, x, weight, bias, y, stride, dilation, before, after);

    return status == dnnl_success ? dnnl_primitive_desc_create(pd, &desc, attr, engine, NULL)
                                  : status;
}

static inline dnnl_status_t dnnl_convolution_backward_data_primitive_desc_create(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dnnl_alg_kind_t algorithm, const_dnn_desc dx,
    const_dnn_desc weight, const_dnn_desc dy, const dnnl_dims_t stride, const dnnl_dims_t dilation,
    const dnnl_dims_t before, const dnnl_dims_t after, const_dnnl_primitive_desc_t forward,
    const_dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t status = dnnl_dilated_convolution_backward_data_desc_init(
        &desc, algorithm, dx, weight, dy, stride, dilation, before, after);

    return status == dnnl_success ? dnnl_primitive_desc_create(pd, &desc, attr, engine, forward)
                                  : status;
}

static inline dnnl_status_t dnnl_convolution_backward_weights_primitive_desc_create(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dnnl_alg_kind_t algorithm, const_dnn_desc x,
    const_dnn_desc dweight, const_dnn_desc dbias, const_dnn_desc dy, const dnnl_dims_t stride,
    const dnnl_dims_t dilation, const dnnl_dims_t before, const dnnl_dims_t after,
    const_dnnl_primitive_desc_t forward, const_dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t desc;
    dnnl_status_t status = dnnl_dilated_convolution_backward_weights_desc_init(
        &desc, algorithm, x, dweight, dbias, dy, stride, dilation, before, after);

    return status == dnnl_success ? dnnl_primitive_desc_create(pd, &desc, attr, engine, forward)
                                  : status;
}

/* 2.6 has a scale more, which 3 takes as 1. */
#define dnnl_post_ops_append_eltwise(ops, algorithm, alpha, beta)                                  \
    dnnl_post_ops_append_eltwise(ops, 1.0F, algorithm, alpha, beta)

#endif
#endif
