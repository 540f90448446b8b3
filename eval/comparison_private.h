/* comparison_private.h - what the comparison's tables and its page share.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_COMPARISON_PRIVATE_H
#define PRESIZE_EVAL_COMPARISON_PRIVATE_H

#include "comparison.h"
#include "look.h"
#include "pairing.h"
#include "relabel.h"

struct comparison {
    struct look *runs;
    size_t n, n_tests, n_clean, n_recipes;
    int n_seeds;           /* the most of any recipe */
    struct pairing *pairs; /* n; of run i with run 0, the first unused */
    struct pairing *clean; /* the same without what leaks in one of the two; n 0: nothing does */
    json_t *keys, *figures, *groups, *tests; /* rows */
    struct relabelled relabelled;
};

/* Whether a key has different values in the runs. */
bool comparison_differs(const struct comparison *c, const char *key);
/* Everything as --json prints it, owned by the caller; NULL: out of memory. */
json_t *comparison_json(const struct comparison *c);
/* Writes a page beside the first run's folder and prints its path. ERR_INPUT where no pair could be tested, ERR_IO,
 * ERR_FULL, ERR_NOMEM. */
int comparison_page(FILE *out, const struct comparison *c, const struct request *r,
                    struct err *err) MUST_USE;

#endif
