/* elem.h - per-element formulas, written once for all backends.
 *
 * In the common subset of C17 and CUDA C++. Contraction is off wherever this is compiled, so an FMA
 * happens where the text says fmaf and only there; with + - * / and sqrtf the results are then the
 * same bits on every machine. libm's expf and logf are not: the ones here are.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_ELEM_H
#define PRESIZE_BACKEND_ELEM_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/philox.h"
#include "step/picture.h"

#ifdef __CUDACC__
#define ELEM static __host__ __device__ __forceinline__
#else
#define ELEM static inline
#endif

/* --- bits and types ------------------------------------------------------------------------- */

ELEM uint32_t elem_bits(float x)
{
    uint32_t u;

    memcpy(&u, &x, sizeof u);
    return u;
}

ELEM float elem_float(uint32_t u)
{
    float x;

    memcpy(&x, &u, sizeof x);
    return x;
}

ELEM float f32_from_bf16(uint16_t b)
{
    return elem_float((uint32_t)b << 16);
}

/* Round to nearest, ties to even; a NaN stays one (quiet, sign and upper payload kept). */
ELEM uint16_t bf16_from_f32(float x)
{
    uint32_t u = elem_bits(x);
    uint32_t rounded = u + 0x7fffu + ((u >> 16) & 1u);
    uint32_t nan = u | 0x00400000u;

    return (uint16_t)(((u & 0x7fffffffu) > 0x7f800000u ? nan : rounded) >> 16);
}

ELEM float f32_from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, bits = (uint32_t)(h & 0x7fffu) << 13;

    if (bits >= 0x0f800000u) /* infinite or NaN */
        return elem_float(sign | (bits + 0x70000000u));
    if (bits < 0x00800000u) /* subnormal: units of 2^-24 */
        return elem_float(sign | elem_bits((float)(h & 0x7fffu) * 5.9604644775390625e-8f));
    return elem_float(sign | (bits + 0x38000000u));
}

/* Round to nearest, ties to even, from 65520 on to infinity; a NaN stays one (quiet). */
ELEM uint16_t f16_from_f32(float x)
{
    uint32_t u = elem_bits(x), sign = u >> 16 & 0x8000u, a = u & 0x7fffffffu;

    if (a > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (a >> 13 & 0x3ffu));
    if (a >= 0x47800000u) /* 65536 */
        return (uint16_t)(sign | 0x7c00u);
    if (a < 0x38800000u) /* below 2^-14: adding 1/2 rounds to units of 2^-24 */
        return (uint16_t)(sign | (elem_bits(elem_float(a) + 0.5f) - 0x3f000000u));
    a += 0xfffu + (a >> 13 & 1u); /* a carry out of the mantissa raises the exponent */
    return (uint16_t)(sign | (a - 0x38000000u) >> 13);
}

/* --- exp, log, sigmoid, logit ---------------------------------------------------------------- */

/* exp(x), x first clamped to [-87, 87] (so neither zero, denormal nor infinite); NaN stays. Within
 * 1 ulp (measured). Reduction by multiples of log 2 split in two; polynomial of Moshier, Cephes 2.2
 * (1992), expf.c. */
ELEM float elem_expf(float x)
{
    float t, n, r, p;

    x = x < -87.0f ? -87.0f : x;
    x = x > 87.0f ? 87.0f : x;
    t = fmaf(x, 1.44269504f, 12582912.0f); /* 1.5 * 2^23: the low bits hold the rounded integer */
    n = t - 12582912.0f;
    r = fmaf(n, -0.693359375f, x);
    r = fmaf(n, 2.12194440e-4f, r);
    p = 1.9875691500e-4f;
    p = fmaf(p, r, 1.3981999507e-3f);
    p = fmaf(p, r, 8.3334519073e-3f);
    p = fmaf(p, r, 4.1665795894e-2f);
    p = fmaf(p, r, 1.6666665459e-1f);
    p = fmaf(p, r, 5.0000001201e-1f);
    p = fmaf(p, r * r, r) + 1.0f;
    return p * elem_float((elem_bits(t) - 0x4b400000u + 127u) << 23);
}

/* log(x) for positive, normal x; +inf and NaN give NaN, others are the caller's mistake. Within 1
 * ulp (measured). x = 2^e m, m in [sqrt(1/2), sqrt(2)); polynomial of Moshier, Cephes 2.2 (1992),
 * logf.c. */
ELEM float elem_logf(float x)
{
    uint32_t u = elem_bits(x) - 0x3f3504f3u; /* sqrt(1/2) */
    float e = (float)((int32_t)u >> 23);
    float m = elem_float((u & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
    float z = m * m;
    float p = 7.0376836292e-2f;

    p = fmaf(p, m, -1.1514610310e-1f);
    p = fmaf(p, m, 1.1676998740e-1f);
    p = fmaf(p, m, -1.2420140846e-1f);
    p = fmaf(p, m, 1.4249322787e-1f);
    p = fmaf(p, m, -1.6668057665e-1f);
    p = fmaf(p, m, 2.0000714765e-1f);
    p = fmaf(p, m, -2.4999993993e-1f);
    p = fmaf(p, m, 3.3333331174e-1f);
    p = p * (m * z);
    p = fmaf(e, -2.12194440e-4f, p);
    p = fmaf(z, -0.5f, p);
    p = m + p;
    p = fmaf(e, 0.693359375f, p);
    return p + (x - x); /* x - x: 0, or NaN for what is not finite */
}

ELEM float elem_sigmoid(float x)
{
    return 1.0f / (1.0f + elem_expf(-x));
}

/* -log(1 / x - 1), x first clamped to [1e-7, 1 - 1e-7] as fastai does. The clamp compares bit
 * patterns (floats of one sign order as integers do), which compilers turn into straight code. */
ELEM float elem_logit(float x)
{
    int32_t i = (int32_t)elem_bits(x);

    i = i > 0x33d6bf95 ? i : 0x33d6bf95; /* 1e-7 */
    i = i < 0x3f7ffffe ? i : 0x3f7ffffe; /* 1 - 1e-7 */
    return -elem_logf(1.0f / elem_float((uint32_t)i) - 1.0f);
}

/* Brightness and contrast in logit space: sigmoid(contrast (logit(x) + brightness)). */
ELEM float elem_lighting(float x, float brightness, float contrast)
{
    return elem_sigmoid(contrast * (elem_logit(x) + brightness));
}

/* --- cross-entropy -------------------------------------------------------------------------- */

struct loss_k {
    float smoothing; /* e, [0, 1) */
    float focal;     /* gamma, >= 0 */
    float scale;     /* of the gradient: 1 / pictures of the step */
};

/* (1 - P)^GAMMA for a probability P, below 1 by rounding or exactly 1. */
ELEM float elem_focal(float p, float gamma)
{
    float q = 1.0f - p;

    if (gamma == 0.0f)
        return 1.0f;
    return q > 0.0f ? elem_expf(gamma * elem_logf(q)) : 0.0f;
}

/* One picture's row of K logits: probabilities, loss in nat and, unless DLOGITS is NULL, its gradient
 * times c.scale. With p = softmax(logits), over the one or two classes t of the target:
 *   (1 - e) sum_t weight_t (1 - p_t)^gamma (-log p_t)  +  e / K sum_k (-log p_k)
 * Label smoothing: Szegedy et al. 2016 (CVPR), section 7; focal loss: Lin et al. 2017 (ICCV), eq. 4.
 * Sums run over rising k. */
ELEM float elem_softmax_loss(float *prob, float *dlogits, const float *logits, int k,
                             struct loss_k c, const struct loss_target *t)
{
    float max = logits[0], sum = 0.0f, scale, log_sum, loss = 0.0f, all = 0.0f, pull[2];
    int n = t->label[0] < 0 ? 0 : t->label[1] < 0 ? 1 : 2;

    for (int i = 1; i < k; i++)
        max = logits[i] > max ? logits[i] : max;
    for (int i = 0; i < k; i++) {
        prob[i] = elem_expf(logits[i] - max);
        sum += prob[i];
    }
    scale = 1.0f / sum;
    log_sum = elem_logf(sum);
    for (int i = 0; i < k; i++)
        prob[i] = prob[i] * scale;
    for (int j = 0; j < n; j++) {
        float p = prob[t->label[j]], nll = log_sum - (logits[t->label[j]] - max);
        float focus = elem_focal(p, c.focal), w = (1.0f - c.smoothing) * t->weight[j];
        float turn = c.focal > 0.0f && p < 1.0f ? c.focal * p * nll * (focus / (1.0f - p)) : 0.0f;

        loss += w * (focus * nll);
        pull[j] = w * (focus + turn); /* -d loss_j / d log p_t */
        all += pull[j];
    }
    if (n > 0 && c.smoothing > 0.0f) {
        float rest = 0.0f;

        for (int i = 0; i < k; i++)
            rest += log_sum - (logits[i] - max);
        loss += c.smoothing / (float)k * rest;
        all += c.smoothing;
    }
    for (int i = 0; dlogits && i < k; i++) {
        float g = n > 0 ? all * prob[i] - c.smoothing / (float)k : 0.0f;

        for (int j = 0; j < n; j++)
            g -= i == t->label[j] ? pull[j] : 0.0f;
        dlogits[i] = g * c.scale;
    }
    return loss;
}

/* --- optimiser ------------------------------------------------------------------------------ */

/* Constants of one step of one parameter group, computed in double and rounded once. */
struct adam_k {
    float clip;      /* of the gradient, 1 where it is not clipped */
    float decay_mul; /* 1 - lr wd, or 1 */
    float mom, one_minus_mom, sqr, one_minus_sqr;
    float step;      /* lr / (1 - mom^t) */
    float inv_bias2; /* 1 / (1 - sqr^t) */
    float eps;
};

/* x^n by squaring, within n 2^-52 of it. The C library's pow has other bits on other processors. */
ELEM double elem_power(double x, uint32_t n)
{
    double power = 1.0;

    for (; n > 0; n >>= 1) {
        if (n & 1)
            power *= x;
        x *= x;
    }
    return power;
}

/* T = 1 for the first step since the state was cleared; WD = 0 where no decay applies; not clipped. */
ELEM struct adam_k adam_constants(double lr, double wd, double mom, double sqr, double eps,
                                  uint32_t t)
{
    struct adam_k k;

    k.clip = 1.0f;
    k.decay_mul = (float)(1.0 - lr * wd);
    k.mom = (float)mom;
    k.one_minus_mom = (float)(1.0 - mom);
    k.sqr = (float)sqr;
    k.one_minus_sqr = (float)(1.0 - sqr);
    k.step = (float)(lr / (1.0 - elem_power(mom, t)));
    k.inv_bias2 = (float)(1.0 / (1.0 - elem_power(sqr, t)));
    k.eps = (float)eps;
    return k;
}

/* fastai's Adam, decoupled decay first (fastai.md 5.3; Kingma and Ba 2015, ICLR; Loshchilov and
 * Hutter 2019, ICLR); eps outside the bias-corrected root. */
ELEM void adam_elem(struct adam_k k, float grad, float *p, float *m, float *v)
{
    float g = k.clip * grad, w = *p * k.decay_mul;
    float m1 = k.mom * *m + k.one_minus_mom * g;
    float v1 = k.sqr * *v + k.one_minus_sqr * g * g;

    *m = m1;
    *v = v1;
    *p = w - k.step * (m1 / (sqrtf(v1 * k.inv_bias2) + k.eps));
}

struct sgd_k {
    float clip; /* of the gradient, 1 where it is not clipped */
    float lr, decay, mom;
    int nesterov; /* 0, 1 */
};

/* WD = 0 where no decay applies; not clipped. */
ELEM struct sgd_k sgd_constants(double lr, double wd, double mom, int nesterov)
{
    struct sgd_k k;

    k.clip = 1.0f;
    k.lr = (float)lr;
    k.decay = (float)wd;
    k.mom = (float)mom;
    k.nesterov = nesterov;
    return k;
}

/* torch.optim.SGD of PyTorch 2 with dampening 0: the decay is part of the gradient, M its sum with momentum (Sutskever
 * et al. 2013, ICML, whose rate stands inside the sum); the first step begins with M = 0. */
ELEM void sgd_elem(struct sgd_k k, float grad, float *p, float *m)
{
    float g = k.clip * grad + k.decay * *p, m1 = k.mom * *m + g;

    *m = m1;
    *p = *p - k.lr * (k.nesterov ? g + k.mom * m1 : m1);
}

/* What gradients of norm NORM are multiplied by, so that it is at most MAX_NORM
 * (torch.nn.utils.clip_grad_norm_; Pascanu et al. 2013, ICML). NaN stays. */
ELEM double elem_clip(double norm, double max_norm)
{
    double c = max_norm / (norm + 1e-6);

    return c > 1.0 ? 1.0 : c;
}

/* Run PART of PARTS adds its gradient G to those before it, pair by pair as the tree over microbatches
 * does: LEVEL[l * STRIDE] holds the sum of 2^l runs that wait for their partner. The sum of all
 * is what the last part returns. */
ELEM float elem_grad_sum(float g, float *level, size_t stride, int part, int parts)
{
    int l = 0;

    if (part + 1 < parts) {
        for (; part >> l & 1; l++)
            g = level[(size_t)l * stride] + g;
        level[(size_t)l * stride] = g;
        return g;
    }
    for (; part >> l; l++)
        if (part >> l & 1)
            g = level[(size_t)l * stride] + g;
    return g;
}

/* Written so that what does not change stays the same bits. */
ELEM float elem_ema(float average, float x, float one_minus_decay)
{
    return average + one_minus_decay * (x - average);
}

/* --- dropout -------------------------------------------------------------------------------- */

/* Dropout of element e of a picture: word e % 4 of philox_words(seed, RNG_DROPOUT = 4, epoch,
 * position, layer << 24 | e / 4); kept when the word is at least rate 2^32. RATE in [0, 1). */
ELEM uint32_t dropout_threshold(float rate)
{
    return (uint32_t)((double)rate * 4294967296.0);
}

ELEM float dropout_scale(float rate)
{
    return 1.0f / (1.0f - rate);
}

ELEM float dropout_elem(float x, uint32_t word, uint32_t threshold, float scale)
{
    return word >= threshold ? x * scale : 0.0f;
}

#endif
