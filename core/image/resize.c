/* resize.c - Pillow's bilinear resize with antialiasing, bit for bit.
 *
 * Pillow (Resample.c) makes the weights of each output line in double, rounds them to 22 bits, runs
 * the horizontal pass, rounds to 8 bits, then runs the vertical pass; a pass whose size does not
 * change is left out. Here the horizontal pass takes 64 rows at a time and transposes them, so that
 * both passes are the same blend of whole lines; the vertical pass follows as soon as its rows are
 * there, in cache. SPDX-License-Identifier: MIT */
#include "image/resize.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/isa.h"
#include "base/size.h"
#include "image/resize_kernels.h"

enum { BLOCK = 64, ALIGN = 64 };

/* The parts of the scratch, laid out in one piece. */
struct layout {
    size_t doubles, taps_x, taps_y, pairs_x, pairs_y, columns, blended, rows, end;
};

struct axis { /* one direction: IN pixels become OUT */
    int in, out;
    size_t taps_max;
};

static const struct resize_kernels *kernels(void)
{
#if defined(__x86_64__)
    switch (isa_best()) {
    case ISA_AVX512:
        return &resize_kernels_avx512;
    case ISA_AVX2:
        return &resize_kernels_avx2;
    default:
        break;
    }
#endif
    return &resize_kernels_base;
}

static struct axis make_axis(int in, int out)
{
    const double scale = (double)in / out, support = scale < 1 ? 1 : scale;

    return (struct axis){in, out, (size_t)ceil(support) * 2 + 1};
}

static double triangle(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

static uint32_t round_weight(double share)
{
    return (uint32_t)(0.5 + share * (1 << WEIGHT_BITS));
}

static void add_weight(struct tap_pair *pair, int half, uint32_t w)
{
    pair->high |= (w >> WEIGHT_SPLIT) << (16 * half);
    pair->low |= (w & ((1u << WEIGHT_SPLIT) - 1)) << (16 * half);
}

/* precompute_coeffs() and normalize_coeffs_8bpc() of Pillow, with its order of operations. Zero
 * weights at the ends are dropped, which no sum notices. W has room for taps_max, PAIRS for all
 * lines. */
static void make_taps(struct taps *taps, struct tap_pair *pairs, double *w, struct axis a)
{
    const double scale = (double)a.in / a.out, fs = scale < 1 ? 1 : scale, ss = 1 / fs;

    for (int i = 0; i < a.out; i++) {
        const double center = (i + 0.5) * scale;
        int lo = (int)(center - fs + 0.5), hi = (int)(center + fs + 0.5), first = 0, last;
        double sum = 0;

        lo = lo < 0 ? 0 : lo;
        hi = hi > a.in ? a.in : hi;
        last = hi - lo - 1;
        for (int k = 0; k <= last; k++) {
            w[k] = triangle((k + lo - center + 0.5) * ss);
            sum += w[k];
        }
        for (int k = 0; sum != 0 && k <= last; k++)
            w[k] /= sum;
        while (first < last && round_weight(w[first]) == 0)
            first++;
        while (last > first && round_weight(w[last]) == 0)
            last--;
        taps[i] = (struct taps){lo + first, last - first + 1, pairs};
        for (int k = 0; k < taps[i].n; k++) {
            if ((k & 1) == 0)
                pairs[k / 2] = (struct tap_pair){0, 0};
            add_weight(&pairs[k / 2], k & 1, round_weight(w[first + k]));
        }
        pairs += (taps[i].n + 1) / 2;
    }
}

/* Takes COUNT things of SIZE bytes from the scratch; false when the sum does not fit a size_t. */
static bool take(size_t *at, size_t *out, size_t count, size_t size)
{
    size_t bytes;

    *out = *at;
    if (!mul_size(&bytes, count, size) || __builtin_add_overflow(*at, bytes + ALIGN, at))
        return false;
    *at &= ~(size_t)(ALIGN - 1);
    return true;
}

static bool plan(struct layout *l, struct axis x, struct axis y)
{
    const size_t most = x.taps_max > y.taps_max ? x.taps_max : y.taps_max;
    const size_t in_w = (size_t)x.in, out_w = (size_t)x.out, out_h = (size_t)y.out;
    size_t at = 0, line;

    return mul_size(&line, out_w, 3) && take(&at, &l->doubles, most, sizeof(double)) &&
           take(&at, &l->taps_x, out_w, sizeof(struct taps)) &&
           take(&at, &l->taps_y, out_h, sizeof(struct taps)) &&
           take(&at, &l->pairs_x, out_w, (x.taps_max + 1) / 2 * sizeof(struct tap_pair)) &&
           take(&at, &l->pairs_y, out_h, (y.taps_max + 1) / 2 * sizeof(struct tap_pair)) &&
           take(&at, &l->columns, in_w, 3 * BLOCK) && take(&at, &l->blended, out_w, 3 * BLOCK) &&
           take(&at, &l->rows, line, (size_t)y.in) && (l->end = at, true);
}

static int reserve(struct resizer *r, size_t bytes, struct err *err)
{
    if (bytes <= r->capacity)
        return 0;
    free(r->memory);
    r->capacity = 0;
    r->memory = aligned_alloc(ALIGN, align_up(bytes, ALIGN));
    if (!r->memory)
        return err_set(err, ERR_NOMEM, "out of memory: %zu bytes to resize a picture", bytes);
    r->capacity = bytes;
    return 0;
}

/* Vertical pass over the output lines from *Y on whose source lines are there (READY of them). */
static void blend_lines(const struct resize_kernels *kernel, uint8_t *dst, int *y, int out_h,
                        size_t line, const uint8_t *rows, size_t pitch, const struct taps *taps,
                        int ready)
{
    for (; *y < out_h && taps[*y].first + taps[*y].n <= ready; ++*y) {
        const struct taps *t = &taps[*y];

        kernel->blend(dst + (size_t)*y * line, line, rows + (size_t)t->first * pitch, pitch, t);
    }
}

int resize_bilinear(struct resizer *r, uint8_t *dst, int out_h, int out_w, const uint8_t *src,
                    int src_h, int src_w, struct box box, struct err *err)
{
    const struct resize_kernels *kernel = kernels();
    const size_t pitch = (size_t)src_w * 3, line = (size_t)out_w * 3;
    const struct axis ax = make_axis(box.width, out_w), ay = make_axis(box.height, out_h);
    struct layout l;
    struct taps *taps_x, *taps_y;
    uint8_t *base, *rows;
    int y = 0;

    BUG_IF(out_h <= 0 || out_w <= 0 || box.left < 0 || box.top < 0 || box.width <= 0 ||
           box.height <= 0 || box.width > src_w - box.left || box.height > src_h - box.top);
    src += (size_t)box.top * pitch + (size_t)box.left * 3;
    if (!plan(&l, ax, ay))
        return err_set(err, ERR_NOMEM, "out of memory: a resize of %d x %d to %d x %d", box.width,
                       box.height, out_w, out_h);
    if (reserve(r, l.end, err) < 0)
        return -1;
    base = r->memory;
    taps_x = (struct taps *)(void *)(base + l.taps_x);
    taps_y = (struct taps *)(void *)(base + l.taps_y);
    make_taps(taps_x, (struct tap_pair *)(void *)(base + l.pairs_x),
              (double *)(void *)(base + l.doubles), ax);
    make_taps(taps_y, (struct tap_pair *)(void *)(base + l.pairs_y),
              (double *)(void *)(base + l.doubles), ay);
    if (out_w == box.width) {
        blend_lines(kernel, dst, &y, out_h, line, src, pitch, taps_y, box.height);
        return 0;
    }
    rows = out_h == box.height ? dst : base + l.rows;
    for (int done = 0; done < box.height;) {
        /* The last block overlaps the one before, so that blocks are whole. */
        const int n = box.height < BLOCK ? box.height : BLOCK;
        const int top = done + n <= box.height ? done : box.height - n;

        kernel->transpose(base + l.columns, BLOCK, src + (size_t)top * pitch, pitch, (size_t)n,
                          (size_t)box.width * 3);
        kernel->blend64(base + l.blended, base + l.columns, taps_x, out_w);
        kernel->transpose(rows + (size_t)top * line, line, base + l.blended, BLOCK, line,
                          (size_t)n);
        done = top + n;
        if (rows != dst)
            blend_lines(kernel, dst, &y, out_h, line, rows, line, taps_y, done);
    }
    return 0;
}

void resizer_free(struct resizer *r)
{
    if (!r)
        return;
    free(r->memory);
    *r = (struct resizer){0};
}

struct presize presize_plan(int src_h, int src_w, int size, double max_aspect)
{
    const int side = src_h < src_w ? src_h : src_w;
    const double limit = max_aspect * side;
    struct presize p = {.box = {0, 0, src_w, src_h}};

    BUG_IF(src_h <= 0 || src_w <= 0 || size <= 0 || !(max_aspect >= 1));
    if (src_w > limit) {
        p.box.width = (int)limit;
        p.box.left = (src_w - p.box.width) / 2;
    } else if (src_h > limit) {
        p.box.height = (int)limit;
        p.box.top = (src_h - p.box.height) / 2;
    }
    p.width = p.box.width <= p.box.height ? size : (int)((int64_t)size * p.box.width / side);
    p.height = p.box.height <= p.box.width ? size : (int)((int64_t)size * p.box.height / side);
    return p;
}
