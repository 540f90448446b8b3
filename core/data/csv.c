/* csv.c - cut a table into rows. RFC 4180 and its usual relatives; fields may hold line breaks in quotes.
 * SPDX-License-Identifier: MIT */
#include "data/csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/path.h"
#include "base/text.h"

enum { COLUMNS_MAX = 256, CSV_MAX = 1 << 30 };

struct reader {
    char *at; /* what was not read yet */
    char separator;
    uint32_t line, next_line; /* that the record began in, and the next one will, from 1 */
    char *fields[COLUMNS_MAX];
    bool trimmed[COLUMNS_MAX];
    int n;
};

/* Cuts the field at the reader's place. *END: what ended it, the separator, '\n' or 0. -1: its quote is not closed, or
 * something follows it. */
static int cut_field(struct reader *r, char **field, bool *trimmed, char *end)
{
    char *p = r->at, *start, *to;
    size_t length;

    while ((*p == ' ' || *p == '\t') && *p != r->separator)
        p++;
    if (*p == '"') {
        for (start = to = ++p; *p; *to++ = *p++) {
            if (*p == '"' && *++p != '"')
                break;
            r->next_line += *p == '\n';
        }
        if (p == start || p[-1] != '"')
            return -1;
        while ((*p == ' ' || *p == '\t') && *p != r->separator)
            p++;
    } else {
        start = p;
        while (*p && *p != r->separator && *p != '\n' && *p != '\r')
            p++;
        to = p;
    }
    *end = *p;
    if (*end && *end != r->separator && *end != '\n' && *end != '\r')
        return -1;
    *trimmed = start > r->at && *r->at != '"';
    *to = '\0';
    r->at = p + (*end != '\0');
    if (*end == '\r') { /* CRLF, or CR alone */
        r->at += *r->at == '\n';
        *end = '\n';
    }
    length = strlen(start);
    *field = start + text_blanks(start);
    text_cut_blanks(*field);
    *trimmed = *trimmed || strlen(*field) != length;
    return 0;
}

/* Cuts the next line, or the lines that quotes join. 1; 0 at the text's end; -1 on a bad quote. */
static int cut_record(struct reader *r)
{
    char end = r->separator;

    r->n = 0;
    r->line = r->next_line;
    if (!*r->at)
        return 0;
    while (end == r->separator) {
        char *extra;
        const bool room = r->n < COLUMNS_MAX;
        bool ignored;

        if (cut_field(r, room ? &r->fields[r->n] : &extra, room ? &r->trimmed[r->n] : &ignored,
                      &end) < 0)
            return -1;
        r->n += room;
    }
    r->next_line += end == '\n';
    return 1;
}

static bool is_empty(const struct reader *r)
{
    for (int i = 0; i < r->n; i++)
        if (r->fields[i][0])
            return false;
    return true;
}

/* --- the header --------------------------------------------------------------------------------- */

static bool is_called(const char *field, const char *name, size_t length)
{
    return strlen(field) == length && strncasecmp(field, name, length) == 0;
}

/* The column that NAMES ("a|b|c") prefers: its number, -1 none; -2 when two columns bear that name. */
static int find_column(const struct reader *r, const char *names)
{
    for (const char *name = names; *name;) {
        const size_t length = strcspn(name, "|");
        int found = -1;

        for (int i = 0; i < r->n; i++)
            if (is_called(r->fields[i], name, length))
                found = found == -1 ? i : -2;
        if (found != -1)
            return found;
        name += length + (name[length] == '|');
    }
    return -1;
}

/* A further column that NAMES would take, if column TAKEN were not there. */
static void find_other(char *out, size_t size, const struct reader *r, const char *names, int taken)
{
    for (const char *name = names; *name;) {
        const size_t length = strcspn(name, "|");

        for (int i = 0; i < r->n; i++)
            if (i != taken && is_called(r->fields[i], name, length)) {
                snprintf(out, size, "%s", r->fields[i]);
                return;
            }
        name += length + (name[length] == '|');
    }
}

static int twice(const struct reader *r, const char *names, struct err *err)
{
    for (int i = 0; i < r->n; i++)
        for (int k = 0; k < i; k++) {
            const char *at = strcasestr(names, r->fields[i]);

            if (at && r->fields[i][0] && strcasecmp(r->fields[i], r->fields[k]) == 0)
                return err_set(err, ERR_FORMAT,
                               "line %u: two columns are called %s, the %d. and the %d.: which one "
                               "counts? Rename or remove the other",
                               r->line, r->fields[i], k + 1, i + 1);
        }
    return err_set(err, ERR_FORMAT, "line %u: two columns of one name", r->line);
}

/* "path (or file, filename, ...)" */
static void describe(char *out, size_t size, const char *names)
{
    size_t used = 0;
    int n = 0;

    for (const char *name = names; *name && used + 8 < size; n++) {
        const size_t length = strcspn(name, "|");

        used += (size_t)snprintf(out + used, size - used, "%s%.*s",
                                 n == 0   ? ""
                                 : n == 1 ? " (or "
                                          : ", ",
                                 (int)length, name);
        name += length + (name[length] == '|');
    }
    if (n > 1 && used + 2 < size)
        snprintf(out + used, size - used, ")");
}

static int no_column(const char *text, uint32_t line, const struct csv_columns *c, struct err *err)
{
    char key[256], value[256], quoted[300];

    describe(key, sizeof key, c->key);
    describe(value, sizeof value, c->value);
    snprintf(quoted, sizeof quoted, "%.*s", (int)strcspn(text, "\r\n"), text);
    err_set(err, ERR_FORMAT, "line %u: the header must name the columns %s and %s", line, key,
            value);
    text_quote(key, sizeof key, quoted);
    return err_append(err, "; it is: %s", key);
}

/* Reads the header with each separator, on a copy; the first that gives both columns is the table's. */
static int find_columns(struct reader *r, const struct csv_columns *c, int column[3],
                        struct err *err)
{
    static const char separators[] = ",;\t|";
    const size_t length = strcspn(r->at, "\n\r");
    char *copy = malloc(length + 1);
    bool found = false;
    int rc = -1;

    for (const char *s = separators; copy && *s && !found; s++) {
        struct reader try = {.at = copy, .separator = *s, .line = r->line, .next_line = r->line};

        memcpy(copy, r->at, length);
        copy[length] = '\0';
        if (cut_record(&try) <= 0)
            continue;
        column[0] = find_column(&try, c->key);
        column[1] = find_column(&try, c->value);
        column[2] = c->extra ? find_column(&try, c->extra) : -1;
        found = column[0] != -1 && column[1] != -1;
        r->separator = *s;
        if (found && (column[0] == -2 || column[1] == -2 || column[2] == -2))
            rc = twice(&try, column[0] == -2 ? c->key : column[1] == -2 ? c->value : c->extra, err);
        else if (found)
            rc = 0;
    }
    if (!copy)
        err_set(err, ERR_NOMEM, "out of memory");
    else if (!found)
        no_column(r->at, r->line, c, err);
    free(copy);
    if (rc == 0)
        rc = cut_record(r) == 1 ? 0 : err_set(err, ERR_FORMAT, "line %u: a quote", r->line);
    return rc;
}

/* --- the rows ----------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct csv_row *)a)->key, ((const struct csv_row *)b)->key);
}

static int by_key_and_line(const void *a, const void *b)
{
    const uint32_t x = ((const struct csv_row *)a)->line, y = ((const struct csv_row *)b)->line;
    const int order = by_key(a, b);

    return order ? order : (x > y) - (x < y);
}

static int sort_rows(struct csv *c, bool repeats, struct err *err)
{
    if (c->n > 0)
        qsort(c->rows, c->n, sizeof *c->rows, by_key_and_line);
    for (size_t i = 1; i < c->n && !repeats; i++)
        if (strcmp(c->rows[i].key, c->rows[i - 1].key) == 0) {
            const struct csv_row *a = &c->rows[i - 1], *b = &c->rows[i];

            return err_set(err, ERR_FORMAT, "lines %u and %u both name %s",
                           a->line < b->line ? a->line : b->line,
                           a->line < b->line ? b->line : a->line, a->key);
        }
    return 0;
}

/* "./a.jpg" and "folder\a.jpg" become "a.jpg" and "folder/a.jpg". */
static char *clean_path(char *key)
{
    if (!strchr(key, '/'))
        for (char *p = strchr(key, '\\'); p; p = strchr(p, '\\'))
            *p = '/';
    while (key[0] == '.' && key[1] == '/')
        key += 2;
    return key;
}

/* The ' that keeps a spreadsheet from running a cell, as tables of this project write it, is not part of the text. */
static char *unguarded(char *cell)
{
    return cell[0] == '\'' && cell[1] && strchr("=+-@", cell[1]) ? cell + 1 : cell;
}

static int add_row(struct csv *c, size_t *room, const struct reader *r, const int column[3],
                   bool paths, struct err *err)
{
    char *key = unguarded(r->fields[column[0]]);

    if (c->n == *room) {
        const size_t more = *room ? 2 * *room : 1024;
        struct csv_row *rows = reallocarray(c->rows, more, sizeof *rows);

        if (!rows)
            return err_set(err, ERR_NOMEM, "%zu rows: out of memory", more);
        c->rows = rows;
        *room = more;
    }
    c->rows[c->n++] = (struct csv_row){
        .key = paths ? clean_path(key) : key,
        .value = unguarded(r->fields[column[1]]),
        .extra = column[2] >= 0 && column[2] < r->n ? unguarded(r->fields[column[2]]) : "",
        .line = r->line,
        .trimmed = r->trimmed[column[1]]};
    return 0;
}

static int cut_rows(struct csv *c, const struct csv_columns *columns, struct err *err)
{
    struct reader r = {.at = c->text, .line = 1, .next_line = 1};
    int column[3] = {-1, -1, -1}, n, got;
    size_t room = 0;

    if (strncmp(r.at, "sep=", 4) == 0) { /* a line for Excel */
        r.at += strcspn(r.at, "\r\n");
        r.at += strncmp(r.at, "\r\n", 2) == 0 ? 2 : *r.at != '\0';
        r.line = r.next_line = 2;
    }
    if (find_columns(&r, columns, column, err) < 0)
        return -1;
    n = r.n;
    c->separator = r.separator;
    snprintf(c->key, sizeof c->key, "%s", r.fields[column[0]]);
    snprintf(c->value, sizeof c->value, "%s", r.fields[column[1]]);
    find_other(c->other, sizeof c->other, &r, columns->value, column[1]);
    while ((got = cut_record(&r)) > 0) {
        if (is_empty(&r))
            continue;
        while (r.n > n && !r.fields[r.n - 1][0]) /* separators at a line's end */
            r.n--;
        if (r.n > n || r.n <= column[0] || r.n <= column[1])
            return err_set(
                err, ERR_FORMAT,
                "line %u: %d columns, the header has %d (a field with a '%c' in it needs "
                "quotes around it)",
                r.line, r.n, n, r.separator);
        if (add_row(c, &room, &r, column, columns->paths, err) < 0)
            return -1;
    }
    if (got < 0)
        return err_set(err, ERR_FORMAT, "line %u: a quote that is not closed", r.line);
    return sort_rows(c, columns->repeats, err);
}

static int check_encoding(const char *text, size_t size, struct err *err)
{
    if (size >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        return err_set(err, ERR_FORMAT, "the table is UTF-16 text; save it as CSV in UTF-8");
    if (size >= 4 && memcmp(text, "PK\3\4", 4) == 0)
        return err_set(err, ERR_FORMAT,
                       "not a text but a spreadsheet (or a zip); save the table as CSV in UTF-8");
    if (strlen(text) != size)
        return err_set(err, ERR_FORMAT, "not a text: it has zero bytes");
    return 0;
}

int csv_read(struct csv *out, const char *path, const struct csv_columns *columns, struct err *err)
{
    size_t size;

    memset(out, 0, sizeof *out);
    if (path_read(&out->text, &size, path, CSV_MAX, err) < 0)
        return -1;
    if (check_encoding(out->text, size, err) == 0) {
        if (strncmp(out->text, "\xef\xbb\xbf", 3) == 0) /* the mark that some editors write */
            memmove(out->text, out->text + 3, size - 2);
        if (cut_rows(out, columns, err) == 0)
            return 0;
    }
    err_wrap(err, "%s", path);
    csv_free(out);
    return -1;
}

void csv_free(struct csv *c)
{
    free(c->rows);
    free(c->text);
    memset(c, 0, sizeof *c);
}

struct csv_row *csv_find(const struct csv *c, const char *key)
{
    const struct csv_row wanted = {.key = key};

    return c->n ? bsearch(&wanted, c->rows, c->n, sizeof *c->rows, by_key) : NULL;
}

struct csv_row *csv_find_picture(const struct csv *c, const char *path)
{
    struct csv_row *row = csv_find(c, path);
    const char *dot = strrchr(path_base(path), '.');
    char stem[PATH_LEN];

    if (row || !dot || dot == path_base(path) || (size_t)(dot - path) >= sizeof stem)
        return row;
    memcpy(stem, path, (size_t)(dot - path));
    stem[dot - path] = '\0';
    return csv_find(c, stem);
}
