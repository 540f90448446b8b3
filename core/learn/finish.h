/* finish.h - what a run leaves behind when it is done: predictions, plots, final numbers, report.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_LEARN_FINISH_H
#define PRESIZE_LEARN_FINISH_H

#include "learn/loop.h"

/* The phase whose size validates and predicts once the run is done. */
int finish_phase(const struct session *s, const struct state *st);
/* Writes predictions.csv and .h5, confusion.csv, per_class.csv, plots, metrics.json and report.html
 * of the final weights into the run's FOLDER. V is the last validation; scored again when it is not
 * fresh. RUN is NULL in all processes but the first. The phase that is prepared may be released. */
int finish_run(struct session *s, struct run *run, const char *folder, const struct state *st,
               struct verdict *v, struct err *err) MUST_USE;

#endif
