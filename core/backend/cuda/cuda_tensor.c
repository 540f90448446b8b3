/* cuda_tensor.c - parameters and state in the device's store; values in and out in plain layout.
 *
 * Whatever goes out or in waits for the compute stream. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/cuda.h"
#include "base/size.h"

enum { STORE_ALIGN = 64 }; /* elements */

/* ---- store ----------------------------------------------------------------------------------- */

int cuda_place(struct be *b, struct persistent *t, struct err *err)
{
    (void)err;
    t->at = b->store_used;
    b->store_used += align_up(t->n, STORE_ALIGN);
    return 0;
}

int store_grow(struct be *b, struct err *err)
{
    float *grown = NULL;
    const size_t bytes = b->store_used * sizeof *grown, old = b->store_room * sizeof *grown;

    if (b->store_used <= b->store_room)
        return 0;
    if (cuda_check(cudaMalloc((void **)&grown, bytes), "parameters and state", err) < 0)
        return err_append(err, "; %zu MB were asked for", bytes >> 20);
    if ((old > 0 &&
         cuda_check(cudaMemcpyAsync(grown, b->store, old, cudaMemcpyDeviceToDevice, b->compute),
                    "parameters and state", err) < 0) ||
        cuda_check(cudaMemsetAsync((char *)grown + old, 0, bytes - old, b->compute),
                   "parameters and state", err) < 0 ||
        cuda_check(cudaStreamSynchronize(b->compute), "parameters and state", err) < 0) {
        cudaFree(grown);
        return -1;
    }
    cudaFree(b->store);
    b->store = grown;
    b->store_room = b->store_used;
    return 0;
}

/* ---- from and to outside --------------------------------------------------------------------- */

static int move(struct be *b, void *to, const void *from, size_t bytes, enum cudaMemcpyKind way,
                const char *name, struct err *err)
{
    if (cuda_check(cudaMemcpyAsync(to, from, bytes, way, b->compute), name, err) < 0)
        return -1;
    return cuda_check(cudaStreamSynchronize(b->compute), name, err);
}

/* The tensor NAME, in a store that has room for it. */
static int find_stored(struct persistent **out, struct be *b, const char *name, struct err *err)
{
    *out = persistents_find(&b->persistents, name, err);
    return *out ? store_grow(b, err) : -1;
}

/* BACKEND_LOSS_SCALE: scale, steps since it grew, steps left out since the first and in all. */
static int put_scale(struct be *b, const float *src, struct err *err)
{
    struct cuda_scale s = {.scale = src[0],
                           .inverse = (float)(1.0 / (double)src[0]),
                           .good = (uint32_t)src[1],
                           .skipped = (uint32_t)src[2],
                           .overflows = (uint32_t)src[3]};

    return move(b, b->scale, &s, sizeof s, cudaMemcpyHostToDevice, BACKEND_LOSS_SCALE, err);
}

static int get_scale(struct be *b, float *dst, struct err *err)
{
    struct cuda_scale s;

    if (move(b, &s, b->scale, sizeof s, cudaMemcpyDeviceToHost, BACKEND_LOSS_SCALE, err) < 0)
        return -1;
    dst[0] = s.scale;
    dst[1] = (float)s.good;
    dst[2] = (float)s.skipped;
    dst[3] = (float)s.overflows;
    return 0;
}

int cuda_put(struct be *b, const char *name, const float *src, struct err *err)
{
    struct persistent *t;

    if (strcmp(name, BACKEND_LOSS_SCALE) == 0)
        return put_scale(b, src, err);
    if (find_stored(&t, b, name, err) < 0)
        return -1;
    t->version++;
    return move(b, b->store + t->at, src, t->n * sizeof *src, cudaMemcpyHostToDevice, name, err);
}

int cuda_get(struct be *b, const char *name, float *dst, struct err *err)
{
    struct persistent *t;

    if (strcmp(name, BACKEND_LOSS_SCALE) == 0)
        return get_scale(b, dst, err);
    if (find_stored(&t, b, name, err) < 0)
        return -1;
    return move(b, dst, b->store + t->at, t->n * sizeof *dst, cudaMemcpyDeviceToHost, name, err);
}

/* Bytes that TENSOR takes on the device. */
static size_t tensor_bytes(const struct tensor *t)
{
    return (t->role == TENSOR_ACT ? device_elements(t) : tensor_elements(t)) * dtype_size(t->dtype);
}

/* Element I of plain NCHW order of an ACT tensor, in NHWC. */
static size_t inside(const struct tensor *t, size_t i)
{
    const size_t c = (size_t)t->dims[1], pixels = (size_t)t->dims[2] * (size_t)t->dims[3];
    const size_t picture = i / (c * pixels), channel = i / pixels % c, pixel = i % pixels;

    if (t->role != TENSOR_ACT)
        return i;
    return (picture * pixels + pixel) * (size_t)device_channels(t) + channel;
}

int cuda_read(struct be_program *p, int tensor, float *dst, struct err *err)
{
    const struct tensor *t = op_tensor(p, tensor);
    char *data;
    int rc;

    BUG_IF(tensor < 1 || tensor >= p->list->n_tensors || tensor_is_persistent(t));
    data = malloc(tensor_bytes(t));
    if (!data)
        return err_set(err, ERR_NOMEM, "%s", t->name);
    rc = move(p->be, data, act(p, tensor), tensor_bytes(t), cudaMemcpyDeviceToHost, t->name, err);
    for (size_t i = 0; rc == 0 && i < tensor_elements(t); i++)
        dst[i] = dtype_get(data, inside(t, i), t->dtype);
    free(data);
    return rc;
}

int cuda_write(struct be_program *p, int tensor, const float *src, struct err *err)
{
    const struct tensor *t = op_tensor(p, tensor);
    char *data;
    int rc;

    BUG_IF(tensor < 1 || tensor >= p->list->n_tensors || tensor_is_persistent(t));
    data = calloc(1, tensor_bytes(t));
    if (!data)
        return err_set(err, ERR_NOMEM, "%s", t->name);
    for (size_t i = 0; i < tensor_elements(t); i++)
        dtype_put(data, inside(t, i), t->dtype, src[i]);
    rc = move(p->be, act(p, tensor), data, tensor_bytes(t), cudaMemcpyHostToDevice, t->name, err);
    free(data);
    return rc;
}
