/* unpack.h - an archive's files into a folder, none of them outside it.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_UNPACK_H
#define PRESIZE_FETCH_UNPACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/remark.h"
#include "data/manifest.h"

struct archive; /* libarchive's */
/* The compressions that a tar may have, for A; false: libarchive refuses. */
bool unpack_filters(struct archive *a);

struct unpack_limits {
    uint64_t entries;     /* names in the archive, folders and hidden files counted */
    uint64_t file_bytes;  /* of one unpacked file */
    uint64_t total_bytes; /* of all of them */
    uint64_t ratio;       /* unpacked bytes may be RATIO times the archive's, and 64 MiB more */
};
extern const struct unpack_limits unpack_limits_default;

struct unpack_report {
    struct remarks *remarks; /* the caller's: hidden files, archives among the files */
    uint64_t bytes;          /* of this archive, unpacked, also of hidden files */
    /* for each archive so far: the manifest's files before it */
    size_t starts[MANIFEST_ARCHIVES_MAX], n_starts;
    /* the caller's; NULL: all. A file that is not wanted is hashed and goes into the manifest, and is not written. */
    bool (*wanted)(void *ctx, const char *path);
    void *ctx;
};

/* Unpacks ARCHIVE (tar or zip by its magic bytes; gzip, bzip2, xz or zstd around a tar) below FOLDER, which exists,
 * and adds each file with its SHA-256 to M. CHARSET is the encoding of names that are not UTF-8 (CP437, SHIFT_JIS),
 * NULL: such names are refused. REPORT->remarks is set by the caller. Several archives one behind the other (cat
 * a.tar b.tar, also compressed) are read all; anything else behind an end mark is refused. Only regular files are
 * made; modes, owners and times of the archive are ignored. On an error what was written so far stays: the caller
 * removes FOLDER. Nothing is flushed to the disk: the caller does that once, before it commits. ERR_UNSAFE: a path
 * that leads elsewhere, a link, a device, a name twice, a limit exceeded. ERR_INPUT: a name that an earlier archive
 * of M has, too; an unknown encoding. ERR_FORMAT: not an archive, damaged, ends too early, a file of another
 * size than its entry says, a zip of which not all entries could be read. ERR_FULL, ERR_IO, ERR_NOMEM. */
int unpack(struct manifest *m, struct unpack_report *report, const char *archive,
           const char *folder, const char *charset, const struct unpack_limits *limits,
           struct err *err) MUST_USE;

#endif
