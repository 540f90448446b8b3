/* ref_head.c - the other ops of the ref backend: augmentation, relu, pools, dropout, loss, Adam.
 *
 * Augmentation and dropout's draws are elem.h's, bit for bit; the rest is in double.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/elem.h"
#include "backend/ref.h"
#include "base/rng.h"

/* The picture at place N of the batch, NULL for padding and for steps without pictures. */
static const struct picture *picture_at(const struct ref_call *c, int n)
{
    return c->step->pictures && n < c->step->n_pictures ? &c->step->pictures[n] : NULL;
}

static size_t plane_of(const struct ref_tensor *t)
{
    return (size_t)t->d[2] * (size_t)t->d[3];
}

void ref_augment(const struct ref_call *c)
{
    const struct ref_tensor *x = &c->out[0];
    size_t plane = plane_of(x);

    memset(x->v, 0, x->n * sizeof *x->v);
    for (int n = 0; n < x->d[0]; n++) {
        const struct picture *p = picture_at(c, n);

        if (!p)
            continue;
        for (int i = 0; i < x->d[2]; i++)
            for (int j = 0; j < x->d[3]; j++) {
                size_t at = (size_t)n * 3 * plane + (size_t)i * (size_t)x->d[3] + (size_t)j;
                float rgb[3];

                elem_sample(rgb, p->pixels, p->height, p->width, &p->map, j, i);
                for (size_t k = 0; k < 3; k++)
                    ref_store(x, at + k * plane, (double)rgb[k]);
            }
    }
}

void ref_relu(const struct ref_call *c)
{
    for (size_t i = 0; i < c->out[0].n; i++)
        ref_store(&c->out[0], i, c->in[0].v[i] < 0.0 ? 0.0 : c->in[0].v[i]);
}

void ref_relu_bwd(const struct ref_call *c)
{
    for (size_t i = 0; i < c->out[0].n; i++)
        ref_store(&c->out[0], i, c->in[1].v[i] > 0.0 ? c->in[0].v[i] : 0.0);
}

void ref_max_pool(const struct ref_call *c)
{
    const struct ref_tensor *x = &c->in[0], *y = &c->out[0];
    int h = x->d[2], w = x->d[3], p = y->d[2], q = y->d[3];

    for (int plane = 0; plane < x->d[0] * x->d[1]; plane++)
        for (int i = 0; i < p; i++)
            for (int j = 0; j < q; j++) {
                const double *in = x->v + (size_t)plane * plane_of(x);
                size_t at = (size_t)plane * plane_of(y) + (size_t)(i * q + j);
                double best = 0.0;
                int which = -1;

                for (int tap = 0; tap < 9; tap++) {
                    int row = 2 * i - 1 + tap / 3, col = 2 * j - 1 + tap % 3;

                    if (row < 0 || row >= h || col < 0 || col >= w)
                        continue;
                    if (which < 0 || in[row * w + col] > best) {
                        best = in[row * w + col];
                        which = tap;
                    }
                }
                ref_store(y, at, best);
                c->out[1].v[at] = which;
            }
}

void ref_max_pool_bwd(const struct ref_call *c)
{
    const struct ref_tensor *dy = &c->in[0], *dx = &c->out[0];
    int w = dx->d[3], p = dy->d[2], q = dy->d[3];

    memset(dx->v, 0, dx->n * sizeof *dx->v);
    for (int plane = 0; plane < dx->d[0] * dx->d[1]; plane++)
        for (int i = 0; i < p; i++)
            for (int j = 0; j < q; j++) {
                size_t at = (size_t)plane * plane_of(dy) + (size_t)(i * q + j);
                int tap = (int)c->in[2].v[at];
                int row = 2 * i - 1 + tap / 3, col = 2 * j - 1 + tap % 3;

                if (row < 0 || row >= dx->d[2] || col < 0 || col >= w)
                    continue; /* no argmax of a maximum points there */
                dx->v[(size_t)plane * plane_of(dx) + (size_t)(row * w + col)] +=
                    dy->v[at] + (c->in[1].v ? c->in[1].v[at] : 0.0);
            }
    for (size_t i = 0; i < dx->n; i++)
        ref_store(dx, i, dx->v[i]);
}

void ref_concat_pool(const struct ref_call *c)
{
    const struct ref_tensor *x = &c->in[0], *y = &c->out[0];
    size_t channels = (size_t)x->d[1], plane = plane_of(x);

    for (size_t nc = 0; nc < (size_t)x->d[0] * channels; nc++) {
        const double *in = x->v + nc * plane;
        size_t n = nc / channels, k = nc % channels, best = 0;
        double sum = 0.0;

        for (size_t i = 0; i < plane; i++) {
            sum += in[i];
            if (in[i] > in[best])
                best = i;
        }
        ref_store(y, n * 2 * channels + k, in[best]);
        ref_store(y, n * 2 * channels + channels + k, sum / (double)plane);
        c->out[1].v[nc] = (double)best;
    }
}

void ref_concat_pool_bwd(const struct ref_call *c)
{
    const struct ref_tensor *dy = &c->in[0], *dx = &c->out[0];
    size_t channels = (size_t)dx->d[1], plane = plane_of(dx);

    for (size_t nc = 0; nc < (size_t)dx->d[0] * channels; nc++) {
        size_t n = nc / channels, k = nc % channels, best = (size_t)c->in[1].v[nc];
        double max = dy->v[n * 2 * channels + k], mean = dy->v[n * 2 * channels + channels + k];

        for (size_t i = 0; i < plane; i++)
            ref_store(dx, nc * plane + i, mean / (double)plane + (i == best ? max : 0.0));
    }
}

/* Forward and backward alike: the same draws, x or dy scaled. */
void ref_dropout(const struct ref_call *c)
{
    const struct ref_tensor *x = &c->in[0];
    size_t per_picture = x->n / (size_t)x->d[0];
    uint32_t threshold = dropout_threshold(c->op->rate);
    double keep = 1.0 - (double)c->op->rate;

    for (int n = 0; n < x->d[0]; n++) {
        const struct picture *p = picture_at(c, n);
        uint32_t position = p ? p->position : (uint32_t)n;

        for (size_t e = 0; e < per_picture; e++) {
            size_t at = (size_t)n * per_picture + e;
            uint32_t draw = (uint32_t)c->op->layer << 24 | (uint32_t)(e / 4);
            uint32_t words[4];

            elem_philox(words, c->step->seed, RNG_DROPOUT, c->step->epoch, position, draw);
            ref_store(&c->out[0], at, words[e % 4] >= threshold ? x->v[at] / keep : 0.0);
        }
    }
}

void ref_softmax_loss(const struct ref_call *c)
{
    const struct ref_tensor *logits = &c->in[0], *prob = &c->out[0], *dlogits = &c->out[2];
    size_t classes = (size_t)logits->d[1];

    for (int n = 0; n < c->batch; n++) {
        const double *row = logits->v + (size_t)n * classes;
        const struct picture *picture = picture_at(c, n);
        int label = picture ? picture->label : -1;
        double max = row[0], sum = 0.0;

        for (size_t k = 1; k < classes; k++)
            max = row[k] > max ? row[k] : max;
        for (size_t k = 0; k < classes; k++)
            sum += exp(row[k] - max);
        for (size_t k = 0; k < classes; k++) {
            size_t at = (size_t)n * classes + k;
            double p = exp(row[k] - max) / sum;

            ref_store(prob, at, p);
            if (dlogits->v)
                ref_store(dlogits, at,
                          label < 0 ? 0.0 : (p - ((int)k == label ? 1.0 : 0.0)) / c->batch);
        }
        ref_store(&c->out[1], (size_t)n, label < 0 ? 0.0 : log(sum) - (row[label] - max));
    }
}

/* fastai.md 5.3 in double. */
void ref_adam(const struct ref_call *c)
{
    const struct step *s = c->step;
    double lr = s->lr[c->op->group], wd = c->op->decay ? s->wd : 0.0;
    double bias1 = 1.0 - pow(s->mom, s->adam_step), bias2 = 1.0 - pow(s->sqr_mom, s->adam_step);

    for (size_t i = 0; i < c->in[1].n; i++) {
        double g = c->in[0].v[i];

        ref_store(&c->in[2], i, s->mom * c->in[2].v[i] + (1.0 - s->mom) * g);
        ref_store(&c->in[3], i, s->sqr_mom * c->in[3].v[i] + (1.0 - s->sqr_mom) * g * g);
        ref_store(&c->in[1], i,
                  c->in[1].v[i] * (1.0 - lr * wd) -
                      lr / bias1 * c->in[2].v[i] / (sqrt(c->in[3].v[i] / bias2) + s->eps));
    }
}
