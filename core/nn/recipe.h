/* recipe.h - phases, schedules and the optimiser's hyper-parameters at every step.
 *
 * Semantics and golden values: fastai (fit_one_cycle, fine_tune, Adam); see docs/recipes.md.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_NN_RECIPE_H
#define PRESIZE_NN_RECIPE_H

#include "backend/op.h"
#include "base/key.h"

enum phase_kind { PHASE_ONE_CYCLE, PHASE_FINE_TUNE, PHASE_FLAT_COS, PHASE_CONSTANT };
enum precision { PRECISION_FP32, PRECISION_BF16, PRECISION_FP16 };

/* One item of train.phases; unset (n = 0, or -1) means fastai's default. */
struct phase_options {
    int kind;
    int64_t epochs;
    int64_t freeze_epochs;   /* fine_tune: 1 */
    double base_lr, lr_mult; /* fine_tune: 2e-3, 100 */
    struct key_f64s lr;      /* the others: [x] all groups; [a, b] geometric over them; 3: each */
    bool freeze;             /* one_cycle, flat_cos, constant: train head and norms only */
    double div, div_final, pct_start; /* -1: the kind's default */
    int64_t size, batch;              /* 0: train.size, train.batch */
};

struct train_options {
    int64_t batch, size; /* 64, 224 */
    int precision;
    struct key_list phases_list; /* n, then phases */
    struct phase_options phases[KEY_LIST_MAX];
};
extern const struct key train_keys[];

struct optim_options { /* Adam as fastai has it */
    int name;          /* of optim_names; adam alone so far */
    double lr, wd, mom, sqr_mom, eps;
    struct key_f64s moms; /* mom at start, peak, end of a cycle: .95 .85 .95 */
};
extern const struct key optim_keys[];

/* A phase as it runs: fine_tune is expanded into two. */
struct run_phase {
    int kind; /* ONE_CYCLE, FLAT_COS or CONSTANT */
    int epochs, size, batch;
    int freeze_to; /* 0 or 2 */
    bool clears;   /* Adam's moments and step start anew, as freeze() and unfreeze() have it */
    double lr[3];  /* peak per group */
    double div, div_final, pct_start;
    double moms[3];
    char name[32]; /* "frozen", "unfrozen", "one_cycle" ... for tables */
};
/* PHASES with room for 2 * KEY_LIST_MAX; *n counts them. ERR_INPUT: no phase, zero epochs, too many lr. */
int recipe_expand(struct run_phase *phases, int *n, const struct train_options *t,
                  const struct optim_options *o, struct err *err) MUST_USE;

/* Hyper-parameters of training batch K of N in the phase (position k / N). Sets
 * step->lr, mom, sqr_mom, eps, wd. */
void recipe_step(struct step *step, const struct run_phase *p, const struct optim_options *o,
                 uint64_t k, uint64_t n);

/* fastai's smoothed training loss: v = beta v + (1 - beta) x, shown v / (1 - beta^count), beta 0.98. */
struct smooth_loss {
    double value;
    uint64_t count;
};
double smooth_loss_add(struct smooth_loss *s, double loss); /* returns the shown value */

#endif
