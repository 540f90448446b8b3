/* index_record.c - see index_record.h. SPDX-License-Identifier: MIT */
#include "data/index_record.h"

#include "base/remark.h"

enum { SIDE_MAX = 65500 };
static const double most = 1e300, bytes_max = 9e18; /* of what has no bound */

// clang-format off
const struct field index_setting_fields[] = {
    FIELD_INT(struct index_settings, size, "size", 1, SIDE_MAX, "px", "`presize.size`"),
    FIELD_REAL(struct index_settings, max_aspect, "max_aspect", 1, most, "", "`presize.max_aspect`"),
    FIELD_INT(struct index_settings, pictures, "pictures", 1, bytes_max, "", "`shard.pictures`: in a shard"),
    FIELD_TEXT(struct index_settings, storage, "storage", "`raw`, `zstd` or `jpeg`"),
    FIELD_TEXT(struct index_settings, exif, "exif", "`decode.exif`: `apply` or `ignore`", .implied = "ignore"),
    FIELD_INT(struct index_settings, quality, "quality", 1, 100, "", "`shard.quality`, of storage `jpeg`",
              .flags = FIELD_OPTIONAL),
    FIELD_END,
};

const struct field index_group_fields[] = {
    FIELD_TEXT(struct index_group, name, "name", "of the group"),
    FIELD_LIST(struct index_group, classes, "classes", "that belong to it"),
    FIELD_END,
};

const struct field index_shard_fields[] = {
    FIELD_TEXT(struct index_shard, file, "file", "its name"),
    FIELD_INT(struct index_shard, count, "count", 1, UINT32_MAX, "", "pictures in it"),
    FIELD_INT(struct index_shard, bytes, "bytes", 1, bytes_max, "bytes", "its size"),
    FIELD_TEXT(struct index_shard, sha256, "sha256", "of all its bytes"),
    FIELD_END,
};

const struct field index_duplicate_fields[] = {
    FIELD_BOOL(struct index_duplicates, exact, "exact", "whether all files have the same bytes"),
    FIELD_LIST(struct index_duplicates, paths, "paths", "of the pictures"),
    FIELD_END,
};

const struct field index_fields[] = {
    FIELD_INT(struct index_record, version, "version", 1, INT32_MAX, "", "2; 1 has no `sha256`"),
    FIELD_TEXT(struct index_record, sha256, "sha256",
               "of the other members, as compact JSON in this order: a reader refuses an `index.json` that was "
               "changed", .since = 2),
    FIELD_TEXT(struct index_record, set, "set", "the set's name"),
    FIELD_INT(struct index_record, count, "count", 1, UINT32_MAX, "", "pictures in all shards"),
    FIELD_INT(struct index_record, size, "size", 1, SIDE_MAX, "px", "short side of the pictures"),
    FIELD_REAL(struct index_record, max_aspect, "max_aspect", 1, most, "",
               "pictures longer than this ratio were cut, centred"),
    FIELD_LIST(struct index_record, classes, "classes", "the vocabulary, sorted bytewise; a label is a place in it"),
    FIELD_LIST(struct index_record, groups, "groups", "classes that belong together, objects (below)",
               .fields = index_group_fields),
    FIELD_RECORD(struct index_record, settings, "settings", index_setting_fields,
                 "the keys that decide about the bytes"),
    FIELD_TEXT(struct index_record, decoder, "decoder", "names and versions of what decoded"),
    FIELD_TEXT(struct index_record, manifest_sha256, "manifest_sha256",
               "of the set's `manifest.jsonl`; of a folder that was not fetched (key `root`, or no manifest), of "
               "one line `PATH SIZE SHA256` per picture"),
    FIELD_TEXT(struct index_record, labels_sha256, "labels_sha256",
               "over path, label and official list of every picture, in the order of ranks: each text with a 0 "
               "behind it, the list as `0` (none), `1`, `2`. Folders of shards with equal ones can stand for one "
               "another; absent before this key", .flags = FIELD_OPTIONAL),
    FIELD_BOOL(struct index_record, fetched, "fetched", "false where the set was not fetched (see `manifest_sha256`)",
               .flags = FIELD_OPTIONAL, .implied = "true"),
    FIELD_LIST(struct index_record, skipped, "skipped", "paths left out under `decode.on_error: skip`"),
    FIELD_LIST(struct index_record, shards, "shards", "in the order of writing, objects (below)",
               .fields = index_shard_fields),
    FIELD_LIST(struct index_record, duplicates, "duplicates",
               "groups of pictures that are there more than once, objects (below); absent before this key",
               .flags = FIELD_OPTIONAL, .fields = index_duplicate_fields),
    FIELD_LIST(struct index_record, remarks, "remarks",
               "what was left out, changed or looks odd, objects (below); absent before this key",
               .flags = FIELD_OPTIONAL, .fields = remark_fields),
    FIELD_END,
};
// clang-format on
