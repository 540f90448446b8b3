/* split_private.h - between split.c and split_remarks.c.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_SPLIT_PRIVATE_H
#define PRESIZE_DATA_SPLIT_PRIVATE_H

#include "data/split.h"

enum part { LEFT_OUT, TRAIN, VALID, TEST };

/* Validation pictures whose duplicate trains go to the training part. PARTS and TWIN: one per rank. ERR_NOMEM. */
int split_keep_together(struct split *p, uint8_t *parts, const uint32_t *twin,
                        const struct shard_set *s, struct err *err) MUST_USE;
/* Fills ->remarks, ->leaks and ->n_leaks. ERR_NOMEM. */
int split_remark(struct split *p, const struct data_options *o, const uint8_t *parts,
                 const uint32_t *twin, const struct shard_set *s, struct err *err) MUST_USE;

#endif
