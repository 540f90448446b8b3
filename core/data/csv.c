/* csv.c - cut a comma-separated file into rows. SPDX-License-Identifier: MIT */
#include "data/csv.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"

enum { COLUMNS_MAX = 256, CSV_MAX = 1 << 30 };

/* Cuts the field at P: *next is behind its comma, or NULL at the line's end. NULL: a quote that is
 * not closed or not followed by a comma. */
static char *cut_field(char *p, char **next)
{
    char *start = p, *to = p;
    bool closed = false;

    if (*p != '"') {
        p += strcspn(p, ",");
        *next = *p ? p + 1 : NULL;
        *p = '\0';
        return start;
    }
    for (p++; *p && !closed;) {
        if (*p == '"' && *++p != '"')
            closed = true;
        else
            *to++ = *p++;
    }
    if (!closed || (*p != ',' && *p != '\0'))
        return NULL;
    *next = *p ? p + 1 : NULL;
    *to = '\0';
    return start;
}

/* Cuts LINE into at most COLUMNS_MAX fields; their number, -1 on a bad quote. */
static int cut_line(char *line, char *fields[COLUMNS_MAX])
{
    int n = 0;

    for (char *next = line; next && n < COLUMNS_MAX; n++) {
        fields[n] = cut_field(next, &next);
        if (!fields[n])
            return -1;
    }
    return n;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct csv_row *)a)->key, ((const struct csv_row *)b)->key);
}

static int sort_rows(struct csv *c, struct err *err)
{
    qsort(c->rows, c->n, sizeof *c->rows, by_key);
    for (size_t i = 1; i < c->n; i++)
        if (strcmp(c->rows[i].key, c->rows[i - 1].key) == 0)
            return err_set(err, ERR_FORMAT, "lines %u and %u both name %s", c->rows[i - 1].line,
                           c->rows[i].line, c->rows[i].key);
    return 0;
}

static int find_columns(char *fields[COLUMNS_MAX], int n, const char *key, const char *value,
                        int column[2], struct err *err)
{
    column[0] = column[1] = -1;
    for (int i = 0; i < n; i++) {
        if (strcmp(fields[i], key) == 0)
            column[0] = i;
        else if (strcmp(fields[i], value) == 0)
            column[1] = i;
    }
    if (column[0] < 0 || column[1] < 0)
        return err_set(err, ERR_FORMAT, "line 1: the header must name the columns %s and %s", key,
                       value);
    return 0;
}

static int cut_rows(struct csv *c, const char *key, const char *value, struct err *err)
{
    char *fields[COLUMNS_MAX], *line = c->text, *end;
    int column[2] = {-1, -1}, columns = 0;

    for (uint32_t number = 1; line; number++, line = end) {
        int n;

        end = strchr(line, '\n');
        if (end)
            *end++ = '\0';
        line[strcspn(line, "\r")] = '\0';
        if (number > 1 && line[0] == '\0')
            continue;
        n = cut_line(line, fields);
        if (n < 0)
            return err_set(err, ERR_FORMAT, "line %u: a quote that is not closed", number);
        if (number == 1) {
            if (find_columns(fields, n, key, value, column, err) < 0)
                return -1;
            columns = n;
            continue;
        }
        if (n > columns || n <= column[0] || n <= column[1])
            return err_set(
                err, ERR_FORMAT,
                "line %u: %d columns, the header has %d (a field with a comma in it needs "
                "quotes around it)",
                number, n, columns);
        c->rows[c->n++] = (struct csv_row){fields[column[0]], fields[column[1]], number};
    }
    return sort_rows(c, err);
}

int csv_read(struct csv *out, const char *path, const char *key, const char *value, struct err *err)
{
    size_t size, lines = 1;

    memset(out, 0, sizeof *out);
    if (path_read(&out->text, &size, path, CSV_MAX, err) < 0)
        return -1;
    if (strlen(out->text) != size) {
        err_set(err, ERR_FORMAT, "%s: not a text: it has zero bytes", path);
        goto fail;
    }
    if (strncmp(out->text, "\xef\xbb\xbf", 3) == 0) /* the mark that some spreadsheets write */
        memmove(out->text, out->text + 3, size - 2);
    for (const char *p = out->text; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    out->rows = calloc(lines, sizeof *out->rows);
    if (!out->rows) {
        err_set(err, ERR_NOMEM, "%s: out of memory", path);
        goto fail;
    }
    if (cut_rows(out, key, value, err) == 0)
        return 0;
    err_wrap(err, "%s", path);
fail:
    csv_free(out);
    return -1;
}

void csv_free(struct csv *c)
{
    free(c->rows);
    free(c->text);
    memset(c, 0, sizeof *c);
}

const struct csv_row *csv_find(const struct csv *c, const char *key)
{
    const struct csv_row wanted = {.key = key};

    return c->n ? bsearch(&wanted, c->rows, c->n, sizeof *c->rows, by_key) : NULL;
}
