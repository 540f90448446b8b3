/* saved_marks.h - marks of the page of --issues, which the server keeps: RESULTS/clean-SET.csv, a table for data.clean.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_SAVED_MARKS_H
#define PRESIZE_EVAL_SAVED_MARKS_H

#include "base/hash.h"
#include "base/path.h"
#include "look.h"

/* The table of the set that L was trained on. */
int saved_marks_path(char path[PATH_LEN], const struct look *l, const struct request *r,
                     struct err *err) MUST_USE;
/* Rows {"path", "action", "label"} of a table for data.clean, appended to ROWS. ERR_IO, ERR_FORMAT, ERR_NOMEM. */
int saved_marks_add(json_t *rows, const char *path, struct err *err) MUST_USE;
/* Rows {"path", "action", "label"} of PATH, owned by the caller, and the hash of the file, "" where there is none.
 * ERR_IO, ERR_FORMAT, ERR_NOMEM. */
int saved_marks_read(json_t **rows, char sha256[SHA256_HEX], const char *path,
                     struct err *err) MUST_USE;
/* TEXT, SIZE bytes, is JSON: {"was": hash of the file before, "rows": [[path, action, label, why], ...]}. Every path
 * must be a picture of SHARDS, every label one of the set's. Replaces PATH and gives its new hash. ERR_FORMAT,
 * ERR_INPUT; ERR_LOCKED: the file is another one by now; ERR_IO, ERR_FULL, ERR_NOMEM. */
int saved_marks_write(char sha256[SHA256_HEX], const char *path, const char *text, size_t size,
                      const struct shard_set *shards, struct err *err) MUST_USE;

#endif
