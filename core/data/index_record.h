/* index_record.h - index.json of a folder of shards: every member with a row.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_INDEX_RECORD_H
#define PRESIZE_DATA_INDEX_RECORD_H

#include "base/field.h"

enum { SHARD_INDEX_VERSION = 2 }; /* of index.json; 1 has no hash of itself */

struct index_settings { /* the keys that decide about the bytes */
    int64_t size;
    double max_aspect;
    int64_t pictures;
    const char *storage, *exif;
    int64_t quality;
};
struct index_group { /* a member of `groups` */
    const char *name;
    const json_t *classes;
};
struct index_shard { /* a member of `shards` */
    const char *file;
    int64_t count, bytes;
    const char *sha256;
};
struct index_duplicates { /* a member of `duplicates` */
    bool exact;
    const json_t *paths;
};
/* Texts and JSON are borrowed: of whom fills it, or of the JSON it was read from. */
struct index_record {
    int64_t version;
    const char *sha256, *set;
    int64_t count, size;
    double max_aspect;
    const json_t *classes, *groups;
    struct index_settings settings;
    const char *decoder, *manifest_sha256, *labels_sha256;
    bool fetched;
    const json_t *skipped, *shards, *remarks, *duplicates;
};
extern const struct field index_fields[];
extern const struct field index_setting_fields[]; /* of struct index_settings */
extern const struct field index_group_fields[];   /* of struct index_group */
extern const struct field index_shard_fields[];   /* of struct index_shard */
extern const struct field index_duplicate_fields[];

#endif
