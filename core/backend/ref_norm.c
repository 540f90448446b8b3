/* ref_norm.c - batch norm of the ref backend: two passes in double over the whole batch.
 *
 * Ioffe and Szegedy 2015 (ICML); constants as in torchvision's ResNets.
 * SPDX-License-Identifier: MIT */
#include <math.h>

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

void ref_bn_bwd_stats(const struct ref_call *c)
{
    const struct ref_tensor *dz = &c->in[0], *dz2 = &c->in[1], *z = &c->in[2], *y = &c->in[3];
    const struct ref_tensor *stat = &c->in[4], *g = &c->out[0], *bstat = &c->out[1];
    size_t channels = (size_t)y->d[1];

    for (size_t k = 0; k < 2 * channels; k++)
        bstat->v[k] = 0.0;
    for (size_t i = 0; i < y->n; i++) {
        size_t k = channel(y, i);
        double sum = dz->v[i] + (dz2->v ? dz2->v[i] : 0.0);

        ref_store(g, i, z->v && !(z->v[i] > 0.0) ? 0.0 : sum);
        bstat->v[k] += g->v[i];
        bstat->v[channels + k] += g->v[i] * (y->v[i] - stat->v[k]) * stat->v[channels + k];
    }
    for (size_t k = 0; k < channels; k++) {
        ref_store(&c->out[2], k, bstat->v[channels + k]);
        ref_store(&c->out[3], k, bstat->v[k]);
    }
}

void ref_bn_bwd_apply(const struct ref_call *c)
{
    const struct ref_tensor *g = &c->in[0], *y = &c->in[1], *stat = &c->in[2], *bstat = &c->in[3];
    size_t channels = (size_t)y->d[1];
    double m = per_channel(y);

    for (size_t i = 0; i < y->n; i++) {
        size_t k = channel(y, i);
        double rstd = stat->v[channels + k];
        double hat = (y->v[i] - stat->v[k]) * rstd;

        ref_store(&c->out[0], i,
                  c->in[4].v[k] * rstd *
                      (g->v[i] - bstat->v[k] / m - hat * bstat->v[channels + k] / m));
    }
}
