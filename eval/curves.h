/* curves.h - a run's curves in the terminal, once or while it trains.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_CURVES_H
#define PRESIZE_EVAL_CURVES_H

#include <stdio.h>

#include "base/err.h"
#include "request.h"

/* Loss, error rate and learning rate of the run, also of one in progress; in braille where the locale is UTF-8. */
int curves_print(FILE *out, const struct request *r, struct err *err) MUST_USE;
/* Follows a run until it ends or SIGINT comes: on a terminal the curves, drawn again when there is more; else a
 * line per epoch. ERR_INPUT when the run ended otherwise than done. */
int curves_watch(const struct request *r, struct err *err) MUST_USE;

#endif
