/* tabular.h - one table, printed for people, as JSON or as CSV.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_TABULAR_H
#define PRESIZE_EVAL_TABULAR_H

#include <jansson.h>
#include <stdio.h>

#include "base/err.h"

enum form { FORM_TEXT, FORM_JSON, FORM_CSV };

struct column {
    const char *name;
    int decimals; /* of reals as text; < 0: as many as they have. JSON and CSV always have all */
};

/* Rows are arrays of N values. JSON: a list of objects; CSV: RFC 4180 with a header; text: aligned
 * columns, numbers to the right. Control characters are replaced; in JSON they are escaped. */
void tabular_print(FILE *out, enum form form, const struct column *columns, size_t n,
                   const json_t *rows);
/* CSV of two tables in one: the rows of HEAD, each but the first beside the next row of TAIL, whose first column is
 * left out. RENAMED: names of TAIL's columns, old and new by turns, then NULL. ERR_NOMEM. */
int tabular_csv_joined(FILE *out, const struct column *head, size_t n_head, const json_t *head_rows,
                       const struct column *tail, size_t n_tail, const json_t *tail_rows,
                       const char *const *renamed, struct err *err) MUST_USE;
/* The same rows as a list of objects; NULL: out of memory. */
json_t *tabular_objects(const struct column *columns, size_t n, const json_t *rows);
/* VALUE, indented, and a newline. ERR_NOMEM. */
int tabular_json(FILE *out, const json_t *value, struct err *err) MUST_USE;
/* TEXT without what a terminal would obey. */
void tabular_text(FILE *out, const char *text);
/* TEXT as a JSON string; bytes that are not UTF-8 become U+FFFD. NULL: out of memory. */
json_t *tabular_string(const char *text);
/* A row of N values, taken over, appended to ROWS. ERR_NOMEM. */
int tabular_add(json_t *rows, json_t *row, struct err *err) MUST_USE;

#endif
