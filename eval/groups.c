/* groups.c - recipes printed: a table of figures, a sentence for each test.
 * SPDX-License-Identifier: MIT */
#include "groups_private.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "arrange.h"
#include "overview.h"

struct recipe_row {
    const char *recipe;
    int64_t seeds;
    double error_rate, deviation, low95, high95;
    int64_t runs, pictures;
    double without_leaks;
};
static const struct field recipe_fields[] = {
    CELL_TEXT(recipe_row, recipe),        CELL_INT(recipe_row, seeds),
    CELL_REAL(recipe_row, error_rate),    CELL_REAL(recipe_row, deviation),
    CELL_REAL(recipe_row, low95),         CELL_REAL(recipe_row, high95),
    CELL_INT(recipe_row, runs),           CELL_INT(recipe_row, pictures),
    CELL_REAL(recipe_row, without_leaks), FIELD_END,
};

struct contrast_row {
    const char *recipe, *against;
    int64_t seeds;
    double difference, low95, high95, p, p_holm;
    const char *verdict;
    int64_t seeds_needed;
    double detectable;
    const char *reason;
};
static const struct field contrast_fields[] = {
    CELL_TEXT(contrast_row, recipe),
    CELL_TEXT(contrast_row, against),
    CELL_INT(contrast_row, seeds),
    CELL_REAL(contrast_row, difference),
    CELL_REAL(contrast_row, low95),
    CELL_REAL(contrast_row, high95),
    CELL_REAL(contrast_row, p),
    CELL_REAL(contrast_row, p_holm),
    CELL_TEXT(contrast_row, verdict),
    CELL_INT(contrast_row, seeds_needed),
    CELL_REAL(contrast_row, detectable),
    CELL_TEXT(contrast_row, reason),
    FIELD_END,
};

/* --- what is meant -------------------------------------------------------------------------------- */

static bool has_runs(const char *folder)
{
    struct run_entry *runs;
    size_t n;

    if (run_list(&runs, &n, folder, NULL) < 0)
        return false;
    run_list_free(runs, n);
    return n > 0;
}

bool groups_find(char folder[PATH_LEN], const struct request *r, const char *word)
{
    char path[PATH_LEN];

    if (study_find(folder, r->results, word))
        return true;
    for (int as_path = word[0] == '/'; as_path < 2; as_path++) {
        if ((as_path ? path_format(folder, NULL, "%s", word)
                     : path_format(folder, NULL, "%s/%s", r->results, word)) < 0 ||
            path_format(path, NULL, "%s/run.json", folder) < 0)
            continue;
        if (path_exists(path)) /* a run, whatever lies in it */
            return false;
        if (path_is_dir(folder) && has_runs(folder))
            return true;
    }
    return false;
}

/* How often each recipe of S is trained. Its runs are listed repeat by repeat; taken recipe by recipe, the first recipe
 * is the one that the others are compared with, whichever of its runs are done. */
static size_t repeats_of(const struct study *s)
{
    const size_t recipes = json_array_size(s->record.recipes);

    return recipes > 0 && s->n > recipes && s->n % recipes == 0 ? s->n / recipes : 1;
}

int view_add_study(struct view *v, const struct request *r, const char *folder, struct err *err)
{
    struct study s;
    json_t *counts;
    size_t repeats;
    int rc = 0;

    if (study_read(&s, folder, err) < 0)
        return -1;
    counts = study_counts(&s);
    repeats = repeats_of(&s);
    for (size_t k = 0; k < s.n && rc == 0; k++) {
        const size_t i = k % repeats * (s.n / repeats) + k / repeats;
        const char *status = study_status(&s, i, NULL);
        char path[PATH_LEN];

        if (strcmp(status, "done") == 0 || strcmp(status, "unreadable") == 0)
            rc = path_format(path, err, "%s/%s", folder, study_run_name(&s, i)) < 0
                     ? -1
                     : trials_open(&v->trials, r, path, err);
    }
    json_object_set_new(v->studies, /* of two of one name the second by its path */
                        json_object_get(v->studies, path_base(folder)) ? folder : path_base(folder),
                        counts);
    study_free(&s);
    return rc;
}

static int add_folder(struct view *v, const struct request *r, const char *folder, struct err *err)
{
    struct run_entry *runs;
    size_t n;
    int rc;

    if (run_list(&runs, &n, folder, err) < 0)
        return -1;
    rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = runs[i].facts.lr_find.steps != FIELD_NO_INT
                 ? 0
                 : trials_open(&v->trials, r, runs[i].folder, err);
    run_list_free(runs, n);
    return rc;
}

static int add_word(struct view *v, const struct request *r, const char *word, struct err *err)
{
    char folder[PATH_LEN];

    if (study_find(folder, r->results, word))
        return view_add_study(v, r, folder, err);
    if (groups_find(folder, r, word))
        return add_folder(v, r, folder, err);
    if (run_find(folder, r->results, word, err) < 0)
        return -1;
    return trials_open(&v->trials, r, folder, err);
}

/* --- rows ----------------------------------------------------------------------------------------- */

static double finite_or_missing(double x, bool is)
{
    return is && isfinite(x) ? x : NAN;
}

static struct recipe_row recipe_row(const struct recipe_group *g)
{
    const bool has = g->n > 1 && g->deviation > 0;

    return (struct recipe_row){
        .recipe = g->label,
        .seeds = g->n,
        .error_rate = finite_or_missing(g->mean, g->n > 0),
        .deviation = finite_or_missing(g->deviation, g->n > 1),
        .low95 = finite_or_missing(g->low, has),
        .high95 = finite_or_missing(g->high, has),
        .runs = (int64_t)json_array_size(g->runs),
        .pictures = g->n > 0 ? (int64_t)g->units[0].n : FIELD_NO_INT,
        .without_leaks = finite_or_missing(g->clean_mean, g->n > 0 && g->leaks),
    };
}

static struct contrast_row contrast_row(const struct recipe_groups *g, size_t i)
{
    const struct contrast *c = &g->contrasts[i];
    const bool tested = c->verdict != SEEDS_UNTESTED, has = tested && c->low < c->high;

    return (struct contrast_row){
        .recipe = g->all[i].label,
        .against = g->all[0].label,
        .seeds = c->n,
        .difference = finite_or_missing(c->difference, tested),
        .low95 = finite_or_missing(c->low, has),
        .high95 = finite_or_missing(c->high, has),
        .p = finite_or_missing(c->p, tested),
        .p_holm = finite_or_missing(c->adjusted, tested),
        .verdict = contrast_word(c),
        .seeds_needed = tested ? c->needed : FIELD_NO_INT,
        .detectable = finite_or_missing(c->missed, tested),
        .reason = tested ? NULL : c->why_not,
    };
}

int view_begin(struct view *v, struct err *err)
{
    *v = (struct view){.studies = json_object(), .figures = json_array(), .tests = json_array()};
    if (trials_begin(&v->trials, err) < 0)
        return -1;
    return v->studies && v->figures && v->tests ? 0 : err_set(err, ERR_NOMEM, "recipes");
}

void view_free(struct view *v)
{
    json_decref(v->studies);
    json_decref(v->figures);
    json_decref(v->tests);
    recipe_groups_free(&v->groups);
    trials_free(&v->trials);
}

int view_make(struct view *v, struct err *err)
{
    if (recipe_groups_make(&v->groups, &v->trials, err) < 0)
        return -1;
    for (size_t i = 0; i < v->groups.n; i++) {
        const struct recipe_row row = recipe_row(&v->groups.all[i]);

        if (tabular_add_record(v->figures, recipe_fields, &row, err) < 0)
            return -1;
        if (i > 0) {
            const struct contrast_row test = contrast_row(&v->groups, i);

            if (tabular_add_record(v->tests, contrast_fields, &test, err) < 0)
                return -1;
        }
    }
    return 0;
}

/* --- output --------------------------------------------------------------------------------------- */

void groups_put_counts(FILE *out, const json_t *counts)
{
    json_int_t all = 0;
    const char *status;
    json_t *n;

    json_object_foreach((json_t *)(uintptr_t)counts, status, n)
    {
        all += json_integer_value(n);
    }
    fprintf(out, "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " runs done",
            json_integer_value(json_object_get(counts, "done")), all);
    json_object_foreach((json_t *)(uintptr_t)counts, status, n)
    {
        if (strcmp(status, "done") != 0)
            fprintf(out, ", %" JSON_INTEGER_FORMAT " %s", json_integer_value(n), status);
    }
}

static void print_counts(FILE *out, const char *name, const json_t *counts)
{
    tabular_text(out, name);
    fputs(": ", out);
    groups_put_counts(out, counts);
    fputc('\n', out);
}

static void print_left_out(const struct view *v)
{
    enum { SHOWN = 10 };
    const json_t *row;
    size_t i;

    json_array_foreach(v->trials.left_out, i, row)
    {
        if (i == SHOWN)
            log_warn("and %zu more runs are left out (--json names all)",
                     json_array_size(v->trials.left_out) - SHOWN);
        if (i >= SHOWN)
            break;
        log_warn("%s is left out: %s", json_string_value(json_array_get(row, 0)),
                 json_string_value(json_array_get(row, 1)));
    }
}

void groups_put_contrast(FILE *out, const struct recipe_groups *g, size_t i, const char *next)
{
    const struct contrast *c = &g->contrasts[i];

    fprintf(out, "error rate %+.4f", c->difference);
    if (c->low < c->high) /* one of no width says nothing */
        fprintf(out, " (95 %% interval %+.4f to %+.4f, for new seeds%s)", c->low, c->high,
                c->new_pictures ? " and new pictures" : "");
    fprintf(out, " over %d seed%s x %u pictures%ssign flips over seeds p %.4g", c->n, PLURAL(c->n),
            c->pictures, next, c->p);
    if (g->n_tests > 1)
        fprintf(out, "; %.4g for %zu tests at once (Holm), which decides", c->adjusted, g->n_tests);
    if (c->verdict == SEEDS_FEW && c->needed > 0)
        fprintf(out,
                "%s%d seed%s cannot decide: p cannot fall below %.4g%sno test over seeds can tell "
                "these apart; at least %d seeds of each are needed",
                next, c->n, PLURAL(c->n), ldexp(1, 1 - c->n), next, c->needed);
    else if (c->verdict == SEEDS_SAME && isfinite(c->missed))
        fprintf(out, "%sa difference below %.4f is missed in more than 1 of 5 such studies", next,
                c->missed);
}

static void print_contrast(FILE *out, const struct recipe_groups *g, size_t i)
{
    const struct contrast *c = &g->contrasts[i];

    tabular_text(out, g->all[i].label);
    fputs(" against ", out);
    tabular_text(out, g->all[0].label);
    fprintf(out, ": %s", contrast_word(c));
    if (c->verdict == SEEDS_UNTESTED) {
        fprintf(out, ": %s\n", c->why_not);
        return;
    }
    fputs("\n  ", out);
    groups_put_contrast(out, g, i, "\n  ");
    fputc('\n', out);
}

static void print_text(FILE *out, const struct view *v)
{
    const char *name;
    json_t *counts;

    json_object_foreach(v->studies, name, counts)
    {
        print_counts(out, name, counts);
    }
    if (json_object_size(v->studies) > 0)
        fputc('\n', out);
    tabular_print_records(out, FORM_TEXT, recipe_fields, v->figures);
    if (v->groups.n > 1)
        fputc('\n', out);
    for (size_t i = 1; i < v->groups.n; i++)
        print_contrast(out, &v->groups, i);
}

static int print_json(FILE *out, const struct view *v, struct err *err)
{
    static const struct column left_out[] = {{"run", -1}, {"reason", -1}};
    json_t *figures = tabular_record_objects(recipe_fields, v->figures), *all;
    int rc;

    for (size_t i = 0; i < v->groups.n; i++) {
        json_t *figure = json_array_get(figures, i);

        json_object_set(figure, "keys", v->groups.all[i].recipe);
        json_object_set(figure, "runs", v->groups.all[i].runs);
    }
    all = json_pack("{s:O, s:o, s:o, s:o}", "studies", v->studies, "groups", figures, "tests",
                    tabular_record_objects(contrast_fields, v->tests), "left_out",
                    tabular_objects(left_out, 2, v->trials.left_out));
    rc = all ? tabular_json(out, all, err) : err_set(err, ERR_NOMEM, "JSON");
    json_decref(all);
    return rc;
}

/* One table: each recipe's figures, then its test against the first. */
static int print_csv(FILE *out, const struct view *v, struct err *err)
{
    static const char *const renamed[] = {
        "low95", "difference_low95", "high95", "difference_high95", "seeds", "seeds_of_both", NULL};

    return tabular_csv_records(out, recipe_fields, v->figures, contrast_fields, v->tests, renamed,
                               err);
}

static int print(FILE *out, const struct request *r, struct view *v, struct err *err)
{
    const char *name;
    json_t *counts;

    print_left_out(v);
    if (r->form == FORM_JSON)
        return print_json(out, v, err);
    if (v->groups.n == 0 && json_object_size(v->studies) == 0)
        return err_set(err, ERR_INPUT, "no run with predictions");
    if (r->form == FORM_CSV)
        return print_csv(out, v, err);
    if (v->groups.n > 0) {
        print_text(out, v);
        return 0;
    }
    json_object_foreach(v->studies, name, counts)
    {
        print_counts(out, name, counts);
    }
    return 0;
}

int groups_print(FILE *out, const struct request *r, struct err *err)
{
    struct view v;
    int rc = view_begin(&v, err);

    for (int i = 0; i < r->n_words && rc == 0; i++)
        rc = add_word(&v, r, r->words[i], err);
    if (rc == 0)
        rc = view_make(&v, err);
    if (rc == 0)
        rc = print(out, r, &v, err);
    view_free(&v);
    return rc;
}

static const struct field study_row_fields[] = {
    CELL_TEXT(study_row, run),        CELL_INT(study_row, number), CELL_TEXT(study_row, status),
    CELL_REAL(study_row, error_rate), CELL_TEXT(study_row, error), FIELD_END,
};

void groups_read_run(struct study_row *row, const struct study *s, size_t i, char fault[512])
{
    const char *name = study_run_name(s, i);
    struct metrics_record m;
    json_t *metrics = NULL;
    char path[PATH_LEN];

    *row = (struct study_row){.run = name, .number = (int64_t)i + 1};
    row->status = study_status(s, i, fault);
    if (strcmp(row->status, "done") == 0 &&
        path_format(path, NULL, "%s/%s/metrics.json", s->folder, name) == 0 &&
        json_read(&metrics, path, NULL) < 0)
        metrics = NULL;
    fields_read(metrics_fields, 0, &m, metrics, NULL);
    row->error_rate = m.final.metric[MONITOR_ERROR_RATE];
    row->error = fault[0] ? fault : NULL;
    json_decref(metrics);
}

static int list_study(FILE *out, const struct request *r, const char *folder, struct err *err)
{
    json_t *rows, *counts;
    struct study s;
    int rc;

    if (study_read(&s, folder, err) < 0)
        return -1;
    rows = json_array();
    counts = study_counts(&s);
    rc = rows && counts ? 0 : err_set(err, ERR_NOMEM, "study");
    for (size_t i = 0; i < s.n && rc == 0; i++) {
        struct study_row row;
        char fault[512];

        groups_read_run(&row, &s, i, fault);
        rc = tabular_add_record(rows, study_row_fields, &row, err);
    }
    if (rc == 0 && r->how)
        rc = arrange_rows(rows, study_row_fields, r->how, err);
    if (rc == 0) {
        tabular_print_records(out, r->form, study_row_fields, rows);
        if (r->form == FORM_TEXT)
            print_counts(out, path_base(folder), counts);
    }
    json_decref(rows);
    json_decref(counts);
    study_free(&s);
    return rc;
}

static int list_studies(FILE *out, const struct request *r, struct err *err)
{
    struct dirent **entries;
    int n = scandir(r->results, &entries, NULL, alphasort);

    for (int i = 0; i < n; i++) {
        char folder[PATH_LEN];
        struct study s;

        if (study_below(folder, r->results, entries[i]->d_name)) {
            if (study_read(&s, folder, err) < 0) {
                log_warn("%s", err->msg);
            } else {
                json_t *counts = study_counts(&s);

                fputs("study ", out);
                print_counts(out, entries[i]->d_name, counts);
                json_decref(counts);
                study_free(&s);
            }
        }
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return 0;
}

int groups_runs(FILE *out, const struct request *r, struct err *err)
{
    struct request of = *r;
    char folder[PATH_LEN];

    if (!r->run) {
        if (overview_list(out, r, err) < 0)
            return -1;
        return r->form == FORM_TEXT ? list_studies(out, r, err) : 0;
    }
    if (study_find(folder, r->results, r->run))
        return list_study(out, r, folder, err);
    (void)groups_find(folder, r, r->run);
    of.results = folder;
    return overview_list(out, &of, err);
}
