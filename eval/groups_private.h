/* groups_private.h - what the tables of recipes and a study's page share.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_GROUPS_PRIVATE_H
#define PRESIZE_EVAL_GROUPS_PRIVATE_H

#include "groups.h"
#include "recipes.h"
#include "run/study.h"

struct view {
    struct trials trials;
    struct recipe_groups groups;
    json_t *studies;         /* {NAME: {"done": n, ...}} */
    json_t *figures, *tests; /* rows */
};

/* Empty. ERR_NOMEM; release in any case. */
int view_begin(struct view *v, struct err *err) MUST_USE;
/* The runs of the study in FOLDER that are done. ERR_INPUT, ERR_FORMAT, ERR_NOMEM. */
int view_add_study(struct view *v, const struct request *r, const char *folder,
                   struct err *err) MUST_USE;
/* Once all runs are there. ERR_NOMEM. */
int view_make(struct view *v, struct err *err) MUST_USE;
void view_free(struct view *v);

/* "4 of 6 runs done, 2 due", of study_counts(). */
void groups_put_counts(FILE *out, const json_t *counts);
/* What the test of recipe I with the first says, in a few lines with NEXT between them; it was made. Numbers and plain
 * words. */
void groups_put_contrast(FILE *out, const struct recipe_groups *g, size_t i, const char *next);

struct study_row {
    const char *run;
    int64_t number;
    const char *status;
    double error_rate; /* NAN: not done */
    const char *error; /* NULL: none */
};
/* Run I of S; FAULT has room for the row's error. */
void groups_read_run(struct study_row *row, const struct study *s, size_t i, char fault[512]);

#endif
