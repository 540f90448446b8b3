/* cleaning_record.h - `cleaning` of run.json: what data.clean and data.plant did.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_CLEANING_RECORD_H
#define PRESIZE_DATA_CLEANING_RECORD_H

#include "base/field.h"

struct cleaning_parts { /* pictures */
    int64_t train, valid, test;
};
struct cleaning_planted {
    double share;
    int64_t pictures, valid;
};
struct cleaning_record {
    const char *file; /* NULL: no table, and the next three are missing */
    int64_t kept;
    struct cleaning_parts dropped, relabelled;
    struct cleaning_planted planted; /* share NAN: none */
};
extern const struct field cleaning_fields[];

#endif
