/* state.h - where a training stands: everything that must be kept to resume with bit-identical results.
 *
 * It travels in checkpoints/last.json beside the weights and Adam's moments.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_LEARN_STATE_H
#define PRESIZE_LEARN_STATE_H

#include <jansson.h>
#include <stdio.h>

#include "learn/session.h"

struct curve {          /* at most CURVE_POINTS an epoch, for the plots */
    double *x;          /* epochs since the start of the run */
    double *train_loss; /* smoothed, nat */
    double *lr, *lr_first;
    size_t n, capacity;
};
enum { CURVE_POINTS = 100 };

struct session;
struct state {
    struct place at;     /* between epochs */
    uint32_t epoch_step; /* steps of the epoch in progress that are done */
    uint64_t step;       /* training steps that are done */
    uint32_t adam_step;  /* since Adam's moments were cleared */
    struct smooth_loss smooth;
    uint64_t metrics_bytes;          /* length of metrics.jsonl */
    char initial_sha256[SHA256_HEX]; /* of the weights before the first step */
    /* Where set: called when an epoch's line (last) is made, the weights it names still in the device. */
    int (*each_epoch)(void *ctx, struct session *s, const struct state *st, struct err *err);
    void *each_ctx;
    bool in_phase;       /* the phase was begun by this process */
    FILE *table;         /* where the table of epochs goes; NULL: nowhere */
    json_t *best, *last; /* the metrics.jsonl lines of the best and of the last epoch; owned */
    struct curve curve;
};

void state_begin(struct state *st);
void state_free(struct state *st); /* what it owns, not ST */
int curve_add(struct curve *c, double x, double train_loss, double lr, double lr_first,
              struct err *err) MUST_USE;

/* The .json of a checkpoint: model facts (arch, vocab, size, presize, max_aspect, exif, normalisation),
 * hashes of parents, weights_sha256, and where the run's FOLDER is given (else NULL) the state, with the hashes of
 * its metrics.jsonl and best.json as they are now. *out owned by the caller. */
int state_json(json_t **out, const struct state *st, const struct session *s, int size,
               const char *weights_sha256, const char *folder, struct err *err) MUST_USE;
/* The state out of the last.json of the run in FOLDER. ERR_INPUT when experiment or shards are not those it was made
 * with; ERR_FORMAT, ERR_CHECKSUM when a counter, metrics.jsonl or best.json is not what recipe and metrics lead to. */
int state_read(struct state *st, const json_t *json, const struct session *s, const char *folder,
               struct err *err) MUST_USE;

#endif
