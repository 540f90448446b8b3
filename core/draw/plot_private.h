/* plot_private.h - what plot.c, plot_frame.c, plot_text.c and plot_confusion.c share.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DRAW_PLOT_PRIVATE_H
#define PRESIZE_DRAW_PLOT_PRIVATE_H

#include "base/err.h"
#include "draw/canvas.h"
#include "draw/plot.h"

struct plot_page {
    double width, height; /* px */
};
/* Draws WHAT onto a page and replaces PATH (.svg, .png) by it. */
int plot_page(const char *path, struct plot_page page,
              int (*draw)(struct canvas *c, const void *what, struct err *err), const void *what,
              struct err *err) MUST_USE;

struct plot_range {
    double low, high;
};
struct plot_frame {
    struct plot_range x, y; /* x is log10 under log_x */
    double highest;         /* of all points, above the frame under calm; else y.high or less */
};
/* Of all points that are finite; y.low and y.high at ticks. ERR_NOMEM. */
int plot_frame_find(struct plot_frame *f, const struct plot_options *o,
                    const struct plot_series *series, int n, int ticks, struct err *err) MUST_USE;
/* 1, 2 or 5 times a power of ten, so that at most MOST fit. */
double plot_tick_step(struct plot_range r, int most);
/* That of the lower axis: whole powers of ten under log_x, whole numbers under whole_x. */
double plot_x_step(const struct plot_options *o, struct plot_range x, int most);
/* Point I in the frame's units; whether it is finite. */
bool plot_point(const struct plot_options *o, const struct plot_series *s, int i, double *x,
                double *y);

#endif
