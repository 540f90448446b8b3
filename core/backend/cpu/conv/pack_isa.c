/* pack_isa.c - see pack.h. SPDX-License-Identifier: MIT */
#include "backend/cpu/conv/pack.h"

#include "backend/cpu/conv/gemm.h"
#include "backend/cpu/simd.h"
#include "base/isa.h"

INLINE vf swap_pairs(vf v)
{
    typedef uint64_t pairs __attribute__((vector_size(sizeof v)));
    const pairs p = (pairs)v;

    return (vf)(p << 32 | p >> 32);
}

/* Two pixels of 16 bf16 numbers, in one word each. */
INLINE void put_words(float *dst, const uint16_t *low, const uint16_t *high)
{
    EACH (k, PARTS)
        store_v(dst + k * VL, (vf)(load_halves(low + k * VL) | load_halves(high + k * VL) << 16));
}

/* Pixel I of the whole, which lies at FROM. */
INLINE void gather_pixel(float *dst, int i, const void *from, enum dtype t,
                         const enum gather_order order)
{
    const int to = order == GATHER_ODD_PIXELS ? i ^ 1 : i;

    if (order == GATHER_PAIR_LANES) { /* as it is: 16 numbers are 8 pairs */
        memcpy(dst + i * BLOCK / 2, from, BLOCK * sizeof(uint16_t));
        return;
    }
    EACH (k, PARTS) {
        const vf v = load_typed(from, (size_t)(k * VL), t);

        store_v(dst + to * BLOCK + k * VL, order == GATHER_ODD_LANES ? swap_pairs(v) : v);
    }
}

struct source_row {
    const char *row; /* NULL: outside */
    int w;
};

/* Pixel COLUMN of a row; zeros outside. */
INLINE const void *pixel_at(struct source_row r, int column, enum dtype t)
{
    static const float zeros[BLOCK];

    return r.row && column >= 0 && column < r.w ? r.row + (size_t)column * BLOCK * dtype_bytes(t)
                                                : (const char *)zeros;
}

/* COUNT pixels of a row, STEP source pixels apart from COLUMN on; the first is pixel I. */
INLINE void gather_run(float *dst, int i, int count, struct source_row row, int column, int step,
                       enum dtype t, const enum gather_order order)
{
    for (const int end = i + count; i < end; i++, column += step)
        gather_pixel(dst, i, pixel_at(row, column, t), t, order);
}

/* The same, two pixels a word: the even one low, or FIRST_HIGH. Pairs may begin and end in other runs: the pixel that
 * is not in this one is added there. */
INLINE void gather_pairs(float *dst, int i, int count, struct source_row row, int column, int step,
                         const bool first_high)
{
    static const uint16_t zeros[BLOCK];
    const int end = i + count;

    while (i < end) {
        const bool even = i % 2 == 0, odd = !even || i + 1 < end;
        float *to = dst + i / 2 * BLOCK;
        const uint16_t *low = zeros, *high = zeros;

        if (even) {
            low = pixel_at(row, column, DTYPE_BF16);
            column += step;
            i++;
        }
        if (odd) {
            high = pixel_at(row, column, DTYPE_BF16);
            column += step;
            i++;
        }
        if (even)
            put_words(to, first_high ? high : low, first_high ? low : high);
        else
            EACH (k, PARTS) {
                vu words = (vu)load_v(to + k * VL);

                words |= load_halves(high + k * VL) << (first_high ? 0 : 16);
                store_v(to + k * VL, (vf)words);
            }
    }
}

INLINE void gather_tap(const struct gather *g, float *dst, const void *source,
                       const signed char at[2], int first, int count, enum dtype t,
                       const enum gather_order order)
{
    const int grid = g->rows * g->columns;
    const size_t size = dtype_bytes(t);

    for (int i = 0, run; i < count; i += run) {
        const int pixel = first + i, column = pixel % grid % g->columns;
        const int y = pixel % grid / g->columns * g->step + at[0], x = column * g->step + at[1];
        struct source_row row = {(const char *)source + (size_t)(pixel / grid) * g->picture * size,
                                 g->w};

        run = count - i < g->columns - column ? count - i : g->columns - column;
        row.row = y < 0 || y >= g->h ? NULL : row.row + (size_t)y * (size_t)g->w * BLOCK * size;
        if (order == GATHER_PAIR_PIXELS || order == GATHER_PAIR_PIXELS_FIRST_HIGH)
            gather_pairs(dst, i, run, row, x, g->step, order == GATHER_PAIR_PIXELS_FIRST_HIGH);
        else
            gather_run(dst, i, run, row, x, g->step, t, order);
    }
    if (order == GATHER_ODD_PIXELS && count % 2)
        memset(dst + (count - 1) * BLOCK, 0, BLOCK * sizeof *dst);
}

static void gather(const struct gather *g, float *dst, size_t segment, const void *source,
                   int blocks, int first, int count)
{
    for (int b = 0; b < blocks; b++) {
        const char *from = (const char *)source + (size_t)b * g->block * dtype_bytes(g->dtype);

        for (int t = 0; t < g->taps; t++, dst += segment)
            if (g->dtype == DTYPE_F32)
                gather_tap(g, dst, from, g->at[t], first, count, DTYPE_F32, GATHER_PLAIN);
            else
                switch (g->order) {
#define ORDER(o)                                                                                   \
    case o:                                                                                        \
        gather_tap(g, dst, from, g->at[t], first, count, DTYPE_BF16, o);                           \
        break;
                    ORDER(GATHER_PLAIN)
                    ORDER(GATHER_ODD_LANES)
                    ORDER(GATHER_ODD_PIXELS)
                    ORDER(GATHER_PAIR_LANES)
                    ORDER(GATHER_PAIR_PIXELS)
                    ORDER(GATHER_PAIR_PIXELS_FIRST_HIGH)
#undef ORDER
                }
    }
}

/* ---- results ---- */

/* COUNT pixels, STEP apart in the target from number AT on. */
INLINE void put_run(const struct put *p, const struct put_to *to, const float *sums, int b,
                    size_t at, size_t step, int count, enum dtype t)
{
    for (int k = 0; k < BLOCK; k += VL) {
        const vf scale = to->scale ? load_v(to->scale + b * BLOCK + k) : (vf){0};
        const vf bias = to->scale ? load_v(to->bias + b * BLOCK + k) : (vf){0};
        size_t to_at = at + (size_t)k;

        for (int i = 0; i < count; i++, to_at += step * BLOCK) {
            vf v = load_v(sums + (size_t)i * BLOCK + k);

            if (to->scale)
                v = v * scale + bias;
            if (to->residual)
                v += load_typed(to->residual, to_at, t);
            store_typed(to->target, to_at, p->relu ? relu_v(v) : v, t);
        }
    }
}

/* By runs of pixels that lie STEP apart. */
INLINE void put_block(const struct put *p, const struct put_to *to, const float *sums, int b,
                      int first, int count, enum dtype t)
{
    const int grid = p->rows * p->columns;
    const bool whole = p->step == 1 && p->columns == p->w; /* rows follow each other, too */

    for (int i = 0, run; i < count; i += run) {
        const int pixel = first + i, in = pixel % grid, column = in % p->columns;
        const int y = in / p->columns * p->step + p->row0, x = column * p->step + p->column0;
        const size_t at = (size_t)(pixel / grid) * p->picture + (size_t)b * p->block +
                          ((size_t)y * (size_t)p->w + (size_t)x) * BLOCK;

        run = whole ? grid - in : p->columns - column;
        run = run < count - i ? run : count - i;
        put_run(p, to, sums + (size_t)i * BLOCK, b, at, (size_t)p->step, run, t);
    }
}

/* A target of few channels, each a plane. */
static void put_planes(const struct put *p, const struct put_to *to, const float *sums, int first,
                       int count)
{
    const int grid = p->rows * p->columns;

    for (int i = 0; i < count; i++) {
        const int pixel = first + i, in = pixel % grid;
        const int y = in / p->columns * p->step + p->row0,
                  x = in % p->columns * p->step + p->column0;
        const size_t at =
            (size_t)(pixel / grid) * p->picture + (size_t)y * (size_t)p->w + (size_t)x;

        for (int c = 0; c < p->planes; c++)
            dtype_put(to->target, at + (size_t)c * p->block, p->dtype,
                      sums[(size_t)i * BLOCK + (size_t)c]);
    }
}

static void put(const struct put *p, const struct put_to *to, const float *sums, size_t sums_block,
                int blocks, int first, int count)
{
    if (p->planes) {
        put_planes(p, to, sums, first, count);
        return;
    }
    for (int b = 0; b < blocks; b++, sums += sums_block)
        if (p->dtype == DTYPE_BF16)
            put_block(p, to, sums, b, first, count, DTYPE_BF16);
        else
            put_block(p, to, sums, b, first, count, DTYPE_F32);
}

static void interleave(float *dst, const void *planes, enum dtype t, int c, int h, int w, int pad)
{
    const size_t pitch = (size_t)(w + 2 * pad) * (size_t)c, edge = (size_t)pad * (size_t)c;

    memset(dst, 0, (size_t)pad * pitch * sizeof *dst);
    memset(dst + (size_t)(h + pad) * pitch, 0, (size_t)pad * pitch * sizeof *dst);
    for (int y = 0; y < h; y++) {
        float *row = dst + (size_t)(y + pad) * pitch;

        memset(row, 0, edge * sizeof *row);
        memset(row + pitch - edge, 0, edge * sizeof *row);
        for (int x = 0; x < w; x++)
            for (int k = 0; k < c; k++) {
                const size_t at = ((size_t)k * (size_t)h + (size_t)y) * (size_t)w + (size_t)x;

                row[edge + (size_t)(x * c + k)] = t == DTYPE_BF16
                                                      ? dtype_get(planes, at, DTYPE_BF16)
                                                      : ((const float *)planes)[at];
            }
    }
}

static void copy_past(float *to, const float *from, size_t floats)
{
    for (size_t i = 0; i < floats; i += VL)
        store_past(to, i, load_v(from + i), DTYPE_F32);
}

static void end_past(void)
{
    end_stores();
}

extern const struct pack_kernels ISA_NAME(pack_kernels);
const struct pack_kernels ISA_NAME(pack_kernels) = {
    .gather = gather,
    .put = put,
    .interleave = interleave,
    .copy_past = copy_past,
    .end_past = end_past,
};
