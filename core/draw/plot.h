/* plot.h - SVG and PNG drawings: curves, confusion matrix; curves as text for a terminal.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DRAW_PLOT_H
#define PRESIZE_DRAW_PLOT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

struct plot_series {
    const char *name;
    const double *x, *y; /* n; points that are not finite are left out */
    int n;
    bool points; /* a dot at each */
};
struct plot_options {
    const char *title, *x_label, *y_label;
    bool log_x;   /* points with x <= 0 are then left out */
    bool whole_x; /* x counts something: ticks at whole numbers only */
    /* a few points far above the rest (a loss that jumps) leave the frame, and the plot says so */
    bool calm;
    int width, height; /* px; 0: 720 x 420 */
};
/* PATH ends in .svg or .png; replaced whole or not at all. Equal input gives equal bytes (PNG: on one
 * machine, with its fonts). */
int plot_lines(const char *path, const struct plot_options *o, const struct plot_series *series,
               int n, struct err *err) MUST_USE;
/* The same as SVG onto FILE, for a page. A write error stays in FILE. */
int plot_lines_svg(FILE *file, const struct plot_options *o, const struct plot_series *series,
                   int n, struct err *err) MUST_USE;
/* The same as text: ROWS lines of curve (at least 2), at most COLUMNS (at least 40) wide, with a title, two
 * lines of axis and where points lie above the frame or are not finite a line that says so. A series with
 * points is a mark at each, another is a line. BRAILLE: 2 x 4 dots a character, in UTF-8; else ASCII, 1 x 2.
 * Equal input gives equal bytes. A write error stays in FILE. ERR_NOMEM. */
struct plot_screen {
    int columns, rows;
    bool braille;
};
int plot_lines_text(FILE *file, const struct plot_options *o, const struct plot_series *series,
                    int n, const struct plot_screen *screen, struct err *err) MUST_USE;
/* COUNTS (classes, classes): rows actual, columns predicted. Cells shaded by row share, right ones
 * blue, mistakes red; counts printed where there is room; labels rotated below. */
int plot_confusion(const char *path, const char *title, const uint32_t *counts, char *const *vocab,
                   int32_t classes, struct err *err) MUST_USE;
/* The same as a PNG in memory, one pixel for each unit. The caller frees BYTES. ERR_INPUT: a side would have more than
 * PLOT_PNG_MOST pixels; ERR_NOMEM, ERR_IO. */
enum { PLOT_PNG_MOST = 4096 };
struct plot_png {
    char *bytes;
    size_t size;
    int width, height; /* px */
};
int plot_confusion_png(struct plot_png *out, const char *title, const uint32_t *counts,
                       char *const *vocab, int32_t classes, struct err *err) MUST_USE;

#endif
