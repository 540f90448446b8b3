/* shard_write_private.h - a writer of shards, and what several of them share (shard_write.c, shard_writers.c).
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_SHARD_WRITE_PRIVATE_H
#define PRESIZE_DATA_SHARD_WRITE_PRIVATE_H

#include "data/shard_file.h"
#include "data/shard_format.h"
#include "data/shard_write.h"

#define SHARD_NAME "shard-%05u.h5"
#define SHARD_FULL_NAME "full-%05u.h5" /* until all writers have read the short one */

struct shard_writer {
    struct shard_plan plan;
    struct shard_about about;
    char folder[PATH_LEN], part[PATH_LEN];
    int lock;        /* FOLDER.part as a descriptor, -1: not ours */
    uint32_t *order; /* dataset->n */
    uint32_t next;   /* in order: added, skipped or passed so far */
    uint32_t added;
    uint32_t places; /* taken in shards so far, of all writers */
    uint64_t bytes;
    char *vocabulary;       /* packed for the files */
    char *settings;         /* JSON text, the same in every shard */
    bool open;              /* FILE is being written, as NUMBER */
    bool filling;           /* shards get the name SHARD_FULL_NAME */
    struct shard_file file; /* of which open is true */
    uint32_t number;
    struct shard_made *made; /* n_made that were written, in that order; owned */
    uint32_t n_made;
    json_t *skipped;   /* array of index.json */
    json_t *more;      /* further keys of it */
    uint8_t *left_out; /* of each item of the listing: skipped */
};

/* FOLDER.part, which another writer made. ERR_IO, ERR_LOCKED. */
int shard_writer_join(struct shard_writer *w, struct err *err) MUST_USE;
/* The lock of the writer that made FOLDER.part lets the other writers lock it, too. */
int shard_writer_share_lock(struct shard_writer *w, struct err *err) MUST_USE;
int shard_writer_begin_shard(struct shard_writer *w, uint32_t number, struct err *err) MUST_USE;
/* Closes the shard that is open, if one is, and notes it. */
int shard_writer_end_shard(struct shard_writer *w, struct err *err) MUST_USE;
/* The I-th picture in the order is left out. ERR_NOMEM. */
int shard_writer_note_skipped(struct shard_writer *w, uint32_t i, struct err *err) MUST_USE;
int shard_writer_sync(const struct shard_writer *w, struct err *err) MUST_USE;

#endif
