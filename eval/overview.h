/* overview.h - one run at a glance, and all runs in a list.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_OVERVIEW_H
#define PRESIZE_EVAL_OVERVIEW_H

#include "request.h"

/* *PREDICTED: the run has predictions to look at. */
int overview_run(FILE *out, const struct request *r, bool *predicted, struct err *err) MUST_USE;
int overview_list(FILE *out, const struct request *r, struct err *err) MUST_USE;

#endif
