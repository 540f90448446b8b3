/* shard_write.h - write the shards of a set and, last, their index.json.
 *
 * Everything is written into FOLDER.part beside the folder and appears under FOLDER only when it is
 * whole and on the disk; an earlier FOLDER is replaced in that moment and not before. The same
 * pictures and settings give the same bytes, whatever decoded them and however many workers did.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_SHARD_WRITE_H
#define PRESIZE_DATA_SHARD_WRITE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "base/hash.h"
#include "data/dataset.h"

/* All borrowed until shard_writer_finish() or _abort(). */
struct shard_plan {
    const char *set;                       /* the set's name, for index.json */
    const struct dataset_options *options; /* size, max_aspect, shard_pictures, storage, ... */
    const struct dataset *dataset;         /* the sorted listing */
    const char *decoder;                   /* names and versions of what decoded, one line */
    /* of manifest.jsonl (FETCHED), or of a list of the pictures; "" where there is none */
    const char *manifest_sha256;
    bool fetched;
    uint32_t writer, writers; /* number among several writers, from 0; 0, 0 or 0, 1: alone */
};

/* One presized picture as it goes into the file. */
struct shard_pixels {
    uint32_t height, width; /* after presizing, > 0 */
    uint32_t original_height, original_width;
    const char *format; /* of the source, at most 7 bytes: "jpeg", "png", "gif", "webp", ... */
    uint32_t crc32c;    /* of the height * width * 3 pixels, as a reader of BYTES gets them */
    /* raw: the pixels, dense RGB; zstd: what shard_compress() made of them; jpeg: a JPEG file */
    const uint8_t *bytes;
    size_t size; /* bytes there; raw: height * width * 3 */
};

struct shard_writer; /* opaque */

/* Makes FOLDER.part (what a killed process left there is removed first). ERR_IO, ERR_FULL, ERR_NOMEM,
 * ERR_LOCKED: another process is writing this folder. *out is NULL then. */
int shard_writer_open(struct shard_writer **out, const char *folder, const struct shard_plan *plan,
                      struct err *err) MUST_USE;

/* The order in which pictures are to be added: number in dataset->items of the I-th, I < dataset->n.
 * One permutation of the whole listing (Fisher-Yates by Philox, RNG_SHARD, seed 0). Constant after
 * opening, so any thread may ask. */
uint32_t shard_writer_order(const struct shard_writer *w, uint32_t i);
const char *
shard_writer_part(const struct shard_writer *w); /* the folder that is written in until the end */

/* Adds the next picture in the order. One thread at a time. On an error (ERR_IO, ERR_FULL,
 * ERR_NOMEM) nothing more can be added: shard_writer_abort(). */
int shard_writer_add(struct shard_writer *w, const struct shard_pixels *p,
                     struct err *err) MUST_USE;
/* Leaves the next picture out (decode.on_error: skip); the following ones move up, so that every
 * shard but the last is full. /index keeps the rank in the whole listing; readers number the pictures
 * that are there densely, in that order. index.json names what was skipped. */
int shard_writer_skip(struct shard_writer *w, struct err *err) MUST_USE;

/* Adds KEY with VALUE (which it takes over, also on failure; NULL: out of memory) to index.json, before finish. What a
 * reader need not know: remarks, duplicates. ERR_NOMEM. */
int shard_writer_record(struct shard_writer *w, const char *key, json_t *value,
                        struct err *err) MUST_USE;

/* Closes the last shard, syncs, writes index.json, moves the folder into place and frees W. Every
 * picture must have been added or skipped, at least one added (ERR_INPUT). Ends W in either case:
 * on an error everything is removed as by shard_writer_abort(); where only the last sync, of the folder's name, failed,
 * FOLDER is there and whole. */
int shard_writer_finish(struct shard_writer *w, struct err *err) MUST_USE;
/* Removes all that was written and frees W; an earlier FOLDER stays as it was. NULL is fine. */
void shard_writer_abort(struct shard_writer *w);

/* The next picture lies in a shard that is another writer's or, in mending a finished FOLDER, sound. It is counted and
 * not written; all pictures of a shard are passed, or none. */
void shard_writer_pass(struct shard_writer *w);
/* The end of mending, in place of finish(): each shard that was written must be, to the byte, the one of its name in
 * LISTED ("shards" of FOLDER/index.json), and takes its place; index.json stays. *N: how many. Ends W in either case.
 * ERR_CHECKSUM: one differs, and FOLDER is as it was. ERR_IO, ERR_FULL, ERR_NOMEM. */
int shard_writer_mend(struct shard_writer *w, const json_t *listed, uint32_t *n,
                      struct err *err) MUST_USE;

/* --- several writers (shard_writers.c), in processes or one -------------------------------------------
 *
 * Of W writers with equal plans, writer I makes shards I, I + W, ... of one FOLDER.part, and all have the bytes of one
 * writer's. Order of calls: writer 0 opens, then the others; each adds or skips the pictures of its own shards and
 * passes the rest; each ends. All skipped pictures go to each with leave_out(). Where there are some, each fills, and
 * when all have filled, each replaces. Writer 0 takes all made shards over and finishes; the others abort, which
 * removes nothing of FOLDER.part. Where one fails, the others abort first. */

/* Whether the I-th picture in the order is in a shard of this writer, as long as none is left out. */
bool shard_writer_is_own(const struct shard_writer *w, uint32_t i);
int shard_writer_end(struct shard_writer *w,
                     struct err *err) MUST_USE; /* all own shards are on the disk */
/* What all writers skipped: the N pictures at PLACES in the order, rising. ERR_NOMEM. */
int shard_writer_leave_out(struct shard_writer *w, const uint32_t *places, uint32_t n,
                           struct err *err) MUST_USE;
/* Shards that pictures were skipped from are short. Makes own shards full, from the first short one on, out of those
 * of all writers; no picture is decoded. ERR_FORMAT: a shard has changed; ERR_STOPPED: *STOP was set. */
int shard_writer_fill(struct shard_writer *w, const volatile sig_atomic_t *stop,
                      struct err *err) MUST_USE;
int shard_writer_replace(struct shard_writer *w, struct err *err) MUST_USE;

struct shard_made {
    uint32_t number, count; /* of pictures */
    uint64_t bytes;         /* of the file */
    char sha256[SHA256_HEX];
};
/* Those that this writer made, *N of them; borrowed. */
const struct shard_made *shard_writer_made(const struct shard_writer *w, uint32_t *n);
/* The N of all writers; BYTES of pictures are in them. ERR_NOMEM; ERR_FORMAT: one is missing. */
int shard_writer_take_over(struct shard_writer *w, const struct shard_made *made, uint32_t n,
                           uint64_t bytes, struct err *err) MUST_USE;

uint64_t shard_writer_bytes(const struct shard_writer *w); /* of pictures, as stored, so far */

/* For the workers, storage zstd: one zstd frame of the pixels, equal bytes for equal pixels with one
 * version of the library. OUT has room for shard_compress_bound(size). ERR_NOMEM. */
size_t shard_compress_bound(size_t size);
int shard_compress(uint8_t *out, size_t capacity, size_t *stored, const uint8_t *pixels,
                   size_t size, struct err *err) MUST_USE;

#endif
