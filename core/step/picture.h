/* picture.h - a picture of a batch, what is mixed into it, and what its loss is measured against.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_STEP_PICTURE_H
#define PRESIZE_STEP_PICTURE_H

#include <stdint.h>

#include "step/geometry.h"

/* Another picture of the same batch, blended in by its own map, after normalisation. */
struct mix {
    int32_t partner; /* place in the batch; its own with share 0: nothing is mixed */
    float share;     /* of the partner in the label, [0, 1] */
    /* An empty box: pixels are blended by that share, too (MixUp). Else the partner's pixels stand in
     * the box, columns [left, right), rows [top, bottom) of the output, and nowhere else (CutMix). */
    int32_t left, top, right, bottom;
};

/* What a picture's loss is measured against: one class, or two where pictures are mixed. */
struct loss_target {
    int32_t label[2]; /* in [0, classes); [0] -1: unknown, loss 0; [1] -1: no second one */
    float weight[2];  /* >= 0: class weight times share */
};

/* A borrowed presized picture: dense RGB, uint8, (height, width, 3). */
struct picture {
    const uint8_t *pixels; /* NULL: the device keeps them */
    int32_t height, width;
    struct sample_map map;
    int32_t label;      /* in [0, classes); -1: unknown */
    uint32_t position;  /* place in the epoch: the item's counter for dropout and mixup */
    uint32_t set, rank; /* of an open set's number SET, from 1, the picture RANK; 0, 0: of none */
};

#endif
