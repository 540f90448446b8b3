/* picture_quality.h - pictures that may be of no use, by what can be measured of one presized picture.
 *
 * Only names them: nothing is dropped or changed. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_PICTURE_QUALITY_H
#define PRESIZE_DATA_PICTURE_QUALITY_H

#include <stdint.h>

#include "base/err.h"

enum quality_fault { /* bits */
                     QUALITY_DARK = 1,
                     QUALITY_LIGHT = 2,
                     QUALITY_BLURRED = 4,
                     QUALITY_CONSTANT = 8, /* picture_hash()'s flat */
                     QUALITY_TINY = 16,
                     QUALITY_ODD_ASPECT = 32
};
enum { QUALITY_FAULTS = 6 };
extern const char *const quality_names[QUALITY_FAULTS]; /* of the bits, in their order */

struct quality {
    double light_px; /* brightness that 1 % of the pixels exceed, in [0, 1]; DARK below 0.32 */
    /* brightness that 5 % of the pixels do not reach, in [0, 1]; LIGHT from 0.95 on */
    double dark_px;
    double detail; /* finest detail over that at a quarter of the size, >= 0; BLURRED below 0.04 */
    double aspect; /* longer side over shorter as decoded, >= 1; ODD_ASPECT above 1 / 0.35 */
    unsigned faults;
};

/* PIXELS (height, width, 3), RGB, presized; the ORIGINAL sides in px as decoded. TINY: the original's short side is
 * less than half of the presized one. ERR_NOMEM. */
int quality_measure(struct quality *q, const uint8_t *pixels, uint32_t height, uint32_t width,
                    uint32_t original_height, uint32_t original_width, struct err *err) MUST_USE;

#endif
