/* outcome.h - what a scoring gave, and what test-time augmentation changed.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_OUTCOME_H
#define PRESIZE_EVAL_OUTCOME_H

#include "request.h"

/* R->run on what --split, --set, --best and --tta ask for. */
int outcome_print(FILE *out, const struct request *r, struct err *err) MUST_USE;

#endif
