/* relabel.c - a table of data.clean over predictions. SPDX-License-Identifier: MIT */
#include "relabel.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hash.h"
#include "base/path.h"
#include "data/csv.h"
#include "experiment/infer.h"

static int32_t class_of(const struct predictions *p, const char *name)
{
    int32_t c = 0;

    while (c < p->classes && strcmp(p->vocab[c], name) != 0)
        c++;
    return c < p->classes ? c : -1;
}

/* What a row makes of a label: -1 dropped, -2 on a row that cannot be used. */
static int32_t label_by(const struct csv_row *row, const struct predictions *p, int32_t now)
{
    const int32_t label = class_of(p, row->extra);

    if (strcasecmp(row->value, "drop") == 0)
        return -1;
    if (strcasecmp(row->value, "keep") == 0)
        return now;
    return strcasecmp(row->value, "relabel") == 0 && label >= 0 ? label : -2;
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

static int relabel(struct predictions *p, const struct csv *csv, const char *file, int *dropped,
                   int *changed, struct err *err)
{
    uint32_t n = 0;

    *dropped = *changed = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        const struct csv_row *row = csv_find_picture(csv, p->ids[i]);
        const int32_t label = row ? label_by(row, p, p->actual[i]) : p->actual[i];

        if (label == -2)
            return err_set(err, ERR_INPUT,
                           "%s: line %u: %s: '%s %s': expected keep, drop, or relabel with a label "
                           "that the runs know",
                           file, row->line, row->key, row->value, row->extra);
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

/* Those of run L, and a row of OUT where anything changed. */
static int relabel_run(struct relabelled *out, struct look *l, const struct csv *csv,
                       struct err *err)
{
    const size_t used = strlen(l->pictures);
    int dropped, changed;

    if (!l->p)
        return 0;
    if (relabel(shown(l), csv, out->file, &dropped, &changed, err) < 0)
        return -1;
    if (dropped + changed == 0)
        return 0;
    l->errors = 0;
    for (uint32_t i = 0; i < l->p->n; i++)
        l->errors += l->p->predicted[i] != l->p->actual[i];
    l->relabelled = true;
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
    if (!look_get(l->run.run, "cleaning", "file") || !path_is_file(path)) {
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
    static const struct csv_columns columns = {CSV_PATH_COLUMNS, CSV_ACTION_COLUMNS, .paths = true,
                                               .extra = CSV_NEW_LABEL_COLUMNS, .repeats = true};
    struct csv csv;
    int rc = 0;

    memset(out, 0, sizeof *out);
    out->rows = json_array();
    if (!out->rows)
        return err_set(err, ERR_NOMEM, "comparison");
    if ((file ? path_format(out->file, err, "%s", file) : choose(out, runs, n, err)) < 0)
        return -1;
    if (!out->file[0])
        return 0;
    if (csv_read(&csv, out->file, &columns, err) < 0)
        return -1;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = relabel_run(out, &runs[i], &csv, err);
    csv_free(&csv);
    return rc;
}
