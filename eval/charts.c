/* charts.c - see charts.h. SPDX-License-Identifier: MIT */
#include "charts.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/text.h"
#include "draw/element.h"
#include "draw/plot.h"
#include "run/epoch.h"

/* Adds the N points AT, VALUE to the sums in S, X and Y; epochs that not both have go. */
static void add_points(struct plot_series *s, double *x, double *y, const double *at,
                       const double *value, int n)
{
    int kept = 0;

    for (int i = 0, k = 0; i < s->n && k < n;) {
        if (x[i] == at[k]) {
            x[kept] = x[i];
            y[kept++] = y[i] + value[k];
        }
        if (x[i] < at[k]) {
            i++;
        } else {
            i += x[i] == at[k];
            k++;
        }
    }
    s->n = kept;
}

/* The epochs of a line's N runs, read once for all drawings. */
struct epochs {
    struct field_lines *all;
    size_t n;
};

static void free_epochs(struct epochs *e, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < e[i].n; k++)
            fields_free_lines(&e[i].all[k]);
        free(e[i].all);
    }
}

static int read_epochs(struct epochs *e, const struct chart_line *line, struct err *err)
{
    e->all = calloc(line->n + 1, sizeof *e->all);
    if (!e->all)
        return err_set(err, ERR_NOMEM, "curves");
    while (e->n < line->n) {
        const size_t k = e->n++;

        if (epochs_read(&e->all[k], line->folders[k], err) < 0)
            return -1;
        if (e->all[k].bad > 0)
            log_warn("%s/metrics.jsonl: line %zu is no JSON object: left out", line->folders[k],
                     e->all[k].bad);
    }
    return 0;
}

/* Adds the curve of a run's EPOCHS to S, which has *M curves; a run without points has none. X and Y are S's, to be
 * written. */
static int add_curve(struct plot_series *s, double **x, double **y, size_t *m,
                     const struct field_lines *epochs, const char *member, struct err *err)
{
    double *at = calloc(2 * epochs->n + 1, sizeof *at), *value;
    int n;

    if (!at)
        return err_set(err, ERR_NOMEM, "curve");
    value = at + epochs->n;
    n = epochs_curve(at, value, epochs, member);
    if (n > 0 && *m == 0) {
        *x = at;
        *y = value;
        s->n = n;
    } else {
        if (n > 0)
            add_points(s, *x, *y, at, value, n);
        free(at);
    }
    *m += n > 0;
    return 0;
}

/* S->x is to be freed. */
static int take_line(struct plot_series *s, const char *name, const struct epochs *e,
                     const char *member, struct err *err)
{
    double *x = NULL, *y = NULL;
    size_t m = 0;
    int rc = 0;

    *s = (struct plot_series){.name = name, .points = true};
    for (size_t k = 0; k < e->n && rc == 0; k++)
        rc = add_curve(s, &x, &y, &m, &e->all[k], member, err);
    for (int i = 0; i < s->n && rc == 0; i++)
        y[i] /= (double)m;
    s->x = x;
    s->y = y;
    return rc;
}

static int put_drawing(FILE *out, const struct plot_options *o, const char *member,
                       const struct chart_line *lines, const struct epochs *epochs, size_t n,
                       struct err *err)
{
    struct plot_series series[CHARTS_LINES] = {{0}};
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = take_line(&series[i], lines[i].name, &epochs[i], member, err);
    if (rc == 0) {
        fputs("<figure class=\"chart\">\n", out);
        rc = plot_lines_svg(out, o, series, (int)n, err);
        fputs("</figure>\n", out);
    }
    for (size_t i = 0; i < n; i++)
        free((double *)(uintptr_t)series[i].x);
    return rc;
}

/* What the line of some runs is not: their mean to the end. */
static void put_note(FILE *out, const char *name, const struct epochs *e)
{
    size_t with = 0, fewest = 0, most = 0;

    for (size_t k = 0; k < e->n; k++) {
        const size_t n = e->all[k].n;

        if (n == 0)
            continue;
        fewest = with++ == 0 || n < fewest ? n : fewest;
        most = n > most ? n : most;
    }
    if (with == e->n && fewest == most)
        return;
    fputs("<p class=\"note\">", out);
    element_name(out, name);
    if (with == 0)
        fprintf(out, ": no curve, as %s no epochs", e->n == 1 ? "the run has" : "its runs have");
    else if (with < e->n)
        fprintf(out, ": the mean of %zu of %zu runs, as the other%s no epochs", with, e->n,
                e->n - with == 1 ? " has" : "s have");
    if (fewest < most)
        fprintf(out,
                "%s the mean ends with the shortest run, after %zu epoch%s; the longest has %zu",
                with < e->n ? ";" : ":", fewest, PLURAL(fewest), most);
    fputs(".</p>\n", out);
}

static int put_drawings(FILE *out, const struct chart_line *lines, const struct epochs *epochs,
                        size_t n, struct err *err)
{
    static const struct {
        const char *title, *label, *member;
    } drawings[] = {{"Validation loss", "cross-entropy, nat", "valid_loss"},
                    {"Error rate", "share of pictures", "error_rate"},
                    {"Training loss", "cross-entropy, nat", "train_loss"},
                    {"Learning rate", "rate", "lr"}};
    int rc = 0;

    fputs("<div class=\"charts\">\n", out);
    for (size_t i = 0; i < sizeof drawings / sizeof *drawings && rc == 0; i++) {
        const struct plot_options o = {.title = drawings[i].title,
                                       .x_label = "epochs trained",
                                       .whole_x = true,
                                       .y_label = drawings[i].label,
                                       .calm = true,
                                       .width = 480,
                                       .height = 320};

        rc = put_drawing(out, &o, drawings[i].member, lines, epochs, n, err);
    }
    fputs("</div>\n", out);
    return rc;
}

int charts_put(FILE *out, const struct chart_line *lines, size_t n, struct err *err)
{
    struct epochs epochs[CHARTS_LINES] = {{0}};
    int rc = 0;

    BUG_IF(n > CHARTS_LINES);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = read_epochs(&epochs[i], &lines[i], err);
    if (rc == 0)
        rc = put_drawings(out, lines, epochs, n, err);
    for (size_t i = 0; i < n && rc == 0; i++)
        put_note(out, lines[i].name, &epochs[i]);
    free_epochs(epochs, n);
    return rc;
}
