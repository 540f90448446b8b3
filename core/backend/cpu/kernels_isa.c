/* kernels_isa.c - the passes between convolutions; see kernels.h.
 *
 * Each pass is one always-inlined body; `dtype` and the flags are constants where it is instantiated, so
 * the loops hold no branches.
 * isa: avx512bf16
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/kernels.h"

#include <string.h>

#include "backend/cpu/simd.h"
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

INLINE void ahead(const struct slab *s, const void *base, size_t i, enum dtype t)
{
    if (s->pixel == LANES)
        __builtin_prefetch((const char *)base + i * dtype_bytes(t) + AHEAD);
}

/* ---- 16 channels: constants, sums in double ---- */

struct block {
    vf v[PARTS];
};

INLINE struct block block_of(const float *channels, int block)
{
    struct block b;

    memcpy(b.v, channels + (size_t)block * LANES, sizeof b.v);
    return b;
}

struct totals { /* two sums in double */
    vd a[PARTS], b[PARTS];
};

/* Of block B, the sums to continue from. */
INLINE struct totals totals_begin(const double *a, const double *b, bool fresh, int block)
{
    struct totals t = {0};

    if (!fresh) {
        memcpy(t.a, a + (size_t)block * LANES, sizeof t.a);
        memcpy(t.b, b + (size_t)block * LANES, sizeof t.b);
    }
    return t;
}

INLINE void totals_add(struct totals *t, int part, vf a, vf b)
{
    t->a[part] += __builtin_convertvector(a, vd);
    t->b[part] += __builtin_convertvector(b, vd);
}

INLINE void totals_end(const struct totals *t, double *a, double *b, int block)
{
    memcpy(a + (size_t)block * LANES, t->a, sizeof t->a);
    memcpy(b + (size_t)block * LANES, t->b, sizeof t->b);
}

/* ---- batch norm ---- */

INLINE void stats_pixel(vf *sum, vf *squares, const struct slab *s, const void *y, size_t i,
                        enum dtype t)
{
    ahead(s, y, i, t);
    EACH (k, PARTS) {
        const vf v = load_typed(y, i + (size_t)(k * VL), t);

        sum[k] += v;
        squares[k] += v * v;
    }
}

INLINE void bn_stats_body(const struct slab *s, const void *y, bool fresh, double *sum,
                          double *squares, enum dtype t)
{
    const int pixels = s->h * s->w;

    for (int n = 0; n < s->n; n++)
        for (int b = 0; b < s->blocks; b++) {
            struct totals total = totals_begin(sum, squares, fresh && n == 0, b);
            size_t i = at(s, n, b);

            for (int first = 0; first < pixels; first += CHUNK) {
                const int last = pixels - first < CHUNK ? pixels : first + CHUNK;
                vf a[2][PARTS] = {0}, a2[2][PARTS] = {0}; /* even and odd pixels */
                int j = first;

                for (; j + 2 <= last; j += 2)
                    EACH (odd, 2) {
                        stats_pixel(a[odd], a2[odd], s, y, i, t);
                        i += s->pixel;
                    }
                if (j < last) {
                    stats_pixel(a[0], a2[0], s, y, i, t);
                    i += s->pixel;
                }
                EACH (k, PARTS)
                    totals_add(&total, k, a[0][k] + a[1][k], a2[0][k] + a2[1][k]);
            }
            totals_end(&total, sum, squares, b);
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
            const struct block by = block_of(scale, b), plus = block_of(shift, b);
            size_t i = at(s, n, b);

            for (int j = 0; j < pixels; j++, i += s->pixel) {
                unsigned above = 0;

                ahead(s, y, i, t);
                if (residual)
                    ahead(s, residual, i, t);
                EACH (p, PARTS) {
                    const size_t e = i + (size_t)(p * VL);
                    vf v = load_typed(y, e, t) * by.v[p] + plus.v[p];

                    if (residual)
                        v += load_typed(residual, e, t);
                    if (relu)
                        v = relu_v(v);
                    store_typed(z, e, v, t);
                    if (mask)
                        above |= above_zero_v(v) << p * VL;
                }
                if (mask)
                    mask[i / LANES] = (uint16_t)above;
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
            const struct block mu = block_of(mean, b), by = scale ? block_of(scale, b) : mu,
                               plus = scale ? block_of(shift, b) : mu;
            struct totals total = totals_begin(sum, product, fresh && n == 0, b);
            size_t i = at(s, n, b);

            for (int first = 0; first < pixels; first += CHUNK) {
                const int last = pixels - first < CHUNK ? pixels : first + CHUNK;
                vf a[PARTS] = {0}, a2[PARTS] = {0};

                for (int j = first; j < last; j++, i += s->pixel) {
                    ahead(s, y, i, t);
                    ahead(s, dz, i, t);
                    if (dz2)
                        ahead(s, dz2, i, t);
                    EACH (p, PARTS) {
                        const size_t e = i + (size_t)(p * VL);
                        const vf w = load_typed(y, e, t);
                        vf v = load_typed(dz, e, t);

                        if (dz2)
                            v += load_typed(dz2, e, t);
                        if (mask)
                            v = where_bits_v(mask[i / LANES] >> p * VL, v);
                        if (scale)
                            v = where_v(w * by.v[p] + plus.v[p] > 0, v);
                        if (g)
                            v = past ? store_past(g, e, v, t) : store_typed(g, e, v, t);
                        a[p] += v;
                        a2[p] += v * (w - mu.v[p]);
                    }
                }
                EACH (p, PARTS)
                    totals_add(&total, p, a[p], a2[p]);
            }
            totals_end(&total, sum, product, b);
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
        for (int m = 0; m < s->blocks; m++) {
            const struct block mu = block_of(mean, m), ka = block_of(a, m), kb = block_of(b, m),
                               kc = block_of(c, m), by = scale ? block_of(scale, m) : mu,
                               plus = scale ? block_of(shift, m) : mu;
            size_t i = at(s, n, m);

            for (int j = 0; j < pixels; j++, i += s->pixel) {
                ahead(s, y, i, t);
                ahead(s, g, i, t);
                EACH (p, PARTS) {
                    const size_t e = i + (size_t)(p * VL);
                    const vf w = load_typed(y, e, t);
                    vf v = load_typed(g, e, t);

                    if (scale)
                        v = where_v(w * by.v[p] + plus.v[p] > 0, v);
                    store_typed(dy, e, ka.v[p] * v + (kb.v[p] * (w - mu.v[p]) + kc.v[p]), t);
                }
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

/* VL channels of output (P, Q) over the rows [r0, r1) and columns [s0, s1) of its window. */
INLINE void max_pool_at(const struct slab *in, void *y, uint8_t *argmax, const void *x, size_t xi,
                        size_t yi, int p, int q, int r0, int r1, int s0, int s1, enum dtype t)
{
    vf best = splat_v(-__builtin_inff());
    vi where_best = {0};
    vb bytes;

    where_best += 3 * r0 + s0;
    for (int r = r0; r < r1; r++)
        for (int s = s0; s < s1; s++) {
            const size_t i = xi + (size_t)((2 * p - 1 + r) * in->w + 2 * q - 1 + s) * in->pixel;
            const vf v = load_typed(x, i, t);
            const vi better = (v > best) | (v != v); /* NaN wins, as it must be seen */

            best = choose_v(better, v, best);
            where_best = (better & (3 * r + s)) | (~better & where_best);
        }
    store_typed(y, yi, best, t);
    bytes = __builtin_convertvector(where_best, vb);
    memcpy(argmax + yi, &bytes, sizeof bytes);
}

/* VL channels of output row P. */
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
            for (int p = 0; p < out->h; p++)
                for (size_t k = 0; k < LANES; k += VL) {
                    const size_t xi = at(in, n, b) + k,
                                 yi = at(out, n, b) + (size_t)(p * out->w) * out->pixel + k;

                    if (in->dtype == DTYPE_BF16)
                        max_pool_row(in, out, y, argmax, x, xi, yi, p, DTYPE_BF16);
                    else
                        max_pool_row(in, out, y, argmax, x, xi, yi, p, DTYPE_F32);
                }
}

struct window { /* its gradient, and the tap of its maximum */
    vf g;
    vi tap;
};

/* Window O; where there is none, one whose maximum is nowhere. */
INLINE struct window window_at(bool exists, const void *dy, const void *dy2, const uint8_t *argmax,
                               size_t o, enum dtype t)
{
    struct window w = {.tap = (vi){0} - 1};
    vb bytes;

    if (!exists)
        return w;
    w.g = load_typed(dy, o, t);
    if (dy2)
        w.g += load_typed(dy2, o, t);
    memcpy(&bytes, argmax + o, sizeof bytes);
    w.tap = __builtin_convertvector(bytes, vi);
    return w;
}

INLINE vf from_window(vf sum, struct window w, int tap)
{
    return sum + where_v(w.tap == tap, w.g);
}

/* VL channels of rows 2p and 2p + 1 of the input's gradient, square by square of four pixels: these lie in the
 * windows (p, q), (p, q + 1), (p + 1, q) and (p + 1, q + 1), added in that order. */
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
        const vf none = {0};

        store_typed(dx, xi, from_window(none, w00, 4), t);
        if (right)
            store_typed(dx, xi + in->pixel, from_window(from_window(none, w00, 5), w01, 3), t);
        if (below)
            store_typed(dx, xi + row, from_window(from_window(none, w00, 7), w10, 1), t);
        if (below && right) {
            const vf up = from_window(from_window(none, w00, 8), w01, 6);

            store_typed(dx, xi + row + in->pixel, from_window(from_window(up, w10, 2), w11, 0), t);
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
            for (int p = 0; p < out->h; p++)
                for (size_t k = 0; k < LANES; k += VL) {
                    const size_t xi = at(in, n, b) + (size_t)(2 * p * in->w) * in->pixel + k;
                    const size_t yi = at(out, n, b) + (size_t)(p * out->w) * out->pixel + k;

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
        for (size_t k = 0; k < c; k += VL) {
            float *row = y + (size_t)n * 2 * c + k;
            vf best = splat_v(-__builtin_inff()), sum = {0};
            vi where_best = {0};
            size_t i = at(s, n, (int)(k / LANES)) + k % LANES;

            for (int j = 0; j < pixels; j++, i += s->pixel) {
                const vf v = load_typed(x, i, s->dtype);
                const vi better = (v > best) | (v != v);

                best = choose_v(better, v, best);
                where_best = (better & j) | (~better & where_best);
                sum += v;
            }
            store_v(row, best);
            store_v(row + c, sum / (float)pixels);
            memcpy(argmax + (size_t)n * c + k, &where_best, sizeof where_best);
        }
}

static void concat_pool_bwd(const struct slab *s, void *dx, const float *dy, const int32_t *argmax)
{
    const int pixels = s->h * s->w;
    const size_t c = (size_t)s->blocks * LANES;

    for (int n = 0; n < s->n; n++)
        for (size_t k = 0; k < c; k += VL) {
            const float *row = dy + (size_t)n * 2 * c + k;
            const vf most = load_v(row), each = load_v(row + c) / (float)pixels;
            size_t i = at(s, n, (int)(k / LANES)) + k % LANES;
            vi where_best;

            memcpy(&where_best, argmax + (size_t)n * c + k, sizeof where_best);
            for (int j = 0; j < pixels; j++, i += s->pixel)
                store_typed(dx, i, each + where_v(where_best == j, most), s->dtype);
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
    vd sum[PARTS] = {0};
    double lanes[LANES], total = 0;
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        EACH (k, PARTS) {
            const vd v = __builtin_convertvector(load_v(x + i + k * VL), vd);

            sum[k] += v * v;
        }
    memcpy(lanes, sum, sizeof lanes);
    for (int lane = 0; i < n; i++, lane++)
        lanes[lane] += (double)x[i] * (double)x[i];
    for (int lane = 0; lane < LANES; lane++)
        total += lanes[lane];
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
