/* step.h - all that a run of a list of ops takes from outside: pictures, labels, and the optimiser's numbers.
 *
 * data fills the pictures and their mixes, nn the optimiser's numbers, learn and experiment the rest; a backend reads
 * all of it. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_STEP_STEP_H
#define PRESIZE_STEP_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "step/picture.h"

/* One batch's worth of outside values, borrowed for the call of run(). */
struct step {
    const struct picture *pictures; /* n_pictures of them */
    int n_pictures; /* = batch for a list with BN_STATS or a loss gradient; fewer: padded */
    /* n_next pictures that the run after this one may be on: a GPU takes them while it computes this; NULL: not
     * known. They must be there only now. */
    const struct picture *next;
    int n_next;
    const struct mix *mixes; /* one per picture, of a whole batch; NULL: nothing is mixed */
    const float *weights;    /* of each picture's label in the loss; NULL: all 1 */
    /* Where several devices share the batch: PICTURES, MIXES and WEIGHTS are of all N_BATCH, the list's those from
     * number FIRST on; pixels are NULL where this device needs none. 0, 0: alone. */
    int first, n_batch;
    uint64_t seed; /* dropout: (RNG_DROPOUT, epoch, picture.position, layer << 24 | e / 4) */
    uint32_t epoch;
    int part, parts; /* run PART (from 0) of the PARTS that make one optimiser step; 0, 0: alone */
    double lr[8];    /* per parameter group */
    /* backend/elem.h: adam_elem(); sgd_elem() reads mom and wd alone */
    double mom, sqr_mom, eps, wd;
    uint32_t adam_step; /* 1 for the first step since the state was cleared */
    double ema_decay;   /* [0, 1] */
    uint64_t only; /* bit (1 << op_kind) set: run only these kinds, on what the last whole run left
                      (benchmarks); 0: all */
};

/* Whether the optimiser's ops run: alone, or in the last of several parts. */
bool step_is_last(const struct step *s);
/* Pictures of the batch over all devices. */
int step_batch(const struct step *s);
/* Pictures whose mean loss the gradients are of, in a list of BATCH. */
int step_pictures(const struct step *s, int batch);
/* What the picture at place N of the whole batch should be told to be; unknown where there is none. */
struct loss_target step_target(const struct step *s, int n);

#endif
