/* part.h - pictures to score a run on: a part of its own set, or another prepared set.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_PART_H
#define PRESIZE_EVAL_PART_H

#include "data/shard.h"
#include "data/split.h"
#include "experiment/checkpoint_record.h"
#include "experiment/experiment.h"
#include "request.h"
#include "run/run.h"

struct part {
    const char *name; /* train, valid, test; all: the whole of another set */
    const char *set;
    bool own;         /* the run's own set */
    char split[1100]; /* split_text(), "" for all */
    struct shard_set *shards;
    struct split *parts; /* NULL for all */
    uint32_t *all;       /* owned */
    const uint32_t *ranks;
    uint32_t n;
    int32_t *labels; /* of the network for those of the set, -1 where it has none; owned */
};

/* What R asks of the run, presized as its checkpoint (RECORD) says. E is the run's, borrowed, and is
 * given the set's name and size. ERR_INPUT: no such set, part or class (all named); ERR_CHECKSUM: the
 * run's own shards are no longer those it was trained on. */
int part_open(struct part *p, const struct request *r, const struct run_entry *run,
              struct experiment *e, const struct checkpoint_record *record,
              struct err *err) MUST_USE;
void part_close(struct part *p); /* all zero is fine */

#endif
