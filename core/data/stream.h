/* stream.h - batches of borrowed pictures in a reproducible order, read ahead by threads of its own.
 *
 * The order of an epoch and each picture's map are functions of (seed, epoch, position), so any step
 * can be asked for first. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_STREAM_H
#define PRESIZE_DATA_STREAM_H

#include "data/augment.h"
#include "data/shard.h"
#include "step/picture.h"

struct stream_options {
    const uint32_t *ranks; /* borrowed while the stream is open */
    uint32_t n;
    int batch, size;                       /* pictures; output side in pixels */
    bool train;                            /* shuffled, augmented, the last partial batch dropped */
    const struct augment_options *augment; /* in validation mode, resize and pad count */
    /* train: n running sums of weights to draw by (weighting.h), borrowed; NULL: every picture once */
    const double *sample_sums;
    uint32_t tta_round;    /* not in training: > 0 draws this round of augment_tta() */
    const int32_t *labels; /* what the set's labels are in the network; NULL: the same */
    uint64_t seed;
    uint32_t epoch;       /* counted over the whole run */
    uint32_t first_batch; /* to resume inside an epoch */
    int prefetch;         /* batches read ahead, >= 1 */
    /* threads that prepare pixels; 0: one where pixels are only read, 16 for shards of another machine, else one per
     * processor; shared by SHARERS */
    int readers;
    int sharers; /* processes that share this one's processors, with this one; 0: not known */
    /* train: of SLICES equal parts of each batch only number SLICE, and what is mixed into it, gets pixels; those of
     * the others are NULL. 0, 0: all do */
    int slice, slices;
    bool verify;
    bool kept; /* a device keeps the set: no pixels are read, picture.pixels is NULL */
};

struct stream;
/* Whether training pictures can be drawn so; ERR_INPUT names keys that do not go together. stream_open() asks, too. */
int stream_check_augment(const struct augment_options *o, struct err *err) MUST_USE;

/* Whether the pictures' pixels are not the set's (augment.policy), so that no device may keep the set for them. */
bool stream_changes_pixels(const struct stream_options *o);

/* Starts the readers. prefetch + 1 batches are in memory. ERR_INPUT: fewer training pictures
 * than one batch, zoom limits the wrong way round. ERR_NOMEM, ERR_IO (no thread). */
int stream_open(struct stream **out, const struct shard_set *s, const struct stream_options *o,
                struct err *err) MUST_USE;
void stream_close(struct stream *s);             /* NULL is fine; stops the threads */
uint32_t stream_batches(const struct stream *s); /* of the whole epoch */

/* The next batch: 1 with *pictures (n of them, valid until the next call), 0 at the end, -1 with the
 * readers' error, of the first picture in order that has one, after the batches before it; it then stays.
 * picture.position is the place in the epoch (train) or in ranks. One thread. */
int stream_next(struct stream *s, const struct picture **pictures, const uint32_t **ranks, int *n,
                struct err *err) MUST_USE;
/* The batch that stream_next() will give, if it is read already: 1; else 0. Valid until the second call of
 * stream_next() from now. */
int stream_peek(struct stream *s, const struct picture **pictures, int *n);
/* How the batch that stream_next() gave last is mixed, valid as long; NULL: it is not. */
const struct mix *stream_mixes(const struct stream *s);
double stream_wait_seconds(const struct stream *s); /* time stream_next() waited for the reader */

#endif
