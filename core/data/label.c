/* label.c - what a picture shows: from its name, its folder or a table; and the official lists.
 * SPDX-License-Identifier: MIT */
#include "data/label.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "base/text.h"
#include "data/alike.h"
#include "data/csv.h"
#include "data/offenders.h"
#include "data/pattern.h"

struct labeller {
    int from;
    struct pattern *pattern;
    struct csv csv;
    const char *images; /* prefix that paths in the table may have; "" */
    bool by_name;       /* the table names files without their folders */
};

static struct csv_row *find_row(const struct labeller *l, const char *path)
{
    struct csv_row *row = csv_find_picture(&l->csv, l->by_name ? path_base(path) : path);
    char full[PATH_LEN];

    if (!row && l->images[0] && path_format(full, NULL, "%s/%s", l->images, path) == 0)
        row = csv_find_picture(&l->csv, full);
    return row;
}

/* *TEXT, *LENGTH: the label of PATH, borrowed; length 0: none. */
static int find_label(struct labeller *l, const char *path, const char **text, size_t *length,
                      struct err *err)
{
    const char *base = path_base(path);
    struct csv_row *row;

    *text = path;
    *length = 0;
    switch (l->from) {
    case LABEL_REGEX:
        return pattern_search(l->pattern, base, text, length, err) < 0 ? -1 : 0;
    case LABEL_FOLDER:
        if (base > path) {
            const char *slash = base - 1;

            for (*text = slash; *text > path && (*text)[-1] != '/'; (*text)--)
                ;
            *length = (size_t)(slash - *text);
        }
        return 0;
    default:
        row = find_row(l, path);
        if (row) {
            row->used = true;
            *text = row->value;
            *length = strlen(row->value);
        }
        return 0;
    }
}

/* Tables name pictures by path, or all of them by file name alone. */
static int choose_names(struct labeller *l, const struct dataset *d, struct err *err)
{
    struct offenders twice = {0};

    for (uint32_t i = 0; i < d->n; i++)
        if (find_row(l, d->items[i].path))
            return 0;
    l->by_name = true;
    for (uint32_t i = 0; i < d->n; i++) {
        struct csv_row *row = find_row(l, d->items[i].path);

        if (row && row->used)
            offenders_add(&twice, "%s", d->items[i].path);
        if (row)
            row->used = true;
    }
    for (size_t i = 0; i < l->csv.n; i++)
        l->csv.rows[i].used = false;
    if (twice.n == 0)
        return 0;
    err_set(err, ERR_INPUT,
            "the table names files without folders, and %u of them are in more than one folder: "
            "write the paths",
            twice.n);
    return offenders_append(err, &twice);
}

struct csv_columns label_columns(const struct dataset_options *o)
{
    return (struct csv_columns){o->label_path_column[0] ? o->label_path_column : CSV_PATH_COLUMNS,
                                o->label_column[0] ? o->label_column : CSV_LABEL_COLUMNS,
                                .paths = true};
}

static int open_labeller(struct labeller *l, const struct dataset *d,
                         const struct dataset_options *o, const char *tree, struct err *err)
{
    const struct csv_columns columns = label_columns(o);
    char path[PATH_LEN];

    memset(l, 0, sizeof *l);
    l->from = o->label_from;
    l->images = o->images;
    if (l->from == LABEL_REGEX)
        return pattern_new(&l->pattern, "label.regex", o->label_regex, true, err);
    if (l->from != LABEL_CSV)
        return 0;
    if (path_format(path, err, "%s/%s", tree, o->label_csv) < 0 ||
        csv_read(&l->csv, path, &columns, err) < 0 || choose_names(l, d, err) < 0)
        return err_wrap(err, "label.csv");
    log_debug("%s: paths from the column %s, labels from %s", path, l->csv.key, l->csv.value);
    return 0;
}

/* What is odd about the table: blanks that were cut off labels, rows that no picture has. */
static void note_table(struct dataset *d, const struct labeller *l)
{
    if (l->csv.other[0])
        remarks_add(&d->remarks, REMARK_OTHER_COLUMN, "%s (taken is %s)", l->csv.other,
                    l->csv.value);
    for (size_t i = 0; i < l->csv.n; i++) {
        const struct csv_row *row = &l->csv.rows[i];

        if (!row->used)
            remarks_add(&d->remarks, REMARK_ROWS_WITHOUT_PICTURE, "%s", row->key);
        else if (row->trimmed)
            remarks_add(&d->remarks, REMARK_TRIMMED_LABELS, "'%s' of %s", row->value, row->key);
    }
}

static void note_alike(void *ctx, const char *a, const char *b)
{
    remarks_add(&((struct dataset *)ctx)->remarks, REMARK_ALIKE_LABELS, "'%s' and '%s'", a, b);
}

/* CTX: 600 bytes of text, "" until the first pair. */
static void take_hint(void *ctx, const char *a, const char *b)
{
    char *text = ctx;

    if (!text[0])
        snprintf(text, 600, "%.250s and %.250s", a, b);
}

static size_t n_used(const struct csv *csv)
{
    size_t n = 0;

    for (size_t i = 0; i < csv->n; i++)
        n += csv->rows[i].used;
    return n;
}

/* Says so where a row differs from a picture only in case or Unicode form, or where rows name other things. */
static int add_hint(const struct dataset *d, const struct csv *csv, struct err *err)
{
    const size_t n = d->n + csv->n;
    const char **names = malloc((n + 1) * sizeof *names);
    char pair[600] = "";
    struct err ignored;

    for (size_t i = 0; names && i < n; i++)
        names[i] = i < d->n ? d->items[i].path : csv->rows[i - d->n].key;
    if (names && alike_find(names, n, true, take_hint, pair, &ignored) == 0 && pair[0])
        err_append(err,
                   "; names of files and of the table that differ only in case, blanks or Unicode "
                   "form are not taken for one another: %s",
                   pair);
    else if (csv->n > 0 && n_used(csv) == 0)
        err_append(err,
                   "; no row of the table names a picture of the set, one of them names '%.200s'",
                   csv->rows[0].key);
    free(names);
    return -1;
}

static int no_label(const struct dataset *d, const struct dataset_options *o,
                    const struct offenders *missing, struct err *err)
{
    const char *how = o->label_from == LABEL_FOLDER ? "in no folder that could be its label"
                      : o->label_from == LABEL_CSV  ? "not in the table label.csv"
                                                    : "not matched by the pattern";
    const char *key = o->label_from == LABEL_FOLDER ? "label.from"
                      : o->label_from == LABEL_CSV  ? "label.csv"
                                                    : "label.regex";

    if (missing->n == d->n && o->label_from == LABEL_REGEX) {
        err_set(err, ERR_INPUT,
                "label.regex: the pattern %s matches none of the %u file names, for "
                "example %s",
                o->label_regex, d->n, path_base(d->items[0].path));
        for (uint32_t i = 1; i < 3 && i < d->n; i++)
            err_append(err, ", %s", path_base(d->items[i].path));
        return -1;
    }
    err_set(err, ERR_INPUT,
            "%s: %u of %u pictures have no label (%s); give them one, or leave them "
            "out with label.missing=skip or the key skip",
            key, missing->n, d->n, how);
    return offenders_append(err, missing);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int check_label(const char *text, struct err *err)
{
    const char *fault = text_fault(text);
    char quoted[200];

    if (!fault)
        return 0;
    text_quote(quoted, sizeof quoted, text);
    return err_set(err, ERR_INPUT,
                   "the label \"%s\" has %s (a label is one line, and a table is saved as UTF-8)",
                   quoted, fault);
}

/* TEXTS, sorted, become the vocabulary: each once. */
static int make_vocabulary(struct dataset *d, char *const *texts, struct err *err)
{
    d->vocab = calloc(d->n, sizeof *d->vocab);
    if (!d->vocab)
        return err_set(err, ERR_NOMEM, "labels: out of memory");
    for (uint32_t i = 0; i < d->n; i++) {
        if (i > 0 && strcmp(texts[i], texts[i - 1]) == 0)
            continue;
        if (check_label(texts[i], err) < 0)
            return -1;
        d->vocab[d->n_classes] = strdup(texts[i]);
        if (!d->vocab[d->n_classes++])
            return err_set(err, ERR_NOMEM, "labels: out of memory");
    }
    return 0;
}

/* Which group's pattern matches each class; exactly one or none. */
static int make_groups(struct dataset *d, const struct dataset_options *o, struct err *err)
{
    d->group = malloc((size_t)d->n_classes * sizeof *d->group);
    if (!d->group)
        return err_set(err, ERR_NOMEM, "groups: out of memory");
    for (int32_t i = 0; i < d->n_classes; i++)
        d->group[i] = -1;
    for (int g = 0; g < o->groups_list.n; g++) {
        struct pattern *p;
        bool any = false;
        int found = 0;

        if (pattern_new(&p, "groups", o->groups[g].regex, false, err) < 0)
            return -1;
        for (int32_t i = 0; found >= 0 && i < d->n_classes; i++) {
            found = pattern_search(p, d->vocab[i], NULL, NULL, err);
            if (found > 0 && d->group[i] >= 0)
                found = err_set(err, ERR_INPUT, "groups: the class %s is in two groups, %s and %s",
                                d->vocab[i], o->groups[d->group[i]].name, o->groups[g].name);
            if (found > 0) {
                d->group[i] = g;
                any = true;
            }
        }
        pattern_free(p);
        if (found < 0)
            return -1;
        if (!any)
            return err_set(err, ERR_INPUT,
                           "groups: the pattern %s of %s matches no class, for "
                           "example not %s",
                           o->groups[g].regex, o->groups[g].name, d->vocab[0]);
    }
    return 0;
}

/* Removes the items without a label, whose texts are empty. */
static int drop_unlabelled(struct dataset *d, char **texts, struct err *err)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < d->n; i++) {
        char *text = texts[i];

        texts[i] = NULL;
        if (text[0]) {
            texts[n] = text;
            d->items[n++] = d->items[i];
            continue;
        }
        remarks_add(&d->remarks, REMARK_UNLABELLED, "%s", d->items[i].path);
        free(d->items[i].path);
        free(text);
    }
    d->n = n;
    return n ? 0 : err_set(err, ERR_INPUT, "%s: no picture has a label", d->root);
}

/* TEXTS: what each item is labelled; missing ones are refused, or the items dropped. */
static int find_texts(struct dataset *d, char **texts, struct labeller *l,
                      const struct dataset_options *o, struct err *err)
{
    struct offenders missing = {0};

    for (uint32_t i = 0; i < d->n; i++) {
        const char *text;
        size_t length;

        if (find_label(l, d->items[i].path, &text, &length, err) < 0)
            return -1;
        if (length == 0)
            offenders_add(&missing, "%s", d->items[i].path);
        texts[i] = strndup(text, length);
        if (!texts[i])
            return err_set(err, ERR_NOMEM, "labels: out of memory");
    }
    if (missing.n > 0 && (o->label_missing == MISSING_FAIL || missing.n == d->n)) {
        no_label(d, o, &missing, err);
        return l->from == LABEL_CSV ? add_hint(d, &l->csv, err) : -1;
    }
    if (l->from == LABEL_CSV)
        note_table(d, l);
    return missing.n > 0 ? drop_unlabelled(d, texts, err) : 0;
}

int label_items(struct dataset *d, const struct dataset_options *o, const char *tree,
                struct err *err)
{
    const uint32_t listed = d->n;
    char **texts = calloc(listed, sizeof *texts), **sorted = calloc(listed, sizeof *sorted);
    struct labeller l;
    int rc = -1;

    if (open_labeller(&l, d, o, tree, err) < 0)
        goto out;
    if (!texts || !sorted) {
        err_set(err, ERR_NOMEM, "labels: out of memory");
        goto out;
    }
    if (find_texts(d, texts, &l, o, err) < 0)
        goto out;
    memcpy(sorted, texts, d->n * sizeof *sorted);
    qsort(sorted, d->n, sizeof *sorted, by_text);
    if (make_vocabulary(d, sorted, err) < 0 ||
        alike_find((const char *const *)d->vocab, (size_t)d->n_classes, true, note_alike, d, err) <
            0)
        goto out;
    for (uint32_t i = 0; i < d->n; i++) {
        char **at = bsearch(&texts[i], d->vocab, (size_t)d->n_classes, sizeof *d->vocab, by_text);

        d->items[i].label = (int32_t)(at - d->vocab);
    }
    rc = make_groups(d, o, err);
out:
    for (uint32_t i = 0; texts && i < listed; i++)
        free(texts[i]);
    free(texts);
    free(sorted);
    pattern_free(l.pattern);
    csv_free(&l.csv);
    return rc;
}

/* --- official lists, Oxford form: "STEM CLASS SPECIES BREED" or a path alone, lines with # are comments --- */

static size_t stem_length(const char *path)
{
    const char *base = path_base(path), *dot = strrchr(base, '.');

    return dot && dot > base ? (size_t)(dot - path) : strlen(path);
}

/* PATH without its extension against the first LENGTH bytes of STEM. */
static int compare_stem(const char *path, const char *stem, size_t length)
{
    size_t n = stem_length(path);
    int order = memcmp(path, stem, n < length ? n : length);

    return order != 0 ? order : (n > length) - (n < length);
}

static int by_stem(const void *a, const void *b)
{
    const char *stem = (*(struct dataset_item *const *)b)->path;

    return compare_stem((*(struct dataset_item *const *)a)->path, stem, stem_length(stem));
}

/* Marks every item with this stem (a.jpg and a.png both); how many. */
static uint32_t mark(struct dataset_item **by, uint32_t n, const char *stem, size_t length,
                     int32_t as, struct offenders *twice)
{
    uint32_t low = 0, high = n, marked = 0;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (compare_stem(by[middle]->path, stem, length) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < n && compare_stem(by[low]->path, stem, length) == 0; low++, marked++) {
        if (by[low]->official >= 0 && by[low]->official != as)
            offenders_add(twice, "%s", by[low]->path);
        by[low]->official = as;
    }
    return marked;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct dataset_item *)a)->path, ((const struct dataset_item *)b)->path);
}

static uint32_t mark_path(struct dataset *d, const char *name, size_t length, int32_t as,
                          struct offenders *twice)
{
    char path[PATH_LEN];
    const struct dataset_item wanted = {.path = path};
    struct dataset_item *item;

    if (path_format(path, NULL, "%.*s", (int)length, name) < 0)
        return 0;
    item = bsearch(&wanted, d->items, d->n, sizeof *d->items, by_path);
    if (!item)
        return 0;
    if (item->official >= 0 && item->official != as)
        offenders_add(twice, "%s", item->path);
    item->official = as;
    return 1;
}

/* The pictures that LINE names: by the longest beginning of it, up to a blank, that is a path with or without its
 * ending. Names may have blanks themselves. How many. */
static uint32_t mark_line(struct dataset *d, struct dataset_item **by, const char *line, int32_t as,
                          struct offenders *twice)
{
    size_t length = strlen(line);

    while (length > 0) {
        uint32_t hits;

        if (line[length - 1] == ' ' || line[length - 1] == '\t') {
            length--;
            continue;
        }
        hits = mark(by, d->n, line, length, as, twice);
        if (hits == 0)
            hits = mark_path(d, line, length, as, twice);
        if (hits > 0)
            return hits;
        while (length > 0 && line[length - 1] != ' ' && line[length - 1] != '\t')
            length--;
    }
    return 0;
}

static int read_list(struct dataset *d, struct dataset_item **by, const char *key, const char *tree,
                     const char *file, int32_t as, struct err *err)
{
    char path[PATH_LEN], *text, *line, *rest;
    struct offenders twice = {0};
    uint32_t marked = 0;
    size_t size;

    if (path_format(path, err, "%s/%s", tree, file) < 0 ||
        path_read(&text, &size, path, 1U << 30, err) < 0)
        return err_wrap(err, "%s", key);
    line = text + (strncmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0); /* the mark of some editors */
    for (line = strtok_r(line, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        uint32_t hits;

        line += strspn(line, " \t");
        if (line[0] == '#' || !line[0])
            continue;
        hits = mark_line(d, by, line, as, &twice);
        marked += hits;
        if (hits == 0)
            remarks_add(&d->remarks, REMARK_LISTED_WITHOUT_PICTURE, "%s in %s", line, file);
    }
    free(text);
    if (twice.n > 0) {
        err_set(err, ERR_INPUT, "%s: %s names pictures that official.trainval names too", key,
                path);
        return offenders_append(err, &twice);
    }
    if (marked == 0)
        return err_set(err, ERR_INPUT,
                       "%s: %s names none of the %u pictures; a line starts with a "
                       "path without extension, like %.*s",
                       key, path, d->n, (int)stem_length(d->items[0].path), d->items[0].path);
    return 0;
}

int label_official(struct dataset *d, const struct dataset_options *o, const char *tree,
                   struct err *err)
{
    struct dataset_item **by = malloc(d->n * sizeof *by);
    int rc = 0;

    if (!by)
        return err_set(err, ERR_NOMEM, "official lists: out of memory");
    for (uint32_t i = 0; i < d->n; i++) {
        d->items[i].official = -1;
        by[i] = &d->items[i];
    }
    qsort(by, d->n, sizeof(struct dataset_item *), by_stem);
    if (o->official_trainval[0])
        rc = read_list(d, by, "official.trainval", tree, o->official_trainval, 0, err);
    if (rc == 0 && o->official_test[0])
        rc = read_list(d, by, "official.test", tree, o->official_test, 1, err);
    free(by);
    for (uint32_t i = 0; rc == 0 && i < d->n; i++)
        if (d->items[i].official < 0 && (o->official_trainval[0] || o->official_test[0]))
            remarks_add(&d->remarks, REMARK_IN_NO_LIST, "%s", d->items[i].path);
    return rc;
}
