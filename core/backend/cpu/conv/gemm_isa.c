/* gemm_isa.c - the register tiles in which convolutions spend their time.
 *
 * A tile holds ROWS x BLOCKS x 16 sums in registers over the whole of their chain: each number of A is read
 * once per tile and spread over a vector, each vector of weights once. Rows are shared out evenly, so that no
 * tile is left with too few sums to hide the latency of a fused multiply-add.
 * isa: avx512bf16
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/conv/gemm.h"

#include "backend/cpu/conv/end.h"
#include "backend/cpu/simd.h"
#include "base/isa.h"

/* Most rows and blocks of a tile: what the registers hold besides a row of weights and a spread number. */
#if defined __AVX512F__
enum { MOST_ROWS = 14, MOST_BLOCKS = 2, GRAD_COLUMNS = 8 };
#elif defined __FMA__
enum { MOST_ROWS = 6, MOST_BLOCKS = 1, GRAD_COLUMNS = 6 };
#elif defined __aarch64__
/* gcc 12 reads all spread numbers of a step first: with 6 rows there is no register left for some sums. */
enum { MOST_ROWS = 5, MOST_BLOCKS = 1, GRAD_COLUMNS = 5 };
#else
enum { MOST_ROWS = 2, MOST_BLOCKS = 1, GRAD_COLUMNS = 2 };
#endif

/* What a number of A, W, X and D is: fp32; two of bf16; two of bf16, of which the high one counts. */
enum number { SINGLE, PAIR, HIGH };

INLINE vf high_half(vf pairs)
{
    return (vf)((vu)pairs & 0xffff0000);
}

/* sum + a b */
INLINE vf add_product(vf a, vf b, vf sum, const enum number n)
{
#if defined __AVX512BF16__
    if (n == PAIR)
        return dot_v(a, b, sum);
#endif
    return fmadd(n == HIGH ? high_half(a) : a, b, sum);
}

typedef vf sums[MOST_BLOCKS * PARTS]; /* of a row */

/* One term of all rows: A of row i at a[i * row]. */
INLINE void add_term(sums *sum, const struct gemm *g, const float *a, const float *w,
                     const int rows, const int blocks, const size_t row, const enum number n)
{
    vf b[MOST_BLOCKS * PARTS];

    EACH (k, blocks * PARTS)
        b[k] = load_v(w + (size_t)(k / PARTS) * g->w_block + k % PARTS * VL);
    EACH (i, rows) {
        const vf v = splat_v(a[(size_t)i * row]);

        EACH (k, blocks * PARTS)
            sum[i][k] = add_product(v, b[k], sum[i][k], n);
    }
}

/* The sums of blocks B and on, from element FIRST of the target on. */
INLINE void end_sums(sums *sum, const struct gemm *g, size_t first, int b, const int rows,
                     const int blocks, const enum dtype t)
{
    const struct put_to to = *g->to;

    EACH (k, blocks * PARTS) {
        const size_t at = first + (size_t)(k / PARTS) * g->out_block + (size_t)(k % PARTS * VL);
        const int channel = (b + k / PARTS) * BLOCK + k % PARTS * VL;
        const vf scale = scale_of(&to, channel), bias = bias_of(&to, channel);

        EACH (i, rows)
            end_sum(&to, at + (size_t)(i * BLOCK), sum[i][k], scale, bias, t);
    }
}

INLINE void tile(const struct gemm *g, const float *a, const float *w, size_t to, int b,
                 const int rows, const int blocks, const size_t row, const int terms,
                 const bool dot, const bool odd_terms)
{
    sums sum[MOST_ROWS];

    EACH (i, rows)
        EACH (k, blocks * PARTS)
            sum[i][k] = (vf){0};
    for (int c = 0; c < g->channels; c++) {
        const float *at = w + (size_t)c * g->w_channel;

        for (int s = 0; s < g->segments; s++, a += g->a_segment) {
            /* segments are pages apart, which the processor does not foresee */
            if (row >= BLOCK / 2 && row <= BLOCK)
                EACH (i, rows)
                    __builtin_prefetch(a + g->a_segment + (size_t)i * row);
            for (int l = 0; l < terms - odd_terms; l++, at += BLOCK)
                add_term(sum, g, a + l, at, rows, blocks, row, dot ? PAIR : SINGLE);
            if (odd_terms) {
                add_term(sum, g, a + terms - 1, at, rows, blocks, row, HIGH);
                at += BLOCK;
            }
        }
    }
    if (!g->to)
        EACH (k, blocks * PARTS)
            EACH (i, rows)
                store_v(g->out + to + (size_t)(k / PARTS) * g->out_block + i * BLOCK +
                            k % PARTS * VL,
                        sum[i][k]);
    else if (g->dtype == DTYPE_BF16)
        end_sums(sum, g, to, b, rows, blocks, DTYPE_BF16);
    else
        end_sums(sum, g, to, b, rows, blocks, DTYPE_F32);
}

/* All rows of as many BLOCKS. */
INLINE void tiles(const struct gemm *g, int picture, int b, const int blocks, const size_t row,
                  const int terms, const bool dot, const bool odd_terms)
{
    const int n = (g->rows + MOST_ROWS - 1) / MOST_ROWS;

    for (int i = 0, first = 0, rows; i < n; i++, first += rows) {
        const float *a = g->a + (size_t)picture * g->a_picture + (size_t)first * row,
                    *w = g->w + (size_t)b * g->w_block;
        const size_t to = g->out_first + (size_t)picture * g->out_picture +
                          (size_t)b * g->out_block + (size_t)first * BLOCK;

        rows = (g->rows - first + n - i - 1) / (n - i);
        switch (rows) {
#define ROWS(r)                                                                                    \
    case r:                                                                                        \
        if (r <= MOST_ROWS)                                                                        \
            tile(g, a, w, to, b, r <= MOST_ROWS ? r : 1, blocks, row, terms, dot, odd_terms);      \
        break;
            ROWS(1)
            ROWS(2)
            ROWS(3)
            ROWS(4)
            ROWS(5)
            ROWS(6)
            ROWS(7)
            ROWS(8)
            ROWS(9)
            ROWS(10)
            ROWS(11)
            ROWS(12)
            ROWS(13)
            ROWS(14)
#undef ROWS
        default:
            break;
        }
    }
}

INLINE void gemm_body(const struct gemm *g, const size_t row, const int terms, const bool dot,
                      const bool odd_terms)
{
    int b = 0;

    for (; b + MOST_BLOCKS <= g->blocks; b += MOST_BLOCKS)
        for (int n = 0; n < g->pictures; n++)
            tiles(g, n, b, MOST_BLOCKS, row, terms, dot, odd_terms);
    for (; b < g->blocks; b++)
        for (int n = 0; n < g->pictures; n++)
            tiles(g, n, b, 1, row, terms, dot, odd_terms);
}

/* Constants where they are common, so that the addresses of a tile's rows are constants, too. */
static void gemm(const struct gemm *g)
{
    if (g->a_row == BLOCK && g->terms == BLOCK)
        gemm_body(g, BLOCK, BLOCK, false, false);
    else if (g->a_row == 6)
        gemm_body(g, 6, g->terms, false, false);
    else
        gemm_body(g, g->a_row, g->terms, false, false);
}

/* ---- gradients of weights: the sum runs over pixels ---- */

/* Pixels that are asked for ahead: D and X together are more than a first-level cache, and X comes from memory. */
enum { NEXT_D = 8, NEXT_X = 32 };

INLINE void grad_tile(const struct gemm_grad *g, const float *x, const float *d, float *out,
                      const int columns, const int blocks, const size_t row, const bool dot)
{
    vf sum[GRAD_COLUMNS][MOST_BLOCKS * PARTS];

    EACH (l, columns)
        EACH (k, blocks * PARTS)
            sum[l][k] = (vf){0};
    for (int i = 0; i < g->pixels; i++, x += row, d += BLOCK) {
        vf b[MOST_BLOCKS * PARTS];

        EACH (k, blocks * PARTS)
            b[k] = load_v(d + (size_t)(k / PARTS) * g->d_block + k % PARTS * VL);
        EACH (k, blocks)
            __builtin_prefetch(d + (size_t)k * g->d_block + NEXT_D * BLOCK);
        __builtin_prefetch(x + NEXT_X * row);
        EACH (l, columns) {
            const vf v = splat_v(x[l]);

            EACH (k, blocks * PARTS)
                sum[l][k] = add_product(v, b[k], sum[l][k], dot ? PAIR : SINGLE);
        }
    }
    EACH (k, blocks * PARTS)
        EACH (l, columns) {
            float *to = out + (size_t)(k / PARTS) * g->out_d + l * BLOCK + k % PARTS * VL;

            store_v(to, g->add ? load_v(to) + sum[l][k] : sum[l][k]);
        }
}

/* The columns of one block of X, evenly by at most GRAD_COLUMNS. */
INLINE void grad_columns(const struct gemm_grad *g, const float *x, const float *d, float *out,
                         const int blocks, const size_t row, const bool dot)
{
    const int n = (g->columns + GRAD_COLUMNS - 1) / GRAD_COLUMNS;

    for (int i = 0, first = 0, columns; i < n; i++, first += columns) {
        float *to = out + (size_t)first * BLOCK;

        columns = (g->columns - first + n - i - 1) / (n - i);
        switch (columns) {
#define COLUMNS(r)                                                                                 \
    case r:                                                                                        \
        if (r <= GRAD_COLUMNS)                                                                     \
            grad_tile(g, x + first, d, to, r <= GRAD_COLUMNS ? r : 1, blocks, row, dot);           \
        break;
            COLUMNS(1)
            COLUMNS(2)
            COLUMNS(3)
            COLUMNS(4)
            COLUMNS(5)
            COLUMNS(6)
            COLUMNS(7)
            COLUMNS(8)
#undef COLUMNS
        default:
            break;
        }
    }
}

INLINE void gemm_grad_body(const struct gemm_grad *g, const size_t row, const bool dot)
{
    for (int k = 0; k < g->d_blocks;) {
        const int blocks = g->d_blocks - k < MOST_BLOCKS ? 1 : MOST_BLOCKS;
        const float *d = g->d + (size_t)k * g->d_block;

        for (int c = 0; c < g->x_blocks; c++) {
            const float *x = g->x + (size_t)c * g->x_block;
            float *out = g->out + (size_t)k * g->out_d + (size_t)c * g->out_x;

            if (blocks == MOST_BLOCKS)
                grad_columns(g, x, d, out, MOST_BLOCKS, row, dot);
            else
                grad_columns(g, x, d, out, 1, row, dot);
        }
        k += blocks;
    }
}

static void gemm_grad(const struct gemm_grad *g)
{
    if (g->x_row == BLOCK)
        gemm_grad_body(g, BLOCK, false);
    else
        gemm_grad_body(g, g->x_row, false);
}

/* ---- gradients of linear layers: the sum runs over pictures ---- */

enum { OUTER_ROWS = 4, OUTER_VECTORS = 2 };

/* ROWS rows of OUT, as many VECTORS of each. */
INLINE void outer_tile(float *out, const float *d, const float *x, int n, size_t k, size_t c,
                       const int rows, const int vectors)
{
    vf sum[OUTER_ROWS][OUTER_VECTORS];

    EACH (i, rows)
        EACH (j, vectors)
            sum[i][j] = (vf){0};
    for (int m = 0; m < n; m++, d += k, x += c)
        EACH (i, rows) {
            const vf v = splat_v(d[i]);

            EACH (j, vectors)
                sum[i][j] = fmadd(v, load_v(x + j * VL), sum[i][j]);
        }
    EACH (i, rows)
        EACH (j, vectors)
            store_v(out + (size_t)i * c + (size_t)(j * VL), sum[i][j]);
}

/* ROWS rows of OUT, all columns. */
INLINE void outer_rows(float *out, const float *d, const float *x, int n, size_t k, size_t c,
                       const int rows)
{
    size_t j = 0;

    for (; j + OUTER_VECTORS * VL <= c; j += OUTER_VECTORS * VL)
        outer_tile(out + j, d, x + j, n, k, c, rows, OUTER_VECTORS);
    for (; j + VL <= c; j += VL)
        outer_tile(out + j, d, x + j, n, k, c, rows, 1);
    for (; j < c; j++)
        EACH (i, rows) {
            vf sum = {0};

            for (int m = 0; m < n; m++)
                sum = fmadd(splat_v(d[(size_t)m * k + (size_t)i]), splat_v(x[(size_t)m * c + j]),
                            sum);
            out[(size_t)i * c + j] = sum[0];
        }
}

static void outer(float *out, const float *d, const float *x, int n, int k, int c)
{
    const size_t columns = (size_t)c;
    int i = 0;

    for (; i + OUTER_ROWS <= k; i += OUTER_ROWS)
        outer_rows(out + (size_t)i * columns, d + i, x, n, (size_t)k, columns, OUTER_ROWS);
    for (; i < k; i++)
        outer_rows(out + (size_t)i * columns, d + i, x, n, (size_t)k, columns, 1);
}

#if defined __AVX512BF16__
static void gemm_dot(const struct gemm *g)
{
    if (g->a_row == BLOCK / 2 && g->terms == BLOCK / 2 && !g->odd_terms)
        gemm_body(g, BLOCK / 2, BLOCK / 2, true, false);
    else if (g->a_row == 3 && g->odd_terms)
        gemm_body(g, 3, g->terms, true, true);
    else if (g->odd_terms)
        gemm_body(g, g->a_row, g->terms, true, true);
    else
        gemm_body(g, g->a_row, g->terms, true, false);
}

static void gemm_grad_dot(const struct gemm_grad *g)
{
    if (g->x_row == BLOCK)
        gemm_grad_body(g, BLOCK, true);
    else
        gemm_grad_body(g, g->x_row, true);
}

static vf bits_v(uint32_t *state)
{
    uint32_t bits[VL];
    vf v;

    for (int i = 0; i < VL; i++)
        bits[i] = *state = *state * 1664525 + 1013904223; /* Knuth and Lewis, Numerical Recipes */
    memcpy(&v, bits, sizeof v);
    return v;
}

static bool dot_agrees(void)
{
    enum { CASES = 4096 };
    uint32_t state = 1;

    for (int i = 0; i < CASES; i++) {
        const vf a = bits_v(&state), b = bits_v(&state), c = bits_v(&state);
        const vf got = dot_v(a, b, c), first = fmadd(high_half(a), high_half(b), c),
                 want = fmadd((vf)((vu)a << 16), (vf)((vu)b << 16), first);
        const vi g = (vi)got, w = (vi)want;

        for (int k = 0; k < VL; k++)
            if (g[k] != w[k] && !(got[k] != got[k] && want[k] != want[k]))
                return false;
    }
    return true;
}
#endif

extern const struct gemm_kernels ISA_NAME(gemm_kernels);
const struct gemm_kernels ISA_NAME(gemm_kernels) = {
    .rows = MOST_ROWS,
    .gemm = gemm,
    .gemm_grad = gemm_grad,
    .outer = outer,
#if defined __AVX512BF16__
    .gemm_dot = gemm_dot,
    .gemm_grad_dot = gemm_grad_dot,
    .dot_agrees = dot_agrees,
#endif
};
