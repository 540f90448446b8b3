/* recipe.h - phases, schedules and the optimiser's hyper-parameters at every step.
 *
 * Semantics and golden values: fastai (fit_one_cycle, fine_tune, Adam); see docs/recipes.md.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_NN_RECIPE_H
#define PRESIZE_NN_RECIPE_H

#include "base/key.h"
#include "base/monitor.h"
#include "step/step.h"

enum phase_kind { PHASE_ONE_CYCLE, PHASE_FINE_TUNE, PHASE_FLAT_COS, PHASE_CONSTANT, PHASE_SGDR };
enum finish { FINISH_LAST, FINISH_BEST };
enum optim_name { OPTIM_ADAM, OPTIM_ADAMW, OPTIM_SGD }; /* the first two are one: see recipe.c */
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
    int64_t cycles, cycle_len;        /* sgdr: 1, 1 */
    int64_t cycle_mult;               /* sgdr: 2 */
    int64_t size, batch;              /* 0: train.size, train.batch */
};

/* Keys train.loss.*: of the training loss; validation's is the plain cross-entropy. */
struct loss_options {
    double smoothing, focal;
    char class_weights[1024]; /* none, balanced, or a FILE: data/weighting.h */
};

/* When a phase ends early, when a constant rate falls, and what counts as better. */
struct watch_options {
    int monitor;           /* enum monitor */
    double min_delta;      /* the least that counts as better */
    int64_t early_stop;    /* epochs without; 0: never */
    int64_t plateau;       /* epochs without; 0: never */
    double plateau_factor; /* the rate is divided by it */
    int finish;            /* enum finish: the weights the run ends with */
};

struct train_options {
    int64_t batch, size; /* 64, 224 */
    int64_t valid_size;  /* of validation and prediction; 0: the phase's */
    int64_t accumulate;  /* batches per step */
    int precision;
    double max_norm;           /* of the gradient; 0: not clipped */
    double ema;                /* decay of the EMA weights; 0: no EMA */
    double checkpoint_minutes; /* between checkpoints inside an epoch; 0: none */
    struct loss_options loss;
    struct watch_options watch;
    struct key_list phases_list; /* n, then phases */
    struct phase_options phases[KEY_LIST_MAX];
};
extern const struct key train_keys[];

struct optim_options {
    int name;      /* enum optim_name */
    bool nesterov; /* SGD's */
    double lr, wd, mom, sqr_mom, eps;
    struct key_f64s moms; /* mom at start, peak, end of a cycle: .95 .85 .95 */
};
extern const struct key optim_keys[];

/* A phase as it runs: fine_tune is expanded into two. */
struct run_phase {
    int kind; /* any but FINE_TUNE */
    int epochs, size, batch;
    int valid_size; /* px, in validation and prediction */
    int freeze_to;  /* 0 or 2 */
    bool clears;    /* Adam's moments and step are reset, as freeze() and unfreeze() have it */
    double lr[3];   /* peak per group */
    double div, div_final, pct_start;
    double moms[3];
    int cycle_len, cycle_mult; /* SGDR: epochs of the first, and how each next is longer */
    char name[32];             /* "frozen", "unfrozen", "one_cycle" ... for tables */
};
/* PHASES with room for 2 * KEY_LIST_MAX; *n counts them. ERR_INPUT: no phase, zero epochs, too many lr. */
int recipe_expand(struct run_phase *phases, int *n, const struct train_options *t,
                  const struct optim_options *o, struct err *err) MUST_USE;

/* Hyper-parameters of step K of N in the phase (position k / N). Sets step->lr, mom, sqr_mom, eps,
 * wd. */
void recipe_step(struct step *step, const struct run_phase *p, const struct optim_options *o,
                 uint64_t k, uint64_t n);

/* Decay of the EMA weights at step T (from 0): DECAY, less at first so that the initial weights are
 * soon forgotten: min(decay, (1 + t) / (10 + t)), tf.train.ExponentialMovingAverage's num_updates. */
double recipe_ema_decay(double decay, uint64_t t);

/* What a phase's epochs came to, to notice when it gets no better. */
struct watch {
    double best;        /* of the monitored cost in this phase; NAN: no epoch yet */
    int64_t since;      /* epochs since then */
    int64_t since_drop; /* epochs since then or since the rate last fell */
    double scale;       /* of the phase's rates: 1, less once they fell */
};
void watch_begin(struct watch *w); /* a phase begins */
enum watch_event { WATCH_GO_ON, WATCH_RATE_FELL, WATCH_STOP };
/* An epoch ended at VALUE, of which lower is better: as fastai's ReduceLROnPlateau (CONSTANT phases) and
 * EarlyStoppingCallback. */
enum watch_event watch_epoch(struct watch *w, const struct watch_options *o, bool constant,
                             double value);

/* Where a run stands between two epochs, and the best of those behind it. */
struct place {
    int phase, phase_epoch; /* to continue with; epochs of it that are done */
    uint32_t epoch;         /* epochs of the run that are done */
    struct watch watch;     /* of the phase */
    /* lowest cost so far, which is train.monitor, negated where higher is better; INFINITY: none yet */
    double best_value;
    int64_t best_epoch; /* its epoch; -1: none yet */
    int best_phase;     /* and phase */
};
void place_begin(struct place *at);
/* An epoch of phase at->phase ended at VALUE of train.monitor: AT is one epoch further, in the next phase where the
 * epochs of this one are done or no longer get better. *BEST: none was better before. */
enum watch_event place_epoch(struct place *at, bool *best, const struct run_phase *phases,
                             const struct watch_options *o, double value);

/* fastai's smoothed training loss: v = beta v + (1 - beta) x, shown v / (1 - beta^count), beta 0.98. */
struct smooth_loss {
    double value;
    uint64_t count;
};
double smooth_loss_add(struct smooth_loss *s, double loss); /* returns the shown value */

#endif
