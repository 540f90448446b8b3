/* monitored.h - the metrics of a validation that its line of metrics.jsonl has.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_LEARN_MONITORED_H
#define PRESIZE_LEARN_MONITORED_H

#include "base/monitor.h"
#include "learn/loop.h"

struct monitored {
    double metric[MONITORS];       /* NAN: not computed */
    const struct monitor_row *row; /* of train.monitor */
    double value;                  /* its metric; lower is better, or higher where ROW says so */
};
/* Of V, a verdict on the validation pictures, in every process alike. ERR_NOMEM. */
int monitored_find(struct monitored *m, const struct session *s, const struct verdict *v,
                   struct err *err) MUST_USE;

#endif
