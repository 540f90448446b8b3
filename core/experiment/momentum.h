/* momentum.h - the momentum of a run as its recipe has it: no file records it.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EXPERIMENT_MOMENTUM_H
#define PRESIZE_EXPERIMENT_MOMENTUM_H

#include <jansson.h>

#include "experiment/experiment.h"

/* [[epochs since the run began, momentum], ...], at most some 600 points, owned by the caller; NULL: out of memory, or
 * a recipe that cannot be expanded. */
json_t *experiment_momentum(const struct experiment *e);

#endif
