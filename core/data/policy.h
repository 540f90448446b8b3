/* policy.h - TrivialAugment: one random operation on each picture (Muller and Hutter 2021, ICCV).
 *
 * The operations and their strengths are those of torchvision's TrivialAugmentWide with its 31 bins. Operations on
 * values change the presized pixels and have Pillow's bits (ImageEnhance, ImageOps, which torchvision calls for a PIL
 * image). Operations on places are a matrix, which joins the picture's one interpolation.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_POLICY_H
#define PRESIZE_DATA_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum policy_kind {
    POLICY_IDENTITY,
    POLICY_SHEAR_X,
    POLICY_SHEAR_Y,
    POLICY_TRANSLATE_X,
    POLICY_TRANSLATE_Y,
    POLICY_ROTATE,
    POLICY_BRIGHTNESS,
    POLICY_COLOR,
    POLICY_CONTRAST,
    POLICY_SHARPNESS,
    POLICY_POSTERIZE,
    POLICY_SOLARIZE,
    POLICY_AUTOCONTRAST,
    POLICY_EQUALIZE,
    POLICY_KINDS
};
enum { POLICY_BINS = 31 };

struct policy {
    int kind;
    /* shear: a share of the side. Translate: px. Rotate: degrees, counter-clockwise. Brightness to sharpness: added to
     * the factor 1. Posterize: bits that stay. Solarize: the first level that is inverted. Others: 0 */
    double strength;
};

/* Of KIND, in bin BIN of POLICY_BINS; NEGATIVE counts only where a strength has a sign. */
struct policy policy_of(int kind, int bin, bool negative);
/* For the picture at POSITION of EPOCH: kind, bin and sign are uniform. */
struct policy policy_draw(uint64_t seed, uint32_t epoch, uint32_t position);

/* The map from output to source of an operation on places, row-major 3 x 3 on coordinates that are -1 and 1 at the
 * borders of an output of SIZE px, x to the right. Others: the identity. */
void policy_matrix(double m[9], const struct policy *p, int size);
/* What an operation on values does to PIXELS (height, width, 3), in place. Others: nothing. ERR_NOMEM. */
int policy_apply(uint8_t *pixels, int height, int width, const struct policy *p,
                 struct err *err) MUST_USE;

#endif
