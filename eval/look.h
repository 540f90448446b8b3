/* look.h - a run opened to be looked at: its facts, keys and predictions.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_LOOK_H
#define PRESIZE_EVAL_LOOK_H

#include <jansson.h>

#include "base/err.h"
#include "record/predictions.h"
#include "record/run.h"

struct look {
    struct run_entry run;
    json_t *params;        /* params.yaml, an empty object where it is missing */
    struct predictions *p; /* NULL: none */
    uint32_t errors;       /* of p */
};

/* RUN as in run_find. Predictions are read where they are. ERR_INPUT, ERR_FORMAT, ... */
int look_open(struct look *l, const char *results, const char *run, struct err *err) MUST_USE;
void look_close(struct look *l); /* all zero is fine */
/* ERR_INPUT when the run has no predictions, saying why and what to do. */
int look_needs_predictions(const struct look *l, struct err *err) MUST_USE;

/* Members of nested objects; NULL or the fallback where missing. */
const json_t *look_get(const json_t *object, const char *a, const char *b);
const char *look_text(const json_t *object, const char *a, const char *b, const char *fallback);
/* "random, 20 % of the pictures, split_seed 42", from the keys. */
void look_split(char *out, size_t size, const struct look *l);

#endif
