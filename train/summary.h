/* summary.h - an experiment looked at without training: its parts, its op list, its cost.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TRAIN_SUMMARY_H
#define PRESIZE_TRAIN_SUMMARY_H

#include <stdbool.h>
#include <stdio.h>

#include "learn/session.h"
#include "link.h"

/* train --summary: parts, loss and why, phases, first batch (shapes, ranges, labels), memory; and the
 * network by stages, or with OPS every op. Lines of ops may be longer than 80 columns. */
int summary_print(FILE *out, struct session *s, bool ops, struct err *err) MUST_USE;

/* So many processes, each on a machine of its own, and the links between these. */
struct summary_ranks {
    int ranks; /* 0, 1: alone */
    struct link link;
};

/* train --plan: memory of every phase, and its time from a few steps run on the first batch. Of several RANKS also what
 * they would exchange, and how long a step takes. */
int summary_plan(FILE *out, struct session *s, const struct summary_ranks *ranks, const char *data,
                 const char *results, struct err *err) MUST_USE;
/* About how long the whole training takes, measured in the same way; nothing is printed. */
int summary_seconds(double *seconds, struct session *s, const char *data, const char *results,
                    struct err *err) MUST_USE;

#endif
