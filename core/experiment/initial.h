/* initial.h - where the weights that a run begins with come from.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EXPERIMENT_INITIAL_H
#define PRESIZE_EXPERIMENT_INITIAL_H

#include "experiment/experiment.h"

/* What follows "run:" in model.weights; NULL: it names no run. */
const char *initial_run(const struct experiment *e);
/* The file that model.weights means, below DATA or the folder RUN of an earlier run; "" for none. ERR_INPUT says how to
 * get it where it is missing. */
int initial_file(char out[PATH_LEN], const struct experiment *e, const char *data, const char *run,
                 struct err *err) MUST_USE;

#endif
