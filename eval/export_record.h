/* export_record.h - config.json of an export: every member with a row. All but format, version, files and sha256 are
 * also the metadata of model.onnx.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_EXPORT_RECORD_H
#define PRESIZE_EVAL_EXPORT_RECORD_H

#include "base/field.h"

enum { EXPORT_VERSION = 1 };

/* Texts and JSON are borrowed: of whom fills it, or of the JSON it was read from. */
struct export_record {
    const char *format;
    int64_t version;
    const char *architecture, *set;
    const json_t *classes;
    int64_t size, presize;
    double max_aspect;
    const char *exif, *shrink;
    const json_t *mean, *std;
    const char *input, *precision, *weights_sha256;
    const json_t *parents, *files;
    const char *sha256;
};
extern const struct field export_fields[];

#endif
