/* mixing.h - MixUp and CutMix: which pictures of a batch are blended, and how much; touches no pixels.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_MIXING_H
#define PRESIZE_DATA_MIXING_H

#include "data/augment.h"
#include "step/picture.h"

/* Whether O mixes at all. */
bool mixing_is_on(const struct augment_options *o);

/* Draws the mixes of the N pictures of the batch whose first is at FIRST of EPOCH, for an output of SIZE
 * px. Partners are a random permutation of the batch.
 *   augment.mixup a: one share per picture, 1 - max(l, 1 - l) with l ~ Beta(a, a)
 *                    (Zhang, Cisse, Dauphin, Lopez-Paz 2018, ICLR; the max is fastai's)
 *   augment.cutmix a: one l ~ Beta(a, a) and one box per batch, sides size sqrt(1 - l) about a uniform
 *                    centre, cut off at the border; the share is the box's area
 *                    (Yun et al. 2019, ICCV) */
void mixing_draw(struct mix *mixes, int n, const struct augment_options *o, int size, uint64_t seed,
                 uint32_t epoch, uint32_t first);

#endif
