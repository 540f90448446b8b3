/* sampler_isa.c - the augmentation kernel, one row of output pixels at a time.
 *
 * Each step is a plain loop over small arrays of independent pixels, which the compiler vectorises;
 * only the fetching of taps is scalar (two loads of four bytes fetch two neighbouring RGB pixels).
 * Same operations in the same order as elem_sample(), so the same bits.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/sampler.h"

#include "backend/elem_sample.h"
#include "base/isa.h"

/* Columns in hand at a time: what a row needs stays in the first-level cache. Arrays are filled up
 * to a multiple of LANES, the surplus is never stored. */
enum { COLUMNS = 256, LANES = 16 };

struct strip {
    _Alignas(64) float x[COLUMNS], y[COLUMNS]; /* source position, then fraction */
    _Alignas(64) int32_t offset[COLUMNS];      /* of the upper left tap, bytes */
    /* bytes R0 G0 B0 R1 and B0 R1 G1 B1 of the upper and of the lower row's two taps */
    _Alignas(64) uint32_t up0[COLUMNS], up1[COLUMNS], low0[COLUMNS], low1[COLUMNS];
    _Alignas(64) float sum[3][COLUMNS];
    _Alignas(64) uint32_t inside[COLUMNS]; /* all bits or none; only where a map is black outside */
};

/* Source positions of columns j + DU at row V. True when all of them lie within the outer pixels'
 * centres. */
static int positions(struct strip *s, const float *m, float v, float du, int first, int n,
                     float right, float bottom)
{
    float a0 = fmaf(m[1], v, m[2]), b0 = fmaf(m[4], v, m[5]), c0 = fmaf(m[7], v, m[8]);
    float a1 = m[0], b1 = m[3], c1 = m[6];
    int outside = 0;

    for (int j = 0; j < n; j++) {
        float u = (float)(first + j) + du;
        float c = 1.0f / fmaf(c1, u, c0);
        float x = fmaf(a1, u, a0) * c, y = fmaf(b1, u, b0) * c;

        s->x[j] = x;
        s->y[j] = y;
        outside |= !(x >= 0.0f) | !(x <= right) | !(y >= 0.0f) | !(y <= bottom);
    }
    return !outside;
}

static void mark_inside(struct strip *s, int n, int height, int width)
{
    for (int j = 0; j < n; j++)
        s->inside[j] = 0u - (uint32_t)elem_is_inside(s->x[j], s->y[j], height, width);
}

/* What is outside counts as black pixels, whose products add nothing to a sum. */
static void blacken(struct strip *s, int n)
{
    for (int j = 0; j < n; j++) {
        s->up0[j] &= s->inside[j];
        s->up1[j] &= s->inside[j];
        s->low0[j] &= s->inside[j];
        s->low1[j] &= s->inside[j];
    }
}

static void reflect(float *x, int n_columns, int n)
{
    for (int j = 0; j < n_columns; j++)
        x[j] = elem_reflect(x[j], n);
}

/* Positions to offsets and fractions. */
static void split(struct strip *s, int n, int height, int width)
{
    int32_t last_x = width - 2, last_y = height - 2, row = 3 * width;

    for (int j = 0; j < n; j++) {
        int32_t x0 = (int32_t)s->x[j], y0 = (int32_t)s->y[j];

        x0 = x0 < last_x ? x0 : last_x;
        y0 = y0 < last_y ? y0 : last_y;
        s->x[j] -= (float)x0;
        s->y[j] -= (float)y0;
        s->offset[j] = y0 * row + 3 * x0;
    }
}

static uint32_t load4(const uint8_t *p)
{
    uint32_t u;

    memcpy(&u, p, sizeof u);
    return u;
}

/* Asks for what the rows to come will read: a turned picture is read along slanted lines, which the
 * processor does not foresee. A distance of 8 rows was measured to be best. */
static void ask_ahead(const struct strip *s, int n, const struct picture *p)
{
    const int32_t ahead = 8 * 3 * p->width, last = 3 * p->width * p->height - 1;

    for (int j = 0; j < n; j += 8) {
        int32_t at = s->offset[j] + ahead;

        __builtin_prefetch(p->pixels + (at < last ? at : last));
    }
}

static void fetch(struct strip *s, int n, const uint8_t *pixels, int width)
{
    const uint8_t *below = pixels + 3 * (int64_t)width;

    for (int j = 0; j < n; j++) {
        const int64_t at = s->offset[j];

        s->up0[j] = load4(pixels + at);
        s->up1[j] = load4(pixels + at + 2);
        s->low0[j] = load4(below + at);
        s->low1[j] = load4(below + at + 2);
    }
}

/* Byte K of a little-endian word, as float. */
static inline float byte(uint32_t u, int k)
{
    return (float)(int32_t)(u >> 8 * k & 255u);
}

static void accumulate(struct strip *s, int n)
{
    float *restrict red = s->sum[0], *restrict green = s->sum[1], *restrict blue = s->sum[2];

    for (int j = 0; j < n; j++) {
        float fx = s->x[j], fy = s->y[j];
        float w11 = fx * fy, w01 = fx - w11, w10 = fy - w11, w00 = (1.0f - fx) - w10;
        uint32_t a = s->up0[j], b = s->up1[j], c = s->low0[j], d = s->low1[j];
        float r = red[j], g = green[j], bl = blue[j];

        r = fmaf(w00, byte(a, 0), r);
        r = fmaf(w01, byte(a, 3), r);
        r = fmaf(w10, byte(c, 0), r);
        red[j] = fmaf(w11, byte(c, 3), r);
        g = fmaf(w00, byte(a, 1), g);
        g = fmaf(w01, byte(b, 2), g);
        g = fmaf(w10, byte(c, 1), g);
        green[j] = fmaf(w11, byte(d, 2), g);
        bl = fmaf(w00, byte(a, 2), bl);
        bl = fmaf(w01, byte(b, 3), bl);
        bl = fmaf(w10, byte(c, 2), bl);
        blue[j] = fmaf(w11, byte(d, 3), bl);
    }
}

/* s->sum of N output pixels from column FIRST of row I. */
static void sum_samples(struct strip *s, const struct picture *p, int i, int first, int n)
{
    const struct sample_map *map = &p->map;

    for (int c = 0; c < 3; c++)
        for (int j = 0; j < n; j++)
            s->sum[c][j] = 0.0f;
    for (int sy = 0; sy < map->k; sy++)
        for (int sx = 0; sx < map->k; sx++) {
            float v = (float)i + sample_offset(sy, map->k), du = sample_offset(sx, map->k);
            int black = 0;

            if (!positions(s, map->m, v, du, first, n, (float)(p->width - 1),
                           (float)(p->height - 1))) {
                black = map->black;
                if (black)
                    mark_inside(s, n, p->height, p->width);
                reflect(s->x, n, p->width);
                reflect(s->y, n, p->height);
            }
            split(s, n, p->height, p->width);
            if (sx == 0)
                ask_ahead(s, n, p);
            fetch(s, n, p->pixels, p->width);
            if (black)
                blacken(s, n);
            accumulate(s, n);
        }
}

/* elem_finish() of N sums in two steps, the colours between them; its branches stand outside the loops. */
static void light(float *restrict x, const struct sample_map *map, int n)
{
    float scale = sample_scale(map->k), brightness = map->brightness, contrast = map->contrast;

    for (int j = 0; j < n; j++)
        x[j] *= scale;
    for (int j = 0; map->lighting && j < n; j++)
        x[j] = elem_lighting(x[j], brightness, contrast);
}

static void colour(struct strip *s, const struct sample_map *map, int n)
{
    float *restrict red = s->sum[0], *restrict green = s->sum[1], *restrict blue = s->sum[2];
    float saturation = map->saturation, hue = map->hue;

    for (int j = 0; j < n; j++) {
        float r = red[j], g = green[j], b = blue[j];

        elem_colour(&r, &g, &b, saturation, hue);
        red[j] = r;
        green[j] = g;
        blue[j] = b;
    }
}

/* elem_finish() of N sums of pictures without a change of colours, in one pass. */
static void finish(float *restrict x, const struct sample_map *map, int channel, int n)
{
    float scale = sample_scale(map->k), brightness = map->brightness, contrast = map->contrast;
    float mean = imagenet_mean(channel), inverse = imagenet_scale(channel);

    if (map->lighting)
        for (int j = 0; j < n; j++)
            x[j] = elem_normalise(elem_lighting(x[j] * scale, brightness, contrast), mean, inverse);
    else
        for (int j = 0; j < n; j++)
            x[j] = elem_normalise(x[j] * scale, mean, inverse);
}

static void finish_strip(struct strip *s, const struct sample_map *map, int n)
{
    for (int c = 0; c < 3 && !map->colour; c++)
        finish(s->sum[c], map, c, n);
    if (!map->colour)
        return;
    for (int c = 0; c < 3; c++)
        light(s->sum[c], map, n);
    colour(s, map, n);
    for (int c = 0; c < 3; c++)
        for (int j = 0; j < n; j++)
            s->sum[c][j] = elem_normalise(s->sum[c][j], imagenet_mean(c), imagenet_scale(c));
}

/* Columns FIRST to FIRST + N of row I. */
static void erase(struct strip *s, const struct sample_map *map, int i, int first, int n)
{
    const int left = map->erased.left > first ? map->erased.left - first : 0;
    const int right = map->erased.right - first < n ? map->erased.right - first : n;

    for (int c = 0; c < 3 && i >= map->erased.top && i < map->erased.bottom; c++)
        for (int j = left; j < right; j++)
            s->sum[c][j] = 0.0f;
}

/* STORE of every strip of the output. */
static void each_strip(struct strip *s, const struct picture *p, int size, void *dst,
                       void (*store)(void *dst, size_t at, const float *x, int n))
{
    size_t plane = (size_t)size * (size_t)size;

    for (int i = 0; i < size; i++)
        for (int first = 0; first < size; first += COLUMNS) {
            int n = size - first < COLUMNS ? size - first : COLUMNS;
            int n_filled = (n + LANES - 1) / LANES * LANES;
            size_t at = (size_t)i * (size_t)size + (size_t)first;

            if (p->width > 1 && p->height > 1)
                sum_samples(s, p, i, first, n_filled);
            finish_strip(s, &p->map, n_filled);
            erase(s, &p->map, i, first, n);
            for (int c = 0; c < 3; c++)
                store(dst, (size_t)c * plane + at, s->sum[c], n);
        }
}

static void store_f32(void *dst, size_t at, const float *x, int n)
{
    memcpy((float *)dst + at, x, (size_t)n * sizeof *x);
}

static void store_bf16(void *dst, size_t at, const float *x, int n)
{
    uint16_t *out = (uint16_t *)dst + at;

    for (int j = 0; j < n; j++)
        out[j] = bf16_from_f32(x[j]);
}

/* Pixel by pixel: two interpolations (correct, not fast), and pictures one pixel wide or high, which
 * have no second tap to fetch. */
static void sample_slowly(const struct picture *p, int size, void *dst,
                          void (*store)(void *dst, size_t at, const float *x, int n))
{
    size_t plane = (size_t)size * (size_t)size;

    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++) {
            float rgb[3];

            elem_sample(rgb, p->pixels, p->height, p->width, &p->map, j, i);
            for (size_t c = 0; c < 3; c++)
                store(dst, c * plane + (size_t)i * (size_t)size + (size_t)j, &rgb[c], 1);
        }
}

static void sample(const struct picture *p, int size, void *dst,
                   void (*store)(void *dst, size_t at, const float *x, int n))
{
    struct strip s;

    if (p->width < 2 || p->height < 2 || p->map.two.side)
        sample_slowly(p, size, dst, store);
    else
        each_strip(&s, p, size, dst, store);
}

static void sample_f32(float *dst, const struct picture *p, int size)
{
    sample(p, size, dst, store_f32);
}

static void sample_bf16(uint16_t *dst, const struct picture *p, int size)
{
    sample(p, size, dst, store_bf16);
}

const struct sampler_kernels ISA_NAME(sampler_kernels) = {
    .f32 = sample_f32,
    .bf16 = sample_bf16,
};
