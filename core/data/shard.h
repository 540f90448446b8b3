/* shard.h - read presized shards: one HDF5 file per 512 pictures, and the set's index.json.
 *
 * After opening no HDF5 call is made: pixels are read by offset with pread, from any thread.
 * Format: docs/formats.md; writer shard_write.h, deep check shard_check.h.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_SHARD_H
#define PRESIZE_DATA_SHARD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"

struct shard_picture {
    const char *path;       /* below the set's picture root; borrowed until shard_set_close() */
    uint32_t rank;          /* in the sorted listing of the whole set */
    int32_t label;          /* in [0, classes); as shard_set_relabel() left it */
    int32_t stored_label;   /* as the shard has it */
    int32_t official;       /* 0 trainval, 1 test, -1 unlisted */
    uint32_t height, width; /* pixels after presizing, > 0; 3 channels, RGB */
    uint32_t original_height, original_width;
    uint32_t crc32c;          /* of the height * width * 3 pixels, as decoded */
    uint32_t shard;           /* which file */
    uint64_t address, stored; /* byte offset in the file; bytes there (zstd, jpeg: compressed) */
};

struct shard_set; /* opaque: all shards of one folder */

/* Opens FOLDER/index.json (refused when missing: the mark of completeness) and every shard's /index;
 * checks versions, counts and file sizes, not SHA-256 (shard_check does). ERR_IO, ERR_FORMAT,
 * ERR_NOMEM; *out is NULL then. */
int shard_set_open(struct shard_set **out, const char *folder, struct err *err) MUST_USE;
void shard_set_close(struct shard_set *s); /* NULL is fine */

uint32_t
shard_set_number(const struct shard_set *s); /* from 1, another one for each that was opened */
uint64_t shard_set_bytes(const struct shard_set *s); /* of all pixels */
uint32_t shard_set_count(const struct shard_set *s); /* pictures, > 0 */
/* Picture by its RANK in the sorted listing, rank < count. */
const struct shard_picture *shard_set_picture(const struct shard_set *s, uint32_t rank);
/* The rank of the picture PATH, -1 where the set has none. */
int64_t shard_set_rank(const struct shard_set *s, const char *path);
int32_t shard_set_classes(const struct shard_set *s);
const char *shard_set_label(const struct shard_set *s, int32_t label); /* borrowed */
/* The label of that name; -1: none. */
int32_t shard_set_find_label(const struct shard_set *s, const char *name);
/* The picture of RANK has another LABEL from now on, in memory alone: whoever asks for pictures of S sees it. Not while
 * another thread reads. */
void shard_set_relabel(struct shard_set *s, uint32_t rank, int32_t label);
int32_t shard_set_size(const struct shard_set *s);             /* presized short side, px */
int shard_set_storage(const struct shard_set *s);              /* enum shard_storage (dataset.h) */
bool shard_set_is_remote(const struct shard_set *s);           /* of another machine */
uint64_t shard_set_stored_bytes(const struct shard_set *s);    /* of all pictures, as stored */
const char *shard_set_index_sha256(const struct shard_set *s); /* of index.json */
const char *shard_set_manifest_sha256(const struct shard_set *s); /* of manifest.jsonl */
/* index.json. Borrowed. */
struct index_record;
const struct index_record *shard_set_record(const struct shard_set *s);
/* What prep remarked (remarks_json()); NULL: an older prep. Borrowed. */
const json_t *shard_set_remarks(const struct shard_set *s);
/* SHA-256 over path, label and official list of every picture, in the order of ranks. ERR_NOMEM. */
int shard_set_labels_sha256(const struct shard_set *s, char hex[SHA256_HEX],
                            struct err *err) MUST_USE;
/* Groups of classes: name of the group of LABEL, NULL when it has none. */
const char *shard_set_group(const struct shard_set *s, int32_t label);

/* Reads the picture of RANK.
 *   pixels  out (height, width, 3), uint8 in [0, 255], dense
 *   verify  compare the CRC-32C
 * ERR_IO, or ERR_FORMAT naming file and picture when the CRC disagrees or the file ends early;
 * pixels are then undefined. Thread-safe. */
int shard_set_read(const struct shard_set *s, uint32_t rank, uint8_t *pixels, bool verify,
                   struct err *err) MUST_USE;

#endif
