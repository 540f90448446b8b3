/* plot.h - SVG (and PNG) drawings by cairo: curves, confusion matrix.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_RECORD_PLOT_H
#define PRESIZE_RECORD_PLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct plot_series { const char *name; const double *x, *y; int n; bool points; };
struct plot_options { const char *title, *x_label, *y_label; bool log_x; };
/* PATH ends in .svg or .png. Deterministic bytes for equal input. */
int plot_lines(const char *path, const struct plot_options *o, const struct plot_series *series,
               int n, struct err *err) MUST_USE;
/* Rows actual, columns predicted, cells shaded by row share, counts printed; labels rotated below. */
int plot_confusion(const char *path, const char *title, const uint32_t *counts, char *const *vocab,
                   int32_t classes, struct err *err) MUST_USE;

#endif
