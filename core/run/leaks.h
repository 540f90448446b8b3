/* leaks.h - the error rate without the pictures that have a duplicate in training: the member "without_leaks" of
 * metrics.json and of score.json.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_RUN_LEAKS_H
#define PRESIZE_RUN_LEAKS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "run/epoch.h"

/* The path of picture I where it has a duplicate in training, NULL where it has none. */
typedef const char *leaks_of(const void *ctx, uint32_t i);

/* ACTUAL, PREDICTED: N labels. *out: the object, owned by the caller; NULL where no picture leaks, or all do.
 * ERR_NOMEM. */
int leaks_find(json_t **out, uint32_t n, const int32_t *actual, const int32_t *predicted,
               leaks_of *leak, const void *ctx, struct err *err) MUST_USE;

/* Whether W says anything: some picture has a duplicate in training. */
bool leaks_are(const struct leaks_record *w);
/* "0.1234 on the 23 that have no duplicate in training". */
void leaks_text(char *out, size_t size, const struct leaks_record *w);

#endif
