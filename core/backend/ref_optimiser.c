/* ref_optimiser.c - the optimiser's ops of the ref backend, in double.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "backend/elem.h"
#include "backend/ref.h"

/* elem.h's elem_grad_sum() on doubles. */
void ref_grad_sum(const struct ref_call *c)
{
    int part = c->step->part;
    bool last = step_is_last(c->step);

    for (size_t i = 0; i < c->in[0].n; i++) {
        double g = c->in[0].v[i];
        int level = 0;

        for (; last ? part >> level : part >> level & 1; level++)
            if (part >> level & 1)
                g += c->in[1].v[(size_t)level * c->in[0].n + i];
        if (!last)
            ref_store(&c->in[1], (size_t)level * c->in[0].n + i, g);
        ref_store(&c->out[0], i, g);
    }
}

void ref_grad_norm(const struct ref_call *c)
{
    c->out[0].v[0] = elem_clip(c->grad_norm, (double)c->op->max_norm);
}

/* As adam_elem() of elem.h. */
void ref_adam(const struct ref_call *c)
{
    const struct step *s = c->step;
    double lr = s->lr[c->op->group], wd = c->op->decay ? s->wd : 0.0;
    double bias1 = 1.0 - pow(s->mom, s->adam_step), bias2 = 1.0 - pow(s->sqr_mom, s->adam_step);
    double clip = c->in[4].v ? c->in[4].v[0] : 1.0;

    for (size_t i = 0; i < c->in[1].n; i++) {
        double g = clip * c->in[0].v[i];

        ref_store(&c->in[2], i, s->mom * c->in[2].v[i] + (1.0 - s->mom) * g);
        ref_store(&c->in[3], i, s->sqr_mom * c->in[3].v[i] + (1.0 - s->sqr_mom) * g * g);
        ref_store(&c->in[1], i,
                  c->in[1].v[i] * (1.0 - lr * wd) -
                      lr / bias1 * c->in[2].v[i] / (sqrt(c->in[3].v[i] / bias2) + s->eps));
    }
}

/* elem.h's sgd_elem() on doubles. */
void ref_sgd(const struct ref_call *c)
{
    const struct step *s = c->step;
    double lr = s->lr[c->op->group], wd = c->op->decay ? s->wd : 0.0;
    double clip = c->in[3].v ? c->in[3].v[0] : 1.0;

    for (size_t i = 0; i < c->in[1].n; i++) {
        double g = clip * c->in[0].v[i] + wd * c->in[1].v[i], step;

        ref_store(&c->in[2], i, s->mom * c->in[2].v[i] + g);
        step = c->op->nesterov ? g + s->mom * c->in[2].v[i] : c->in[2].v[i];
        ref_store(&c->in[1], i, c->in[1].v[i] - lr * step);
    }
}

void ref_ema(const struct ref_call *c)
{
    for (size_t i = 0; i < c->in[0].n; i++) {
        double average = c->in[1].v[i];

        ref_store(&c->in[1], i, average + (1.0 - c->step->ema_decay) * (c->in[0].v[i] - average));
    }
}
