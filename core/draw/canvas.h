/* canvas.h - the few shapes that the plots are made of, drawn as SVG text or by cairo as PNG.
 *
 * SVG is written by hand: cairo's own has outlines of the fonts of this machine for text (nothing to
 * search or select) and numbers its parts through the whole process, so that equal pictures differ.
 * Units are pixels, x to the right, y down. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DRAW_CANVAS_H
#define PRESIZE_DRAW_CANVAS_H

#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

struct canvas;
enum anchor { ANCHOR_START, ANCHOR_MIDDLE, ANCHOR_END };

/* Finds the font, for which fontconfig writes its cache: before sandbox_enter(), where a PNG may be drawn behind it.
 * Takes 10 ms. */
void canvas_find_font(void);

/* White, WIDTH x HEIGHT. svg: onto FILE, borrowed; png: in memory, SCALE x SCALE pixels for each unit. */
int canvas_new_svg(struct canvas **out, FILE *file, double width, double height,
                   struct err *err) MUST_USE;
int canvas_new_png(struct canvas **out, double width, double height, int scale,
                   struct err *err) MUST_USE;
/* Ends the SVG; a write error stays in the FILE. */
void canvas_end_svg(struct canvas *c);
/* Onto FILE. A write error stays in FILE. ERR_IO: cairo cannot make the PNG. */
int canvas_put_png(struct canvas *c, FILE *file, struct err *err) MUST_USE;
/* Replaces PATH. ERR_IO, ERR_FULL, ERR_NOMEM. */
int canvas_write_png(struct canvas *c, const char *path, struct err *err) MUST_USE;
void canvas_free(struct canvas *c); /* NULL is fine */

/* COLOUR 0xrrggbb. TIP (may be NULL) is what a browser shows when the mouse is over it. */
void canvas_rect(struct canvas *c, double x, double y, double w, double h, uint32_t colour,
                 const char *tip);
void canvas_line(struct canvas *c, const double *x, const double *y, size_t n, uint32_t colour,
                 double width);
void canvas_dashes(struct canvas *c, const double *x, const double *y, size_t n, uint32_t colour,
                   double width); /* the same line, dashed */
void canvas_dot(struct canvas *c, double x, double y, double radius, uint32_t colour);
/* The text's baseline begins, has its middle or ends at (x, y); turned by DEGREES, clockwise. */
void canvas_text(struct canvas *c, double x, double y, double size, enum anchor anchor,
                 double degrees, uint32_t colour, const char *text);
/* About how wide TEXT is: fonts differ, layouts must not. */
double canvas_text_width(const char *text, double size);

void draw_libraries(FILE *file); /* for base/version.h */

#endif
