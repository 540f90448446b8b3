/* tabular.h - one table, printed for people, as JSON or as CSV.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_TABULAR_H
#define PRESIZE_EVAL_TABULAR_H

#include <jansson.h>
#include <stdio.h>

#include "base/err.h"
#include "base/field.h"

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
/* Tables whose rows are structs: FIELDS (base/field.h) has a row for each column. They are never read. */
enum { TABULAR_COLUMNS = 32 };
#define CELL_TEXT(s, m) FIELD_TEXT(struct s, m, #m, "")
#define CELL_JSON(s, m) FIELD_LIST(struct s, m, #m, "")
#define CELL_INT(s, m) FIELD_INT(struct s, m, #m, 0, 0, "", "")
#define CELL_REAL(s, m) FIELD_REAL(struct s, m, #m, 0, 0, "", "", .decimals = 4)
/* A row of what FIELDS say of OBJ, appended to ROWS; what is missing is null. ERR_NOMEM. */
int tabular_add_record(json_t *rows, const struct field *fields, const void *obj,
                       struct err *err) MUST_USE;
/* As tabular_print(), tabular_objects() and tabular_csv_joined() of such rows. */
void tabular_print_records(FILE *out, enum form form, const struct field *fields,
                           const json_t *rows);
json_t *tabular_record_objects(const struct field *fields, const json_t *rows);
int tabular_csv_records(FILE *out, const struct field *head, const json_t *head_rows,
                        const struct field *tail, const json_t *tail_rows,
                        const char *const *renamed, struct err *err) MUST_USE;
/* OBJ as an object; texts as tabular_string() has them. NULL: out of memory. */
json_t *tabular_object(const struct field *fields, const void *obj);
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
