/* checkpoint.h - checkpoints of a run: weights, optimiser and the state to resume from, as one.
 *
 * WHICH is "last" (weights, optimiser, state) or "best" (weights, state). A checkpoint is
 *   checkpoints/WHICH.safetensors   checkpoints/WHICH.optim.safetensors   checkpoints/WHICH.json
 * and the JSON holds the SHA-256 of the other files and, in its member "sha256", of its own members but that one as
 * one line of JSON. They are replaced together: all are written
 * beside the old ones as WHICH-new.*, WHICH-new.json last; then renamed, the JSON last. Whoever
 * finds WHICH-new.json finds a complete checkpoint, under new names where they exist. Whatever
 * fails before that (a full disk, kill -9) leaves the previous checkpoint valid.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EXPERIMENT_CHECKPOINT_H
#define PRESIZE_EXPERIMENT_CHECKPOINT_H

#include <jansson.h>
#include <stdbool.h>

#include "backend/backend.h"
#include "base/hash.h"
#include "base/path.h"
#include "nn/network.h"

enum {
    CHECKPOINT_VERSION = 3
}; /* of WHICH.json; 3 has the SHA-256 of itself; what only predicts reads 1, too */

/* Saves the open backend's weights (and Adam moments) with STATE, an object that is given the
 * members "files": {name: sha256} and "sha256". ERR_FULL, ERR_IO: the previous checkpoint is as it was. */
int checkpoint_save(const char *folder, const char *which, const struct device *device,
                    const struct network *n, uint64_t batches, bool optimiser, json_t *state,
                    struct err *err) MUST_USE;

/* Whether there is a complete checkpoint to resume from. */
bool checkpoint_exists(const char *folder, const char *which);

/* The state of a complete checkpoint, owned by the caller. ERR_INPUT when there is none, ERR_CHECKSUM when its text is
 * not what was written. */
int checkpoint_state(json_t **out, const char *folder, const char *which, struct err *err) MUST_USE;
/* SHA-256 of a complete checkpoint's JSON, the file. */
int checkpoint_sha256(char hex[SHA256_HEX], const char *folder, const char *which,
                      struct err *err) MUST_USE;

/* Puts the weights (and Adam moments) that STATE belongs to into the open backend; a program with
 * those tensors must be prepared. ERR_CHECKSUM when a file is not the one STATE was written with.
 * *BATCHES (may be NULL) is the number of training batches the weights have seen. */
int checkpoint_load(const char *folder, const char *which, const json_t *state,
                    const struct device *device, const struct network *n, bool optimiser,
                    uint64_t *batches, struct err *err) MUST_USE;

/* Path of the safetensors file with the weights that STATE belongs to. ERR_CHECKSUM when the file is not the one that
 * STATE was written with. */
int checkpoint_weights(char out[PATH_LEN], const char *folder, const char *which,
                       const json_t *state, struct err *err) MUST_USE;

/* Finishes what a killed process left between its two steps, or removes it. For whoever holds the
 * run's lock. */
int checkpoint_settle(const char *folder, const char *which, struct err *err) MUST_USE;

#endif
