/* useful.h - an experiment for a new run: a key that would do nothing is refused or warned of.
 *
 * What was recorded is read with experiment_read(): an older run may have such a key.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_LEARN_USEFUL_H
#define PRESIZE_LEARN_USEFUL_H

#include "experiment/experiment.h"

/* As experiment_read(); ERR_INPUT, too, where a key of the optimiser that is not at its default has no effect in the
 * phases. Other keys without effect are warned of. */
int useful_read(struct experiment **out, const char *name, char *const *words, int n,
                struct err *err) MUST_USE;

#endif
