/* range_test.h - the learning-rate range test of train --lr-find.
 *
 * A mock training on the first phase's network, over as many passes as its steps take. Nothing is
 * drawn from a state (Philox counters), so with weights, running statistics and moments put back a
 * training afterwards has the bits of one without it.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TRAIN_RANGE_TEST_H
#define PRESIZE_TRAIN_RANGE_TEST_H

#include "learn/session.h"
#include "nn/lr_find.h"
#include "run/run.h"

struct range_test {
    double lr[LR_FIND_STEPS];   /* of every group */
    double loss[LR_FIND_STEPS]; /* the batch's, before the step with that rate; nat */
    double smooth[LR_FIND_STEPS];
    int n;   /* points, NaN where a loss before was no number: steps after it are not run */
    int ran; /* steps that were run */
};

/* Runs the steps on the prepared phase from pass EPOCH on, with moments that have seen ADAM_STEP
 * steps, and leaves the network as they left it. ERR_STOPPED after a signal. */
int range_sweep(struct range_test *t, struct session *s, uint32_t epoch, uint32_t adam_step,
                struct err *err) MUST_USE;
/* The same, and puts weights, running statistics and moments back, also when it fails. */
int range_test(struct range_test *t, struct session *s, uint32_t epoch, uint32_t adam_step,
               struct err *err) MUST_USE;

/* train --lr-find: the test before the first phase; lr_find.csv, plots/lr_find.svg and the
 * suggestions in run.json, and as a table on stdout. */
int range_run(struct session *s, struct run *run, struct err *err) MUST_USE;

#endif
