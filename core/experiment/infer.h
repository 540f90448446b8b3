/* infer.h - the one inference path: validation in train, eval and predict all go through here.
 *
 * Pictures are centred and shrunk (augment_validation), run with running statistics, padded to the
 * fixed batch: a picture's probabilities do not depend on its neighbours.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EXPERIMENT_INFER_H
#define PRESIZE_EXPERIMENT_INFER_H

#include "backend/backend.h"
#include "data/shard.h"
#include "experiment/experiment.h"
#include "nn/network.h"

struct infer; /* a prepared inference list over an open backend's parameters */

/* BATCH pictures per call, a multiple of MICROBATCH (0: as network_shape). ERR_NOMEM,
 * ERR_UNSUPPORTED. Release before the backend is closed. */
int infer_new(struct infer **out, const struct device *device, const struct network *n, int size,
              int batch, int microbatch, enum dtype dtype, struct err *err) MUST_USE;
void infer_free(struct infer *i); /* NULL is fine */
/* How infer_ranks() shrinks pictures: mode, resize and pad of the training's O; the first of each until it is said. */
void infer_augment(struct infer *i, const struct augment_options *o);
/* Before a run's device is opened to infer: where the run used oneDNN and this build has none, presize's own
 * convolutions take its place, with a warning. */
void infer_exec(struct exec_options *o);
/* The batch that train and eval use, from the device (its threads, its own batch) and exec.microbatch. */
int infer_batch(const struct exec_options *o, const struct be_info *info);
void infer_memory(const struct infer *i, struct be_memory *m);
/* N pictures, any number, maps set by the caller (augment_validation):
 *   prob  out (n, classes), rows add up to 1     loss  out n, nat; 0 where label is -1; may be NULL
 */
int infer_run(struct infer *i, const struct picture *pictures, int n, float *prob, float *loss,
              struct err *err) MUST_USE;
/* Some pictures of a shard set, in the order given. */
struct infer_pictures {
    const struct shard_set *set;
    const uint32_t *ranks;
    uint32_t n;
    bool verify;           /* each picture's CRC-32C */
    bool kept;             /* the backend keeps the set: its pixels are not read */
    const int32_t *labels; /* of the network for those of the set; NULL: the same */
};
/* infer_run() over pictures that are read ahead. A progress bar that was begun shows the pictures
 * done. Where the device has several processes, all call it with the same pictures: each infers its share and gets the
 * results of all. */
int infer_pictures(struct infer *i, const struct infer_pictures *p, float *prob, float *loss,
                   struct err *err) MUST_USE;
int infer_ranks(struct infer *i, const struct shard_set *s, const uint32_t *ranks, uint32_t n,
                bool verify, float *prob, float *loss, struct err *err) MUST_USE;

/* Test-time augmentation (fastai's tta): A the mean over ROUNDS draws of the training augmentation, P
 * without any, the result A + BETA (P - A). */
struct tta {
    int rounds;
    double beta;
    const struct augment_options *augment;
    uint64_t seed;
};
/* PROB (n, classes) holds P and becomes the result, LOSS (may be NULL) its -log p of the label.
 * Progress goes to ROUNDS times n. Several processes as for infer_pictures(). */
int infer_tta(struct infer *i, const struct infer_pictures *p, const struct tta *t, float *prob,
              float *loss, struct err *err) MUST_USE;
/* The arithmetic: SUM (n) over the rounds into PROB (n), P before and the result after. */
void tta_blend(float *prob, const float *sum, size_t n, const struct tta *t);
float tta_loss(float p); /* -log p, nat */

/* What validation and tests report of N pictures, sums in the order given. */
struct score {
    double loss, error_rate, accuracy; /* nat; fractions of n */
    uint32_t errors;
};
/* PROB (n, classes), LOSS n, and LABELS n; PREDICTED (may be NULL) out n: the first largest. */
void infer_score(struct score *s, uint32_t n, int classes, const float *prob, const float *loss,
                 const int32_t *labels, int32_t *predicted);

/* A finished run's model, ready to predict: experiment (resolved.yaml), vocabulary and size
 * (checkpoints/WHICH.json), weights (checkpoints/WHICH.safetensors). WHICH is "last", "best" or NULL: the
 * one the run ends with. */
struct trained {
    struct experiment *experiment;
    struct network *network;
    struct device device;
    struct infer *infer;
    char **vocab;
    int classes, size; /* size: network input, px */
    int presize;       /* short side that pictures are presized to first, px */
    double max_aspect;
    bool exif; /* pictures are turned by their EXIF orientation first */
};
/* The WORDS are overrides of exec.* keys. RANKS: processes that all open it, borrowed while it is open; NULL: alone.
 * ERR_INPUT, ERR_FORMAT, ERR_CHECKSUM. */
int trained_open(struct trained **out, const char *folder, const char *which, char *const *words,
                 int n_words, const struct be_ranks *ranks, struct err *err) MUST_USE;
/* The same, by one process, of a checkpoint's FILE.safetensors alone: what else is needed stands in its metadata, or,
 * where an older presize wrote it, in FILE.json beside it. The experiment has the defaults but for what predicts.
 * ERR_INPUT where neither is there. */
int trained_open_file(struct trained **out, const char *file, char *const *words, int n_words,
                      struct err *err) MUST_USE;
void trained_close(struct trained *t); /* NULL is fine */

#endif
