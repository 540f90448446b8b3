/* source.h - the picture sets that fetch knows by name: one const table. (Weights: pretrained.h.)
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_SOURCE_H
#define PRESIZE_FETCH_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { SOURCE_ARCHIVES_MAX = 2 };

struct source_archive {
    const char *file;          /* name below DATA/archives */
    const char *url;           /* https, where it is published */
    uint64_t size;             /* bytes */
    const char *sha256;        /* of the whole; NULL where nobody published it */
    const char *md5_first_mib; /* of the first 2^20 bytes; NULL unless it is all there is */
};

enum source_top {
    TOP_KEEP,  /* paths as they are in the archives */
    TOP_STRIP, /* the one folder that all entries lie below is taken off */
    TOP_GUESS, /* the same, unless that folder is images/ or annotations/ */
};

struct source {
    const char *name;
    enum source_top top;
    const char *title, *licence;
    struct source_archive archives[SOURCE_ARCHIVES_MAX]; /* file NULL ends them */
    /* Writes the archive archives[0].file itself, the same bytes at each call, in place of a
     * download; NULL for the others. Kinds as of demo_archive_write(). */
    int (*make)(const char *path, struct err *err);
    const char *how; /* what to do where there is nothing to download; NULL otherwise */
};

extern const struct source sources[];
extern const size_t n_sources;

const struct source *source_find(const char *name); /* NULL: not in the table */
const char *source_near(const char *name);          /* the name that was meant, or NULL */
size_t source_archives(const struct source *s);     /* how many */

/* How an archive is known, for the list: "SHA-256 67195c5e1c01…", "size and MD5 of the first MiB". */
const char *source_hash_text(const struct source_archive *a);

#endif
