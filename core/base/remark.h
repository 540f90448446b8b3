/* remark.h - what a tool left out, changed, merged or passed over of what the user gave: collected while it works,
 * printed once, recorded in index.json and run.json.
 *
 * A remark is a kind, a count, the first few names and the way out. The sentences of all kinds are one table
 * (remark.c). Order of calls: remarks_add() for each thing, remarks_advise() where the advice has a figure in it, then
 * remarks_print() and remarks_json(). One thread at a time.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_REMARK_H
#define PRESIZE_BASE_REMARK_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"
#include "base/field.h"

enum remark_kind {
    /* fetch */
    REMARK_HIDDEN_ENTRIES,
    /* the listing of a folder */
    REMARK_OTHER_FILES,
    REMARK_SKIPPED,
    REMARK_HIDDEN_FILES,
    REMARK_BAD_NAMES,
    REMARK_SYSTEM_FOLDERS,
    REMARK_NESTED_ARCHIVES,
    REMARK_SPECIAL_FILES,
    REMARK_EMPTY_FOLDERS,
    REMARK_ALIKE_PATHS,
    /* labels and lists */
    REMARK_OTHER_COLUMN,
    REMARK_TRIMMED_LABELS,
    REMARK_ALIKE_LABELS,
    REMARK_UNLABELLED,
    REMARK_ROWS_WITHOUT_PICTURE,
    REMARK_LISTED_WITHOUT_PICTURE,
    REMARK_IN_NO_LIST,
    /* pixels */
    REMARK_UNDECODABLE,
    REMARK_EMPTY_CLASSES,
    REMARK_ORIENTATION_IGNORED,
    REMARK_ORIENTATION_APPLIED,
    REMARK_ENLARGED,
    REMARK_CUT,
    REMARK_FIRST_FRAME,
    REMARK_ALPHA,
    REMARK_DECODER_WARNINGS,
    REMARK_COPIES,
    REMARK_COPIES_OF_TWO_CLASSES,
    REMARK_NEAR_COPIES,
    /* parts of a set */
    REMARK_STALE_SHARDS,
    REMARK_IN_NO_PART,
    REMARK_CLASSES_IN_NO_PART,
    REMARK_CLASSES_NOT_VALIDATED,
    REMARK_CLASSES_NOT_TRAINED,
    REMARK_FOLDERS_NOT_USED,
    REMARK_COPIES_TO_TRAINING,
    REMARK_LEAKS,
    REMARK_DROPPED,
    REMARK_RELABELLED,
    REMARK_CLEAN_WITHOUT_EFFECT,
    REMARK_PLANTED,
    REMARK_KINDS
};

enum { REMARK_EXAMPLES = 5, REMARK_EXAMPLE_BYTES = 200 };

struct remark {
    uint32_t n;
    uint32_t shown; /* examples in use */
    char example[REMARK_EXAMPLES][REMARK_EXAMPLE_BYTES];
    char advice[300]; /* in place of the kind's own; "" */
};

struct remarks { /* all zero: none yet */
    struct remark of[REMARK_KINDS];
};

/* One more thing of KIND, named by FORMAT; odd bytes of the name are written as \xNN. */
void remarks_add(struct remarks *r, enum remark_kind kind, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* What to do about KIND, in place of the table's words. */
void remarks_advise(struct remarks *r, enum remark_kind kind, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* The sentence of KIND without its advice: "3 pictures are ...: a, b, c". SIZE bytes at most; "": none. */
void remarks_text(const struct remarks *r, enum remark_kind kind, char *out, size_t size);
/* Logs each kind that is there as one line, in the order of the kinds: a warning, or information where nothing can be
 * wrong with it. */
void remarks_print(const struct remarks *r);

/* One remark as index.json and run.json have it; borrowed. */
struct remark_record {
    const char *kind;
    bool warning;
    int64_t count;
    const json_t *examples;
    const char *text, *advice;
};
extern const struct field remark_fields[];
/* A list of those, in the order of the kinds; NULL: out of memory. */
json_t *remarks_json(const struct remarks *r);
/* Logs what remarks_json() recorded, as remarks_print() does; kinds of a later version as well. */
void remarks_print_json(const json_t *list);

#endif
