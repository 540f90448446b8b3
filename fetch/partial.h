/* partial.h - a download that is not whole yet: PATH.part, and PATH.part.jsonl, which says what it is.
 *
 * The record's first line names the address, the server's version of the file (ETag, Last-Modified)
 * and its size; every further line gives a length of PATH.part and the SHA-256 of so many bytes. What
 * a killed process left is read again, and what agrees with the last such line is used. Nothing is
 * synced before the end: after a power cut the hashes tell what reached the disk.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_PARTIAL_H
#define PRESIZE_FETCH_PARTIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/field.h"
#include "base/hash.h"
#include "base/path.h"

struct partial_head { /* the record's first line; texts are borrowed */
    const char *address, *etag, *modified;
    int64_t size;
};
struct partial_line { /* the others */
    int64_t bytes;
    const char *sha256;
};
extern const struct field partial_head_fields[], partial_line_fields[];

enum { PARTIAL_STEP = 1 << 18, PARTIAL_TAG = 256 }; /* bytes between two lines; room for a header */

struct partial_version { /* of the file on the server, as its headers say */
    char etag[PARTIAL_TAG], modified[PARTIAL_TAG]; /* "": not said */
    uint64_t size;                                 /* bytes, 0: not said */
};

struct partial { /* all zero: not open */
    char path[PATH_LEN], part[PATH_LEN], lines[PATH_LEN];
    char address[PATH_LEN]; /* without user and password */
    FILE *file, *record;
    struct sha256 *hash;
    struct partial_version version;
    uint64_t bytes, noted; /* good bytes in file and hash; those of the last line */
};

/* Opens what is there beside PATH, from ADDRESS; ->bytes is how much of it is good, 0 for nothing or another address
 * (which is logged). ERR_IO, ERR_NOMEM; P is closed then. */
int partial_open(struct partial *p, const char *path, const char *address,
                 struct err *err) MUST_USE;
/* Empties both files and begins with VERSION. ERR_IO, ERR_FULL, ERR_NOMEM. */
int partial_restart(struct partial *p, const struct partial_version *version,
                    struct err *err) MUST_USE;
int partial_write(struct partial *p, const void *data, size_t size, struct err *err) MUST_USE;
/* Syncs, renames to PATH, removes the record and closes. On an error both files stay. */
int partial_commit(struct partial *p, struct err *err) MUST_USE;
void partial_close(struct partial *p);   /* keeps what is there, noted to its last byte */
void partial_discard(struct partial *p); /* removes both files and closes */

#endif
