/* verify_private.h - shared by the parts of --verify: the chain whose links are checked one by one.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_VERIFY_PRIVATE_H
#define PRESIZE_EVAL_VERIFY_PRIVATE_H

#include "base/hash.h"
#include "base/path.h"
#include "experiment/experiment.h"
#include "look.h"

enum result { RESULT_OK, RESULT_FAILED, RESULT_UNCHECKED };

struct chain {
    const struct request *r;
    struct look *l;
    struct experiment *e;  /* resolved.yaml; NULL where it cannot be read */
    char shards[PATH_LEN]; /* folder, "" when it is not there */
    uint32_t n_train;      /* pictures to train on, 0 where the shards are not there */
    json_t *rows;
    int failed, unchecked;
};

/* A row: LINK, RESULT and why. */
void chain_say(struct chain *c, const char *link, enum result result, const char *format, ...)
    PRINTF_LIKE(4, 5);
const char *chain_recorded(const struct chain *c, const char *what); /* run.json's sha256.WHAT */
/* FOUND against what run.json has for WHAT. */
void chain_compare(struct chain *c, const char *link, const char *what, const char *found,
                   const char *subject);
/* PATH's hash against run.json's; UNCHECKED when the file is not there. */
void chain_compare_file(struct chain *c, const char *link, const char *what, const char *path);

void verify_weights(struct chain *c); /* checkpoints, and what the first weights came from */
void verify_data(struct chain *c);    /* shards, manifest, pictures, split */
/* run.json, metrics.jsonl and metrics.json against one another and the recipe; after the data. */
void verify_record(struct chain *c);
/* Members of the records that this version does not know, so that nothing of them was checked but their bytes. */
void verify_members(struct chain *c);

#endif
