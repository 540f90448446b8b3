/* recheck.h - fetch NAME --verify: every file hashed again and compared with the manifest.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_RECHECK_H
#define PRESIZE_FETCH_RECHECK_H

#include <stddef.h>
#include <stdio.h>

#include "base/err.h"

/* Prints one line per difference to OUT, in the order of paths: "changed PATH", "missing PATH",
 * "extra PATH" (below the tree), "archive FILE" for one in DATA/archives that is not what the set was
 * made from. Hidden files are not looked at: nothing reads them. *DIFFERENCES counts the lines.
 * 0 also when there are some; -1: it could not be checked (ERR_IO, ERR_FORMAT, ERR_INPUT when
 * DATA/NAME has no manifest, ERR_LOCKED). */
int recheck(const char *data, const char *name, FILE *out, size_t *differences,
            struct err *err) MUST_USE;

#endif
