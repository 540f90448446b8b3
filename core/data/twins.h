/* twins.h - which pictures of a prepared set are duplicates of one another.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_TWINS_H
#define PRESIZE_DATA_TWINS_H

#include "data/shard.h"

/* TWIN (one per rank): the first rank of the picture's group of duplicates; its own where it has none. As prep recorded
 * it in index.json (exact copies and near duplicates); where an older prep did not, pictures whose pixels are the same.
 * ERR_FORMAT, ERR_NOMEM, ERR_IO. */
int twins_find(uint32_t *twin, const struct shard_set *s, struct err *err) MUST_USE;

#endif
