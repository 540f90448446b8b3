/* export_record.c - see export_record.h. SPDX-License-Identifier: MIT */
#include "export_record.h"

// clang-format off
const struct field export_fields[] = {
    FIELD_TEXT(struct export_record, format, "format", "`presize export`", .flags = FIELD_OPTIONAL),
    FIELD_INT(struct export_record, version, "version", 1, INT32_MAX, "", "1", .flags = FIELD_OPTIONAL),
    FIELD_TEXT(struct export_record, architecture, "architecture", "`resnet18` …"),
    FIELD_TEXT(struct export_record, set, "set", "name of the set"),
    FIELD_LIST(struct export_record, classes, "classes", "in the order of the probabilities"),
    FIELD_INT(struct export_record, size, "size", 1, INT32_MAX, "px", "side of the network's input"),
    FIELD_INT(struct export_record, presize, "presize", 1, INT32_MAX, "px",
              "short side that a picture is shrunk to first"),
    FIELD_REAL(struct export_record, max_aspect, "max_aspect", 1, 1e300, "",
               "longer pictures are cut to this ratio of the sides, centred, before that"),
    FIELD_TEXT(struct export_record, exif, "exif",
               "`apply`: a picture is turned as its EXIF orientation says; `ignore`"),
    FIELD_TEXT(struct export_record, shrink, "shrink",
               "how the presized picture becomes the input: `presize`, `fastai`, `squish`, `pad_reflection` or "
               "`pad_zeros`"),
    FIELD_LIST(struct export_record, mean, "mean", "of R, G, B in [0, 1]"),
    FIELD_LIST(struct export_record, std, "std", "likewise"),
    FIELD_TEXT(struct export_record, input, "input", "the input in words"),
    FIELD_TEXT(struct export_record, precision, "precision", "that the run was trained and validated in"),
    FIELD_TEXT(struct export_record, weights_sha256, "weights_sha256", "of the checkpoint, `unknown` for older ones"),
    FIELD_OBJECT(struct export_record, parents, "parents", "of the checkpoint: what it was made from",
                 .flags = FIELD_OPTIONAL),
    FIELD_OBJECT(struct export_record, files, "files", "SHA-256 of the files written before this one, by name",
                 .flags = FIELD_OPTIONAL),
    FIELD_TEXT(struct export_record, sha256, "sha256", "of all other members in their order as one line of JSON",
               .flags = FIELD_OPTIONAL),
    FIELD_END,
};
// clang-format on
