/* label.h - labels and official split of listed pictures.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_LABEL_H
#define PRESIZE_DATA_LABEL_H

#include "data/csv.h"
#include "data/dataset.h"

/* The columns of the table label.csv; texts are O's. */
struct csv_columns label_columns(const struct dataset_options *o);
/* Fills vocab, n_classes, group and every item's label. D has its items, sorted. */
int label_items(struct dataset *d, const struct dataset_options *o, const char *tree,
                struct err *err) MUST_USE;
/* Fills every item's official (-1 where there are no lists). */
int label_official(struct dataset *d, const struct dataset_options *o, const char *tree,
                   struct err *err) MUST_USE;

#endif
