/* show_batch.h - train --show-batch: what the network sees after augmentation, on a contact sheet.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TRAIN_SHOW_BATCH_H
#define PRESIZE_TRAIN_SHOW_BATCH_H

#include "learn/session.h"

/* Writes PNG: the first nine training pictures of the first epoch, mixed as its first batch mixes them (where that is
 * smaller, as one of nine), or, where UNIQUE, nine augmentations of its first picture. The pixels are what the
 * backend's first op gave, with the normalisation undone. A line for each picture and the file's name go to OUT. */
int show_batch(FILE *out, const struct session *s, const char *png, bool unique,
               struct err *err) MUST_USE;

/* A network's input back to pixels: X (3, SIZE, SIZE), normalised, to PIXELS (SIZE, SIZE, 3). */
void show_pixels(uint8_t *pixels, const float *x, int size);

#endif
