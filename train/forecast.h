/* forecast.h - a study before it starts: how many runs, how long, how much disk, and what it can show.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TRAIN_FORECAST_H
#define PRESIZE_TRAIN_FORECAST_H

#include <stdio.h>

#include "worker.h"

/* train --study FILE --plan. Time is measured by a few steps of at most eight recipes. */
int forecast_print(FILE *out, const struct worker *w, struct err *err) MUST_USE;

#endif
