/* axes.h - what a study varies: a study file, or options, become the list of its runs.
 *
 *   exp: pets                                # one experiment, or a list of them
 *   keys: {train.batch: 32}                  # the same in all runs
 *   grid: {train.loss.smoothing: [0, 0.1]}   # every combination
 *   list: [{model.arch: resnet18}, {model.arch: resnet34, train.batch: 16}]   # these alone
 *   seeds: 7                                 # or a list of numbers; split_seeds alike
 *   folds: 5                                 # cross-validation
 *
 * exp, grid and list make the recipes; seeds, split_seeds and folds repeat each of them.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TRAIN_AXES_H
#define PRESIZE_TRAIN_AXES_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

struct axes_request {
    const char *file;       /* of the study; NULL: options alone */
    const char *experiment; /* --exp; NULL: the file names it */
    char *const *words;     /* KEY=VALUE, for all runs */
    int n_words;
    const char *seeds, *split_seeds, *folds; /* as typed: "5", or "1,2,7"; NULL */
};

/* *OUT is study.json: {"version", "title", "base": {EXPERIMENT: {KEY: VALUE}}, "recipes": [LABEL], "seeds",
 * "split_seeds", "folds", "runs": [{"name", "experiment", "words"}]}; runs go repeat by repeat, so that a study
 * which is stopped has as many runs of each recipe. NAME: of the file, or made from the experiment and the recipes.
 * Owned by the caller. ERR_INPUT: an unknown axis or key, an empty axis, recipes that are the same, a key that is
 * set twice. */
int axes_plan(json_t **out, char name[256], const struct axes_request *r, struct err *err) MUST_USE;

/* Whether the experiments of STUDY (study.json) are still what they were when it was begun: ERR_INPUT names the first
 * key that is not. */
int axes_check_base(const json_t *study, struct err *err) MUST_USE;
/* Whether PLAN continues the study OLD, and PLAN's runs then follow those that OLD has: runs may come, and go where
 * IS_MADE says that they were not begun. ERR_INPUT. */
int axes_extend(json_t *plan, const json_t *old, bool (*is_made)(void *ctx, const char *run),
                void *ctx, struct err *err) MUST_USE;

#endif
