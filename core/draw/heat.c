/* heat.c - see heat.h. SPDX-License-Identifier: MIT */
#include "draw/heat.h"

#include <math.h>

#include "image/resize.h"

/* MAP at (y, x) of a square of SIDE pixels: half-pixel centres, the outer values go on to the edge. */
static double sample(const float *map, int map_side, int side, int y, int x)
{
    const double scale = (double)map_side / side, last = map_side - 1;
    const double v = fmin(fmax((y + 0.5) * scale - 0.5, 0), last);
    const double u = fmin(fmax((x + 0.5) * scale - 0.5, 0), last);
    const int top = (int)v, left = (int)u;
    const int bottom = top + (top < map_side - 1), right = left + (left < map_side - 1);
    const double down = v - top, across = u - left;
    const float *row = map + top * map_side, *next = map + bottom * map_side;

    return (1 - down) * ((1 - across) * (double)row[left] + across * (double)row[right]) +
           down * ((1 - across) * (double)next[left] + across * (double)next[right]);
}

/* The colours that the field uses for such maps, from blue over green to red ("jet"). */
static double colour(double value, double peak)
{
    return fmin(fmax(1.5 - fabs(4 * value - peak), 0), 1);
}

int heat_lay(uint8_t *out, int side, const uint8_t *pixels, int height, int width, const float *map,
             int map_side, struct err *err)
{
    const int square = height < width ? height : width;
    const struct box box = {(width - square) / 2, (height - square) / 2, square, square};
    struct resizer resizer = {0};
    const int rc = resize_bilinear(&resizer, out, side, side, pixels, height, width, box, err);

    resizer_free(&resizer);
    for (int i = 0; i < side * side && rc == 0; i++) {
        const double value = sample(map, map_side, side, i / side, i % side);

        for (int c = 0; c < 3; c++)
            out[3 * i + c] = (uint8_t)(0.5 * out[3 * i + c] + 127.5 * colour(value, 3 - c) + 0.5);
    }
    return rc;
}
