/* manifest_record.c - see manifest_record.h. SPDX-License-Identifier: MIT */
#include "data/manifest_record.h"

static const double bytes_max = 9e18; /* of what has no bound */

// clang-format off
const struct field manifest_archive_fields[] = {
    FIELD_TEXT(struct manifest_archive_line, file, "file", "its name, without folder"),
    FIELD_INT(struct manifest_archive_line, size, "size", 0, bytes_max, "bytes", "its size"),
    FIELD_TEXT(struct manifest_archive_line, sha256, "sha256", "64 lower-case hexadecimal digits"),
    FIELD_END,
};

const struct field manifest_header_fields[] = {
    FIELD_TEXT(struct manifest_header, format, "format", "`presize manifest`"),
    FIELD_INT(struct manifest_header, version, "version", 1, INT32_MAX, "", "1"),
    FIELD_TEXT(struct manifest_header, source, "source", "NAME"),
    FIELD_LIST(struct manifest_header, archives, "archives",
               "what the set was unpacked from, in the order of unpacking: at most 16 objects (below)",
               .fields = manifest_archive_fields),
    FIELD_INT(struct manifest_header, files, "files", 0, bytes_max, "",
              "how many lines follow; a reader refuses another number"),
    FIELD_INT(struct manifest_header, bytes, "bytes", 0, bytes_max, "bytes", "sum of the files' sizes"),
    FIELD_TEXT(struct manifest_header, sha256, "sha256",
               "of all lines, the header without this member: a reader refuses a manifest that was changed. By this "
               "hash shards and runs name the manifest. presize 0.1.0 wrote none, and the same bytes otherwise, so "
               "that the hash of its file is the same", .flags = FIELD_OPTIONAL),
    FIELD_END,
};

const struct field manifest_file_fields[] = {
    FIELD_TEXT(struct manifest_file_line, path, "path",
               "below `tree/`, `/` between names, sorted bytewise, no two alike, nothing hidden"),
    FIELD_INT(struct manifest_file_line, size, "size", 0, bytes_max, "bytes", "of the file"),
    FIELD_TEXT(struct manifest_file_line, sha256, "sha256", "of the file"),
    FIELD_END,
};
// clang-format on
