/* label.h - labels and official split of listed pictures; private to dataset.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_LABEL_H
#define PRESIZE_DATA_LABEL_H

#include "data/dataset.h"

/* Fills vocab, n_classes, group and every item's label. D has its items, sorted. */
int label_items(struct dataset *d, const struct dataset_options *o, const char *tree,
                struct err *err) MUST_USE;
/* Fills every item's official (-1 where there are no lists). */
int label_official(struct dataset *d, const struct dataset_options *o, const char *tree,
                   struct err *err) MUST_USE;

#endif
