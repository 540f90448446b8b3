/* history.h - where a run stands, followed from its recipe and the lines of its metrics.jsonl.
 *
 * Phase, epoch, counters, best epoch and what early stopping has seen are functions of both: what a checkpoint or a
 * record says of them is held against this, not believed.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EXPERIMENT_HISTORY_H
#define PRESIZE_EXPERIMENT_HISTORY_H

#include <jansson.h>

#include "nn/recipe.h"

struct history_recipe { /* borrowed */
    const struct run_phase *phases;
    int n_phases;
    const uint32_t *steps; /* of an epoch of each phase; NULL: not known, and not looked at */
    const struct watch_options *watch;
};

struct history {
    struct place at;
    uint64_t step;         /* training steps behind it */
    uint64_t adam_step;    /* since Adam's moments were cleared */
    uint64_t smooth_count; /* steps in the smoothed loss */
    json_t *best, *last;   /* lines of the best and of the last epoch, owned; NULL: none */
};

/* The SIZE bytes at TEXT are whole lines of PATH (for messages). ERR_FORMAT: which line is not what RECIPE lets be.
 * Release with history_free(), also after an error. */
int history_read(struct history *h, const struct history_recipe *recipe, const char *text,
                 size_t size, const char *path, struct err *err) MUST_USE;
/* STEPS steps of the epoch to come; where the last phase is over, none can be. */
void history_steps(struct history *h, const struct history_recipe *recipe, uint32_t steps);
void history_free(struct history *h);

#endif
