/* shard_check.h - deep check of a folder of shards: every byte, and what says what about it.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_SHARD_CHECK_H
#define PRESIZE_DATA_SHARD_CHECK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct shard_check_report {
    uint32_t shards, pictures; /* found sound */
    uint64_t bytes;            /* of the shard files */
    uint32_t problems;         /* how many things are wrong; the message names the first 20 */
};

/* Checks FOLDER/index.json and of each shard: size and SHA-256, version and root attributes, /index
 * against index.json and against the datasets (name, shape, type, storage, address), the CRC-32C of
 * each picture's pixels, ranks that occur once. Continues after a fault: ERR_FORMAT (ERR_IO where
 * nothing but missing files is wrong) names the first 20, file and picture. PROGRESS (may be NULL)
 * is told bytes done and in all. */
int shard_check(struct shard_check_report *out, const char *folder,
                void (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                struct err *err) MUST_USE;

/* Which shards of FOLDER are not the bytes that its index.json names, or missing: DAMAGED (calloc'ed) has one entry for
 * each of its N shards. INDEX is a new reference to index.json. DIFFERS is told of each, with why. ERR_FORMAT, ERR_IO:
 * index.json itself is damaged or missing; ERR_NOMEM. Nothing is to be released then. */
int shard_find_damaged(bool **damaged, uint32_t *n, json_t **index, const char *folder,
                       void (*differs)(const char *what), struct err *err) MUST_USE;

#endif
