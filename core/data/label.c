/* label.c - what a picture shows: from its name, its folder or a table; and the official lists.
 * SPDX-License-Identifier: MIT */
#include "data/label.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "base/text.h"
#include "data/csv.h"
#include "data/offenders.h"
#include "data/pattern.h"

struct labeller {
    int from;
    struct pattern *pattern;
    struct csv csv;
};

/* *TEXT, *LENGTH: the label of PATH, borrowed; length 0: none. */
static int find_label(struct labeller *l, const char *path, const char **text, size_t *length,
                      struct err *err)
{
    const char *base = path_base(path);
    const struct csv_row *row;

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
        row = csv_find(&l->csv, path);
        if (row) {
            *text = row->value;
            *length = strlen(row->value);
        }
        return 0;
    }
}

static int open_labeller(struct labeller *l, const struct dataset_options *o, const char *tree,
                         struct err *err)
{
    char path[PATH_LEN];

    memset(l, 0, sizeof *l);
    l->from = o->label_from;
    if (l->from == LABEL_REGEX)
        return pattern_new(&l->pattern, "label.regex", o->label_regex, true, err);
    if (l->from != LABEL_CSV)
        return 0;
    if (path_format(path, err, "%s/%s", tree, o->label_csv) < 0 ||
        csv_read(&l->csv, path, "path", "label", err) < 0)
        return err_wrap(err, "label.csv");
    return 0;
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
            "%s: %u of %u pictures have no label (%s); give them one or leave them "
            "out with the key skip",
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
    return err_set(err, ERR_INPUT, "the label \"%s\" has %s (a table is saved as UTF-8)", quoted,
                   fault);
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

int label_items(struct dataset *d, const struct dataset_options *o, const char *tree,
                struct err *err)
{
    struct offenders missing = {0};
    char **texts = calloc(d->n, sizeof *texts), **sorted = calloc(d->n, sizeof *sorted);
    struct labeller l;
    int rc = -1;

    if (open_labeller(&l, o, tree, err) < 0)
        goto out;
    if (!texts || !sorted) {
        err_set(err, ERR_NOMEM, "labels: out of memory");
        goto out;
    }
    for (uint32_t i = 0; i < d->n; i++) {
        const char *text;
        size_t length;

        if (find_label(&l, d->items[i].path, &text, &length, err) < 0)
            goto out;
        if (length == 0)
            offenders_add(&missing, "%s", d->items[i].path);
        texts[i] = strndup(text, length);
        if (!texts[i]) {
            err_set(err, ERR_NOMEM, "labels: out of memory");
            goto out;
        }
        sorted[i] = texts[i];
    }
    if (missing.n > 0) {
        no_label(d, o, &missing, err);
        goto out;
    }
    qsort(sorted, d->n, sizeof *sorted, by_text);
    if (make_vocabulary(d, sorted, err) < 0)
        goto out;
    for (uint32_t i = 0; i < d->n; i++) {
        char **at = bsearch(&texts[i], d->vocab, (size_t)d->n_classes, sizeof *d->vocab, by_text);

        d->items[i].label = (int32_t)(at - d->vocab);
    }
    rc = make_groups(d, o, err);
out:
    for (uint32_t i = 0; texts && i < d->n; i++)
        free(texts[i]);
    free(texts);
    free(sorted);
    pattern_free(l.pattern);
    csv_free(&l.csv);
    return rc;
}

/* --- official lists, Oxford form: "STEM CLASS SPECIES BREED", lines with # are remarks ----------- */

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

static int read_list(struct dataset *d, struct dataset_item **by, const char *key, const char *tree,
                     const char *file, int32_t as, struct err *err)
{
    char path[PATH_LEN], *text, *line, *rest;
    struct offenders twice = {0};
    uint32_t marked = 0, unknown = 0;
    size_t size;

    if (path_format(path, err, "%s/%s", tree, file) < 0 ||
        path_read(&text, &size, path, 1U << 30, err) < 0)
        return err_wrap(err, "%s", key);
    for (line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        size_t length = strcspn(line, " \t");
        uint32_t hits;

        if (line[0] == '#' || length == 0)
            continue;
        hits = mark(by, d->n, line, length, as, &twice);
        marked += hits;
        unknown += hits == 0;
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
    if (unknown > 0)
        log_debug("%s: %u names without a picture", path, unknown);
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
    return rc;
}
