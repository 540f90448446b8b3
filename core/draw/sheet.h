/* sheet.h - a contact sheet: pictures in rows on white, each with a label and a note, as PNG.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DRAW_SHEET_H
#define PRESIZE_DRAW_SHEET_H

#include <stdint.h>

#include "base/err.h"

struct sheet;

/* Room for N pictures in rows of at most COLUMNS, each in a square of SIDE_PX. ERR_NOMEM, ERR_INPUT
 * (larger than a PNG of ours may be). */
int sheet_new(struct sheet **out, int n, int columns, int side_px, struct err *err) MUST_USE;
/* Draws a picture into cell CELL, [0, n), row by row: whole, centred, scaled until its longer side
 * fills the cell (pixels stay squares where it grows).
 *   pixels  (height, width, 3), uint8, RGB, dense
 * LABEL and the smaller NOTE stand below, cut to the cell's width; either may be "". ERR_NOMEM. */
int sheet_put(struct sheet *s, int cell, const uint8_t *pixels, int height, int width,
              const char *label, const char *note, struct err *err) MUST_USE;
/* ERR_INPUT unless PATH ends in .png, which is what is written. */
int sheet_check_path(const char *path, struct err *err) MUST_USE;
/* Replaces PATH. ERR_INPUT as above, ERR_IO, ERR_FULL, ERR_NOMEM. */
int sheet_write(struct sheet *s, const char *path, struct err *err) MUST_USE;
void sheet_free(struct sheet *s); /* NULL is fine */

#endif
