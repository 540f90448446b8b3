/* heat.h - a map laid over a picture, as colours.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DRAW_HEAT_H
#define PRESIZE_DRAW_HEAT_H

#include <stdint.h>

#include "base/err.h"

/* OUT (side, side, 3) = the centre square of PIXELS (height, width, 3), half of it, and half of the colours of MAP
 * (map_side, map_side), from 0 (blue) to 1 (red), enlarged bilinearly. Dense RGB uint8. ERR_NOMEM. */
int heat_lay(uint8_t *out, int side, const uint8_t *pixels, int height, int width, const float *map,
             int map_side, struct err *err) MUST_USE;

#endif
