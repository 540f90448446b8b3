/* field.c - records from JSON and back, row by row.
 * SPDX-License-Identifier: MIT */
#include "base/field.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"

enum { LINES_MAX = 256 << 20 };

/* --- values in the struct ------------------------------------------------------------------------- */

static void *target_of(const struct field *row, void *obj)
{
    return (char *)obj + row->offset;
}

static const void *value_of(const struct field *row, const void *obj)
{
    return (const char *)obj + row->offset;
}

/* Missing, or what the row implies. */
static void clear(const struct field *row, void *obj)
{
    void *target = target_of(row, obj);

    switch (row->type) {
    case FIELD_TYPE_BOOL:
        *(bool *)target = row->implied && strcmp(row->implied, "true") == 0;
        break;
    case FIELD_TYPE_INT:
        *(int64_t *)target = row->implied ? strtoll(row->implied, NULL, 10) : FIELD_NO_INT;
        break;
    case FIELD_TYPE_REAL:
        *(double *)target = NAN;
        break;
    case FIELD_TYPE_TEXT:
        *(const char **)target = row->implied;
        break;
    case FIELD_TYPE_LIST:
    case FIELD_TYPE_OBJECT:
        *(const json_t **)target = NULL;
        break;
    case FIELD_TYPE_RECORD:
        fields_clear(row->fields, target);
        break;
    }
}

void fields_clear(const struct field *rows, void *obj)
{
    for (const struct field *row = rows; row->name; row++)
        clear(row, obj);
}

bool field_is_missing(const struct field *row, const void *obj)
{
    const void *value = value_of(row, obj);

    switch (row->type) {
    case FIELD_TYPE_BOOL: /* what is implied is left out */
        return row->implied && *(const bool *)value == (strcmp(row->implied, "true") == 0);
    case FIELD_TYPE_INT:
        return *(const int64_t *)value == FIELD_NO_INT;
    case FIELD_TYPE_REAL:
        return isnan(*(const double *)value);
    case FIELD_TYPE_TEXT:
        return !*(const char *const *)value;
    case FIELD_TYPE_LIST:
    case FIELD_TYPE_OBJECT:
        return !*(const json_t *const *)value;
    case FIELD_TYPE_RECORD:
        return row->flags && field_is_missing(row->fields, value);
    }
    return true;
}

/* --- reading -------------------------------------------------------------------------------------- */

static const char *type_name(enum field_type type)
{
    switch (type) {
    case FIELD_TYPE_BOOL:
        return "true or false";
    case FIELD_TYPE_INT:
        return "whole number";
    case FIELD_TYPE_REAL:
        return "number";
    case FIELD_TYPE_TEXT:
        return "text";
    case FIELD_TYPE_LIST:
        return "list";
    case FIELD_TYPE_OBJECT:
    case FIELD_TYPE_RECORD:
        break;
    }
    return "object";
}

static bool is_of_type(const struct field *row, const json_t *value)
{
    switch (row->type) {
    case FIELD_TYPE_BOOL:
        return json_is_boolean(value);
    case FIELD_TYPE_INT:
        return json_is_integer(value);
    case FIELD_TYPE_REAL:
        return json_is_number(value);
    case FIELD_TYPE_TEXT:
        return json_is_string(value);
    case FIELD_TYPE_LIST:
        return json_is_array(value);
    case FIELD_TYPE_OBJECT:
    case FIELD_TYPE_RECORD:
        return json_is_object(value);
    }
    return false;
}

static void store(const struct field *row, void *target, const json_t *value)
{
    switch (row->type) {
    case FIELD_TYPE_BOOL:
        *(bool *)target = json_is_true(value);
        break;
    case FIELD_TYPE_INT:
        *(int64_t *)target = json_integer_value(value);
        break;
    case FIELD_TYPE_REAL:
        *(double *)target = json_number_value(value);
        break;
    case FIELD_TYPE_TEXT:
        *(const char **)target = json_string_value(value);
        break;
    case FIELD_TYPE_LIST:
    case FIELD_TYPE_OBJECT:
        *(const json_t **)target = value;
        break;
    case FIELD_TYPE_RECORD:
        break;
    }
}

/* "0 to 10", "at least 1"; a bound of a type is no bound. */
static void range_text(const struct field *row, char *out, size_t size)
{
    if (row->max < INT32_MAX)
        snprintf(out, size, "%.15g to %.15g", row->min, row->max);
    else if (row->min > -1e15)
        snprintf(out, size, "at least %.15g", row->min);
    else
        out[0] = 0;
}

static int read_value(const struct field *row, int version, void *obj, const json_t *value,
                      struct err *err)
{
    const bool number = row->type == FIELD_TYPE_INT || row->type == FIELD_TYPE_REAL;
    const double x = json_number_value(value);
    char range[64];

    if (!is_of_type(row, value))
        return err_set(err, ERR_FORMAT, "\"%s\" is no %s", row->name, type_name(row->type));
    if (number && !(x >= row->min && x <= row->max)) {
        range_text(row, range, sizeof range);
        if (x > row->max || !range[0])
            snprintf(range, sizeof range, "%.15g to %.15g", row->min, row->max);
        return err_set(err, ERR_FORMAT, "\"%s\" is %.15g: expected %s", row->name, x, range);
    }
    if (row->type != FIELD_TYPE_RECORD)
        store(row, target_of(row, obj), value);
    else if (fields_read(row->fields, version, target_of(row, obj), value, err) < 0)
        return err_wrap(err, "\"%s\"", row->name);
    return 0;
}

int fields_read(const struct field *rows, int version, void *obj, const json_t *json,
                struct err *err)
{
    struct err why;

    for (const struct field *row = rows; row->name; row++) {
        const json_t *value = json_object_get(json, row->name);
        const bool none = !value || (json_is_null(value) && (row->flags & FIELD_NULL));

        clear(row, obj);
        if (none) {
            if (err && !value && !(row->flags & FIELD_OPTIONAL) && !row->implied &&
                row->since <= version)
                return err_set(err, ERR_FORMAT, "\"%s\" is missing", row->name);
            continue;
        }
        if (row->type == FIELD_TYPE_RECORD && !err) {
            fields_read(row->fields, version, target_of(row, obj), value, NULL);
            continue;
        }
        if (read_value(row, version, obj, value, err ? err : &why) < 0) {
            if (err)
                return -1;
            clear(row, obj);
        }
    }
    return 0;
}

const struct field *field_find(const struct field *rows, const char *name)
{
    for (const struct field *row = rows; row->name; row++)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

double field_number(const struct field *row, const void *obj)
{
    if (field_is_missing(row, obj))
        return NAN;
    return row->type == FIELD_TYPE_INT ? (double)*(const int64_t *)value_of(row, obj)
                                       : *(const double *)value_of(row, obj);
}

const char *field_text(const struct field *row, const void *obj)
{
    return *(const char *const *)value_of(row, obj);
}

/* The objects of TEXT, line by line. */
static int split_lines(struct field_lines *out, const char *text, size_t size, struct err *err)
{
    const char *end;
    size_t number = 0;

    for (const char *line = text; (end = memchr(line, '\n', size - (size_t)(line - text)));
         line = end + 1) {
        json_t *object = json_loadb(line, (size_t)(end - line), 0, NULL);
        int rc = 0;

        number++;
        if (json_is_object(object))
            rc = json_array_append(out->json, object);
        else if (out->bad == 0)
            out->bad = number;
        json_decref(object);
        if (rc < 0)
            return err_set(err, ERR_NOMEM, "%zu lines", number);
    }
    return 0;
}

int fields_read_lines(struct field_lines *out, const struct field *rows, size_t size,
                      const char *path, struct err *err)
{
    char *text;
    size_t length;
    int rc;

    *out = (struct field_lines){.json = json_array()};
    if (!out->json)
        return err_set(err, ERR_NOMEM, "%s", path);
    if (!path_exists(path))
        return 0;
    if (path_read(&text, &length, path, LINES_MAX, err) < 0)
        return -1;
    rc = split_lines(out, text, length, err);
    free(text);
    if (rc < 0)
        return err_wrap(err, "%s", path);
    out->all = calloc(json_array_size(out->json) + 1, size);
    if (!out->all)
        return err_set(err, ERR_NOMEM, "%s", path);
    for (; out->n < json_array_size(out->json); out->n++)
        fields_read(rows, 0, (char *)out->all + out->n * size, json_array_get(out->json, out->n),
                    NULL);
    fields_warn_unknown(rows, out->json, path, NULL);
    return 0;
}

void fields_free_lines(struct field_lines *lines)
{
    json_decref(lines->json);
    free(lines->all);
    *lines = (struct field_lines){0};
}

/* --- writing -------------------------------------------------------------------------------------- */

json_t *field_json(const struct field *row, const void *obj)
{
    const void *value = value_of(row, obj);

    if (row->type != FIELD_TYPE_BOOL && field_is_missing(row, obj))
        return json_null();
    switch (row->type) {
    case FIELD_TYPE_BOOL:
        return json_boolean(*(const bool *)value);
    case FIELD_TYPE_INT:
        return json_integer(*(const int64_t *)value);
    case FIELD_TYPE_REAL:
        return json_real(*(const double *)value);
    case FIELD_TYPE_TEXT:
        return json_string(*(const char *const *)value);
    case FIELD_TYPE_LIST:
    case FIELD_TYPE_OBJECT:
        return json_incref((json_t *)(uintptr_t) * (const json_t *const *)value);
    case FIELD_TYPE_RECORD:
        return fields_json(row->fields, value);
    }
    return NULL;
}

json_t *fields_json(const struct field *rows, const void *obj)
{
    json_t *out = json_object();

    for (const struct field *row = rows; out && row->name; row++) {
        const bool missing = field_is_missing(row, obj);

        if (missing && (row->flags & FIELD_OPTIONAL))
            continue;
        if ((missing && row->type != FIELD_TYPE_BOOL && !(row->flags & FIELD_NULL)) ||
            json_object_set_new(out, row->name, field_json(row, obj)) < 0) {
            json_decref(out);
            out = NULL;
        }
    }
    return out;
}

/* --- Markdown ------------------------------------------------------------------------------------- */

static void document(FILE *file, const struct field *rows, const char *prefix)
{
    for (const struct field *row = rows; row->name; row++) {
        char range[64] = "", inside[128];

        fprintf(file, "| `%s%s` | %s", prefix, row->name, type_name(row->type));
        if ((row->type == FIELD_TYPE_INT || row->type == FIELD_TYPE_REAL) && row->max < INT32_MAX)
            range_text(row, range, sizeof range);
        fprintf(file, "%s%s%s%s", range[0] ? ", " : "", range, row->unit[0] ? ", " : "", row->unit);
        fprintf(file, "%s%s | %s", row->flags & FIELD_NULL ? ", or null" : "",
                row->flags & FIELD_OPTIONAL ? ", or missing" : "", row->help);
        if (row->since > 1)
            fprintf(file, " (since version %d)", row->since);
        if (row->implied)
            fprintf(file, " (missing: `%s`)", row->implied);
        fputs(" |\n", file);
        snprintf(inside, sizeof inside, "%.60s%.60s.", prefix, row->name);
        if (row->type == FIELD_TYPE_RECORD)
            document(file, row->fields, inside);
    }
}

void fields_document(FILE *file, const struct field *rows)
{
    fputs("| member | type | meaning |\n|---|---|---|\n", file);
    document(file, rows, "");
}
