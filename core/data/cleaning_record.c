/* cleaning_record.c - see cleaning_record.h. SPDX-License-Identifier: MIT */
#include "data/cleaning_record.h"

// clang-format off
static const struct field part_fields[] = {
    FIELD_INT(struct cleaning_parts, train, "train", 0, UINT32_MAX, "", "pictures of the training part"),
    FIELD_INT(struct cleaning_parts, valid, "valid", 0, UINT32_MAX, "", "of the validation part"),
    FIELD_INT(struct cleaning_parts, test, "test", 0, UINT32_MAX, "", "of the test part"),
    FIELD_END,
};

static const struct field planted_fields[] = {
    FIELD_REAL(struct cleaning_planted, share, "share", 0, 1, "", "`data.plant`"),
    FIELD_INT(struct cleaning_planted, pictures, "pictures", 0, UINT32_MAX, "", "whose label is wrong on purpose"),
    FIELD_INT(struct cleaning_planted, valid, "valid", 0, UINT32_MAX, "", "of them in the validation part"),
    FIELD_END,
};

const struct field cleaning_fields[] = {
    FIELD_TEXT(struct cleaning_record, file, "file", "name of the table of `data.clean`", .flags = FIELD_OPTIONAL),
    FIELD_INT(struct cleaning_record, kept, "kept", 0, UINT32_MAX, "", "pictures that the table keeps",
              .flags = FIELD_OPTIONAL),
    FIELD_RECORD(struct cleaning_record, dropped, "dropped", part_fields, "pictures that it leaves out",
                 .flags = FIELD_OPTIONAL),
    FIELD_RECORD(struct cleaning_record, relabelled, "relabelled", part_fields, "pictures whose label it changes",
                 .flags = FIELD_OPTIONAL),
    FIELD_RECORD(struct cleaning_record, planted, "planted", planted_fields, "labels that `data.plant` made wrong",
                 .flags = FIELD_OPTIONAL),
    FIELD_END,
};
// clang-format on
