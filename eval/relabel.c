/* relabel.c - a table of data.clean over predictions. SPDX-License-Identifier: MIT */
#include "relabel.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/path.h"
#include "data/csv.h"
#include "data/split.h"
#include "experiment/infer.h"
#include "run/leaks.h"

/* What a row makes of a label: -1 dropped, -2 a label that P has not. */
static int32_t label_by(const struct csv_row *row, const struct predictions *p, int32_t now)
{
    const int32_t label = predictions_class(p, row->extra);

    if (strcasecmp(row->value, "drop") == 0)
        return -1;
    if (strcasecmp(row->value, "keep") == 0)
        return now;
    return label >= 0 ? label : -2;
}

/* All rows, also those whose picture no run was scored on. */
static int check_rows(const char *file, const struct csv *csv, const struct look *runs, size_t n,
                      struct err *err)
{
    size_t first = 0;

    if (split_check_rows(file, csv, NULL, err) < 0)
        return -1;
    while (first < n && !runs[first].p)
        first++;
    for (size_t i = 0; first < n && i < csv->n; i++) {
        const struct csv_row *row = &csv->rows[i];

        if (row->extra[0] && predictions_class(runs[first].p, row->extra) < 0)
            return err_set(err, ERR_INPUT, "%s: line %u: %s: the runs have no label '%.200s'", file,
                           row->line, row->key, row->extra);
    }
    return 0;
}

/* Picture FROM of P becomes picture TO, with LABEL. */
static void put(struct predictions *p, uint32_t to, uint32_t from, int32_t label)
{
    const size_t row = (size_t)p->classes;
    char *id = p->ids[to];

    p->ids[to] = p->ids[from]; /* swapped, so that each stays owned once */
    p->ids[from] = id;
    p->predicted[to] = p->predicted[from];
    p->loss[to] =
        label == p->actual[from] ? p->loss[from] : tta_loss(p->prob[from * row + (size_t)label]);
    p->actual[to] = label;
    memmove(p->prob + to * row, p->prob + from * row, row * sizeof *p->prob);
}

static int relabel(struct predictions *p, const struct csv *csv, const char *file, uint32_t *named,
                   int *dropped, int *changed, struct err *err)
{
    uint32_t n = 0;

    *dropped = *changed = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        const struct csv_row *row = csv_find_picture(csv, p->ids[i]);
        const int32_t label = row ? label_by(row, p, p->actual[i]) : p->actual[i];

        *named += row != NULL;
        if (label == -2)
            return err_set(err, ERR_INPUT, "%s: line %u: %s: the runs have no label '%.200s'", file,
                           row->line, row->key, row->extra);
        *dropped += label == -1;
        *changed += label >= 0 && label != p->actual[i];
        if (label >= 0)
            put(p, n++, i, label);
    }
    for (uint32_t i = n; i < p->n; i++) {
        free(p->ids[i]);
        p->ids[i] = NULL;
    }
    p->n = n;
    return 0;
}

/* The predictions that L shows, to be changed. */
static struct predictions *shown(struct look *l)
{
    return l->p == l->own             ? l->own
           : l->p == l->scoring.tta.p ? l->scoring.tta.p
                                      : l->scoring.plain.p;
}

struct leaking {
    const struct predictions *p;
    json_t *ids; /* as a table to look up in */
};

static const char *leak_of(const void *ctx, uint32_t i)
{
    const struct leaking *l = ctx;

    return json_object_get(l->ids, l->p->ids[i]) ? l->p->ids[i] : NULL;
}

/* The error rate without what leaks, by the new labels. An older program's record does not name what leaks: then there
 * is no such rate. */
static int count_leaks_again(struct look *l, struct err *err)
{
    const json_t *list = l->leaks.leaking, *id;
    struct leaking leaking = {l->p, json_object()};
    size_t i;
    int rc = 0;

    json_array_foreach(list, i, id)
        json_object_set_new(leaking.ids, json_string_value(id), json_true());
    if (!leaking.ids)
        rc = err_set(err, ERR_NOMEM, "pictures that leak");
    else if (list)
        rc = leaks_find(&l->relabelled_leaks, l->p->n, l->p->actual, l->p->predicted, leak_of,
                        &leaking, err);
    l->leaks_unnamed = leaks_are(&l->leaks) && !list;
    fields_read(leaks_fields, 0, &l->leaks, l->relabelled_leaks, NULL);
    json_decref(leaking.ids);
    return rc;
}

/* Those of run L, and a row of OUT where anything changed. */
static int relabel_run(struct relabelled *out, struct look *l, const struct csv *csv,
                       uint32_t *named, struct err *err)
{
    const size_t used = strlen(l->pictures);
    int dropped, changed;

    if (!l->p)
        return 0;
    if (relabel(shown(l), csv, out->file, named, &dropped, &changed, err) < 0)
        return -1;
    if (dropped + changed == 0)
        return 0;
    l->errors = 0;
    for (uint32_t i = 0; i < l->p->n; i++)
        l->errors += l->p->predicted[i] != l->p->actual[i];
    l->relabelled = true;
    if (count_leaks_again(l, err) < 0)
        return -1;
    snprintf(l->pictures + used, sizeof l->pictures - used, ", judged by %s", path_base(out->file));
    return tabular_add(out->rows,
                       json_pack("[o, i, i]", tabular_string(l->run.name), dropped, changed), err);
}

/* The table of L, "": none. */
static int own_table(char path[PATH_LEN], char hex[SHA256_HEX], const struct look *l,
                     struct err *err)
{
    hex[0] = 0;
    if (path_format(path, err, "%s/clean.csv", l->run.folder) < 0)
        return -1;
    if (!look_cleaning(l).file || !path_is_file(path)) {
        path[0] = 0;
        return 0;
    }
    return sha256_file(path, hex, NULL, err);
}

/* The one table that some runs were cleaned by and others not. */
static int choose(struct relabelled *out, const struct look *runs, size_t n, struct err *err)
{
    char path[PATH_LEN], hex[SHA256_HEX], chosen[SHA256_HEX] = "";
    size_t with = 0;

    for (size_t i = 0; i < n; i++) {
        if (own_table(path, hex, &runs[i], err) < 0)
            return -1;
        with += path[0] != 0;
        if (path[0] && chosen[0] && strcmp(chosen, hex) != 0)
            out->several = true;
        if (path[0] && !chosen[0]) {
            memcpy(chosen, hex, sizeof chosen);
            memcpy(out->file, path, sizeof path);
        }
    }
    if (out->several || with == n)
        out->file[0] = 0;
    return 0;
}

int relabel_runs(struct relabelled *out, struct look *runs, size_t n, const char *file,
                 struct err *err)
{
    uint32_t named = 0;
    struct csv csv;
    int rc;

    memset(out, 0, sizeof *out);
    out->rows = json_array();
    if (!out->rows)
        return err_set(err, ERR_NOMEM, "comparison");
    if ((file ? path_format(out->file, err, "%s", file) : choose(out, runs, n, err)) < 0)
        return -1;
    if (!out->file[0])
        return 0;
    if (csv_read(&csv, out->file, &split_clean_columns, err) < 0)
        return -1;
    rc = check_rows(out->file, &csv, runs, n, err);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = relabel_run(out, &runs[i], &csv, &named, err);
    if (rc == 0 && csv.n > 0 && named == 0)
        log_warn("%s: no row names a picture of these runs", out->file);
    csv_free(&csv);
    return rc;
}
