/* weights.h - a network's persistent tensors: fresh, from files, to files, hashed.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_NN_WEIGHTS_H
#define PRESIZE_NN_WEIGHTS_H

#include "backend/backend.h"
#include "base/hash.h"
#include "nn/network.h"

/* Puts initial values of every parameter into the open backend (Philox: RNG_INIT, position = index of
 * the parameter); HEAD_ONLY leaves the body. */
int weights_init(const struct device *device, const struct network *n, uint64_t seed,
                 bool head_only, struct err *err) MUST_USE;
/* A safetensors file: all PARAM and STATE tensors of the network plus num_batches_tracked (int64) per
 * batch norm; ABOUT is the metadata "presize" (NULL: none); no time or path inside. Atomic. ERR_IO, ERR_FULL. */
int weights_save(const char *path, const struct device *device, const struct network *n,
                 uint64_t batches_tracked, const char *about, struct err *err) MUST_USE;
/* The metadata "presize" of the safetensors file at PATH, owned by the caller; *ABOUT is NULL where it has none. */
int weights_about(char **about, const char *path, struct err *err) MUST_USE;
/* Loads such a file, or another's with one ResNet, or the one of several that KEY means (tensorfile_take_network();
 * "": none) (body_only: all but head.*; fc.* and what else is no part of a ResNet is left out, and said). ERR_FORMAT
 * says which architecture the file looks like, or lists missing, extra and misshapen tensors, and nothing is loaded
 * then; or names the tensor of another's weights that is not finite. BATCHES_TRACKED may be NULL. */
int weights_load(const char *path, const char *key, const struct device *device,
                 const struct network *n, bool body_only, uint64_t *batches_tracked,
                 struct err *err) MUST_USE;
/* How many of the OF tensors of N in the device are not, bit for bit, those of the safetensors file at PATH, which
 * weights_save() wrote; FIRST is the first of them in the network's order. */
int weights_compare(const char *path, const struct device *device, const struct network *n,
                    char first[96], int *differ, int *of, struct err *err) MUST_USE;
/* What a resumed training needs besides, where the backend has it: Adam's moments ("NAME.m", "NAME.v") and, while the
 * averages stand in the network's place (weights_swap_averages()), the weights that are trained ("NAME"). */
int weights_save_optimiser(const char *path, const struct device *device, const struct network *n,
                           struct err *err) MUST_USE;
int weights_load_optimiser(const char *path, const struct device *device, const struct network *n,
                           struct err *err) MUST_USE;
/* Averages := the weights; nothing where the backend keeps none. ERR_NOMEM, or what put() gives. */
int weights_begin_averages(const struct device *device, const struct network *n,
                           struct err *err) MUST_USE;
/* Exchanges the weights and their averages ("NAME.ema"), where the backend keeps some: done before what uses
 * the averages (validation, checkpoints) and once more behind it. ERR_NOMEM, or what put() gives; some are then
 * exchanged and some not. */
int weights_swap_averages(const struct device *device, const struct network *n,
                          struct err *err) MUST_USE;
/* Moments := 0 (freeze and unfreeze clear the optimiser's state). */
int weights_clear_optimiser(const struct device *device, const struct network *n,
                            struct err *err) MUST_USE;
/* SHA-256 over the tensors' bytes (fp32, little endian, torch layout) in bytewise order of their names. */
int weights_sha256(char hex[SHA256_HEX], const struct device *device, const struct network *n,
                   struct err *err) MUST_USE;

#endif
