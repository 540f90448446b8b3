/* alike.h - paths that are not equal but would be taken for one another.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_ALIKE_H
#define PRESIZE_DATA_ALIKE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Calls FOUND for each pair of the N TEXTS that differ only in case, Unicode form or invisible characters (with
 * BLANKS also in white space), in an order that depends on the texts alone. Texts are paths: of "Cat/1" and "cat/2" the
 * folders are such a pair, which is given once, whatever is below them. ERR_NOMEM. */
int alike_find(const char *const *texts, size_t n, bool blanks,
               void (*found)(void *ctx, const char *a, const char *b), void *ctx,
               struct err *err) MUST_USE;

#endif
