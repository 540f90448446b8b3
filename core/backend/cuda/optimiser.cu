/* optimiser.cu - Adam and what goes with it, over flat arenas: a block has one chunk of a parameter.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/device.h"

/* --- loss scale ------------------------------------------------------------------------------ */

enum { GROWTH_INTERVAL = 2000 }; /* GradScaler's defaults; growth 2, backoff 0.5 */

static __global__ void scale_begin(struct cuda_scale *scale, float start)
{
    struct cuda_scale s = {start, 1.0f / start, 0, 0, 0, 0};

    *scale = s;
}

DEVICE bool is_finite(float x)
{
    return fabsf(x) <= 3.4028234663852886e38f;
}

/* All that write to found write 1. */
static __global__ void unscale(float *grads, size_t n, struct cuda_scale *scale)
{
    float inverse = scale->inverse;
    size_t first = ((size_t)blockIdx.x * THREADS + threadIdx.x) * 4;
    bool finite = true;

    if (first + 4 <= n && ((uintptr_t)grads & 15) == 0) {
        vec<float, 4> g = load<4>(grads + first);

        for (int i = 0; i < 4; i++) {
            finite = finite && is_finite(g.v[i]);
            g.v[i] *= inverse;
        }
        store<4>(grads + first, g);
    } else {
        for (size_t i = first; i < n && i < first + 4; i++) {
            finite = finite && is_finite(grads[i]);
            grads[i] *= inverse;
        }
    }
    if (!finite)
        scale->found = 1;
}

static __global__ void scale_update(struct cuda_scale *scale, const struct cuda_step *step)
{
    struct cuda_scale s = *scale;

    if (step->adam_step == 1)
        s.skipped = 0;
    if (s.found) {
        s.scale *= 0.5f;
        s.good = 0;
        s.skipped++;
        s.overflows++;
    } else if (++s.good == GROWTH_INTERVAL) {
        s.scale = is_finite(s.scale * 2.0f) ? s.scale * 2.0f : s.scale;
        s.good = 0;
    }
    s.inverse = (float)(1.0 / (double)s.scale);
    s.found = 0;
    *scale = s;
}

int cuda_scale_begin(void *stream, struct cuda_scale *scale, float start)
{
    LAUNCH((scale_begin), dim3(1), dim3(1), stream, scale, start);
    return LAUNCHED();
}

int cuda_unscale(void *stream, float *grads, size_t n, struct cuda_scale *scale)
{
    unsigned blocks = blocks_for((n + 3) / 4);

    if (!blocks)
        return INVALID;
    LAUNCH((unscale), dim3(blocks), dim3(THREADS), stream, grads, n, scale);
    return LAUNCHED();
}

int cuda_scale_update(void *stream, struct cuda_scale *scale, const struct cuda_step *step)
{
    LAUNCH((scale_update), dim3(1), dim3(1), stream, scale, step);
    return LAUNCHED();
}

/* --- gradients ------------------------------------------------------------------------------- */

static __global__ void grad_sum(float *sum, const float *grad, float *levels, size_t stride,
                                size_t n, const struct cuda_step *step)
{
    size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;

    if (i < n)
        sum[i] = elem_grad_sum(grad[i], levels + i, stride, step->part, step->parts);
}

/* Sum of squares of a chunk. */
static __global__ void squares(double *partial, const float *grads, const struct cuda_chunk *chunks)
{
    SHARED(double, part, THREADS);
    const struct cuda_chunk *c = &chunks[blockIdx.x];
    double sum = 0.0;

    for (unsigned i = threadIdx.x; i < c->n; i += THREADS) {
        double g = (double)grads[c->at[0] + i];

        sum += g * g;
    }
    sum = block_sum(part, sum);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

static __global__ void finish_norm(double *clip, const double *partial, int n, float max_norm)
{
    SHARED(double, part, THREADS);
    double sum = 0.0;

    for (int i = (int)threadIdx.x; i < n; i += THREADS)
        sum += partial[i];
    sum = block_sum(part, sum);
    if (threadIdx.x == 0)
        *clip = elem_clip(sqrt(sum), (double)max_norm);
}

int cuda_grad_sum(void *stream, float *sum, const float *grad, float *levels, size_t stride,
                  size_t n, const struct cuda_step *step)
{
    unsigned blocks = blocks_for(n);

    if (!blocks)
        return INVALID;
    LAUNCH((grad_sum), dim3(blocks), dim3(THREADS), stream, sum, grad, levels, stride, n, step);
    return LAUNCHED();
}

int cuda_grad_norm(void *stream, double *clip, const float *grads, const struct cuda_chunk *chunks,
                   int n_chunks, float max_norm, void *workspace)
{
    if (n_chunks < 1)
        return INVALID;
    LAUNCH_BARRIERS((squares), dim3((unsigned)n_chunks), dim3(THREADS), stream, (double *)workspace,
                    grads, chunks);
    LAUNCH_BARRIERS((finish_norm), dim3(1), dim3(THREADS), stream, clip, (const double *)workspace,
                    n_chunks, max_norm);
    return LAUNCHED();
}

/* --- Adam, averages -------------------------------------------------------------------------- */

static __global__ void adam_begin(struct adam_k *constants, const struct cuda_step *step,
                                  const struct cuda_scale *scale)
{
    int group = (int)threadIdx.x / 2, decay = (int)threadIdx.x % 2;
    uint32_t skipped = scale && step->adam_step > 1 ? scale->skipped : 0;

    constants[threadIdx.x] = adam_constants(step->lr[group], decay ? step->wd : 0.0, step->mom,
                                            step->sqr_mom, step->eps, step->adam_step - skipped);
}

static __global__ void adam(const float *grads, float *params, float *m, float *v,
                            const struct cuda_chunk *chunks, const struct adam_k *constants,
                            const double *clip, const struct cuda_scale *scale)
{
    const struct cuda_chunk *c = &chunks[blockIdx.x];
    struct adam_k k = constants[c->group];
    const float *g = grads + c->at[0];
    float *p = params + c->at[1], *m1 = m + c->at[2], *v1 = v + c->at[3];
    bool wide = (((uintptr_t)g | (uintptr_t)p | (uintptr_t)m1 | (uintptr_t)v1) & 15) == 0;
    unsigned whole = wide ? c->n / 4 * 4 : 0;

    if (scale && scale->found)
        return;
    if (clip)
        k.clip = (float)*clip;
    for (unsigned i = threadIdx.x * 4; i < whole; i += THREADS * 4) {
        vec<float, 4> g4 = load<4>(g + i), p4 = load<4>(p + i), m4 = load<4>(m1 + i),
                      v4 = load<4>(v1 + i);

        for (int j = 0; j < 4; j++)
            adam_elem(k, g4.v[j], &p4.v[j], &m4.v[j], &v4.v[j]);
        store<4>(p + i, p4);
        store<4>(m1 + i, m4);
        store<4>(v1 + i, v4);
    }
    for (unsigned i = whole + threadIdx.x; i < c->n; i += THREADS)
        adam_elem(k, g[i], &p[i], &m1[i], &v1[i]);
}

static __global__ void sgd(const float *grads, float *params, float *m,
                           const struct cuda_chunk *chunks, const struct cuda_step *step,
                           int nesterov, const double *clip, const struct cuda_scale *scale)
{
    const struct cuda_chunk *c = &chunks[blockIdx.x];
    struct sgd_k k =
        sgd_constants(step->lr[c->group / 2], c->group % 2 ? step->wd : 0.0, step->mom, nesterov);
    const float *g = grads + c->at[0];
    float *p = params + c->at[1], *m1 = m + c->at[2];

    if (scale && scale->found)
        return;
    if (clip)
        k.clip = (float)*clip;
    for (unsigned i = threadIdx.x; i < c->n; i += THREADS)
        sgd_elem(k, g[i], &p[i], &m1[i]);
}

static __global__ void ema(const float *x, float *average, const struct cuda_chunk *chunks,
                           const struct cuda_step *step)
{
    const struct cuda_chunk *c = &chunks[blockIdx.x];
    float rest = (float)(1.0 - step->ema_decay), *to = average + c->at[1];

    for (unsigned i = threadIdx.x; i < c->n; i += THREADS)
        to[i] = elem_ema(to[i], x[c->at[0] + i], rest);
}

int cuda_adam_begin(void *stream, struct adam_k *constants, const struct cuda_step *step,
                    const struct cuda_scale *scale)
{
    LAUNCH((adam_begin), dim3(1), dim3(2 * CUDA_GROUPS), stream, constants, step, scale);
    return LAUNCHED();
}

int cuda_adam(void *stream, const float *grads, float *params, float *m, float *v,
              const struct cuda_chunk *chunks, int n_chunks, const struct adam_k *constants,
              const double *clip, const struct cuda_scale *scale)
{
    if (n_chunks < 1)
        return INVALID;
    LAUNCH((adam), dim3((unsigned)n_chunks), dim3(THREADS), stream, grads, params, m, v, chunks,
           constants, clip, scale);
    return LAUNCHED();
}

int cuda_sgd(void *stream, const float *grads, float *params, float *m,
             const struct cuda_chunk *chunks, int n_chunks, const struct cuda_step *step,
             int nesterov, const double *clip, const struct cuda_scale *scale)
{
    if (n_chunks < 1)
        return INVALID;
    LAUNCH((sgd), dim3((unsigned)n_chunks), dim3(THREADS), stream, grads, params, m, chunks, step,
           nesterov, clip, scale);
    return LAUNCHED();
}

int cuda_ema(void *stream, const float *x, float *average, const struct cuda_chunk *chunks,
             int n_chunks, const struct cuda_step *step)
{
    if (n_chunks < 1)
        return INVALID;
    LAUNCH((ema), dim3((unsigned)n_chunks), dim3(THREADS), stream, x, average, chunks, step);
    return LAUNCHED();
}
