/* manifest.h - manifest.jsonl: every file of a data set with its size and SHA-256.
 *
 * Written last, it is the mark that the tree beside it is complete. No times and no absolute paths:
 * equal archives give equal manifests. It carries the hash of its other bytes; those that presize 0.1.0 wrote
 * have none, and the same other bytes. Format: docs/formats.md.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_MANIFEST_H
#define PRESIZE_DATA_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"

enum { MANIFEST_VERSION = 1, MANIFEST_ARCHIVES_MAX = 16, MANIFEST_NAME_MAX = 255 };

struct manifest_archive {
    char file[MANIFEST_NAME_MAX + 1]; /* name without folder */
    uint64_t size;                    /* bytes */
    char sha256[SHA256_HEX];
};

struct manifest_file {
    char *path; /* below tree/, '/' separated; owned */
    uint64_t size;
    char sha256[SHA256_HEX];
};

/* All zero is an empty manifest. */
struct manifest {
    char source[MANIFEST_NAME_MAX + 1]; /* the data set's name */
    struct manifest_archive archives[MANIFEST_ARCHIVES_MAX];
    size_t n_archives;
    struct manifest_file *files;
    size_t n_files, capacity;
    char sha256[SHA256_HEX]; /* of a manifest that was read: by which shards and runs name it */
};

int manifest_add(struct manifest *m, const char *path, uint64_t size, const char *sha256,
                 struct err *err) MUST_USE;
void manifest_free(struct manifest *m); /* leaves it empty */

void manifest_order(struct manifest *m); /* sorts the files bytewise by path */
/* The same. ERR_UNSAFE when two paths, or folders of them, differ only in case, Unicode form or invisible
 * characters: on some file systems they would be one. */
int manifest_sort(struct manifest *m, struct err *err) MUST_USE;
/* The same error for N paths that are no manifest's. */
int manifest_refuse_alike(const char *const *paths, size_t n, struct err *err) MUST_USE;

/* The one folder that all files lie below, into TOP (ENTRY_NAME_MAX + 1 bytes); "" when there is
 * none. */
void manifest_common_top(const struct manifest *m, char *top);
/* Takes "TOP/" off the front of every path; every path has it, or it is a bug. */
void manifest_strip(struct manifest *m, const char *top);

uint64_t manifest_bytes(const struct manifest *m); /* sum of the files' sizes */
/* The file PATH of a sorted manifest, which owns it; NULL: none. */
const struct manifest_file *manifest_find(const struct manifest *m, const char *path);

/* Replaces PATH as a whole. The files are sorted, or it is a bug. */
int manifest_write(const struct manifest *m, const char *path, struct err *err) MUST_USE;

/* Reads and checks everything that can be checked without the files: version, fields, safe paths,
 * order, count. M starts empty and is to be freed. ERR_IO, ERR_FORMAT with the line's number. */
int manifest_read(struct manifest *m, const char *path, struct err *err) MUST_USE;
/* Its ->sha256 alone. Only the header's fields and, where it states one, the hash of the lines are checked. */
int manifest_sha256(const char *path, char hex[SHA256_HEX], struct err *err) MUST_USE;

/* Which files are hashed: number PART, PART + PARTS, ... of those that are there. NEXT (may be NULL) is called after
 * each, and ends the check by false. */
struct manifest_part {
    size_t part, parts;
    bool (*next)(void *ctx);
};

/* Hashes every file below TREE, or PART (may be NULL) of them, and calls DIFFERS with "changed", "missing" or "extra"
 * for each that is not as M has it, in the order of paths. Hidden files are not looked at: nothing reads them. 0 also
 * when some differ; ERR_IO, ERR_NOMEM. */
int manifest_check(const struct manifest *m, const char *tree, const struct manifest_part *part,
                   void (*differs)(void *ctx, const char *how, const char *path), void *ctx,
                   struct err *err) MUST_USE; /* manifest_check.c */

#endif
