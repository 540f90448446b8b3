/* quality.h - what a run's predictions are worth beyond the error rate, for every view of them.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_QUALITY_H
#define PRESIZE_EVAL_QUALITY_H

#include "look.h"

/* Adds "metrics" (run/metrics.h) to ALL; null where L has no predictions. ERR_NOMEM. */
int quality_add(json_t *all, const struct look *l, struct err *err) MUST_USE;
/* Three lines for people, each after a margin as the overview has it; none where L has no predictions. ERR_NOMEM. */
int quality_print(FILE *out, const struct look *l, struct err *err) MUST_USE;

#endif
