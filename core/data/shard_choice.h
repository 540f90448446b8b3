/* shard_choice.h - which of a set's folders of shards is read where nobody names a size.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_SHARD_CHOICE_H
#define PRESIZE_DATA_SHARD_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/path.h"

/* *SIZE: that of the largest finished shards-SIZE in FOLDER (DATA/SET); 0: there is none. Of several, only those whose
 * index names the manifest beside them count, and all of these must agree about pictures, labels, lists, groups,
 * max_aspect and exif. ERR_INPUT where they do not, or where none is of the pictures that are there: what differs, and
 * what to do. Never by time. */
int shard_choose(int64_t *size, const char *folder, struct err *err) MUST_USE;

/* Whether the shards in SHARDS (DATA/SET/shards-SIZE) were made from another manifest than lies beside them now; false
 * where the set has none. */
bool shard_is_stale(const char *shards);

#endif
