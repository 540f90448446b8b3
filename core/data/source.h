/* source.h - the picture sets that are known by name, and where they are published: one const table. (Weights:
 * arch/pretrained.h.)
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_SOURCE_H
#define PRESIZE_DATA_SOURCE_H

#include <stdbool.h>
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
    const char *page;                                    /* of the set, for readers; NULL: none */
    bool made;                                           /* fetch draws archives[0].file itself */
    const char *how; /* what to do where there is nothing to download; NULL otherwise */
};

extern const struct source sources[];
extern const size_t n_sources;

const struct source *source_find(const char *name); /* NULL: not in the table */
const char *source_near(const char *name);          /* the name that was meant, or NULL */
size_t source_archives(const struct source *s);     /* how many */

/* Where an archive of S with this name and SHA-256 is published; NULL: nowhere that is known. */
const char *source_url(const struct source *s, const char *file, const char *sha256);
/* How an archive is known, for the list: "SHA-256 67195c5e1c01…", "size and MD5 of the first MiB". */
const char *source_hash_text(const struct source_archive *a);

#endif
