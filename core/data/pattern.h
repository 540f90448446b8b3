/* pattern.h - PCRE2 patterns of a set's description. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_PATTERN_H
#define PRESIZE_DATA_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct pattern; /* opaque; for one thread */

/* Compiles TEXT (UTF-8). ERR_INPUT names KEY and the position where it stops making sense; with
 * NEEDS_GROUP also a pattern without a group in parentheses. Release with pattern_free(). */
int pattern_new(struct pattern **out, const char *key, const char *text, bool needs_group,
                struct err *err) MUST_USE;
void pattern_free(struct pattern *p); /* NULL is fine */

/* Searches in SUBJECT, valid UTF-8: 1 found, 0 not, -1 with ERR_INPUT when the pattern takes too many
 * steps. *GROUP and *LENGTH (may be NULL) are the first group's text, borrowed from SUBJECT; the group
 * may be empty. */
int pattern_search(struct pattern *p, const char *subject, const char **group, size_t *length,
                   struct err *err) MUST_USE;

#endif
