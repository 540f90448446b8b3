/* norm.cu - batch norm over a matrix of rows and channels, forward, backward, folded.
 *
 * Sums over rows: a thread adds up to 64 rows of its channels in f32, a block its threads' sums in
 * double, then one more kernel the blocks'; each in rising order. Who takes which row follows from
 * the shape alone. Ioffe and Szegedy 2015 (ICML).
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/device.h"
#include "backend/op.h"

enum { APPLY_ROWS = 4, FINISH_CHANNELS = 32, FINISH_ROWS = 16 };

/* A block takes `wide` groups of a thread's channels and `high` threads of `deep` rows each, which
 * stand `high` rows apart. */
struct tiling {
    int wide, high, deep;
    dim3 grid, block;
};

static struct tiling tile(size_t rows, int c, int width, int deep)
{
    struct tiling t;
    int groups = c / width;
    size_t high;

    t.wide = groups < 32 ? groups : 32;
    t.high = THREADS / t.wide;
    high = (size_t)t.high;
    t.deep = deep;
    if (!deep) { /* about 512 blocks in a column, but no endless sums in f32 */
        size_t rows_each = (rows + high * 512 - 1) / (high * 512);

        t.deep = rows_each < 8 ? 8 : rows_each > 64 ? 64 : (int)rows_each;
    }
    high *= (size_t)t.deep;
    t.grid = dim3((unsigned)((rows + high - 1) / high), (unsigned)((groups + t.wide - 1) / t.wide));
    t.block = dim3((unsigned)t.wide, (unsigned)t.high);
    return t;
}

/* First of this thread's channels. */
DEVICE int first_channel(int width)
{
    return (int)(blockIdx.y * blockDim.x + threadIdx.x) * width;
}

DEVICE size_t first_row(int deep)
{
    return (size_t)blockIdx.x * blockDim.y * (unsigned)deep + threadIdx.y;
}

/* --- sums over rows ---------------------------------------------------------------------------- */

/* The block's sums of its threads' SUM[] to out[channel]. */
template <int V>
DEVICE void add_threads(SHARED_ARG(double, part), const float sum[V], double *out, int c)
{
    unsigned wide = blockDim.x, high = blockDim.y, threads = wide * high;
    unsigned me = threadIdx.y * wide + threadIdx.x;

    for (unsigned i = 0; i < V; i++)
        part[i * threads + me] = (double)sum[i];
    BARRIER();
    for (unsigned q = me; q < wide * V; q += threads) {
        unsigned i = q / wide, column = q % wide;
        int channel = (int)((blockIdx.y * wide + column) * V + i);
        double total = 0.0;

        for (unsigned row = 0; row < high; row++)
            total += part[i * threads + row * wide + column];
        if (channel < c)
            out[channel] = total;
    }
}

/* What a norm and its ReLU, where it has one, make of y: for whether the ReLU let it through. */
struct gate {
    float mean, scale, shift; /* without beta: 0 */
};

DEVICE struct gate gate_of(const double *stat, const float *gamma, const float *beta, int channel,
                           int c)
{
    struct gate g = {(float)stat[channel], gamma[channel] * (float)stat[c + channel], 0.0f};

    if (beta)
        g.shift = beta[channel];
    return g;
}

DEVICE float normed(struct gate g, float y)
{
    return fmaf(y - g.mean, g.scale, g.shift);
}

template <typename T, int V>
static __global__ void sum_rows(double *partial, const T *y, size_t rows, int c, int deep)
{
    SHARED(double, part, THREADS *V);
    int channel = first_channel(V);
    float sum[V], square[V];

    for (int i = 0; i < V; i++)
        sum[i] = square[i] = 0.0f;
    for (int k = 0; k < deep && channel < c; k++) {
        size_t row = first_row(deep) + (size_t)k * blockDim.y;
        vec<T, V> x;

        if (row >= rows)
            break;
        x = load<V>(y + row * (size_t)c + channel);
        for (int i = 0; i < V; i++) {
            float f = value(x.v[i]);

            sum[i] += f;
            square[i] += f * f;
        }
    }
    add_threads<V>(part, sum, partial + (size_t)blockIdx.x * 2 * c, c);
    BARRIER();
    add_threads<V>(part, square, partial + (size_t)blockIdx.x * 2 * c + c, c);
}

/* The two sums of this thread's channel over N blocks; for threads with y = 0. */
DEVICE void add_blocks(double total[2], SHARED_ARG(double, part), const double *partial, int n,
                       int c, int channel)
{
    for (int which = 0; which < 2; which++) {
        double sum = 0.0;

        for (int b = (int)threadIdx.y; b < n && channel < c; b += FINISH_ROWS)
            sum += partial[((size_t)b * 2 + (size_t)which) * (size_t)c + (size_t)channel];
        part[(which * FINISH_ROWS + threadIdx.y) * FINISH_CHANNELS + threadIdx.x] = sum;
    }
    BARRIER();
    for (int which = 0; which < 2 && threadIdx.y == 0; which++) {
        total[which] = 0.0;
        for (int row = 0; row < FINISH_ROWS; row++)
            total[which] += part[(which * FINISH_ROWS + row) * FINISH_CHANNELS + threadIdx.x];
    }
}

/* One block's sums out of N blocks'. */
static __global__ void add_sums(double *sums, const double *partial, int n, int c)
{
    SHARED(double, part, 2 * FINISH_ROWS * FINISH_CHANNELS);
    int channel = (int)(blockIdx.x * FINISH_CHANNELS + threadIdx.x);
    double total[2];

    add_blocks(total, part, partial, n, c, channel);
    for (int which = 0; which < 2 && threadIdx.y == 0 && channel < c; which++)
        sums[which * c + channel] = total[which];
}

static __global__ void finish_stats(double *stat, float *running_mean, float *running_var,
                                    const double *partial, int n, size_t rows, int c)
{
    SHARED(double, part, 2 * FINISH_ROWS * FINISH_CHANNELS);
    int channel = (int)(blockIdx.x * FINISH_CHANNELS + threadIdx.x);
    double total[2], m = (double)rows, mean, var;

    add_blocks(total, part, partial, n, c, channel);
    if (threadIdx.y > 0 || channel >= c)
        return;
    mean = total[0] / m;
    var = total[1] / m - mean * mean;
    var = var < 0.0 ? 0.0 : var;
    stat[channel] = mean;
    stat[c + channel] = 1.0 / sqrt(var + BN_EPS);
    if (running_mean) {
        double unbiased = var * (m / (m > 1.0 ? m - 1.0 : 1.0));

        running_mean[channel] =
            (float)((1.0 - BN_MOMENTUM) * running_mean[channel] + BN_MOMENTUM * mean);
        running_var[channel] =
            (float)((1.0 - BN_MOMENTUM) * running_var[channel] + BN_MOMENTUM * unbiased);
    }
}

/* What a ReLU let through MASK says (with V = 8 alone), or y where gamma and beta are given. */
template <typename T, int V, int ALIGN>
static __global__ void sum_gradients(double *partial, T *g, const T *dz, const T *dz2,
                                     const uint8_t *mask, const T *y, const double *stat,
                                     const float *gamma, const float *beta, size_t rows, int c,
                                     int deep)
{
    SHARED(double, part, THREADS *V);
    int channel = first_channel(V);
    float sum[V], product[V];
    struct gate gates[V] = {};

    for (int i = 0; i < V; i++) {
        sum[i] = product[i] = 0.0f;
        if (channel < c && beta)
            gates[i] = gate_of(stat, gamma, beta, channel + i, c);
        else if (channel < c)
            gates[i].mean = (float)stat[channel + i];
    }
    for (int k = 0; k < deep && channel < c; k++) {
        size_t row = first_row(deep) + (size_t)k * blockDim.y, at = row * (size_t)c + channel;
        unsigned through = 0xff;
        vec<T, V, ALIGN> a, b, x;

        if (row >= rows)
            break;
        a = load<V, ALIGN>(dz + at);
        x = load<V, ALIGN>(y + at);
        if (mask)
            through = mask[at / 8];
        if (dz2)
            b = load<V, ALIGN>(dz2 + at);
        for (int i = 0; i < V; i++) {
            float f = dz2 ? value(a.v[i]) + value(b.v[i]) : value(a.v[i]);

            f = through >> i & 1 ? f : 0.0f;
            f = beta && !(normed(gates[i], value(x.v[i])) > 0.0f) ? 0.0f : f;
            store(&a.v[i], f);
            f = value(a.v[i]);
            sum[i] += f;
            product[i] += f * (value(x.v[i]) - gates[i].mean);
        }
        if (g)
            store<V>(g + at, a);
    }
    add_threads<V>(part, sum, partial + (size_t)blockIdx.x * 2 * c, c);
    BARRIER();
    add_threads<V>(part, product, partial + (size_t)blockIdx.x * 2 * c + c, c);
}

static __global__ void finish_gradients(double *bstat, float *dgamma, float *dbeta,
                                        const double *partial, const double *stat, int n, int c,
                                        bool own)
{
    SHARED(double, part, 2 * FINISH_ROWS * FINISH_CHANNELS);
    int channel = (int)(blockIdx.x * FINISH_CHANNELS + threadIdx.x);
    double total[2];

    add_blocks(total, part, partial, n, c, channel);
    if (threadIdx.y > 0 || channel >= c)
        return;
    total[1] *= stat[c + channel];
    bstat[channel] = total[0];
    bstat[c + channel] = total[1];
    dgamma[channel] = own ? (float)total[1] : 0.0f;
    dbeta[channel] = own ? (float)total[0] : 0.0f;
}

/* --- element by element ------------------------------------------------------------------------ */

/* By the moments of this batch (stat), or by running ones. MASK: with V = 8 alone. */
template <typename T, int V, int ALIGN>
static __global__ void apply(T *z, uint8_t *mask, const T *y, size_t rows, int c,
                             const double *stat, const float *running_mean,
                             const float *running_var, const float *gamma, const float *beta,
                             const T *residual, bool relu)
{
    int channel = first_channel(V);
    struct gate gates[V];

    if (channel >= c)
        return;
    for (int i = 0; i < V; i++) {
        int k = channel + i;
        float rstd = stat ? (float)stat[c + k] : 1.0f / sqrtf(running_var[k] + (float)BN_EPS);

        gates[i].mean = stat ? (float)stat[k] : running_mean[k];
        gates[i].scale = gamma[k] * rstd;
        gates[i].shift = beta[k];
    }
    for (int k = 0; k < APPLY_ROWS; k++) {
        size_t row = first_row(APPLY_ROWS) + (size_t)k * blockDim.y, at = row * (size_t)c + channel;
        unsigned through = 0;
        vec<T, V, ALIGN> x, r;

        if (row >= rows)
            return;
        x = load<V, ALIGN>(y + at);
        if (residual)
            r = load<V, ALIGN>(residual + at);
        for (int i = 0; i < V; i++) {
            float f = normed(gates[i], value(x.v[i]));

            f = residual ? f + value(r.v[i]) : f;
            store(&x.v[i], relu && f < 0.0f ? 0.0f : f);
            through |= (unsigned)(value(x.v[i]) > 0.0f) << i;
        }
        store<V>(z + at, x);
        if (mask)
            mask[at / 8] = (uint8_t)through;
    }
}

template <typename T, int V>
static __global__ void apply_gradients(T *dy, const T *g, const T *y, size_t rows, size_t all_rows,
                                       int c, const double *stat, const double *bstat,
                                       const float *gamma, const float *beta)
{
    int channel = first_channel(V);
    float sum[V], product[V];
    struct gate gates[V];

    if (channel >= c)
        return;
    for (int i = 0; i < V; i++) {
        int k = channel + i;
        double rstd = stat[c + k], m = (double)all_rows;

        gates[i] = gate_of(stat, gamma, beta, k, c);
        sum[i] = (float)(bstat[k] / m);
        product[i] = (float)(bstat[c + k] / m * rstd);
    }
    for (int k = 0; k < APPLY_ROWS; k++) {
        size_t row = first_row(APPLY_ROWS) + (size_t)k * blockDim.y, at = row * (size_t)c + channel;
        vec<T, V> d, x;

        if (row >= rows)
            return;
        d = load<V>(g + at);
        x = load<V>(y + at);
        for (int i = 0; i < V; i++) {
            float v = value(x.v[i]), f = value(d.v[i]);

            f = beta && !(normed(gates[i], v) > 0.0f) ? 0.0f : f;
            store(&d.v[i], gates[i].scale * fmaf(gates[i].mean - v, product[i], f - sum[i]));
        }
        store<V>(dy + at, d);
    }
}

template <typename T, typename B>
static __global__ void fold(T *krsc, B *bias, const float *weight, const float *mean,
                            const float *var, const float *gamma, const float *beta, int c, int rs,
                            int c_pad)
{
    int k = (int)blockIdx.x, n = rs * c_pad;
    float scale = gamma[k] / sqrtf(var[k] + (float)BN_EPS);

    for (int i = (int)threadIdx.x; i < n; i += THREADS) {
        int channel = i % c_pad, at = i / c_pad;
        float w = channel < c ? weight[((size_t)k * (size_t)c + (size_t)channel) * (size_t)rs + at]
                              : 0.0f;

        store(&krsc[(size_t)k * (size_t)n + (size_t)i], w * scale);
    }
    if (threadIdx.x == 0)
        store(&bias[k], fmaf(-mean[k], scale, beta[k]));
}

/* --- launches -------------------------------------------------------------------------------- */

static bool bad_matrix(size_t rows, int c)
{
    return rows < 1 || rows > 0x7fffffff || c < 1 || c > 0x100000;
}

/* As with_type(), but 8 values a thread where there is a mask, of whose bytes each has one: F(T(), width,
 * alignment). */
template <typename F>
static int with_mask(enum dtype type, const uint8_t *mask, bool wide, int c, F f)
{
    if (mask && c % 8 != 0)
        return INVALID;
    return with_type(type, wide, c, [&](auto t, auto v) {
        const int size = sizeof t, width = decltype(v)::value;
        std::integral_constant<int, 8> eight;
        std::integral_constant<int, size * width> align;

        return mask ? f(t, eight, align) : f(t, v, align);
    });
}

size_t cuda_bn_workspace(size_t rows, int c)
{
    size_t n = 0;

    for (int width = 1; width <= 8; width *= 2)
        if (c % width == 0 && tile(rows, c, width, 0).grid.x > n)
            n = tile(rows, c, width, 0).grid.x;
    return n * 2 * (size_t)c * sizeof(double);
}

static dim3 finish_grid(int c)
{
    return dim3((unsigned)(c + FINISH_CHANNELS - 1) / FINISH_CHANNELS);
}

/* The sums of *N blocks to the workspace. */
static int launch_sums(int *n, void *stream, const void *y, enum dtype type, size_t rows, int c,
                       void *workspace)
{
    if (bad_matrix(rows, c))
        return INVALID;
    return with_type(type, aligned(y), c, [&](auto t, auto v) {
        typedef decltype(t) T;
        const int V = decltype(v)::value;
        struct tiling tiles = tile(rows, c, V, 0);

        *n = (int)tiles.grid.x;
        LAUNCH_BARRIERS((sum_rows<T, V>), tiles.grid, tiles.block, stream, (double *)workspace,
                        (const T *)y, rows, c, tiles.deep);
        return LAUNCHED();
    });
}

static int launch_add(void *stream, double *sums, const void *workspace, int n, int c)
{
    LAUNCH_BARRIERS((add_sums), finish_grid(c), dim3(FINISH_CHANNELS, FINISH_ROWS), stream, sums,
                    (const double *)workspace, n, c);
    return LAUNCHED();
}

int cuda_bn_finish(void *stream, double *stat, float *running_mean, float *running_var,
                   const double *sums, int n, size_t rows, int c)
{
    LAUNCH_BARRIERS((finish_stats), finish_grid(c), dim3(FINISH_CHANNELS, FINISH_ROWS), stream,
                    stat, running_mean, running_var, sums, n, rows, c);
    return LAUNCHED();
}

int cuda_bn_stats(void *stream, double *stat, const void *y, enum dtype type, size_t rows, int c,
                  float *running_mean, float *running_var, void *workspace)
{
    int n = 0, code = launch_sums(&n, stream, y, type, rows, c, workspace);

    return code ? code
                : cuda_bn_finish(stream, stat, running_mean, running_var, (const double *)workspace,
                                 n, rows, c);
}

int cuda_bn_sums(void *stream, double *sums, const void *y, enum dtype type, size_t rows, int c,
                 void *workspace)
{
    int n = 0, code = launch_sums(&n, stream, y, type, rows, c, workspace);

    return code ? code : launch_add(stream, sums, workspace, n, c);
}

static int launch_apply(void *stream, void *z, uint8_t *mask, const void *y, enum dtype type,
                        size_t rows, int c, const double *stat, const float *mean, const float *var,
                        const float *gamma, const float *beta, const void *residual, bool relu)
{
    if (bad_matrix(rows, c))
        return INVALID;
    return with_mask(type, mask, aligned(z, y, residual), c, [&](auto t, auto v, auto align) {
        typedef decltype(t) T;
        const int V = decltype(v)::value, ALIGN = decltype(align)::value;
        struct tiling tiles = tile(rows, c, V, APPLY_ROWS);

        LAUNCH((apply<T, V, ALIGN>), tiles.grid, tiles.block, stream, (T *)z, mask, (const T *)y,
               rows, c, stat, mean, var, gamma, beta, (const T *)residual, relu);
        return LAUNCHED();
    });
}

int cuda_bn_apply(void *stream, void *z, uint8_t *mask, const void *y, enum dtype type, size_t rows,
                  int c, const double *stat, const float *gamma, const float *beta,
                  const void *residual, bool relu)
{
    return launch_apply(stream, z, mask, y, type, rows, c, stat, NULL, NULL, gamma, beta, residual,
                        relu);
}

int cuda_bn_infer(void *stream, void *z, const void *y, enum dtype type, size_t rows, int c,
                  const float *mean, const float *var, const float *gamma, const float *beta,
                  const void *residual, bool relu)
{
    return launch_apply(stream, z, NULL, y, type, rows, c, NULL, mean, var, gamma, beta, residual,
                        relu);
}

static int launch_bwd_sums(int *n, void *stream, void *g, const void *dz, const void *dz2,
                           const uint8_t *mask, const void *y, enum dtype type, size_t rows, int c,
                           const double *stat, const float *gamma, const float *beta,
                           void *workspace)
{
    if (bad_matrix(rows, c))
        return INVALID;
    return with_mask(type, mask, aligned(g, dz, dz2, y), c, [&](auto t, auto v, auto align) {
        typedef decltype(t) T;
        const int V = decltype(v)::value, ALIGN = decltype(align)::value;
        struct tiling tiles = tile(rows, c, V, 0);

        *n = (int)tiles.grid.x;
        LAUNCH_BARRIERS((sum_gradients<T, V, ALIGN>), tiles.grid, tiles.block, stream,
                        (double *)workspace, (T *)g, (const T *)dz, (const T *)dz2, mask,
                        (const T *)y, stat, gamma, beta, rows, c, tiles.deep);
        return LAUNCHED();
    });
}

int cuda_bn_bwd_finish(void *stream, double *bstat, float *dgamma, float *dbeta, const double *sums,
                       int n, int c, const double *stat, bool own)
{
    LAUNCH_BARRIERS((finish_gradients), finish_grid(c), dim3(FINISH_CHANNELS, FINISH_ROWS), stream,
                    bstat, dgamma, dbeta, sums, stat, n, c, own);
    return LAUNCHED();
}

int cuda_bn_bwd_stats(void *stream, void *g, double *bstat, float *dgamma, float *dbeta,
                      const void *dz, const void *dz2, const uint8_t *mask, const void *y,
                      enum dtype type, size_t rows, int c, const double *stat, const float *gamma,
                      const float *beta, void *workspace)
{
    int n = 0, code = launch_bwd_sums(&n, stream, g, dz, dz2, mask, y, type, rows, c, stat, gamma,
                                      beta, workspace);

    return code ? code
                : cuda_bn_bwd_finish(stream, bstat, dgamma, dbeta, (const double *)workspace, n, c,
                                     stat, true);
}

int cuda_bn_bwd_sums(void *stream, double *sums, void *g, const void *dz, const void *dz2,
                     const uint8_t *mask, const void *y, enum dtype type, size_t rows, int c,
                     const double *stat, const float *gamma, const float *beta, void *workspace)
{
    int n = 0, code = launch_bwd_sums(&n, stream, g, dz, dz2, mask, y, type, rows, c, stat, gamma,
                                      beta, workspace);

    return code ? code : launch_add(stream, sums, workspace, n, c);
}

int cuda_bn_bwd_apply(void *stream, void *dy, const void *g, const void *y, enum dtype type,
                      size_t rows, size_t all_rows, int c, const double *stat, const double *bstat,
                      const float *gamma, const float *beta)
{
    if (bad_matrix(rows, c))
        return INVALID;
    return with_type(type, aligned(dy, g, y), c, [&](auto t, auto v) {
        typedef decltype(t) T;
        const int V = decltype(v)::value;
        struct tiling tiles = tile(rows, c, V, APPLY_ROWS);

        LAUNCH((apply_gradients<T, V>), tiles.grid, tiles.block, stream, (T *)dy, (const T *)g,
               (const T *)y, rows, all_rows, c, stat, bstat, gamma, beta);
        return LAUNCHED();
    });
}

int cuda_bn_fold(void *stream, void *krsc, enum dtype type, void *bias, enum dtype bias_type,
                 const float *weight, const float *mean, const float *var, const float *gamma,
                 const float *beta, int k, int c, int rs, int c_pad)
{
    if (k < 1 || c < 1 || rs < 1 || c_pad < c)
        return INVALID;
    return with_type(type, false, 1, [&](auto t, auto) {
        return with_type(bias_type, false, 1, [&](auto b, auto) {
            typedef decltype(t) T;
            typedef decltype(b) B;

            LAUNCH((fold<T, B>), dim3((unsigned)k), dim3(THREADS), stream, (T *)krsc, (B *)bias,
                   weight, mean, var, gamma, beta, c, rs, c_pad);
            return LAUNCHED();
        });
    });
}
