/* verify.h - walks a run's chain of hashes back: predictions, weights, configuration, shards, manifest.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_VERIFY_H
#define PRESIZE_EVAL_VERIFY_H

#include "look.h"
#include "request.h"

/* Prints one line per link: ok, FAILED or "not checked" and why. ERR_CHECKSUM when any link failed. *UNCHECKED: how
 * many could not be checked. */
int verify_run(FILE *out, const struct request *r, int *unchecked, struct err *err) MUST_USE;

/* The folder in which verify_run() makes one of its own for a while: $TMPDIR, else /tmp. */
const char *verify_temporary(void);

/* The same of a run that is open: *rows are [link, result, what], owned by the caller; *failed: how many failed. No
 * link that fails is an error. ERR_NOMEM. */
int verify_rows(json_t **rows, int *failed, int *unchecked, struct look *l, const struct request *r,
                struct err *err) MUST_USE;

#endif
