/* weighting.h - what a class weighs in the loss, and how often a picture is drawn.
 *
 * HOW is "none", "balanced" (by the inverse of a class's number of training pictures) or a CSV.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_WEIGHTING_H
#define PRESIZE_DATA_WEIGHTING_H

#include <stdbool.h>

#include "data/shard.h"
#include "step/picture.h"

bool weighting_is_on(const char *how);

/* Of every class: 1; n / (classes count), scikit-learn's "balanced"; or the column weight of the table with
 * the columns class and weight, which must name every class of the set. ERR_INPUT names file and line. */
int weighting_classes(double *weights, const char *how, const uint32_t *ranks, uint32_t n,
                      const struct shard_set *s, struct err *err) MUST_USE;

/* Running sums of the N pictures' weights, for draws in proportion to them: balanced gives every class the
 * same share; else the column weight of the table with the columns path and weight; those it does not
 * name weigh 1. ERR_INPUT: a picture not in the set, a weight below 0, nothing above 0. */
int weighting_pictures(double *sums, const char *how, const uint32_t *ranks, uint32_t n,
                       const struct shard_set *s, struct err *err) MUST_USE;

/* The place i with sums[i - 1] <= u sums[n - 1] < sums[i], for u in [0, 1). */
uint32_t weighting_pick(const double *sums, uint32_t n, double u);

/* Weights of a batch in the loss: of each picture's class, scaled so that the mean over what enters the loss (of
 * mixed pictures by share) is 1. MIXES may be NULL. */
void weighting_batch(float *out, const double *classes, const struct picture *pictures,
                     const struct mix *mixes, int n);

#endif
