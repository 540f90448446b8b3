/* ref_head.c - other ops of the ref backend: augmentation, relu, pools, dropout, loss.
 *
 * Augmentation is elem_sample.h's and dropout's draws are elem.h's, bit for bit; the rest is in double.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/elem_sample.h"
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

/* Output pixel (J, I) of the picture at place N, mixed where the step says so. */
static void sample(float rgb[3], const struct ref_call *c, int n, int j, int i)
{
    const struct picture *p = &c->step->pictures[n];
    const struct mix *m = c->step->mixes ? &c->step->mixes[n] : NULL;

    elem_sample(rgb, p->pixels, p->height, p->width, &p->map, j, i);
    if (m && m->partner != n) {
        float other[3];

        p = &c->step->pictures[m->partner];
        elem_sample(other, p->pixels, p->height, p->width, &p->map, j, i);
        for (int k = 0; k < 3; k++)
            rgb[k] = elem_mix(rgb[k], other[k], m, j, i);
    }
}

void ref_augment(const struct ref_call *c)
{
    const struct ref_tensor *x = &c->out[0];
    size_t plane = plane_of(x);

    memset(x->v, 0, x->n * sizeof *x->v);
    for (int n = 0; n < x->d[0]; n++)
        for (int i = 0; picture_at(c, n) && i < x->d[2]; i++)
            for (int j = 0; j < x->d[3]; j++) {
                size_t at = (size_t)n * 3 * plane + (size_t)i * (size_t)x->d[3] + (size_t)j;
                float rgb[3];

                sample(rgb, c, n, j, i);
                for (size_t k = 0; k < 3; k++)
                    ref_store(x, at + k * plane, (double)rgb[k]);
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
                    if (which < 0 || in[row * w + col] > best || isnan(in[row * w + col])) {
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
            if (in[i] > in[best] || isnan(in[i]))
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
static void drop(const struct ref_call *c)
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

            philox_words(words, c->step->seed, RNG_DROPOUT, c->step->epoch, position, draw);
            ref_store(&c->out[0], at, words[e % 4] >= threshold ? x->v[at] / keep : 0.0);
        }
    }
}

void ref_dropout(const struct ref_call *c)
{
    drop(c);
}

void ref_dropout_bwd(const struct ref_call *c)
{
    drop(c);
}

/* log(softmax(LOGITS)) into P. */
static void log_softmax(double *p, const double *logits, size_t classes)
{
    double max = logits[0], sum = 0.0;

    for (size_t k = 1; k < classes; k++)
        max = logits[k] > max ? logits[k] : max;
    for (size_t k = 0; k < classes; k++)
        sum += exp(logits[k] - max);
    for (size_t k = 0; k < classes; k++)
        p[k] = logits[k] - max - log(sum);
}

/* One picture's loss, from its LOG_P; its derivative by every log p_k into SLOPE. */
static double loss_of(double *slope, const double *log_p, size_t classes, const struct op *o,
                      const struct loss_target *t)
{
    double e = (double)o->smoothing, gamma = (double)o->focal, loss = 0.0;

    for (size_t k = 0; k < classes; k++) {
        slope[k] = t->label[0] < 0 ? 0.0 : -e / (double)classes;
        loss += slope[k] * log_p[k];
    }
    for (int j = 0; t->label[0] >= 0 && j < 2; j++) {
        double w = (1.0 - e) * (double)t->weight[j], q, l;

        if (t->label[j] < 0)
            continue;
        l = log_p[t->label[j]];
        q = -expm1(l);
        loss -= w * pow(q, gamma) * l;
        slope[t->label[j]] -=
            w * (pow(q, gamma) -
                 (gamma > 0.0 && q > 0.0 ? gamma * pow(q, gamma - 1.0) * exp(l) * l : 0.0));
    }
    return loss;
}

void ref_softmax_loss(const struct ref_call *c)
{
    const struct ref_tensor *logits = &c->in[0], *prob = &c->out[0], *dlogits = &c->out[2];
    size_t classes = (size_t)logits->d[1];
    double *log_p = calloc(2 * classes, sizeof *log_p), *slope = log_p + classes;

    BUG_IF(!log_p); /* a few hundred bytes */
    for (int n = 0; n < c->batch; n++) {
        struct loss_target t = step_target(c->step, n);
        double total = 0.0;

        log_softmax(log_p, logits->v + (size_t)n * classes, classes);
        ref_store(&c->out[1], (size_t)n, loss_of(slope, log_p, classes, c->op, &t));
        for (size_t k = 0; k < classes; k++)
            total += slope[k];
        for (size_t k = 0; k < classes; k++) {
            size_t at = (size_t)n * classes + k;

            ref_store(prob, at, exp(log_p[k]));
            if (dlogits->v)
                ref_store(dlogits, at,
                          (slope[k] - total * exp(log_p[k])) / step_pictures(c->step, c->batch));
        }
    }
    free(log_p);
}
