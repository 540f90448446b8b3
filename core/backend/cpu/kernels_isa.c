/* kernels_isa.c - the passes between convolutions; see kernels.h.
 *
 * Each pass is one always-inlined body; `dtype` and the flags are constants where it is instantiated, so
 * the loops hold no branches.
 * isa: avx512bf16
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/kernels.h"

#include <string.h>

#include "backend/cpu/lanes.h"
#include "backend/elem.h"
#include "base/isa.h"

enum { CHUNK = 64 }; /* pixels summed in float before a flush into double */

INLINE size_t at(const struct slab *s, int n, int block)
{
    return (size_t)n * s->picture + (size_t)block * s->block;
}

/* A pass reads each tensor once, from end to end: it asks for what comes AHEAD bytes later, as the processor's
 * own prefetching restarts at every page. */
enum { AHEAD = 8192 };

INLINE f16v load_ahead(const struct slab *s, const void *base, size_t i, enum dtype t)
{
    if (s->pixel == LANES)
        __builtin_prefetch((const char *)base + i * dtype_bytes(t) + AHEAD);
    return load(base, i, t);
}

/* Of block B, the sums to continue from. */
INLINE d16v so_far(const double *sums, bool fresh, int b)
{
    d16v v = {0};

    if (!fresh)
        memcpy(&v, sums + (size_t)b * LANES, sizeof v);
    return v;
}

/* ---- batch norm ---- */

INLINE void bn_stats_body(const struct slab *s, const void *y, bool fresh, double *sum,
                          double *squares, enum dtype t)
{
    const int pixels = s->h * s->w;

    for (int n = 0; n < s->n; n++)
        for (int b = 0; b < s->blocks; b++) {
            d16v total = so_far(sum, fresh && n == 0, b),
                 total2 = so_far(squares, fresh && n == 0, b);
            size_t i = at(s, n, b);

            for (int first = 0; first < pixels; first += CHUNK) {
                const int last = pixels - first < CHUNK ? pixels : first + CHUNK;
                f16v a = {0}, a2 = {0}, c = {0}, c2 = {0};
                int j = first;

                for (; j + 2 <= last; j += 2, i += 2 * s->pixel) {
                    const f16v v = load_ahead(s, y, i, t), w = load_ahead(s, y, i + s->pixel, t);

                    a += v;
                    a2 += v * v;
                    c += w;
                    c2 += w * w;
                }
                if (j < last) {
                    const f16v v = load(y, i, t);

                    a += v;
                    a2 += v * v;
                    i += s->pixel;
                }
                total += widen(a + c);
                total2 += widen(a2 + c2);
            }
            put_doubles(sum + (size_t)b * LANES, total);
            put_doubles(squares + (size_t)b * LANES, total2);
        }
}

static void bn_stats(const struct slab *s, const void *y, bool fresh, double *sum, double *squares)
{
    if (s->dtype == DTYPE_BF16)
        bn_stats_body(s, y, fresh, sum, squares, DTYPE_BF16);
    else
        bn_stats_body(s, y, fresh, sum, squares, DTYPE_F32);
}

INLINE void bn_apply_body(const struct slab *s, void *z, uint16_t *mask, const void *y,
                          const void *residual, const float *scale, const float *shift, bool relu,
                          enum dtype t)
{
    const int pixels = s->h * s->w;

    for (int n = 0; n < s->n; n++)
        for (int b = 0; b < s->blocks; b++) {
            const f16v k = load_f32(scale + b * LANES), h = load_f32(shift + b * LANES);
            size_t i = at(s, n, b);

            for (int j = 0; j < pixels; j++, i += s->pixel) {
                f16v v = load_ahead(s, y, i, t) * k + h;

                if (residual)
                    v += load_ahead(s, residual, i, t);
                if (relu) /* not v < 0: NaN stays */
                    v = where(~greater((f16v){0}, v), v);
                store(z, i, v, t);
                if (mask)
                    mask[i / LANES] = above_zero(v);
            }
        }
}

static void bn_apply(const struct slab *s, void *z, uint16_t *mask, const void *y,
                     const void *residual, const float *scale, const float *shift, bool relu)
{
#define BODY(mask, residual, relu)                                                                 \
    do {                                                                                           \
        if (s->dtype == DTYPE_BF16)                                                                \
            bn_apply_body(s, z, mask, y, residual, scale, shift, relu, DTYPE_BF16);                \
        else                                                                                       \
            bn_apply_body(s, z, mask, y, residual, scale, shift, relu, DTYPE_F32);                 \
    } while (0)
    if (mask && residual)
        BODY(mask, residual, true);
    else if (mask)
        BODY(mask, NULL, true);
    else if (residual && relu)
        BODY(NULL, residual, true);
    else if (residual)
        BODY(NULL, residual, false);
    else if (relu)
        BODY(NULL, NULL, true);
    else
        BODY(NULL, NULL, false);
#undef BODY
}

INLINE void bn_bwd_stats_body(const struct slab *s, void *g, bool past, const void *dz,
                              const void *dz2, const uint16_t *mask, const void *y,
                              const float *scale, const float *shift, const float *mean, bool fresh,
                              double *sum, double *product, enum dtype t)
{
    const int pixels = s->h * s->w;

    for (int n = 0; n < s->n; n++)
        for (int b = 0; b < s->blocks; b++) {
            const f16v mu = load_f32(mean + b * LANES);
            const f16v k = scale ? load_f32(scale + b * LANES) : mu,
                       h = scale ? load_f32(shift + b * LANES) : mu;
            d16v total = so_far(sum, fresh && n == 0, b),
                 total2 = so_far(product, fresh && n == 0, b);
            size_t i = at(s, n, b);

            for (int first = 0; first < pixels; first += CHUNK) {
                const int last = pixels - first < CHUNK ? pixels : first + CHUNK;
                f16v a = {0}, a2 = {0};

                for (int j = first; j < last; j++, i += s->pixel) {
                    const f16v w = load_ahead(s, y, i, t);
                    f16v v = load_ahead(s, dz, i, t);

                    if (dz2)
                        v += load_ahead(s, dz2, i, t);
                    if (mask)
                        v = where_bits(mask[i / LANES], v);
                    if (scale)
                        v = where(greater(w * k + h, (f16v){0}), v);
                    if (g)
                        v = past ? store_past(g, i, v, t) : store(g, i, v, t);
                    a += v;
                    a2 += v * (w - mu);
                }
                total += widen(a);
                total2 += widen(a2);
            }
            put_doubles(sum + (size_t)b * LANES, total);
            put_doubles(product + (size_t)b * LANES, total2);
        }
    if (past)
        end_stores();
}

static void bn_bwd_stats(const struct slab *s, void *g, bool past, const void *dz, const void *dz2,
                         const uint16_t *mask, const void *y, const float *mean, bool fresh,
                         double *sum, double *product)
{
#define BODY(g, past, dz2, mask)                                                                   \
    do {                                                                                           \
        if (s->dtype == DTYPE_BF16)                                                                \
            bn_bwd_stats_body(s, g, past, dz, dz2, mask, y, NULL, NULL, mean, fresh, sum, product, \
                              DTYPE_BF16);                                                         \
        else                                                                                       \
            bn_bwd_stats_body(s, g, past, dz, dz2, mask, y, NULL, NULL, mean, fresh, sum, product, \
                              DTYPE_F32);                                                          \
    } while (0)
    if (dz2 && mask && past)
        BODY(g, true, dz2, mask);
    else if (dz2 && mask)
        BODY(g, false, dz2, mask);
    else if (mask)
        BODY(g, false, NULL, mask);
    else if (dz2)
        BODY(g, false, dz2, NULL);
    else
        BODY(NULL, false, NULL, NULL);
#undef BODY
}

static void bn_relu_bwd_stats(const struct slab *s, const void *dz, const void *y,
                              const float *scale, const float *shift, const float *mean, bool fresh,
                              double *sum, double *product)
{
    if (s->dtype == DTYPE_BF16)
        bn_bwd_stats_body(s, NULL, false, dz, NULL, NULL, y, scale, shift, mean, fresh, sum,
                          product, DTYPE_BF16);
    else
        bn_bwd_stats_body(s, NULL, false, dz, NULL, NULL, y, scale, shift, mean, fresh, sum,
                          product, DTYPE_F32);
}

INLINE void bn_bwd_apply_body(const struct slab *s, void *dy, const void *g, const void *y,
                              const float *scale, const float *shift, const float *mean,
                              const float *a, const float *b, const float *c, enum dtype t)
{
    const int pixels = s->h * s->w;

    for (int n = 0; n < s->n; n++)
        for (int k = 0; k < s->blocks; k++) {
            const f16v mu = load_f32(mean + k * LANES), va = load_f32(a + k * LANES),
                       vb = load_f32(b + k * LANES), vc = load_f32(c + k * LANES);
            const f16v vk = scale ? load_f32(scale + k * LANES) : mu,
                       vh = scale ? load_f32(shift + k * LANES) : mu;
            size_t i = at(s, n, k);

            for (int j = 0; j < pixels; j++, i += s->pixel) {
                const f16v w = load_ahead(s, y, i, t);
                f16v v = load_ahead(s, g, i, t);

                if (scale)
                    v = where(greater(w * vk + vh, (f16v){0}), v);
                store(dy, i, va * v + (vb * (w - mu) + vc), t);
            }
        }
}

static void bn_bwd_apply(const struct slab *s, void *dy, const void *g, const void *y,
                         const float *scale, const float *shift, const float *mean, const float *a,
                         const float *b, const float *c)
{
    const bool half = s->dtype == DTYPE_BF16;

    if (half && scale)
        bn_bwd_apply_body(s, dy, g, y, scale, shift, mean, a, b, c, DTYPE_BF16);
    else if (half)
        bn_bwd_apply_body(s, dy, g, y, NULL, NULL, mean, a, b, c, DTYPE_BF16);
    else if (scale)
        bn_bwd_apply_body(s, dy, g, y, scale, shift, mean, a, b, c, DTYPE_F32);
    else
        bn_bwd_apply_body(s, dy, g, y, NULL, NULL, mean, a, b, c, DTYPE_F32);
}

/* ---- pools ---- */

/* Output (P, Q) over the rows [r0, r1) and columns [s0, s1) of its window. */
INLINE void max_pool_at(const struct slab *in, void *y, uint8_t *argmax, const void *x, size_t xi,
                        size_t yi, int p, int q, int r0, int r1, int s0, int s1, enum dtype t)
{
    f16v best = splat(-__builtin_inff());
    i16v where_best = {0};
    b16v bytes;

    where_best += 3 * r0 + s0;
    for (int r = r0; r < r1; r++)
        for (int s = s0; s < s1; s++) {
            const size_t i = xi + (size_t)((2 * p - 1 + r) * in->w + 2 * q - 1 + s) * in->pixel;
            const f16v v = load(x, i, t);
            const i16v better = greater(v, best) | differs(v, v); /* NaN wins, as it must be seen */

            best = choose(better, v, best);
            where_best = (better & (3 * r + s)) | (~better & where_best);
        }
    store(y, yi, best, t);
    bytes = __builtin_convertvector(where_best, b16v);
    memcpy(argmax + yi, &bytes, sizeof bytes);
}

INLINE void max_pool_row(const struct slab *in, const struct slab *out, void *y, uint8_t *argmax,
                         const void *x, size_t xi, size_t yi, int p, enum dtype t)
{
    const int r0 = p == 0 ? 1 : 0, r1 = 2 * p + 1 < in->h ? 3 : 2;

    for (int q = 0; q < out->w; q++, yi += out->pixel) {
        const int s0 = q == 0 ? 1 : 0, s1 = 2 * q + 1 < in->w ? 3 : 2;

        if (r0 == 0 && r1 == 3 && s0 == 0 && s1 == 3) /* constants: the loops are unrolled */
            max_pool_at(in, y, argmax, x, xi, yi, p, q, 0, 3, 0, 3, t);
        else
            max_pool_at(in, y, argmax, x, xi, yi, p, q, r0, r1, s0, s1, t);
    }
}

static void max_pool(const struct slab *in, const struct slab *out, void *y, uint8_t *argmax,
                     const void *x)
{
    for (int n = 0; n < in->n; n++)
        for (int b = 0; b < in->blocks; b++)
            for (int p = 0; p < out->h; p++) {
                const size_t xi = at(in, n, b),
                             yi = at(out, n, b) + (size_t)(p * out->w) * out->pixel;

                if (in->dtype == DTYPE_BF16)
                    max_pool_row(in, out, y, argmax, x, xi, yi, p, DTYPE_BF16);
                else
                    max_pool_row(in, out, y, argmax, x, xi, yi, p, DTYPE_F32);
            }
}

struct window { /* its gradient, and the tap of its maximum */
    f16v g;
    i16v tap;
};

/* Window O; where there is none, one whose maximum is nowhere. */
INLINE struct window window_at(bool exists, const void *dy, const void *dy2, const uint8_t *argmax,
                               size_t o, enum dtype t)
{
    struct window w = {.tap = (i16v){0} - 1};
    b16v bytes;

    if (!exists)
        return w;
    w.g = load(dy, o, t);
    if (dy2)
        w.g += load(dy2, o, t);
    memcpy(&bytes, argmax + o, sizeof bytes);
    w.tap = __builtin_convertvector(bytes, i16v);
    return w;
}

INLINE f16v from_window(f16v sum, struct window w, int tap)
{
    return sum + where(same(w.tap, (i16v){0} + tap), w.g);
}

/* Rows 2p and 2p + 1 of the input's gradient, square by square of four pixels: these lie in the windows (p, q),
 * (p, q + 1), (p + 1, q) and (p + 1, q + 1), added in that order. */
INLINE void max_pool_bwd_rows(const struct slab *in, const struct slab *out, void *dx,
                              const void *dy, const void *dy2, const uint8_t *argmax, size_t xi,
                              size_t yi, int p, enum dtype t)
{
    const bool below = 2 * p + 1 < in->h, last = p + 1 == out->h;
    const size_t row = (size_t)in->w * in->pixel, down = (size_t)out->w * out->pixel;
    struct window w00 = window_at(true, dy, dy2, argmax, yi, t);
    struct window w10 = window_at(!last, dy, dy2, argmax, yi + down, t);

    for (int q = 0; q < out->w; q++, xi += 2 * in->pixel, yi += out->pixel) {
        const bool right = 2 * q + 1 < in->w, more = q + 1 < out->w;
        const struct window w01 = window_at(more, dy, dy2, argmax, yi + out->pixel, t);
        const struct window w11 =
            window_at(more && !last, dy, dy2, argmax, yi + out->pixel + down, t);
        const f16v none = {0};

        store(dx, xi, from_window(none, w00, 4), t);
        if (right)
            store(dx, xi + in->pixel, from_window(from_window(none, w00, 5), w01, 3), t);
        if (below)
            store(dx, xi + row, from_window(from_window(none, w00, 7), w10, 1), t);
        if (below && right) {
            const f16v up = from_window(from_window(none, w00, 8), w01, 6);

            store(dx, xi + row + in->pixel, from_window(from_window(up, w10, 2), w11, 0), t);
        }
        w00 = w01;
        w10 = w11;
    }
}

static void max_pool_bwd(const struct slab *in, const struct slab *out, void *dx, const void *dy,
                         const void *dy2, const uint8_t *argmax)
{
    const bool half = in->dtype == DTYPE_BF16;

    for (int n = 0; n < in->n; n++)
        for (int b = 0; b < in->blocks; b++)
            for (int p = 0; p < out->h; p++) {
                const size_t xi = at(in, n, b) + (size_t)(2 * p * in->w) * in->pixel;
                const size_t yi = at(out, n, b) + (size_t)(p * out->w) * out->pixel;

                if (half && dy2)
                    max_pool_bwd_rows(in, out, dx, dy, dy2, argmax, xi, yi, p, DTYPE_BF16);
                else if (half)
                    max_pool_bwd_rows(in, out, dx, dy, NULL, argmax, xi, yi, p, DTYPE_BF16);
                else if (dy2)
                    max_pool_bwd_rows(in, out, dx, dy, dy2, argmax, xi, yi, p, DTYPE_F32);
                else
                    max_pool_bwd_rows(in, out, dx, dy, NULL, argmax, xi, yi, p, DTYPE_F32);
            }
}

static void concat_pool(const struct slab *s, float *y, int32_t *argmax, const void *x)
{
    const int pixels = s->h * s->w;
    const size_t c = (size_t)s->blocks * LANES;

    for (int n = 0; n < s->n; n++)
        for (int b = 0; b < s->blocks; b++) {
            f16v best = splat(-__builtin_inff()), sum = {0};
            i16v where_best = {0};
            size_t i = at(s, n, b);

            for (int j = 0; j < pixels; j++, i += s->pixel) {
                const f16v v = load(x, i, s->dtype);
                const i16v better = greater(v, best) | differs(v, v);

                best = choose(better, v, best);
                where_best = (better & j) | (~better & where_best);
                sum += v;
            }
            store(y, (size_t)n * 2 * c + (size_t)b * LANES, best, DTYPE_F32);
            store(y, (size_t)n * 2 * c + c + (size_t)b * LANES, sum / (float)pixels, DTYPE_F32);
            memcpy(argmax + (size_t)n * c + (size_t)b * LANES, &where_best, sizeof where_best);
        }
}

static void concat_pool_bwd(const struct slab *s, void *dx, const float *dy, const int32_t *argmax)
{
    const int pixels = s->h * s->w;
    const size_t c = (size_t)s->blocks * LANES;

    for (int n = 0; n < s->n; n++)
        for (int b = 0; b < s->blocks; b++) {
            const float *row = dy + (size_t)n * 2 * c + (size_t)b * LANES;
            const f16v most = load_f32(row), each = load_f32(row + c) / (float)pixels;
            size_t i = at(s, n, b);
            i16v where_best;

            memcpy(&where_best, argmax + (size_t)n * c + (size_t)b * LANES, sizeof where_best);
            for (int j = 0; j < pixels; j++, i += s->pixel)
                store(dx, i, each + where(same(where_best, (i16v){0} + j), most), s->dtype);
        }
}

/* ---- sums over microbatches, optimiser ---- */

enum { TREE_CHUNK = 512, TREE_DEPTH = 32 };

/* Pairs (2i, 2i + 1) level by level, an odd last one passes through: done as a binary counter,
 * whose carries are the complete pairs, then the rest from the right. */
static void tree_sum(float *sum, const float *rows, size_t stride, int leaves, size_t n)
{
    float level[TREE_DEPTH][TREE_CHUNK];

    for (size_t first = 0; first < n; first += TREE_CHUNK) {
        const size_t count = n - first < TREE_CHUNK ? n - first : TREE_CHUNK;
        int depth = 0;

        for (int leaf = 0; leaf < leaves; leaf++) {
            memcpy(level[depth], rows + (size_t)leaf * stride + first, count * sizeof(float));
            depth++;
            for (int done = leaf + 1; done % 2 == 0; done /= 2, depth--)
                for (size_t i = 0; i < count; i++)
                    level[depth - 2][i] += level[depth - 1][i];
        }
        for (; depth > 1; depth--)
            for (size_t i = 0; i < count; i++)
                level[depth - 2][i] += level[depth - 1][i];
        memcpy(sum + first, level[0], count * sizeof(float));
    }
}

static double squares(size_t n, const float *x)
{
    d16v sum = {0};
    double total = 0;
    size_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        const d16v v = __builtin_convertvector(load_f32(x + i), d16v);

        sum += v * v;
    }
    for (int lane = 0; i < n; i++, lane++)
        sum[lane] += (double)x[i] * (double)x[i];
    for (int lane = 0; lane < LANES; lane++)
        total += sum[lane];
    return total;
}

static void adam(const struct adam_k *k, size_t n, const float *restrict g, float *restrict p,
                 float *restrict m, float *restrict v)
{
    const struct adam_k adam_k = *k;

    for (size_t i = 0; i < n; i++)
        adam_elem(adam_k, g[i], &p[i], &m[i], &v[i]);
}

static void sgd(const struct sgd_k *k, size_t n, const float *restrict g, float *restrict p,
                float *restrict m)
{
    const struct sgd_k sgd_k = *k;

    for (size_t i = 0; i < n; i++)
        sgd_elem(sgd_k, g[i], &p[i], &m[i]);
}

extern const struct kernels ISA_NAME(kernels);
const struct kernels ISA_NAME(kernels) = {
    .bn_stats = bn_stats,
    .bn_apply = bn_apply,
    .bn_bwd_stats = bn_bwd_stats,
    .bn_relu_bwd_stats = bn_relu_bwd_stats,
    .bn_bwd_apply = bn_bwd_apply,
    .max_pool = max_pool,
    .max_pool_bwd = max_pool_bwd,
    .concat_pool = concat_pool,
    .concat_pool_bwd = concat_pool_bwd,
    .tree_sum = tree_sum,
    .squares = squares,
    .adam = adam,
    .sgd = sgd,
};
