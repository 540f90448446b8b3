/* link.h - how long a training step of several machines takes over the links between them.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TRAIN_LINK_H
#define PRESIZE_TRAIN_LINK_H

#include <stdbool.h>

#include "backend/backend.h"

struct link {
    double latency_s; /* until a small message has arrived */
    double bytes_per_s;
};

/* Ethernet of 10 Gbit/s. */
#define LINK_DEFAULT ((struct link){50e-6, 10e9 / 8})

/* "US,GBIT": microseconds of latency, at least 0, and Gbit/s, above 0. */
bool link_parse(struct link *out, const char *text);

/* What one machine computes of a step, by so many threads; seconds. The parts of a batch (train.accumulate) exchange
 * one after another. */
struct link_compute {
    double all_s, backward_s;
    int threads, parts;
};

struct link_times {  /* seconds */
    double sums_s;   /* of batch norms' sums, losses and the wish to stop, which are waited for */
    double moving_s; /* that the gradients' bytes take from the threads */
    double gradients_s; /* of the gradients' exchange */
    double left_s;      /* of that, what is left when the backward pass is over */
    double step_s;      /* computing, MOVING_S, SUMS_S and LEFT_S */
};

/* Each exchange of sums takes a latency and its bytes. The gradients' take so long as their bytes, or as the latencies
 * of pieces that begin as others end, and pass beside the backward pass, but for those of the last piece. A byte that
 * is sent or received takes 0.9 ns of a processor, which the threads would use (over TCP: docs/performance.md). */
void link_times(struct link_times *out, const struct link *link, const struct be_traffic *t,
                const struct link_compute *c);

#endif
