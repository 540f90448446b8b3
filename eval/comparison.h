/* comparison.h - runs side by side: what differs between them, and whether their results do.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_COMPARISON_H
#define PRESIZE_EVAL_COMPARISON_H

#include "request.h"

/* R->words: two runs or more; each of the others is tested against the first on the same pictures.
 * *REGRESSION: whether one of them is distinguishably worse than the first. With
 * fail_on_regression it is an error (ERR_INPUT) when a pair cannot be tested. */
int comparison_print(FILE *out, const struct request *r, bool *regression,
                     struct err *err) MUST_USE;

#endif
