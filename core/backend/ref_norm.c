/* ref_norm.c - batch norm of the ref backend: two passes in double over the whole batch.
 *
 * Ioffe and Szegedy 2015 (ICML); constants as in torchvision's ResNets.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "backend/ref.h"

/* Channel of element I of T. */
static size_t channel(const struct ref_tensor *t, size_t i)
{
    return i / ((size_t)t->d[2] * (size_t)t->d[3]) % (size_t)t->d[1];
}

/* Elements of one channel: batch h w. */
static double per_channel(const struct ref_tensor *t)
{
    return (double)t->n / (double)t->d[1];
}

/* Of the mask over T's elements: where element I's bit is, and its value. */
static size_t byte_of(const struct ref_tensor *t, size_t i)
{
    size_t pixels = (size_t)t->d[2] * (size_t)t->d[3];

    return i / pixels / 8 * pixels + i % pixels;
}

static unsigned bit_of(const struct ref_tensor *t, size_t i)
{
    return 1u << channel(t, i) % 8;
}

static double relu(double x, bool on)
{
    return on && x < 0.0 ? 0.0 : x;
}

void ref_bn_stats(const struct ref_call *c)
{
    const struct ref_tensor *y = &c->in[0], *stat = &c->out[0];
    size_t channels = (size_t)y->d[1];
    double m = per_channel(y);
    double *mean = stat->v, *rstd = stat->v + channels;

    for (size_t k = 0; k < 2 * channels; k++)
        stat->v[k] = 0.0;
    for (size_t i = 0; i < y->n; i++)
        mean[channel(y, i)] += y->v[i];
    for (size_t k = 0; k < channels; k++)
        mean[k] /= m;
    for (size_t i = 0; i < y->n; i++) {
        double d = y->v[i] - mean[channel(y, i)];

        rstd[channel(y, i)] += d * d;
    }
    for (size_t k = 0; k < channels; k++) {
        double unbiased = rstd[k] / (m > 1.0 ? m - 1.0 : 1.0);

        if (c->in[1].v) {
            ref_store(&c->in[1], k, (1.0 - BN_MOMENTUM) * c->in[1].v[k] + BN_MOMENTUM * mean[k]);
            ref_store(&c->in[2], k, (1.0 - BN_MOMENTUM) * c->in[2].v[k] + BN_MOMENTUM * unbiased);
        }
        rstd[k] = 1.0 / sqrt(rstd[k] / m + BN_EPS);
    }
}

void ref_bn_apply(const struct ref_call *c)
{
    const struct ref_tensor *y = &c->in[0], *residual = &c->in[4];
    size_t channels = (size_t)y->d[1];

    for (size_t i = 0; i < y->n; i++) {
        size_t k = channel(y, i);
        double hat = (y->v[i] - c->in[1].v[k]) * c->in[1].v[channels + k];
        double z = hat * c->in[2].v[k] + c->in[3].v[k] + (residual->v ? residual->v[i] : 0.0);

        ref_store(&c->out[0], i, relu(z, c->op->relu));
    }
    for (size_t i = 0; c->out[1].v && i < c->out[1].n; i++)
        c->out[1].v[i] = 0.0;
    for (size_t i = 0; c->out[1].v && i < y->n; i++)
        if (c->out[0].v[i] > 0.0)
            c->out[1].v[byte_of(y, i)] += bit_of(y, i);
}

void ref_bn_infer(const struct ref_call *c)
{
    const struct ref_tensor *y = &c->in[0], *residual = &c->in[5];

    for (size_t i = 0; i < y->n; i++) {
        size_t k = channel(y, i);
        double hat = (y->v[i] - c->in[1].v[k]) / sqrt(c->in[2].v[k] + BN_EPS);
        double z = hat * c->in[3].v[k] + c->in[4].v[k] + (residual->v ? residual->v[i] : 0.0);

        ref_store(&c->out[0], i, relu(z, c->op->relu));
    }
}

/* What flows into the norm behind Y: DZ where its output (before the ReLU) is above 0. */
static double through_relu(const struct ref_tensor *y, const struct ref_tensor *dz,
                           const struct ref_tensor *stat, const struct ref_tensor *gamma,
                           const struct ref_tensor *beta, size_t i)
{
    size_t k = channel(y, i);
    double hat = (y->v[i] - stat->v[k]) * stat->v[(size_t)y->d[1] + k];

    return hat * gamma->v[k] + beta->v[k] > 0.0 ? dz->v[i] : 0.0;
}

/* Adds element I's share of the sums, G flowing in. */
static void add_sums(const struct ref_tensor *bstat, const struct ref_tensor *y,
                     const struct ref_tensor *stat, size_t i, double g)
{
    size_t k = channel(y, i), channels = (size_t)y->d[1];

    bstat->v[k] += g;
    bstat->v[channels + k] += g * (y->v[i] - stat->v[k]) * stat->v[channels + k];
}

static double bwd_apply(const struct ref_tensor *y, const struct ref_tensor *stat,
                        const struct ref_tensor *bstat, const struct ref_tensor *gamma, size_t i,
                        double g)
{
    size_t k = channel(y, i), channels = (size_t)y->d[1];
    double m = per_channel(y), rstd = stat->v[channels + k];
    double hat = (y->v[i] - stat->v[k]) * rstd;

    return gamma->v[k] * rstd * (g - bstat->v[k] / m - hat * bstat->v[channels + k] / m);
}

static void store_sums(const struct ref_tensor *bstat, const struct ref_tensor *dgamma,
                       const struct ref_tensor *dbeta)
{
    for (size_t k = 0; k < dbeta->n; k++) {
        ref_store(dgamma, k, bstat->v[dbeta->n + k]);
        ref_store(dbeta, k, bstat->v[k]);
    }
}

static bool masked_out(const struct ref_tensor *mask, const struct ref_tensor *y, size_t i)
{
    return mask->v && !((unsigned)mask->v[byte_of(y, i)] & bit_of(y, i));
}

void ref_bn_bwd_stats(const struct ref_call *c)
{
    const struct ref_tensor *dz = &c->in[0], *dz2 = &c->in[1], *mask = &c->in[2], *y = &c->in[3];
    const struct ref_tensor *g = c->out[0].v ? &c->out[0] : dz, *bstat = &c->out[1];

    memset(bstat->v, 0, bstat->n * sizeof *bstat->v);
    for (size_t i = 0; i < y->n; i++) {
        double sum = dz->v[i] + (dz2->v ? dz2->v[i] : 0.0);

        if (g != dz)
            ref_store(g, i, masked_out(mask, y, i) ? 0.0 : sum);
        add_sums(bstat, y, &c->in[4], i, g->v[i]);
    }
    store_sums(bstat, &c->out[2], &c->out[3]);
}

void ref_bn_bwd_apply(const struct ref_call *c)
{
    for (size_t i = 0; i < c->out[0].n; i++)
        ref_store(&c->out[0], i,
                  bwd_apply(&c->in[1], &c->in[2], &c->in[3], &c->in[4], i, c->in[0].v[i]));
}

void ref_bn_relu_bwd_stats(const struct ref_call *c)
{
    const struct ref_tensor *y = &c->in[1], *bstat = &c->out[0];

    memset(bstat->v, 0, bstat->n * sizeof *bstat->v);
    for (size_t i = 0; i < y->n; i++)
        add_sums(bstat, y, &c->in[2], i,
                 through_relu(y, &c->in[0], &c->in[2], &c->in[3], &c->in[4], i));
    store_sums(bstat, &c->out[1], &c->out[2]);
}

void ref_bn_relu_bwd_apply(const struct ref_call *c)
{
    const struct ref_tensor *y = &c->in[1];

    for (size_t i = 0; i < y->n; i++)
        ref_store(&c->out[0], i,
                  bwd_apply(y, &c->in[2], &c->in[3], &c->in[4], i,
                            through_relu(y, &c->in[0], &c->in[2], &c->in[4], &c->in[5], i)));
}
