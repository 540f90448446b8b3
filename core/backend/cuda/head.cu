/* head.cu - relu, dropout and the loss. SPDX-License-Identifier: MIT */
#include "backend/cuda/device.h"
#include "base/rng.h"

template <typename T, int V> static __global__ void relu(T *y, const T *x, unsigned total)
{
    size_t at = (size_t)thread_number() * V;
    vec<T, V> in;

    if (thread_number() >= total)
        return;
    in = load<V>(x + at);
    for (int i = 0; i < V; i++)
        if (value(in.v[i]) < 0.0f)
            store(&in.v[i], 0.0f);
    store<V>(y + at, in);
}

template <typename T, int V>
static __global__ void relu_bwd(T *dx, const T *dy, const T *y, unsigned total)
{
    size_t at = (size_t)thread_number() * V;
    vec<T, V> d, out;

    if (thread_number() >= total)
        return;
    d = load<V>(dy + at);
    out = load<V>(y + at);
    for (int i = 0; i < V; i++)
        if (!(value(out.v[i]) > 0.0f))
            store(&d.v[i], 0.0f);
    store<V>(dx + at, d);
}

/* A thread has the four elements of a picture that share a draw; elements count channel by channel, as
 * in op.h, but lie pixel by pixel. */
template <typename T>
static __global__ void dropout(T *y, const T *x, unsigned pixels, unsigned c, unsigned quads,
                               float rate, int layer, const struct cuda_picture *pictures,
                               const struct cuda_step *step, unsigned total)
{
    unsigned n = thread_number() / quads, quad = thread_number() % quads;
    uint32_t words[4], threshold = dropout_threshold(rate);
    float scale = dropout_scale(rate);

    if (thread_number() >= total)
        return;
    philox_words(words, step->seed, RNG_DROPOUT, step->epoch, pictures[n].position,
                 (uint32_t)layer << 24 | quad);
    for (unsigned i = 0; i < 4 && quad * 4 + i < pixels * c; i++) {
        unsigned e = quad * 4 + i;
        size_t at = ((size_t)n * pixels + e % pixels) * c + e / pixels;

        store(&y[at], dropout_elem(value(x[at]), words[i], threshold, scale));
    }
}

/* A thread has one row, in elem.h's order. */
static __global__ void softmax_loss(float *prob, float *loss, float *dlogits, const float *logits,
                                    int k, struct loss_k constants,
                                    const struct cuda_picture *pictures,
                                    const struct cuda_step *step, const struct cuda_scale *scale)
{
    size_t at = (size_t)blockIdx.x * (size_t)k;

    constants.scale = 1.0f / (float)step->mean_over;
    if (scale)
        constants.scale *= scale->scale;
    loss[blockIdx.x] = elem_softmax_loss(prob + at, dlogits ? dlogits + at : NULL, logits + at, k,
                                         constants, &pictures[blockIdx.x].target);
}

/* --- launches -------------------------------------------------------------------------------- */

int cuda_relu(void *stream, void *y, const void *x, enum dtype type, size_t elements)
{
    return with_type(type, aligned(y, x), (int)(elements % 8), [&](auto t, auto v) {
        typedef decltype(t) T;
        const int V = decltype(v)::value;
        unsigned blocks = blocks_for(elements / V);

        if (!blocks)
            return (int)INVALID;
        LAUNCH((relu<T, V>), dim3(blocks), dim3(THREADS), stream, (T *)y, (const T *)x,
               (unsigned)(elements / V));
        return LAUNCHED();
    });
}

int cuda_relu_bwd(void *stream, void *dx, const void *dy, const void *y, enum dtype type,
                  size_t elements)
{
    return with_type(type, aligned(dx, dy, y), (int)(elements % 8), [&](auto t, auto v) {
        typedef decltype(t) T;
        const int V = decltype(v)::value;
        unsigned blocks = blocks_for(elements / V);

        if (!blocks)
            return (int)INVALID;
        LAUNCH((relu_bwd<T, V>), dim3(blocks), dim3(THREADS), stream, (T *)dx, (const T *)dy,
               (const T *)y, (unsigned)(elements / V));
        return LAUNCHED();
    });
}

int cuda_dropout(void *stream, void *y, const void *x, enum dtype type, int n, int pixels, int c,
                 float rate, int layer, const struct cuda_picture *pictures,
                 const struct cuda_step *step)
{
    size_t per_picture = (size_t)pixels * (size_t)c, quads = (per_picture + 3) / 4;
    unsigned blocks = blocks_for(quads * (size_t)n);

    if (n < 1 || pixels < 1 || c < 1 || !blocks || !(rate >= 0.0f && rate < 1.0f))
        return INVALID;
    return with_type(type, false, c, [&](auto t, auto) {
        typedef decltype(t) T;

        LAUNCH((dropout<T>), dim3(blocks), dim3(THREADS), stream, (T *)y, (const T *)x,
               (unsigned)pixels, (unsigned)c, (unsigned)quads, rate, layer, pictures, step,
               (unsigned)(quads * (size_t)n));
        return LAUNCHED();
    });
}

int cuda_softmax_loss(void *stream, float *prob, float *loss, float *dlogits, const float *logits,
                      int n, int k, float smoothing, float focal,
                      const struct cuda_picture *pictures, const struct cuda_step *step,
                      const struct cuda_scale *scale)
{
    struct loss_k constants = {smoothing, focal, 1.0f};

    if (n < 1 || k < 1)
        return INVALID;
    LAUNCH((softmax_loss), dim3((unsigned)n), dim3(1), stream, prob, loss, dlogits, logits, k,
           constants, pictures, step, scale);
    return LAUNCHED();
}
