/* together.h - several processes that make one set's shards: what they agree on.
 *
 * All of them make the same calls in the same order. Without a group (p->group is NULL) there is nothing to agree on.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_PREP_TOGETHER_H
#define PRESIZE_PREP_TOGETHER_H

#include "prep.h"

struct shard_writer;

/* RC and ERR of all: 0, or -1 with one error for all. One that not all have names its process; where one process failed
 * and others were stopped by a signal, it is the failure. */
int together_agree(const struct prep *p, int rc, struct err *err) MUST_USE;
/* All have one description, the same pictures and labels, the same decoders. After prep_hash(). ERR_INPUT. */
int together_same(const struct prep *p, struct err *err) MUST_USE;
/* All see the folder of W, which rank 0 made. ERR_INPUT. */
int together_see(const struct prep *p, const struct shard_writer *w, struct err *err) MUST_USE;

/* How far all are: they meet about once a second, so that one that fails ends all soon, and one that hangs is seen. */
struct pace {
    uint32_t since, stride; /* pictures after the last meeting; before the next one */
    double began;           /* this stretch */
    uint64_t taken;         /* pictures of all */
    bool all_done, any_failed, any_bad;
};
void pace_begin(struct pace *w);
/* This process has taken one more picture; whether it is time to meet. */
bool pace_step(struct pace *w);
/* DONE: it has no more pictures. FAILED: all are to end. BAD: it has met a picture that cannot be decoded. */
void pace_meet(struct pace *w, struct group *g, bool done, bool failed, bool bad);

/* The N PLACES of each become those of all, rising; owned by the caller. ERR_NOMEM. */
int together_places(uint32_t **out, uint32_t *n_out, const struct prep *p, const uint32_t *places,
                    uint32_t n, struct err *err) MUST_USE;

#endif
