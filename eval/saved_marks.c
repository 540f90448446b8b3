/* saved_marks.c - see saved_marks.h. SPDX-License-Identifier: MIT */
#include "saved_marks.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "data/csv.h"
#include "data/split.h"

enum { WHY_MAX = 400 };

struct saving { /* what a page sends */
    const char *was;
    const json_t *rows;
};
static const struct field saving_fields[] = {
    FIELD_TEXT(struct saving, was, "was",
               "SHA-256 of the table that the page showed, empty: there was none"),
    FIELD_LIST(struct saving, rows, "rows", "[path, action, label, why]"),
    FIELD_END,
};

/* Whether NAME can stand in a file's name. */
static bool is_plain(const char *name)
{
    return name[0] && name[0] != '.' && strlen(name) <= 100 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               strlen(name);
}

int saved_marks_path(char path[PATH_LEN], const struct look *l, const struct request *r,
                     struct err *err)
{
    const char *set = l->run.facts.set ? l->run.facts.set : "";

    if (!is_plain(set))
        return path_format(path, err, "%s/clean.csv", r->results);
    return path_format(path, err, "%s/clean-%s.csv", r->results, set);
}

int saved_marks_add(json_t *rows, const char *path, struct err *err)
{
    struct csv csv;
    int rc = 0;

    if (csv_read(&csv, path, &split_clean_columns, err) < 0)
        return -1;
    for (size_t i = 0; i < csv.n && rc == 0; i++)
        rc = tabular_add(rows,
                         json_pack("{s:o, s:o, s:o}", "path", tabular_string(csv.rows[i].key),
                                   "action", tabular_string(csv.rows[i].value), "label",
                                   tabular_string(csv.rows[i].extra)),
                         err);
    csv_free(&csv);
    return rc;
}

int saved_marks_read(json_t **rows, char sha256[SHA256_HEX], const char *path, struct err *err)
{
    *rows = json_array();
    sha256[0] = 0;
    if (!*rows)
        return err_set(err, ERR_NOMEM, "marks");
    if (!path_exists(path))
        return 0;
    if (sha256_file(path, sha256, NULL, err) < 0 || saved_marks_add(*rows, path, err) < 0) {
        json_decref(*rows);
        *rows = NULL;
        return -1;
    }
    return 0;
}

/* One row as data.clean takes it. */
static int check_row(const json_t *row, size_t i, const struct shard_set *shards, char *seen,
                     struct err *err)
{
    const char *cell[4];
    int64_t rank;

    for (size_t k = 0; k < 4; k++) {
        cell[k] = json_string_value(json_array_get(row, k));
        if (!cell[k])
            return err_set(err, ERR_FORMAT, "row %zu: expected [path, action, label, why]", i + 1);
    }
    rank = shard_set_rank(shards, cell[0]);
    if (rank < 0)
        return err_set(err, ERR_INPUT, "row %zu: the set has no such picture", i + 1);
    if (seen[rank]++)
        return err_set(err, ERR_INPUT, "row %zu: a picture that an earlier row has", i + 1);
    if (strcmp(cell[1], "relabel") == 0) {
        if (shard_set_find_label(shards, cell[2]) < 0)
            return err_set(err, ERR_INPUT, "row %zu: the set has no such label", i + 1);
    } else if ((strcmp(cell[1], "keep") != 0 && strcmp(cell[1], "drop") != 0) || cell[2][0]) {
        return err_set(err, ERR_INPUT, "row %zu: expected keep, drop, or relabel with a label",
                       i + 1);
    }
    if (strlen(cell[3]) > WHY_MAX || text_fault(cell[3]))
        return err_set(err, ERR_INPUT, "row %zu: expected a reason of at most %d plain characters",
                       i + 1, WHY_MAX);
    return 0;
}

static int check_rows(const json_t *rows, const struct shard_set *shards, struct err *err)
{
    const size_t n = json_array_size(rows), pictures = shard_set_count(shards);
    char *seen = calloc(pictures, 1);
    int rc = seen ? 0 : err_set(err, ERR_NOMEM, "marks");

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = check_row(json_array_get(rows, i), i, shards, seen, err);
    free(seen);
    return rc;
}

/* Whether the file is the one whose marks the page showed: two pages that are open at once must not undo each other. */
static int check_was(const char *was, const char *path, struct err *err)
{
    char now[SHA256_HEX] = "";

    if (path_exists(path) && sha256_file(path, now, NULL, err) < 0)
        return -1;
    if (strcmp(was, now) != 0)
        return err_set(err, ERR_LOCKED,
                       "%s was changed since this page was opened; reload the page and mark again",
                       path);
    return 0;
}

int saved_marks_write(char sha256[SHA256_HEX], const char *path, const char *text, size_t size,
                      const struct shard_set *shards, struct err *err)
{
    static const struct column columns[] = {
        {"path", -1}, {"action", -1}, {"label", -1}, {"why", -1}};
    json_t *all = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    struct saving s;
    struct new_file f;
    int rc = -1;

    fields_read(saving_fields, 0, &s, all, NULL);
    if (!s.was || !s.rows)
        err_set(err, ERR_FORMAT, "expected JSON: {\"was\": HASH, \"rows\": [...]}");
    else if (check_rows(s.rows, shards, err) == 0 && check_was(s.was, path, err) == 0 &&
             new_file_begin(&f, path, err) == 0) {
        tabular_print(f.file, FORM_CSV, columns, 4, s.rows);
        if (new_file_finish(&f, err) == 0)
            rc = sha256_file(path, sha256, NULL, err);
    }
    json_decref(all);
    return rc;
}
