/* pack_isa.c - see pack.h. SPDX-License-Identifier: MIT */
#include "backend/cpu/conv/pack.h"

#include "backend/cpu/conv/end.h"
#include "backend/cpu/conv/gemm.h"
#include "backend/cpu/simd.h"
#include "backend/elem.h"
#include "base/isa.h"

INLINE vf swap_pairs(vf v)
{
    typedef uint64_t pairs __attribute__((vector_size(sizeof v)));
    const pairs p = (pairs)v;

    return (vf)(p << 32 | p >> 32);
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

/* Pixels I to END of the whole, of one row of the source: pixel I reads source pixel COLUMN0 + I step. Those from
 * INSIDE to OUTSIDE are in the picture; all else is zeros. */
struct run {
    const char *row; /* NULL: no pixel of it is read */
    int column0, step;
    int i, inside, outside, end;
};

/* COUNT pixels, the first at source row Y and COLUMN. */
INLINE struct run run_of(const struct gather *g, const char *picture, int y, int column, int i,
                         int count, enum dtype t)
{
    const int before = column < 0 ? (g->step - 1 - column) / g->step : 0,
              until = column < g->w ? (g->w - 1 - column) / g->step + 1 : 0;
    struct run r = {NULL, column - i * g->step, g->step, i, i + count, i + count, i + count};

    if (y >= 0 && y < g->h && before < count && before < until) {
        r.row = picture + (size_t)(y * g->w) * BLOCK * dtype_bytes(t);
        r.inside = i + before;
        r.outside = i + (until < count ? until : count);
    }
    return r;
}

INLINE const void *pixel_of(const struct run *r, int i, enum dtype t)
{
    static const float zeros[BLOCK];

    return i >= r->inside && i < r->outside
               ? r->row + (size_t)((r->column0 + i * r->step) * BLOCK) * dtype_bytes(t)
               : (const char *)zeros;
}

INLINE void gather_run(float *dst, const struct run *r, enum dtype t, const enum gather_order order)
{
    const bool as_it_is = order == GATHER_PAIR_LANES || (order == GATHER_PLAIN && t == DTYPE_F32);
    const size_t size = BLOCK * dtype_bytes(t);
    int i = r->i;

    for (; i < r->inside; i++)
        gather_pixel(dst, i, pixel_of(r, i, t), t, order);
    if (as_it_is && r->step == 1 && i < r->outside) {
        memcpy((char *)dst + (size_t)i * size, pixel_of(r, i, t), (size_t)(r->outside - i) * size);
        i = r->outside;
    }
    for (; i < r->end; i++)
        gather_pixel(dst, i, pixel_of(r, i, t), t, order);
}

/* Pixel I as one half of its words: an even one begins them. */
INLINE void put_half(float *dst, int i, const uint16_t *from, const bool first_high)
{
    EACH (k, PARTS) {
        float *to = dst + i / 2 * BLOCK + k * VL;
        vu words = load_halves(from + k * VL) << ((i % 2 == 0) == first_high ? 16 : 0);

        if (i % 2)
            words |= (vu)load_v(to);
        store_v(to, (vf)words);
    }
}

/* Two pixels of 16 numbers a word: the even one low, or FIRST_HIGH. The other of a pair may be in another run. */
INLINE void gather_pairs(float *dst, const struct run *r, const bool first_high)
{
    int i = r->i;

    for (; i < r->end && (i % 2 || i < r->inside); i++)
        put_half(dst, i, pixel_of(r, i, DTYPE_BF16), first_high);
    for (; i + 2 <= r->outside; i += 2) {
        const uint16_t *even = pixel_of(r, i, DTYPE_BF16), *odd = even + r->step * BLOCK;

        EACH (k, PARTS)
            store_v(dst + i / 2 * BLOCK + k * VL,
                    (vf)(load_halves((first_high ? odd : even) + k * VL) |
                         load_halves((first_high ? even : odd) + k * VL) << 16));
    }
    for (; i < r->end; i++)
        put_half(dst, i, pixel_of(r, i, DTYPE_BF16), first_high);
}

INLINE void gather_tap(const struct gather *g, float *dst, const void *source,
                       const signed char at[2], int first, int count, enum dtype t,
                       const enum gather_order order)
{
    const int grid = g->rows * g->columns;

    for (int i = 0, n; i < count; i += n) {
        const int pixel = first + i, column = pixel % grid % g->columns;
        const int y = pixel % grid / g->columns * g->step + at[0], x = column * g->step + at[1];
        const char *picture =
            (const char *)source + (size_t)(pixel / grid) * g->picture * dtype_bytes(t);
        struct run r;

        n = count - i < g->columns - column ? count - i : g->columns - column;
        r = run_of(g, picture, y, x, i, n, t);
        if (order == GATHER_PAIR_PIXELS || order == GATHER_PAIR_PIXELS_FIRST_HIGH)
            gather_pairs(dst, &r, order == GATHER_PAIR_PIXELS_FIRST_HIGH);
        else
            gather_run(dst, &r, t, order);
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
INLINE void put_run(const struct put_to *to, const float *sums, int b, size_t at, size_t step,
                    int count, enum dtype t)
{
    for (int k = 0; k < BLOCK; k += VL) {
        const vf scale = scale_of(to, b * BLOCK + k), bias = bias_of(to, b * BLOCK + k);

        for (int i = 0; i < count; i++)
            end_sum(to, at + (size_t)k + (size_t)i * step * BLOCK, load_v(sums + i * BLOCK + k),
                    scale, bias, t);
    }
}

/* By runs of pixels that lie STEP apart. */
INLINE void put_block(const struct put *p, const struct put_to *to, const float *sums, int b,
                      int first, int count, enum dtype t)
{
    const int grid = p->rows * p->columns;
    const bool whole = p->step == 1 && p->columns == p->w; /* rows follow each other, too */
    const struct put_to copy = *to;

    for (int i = 0, run; i < count; i += run) {
        const int pixel = first + i, in = pixel % grid, column = in % p->columns;
        const int y = in / p->columns * p->step + p->row0, x = column * p->step + p->column0;
        const size_t at = (size_t)(pixel / grid) * p->picture + (size_t)b * p->block +
                          ((size_t)y * (size_t)p->w + (size_t)x) * BLOCK;

        run = whole ? grid - in : p->columns - column;
        run = run < count - i ? run : count - i;
        put_run(&copy, sums + (size_t)i * BLOCK, b, at, (size_t)p->step, run, t);
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

/* Row AT of C planes, PLANE apart, to numbers FIRST and on of a row of pixels. Of a pair, the first number lies in the
 * high half of the word: behind the second. */
INLINE void interleave_row(void *row, size_t first, const void *planes, size_t at, size_t plane,
                           int c, int w, enum dtype t, const bool pairs)
{
    for (size_t x = 0, e = first; x < (size_t)w; x++)
        for (int k = 0; k < c; k++, e++) {
            const size_t from = (size_t)k * plane + at + x;

            if (pairs)
                ((uint16_t *)row)[e ^ 1] = ((const uint16_t *)planes)[from];
            else if (t == DTYPE_BF16)
                ((float *)row)[e] = f32_from_bf16(((const uint16_t *)planes)[from]);
            else
                ((float *)row)[e] = ((const float *)planes)[from];
        }
}

static void interleave(float *dst, size_t pitch, bool pairs, const void *planes, enum dtype t,
                       int c, int h, int w, int pad)
{
    const size_t size = pairs ? sizeof(uint16_t) : sizeof(float), plane = (size_t)(h * w);
    const size_t edge = (size_t)(pad * c), end = edge + (size_t)(w * c);
    char *row = (char *)dst;

    for (int y = -pad; y < h + pad; y++, row += pitch * size) {
        if (y < 0 || y >= h) {
            memset(row, 0, pitch * size);
            continue;
        }
        memset(row, 0, (edge + edge % 2) * size); /* whole pairs */
        memset(row + (end - end % 2) * size, 0, (pitch - (end - end % 2)) * size);
        if (pairs)
            interleave_row(row, edge, planes, (size_t)(y * w), plane, c, w, DTYPE_BF16, true);
        else
            interleave_row(row, edge, planes, (size_t)(y * w), plane, c, w, t, false);
    }
}

static void pair_up(float *numbers, size_t n, size_t step)
{
    const size_t pairs = n > step ? n - step : 0;
    size_t i = 0;

    /* in place: what lies behind has not been changed yet */
    for (; i + VL <= pairs; i += VL) {
        const vu own = (vu)load_v(numbers + i), next = (vu)load_v(numbers + i + step);

        store_v(numbers + i, (vf)(own | next >> 16));
    }
    for (; i < pairs; i++) {
        uint32_t own, next;

        memcpy(&own, numbers + i, sizeof own);
        memcpy(&next, numbers + i + step, sizeof next);
        own |= next >> 16;
        memcpy(numbers + i, &own, sizeof own);
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
    .pair_up = pair_up,
    .copy_past = copy_past,
    .end_past = end_past,
};
