/* shard_format.h - what a shard and index.json hold; private to shard, shard_write, shard_check.
 *
 * docs/formats.md says the same in words. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_SHARD_FORMAT_H
#define PRESIZE_DATA_SHARD_FORMAT_H

#include <hdf5.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "data/index_record.h"
#include "data/shard.h"

#define SHARD_VERSION 1 /* of a shard */
#define SHARD_INDEX_FILE "index.json"
#define SHARD_IMAGES "/images"
#define SHARD_INDEX "/index"
#define SHARD_ATTR_VERSION "presize_version"
#define SHARD_ATTR_VOCABULARY "vocabulary"
#define SHARD_ATTR_SETTINGS "settings"
#define SHARD_ATTR_DECODER "decoder"
#define SHARD_ATTR_MANIFEST "manifest_sha256"

enum {
    SHARD_ZSTD_FILTER = 32015, /* registered with The HDF Group */
    SHARD_ZSTD_LEVEL = 3,
    SHARD_FORMAT_TEXT = 8, /* bytes of the source format's name, 0-padded */
    SHARD_FILE_TEXT = 32,  /* "shard-00000.h5" */
    SHARD_PATH_MAX = 4096, /* longest path, bytes */
};

/* A row of /index in memory, packed as in the file; the path (PATH_SIZE bytes, 0-padded) follows it. */
struct shard_row {
    uint32_t rank; /* in the whole sorted listing, pictures that were skipped included */
    int32_t label, official;
    uint32_t height, width, original_height, original_width;
    uint32_t crc32c;
    uint64_t address, stored;
    char format[SHARD_FORMAT_TEXT];
};

/* One picture's part in labels_sha256: what is said about it. */
static inline void shard_hash_label(struct sha256 *sha, const char *path, const char *label,
                                    int32_t official)
{
    const char list = (char)('1' + official); /* -1, 0, 1 */

    sha256_update(sha, path, strlen(path) + 1);
    sha256_update(sha, label, strlen(label) + 1);
    sha256_update(sha, &list, 1);
}

/* UTF-8 text of exactly SIZE bytes, 0-padded. Negative on failure; released with H5Tclose(). */
hid_t shard_text_type(size_t size);

/* The compound type of /index: offsets as in struct shard_row, then "path" of PATH_SIZE bytes; the
 * same in memory and in the file but for the byte order, which in the file is little-endian.
 * Negative on failure; released with H5Tclose(). */
hid_t shard_row_type(size_t path_size, bool in_file);

/* The library's own messages off, in the calling thread's error stack; file access properties that
 * give the same bytes everywhere. Negative on failure; released with H5Pclose(). */
hid_t shard_file_access(void);

/* Sets KIND and "CONTEXT: what the library says" from its error stack (the innermost message, which
 * names errno where a call to the system failed); ERR_FULL where that is a full disk. Returns -1. */
int shard_hdf5_error(struct err *err, enum err_kind kind, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Whether the text attribute NAME of OBJECT is EXPECTED: 1, 0 (or missing), -1 with ERR_NOMEM. */
int shard_same_text(hid_t object, const char *name, const char *expected, struct err *err) MUST_USE;

#endif
