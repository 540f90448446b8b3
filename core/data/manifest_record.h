/* manifest_record.h - the lines of manifest.jsonl: every member with a row.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_MANIFEST_RECORD_H
#define PRESIZE_DATA_MANIFEST_RECORD_H

#include "base/field.h"

/* Texts and JSON are borrowed: of whom fills it, or of the JSON it was read from. */
struct manifest_header {
    const char *format;
    int64_t version;
    const char *source;
    const json_t *archives;
    int64_t files, bytes;
    const char *sha256;
};
struct manifest_archive_line { /* a member of `archives` */
    const char *file;
    int64_t size;
    const char *sha256;
};
struct manifest_file_line {
    const char *path;
    int64_t size;
    const char *sha256;
};
extern const struct field manifest_header_fields[];
extern const struct field manifest_archive_fields[];
extern const struct field manifest_file_fields[];

#endif
