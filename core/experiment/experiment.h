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
    int version;     /* of the keys, whose rules the hash and the record follow */
    int64_t presize; /* no key: of the shards to open where data.size is 0; 0: the largest */
    char *given;     /* text of the experiment file, owned */
};

/* Reads experiments/NAME.yaml (or the file itself when NAME ends in ".yaml"), its `extends` chain
 * (at most 8 files, looked for beside the file first), then the N words KEY=VALUE. ERR_INPUT:
 * missing (with the near names), a loop in extends, whatever keys_apply() says; an error in the
 * words is ERR_USAGE. *out is NULL then. Release with experiment_free().
 *
 * A file may say for which `version` of the keys it was written, as each resolved.yaml does since version
 * 2. What it leaves out then means what it meant in that version. The experiment is one of today's
 * version all the same, so a retired key that is not at its default is an error. */
int experiment_read(struct experiment **out, const char *name, char *const *words, int n,
                    struct err *err) MUST_USE;
/* The experiment that the run in FOLDER recorded (resolved.yaml), of the version it was recorded with;
 * retired keys are read. Where it has a copy of data.clean's table, that is what is read (data.clean_copy). N words as
 * above. ERR_INPUT, also when a newer presize wrote it. */
int experiment_reopen(struct experiment **out, const char *folder, char *const *words, int n,
                      struct err *err) MUST_USE;
/* One of today's version with every key at its default but for the N words KEY=VALUE; it has no file. ERR_INPUT. */
int experiment_default(struct experiment **out, char *const *words, int n,
                       struct err *err) MUST_USE;
void experiment_free(struct experiment *e); /* NULL is fine */

/* Writes experiment.yaml (as given), resolved.yaml (every key, nested) and params.yaml (flat) into
 * FOLDER, each whole or not at all. */
int experiment_write(const struct experiment *e, const char *folder, struct err *err) MUST_USE;
/* SHA-256 over every key of the experiment's version that may change a bit of the weights, and over the
 * version: not exec.threads, exec.prefetch, exec.readers, exec.cuda_graph, data.verify, train.score_train,
 * train.checkpoint_minutes, title or the name. */
int experiment_sha256(const struct experiment *e, char hex[SHA256_HEX], struct err *err) MUST_USE;
/* Whether the key NAME is one of those that cannot change a bit of the weights. */
bool experiment_is_harmless(const char *name);
/* Whether it says which repeat of a recipe a run is: seed, data.split_seed, data.fold. */
bool experiment_is_repeat(const char *name);
/* Every key of today with its value, flat, as params.yaml has them (all values are texts, or lists of
 * them), so that experiments of different versions can be compared; and retired keys that are not at
 * their default. Owned by the caller. */
int experiment_params(json_t **out, const struct experiment *e, struct err *err) MUST_USE;
/* experiments/README.md: every key of every module (train --keys). */
void experiment_document(FILE *file);
/* The tables of keys; *N is how many. */
const struct key_table *experiment_keys(size_t *n);

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
