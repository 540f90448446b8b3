/* monitored.c - see monitored.h. SPDX-License-Identifier: MIT */
#include "monitored.h"

#include "record/metrics.h"

int monitored_find(struct monitored *m, const struct session *s, const struct verdict *v,
                   struct err *err)
{
    const enum monitor which = (enum monitor)s->e->train.watch.monitor;
    const struct predictions p = {.n = s->split->n_valid,
                                  .classes = s->network->classes,
                                  .actual = v->labels,
                                  .predicted = v->predicted,
                                  .prob = v->prob,
                                  .loss = v->loss};

    m->row = &monitor_rows[which];
    switch (which) {
    case MONITOR_VALID_LOSS:
        m->value = v->score.loss;
        return 0;
    case MONITOR_ERROR_RATE:
        m->value = v->score.error_rate;
        return 0;
    case MONITOR_ACCURACY:
        m->value = v->score.accuracy;
        return 0;
    default:
        return metrics_one(&m->value, which, &p, err);
    }
}
