/* timing.h - what an epoch took: a line of timing.jsonl. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_LEARN_TIMING_H
#define PRESIZE_LEARN_TIMING_H

#include "learn/session.h"
#include "learn/state.h"
#include "run/run.h"

struct epoch_times {
    double seconds, train_seconds,
        wait_seconds; /* the epoch; its training; of that, waiting for pictures */
    uint32_t steps;   /* fewer than the epoch's where it was begun before an interruption */
    /* Of its training steps: seconds of this process's processors, and what it exchanged with others. Between begin and
     * end they hold what the counters had at the beginning. */
    double processor_seconds;
    struct group_traffic traffic;
};

/* Around the training steps. */
void timing_begin(struct epoch_times *t, const struct session *s);
void timing_end(struct epoch_times *t, const struct session *s);
/* Training pictures in a second of training. */
double timing_rate(const struct session *s, const struct state *st, const struct epoch_times *t);
/* Also says, after the first epoch of a phase, what processes exchange. All processes call it; RUN is NULL in all but
 * the first. ERR_IO, ERR_NOMEM. */
int timing_write(struct run *run, const struct session *s, const struct state *st,
                 const struct epoch_times *t, struct err *err) MUST_USE;

#endif
