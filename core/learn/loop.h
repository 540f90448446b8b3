/* loop.h - phases, epochs, steps; validation, table, metrics and checkpoints at each epoch's end.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_LEARN_LOOP_H
#define PRESIZE_LEARN_LOOP_H

#include "learn/session.h"
#include "learn/state.h"
#include "run/run.h"

/* What the last validation gave, in the order of split->valid. */
struct verdict {
    float *prob, *loss; /* (n_valid, classes); n_valid */
    int32_t *labels, *predicted;
    struct score score;
    bool fresh; /* of the weights as they are now */
};
void verdict_free(struct verdict *v); /* what it owns */

/* From now on SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 are noted; a second one of the first three ends the process
 * at once. */
void loop_catch_signals(void);
const char *loop_signal(void); /* "SIGINT", "SIGTERM", ... when one was noted, else NULL */

/* For the time that is left: when this process began (clock_seconds()), and the work that was done before, in pixels
 * that went through the network. */
struct pace {
    double began, work_then;
};
void loop_begin(struct pace *pace, const struct session *s, const struct state *st);
/* One epoch from ST on, of which there is one; what loop_run() does in each turn, without a stop. ERR_NUMERIC
 * when the loss is no number; ERR_IO, ERR_FULL, ERR_FORMAT (a damaged picture), ERR_NOMEM. */
int loop_epoch(struct session *s, struct run *run, struct state *st, struct verdict *v,
               const struct pace *pace, struct err *err) MUST_USE;
/* Trains from ST to the end of the last phase. RUN is NULL in all processes but the first. Weights (and
 * moments) are in the backend already.
 * STOP_AFTER > 0 ends after that many epochs of the run, as a signal does: ERR_STOPPED. ERR_NUMERIC
 * when the loss is no number. The table goes to stdout. */
int loop_run(struct session *s, struct run *run, struct state *st, struct verdict *v,
             int64_t stop_after, struct err *err) MUST_USE;

/* Scores RANKS (n of them) with the prepared phase's network into V (fresh). ERR_IO,
 * ERR_FORMAT (a damaged picture), ERR_NOMEM. */
int loop_score(struct session *s, const uint32_t *ranks, uint32_t n, const char *label,
               struct verdict *v, struct err *err) MUST_USE;

#endif
