/* charts.c - see charts.h. SPDX-License-Identifier: MIT */
#include "charts.h"

#include <stdlib.h>

#include "record/epoch.h"
#include "record/plot.h"

/* Adds a run's curve to S, which has M curves; S->n becomes the fewest points. X and Y are S's, to be written. */
static int add_curve(struct plot_series *s, double **x, double **y, size_t m, const char *folder,
                     const char *member, struct err *err)
{
    struct field_lines epochs;
    double *at, *value;
    int n, rc = epochs_read(&epochs, folder, err);

    if (rc < 0)
        return -1;
    at = calloc(2 * epochs.n + 1, sizeof *at);
    if (!at) {
        fields_free_lines(&epochs);
        return err_set(err, ERR_NOMEM, "curve");
    }
    value = at + epochs.n;
    n = epochs_curve(at, value, &epochs, member);
    if (m == 0) {
        *x = at;
        *y = value;
        s->n = n;
    } else {
        s->n = n < s->n ? n : s->n;
        for (int i = 0; i < s->n; i++)
            (*y)[i] += value[i];
        free(at);
    }
    fields_free_lines(&epochs);
    return rc;
}

/* S->x is to be freed. */
static int take_line(struct plot_series *s, const struct chart_line *line, const char *member,
                     struct err *err)
{
    double *x = NULL, *y = NULL;
    int rc = 0;

    *s = (struct plot_series){.name = line->name, .points = true};
    for (size_t m = 0; m < line->n && rc == 0; m++)
        rc = add_curve(s, &x, &y, m, line->folders[m], member, err);
    for (int i = 0; i < s->n && rc == 0; i++)
        y[i] /= (double)line->n;
    s->x = x;
    s->y = y;
    return rc;
}

static int put_drawing(FILE *out, const struct plot_options *o, const char *member,
                       const struct chart_line *lines, size_t n, struct err *err)
{
    struct plot_series series[CHARTS_LINES] = {{0}};
    int rc = 0;

    BUG_IF(n > CHARTS_LINES);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = take_line(&series[i], &lines[i], member, err);
    if (rc == 0) {
        fputs("<figure class=\"chart\">\n", out);
        rc = plot_lines_svg(out, o, series, (int)n, err);
        fputs("</figure>\n", out);
    }
    for (size_t i = 0; i < n; i++)
        free((double *)(uintptr_t)series[i].x);
    return rc;
}

int charts_put(FILE *out, const struct chart_line *lines, size_t n, struct err *err)
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
                                       .y_label = drawings[i].label,
                                       .calm = true,
                                       .width = 480,
                                       .height = 320};

        rc = put_drawing(out, &o, drawings[i].member, lines, n, err);
    }
    fputs("</div>\n", out);
    return rc;
}
