/* winograd_isa.c - see winograd.h: each transform is one-dimensional, over columns, then over rows.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/conv/winograd.h"

#include "backend/cpu/conv/end.h"
#include "backend/cpu/conv/gemm.h"
#include "backend/cpu/simd.h"
#include "base/isa.h"

/* The points are 0, +-P, +-Q and infinity: powers of these and their sums are exact in fp32. */
static const float p1 = 0.625F, p2 = 0.390625F, p3 = 0.244140625F, q1 = 1.5F, q2 = 2.25F,
                   q3 = 3.375F;
static const float p2q2 = 0.87890625F, p2_q2 = 2.640625F; /* product, sum */
/* 1 / (2 p^2 (p^2 - q^2)) and 1 / (2 q^2 (q^2 - p^2)), the norms of the points */
#define NORM_P (1 / (2 * 0.390625 * (0.390625 - 2.25)))
#define NORM_Q (1 / (2 * 2.25 * (2.25 - 0.390625)))

/* o = B^T d, numbers STEP apart. */
INLINE void input_6(vf *o, const vf *d, const int step)
{
    const vf d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step],
             d5 = d[5 * step];
    const vf a = fmadd(splat_v(-q2), d2, d4), b = fmadd(splat_v(-q2), d1, d3);
    const vf c = fmadd(splat_v(-p2), d2, d4), e = fmadd(splat_v(-p2), d1, d3);

    o[0] = fmadd(splat_v(p2q2), d0, fmadd(splat_v(-p2_q2), d2, d4));
    o[step] = fmadd(splat_v(p1), b, a);
    o[2 * step] = fmadd(splat_v(-p1), b, a);
    o[3 * step] = fmadd(splat_v(q1), e, c);
    o[4 * step] = fmadd(splat_v(-q1), e, c);
    o[5 * step] = fmadd(splat_v(p2q2), d1, fmadd(splat_v(-p2_q2), d3, d5));
}

/* o (6) = A d (4). */
INLINE void gradient_6(vf *o, const vf *d, const int step)
{
    const vf d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step];
    const vf a = fmadd(splat_v(p2), d2, d0), b = fmadd(splat_v(p2), d3, d1);
    const vf c = fmadd(splat_v(q2), d2, d0), e = fmadd(splat_v(q2), d3, d1);

    o[0] = d0;
    o[step] = fmadd(splat_v(p1), b, a);
    o[2 * step] = fmadd(splat_v(-p1), b, a);
    o[3 * step] = fmadd(splat_v(q1), e, c);
    o[4 * step] = fmadd(splat_v(-q1), e, c);
    o[5 * step] = d3;
}

/* o (4) = A^T m (6). */
INLINE void output_4(vf *o, const vf *m, const int step)
{
    const vf a = m[step] + m[2 * step], b = m[step] - m[2 * step], c = m[3 * step] + m[4 * step],
             d = m[3 * step] - m[4 * step];
    const vf last = m[5 * step];

    o[0] = (m[0] + a) + c;
    o[step] = fmadd(splat_v(q1), d, b * splat_v(p1));
    o[2 * step] = fmadd(splat_v(q2), c, a * splat_v(p2));
    o[3 * step] = fmadd(splat_v(q3), d, fmadd(splat_v(p3), b, last));
}

/* o (3) = G^T m (6). */
INLINE void weight_3(vf *o, const vf *m, const int step)
{
    const vf a = m[step] + m[2 * step], b = m[step] - m[2 * step], c = m[3 * step] + m[4 * step],
             d = m[3 * step] - m[4 * step];
    const vf last = m[5 * step];

    o[0] = fmadd(splat_v((float)NORM_Q), c,
                 fmadd(splat_v((float)NORM_P), a, m[0] * splat_v((float)(1 / 0.87890625))));
    o[step] = fmadd(splat_v((float)(1.5 * NORM_Q)), d, b * splat_v((float)(0.625 * NORM_P)));
    o[2 * step] = fmadd(splat_v((float)(2.25 * NORM_Q)), c,
                        fmadd(splat_v((float)(0.390625 * NORM_P)), a, last));
}

struct place { /* of a tile */
    size_t picture;
    int y, x; /* of its first output pixel */
};

INLINE struct place tile_place(const struct tiling *g, int tile)
{
    const int grid = g->down * g->across;

    return (struct place){(size_t)(tile / grid) * g->picture,
                          tile % grid / g->across * WINOGRAD_TILE,
                          tile % g->across * WINOGRAD_TILE};
}

INLINE void input_tile(const struct tiling *g, float *v, size_t plane, const float *x, int y0,
                       int x0)
{
    const bool inside = y0 >= 0 && x0 >= 0 && y0 + 6 <= g->h && x0 + 6 <= g->w;

    for (int part = 0; part < PARTS; part++) {
        vf d[36];

        if (inside)
            EACH (i, 6)
                EACH (j, 6)
                    d[6 * i + j] =
                        load_v(x + (ptrdiff_t)((y0 + i) * g->w + x0 + j) * BLOCK + part * VL);
        else
            for (int i = 0; i < 6; i++)
                for (int j = 0; j < 6; j++)
                    d[6 * i + j] =
                        y0 + i < 0 || y0 + i >= g->h || x0 + j < 0 || x0 + j >= g->w
                            ? (vf){0}
                            : load_v(x + (ptrdiff_t)((y0 + i) * g->w + x0 + j) * BLOCK + part * VL);
        EACH (j, 6)
            input_6(d + j, d + j, 6);
        EACH (i, 6) {
            input_6(d + 6 * i, d + 6 * i, 1);
            EACH (j, 6)
                store_v(v + (size_t)(6 * i + j) * plane + part * VL, d[6 * i + j]);
        }
    }
}

static void input(const struct tiling *g, const struct planes *v, const float *x, int blocks,
                  int first, int count)
{
    for (int b = 0; b < blocks; b++)
        for (int t = 0; t < count; t++) {
            const struct place p = tile_place(g, first + t);

            input_tile(g, v->data + (size_t)b * v->block + (size_t)t * BLOCK, v->plane,
                       x + p.picture + (size_t)b * g->block, p.y - 1, p.x - 1);
        }
}

INLINE void gradient_tile(const struct tiling *g, float *v, size_t plane, const float *dy, int y0,
                          int x0)
{
    const int rows = g->h - y0, columns = g->w - x0;

    for (int part = 0; part < PARTS; part++) {
        vf d[24], o[36]; /* (4, 6) with the last two columns unused, (6, 6) */

        EACH (i, 4)
            EACH (j, 4)
                d[6 * i + j] =
                    i < rows && j < columns
                        ? load_v(dy + (ptrdiff_t)((y0 + i) * g->w + x0 + j) * BLOCK + part * VL)
                        : (vf){0};
        EACH (j, 4)
            gradient_6(o + j, d + j, 6);
        EACH (i, 6) {
            gradient_6(o + 6 * i, o + 6 * i, 1);
            EACH (j, 6)
                store_v(v + (size_t)(6 * i + j) * plane + part * VL, o[6 * i + j]);
        }
    }
}

static void gradient(const struct tiling *g, const struct planes *v, const float *dy, int blocks,
                     int first, int count)
{
    for (int b = 0; b < blocks; b++)
        for (int t = 0; t < count; t++) {
            const struct place p = tile_place(g, first + t);

            gradient_tile(g, v->data + (size_t)b * v->block + (size_t)t * BLOCK, v->plane,
                          dy + p.picture + (size_t)b * g->block, p.y, p.x);
        }
}

INLINE void output_tile(const struct tiling *g, const struct put_to *to, const float *m,
                        size_t plane, size_t at, int b, int rows, int columns)
{
    for (int part = 0; part < PARTS; part++) {
        const vf scale = scale_of(to, b * BLOCK + part * VL),
                 bias = bias_of(to, b * BLOCK + part * VL);
        vf d[36];

        EACH (i, 36)
            d[i] = load_v(m + (size_t)i * plane + part * VL);
        EACH (j, 6)
            output_4(d + j, d + j, 6);
        EACH (i, 4) {
            output_4(d + 6 * i, d + 6 * i, 1);
            EACH (j, 4)
                if (i < rows && j < columns)
                    end_sum(to, at + (size_t)(i * g->w + j) * BLOCK + (size_t)(part * VL),
                            d[6 * i + j], scale, bias, DTYPE_F32);
        }
    }
}

static void output(const struct tiling *g, const struct put_to *to, const struct planes *m,
                   int blocks, int first, int count)
{
    const struct put_to copy = *to;

    for (int b = 0; b < blocks; b++)
        for (int t = 0; t < count; t++) {
            const struct place p = tile_place(g, first + t);

            output_tile(g, &copy, m->data + (size_t)b * m->block + (size_t)t * BLOCK, m->plane,
                        p.picture + (size_t)b * g->block + (size_t)(p.y * g->w + p.x) * BLOCK, b,
                        g->h - p.y, g->w - p.x);
        }
}

static void weight_gradient(float *out, size_t out_tap, const float *m, size_t plane, int rows,
                            bool add)
{
    for (int i = 0; i < rows * BLOCK; i += VL) {
        vf d[36];

        EACH (k, 36)
            d[k] = load_v(m + (size_t)k * plane + i);
        EACH (j, 6)
            weight_3(d + j, d + j, 6);
        EACH (r, 3) {
            weight_3(d + 6 * r, d + 6 * r, 1);
            EACH (s, 3) {
                float *to = out + (size_t)(3 * r + s) * out_tap + i;

                store_v(to, add ? load_v(to) + d[6 * r + s] : d[6 * r + s]);
            }
        }
    }
}

/* o (6) = G w (3) in double; products with the norms, as a division takes longer than all else here. */
INLINE void weight_6(vd *o, const vd *w, const int step)
{
    const vd a = w[0] + 0.390625 * w[2 * step], b = 0.625 * w[step];
    const vd c = w[0] + 2.25 * w[2 * step], d = 1.5 * w[step];

    o[0] = w[0] * (1 / 0.87890625);
    o[step] = (a + b) * NORM_P;
    o[2 * step] = (a - b) * NORM_P;
    o[3 * step] = (c + d) * NORM_Q;
    o[4 * step] = (c - d) * NORM_Q;
    o[5 * step] = w[2 * step];
}

static void weight(float *u, const float *w, bool turned)
{
    enum { TILE = BLOCK * BLOCK };

    for (int l = 0; l < TILE; l += VL) {
        vd taps[9], columns[18]; /* (3, 3), (6, 3) */

        for (int i = 0; i < 9; i++)
            taps[i] = __builtin_convertvector(load_v(w + (turned ? 8 - i : i) * TILE + l), vd);
        for (int j = 0; j < 3; j++)
            weight_6(columns + j, taps + j, 3);
        for (int i = 0; i < 6; i++) {
            vd row[6];

            weight_6(row, columns + 3 * i, 1);
            for (int j = 0; j < 6; j++)
                store_v(u + (6 * i + j) * TILE + l, __builtin_convertvector(row[j], vf));
        }
    }
}

extern const struct winograd_kernels ISA_NAME(winograd_kernels);
const struct winograd_kernels ISA_NAME(winograd_kernels) = {
    .input = input,
    .gradient = gradient,
    .output = output,
    .weight_gradient = weight_gradient,
    .weight = weight,
};
