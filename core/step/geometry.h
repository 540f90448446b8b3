/* geometry.h - one picture's way from presized pixels to a network's input: data draws it, a backend samples by it.
 * In the common subset of C17 and CUDA C++, as all structs of this folder. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_STEP_GEOMETRY_H
#define PRESIZE_STEP_GEOMETRY_H

#include <stdint.h>

/* What augment.mode fastai needs besides: a square of the picture is sampled once by m, K = 1, which
 * then maps pixel to pixel within the square, positions outside reflected about its outer pixels'
 * centres; of the result, as large as the square, a crop is averaged down (area) where the grid
 * would skip pixels, and sampled again on a grid whose outer pixels are the crop's. */
struct two_steps {
    int32_t side;      /* of the square, pixels; 0: one interpolation, the rest is unused */
    int32_t left, top; /* of the square in the picture */
    int32_t crop_side, crop_left, crop_top; /* in the first result */
    int32_t area; /* side that the crop is averaged down to; crop_side: it is not */
    float step;   /* pixels of that for one of the output */
};

/* Output pixel (column j, row i) stands at source position (x, y) in pixels, pixel centres at whole
 * numbers:
 *   (a, b, c) = m * (j, i, 1),  x = a / c,  y = b / c
 * then K x K bilinear samples over the output pixel's footprint, averaged; then lighting in logit
 * space, y = sigmoid(contrast * (logit(x) + brightness)), skipped when LIGHTING is 0; then ImageNet
 * normalisation. Positions outside the picture are reflected about its edge (the outer pixels' outer
 * border, -0.5 and width - 0.5), or black. */
struct sample_map {
    float m[9];       /* row-major 3 x 3 */
    int32_t k;        /* samples per axis per output pixel, 1 to 3 */
    int32_t lighting; /* 0 or 1 */
    float brightness; /* logit(b), added */
    float contrast;   /* > 0, multiplies */
    int32_t black;    /* 0 or 1: outside the picture */
    /* After lighting, torchvision's saturation and hue on colours in [0, 1]. */
    int32_t colour;   /* 0 or 1: both are skipped or not */
    float saturation; /* share of the picture in a blend with its grey, >= 0; 1: as it is */
    float hue;        /* added, in sixths of the circle, [-3, 3] */
    /* Random erasing: output columns [left, right), rows [top, bottom) are 0 after normalisation. Empty: none. */
    struct {
        int32_t left, top, right, bottom;
    } erased;
    struct two_steps two;
};

#endif
