/* charts.h - curves of several runs in one drawing: a line per run, or the mean of a recipe's runs.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_CHARTS_H
#define PRESIZE_EVAL_CHARTS_H

#include <stdio.h>

#include "base/err.h"

enum { CHARTS_LINES = 6 }; /* so many colours are told apart */

/* A run, or the mean of those of N runs that have epochs, as far as all of these have. */
struct chart_line {
    const char *name;
    char **folders; /* of N runs */
    size_t n;
};

/* The drawings of N lines, at most CHARTS_LINES: losses, error rate, learning rate; then a note of each line that is
 * not the mean of all its runs to the end. A write error stays in OUT. ERR_IO, ERR_FORMAT, ERR_NOMEM. */
int charts_put(FILE *out, const struct chart_line *lines, size_t n, struct err *err) MUST_USE;

#endif
