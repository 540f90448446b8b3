/* resize.h - Pillow's bilinear resize with antialiasing, bit for bit, vectorised.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_IMAGE_RESIZE_H
#define PRESIZE_IMAGE_RESIZE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Scratch that is reused from picture to picture; one per thread; start from all zero. */
struct resizer {
    void *memory;
    size_t capacity;
};
void resizer_free(struct resizer *r);

/* dst (out_h, out_w, 3) = resize of the box (left, top, width, height) of src (src_h, src_w, 3), as
 * crop() followed by resize((out_w, out_h), BILINEAR). All dense RGB uint8. ERR_NOMEM. */
struct box {
    int left, top, width, height;
};
int resize_bilinear(struct resizer *r, uint8_t *dst, int out_h, int out_w, const uint8_t *src,
                    int src_h, int src_w, struct box box, struct err *err) MUST_USE;

/* Presized shape: box to cut (centred, when longer than max_aspect times the
 * short side) and the size after resizing: short side SIZE, long side int(SIZE * long / short). */
struct presize {
    struct box box;
    int height, width;
};
struct presize presize_plan(int src_h, int src_w, int size, double max_aspect);

#endif
