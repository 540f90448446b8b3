/* study_page.c - see study_page.h. SPDX-License-Identifier: MIT */
#include "study_page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/markup.h"
#include "base/text.h"
#include "charts.h"
#include "draw/element.h"
#include "draw/page.h"
#include "groups_private.h"

struct study_page {
    struct view v;
    struct study s;
    bool served;
};

/* --- heading and summary -------------------------------------------------------------------------- */

static int put_title(FILE *out, void *of, struct err *err)
{
    const struct study_page *p = of;

    (void)err;
    fputs("Study ", out);
    markup_text(out, path_base(p->s.folder));
    return 0;
}

static int put_heading(FILE *out, void *of, struct err *err)
{
    const struct study_page *p = of;

    fputs("<h1>", out);
    (void)put_title(out, of, err);
    fputs("</h1>\n", out);
    if (p->s.record.title && p->s.record.title[0]) {
        fputs("<p class=\"note\">", out);
        markup_text(out, p->s.record.title);
        fputs("</p>\n", out);
    }
    return 0;
}

static void put_label(FILE *out, const struct recipe_groups *g, size_t i)
{
    fputs("<b>", out);
    element_name(out, g->all[i].label);
    fputs("</b>", out);
}

/* How many recipes have each verdict. */
static void put_verdicts(FILE *out, const struct recipe_groups *g)
{
    static const char *const words[][2] = {
        [SEEDS_UNTESTED] = {"is not tested", "are not tested"},
        [SEEDS_FEW] = {"has too few seeds to decide", "have too few seeds to decide"},
        [SEEDS_SAME] = {"is not distinguishable", "are not distinguishable"},
        [SEEDS_BETTER] = {"is better", "are better"},
        [SEEDS_WORSE] = {"is worse", "are worse"}};
    size_t n[SEEDS_WORSE + 1] = {0};
    const char *before = ": ";

    if (g->n < 2)
        return;
    for (size_t i = 1; i < g->n; i++)
        n[g->contrasts[i].verdict]++;
    fprintf(out, "<p class=\"lead\">%zu recipe%s compared with ", g->n - 1, PLURAL(g->n - 1));
    put_label(out, g, 0);
    for (int k = SEEDS_WORSE; k >= 0; k--) {
        if (n[k] == 0)
            continue;
        fprintf(out, "%s%zu %s", before, n[k], words[k][n[k] > 1]);
        before = ", ";
    }
    fputs(".</p>\n", out);
}

static int put_summary(FILE *out, void *of, struct err *err)
{
    const struct study_page *p = of;
    const char *name;
    json_t *counts;

    (void)err;
    json_object_foreach(p->v.studies, name, counts)
    {
        fputs("<p class=\"lead\">", out);
        groups_put_counts(out, counts);
        fputs(".</p>\n", out);
    }
    put_verdicts(out, &p->v.groups);
    fputs("<p class=\"note\">Runs that differ in nothing but seed, split seed and fold are one "
          "recipe. Error rates are of each run's validation pictures. The tests count seeds, "
          "not pictures.</p>\n",
          out);
    return 0;
}

/* --- recipes -------------------------------------------------------------------------------------- */

/* The end of the drawings' scale. */
static double most_of(const struct recipe_groups *g)
{
    double most = 0;

    for (size_t i = 0; i < g->n; i++) {
        if (g->all[i].low <= g->all[i].high)
            most = fmax(most, g->all[i].high);
        for (int k = 0; k < g->all[i].n; k++)
            most = fmax(most, (double)g->all[i].units[k].errors / g->all[i].units[k].n);
    }
    return fmin(most, 1);
}

static int put_recipe(FILE *out, const struct recipe_group *g, double most, bool leaks,
                      struct err *err)
{
    const bool interval = g->n > 1 && g->deviation > 0;
    double *each = calloc((size_t)g->n + 1, sizeof *each);

    if (!each)
        return err_set(err, ERR_NOMEM, "recipe");
    for (int k = 0; k < g->n; k++)
        each[k] = (double)g->units[k].errors / g->units[k].n;
    fputs("<tr><th scope=\"row\">", out);
    element_name(out, g->label);
    fputs("</th>", out);
    element_td_number(out, g->mean, 4);
    if (g->n > 1)
        element_td_number(out, g->deviation, 4);
    else
        fputs("<td></td>", out);
    if (interval)
        fprintf(out, "<td class=\"n\">%.4f to %.4f</td>", g->low, g->high);
    else
        fputs("<td></td>", out);
    element_td_range(out, g->mean, interval ? g->low : 1, interval ? g->high : 0, most, each, g->n);
    element_td_number(out, g->n, 0);
    element_td_number(out, (double)json_array_size(g->runs), 0);
    element_td_number(out, g->units[0].n, 0);
    if (leaks && g->leaks)
        element_td_number(out, g->clean_mean, 4);
    else if (leaks)
        fputs("<td></td>", out);
    fputs("</tr>\n", out);
    free(each);
    return 0;
}

static int put_figures(FILE *out, void *of, struct err *err)
{
    const struct recipe_groups *g = &((const struct study_page *)of)->v.groups;
    const double most = most_of(g);
    bool leaks = false;
    char scale[64];
    int rc = 0;

    if (g->n == 0) {
        fputs("<p>No run is done yet.</p>\n", out);
        return 0;
    }
    for (size_t i = 0; i < g->n; i++)
        leaks |= g->all[i].leaks;
    snprintf(scale, sizeof scale, "from 0 to %.2f", most);
    fputs("<div class=\"wide\"><table class=\"sort\">\n<thead><tr>", out);
    element_th(out, "recipe", 0);
    element_th(out, "error rate", 1);
    element_th(out, "deviation", 1);
    element_th(out, "95 % interval", 1);
    element_th(out, scale, 0);
    element_th(out, "seeds", 1);
    element_th(out, "runs", 1);
    element_th(out, "pictures", 1);
    if (leaks)
        element_th(out, "without leaks", 1);
    fputs("</tr></thead>\n<tbody>\n", out);
    for (size_t i = 0; i < g->n && rc == 0; i++)
        if (g->all[i].n > 0)
            rc = put_recipe(out, &g->all[i], most, leaks, err);
    fputs("</tbody></table></div>\n<p class=\"note\">Dot: mean over seeds. Line: its 95 % interval "
          "(Student's t). Rings: the seeds.</p>\n",
          out);
    return rc;
}

/* --- tests ---------------------------------------------------------------------------------------- */

static int put_tests(FILE *out, void *of, struct err *err)
{
    static const char *const colours[] = {[SEEDS_UNTESTED] = "",
                                          [SEEDS_FEW] = "",
                                          [SEEDS_SAME] = "",
                                          [SEEDS_BETTER] = "good",
                                          [SEEDS_WORSE] = "bad"};
    const struct recipe_groups *g = &((const struct study_page *)of)->v.groups;

    (void)err;
    if (g->n < 2)
        return 0;
    fputs("<section id=\"tests\">\n<h2>Tests against ", out);
    element_name(out, g->all[0].label);
    fputs("</h2>\n", out);
    for (size_t i = 1; i < g->n; i++) {
        const struct contrast *c = &g->contrasts[i];

        fputs("<p>", out);
        put_label(out, g, i);
        fprintf(out, ": <span class=\"%s\">%s</span>", colours[c->verdict], contrast_word(c));
        if (c->verdict == SEEDS_UNTESTED) {
            fputs(": ", out);
            markup_text(out, c->why_not);
            fputs(".</p>\n", out);
            continue;
        }
        fputs("</p>\n<ul class=\"remarks\">\n<li>", out);
        groups_put_contrast(out, g, i, "</li>\n<li>");
        fputs("</li>\n</ul>\n", out);
    }
    fputs("</section>\n", out);
    return 0;
}

/* --- curves --------------------------------------------------------------------------------------- */

static void free_lines(struct chart_line *lines, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < lines[i].n; k++)
            free(lines[i].folders[k]);
        free(lines[i].folders);
    }
}

/* The folders of the runs of G, in the study. */
static int take_folders(struct chart_line *line, const struct study *s,
                        const struct recipe_group *g, struct err *err)
{
    const size_t n = json_array_size(g->runs);

    *line = (struct chart_line){g->label, calloc(n + 1, sizeof *line->folders), 0};
    for (size_t k = 0; k < n && line->folders; k++) {
        if (asprintf(&line->folders[k], "%s/%s", s->folder,
                     json_string_value(json_array_get(g->runs, k))) < 0)
            return err_set(err, ERR_NOMEM, "curves");
        line->n++;
    }
    return line->folders ? 0 : err_set(err, ERR_NOMEM, "curves");
}

static int put_curves(FILE *out, void *of, struct err *err)
{
    const struct study_page *p = of;
    const struct recipe_groups *g = &p->v.groups;
    struct chart_line lines[CHARTS_LINES] = {{0}};
    size_t n = 0;
    int rc = 0;

    if (g->n == 0)
        return 0;
    fputs("<section id=\"curves\">\n<h2>Curves</h2>\n<p class=\"note\">Means over the runs of a "
          "recipe, as far as all of them have epochs",
          out);
    if (g->n > CHARTS_LINES)
        fprintf(out, ", of the first %d recipes", CHARTS_LINES);
    fputs(".</p>\n", out);
    while (n < CHARTS_LINES && n < g->n && rc == 0) {
        rc = take_folders(&lines[n], &p->s, &g->all[n], err);
        n++;
    }
    if (rc == 0)
        rc = charts_put(out, lines, n, err);
    free_lines(lines, n);
    fputs("</section>\n", out);
    return rc;
}

/* --- seeds ---------------------------------------------------------------------------------------- */

static int by_seed(const void *a, const void *b)
{
    const struct unit *x = *(const struct unit *const *)a, *y = *(const struct unit *const *)b;

    if (x->seed != y->seed)
        return x->seed < y->seed ? -1 : 1;
    return (x->split_seed > y->split_seed) - (x->split_seed < y->split_seed);
}

static const struct unit *unit_of(const struct recipe_group *g, const struct unit *like)
{
    for (int k = 0; k < g->n; k++)
        if (g->units[k].seed == like->seed && g->units[k].split_seed == like->split_seed)
            return &g->units[k];
    return NULL;
}

static void put_seed(FILE *out, const struct recipe_groups *g, const struct unit *u)
{
    fprintf(out, "<tr><td class=\"n\">%lld</td><td class=\"n\">%lld</td>", (long long)u->seed,
            (long long)u->split_seed);
    for (size_t i = 0; i < g->n; i++) {
        const struct unit *own = unit_of(&g->all[i], u);

        if (own)
            element_td_number(out, (double)own->errors / own->n, 4);
        else
            fputs("<td></td>", out);
    }
    fputs("</tr>\n", out);
}

/* The pairs that the tests count: a row for each seed and split. */
static int put_seeds(FILE *out, void *of, struct err *err)
{
    const struct recipe_groups *g = &((const struct study_page *)of)->v.groups;
    const struct unit **all;
    size_t n = 0;

    for (size_t i = 0; i < g->n; i++)
        n += (size_t)g->all[i].n;
    if (n == 0)
        return 0;
    all = calloc(n, sizeof *all);
    if (!all)
        return err_set(err, ERR_NOMEM, "seeds");
    n = 0;
    for (size_t i = 0; i < g->n; i++)
        for (int k = 0; k < g->all[i].n; k++)
            all[n++] = &g->all[i].units[k];
    qsort(all, n, sizeof *all, by_seed);
    fputs("<section id=\"seeds\">\n<h2>Error rate by seed</h2>\n<div class=\"wide\"><table "
          "class=\"sort\">\n<thead><tr>",
          out);
    element_th(out, "seed", 1);
    element_th(out, "split seed", 1);
    for (size_t i = 0; i < g->n; i++)
        element_th(out, g->all[i].label, 1);
    fputs("</tr></thead>\n<tbody>\n", out);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || by_seed(&all[i - 1], &all[i]) != 0)
            put_seed(out, g, all[i]);
    fputs("</tbody></table></div>\n</section>\n", out);
    free(all);
    return 0;
}

/* --- runs ----------------------------------------------------------------------------------------- */

/* The address of a run's own page: the server's, or the file beside this one. */
static void put_link(FILE *out, const struct study_page *p, const char *run)
{
    if (p->served) {
        fputs("/run?run=", out);
        markup_address(out, path_base(p->s.folder));
        fputs("%2F", out);
        markup_address(out, run);
        return;
    }
    markup_address(out, run);
    fputs("/report.html", out);
}

static bool has_page(const struct study_page *p, const struct study_row *row)
{
    char path[PATH_LEN];

    if (p->served)
        return strcmp(row->status, "due") != 0 && strcmp(row->status, "unreadable") != 0;
    return path_format(path, NULL, "%s/%s/report.html", p->s.folder, row->run) == 0 &&
           path_is_file(path);
}

static void put_run(FILE *out, const struct study_page *p, size_t i)
{
    struct study_row row;
    char fault[512];
    bool page;

    groups_read_run(&row, &p->s, i, fault);
    page = has_page(p, &row);
    fprintf(out, "<tr data-status=\"%s\">", row.status);
    element_td_number(out, (double)row.number, 0);
    fputs("<th scope=\"row\">", out);
    if (page) {
        fputs("<a href=\"", out);
        put_link(out, p, row.run);
        fputs("\">", out);
    }
    element_name(out, row.run);
    fputs(page ? "</a>" : "", out);
    if (row.error) {
        fputs("<br><span class=\"note bad\">", out);
        element_name(out, row.error);
        fputs("</span>", out);
    }
    fputs("</th><td>", out);
    element_badge(out, row.status);
    fputs("</td>", out);
    if (isnan(row.error_rate))
        fputs("<td></td>", out);
    else
        element_td_number(out, row.error_rate, 4);
    fputs("</tr>\n", out);
}

static int put_runs(FILE *out, void *of, struct err *err)
{
    const struct study_page *p = of;

    (void)err;
    fputs("<div class=\"wide\"><table class=\"sort\">\n<thead><tr>", out);
    element_th(out, "number", 1);
    element_th(out, "run", 0);
    element_th(out, "status", 0);
    element_th(out, "error rate", 1);
    fputs("</tr></thead>\n<tbody>\n", out);
    for (size_t i = 0; i < p->s.n; i++)
        put_run(out, p, i);
    fputs("</tbody></table></div>\n", out);
    if (p->served && p->v.groups.n > 0) {
        fputs("<p class=\"note\"><a href=\"/issues?study=", out);
        markup_address(out, path_base(p->s.folder));
        fputs("\">Labels that are likely wrong, by these runs</a>: with folds, no picture is "
              "judged by "
              "a network that was trained on it.</p>\n",
              out);
    }
    return 0;
}

/* Runs that are done, and do not count. */
static int put_left(FILE *out, void *of, struct err *err)
{
    const json_t *rows = ((const struct study_page *)of)->v.trials.left_out, *row;
    size_t i;

    (void)err;
    if (json_array_size(rows) == 0)
        return 0;
    fputs("<section id=\"left\">\n<h2>Left out of the figures</h2>\n<ul class=\"remarks\">\n", out);
    json_array_foreach(rows, i, row)
    {
        fputs("<li>", out);
        element_name(out, json_string_value(json_array_get(row, 0)));
        fputs(": ", out);
        markup_text(out, json_string_value(json_array_get(row, 1)));
        fputs("</li>\n", out);
    }
    fputs("</ul>\n</section>\n", out);
    return 0;
}

/* --- the page ------------------------------------------------------------------------------------- */

static int print_page(const struct request *r, struct study_page *p, const char *path,
                      struct err *err)
{
    static const struct page_part parts[] = {
        {"title", put_title},     {"heading", put_heading}, {"summary", put_summary},
        {"figures", put_figures}, {"tests", put_tests},     {"curves", put_curves},
        {"seeds", put_seeds},     {"runs", put_runs},       {"left", put_left}};
    json_t *data = json_object();
    int rc = data ? page_write(path, r->served, "study", parts, sizeof parts / sizeof *parts, p,
                               data, err)
                  : err_set(err, ERR_NOMEM, "page");

    json_decref(data);
    return rc;
}

int study_page_write(FILE *out, const struct request *r, const char *folder, struct err *err)
{
    struct study_page p = {.served = r->served != NULL};
    char path[PATH_LEN];
    int rc;

    if (study_read(&p.s, folder, err) < 0)
        return -1;
    rc = view_begin(&p.v, err);
    if (rc == 0)
        rc = view_add_study(&p.v, r, folder, err);
    if (rc == 0)
        rc = view_make(&p.v, err);
    if (rc == 0)
        rc = path_format(path, err, "%s/report.html", folder) < 0 ? -1
                                                                  : print_page(r, &p, path, err);
    if (rc == 0 && !r->served) {
        tabular_text(out, path);
        fputc('\n', out);
    }
    view_free(&p.v);
    study_free(&p.s);
    return rc;
}
