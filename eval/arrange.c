/* arrange.c - see arrange.h. SPDX-License-Identifier: MIT */
#include "arrange.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HOW_MAX = 512 };

struct ordered {
    json_t *row;         /* a reference */
    const json_t *value; /* of the column; borrowed from row */
    size_t place;        /* before sorting: rows that are alike keep their order */
    int sign;
};

static bool is_missing(const json_t *v)
{
    return !v || json_is_null(v) || (json_is_real(v) && isnan(json_real_value(v)));
}

static int by_value(const void *a, const void *b)
{
    const struct ordered *x = a, *y = b;
    const bool none_x = is_missing(x->value), none_y = is_missing(y->value);
    int order = 0;

    if (none_x || none_y)
        order = none_x - none_y; /* whatever the direction: last */
    else if (json_is_number(x->value) && json_is_number(y->value))
        order = x->sign * ((json_number_value(x->value) > json_number_value(y->value)) -
                           (json_number_value(x->value) < json_number_value(y->value)));
    else if (json_is_string(x->value) && json_is_string(y->value))
        order = x->sign * strcmp(json_string_value(x->value), json_string_value(y->value));
    return order ? order : (x->place > y->place) - (x->place < y->place);
}

static int sort_rows(json_t *rows, size_t column, int sign, struct err *err)
{
    const size_t n = json_array_size(rows);
    struct ordered *all = calloc(n + 1, sizeof *all);
    int rc = 0;

    if (!all)
        return err_set(err, ERR_NOMEM, "list");
    for (size_t i = 0; i < n; i++) {
        json_t *row = json_array_get(rows, i);

        all[i] = (struct ordered){json_incref(row), json_array_get(row, column), i, sign};
    }
    qsort(all, n, sizeof *all, by_value);
    for (size_t i = 0; i < n; i++)
        rc |= json_array_set_new(rows, i, all[i].row);
    free(all);
    return rc < 0 ? err_set(err, ERR_NOMEM, "list") : 0;
}

static void filter_rows(json_t *rows, size_t column, const char *text)
{
    for (size_t i = json_array_size(rows); i-- > 0;) {
        const json_t *value = json_array_get(json_array_get(rows, i), column);
        const char *cell = json_string_value(value);
        char number[32];

        if (!cell && json_is_integer(value)) {
            snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
            if (strcmp(number, text) == 0)
                continue;
        }
        if (!cell || !strstr(cell, text))
            json_array_remove(rows, i);
    }
}

static int no_column(const char *name, const struct field *fields, struct err *err)
{
    err_set(err, ERR_USAGE, "--list: there is no column \"%s\"; there are:", name);
    for (const struct field *f = fields; f->name; f++)
        err_append(err, " %s", f->name);
    return -1;
}

int arrange_rows(json_t *rows, const struct field *fields, const char *how, struct err *err)
{
    char text[HOW_MAX], *next = text;

    if (strlen(how) >= sizeof text)
        return err_set(err, ERR_USAGE, "--list=%.40s...: at most %d bytes", how, HOW_MAX - 1);
    memcpy(text, how, strlen(how) + 1);
    while (next) {
        char *word = strsep(&next, ","), *value = strchr(word, '=');
        const int sign = *word == '-' ? -1 : 1;
        size_t column = 0;

        if (value)
            *value++ = '\0';
        word += sign < 0;
        while (fields[column].name && strcmp(fields[column].name, word) != 0)
            column++;
        if (!fields[column].name)
            return no_column(word, fields, err);
        if (value)
            filter_rows(rows, column, value);
        else if (sort_rows(rows, column, sign, err) < 0)
            return -1;
    }
    return 0;
}
