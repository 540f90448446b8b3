/* pool.cu - max pooling 3x3/2 pad 1, and the two pools over whole pictures; backward as a gather, so
 * that every value has one writer. SPDX-License-Identifier: MIT */
#include "backend/cuda/device.h"

struct window { /* max pooling: x (n, h, w, c), y (n, p, q, c) */
    int h, w, p, q, c;
};

/* Vector I of a tensor (n, height, width, c) in vectors of V. */
struct place {
    int column, row, channel;
    unsigned n;
};

template <int V> DEVICE struct place place_of(unsigned i, int height, int width, int c)
{
    struct place at;
    unsigned groups = (unsigned)(c / V), pixel = i / groups, line = pixel / (unsigned)width;

    at.channel = (int)(i % groups) * V;
    at.column = (int)(pixel % (unsigned)width);
    at.row = (int)(line % (unsigned)height);
    at.n = line / (unsigned)height;
    return at;
}

DEVICE size_t offset(unsigned n, int height, int width, int c, int row, int column, int channel)
{
    return (((size_t)n * (size_t)height + (size_t)row) * (size_t)width + (size_t)column) *
               (size_t)c +
           (size_t)channel;
}

template <typename T, int V>
static __global__ void max_pool(T *y, uint8_t *argmax, const T *x, struct window s, unsigned total)
{
    struct place at = place_of<V>(thread_number(), s.p, s.q, s.c);
    float best[V] = {};
    vec<T, V> out = {};
    vec<uint8_t, V> which = {};
    bool first = true;

    if (thread_number() >= total)
        return;
    for (int tap = 0; tap < 9; tap++) {
        int row = 2 * at.row - 1 + tap / 3, column = 2 * at.column - 1 + tap % 3;
        vec<T, V> in;

        if (row < 0 || row >= s.h || column < 0 || column >= s.w)
            continue;
        in = load<V>(x + offset(at.n, s.h, s.w, s.c, row, column, at.channel));
        for (int i = 0; i < V; i++)
            if (first || value(in.v[i]) > best[i] || isnan(value(in.v[i]))) { /* it must be seen */
                best[i] = value(in.v[i]);
                out.v[i] = in.v[i];
                which.v[i] = (uint8_t)tap;
            }
        first = false;
    }
    store<V>(y + (size_t)thread_number() * V, out);
    store<V>(argmax + (size_t)thread_number() * V, which);
}

template <typename T, int V>
static __global__ void max_pool_bwd(T *dx, const T *dy, const T *dy2, const uint8_t *argmax,
                                    struct window s, unsigned total)
{
    struct place at = place_of<V>(thread_number(), s.h, s.w, s.c);
    float sum[V];
    vec<T, V> out;

    if (thread_number() >= total)
        return;
    for (int i = 0; i < V; i++)
        sum[i] = 0.0f;
    for (int row = at.row / 2; row <= (at.row + 1) / 2 && row < s.p; row++)
        for (int column = at.column / 2; column <= (at.column + 1) / 2 && column < s.q; column++) {
            size_t from = offset(at.n, s.p, s.q, s.c, row, column, at.channel);
            int tap = (at.row - 2 * row + 1) * 3 + at.column - 2 * column + 1;
            vec<uint8_t, V> which = load<V>(argmax + from);
            vec<T, V> a = load<V>(dy + from), b;

            if (dy2)
                b = load<V>(dy2 + from);
            for (int i = 0; i < V; i++)
                if (which.v[i] == tap)
                    sum[i] += dy2 ? value(a.v[i]) + value(b.v[i]) : value(a.v[i]);
        }
    for (int i = 0; i < V; i++)
        store(&out.v[i], sum[i]);
    store<V>(dx + (size_t)thread_number() * V, out);
}

/* A thread has one channel of one picture. */
template <typename T>
static __global__ void concat_pool(float *y, int32_t *argmax, const T *x, int pixels, int c,
                                   unsigned total)
{
    unsigned me = thread_number(), n = me / (unsigned)c, channel = me % (unsigned)c;
    float sum = 0.0f, best = 0.0f;
    int which = 0;

    if (me >= total)
        return;
    for (int i = 0; i < pixels; i++) {
        float f = value(x[((size_t)n * (size_t)pixels + (size_t)i) * (size_t)c + channel]);

        sum += f;
        if (i == 0 || f > best || isnan(f)) {
            best = f;
            which = i;
        }
    }
    y[(size_t)n * 2 * (size_t)c + channel] = best;
    y[((size_t)n * 2 + 1) * (size_t)c + channel] = sum / (float)pixels;
    argmax[me] = which;
}

template <typename T, int V>
static __global__ void concat_pool_bwd(T *dx, const float *dy, const int32_t *argmax, int pixels,
                                       int c, unsigned total)
{
    struct place at = place_of<V>(thread_number(), 1, pixels, c);
    vec<T, V> out;

    if (thread_number() >= total)
        return;
    for (int i = 0; i < V; i++) {
        size_t k = (size_t)at.n * (size_t)c + (size_t)(at.channel + i);
        const float *max = dy + (size_t)at.n * (size_t)c + k, *mean = max + c;

        store(&out.v[i], *mean / (float)pixels + (argmax[k] == at.column ? *max : 0.0f));
    }
    store<V>(dx + (size_t)thread_number() * V, out);
}

/* --- launches -------------------------------------------------------------------------------- */

/* Values of (n, height, width, c) fit what a kernel counts with. */
static bool countable(int n, int height, int width, int c)
{
    double total = (double)n * height * width * c;

    return n >= 1 && height >= 1 && width >= 1 && c >= 1 && total <= 0x7fffffff;
}

static struct window window_of(int h, int w, int c)
{
    struct window s = {h, w, (h - 1) / 2 + 1, (w - 1) / 2 + 1, c};

    return s;
}

int cuda_max_pool(void *stream, void *y, uint8_t *argmax, const void *x, enum dtype type, int n,
                  int h, int w, int c)
{
    struct window s = window_of(h, w, c);

    if (!countable(n, h, w, c))
        return INVALID;
    return with_type(type, aligned(y, argmax, x), c, [&](auto t, auto v) {
        typedef decltype(t) T;
        const int V = decltype(v)::value;
        unsigned total = (unsigned)n * (unsigned)s.p * (unsigned)s.q * (unsigned)(c / V);

        LAUNCH((max_pool<T, V>), dim3(blocks_for(total)), dim3(THREADS), stream, (T *)y, argmax,
               (const T *)x, s, total);
        return LAUNCHED();
    });
}

int cuda_max_pool_bwd(void *stream, void *dx, const void *dy, const void *dy2,
                      const uint8_t *argmax, enum dtype type, int n, int h, int w, int c)
{
    struct window s = window_of(h, w, c);

    if (!countable(n, h, w, c))
        return INVALID;
    return with_type(type, aligned(dx, dy, dy2, argmax), c, [&](auto t, auto v) {
        typedef decltype(t) T;
        const int V = decltype(v)::value;
        unsigned total = (unsigned)n * (unsigned)h * (unsigned)w * (unsigned)(c / V);

        LAUNCH((max_pool_bwd<T, V>), dim3(blocks_for(total)), dim3(THREADS), stream, (T *)dx,
               (const T *)dy, (const T *)dy2, argmax, s, total);
        return LAUNCHED();
    });
}

int cuda_concat_pool(void *stream, float *y, int32_t *argmax, const void *x, enum dtype type, int n,
                     int pixels, int c)
{
    unsigned total = (unsigned)n * (unsigned)c;

    if (!countable(n, 1, pixels, c))
        return INVALID;
    return with_type(type, false, c, [&](auto t, auto) {
        typedef decltype(t) T;

        LAUNCH((concat_pool<T>), dim3(blocks_for(total)), dim3(THREADS), stream, y, argmax,
               (const T *)x, pixels, c, total);
        return LAUNCHED();
    });
}

int cuda_concat_pool_bwd(void *stream, void *dx, const float *dy, const int32_t *argmax,
                         enum dtype type, int n, int pixels, int c)
{
    if (!countable(n, 1, pixels, c))
        return INVALID;
    return with_type(type, aligned(dx), c, [&](auto t, auto v) {
        typedef decltype(t) T;
        const int V = decltype(v)::value;
        unsigned total = (unsigned)n * (unsigned)pixels * (unsigned)(c / V);

        LAUNCH((concat_pool_bwd<T, V>), dim3(blocks_for(total)), dim3(THREADS), stream, (T *)dx, dy,
               argmax, pixels, c, total);
        return LAUNCHED();
    });
}
