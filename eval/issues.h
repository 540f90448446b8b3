/* issues.h - eval --issues: pictures by how likely their label is wrong.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_ISSUES_H
#define PRESIZE_EVAL_ISSUES_H

#include "request.h"

/* Writes issues.csv beside the run (into the study's folder, or that of results, for several) and prints what it says,
 * the first R->count rows in the terminal. Where labels are wrong on purpose (data.plant): precision and recall of the
 * finder, too. */
int issues_print(FILE *out, const struct request *r, struct err *err) MUST_USE;

#endif
