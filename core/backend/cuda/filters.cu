/* filters.cu - between torch's filters (k, c, rs) in f32 and those that convolutions read and write,
 * (k, rs, c) in the working type. SPDX-License-Identifier: MIT */
#include "backend/cuda/device.h"

template <typename T>
static __global__ void cast_weights(T *krsc, const float *weights,
                                    const struct cuda_filter_chunk *chunks)
{
    const struct cuda_filter_chunk c = chunks[blockIdx.x];

    for (unsigned i = c.first + threadIdx.x; i < c.first + c.n; i += THREADS) {
        unsigned channel = i % c.c_pad, at = i / c.c_pad % c.rs, k = i / c.c_pad / c.rs;
        float x = 0.0f;

        if (channel < c.c)
            x = weights[c.torch + ((size_t)k * c.c + channel) * c.rs + at];
        store(&krsc[c.krsc + i], x);
    }
}

template <typename T>
static __global__ void cast_grads(float *grads, const T *krsc,
                                  const struct cuda_filter_chunk *chunks)
{
    const struct cuda_filter_chunk c = chunks[blockIdx.x];

    for (unsigned i = c.first + threadIdx.x; i < c.first + c.n; i += THREADS) {
        unsigned at = i % c.rs, channel = i / c.rs % c.c, k = i / c.rs / c.c;

        grads[c.torch + i] = value(krsc[c.krsc + ((size_t)k * c.rs + at) * c.c_pad + channel]);
    }
}

int cuda_cast_weights(void *stream, void *krsc, enum dtype type, const float *weights,
                      const struct cuda_filter_chunk *chunks, int n_chunks)
{
    if (n_chunks < 1)
        return INVALID;
    return with_type(type, false, 1, [&](auto t, auto) {
        typedef decltype(t) T;

        LAUNCH((cast_weights<T>), dim3((unsigned)n_chunks), dim3(THREADS), stream, (T *)krsc,
               weights, chunks);
        return LAUNCHED();
    });
}

int cuda_cast_grads(void *stream, float *grads, const void *krsc, enum dtype type,
                    const struct cuda_filter_chunk *chunks, int n_chunks)
{
    if (n_chunks < 1)
        return INVALID;
    return with_type(type, false, 1, [&](auto t, auto) {
        typedef decltype(t) T;

        LAUNCH((cast_grads<T>), dim3((unsigned)n_chunks), dim3(THREADS), stream, grads,
               (const T *)krsc, chunks);
        return LAUNCHED();
    });
}
