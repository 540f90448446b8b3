/* mistakes.c - the confusion matrix in its forms, and the top losses.
 * SPDX-License-Identifier: MIT */
#include "mistakes.h"

#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "draw/plot.h"
#include "draw/sheet.h"
#include "look.h"

enum { PRINTED_CLASSES = 12, SHEET_COLUMNS = 5, SHEET_SIDE = 200 };

static int open_needed(struct look *l, const struct request *r, struct err *err)
{
    if (look_open(l, r, r->run, err) < 0)
        return -1;
    if (look_needs_predictions(l, err) == 0)
        return 0;
    look_close(l);
    return -1;
}

int mistakes_pairs(json_t **rows, const struct predictions *p, uint32_t min, size_t most,
                   struct err *err)
{
    struct confused *pairs = NULL;
    uint32_t *counts;
    size_t n;
    int rc = -1;

    *rows = json_array();
    if (confusion_count(&counts, p, err) < 0)
        goto out;
    if (confusion_most(&pairs, &n, counts, p->classes, min, err) < 0)
        goto out;
    for (size_t i = 0; i < n && (most == 0 || i < most); i++)
        if (tabular_add(*rows,
                        json_pack("[o, o, i]", tabular_string(p->vocab[pairs[i].actual]),
                                  tabular_string(p->vocab[pairs[i].predicted]),
                                  (int)pairs[i].count),
                        err) < 0)
            goto out;
    rc = 0;
out:
    free(pairs);
    free(counts);
    if (rc < 0) {
        json_decref(*rows);
        *rows = NULL;
    }
    return rc;
}

void mistakes_print_pairs(FILE *out, enum form form, const json_t *rows)
{
    static const struct column columns[] = {{"actual", -1}, {"predicted", -1}, {"count", -1}};

    tabular_print(out, form, columns, 3, rows);
}

int mistakes_confused(FILE *out, const struct request *r, struct err *err)
{
    struct look l;
    json_t *rows;
    int rc;

    if (open_needed(&l, r, err) < 0)
        return -1;
    rc = mistakes_pairs(&rows, l.p, r->min, 0, err);
    if (rc == 0) {
        if (json_array_size(rows) == 0 && r->form == FORM_TEXT)
            fprintf(out, "no two classes are confused %u times or more (%u mistakes in %u)\n",
                    r->min, l.errors, l.p->n);
        else
            mistakes_print_pairs(out, r->form, rows);
        json_decref(rows);
    }
    look_close(&l);
    return rc;
}

/* Classes as columns, numbered as the rows are. */
static int print_matrix(FILE *out, enum form form, const uint32_t *counts,
                        const struct predictions *p, struct err *err)
{
    size_t classes = (size_t)p->classes;
    struct column *columns = calloc(classes + 1, sizeof *columns);
    json_t *rows = json_array();
    int rc = columns && rows ? 0 : err_set(err, ERR_NOMEM, "confusion");

    for (size_t a = 0; rc == 0 && a < classes; a++) {
        json_t *row = json_pack("[o]", tabular_string(p->vocab[a]));

        columns[0] = (struct column){"actual", -1};
        columns[a + 1] = (struct column){p->vocab[a], -1};
        for (size_t c = 0; row && c < classes; c++)
            json_array_append_new(row, json_integer(counts[a * classes + c]));
        rc = tabular_add(rows, row, err);
    }
    if (rc == 0)
        tabular_print(out, form, columns, classes + 1, rows);
    free(columns);
    json_decref(rows);
    return rc;
}

static int draw(const struct look *l, const uint32_t *counts, const char *ending,
                char path[PATH_LEN], struct err *err)
{
    char title[1300];

    snprintf(title, sizeof title, "Confusion matrix, %s", l->pictures);
    /* l->folder is the run's, or one below it */
    if (path_format(path, err, "%s/plots", l->folder) < 0 ||
        path_make_dirs_below(l->run.folder, path + strlen(l->run.folder) + 1, err) < 0)
        return -1;
    if (path_format(path, err, "%s/plots/confusion.%s", l->folder, ending) < 0)
        return -1;
    return plot_confusion(path, title, counts, l->p->vocab, l->p->classes, err);
}

static int write_matrix(FILE *out, const struct look *l, const uint32_t *counts, enum form form,
                        struct err *err)
{
    char svg[PATH_LEN], png[PATH_LEN], csv[PATH_LEN];

    if (form != FORM_TEXT)
        return print_matrix(out, form, counts, l->p, err);
    if (draw(l, counts, "svg", svg, err) < 0 || draw(l, counts, "png", png, err) < 0)
        return -1;
    if (predictions_write_confusion(l->p, counts, l->folder, err) < 0 ||
        path_format(csv, err, "%s/confusion.csv", l->folder) < 0)
        return -1;
    if (l->p->classes <= PRINTED_CLASSES && print_matrix(out, form, counts, l->p, err) < 0)
        return -1;
    fprintf(out, "%s%s\n%s\n%s\n", l->p->classes <= PRINTED_CLASSES ? "\n" : "", csv, png, svg);
    return 0;
}

int mistakes_matrix(FILE *out, const struct request *r, struct err *err)
{
    uint32_t *counts;
    struct look l;
    int rc;

    if (open_needed(&l, r, err) < 0)
        return -1;
    rc = confusion_count(&counts, l.p, err);
    if (rc == 0)
        rc = write_matrix(out, &l, counts, r->form, err);
    free(counts);
    look_close(&l);
    return rc;
}

static int add_loss(json_t *rows, const struct predictions *p, uint32_t i, struct err *err)
{
    const float *prob = p->prob + (size_t)i * (size_t)p->classes;

    return tabular_add(rows,
                       json_pack("[o, o, o, f, f]", tabular_string(p->ids[i]),
                                 tabular_string(p->vocab[p->predicted[i]]),
                                 tabular_string(p->vocab[p->actual[i]]), (double)p->loss[i],
                                 (double)prob[p->predicted[i]]),
                       err);
}

/* The picture I in CELL, with the prediction below it and what it is. */
static int show_loss(struct sheet *s, int cell, const struct shard_set *shards,
                     const struct predictions *p, uint32_t i, struct err *err)
{
    const float *prob = p->prob + (size_t)i * (size_t)p->classes;
    const int64_t rank = shard_set_rank(shards, p->ids[i]);
    const struct shard_picture *picture;
    char label[512], note[512];
    uint8_t *pixels;
    int rc;

    if (rank < 0)
        return err_set(err, ERR_INPUT, "%s is not among the shards", p->ids[i]);
    picture = shard_set_picture(shards, (uint32_t)rank);
    pixels = malloc((size_t)picture->height * picture->width * 3);
    if (!pixels)
        return err_set(err, ERR_NOMEM, "%s", p->ids[i]);
    snprintf(label, sizeof label, "%.400s %.0f %%", p->vocab[p->predicted[i]],
             100 * (double)prob[p->predicted[i]]);
    snprintf(note, sizeof note, "is %.400s, loss %.2f", p->vocab[p->actual[i]], (double)p->loss[i]);
    rc = shard_set_read(shards, (uint32_t)rank, pixels, true, err);
    if (rc == 0)
        rc =
            sheet_put(s, cell, pixels, (int)picture->height, (int)picture->width, label, note, err);
    free(pixels);
    return rc;
}

static int show_losses(const struct look *l, const struct request *r, const uint32_t *order,
                       struct err *err)
{
    const int n = (int)(l->p->n < r->count ? l->p->n : r->count);
    struct shard_set *shards;
    struct sheet *s;
    struct err why = {0};
    int rc;

    shards = look_open_shards(l, r, &why);
    if (!shards)
        return err_set(err, why.kind, "--show: %s", why.msg);
    if (sheet_new(&s, n, SHEET_COLUMNS, SHEET_SIDE, err) < 0) {
        shard_set_close(shards);
        return -1;
    }
    rc = 0;
    for (int k = 0; k < n && rc == 0; k++)
        rc = show_loss(s, k, shards, l->p, order[k], err);
    if (rc == 0)
        rc = sheet_write(s, r->show, err);
    sheet_free(s);
    shard_set_close(shards);
    return rc;
}

int mistakes_losses(FILE *out, const struct request *r, struct err *err)
{
    static const struct column columns[] = {
        {"id", -1}, {"predicted", -1}, {"actual", -1}, {"loss", 2}, {"probability", 2}};
    json_t *rows = json_array();
    uint32_t *order = NULL;
    struct look l;
    int rc = -1;

    if (!rows)
        return err_set(err, ERR_NOMEM, "top losses");
    if ((r->show && sheet_check_path(r->show, err) < 0) || open_needed(&l, r, err) < 0) {
        json_decref(rows);
        return -1;
    }
    if (predictions_by_loss(&order, l.p, err) < 0)
        goto out;
    for (uint32_t k = 0; k < l.p->n && k < r->count; k++)
        if (add_loss(rows, l.p, order[k], err) < 0)
            goto out;
    if (r->show && show_losses(&l, r, order, err) < 0)
        goto out;
    tabular_print(out, r->form, columns, 5, rows);
    if (r->show && r->form == FORM_TEXT) {
        fputc('\n', out);
        tabular_text(out, r->show);
        fputc('\n', out);
    }
    rc = 0;
out:
    free(order);
    look_close(&l);
    json_decref(rows);
    return rc;
}
