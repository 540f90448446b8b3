/* shard_file.h - one shard while it is being written; private to shard_write.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_SHARD_FILE_H
#define PRESIZE_DATA_SHARD_FILE_H

#include <hdf5.h>

#include "base/path.h"
#include "data/shard_write.h"

/* What every shard of a set says about itself in its root attributes. */
struct shard_about {
    const char *vocabulary; /* n_classes texts of vocabulary_width bytes, 0-padded */
    size_t vocabulary_width;
    int32_t n_classes;
    const char *settings, *decoder, *manifest_sha256;
    size_t path_size; /* bytes of a path in /index */
    int storage;      /* enum shard_storage */
};

struct shard_file {
    char path[PATH_LEN];
    const struct shard_about *about; /* borrowed until closed */
    hid_t file, images;
    int fd;        /* the library's own descriptor */
    uint8_t *rows; /* /index as it will be written: capacity rows of row_size bytes */
    size_t row_size;
    uint32_t n, capacity;
};

/* Creates PATH for at most CAPACITY pictures. On an error nothing is left and F is as if closed. */
int shard_file_create(struct shard_file *f, const char *path, uint32_t capacity,
                      const struct shard_about *about, struct err *err) MUST_USE;
/* Adds ITEM, of RANK in the listing; fewer than CAPACITY are in. After an error: discard. */
int shard_file_add(struct shard_file *f, const struct dataset_item *item, uint32_t rank,
                   const struct shard_pixels *p, struct err *err) MUST_USE;
/* Writes /index and the attributes and closes. On an error the file is gone, as by discard. */
int shard_file_close(struct shard_file *f, struct err *err) MUST_USE;
void shard_file_discard(struct shard_file *f); /* closed or all zero is fine */
/* The table of the finished shard PATH: *N rows as in ->rows, owned by the caller. ERR_FORMAT, ERR_NOMEM. */
int shard_file_rows(uint8_t **rows, uint32_t *n, const char *path, size_t path_size,
                    struct err *err) MUST_USE;

#endif
