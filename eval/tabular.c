/* tabular.c - alignment, quoting, and objects made of rows.
 * SPDX-License-Identifier: MIT */
#include "tabular.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/fold.h"
#include "base/json.h"
#include "base/markup.h"
#include "base/text.h"

enum { CELL = 1024, GAP = 2 };

/* A list of texts, as many as fit. */
static void join(char out[CELL], const json_t *list)
{
    size_t used = 0;

    for (size_t i = 0; i < json_array_size(list) && used + 2 < CELL; i++) {
        if (i > 0)
            out[used++] = ' ';
        markup_clean(out + used, CELL - used, json_string_value(json_array_get(list, i)));
        used += strlen(out + used);
    }
}

static void cell_text(char out[CELL], const struct column *column, const json_t *value)
{
    char *text;

    out[0] = 0;
    if (!value || json_is_null(value))
        return;
    if (json_is_string(value)) {
        markup_clean(out, CELL, json_string_value(value));
    } else if (json_is_real(value) && column->decimals >= 0) {
        snprintf(out, CELL, "%.*f", column->decimals, json_real_value(value));
    } else if (json_is_array(value) && json_is_string(json_array_get(value, 0))) {
        join(out, value);
    } else {
        text = json_text(value, 0);
        markup_clean(out, CELL, text ? text : "");
        free(text);
    }
}

static void put_padded(FILE *out, const char *text, size_t width, bool right, bool last)
{
    size_t length = markup_length(text), pad = width > length ? width - length : 0;

    if (!*text && last) { /* nothing goes below */
        fputs("\n", out);
        return;
    }
    if (right)
        fprintf(out, "%*s", (int)pad, "");
    fputs(text, out);
    if (!right && !last)
        fprintf(out, "%*s", (int)pad, "");
    fputs(last ? "\n" : "  ", out);
}

/* COLUMN is the last in its line: the table's last one, or what follows does not fit into WIDEST columns (0: any) and
 * goes below, indented by GAP. */
static void find_breaks(bool *breaks, const size_t *width, size_t n, size_t widest)
{
    size_t used = 0;

    for (size_t c = 0; c < n; c++) {
        used += width[c] + GAP;
        breaks[c] = c + 1 == n || (widest > 0 && used + width[c + 1] > widest);
        if (breaks[c])
            used = GAP;
    }
}

static void put_cell(FILE *out, const char *text, size_t c, const size_t *width, const bool *right,
                     const bool *breaks)
{
    if (c > 0 && breaks[c - 1])
        fprintf(out, "%*s", GAP, "");
    put_padded(out, text, width[c], right[c], breaks[c]);
}

/* The columns that have a text in some row; all of them where there is no row. */
static size_t find_filled(size_t *filled, const struct column *columns, size_t n,
                          const json_t *rows)
{
    const size_t n_rows = json_array_size(rows);
    char text[CELL];
    size_t found = 0;

    for (size_t c = 0; c < n; c++) {
        bool any = n_rows == 0;

        for (size_t r = 0; r < n_rows && !any; r++) {
            cell_text(text, &columns[c], json_array_get(json_array_get(rows, r), c));
            any = text[0] != '\0';
        }
        if (any)
            filled[found++] = c;
    }
    return found;
}

static void print_text(FILE *out, const struct column *columns, size_t n_columns,
                       const json_t *rows)
{
    size_t *width = calloc(n_columns, sizeof *width), *at = calloc(n_columns, sizeof *at);
    bool *right = calloc(n_columns, sizeof *right), *breaks = calloc(n_columns, sizeof *breaks);
    char text[CELL];

    if (width && at && right && breaks) {
        const size_t n = find_filled(at, columns, n_columns, rows);

        for (size_t c = 0; c < n; c++) {
            width[c] = strlen(columns[at[c]].name);
            for (size_t r = 0; r < json_array_size(rows); r++) {
                const json_t *value = json_array_get(json_array_get(rows, r), at[c]);

                cell_text(text, &columns[at[c]], value);
                width[c] = markup_length(text) > width[c] ? markup_length(text) : width[c];
                right[c] |= json_is_number(value);
            }
        }
        find_breaks(breaks, width, n, (size_t)fold_columns(stdout));
        for (size_t c = 0; c < n; c++)
            put_cell(out, columns[at[c]].name, c, width, right, breaks);
        for (size_t r = 0; r < json_array_size(rows); r++)
            for (size_t c = 0; c < n; c++) {
                cell_text(text, &columns[at[c]], json_array_get(json_array_get(rows, r), at[c]));
                put_cell(out, text, c, width, right, breaks);
            }
    }
    free(width);
    free(at);
    free(right);
    free(breaks);
}

/* A line of the table stays a line. */
static void put_csv(FILE *out, const char *text)
{
    size_t size = 3 * strlen(text) + 1;
    char *clean = malloc(size);

    if (clean) {
        markup_clean(clean, size, text);
        markup_csv(out, clean);
    }
    free(clean);
}

static void print_csv(FILE *out, const struct column *columns, size_t n, const json_t *rows)
{
    for (size_t c = 0; c < n; c++) {
        put_csv(out, columns[c].name);
        fputc(c + 1 == n ? '\n' : ',', out);
    }
    for (size_t r = 0; r < json_array_size(rows); r++)
        for (size_t c = 0; c < n; c++) {
            const json_t *value = json_array_get(json_array_get(rows, r), c);

            if (json_is_string(value)) {
                put_csv(out, json_string_value(value));
            } else if (value && !json_is_null(value)) {
                char *text = json_text(value, 0);

                put_csv(out, text ? text : "");
                free(text);
            }
            fputc(c + 1 == n ? '\n' : ',', out);
        }
}

json_t *tabular_objects(const struct column *columns, size_t n, const json_t *rows)
{
    json_t *list = json_array();

    for (size_t r = 0; list && r < json_array_size(rows); r++) {
        json_t *object = json_object();

        for (size_t c = 0; c < n; c++)
            json_object_set(object, columns[c].name, json_array_get(json_array_get(rows, r), c));
        json_array_append_new(list, object);
    }
    return list;
}

void tabular_print(FILE *out, enum form form, const struct column *columns, size_t n,
                   const json_t *rows)
{
    json_t *list;

    switch (form) {
    case FORM_TEXT:
        print_text(out, columns, n, rows);
        break;
    case FORM_CSV:
        print_csv(out, columns, n, rows);
        break;
    case FORM_JSON:
        list = tabular_objects(columns, n, rows);
        if (list && tabular_json(out, list, NULL) < 0)
            fputs("null\n", out);
        json_decref(list);
        break;
    }
}

/* Of the N bytes of UTF-8 at TEXT. */
static unsigned code_point(const char *text, size_t n)
{
    unsigned c = (unsigned char)*text;

    if (n > 1)
        c &= 0xFFU >> (n + 1);
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((unsigned char)text[i] & 0x3FU);
    return c;
}

int tabular_json(FILE *out, const json_t *value, struct err *err)
{
    char *text = json_text(value, 2);

    if (!text)
        return err_set(err, ERR_NOMEM, "JSON");
    for (const char *c = text; *c;) { /* line ends are JSON's own; the rest stands in strings */
        const size_t n = *c == '\n' ? 0 : text_control(c);
        const int whole = text_character(c); /* its second byte alone would be one of C1 */

        if (n > 0)
            fprintf(out, "\\u%04x", code_point(c, n));
        else
            fwrite(c, 1, whole > 0 ? (size_t)whole : 1, out);
        c += n > 0 ? n : whole > 0 ? (size_t)whole : 1;
    }
    fputc('\n', out);
    free(text);
    return 0;
}

void tabular_text(FILE *out, const char *text)
{
    char clean[CELL];

    markup_clean(clean, sizeof clean, text ? text : "");
    fputs(clean, out);
}

json_t *tabular_string(const char *text)
{
    json_t *value = json_string(text);
    char clean[CELL];

    if (value)
        return value;
    markup_clean(clean, sizeof clean, text);
    return json_string(clean);
}

int tabular_add(json_t *rows, json_t *row, struct err *err)
{
    if (!row || json_array_append_new(rows, row) < 0)
        return err_set(err, ERR_NOMEM, "table");
    return 0;
}

int tabular_csv_joined(FILE *out, const struct column *head, size_t n_head, const json_t *head_rows,
                       const struct column *tail, size_t n_tail, const json_t *tail_rows,
                       const char *const *renamed, struct err *err)
{
    struct column *columns = calloc(n_head + n_tail, sizeof *columns);
    json_t *rows = json_array();
    int rc = columns && rows ? 0 : err_set(err, ERR_NOMEM, "table");

    for (size_t k = 0; columns && k < n_head + n_tail - 1; k++) {
        columns[k] = k < n_head ? head[k] : tail[k - n_head + 1];
        for (const char *const *r = renamed; k >= n_head && *r; r += 2)
            if (strcmp(columns[k].name, *r) == 0) {
                columns[k].name = r[1];
                break;
            }
    }
    for (size_t i = 0; rc == 0 && i < json_array_size(head_rows); i++) {
        json_t *row = json_copy(json_array_get(head_rows, i));

        for (size_t k = 1; row && k < n_tail; k++) {
            json_t *cell = i > 0 ? json_array_get(json_array_get(tail_rows, i - 1), k) : NULL;

            json_array_append(row, cell ? cell : json_null());
        }
        rc = tabular_add(rows, row, err);
    }
    if (rc == 0)
        tabular_print(out, FORM_CSV, columns, n_head + n_tail - 1, rows);
    json_decref(rows);
    free(columns);
    return rc;
}

/* --- rows that are structs ------------------------------------------------------------------------ */

static size_t columns_of(struct column out[TABULAR_COLUMNS], const struct field *fields)
{
    size_t n = 0;

    for (; fields[n].name; n++) {
        BUG_IF(n == TABULAR_COLUMNS);
        out[n] = (struct column){fields[n].name, fields[n].decimals > 0 ? fields[n].decimals : -1};
    }
    return n;
}

static json_t *cell_of(const struct field *field, const void *obj)
{
    if (field->type == FIELD_TYPE_TEXT && !field_is_missing(field, obj))
        return tabular_string(field_text(field, obj));
    return field_json(field, obj);
}

int tabular_add_record(json_t *rows, const struct field *fields, const void *obj, struct err *err)
{
    json_t *row = json_array();
    int rc = row ? 0 : -1;

    for (; rc == 0 && fields->name; fields++)
        rc = json_array_append_new(row, cell_of(fields, obj));
    if (rc < 0) {
        json_decref(row);
        row = NULL;
    }
    return tabular_add(rows, row, err);
}

json_t *tabular_object(const struct field *fields, const void *obj)
{
    json_t *out = json_object();

    for (; out && fields->name; fields++)
        if (json_object_set_new(out, fields->name, cell_of(fields, obj)) < 0) {
            json_decref(out);
            out = NULL;
        }
    return out;
}

void tabular_print_records(FILE *out, enum form form, const struct field *fields,
                           const json_t *rows)
{
    struct column columns[TABULAR_COLUMNS];
    const size_t n = columns_of(columns, fields);

    tabular_print(out, form, columns, n, rows);
}

json_t *tabular_record_objects(const struct field *fields, const json_t *rows)
{
    struct column columns[TABULAR_COLUMNS];
    const size_t n = columns_of(columns, fields);

    return tabular_objects(columns, n, rows);
}

int tabular_csv_records(FILE *out, const struct field *head, const json_t *head_rows,
                        const struct field *tail, const json_t *tail_rows,
                        const char *const *renamed, struct err *err)
{
    struct column a[TABULAR_COLUMNS], b[TABULAR_COLUMNS];
    const size_t n = columns_of(a, head), m = columns_of(b, tail);

    return tabular_csv_joined(out, a, n, head_rows, b, m, tail_rows, renamed, err);
}
