/* monitored.c - see monitored.h. SPDX-License-Identifier: MIT */
#include "learn/monitored.h"

#include <math.h>

#include "run/metrics.h"

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

    for (int i = 0; i < MONITORS; i++)
        m->metric[i] = NAN;
    m->metric[MONITOR_VALID_LOSS] = v->score.loss;
    m->metric[MONITOR_ERROR_RATE] = v->score.error_rate;
    m->metric[MONITOR_ACCURACY] = v->score.accuracy;
    m->row = &monitor_rows[which];
    if (!m->row->always && metrics_one(&m->metric[which], which, &p, err) < 0)
        return -1;
    m->value = m->metric[which];
    return 0;
}
