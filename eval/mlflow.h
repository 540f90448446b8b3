/* mlflow.h - a run as MLflow's file store has runs, so that its tools and pages show it.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_MLFLOW_H
#define PRESIZE_EVAL_MLFLOW_H

#include <stdio.h>

#include "request.h"

/* Adds R->run to the store R->folder, which is made where it is not there, and prints where. The experiment is the one
 * named like the run's set. A run that is there already is not touched: ERR_INPUT. ERR_IO, ERR_FULL, ERR_NOMEM. */
int mlflow_export(FILE *out, const struct request *r, struct err *err) MUST_USE;

#endif
