/* plot_private.h - what plot.c and plot_confusion.c share.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_RECORD_PLOT_PRIVATE_H
#define PRESIZE_RECORD_PLOT_PRIVATE_H

#include "base/err.h"
#include "record/canvas.h"

struct plot_page {
    double width, height; /* px */
};
/* Draws WHAT onto a page and replaces PATH (.svg, .png) by it. */
int plot_page(const char *path, struct plot_page page,
              int (*draw)(struct canvas *c, const void *what, struct err *err), const void *what,
              struct err *err) MUST_USE;

#endif
