/* state.h - where a training stands: everything that must be kept to go on with the same bits.
 *
 * It travels in checkpoints/last.json beside the weights and Adam's moments.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TRAIN_STATE_H
#define PRESIZE_TRAIN_STATE_H

#include <jansson.h>

#include "session.h"

struct curve {          /* at most CURVE_POINTS an epoch, for the plots */
    double *x;          /* epochs since the start of the run */
    double *train_loss; /* smoothed, nat */
    double *lr, *lr_first;
    size_t n, capacity;
};
enum { CURVE_POINTS = 100 };

struct state {
    int phase;           /* to go on with */
    int phase_epoch;     /* epochs of it that are done */
    uint32_t epoch;      /* epochs of the run that are done */
    uint32_t epoch_step; /* steps of the epoch in progress that are done */
    uint64_t step;       /* training steps that are done */
    uint32_t adam_step;  /* since Adam's moments were cleared */
    struct smooth_loss smooth;
    double best_value;               /* lowest of train.monitor so far; INFINITY: none yet */
    int64_t best_epoch;              /* its epoch; -1: none yet */
    int best_phase;                  /* and phase */
    struct watch watch;              /* of the phase */
    uint64_t metrics_bytes;          /* length of metrics.jsonl */
    char initial_sha256[SHA256_HEX]; /* of the weights before the first step */
    json_t *best, *last; /* the metrics.jsonl lines of the best and of the last epoch; owned */
    struct curve curve;
};

void state_begin(struct state *st);
void state_free(struct state *st); /* what it owns, not ST */
int curve_add(struct curve *c, double x, double train_loss, double lr, double lr_first,
              struct err *err) MUST_USE;

/* The .json of a checkpoint: model facts (arch, vocab, size, presize, max_aspect, exif, normalisation),
 * hashes of parents, weights_sha256, and with RESUME the state. *out owned by the caller. */
int state_json(json_t **out, const struct state *st, const struct session *s, int size,
               const char *weights_sha256, bool resume, struct err *err) MUST_USE;
/* The state out of last.json; ERR_INPUT when experiment or shards are not those it was made with.
 */
int state_read(struct state *st, const json_t *json, const struct session *s,
               struct err *err) MUST_USE;

#endif
