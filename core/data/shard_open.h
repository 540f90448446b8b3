/* shard_open.h - a folder of shards, opened piece by piece; private to shard and shard_check.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_SHARD_OPEN_H
#define PRESIZE_DATA_SHARD_OPEN_H

#include "data/dataset.h"
#include "data/shard_format.h"
#include "remote/remote.h"

struct shard {
    char file[SHARD_FILE_TEXT];
    int fd;
    uint64_t bytes;
    uint32_t count;
    char *paths;                /* of its pictures, each 0-terminated */
    struct remote_file *remote; /* NULL: the file is whole */
};

struct shard_set {
    char *folder;
    struct shard *shards;
    uint32_t n_shards, keep_open;   /* the first KEEP_OPEN shards keep their descriptors */
    struct shard_picture *pictures; /* by dense rank */
    uint32_t n;
    json_t *index;              /* index.json; owns the labels and group names */
    struct index_record record; /* of index */
    const char **vocab;         /* borrowed from index */
    const char **group;         /* of each label, NULL none; borrowed from index */
    int32_t n_classes, size;
    int storage; /* enum shard_storage */
    char sha256[SHA256_HEX];
    uint32_t number;
    struct remote *remote; /* NULL: a folder of this machine */
};

/* Reads and checks FOLDER/index.json; no shard is opened (fd -1) and there are no pictures yet.
 * Release with shard_set_close(). */
int shard_index_open(struct shard_set **out, const char *folder, struct err *err) MUST_USE;
/* Opens shard NUMBER: size, version, manifest and /index, whose rows go to OUT (count of them), their
 * rank still that of the whole listing. The messages name neither folder nor file. */
int shard_table_open(struct shard_set *s, uint32_t number, struct shard_picture *out,
                     struct err *err) MUST_USE;
/* All bytes of shard NUMBER are there, where it is of another machine. */
int shard_complete(struct shard_set *s, uint32_t number, struct err *err) MUST_USE;
/* As shard_set_read() of a picture that stands nowhere else; the message names neither. */
int shard_read_picture(const struct shard_set *s, const struct shard_picture *p, uint8_t *pixels,
                       bool verify, struct err *err) MUST_USE;

#endif
