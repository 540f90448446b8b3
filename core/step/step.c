/* step.c - what a step means to a list of ops.
 * SPDX-License-Identifier: MIT */
#include "step/step.h"

#include <stddef.h>

#include "base/err.h"

bool step_is_last(const struct step *s)
{
    return s->part + 1 >= s->parts;
}

int step_batch(const struct step *s)
{
    return s->n_batch > 0 ? s->n_batch : s->n_pictures;
}

int step_pictures(const struct step *s, int batch)
{
    return (s->n_batch > 0 ? s->n_batch : batch) * (s->parts > 1 ? s->parts : 1);
}

struct loss_target step_target(const struct step *s, int n)
{
    struct loss_target t = {{-1, -1}, {1.0f, 0.0f}};
    const struct mix *m = s->mixes ? &s->mixes[n] : NULL;

    if (!s->pictures || n >= step_batch(s))
        return t;
    t.label[0] = s->pictures[n].label;
    t.weight[0] = s->weights ? s->weights[n] : 1.0f;
    if (!m || !(m->share > 0.0f))
        return t;
    BUG_IF(m->partner < 0 || m->partner >= step_batch(s));
    t.label[1] = s->pictures[m->partner].label;
    t.weight[0] *= 1.0f - m->share;
    t.weight[1] = m->share * (s->weights ? s->weights[m->partner] : 1.0f);
    return t;
}
