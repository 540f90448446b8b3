/* experiment.h - every module's keys joined into one struct; extends, overrides, the resolved copy.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EXPERIMENT_EXPERIMENT_H
#define PRESIZE_EXPERIMENT_EXPERIMENT_H

#include "backend/backend.h"
#include "base/hash.h"
#include "base/path.h"
#include "data/augment.h"
#include "data/split.h"
#include "nn/network.h"
#include "nn/recipe.h"

struct experiment {
    char name[128];   /* of the file, without folder and ".yaml" */
    char title[256];  /* key title: the question the experiment asks */
    int64_t seed;     /* initial weights, order, augmentation, dropout */
    bool score_train; /* train.score_train: score the training pictures at the end */
    struct data_options data;
    struct model_options model;
    struct augment_options augment;
    struct train_options train;
    struct optim_options optim;
    struct exec_options exec;
    int64_t presize; /* no key: of the shards to open where data.size is 0; 0: the largest */
    char *given;     /* text of the experiment file, owned */
};

/* Reads experiments/NAME.yaml (or the file itself when NAME ends in ".yaml"), its `extends` chain
 * (at most 8 files, looked for beside the file first), then the N words KEY=VALUE. ERR_INPUT:
 * missing (with the near names), a loop in extends, whatever keys_apply() says; an error in the
 * words has a message starting "command line". *out is NULL then. Release with experiment_free().
 */
int experiment_read(struct experiment **out, const char *name, char *const *words, int n,
                    struct err *err) MUST_USE;
void experiment_free(struct experiment *e); /* NULL is fine */

/* Writes experiment.yaml (as given), resolved.yaml (every key, nested) and params.yaml (flat) into
 * FOLDER, each whole or not at all. */
int experiment_write(const struct experiment *e, const char *folder, struct err *err) MUST_USE;
/* SHA-256 over every key that may change a bit of the weights: not exec.threads, exec.prefetch,
 * exec.cuda_graph, data.verify, train.score_train, train.checkpoint_minutes, title or the name. */
int experiment_sha256(const struct experiment *e, char hex[SHA256_HEX], struct err *err) MUST_USE;
/* experiments/README.md: every key of every module (train --keys). */
void experiment_document(FILE *file);

/* The checkpoint whose weights a run of E ends and predicts with: "last" or "best" (train.finish). */
const char *experiment_final(const struct experiment *e);

/* Folder of the experiment's shards, DATA/SET/shards-SIZE; SIZE is data.size, else presize, else what shard_choose()
 * chooses, whose errors it gives. ERR_INPUT when there is none, saying `prep SET`. */
int experiment_shards(char out[PATH_LEN], const struct experiment *e, const char *data,
                      struct err *err) MUST_USE;
/* What train.precision becomes on this device; *NOTE is NULL, or why it is not what was asked for
 * (static text). */
enum dtype experiment_dtype(const struct experiment *e, const struct be_info *info,
                            const char **note);

#endif
