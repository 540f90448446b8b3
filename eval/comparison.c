/* comparison.c - three tables: keys that differ, figures, tests; and a sentence for each test.
 *
 * Where pictures of a run have duplicates in its training part, figures and tests stand there twice, the second time
 * without these pictures. --fail-on-regression goes by the first.
 * SPDX-License-Identifier: MIT */
#include "comparison_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "recipes.h"
#include "run/stats.h"

static void comparison_free(struct comparison *c)
{
    for (size_t i = 0; c->runs && i < c->n; i++)
        look_close(&c->runs[i]);
    free(c->runs);
    free(c->pairs);
    free(c->clean);
    json_decref(c->keys);
    json_decref(c->figures);
    json_decref(c->groups);
    json_decref(c->tests);
    json_decref(c->relabelled.rows);
}

/* A name that several runs have becomes the path: "s1/seed=42", where the folders lie below RESULTS. */
static void name_apart(struct comparison *c, const char *results)
{
    const size_t length = strlen(results);
    bool *again = calloc(c->n, sizeof *again);

    for (size_t i = 0; again && i < c->n; i++)
        for (size_t k = 0; k < c->n; k++)
            again[i] |= k != i && strcmp(c->runs[i].run.name, c->runs[k].run.name) == 0 &&
                        strcmp(c->runs[i].run.folder, c->runs[k].run.folder) != 0;
    for (size_t i = 0; again && i < c->n; i++) {
        const char *folder = c->runs[i].run.folder;
        const bool below = strncmp(folder, results, length) == 0 && folder[length] == '/';

        if (again[i])
            snprintf(c->runs[i].run.name, sizeof c->runs[i].run.name, "%.255s",
                     folder + (below ? length + 1 : 0));
    }
    free(again);
}

static int open_runs(struct comparison *c, const struct request *r, struct err *err)
{
    c->n = 0;
    c->runs = calloc((size_t)r->n_words, sizeof *c->runs);
    c->pairs = calloc((size_t)r->n_words, sizeof *c->pairs);
    c->clean = calloc((size_t)r->n_words, sizeof *c->clean);
    c->keys = json_array();
    c->figures = json_array();
    c->groups = json_array();
    c->tests = json_array();
    if (!c->runs || !c->pairs || !c->clean || !c->keys || !c->figures || !c->groups || !c->tests)
        return err_set(err, ERR_NOMEM, "comparison");
    for (int i = 0; i < r->n_words; i++, c->n++)
        if (look_open(&c->runs[i], r, r->words[i], err) < 0)
            return -1;
    name_apart(c, r->results);
    return relabel_runs(&c->relabelled, c->runs, c->n, r->clean, err);
}

/* --- keys that differ ----------------------------------------------------------------------------- */

bool comparison_differs(const struct comparison *c, const char *key)
{
    for (size_t i = 1; i < c->n; i++) {
        const json_t *a = json_object_get(c->runs[0].params, key);
        const json_t *b = json_object_get(c->runs[i].params, key);

        if ((!a) != (!b) || (a && !json_equal(a, b)))
            return true;
    }
    return false;
}

static int add_key(struct comparison *c, const char *key, struct err *err)
{
    json_t *row = json_pack("[s]", key);

    for (size_t i = 0; row && i < c->n; i++) {
        json_t *value = json_object_get(c->runs[i].params, key);

        json_array_append(row, value ? value : json_null());
    }
    return tabular_add(c->keys, row, err);
}

static int add_facts(struct comparison *c, struct err *err)
{
    for (size_t i = 0; i < c->n; i++)
        if (look_add_facts(c->runs[i].params, &c->runs[i], err) < 0)
            return -1;
    return 0;
}

/* Keys of run I that none before it has, in their order. */
static int find_keys(struct comparison *c, struct err *err)
{
    const char *key;
    json_t *value;

    for (size_t i = 0; i < c->n; i++)
        json_object_foreach(c->runs[i].params, key, value)
        {
            bool before = false;

            for (size_t k = 0; k < i && !before; k++)
                before = json_object_get(c->runs[k].params, key) != NULL;
            if (!before && comparison_differs(c, key) && add_key(c, key, err) < 0)
                return -1;
        }
    return 0;
}

/* --- figures -------------------------------------------------------------------------------------- */

struct figure_row {
    const char *run, *status;
    double error_rate, low95, high95;
    int64_t pictures;
    double valid_loss, best_error_rate;
    const char *of;
    double without_leaks;
};
static const struct field figure_fields[] = {
    CELL_TEXT(figure_row, run),
    CELL_TEXT(figure_row, status),
    CELL_REAL(figure_row, error_rate),
    CELL_REAL(figure_row, low95),
    CELL_REAL(figure_row, high95),
    CELL_INT(figure_row, pictures),
    CELL_REAL(figure_row, valid_loss),
    CELL_REAL(figure_row, best_error_rate),
    CELL_TEXT(figure_row, of),
    CELL_REAL(figure_row, without_leaks),
    FIELD_END,
};

static int find_figures(struct comparison *c, struct err *err)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct look *l = &c->runs[i];
        const struct metrics_record *m = &l->run.figures;
        struct figure_row row;

        fields_clear(figure_fields, &row);
        row.run = l->run.name;
        row.status = l->run.status;
        if (l->p && l->p->n > 0) {
            stats_wilson(&row.low95, &row.high95, l->errors, l->p->n);
            row.error_rate = (double)l->errors / l->p->n;
            row.pictures = l->p->n;
            row.of = l->pictures;
        }
        if (l->p == l->own && !l->relabelled) {
            row.valid_loss = m->final.metric[MONITOR_VALID_LOSS];
            row.best_error_rate = m->best.metric[MONITOR_ERROR_RATE];
        }
        row.without_leaks = l->leaks.error_rate;
        if (tabular_add_record(c->figures, figure_fields, &row, err) < 0)
            return -1;
    }
    return 0;
}

struct group_row {
    const json_t *runs;
    int64_t seeds;
    double mean_error_rate, deviation, low95, high95, without_leaks;
};
static const struct field group_fields[] = {
    CELL_JSON(group_row, runs),
    CELL_INT(group_row, seeds),
    CELL_REAL(group_row, mean_error_rate),
    CELL_REAL(group_row, deviation),
    CELL_REAL(group_row, low95),
    CELL_REAL(group_row, high95),
    CELL_REAL(group_row, without_leaks),
    FIELD_END,
};

/* Runs that differ in what repeats a recipe only, one row for each recipe that is repeated. */
static int find_groups(struct comparison *c, struct err *err)
{
    struct recipe_groups g = {0};
    struct trials t;
    int rc = trials_begin(&t, err);

    for (size_t i = 0; i < c->n && rc == 0; i++)
        if (c->runs[i].p && c->runs[i].p->n > 0)
            rc = trials_add(&t, &c->runs[i], err);
    if (rc == 0)
        rc = recipe_groups_make(&g, &t, err);
    for (size_t i = 0; i < g.n && rc == 0; i++) {
        const struct recipe_group *x = &g.all[i];

        c->n_seeds = x->n > c->n_seeds ? x->n : c->n_seeds;
        if (x->n > 1)
            rc = tabular_add_record(c->groups, group_fields,
                                    &(struct group_row){x->runs, x->n, x->mean, x->deviation,
                                                        x->deviation > 0 ? x->low : NAN,
                                                        x->deviation > 0 ? x->high : NAN,
                                                        x->leaks ? x->clean_mean : NAN},
                                    err);
    }
    c->n_recipes = g.n;
    recipe_groups_free(&g);
    trials_free(&t);
    return rc;
}

/* --- tests ---------------------------------------------------------------------------------------- */

static const char *verdict_text(const struct pairing *p)
{
    return p->identical ? "identical" : pairing_word(p);
}

struct test_row {
    const char *run, *against;
    int64_t pictures, only_first_wrong, only_this_wrong;
    double difference, low95, high95, p, p_holm;
    const char *verdict, *reason;
    int64_t pictures_without_leaks; /* missing, as the next: all of it does not leak */
    double difference_without_leaks, p_without_leaks, p_holm_without_leaks;
    const char *verdict_without_leaks, *reason_without_leaks;
};
static const struct field test_fields[] = {
    CELL_TEXT(test_row, run),
    CELL_TEXT(test_row, against),
    CELL_INT(test_row, pictures),
    CELL_INT(test_row, only_first_wrong),
    CELL_INT(test_row, only_this_wrong),
    CELL_REAL(test_row, difference),
    CELL_REAL(test_row, low95),
    CELL_REAL(test_row, high95),
    CELL_REAL(test_row, p),
    CELL_REAL(test_row, p_holm),
    CELL_TEXT(test_row, verdict),
    CELL_TEXT(test_row, reason),
    CELL_INT(test_row, pictures_without_leaks),
    CELL_REAL(test_row, difference_without_leaks),
    CELL_REAL(test_row, p_without_leaks),
    CELL_REAL(test_row, p_holm_without_leaks),
    CELL_TEXT(test_row, verdict_without_leaks),
    CELL_TEXT(test_row, reason_without_leaks),
    FIELD_END,
};

static struct test_row test_row(const struct comparison *c, size_t i)
{
    const struct pairing *p = &c->pairs[i], *clean = &c->clean[i];
    struct test_row row;

    fields_clear(test_fields, &row);
    row.run = c->runs[i].run.name;
    row.against = c->runs[0].run.name;
    row.verdict = verdict_text(p);
    if (p->tested) {
        row.pictures = p->n;
        row.only_first_wrong = p->first_only;
        row.only_this_wrong = p->second_only;
        row.difference = p->difference;
        row.low95 = p->low;
        row.high95 = p->high;
        row.p = p->p;
        row.p_holm = p->adjusted;
    } else {
        row.reason = p->why_not;
    }
    if (clean->tested || clean->why_not[0])
        row.verdict_without_leaks = verdict_text(clean);
    if (clean->tested) {
        row.pictures_without_leaks = clean->n;
        row.difference_without_leaks = clean->difference;
        row.p_without_leaks = clean->p;
        row.p_holm_without_leaks = clean->adjusted;
    } else if (clean->why_not[0]) {
        row.reason_without_leaks = clean->why_not;
    }
    return row;
}

/* Where runs were scored on other pictures, the reason says on which. */
static void name_pictures(struct pairing *pair, const struct look *a, const struct look *b)
{
    size_t used = strlen(pair->why_not);

    if (!a->p || !b->p || strcmp(a->pictures, b->pictures) == 0)
        return;
    snprintf(
        pair->why_not + used, sizeof pair->why_not - used,
        ": %s against %s; error rates on different pictures tell nothing of which run is better",
        a->pictures, b->pictures);
}

static bool has_leaks(const struct look *l)
{
    return leaks_are(&l->leaks) || l->leaks_unnamed;
}

/* Run I with run 0, without the pictures that have a duplicate in the training part of either. */
static int test_clean(struct comparison *c, size_t i, struct err *err)
{
    const struct look *looks[] = {&c->runs[0], &c->runs[i]};
    struct pairing *pair = &c->clean[i];
    json_t *left_out;
    int rc;

    if (!c->pairs[i].tested || (!has_leaks(looks[0]) && !has_leaks(looks[1])))
        return 0;
    left_out = json_array();
    for (int k = 0; k < 2; k++) {
        const json_t *leaking = looks[k]->leaks.leaking;

        if (has_leaks(looks[k]) && !leaking) { /* by an older program */
            snprintf(
                pair->why_not, sizeof pair->why_not,
                "%.255s does not record which of its pictures have duplicates in training; with "
                "--split valid they are looked up",
                looks[k]->run.name);
            json_decref(left_out);
            return 0;
        }
        if (leaking)
            json_array_extend(left_out, (json_t *)(uintptr_t)leaking);
    }
    rc = pairing_test_without(pair, looks[0]->p, looks[1]->p, left_out, err);
    json_decref(left_out);
    return rc;
}

/* By Holm over those of PAIRS that were tested; how many. */
static int adjust(struct pairing *pairs, size_t n_pairs, double *p)
{
    int n = 0;

    for (size_t i = 1; i < n_pairs; i++)
        if (pairs[i].tested)
            p[n++] = pairs[i].p;
    stats_holm(p, n);
    n = 0;
    for (size_t i = 1; i < n_pairs; i++)
        if (pairs[i].tested)
            pairs[i].adjusted = p[n++];
    return n;
}

static int find_tests(struct comparison *c, struct err *err)
{
    double *p = calloc(c->n, sizeof *p);
    int rc = -1;

    if (!p)
        return err_set(err, ERR_NOMEM, "comparison");
    for (size_t i = 1; i < c->n; i++) {
        struct pairing *pair = &c->pairs[i];
        size_t without = c->runs[0].p ? i : 0;

        if (!c->runs[0].p || !c->runs[i].p)
            snprintf(pair->why_not, sizeof pair->why_not, "%.255s has no predictions (%s)",
                     c->runs[without].run.name, c->runs[without].run.status);
        else if (pairing_test(pair, c->runs[0].p, c->runs[i].p, err) < 0)
            goto out;
        if (!pair->tested)
            name_pictures(pair, &c->runs[0], &c->runs[i]);
        if (test_clean(c, i, err) < 0)
            goto out;
    }
    c->n_tests = (size_t)adjust(c->pairs, c->n, p);
    c->n_clean = (size_t)adjust(c->clean, c->n, p);
    rc = 0;
    for (size_t i = 1; rc == 0 && i < c->n; i++) {
        const struct test_row row = test_row(c, i);

        rc = tabular_add_record(c->tests, test_fields, &row, err);
    }
out:
    free(p);
    return rc;
}

/* --- output --------------------------------------------------------------------------------------- */

static const struct column relabelled_columns[] = {
    {"run", -1}, {"dropped", -1}, {"relabelled", -1}};

static int print_keys(FILE *out, enum form form, const struct comparison *c, struct err *err)
{
    struct column *columns = calloc(c->n + 1, sizeof *columns);

    if (!columns)
        return err_set(err, ERR_NOMEM, "comparison");
    columns[0] = (struct column){"key", -1};
    for (size_t i = 0; i < c->n; i++)
        columns[i + 1] = (struct column){c->runs[i].run.name, -1};
    tabular_print(out, form, columns, c->n + 1, c->keys);
    free(columns);
    return 0;
}

json_t *comparison_json(const struct comparison *c)
{
    json_t *keys = json_object();

    for (size_t k = 0; keys && k < json_array_size(c->keys); k++) {
        const json_t *row = json_array_get(c->keys, k);
        json_t *values = json_object();

        for (size_t i = 0; i < c->n; i++)
            json_object_set(values, c->runs[i].run.name, json_array_get(row, i + 1));
        json_object_set_new(keys, json_string_value(json_array_get(row, 0)), values);
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "keys", keys, "runs",
                     tabular_record_objects(figure_fields, c->figures), "groups",
                     tabular_record_objects(group_fields, c->groups), "tests",
                     tabular_record_objects(test_fields, c->tests), "relabelled",
                     tabular_objects(relabelled_columns, 3, c->relabelled.rows));
}

static int print_json(FILE *out, const struct comparison *c, struct err *err)
{
    json_t *all = comparison_json(c);
    int rc = all ? tabular_json(out, all, err) : err_set(err, ERR_NOMEM, "JSON");

    json_decref(all);
    return rc;
}

/* One table: each run's figures, then its test against the first. */
static int print_csv(FILE *out, const struct comparison *c, struct err *err)
{
    static const char *const renamed[] = {
        "low95",    "difference_low95", "high95", "difference_high95",
        "pictures", "pictures_of_both", NULL};

    return tabular_csv_records(out, figure_fields, c->figures, test_fields, c->tests, renamed, err);
}

static void print_relabelled(FILE *out, const struct comparison *c)
{
    if (c->relabelled.several)
        fputs("\nthe runs were cleaned by different tables; --clean FILE names the labels that all "
              "are judged by\n",
              out);
    if (json_array_size(c->relabelled.rows) == 0)
        return;
    fputs("\njudged by the labels of ", out);
    tabular_text(out, c->relabelled.file);
    fputs(", in pictures that are compared:\n", out);
    tabular_print(out, FORM_TEXT, relabelled_columns, 3, c->relabelled.rows);
}

static void print_test(FILE *out, const struct comparison *c, size_t i)
{
    const struct pairing *p = &c->pairs[i];

    tabular_text(out, c->runs[i].run.name);
    fputs(" against ", out);
    tabular_text(out, c->runs[0].run.name);
    fputs(": ", out);
    if (!p->tested) {
        fputs("not tested: ", out);
        tabular_text(out, p->why_not);
        fputc('\n', out);
        return;
    }
    pairing_print(out, p, c->n_tests);
    if (!c->clean[i].tested && !c->clean[i].why_not[0])
        return;
    fputs("  without pictures that have duplicates in training: ", out);
    if (c->clean[i].tested) {
        pairing_print(out, &c->clean[i], c->n_clean);
        return;
    }
    fputs("not tested: ", out);
    tabular_text(out, c->clean[i].why_not);
    fputc('\n', out);
}

static int print_text(FILE *out, const struct comparison *c, struct err *err)
{
    if (json_array_size(c->keys) == 0) {
        fputs("no key differs\n", out);
    } else {
        fputs("keys that differ:\n", out);
        if (print_keys(out, FORM_TEXT, c, err) < 0)
            return -1;
    }
    if (comparison_differs(c, LOOK_ARITHMETIC))
        fputs("the runs differ in arithmetic (run.json): the same keys give other bits in them\n",
              out);
    fputc('\n', out);
    tabular_print_records(out, FORM_TEXT, figure_fields, c->figures);
    print_relabelled(out, c);
    if (json_array_size(c->groups) > 0) {
        fputs("\nby recipe (these differ in nothing but seed, split seed and fold):\n", out);
        tabular_print_records(out, FORM_TEXT, group_fields, c->groups);
    }
    fputc('\n', out);
    for (size_t i = 1; i < c->n; i++)
        print_test(out, c, i);
    fprintf(out,
            "(this test says whether these two networks differ; a test of two recipes "
            "needs\nseveral seeds of each%s)\n",
            c->n_recipes > 1 && c->n_seeds > 1 ? ": compare the same runs with eval --groups"
                                               : ": train --seeds N");
    return 0;
}

static int all_tested(const struct comparison *c, struct err *err)
{
    for (size_t i = 1; i < c->n; i++)
        if (!c->pairs[i].tested)
            return err_set(err, ERR_INPUT,
                           "--fail-on-regression: %s cannot be tested against %s: %s",
                           c->runs[i].run.name, c->runs[0].run.name, c->pairs[i].why_not);
    return 0;
}

int comparison_print(FILE *out, const struct request *r, bool *regression, struct err *err)
{
    struct comparison c = {0};
    int rc = -1;

    *regression = false;
    if (open_runs(&c, r, err) < 0 || add_facts(&c, err) < 0 || find_keys(&c, err) < 0 ||
        find_figures(&c, err) < 0 || find_groups(&c, err) < 0 || find_tests(&c, err) < 0)
        goto out;
    if (r->report)
        rc = comparison_page(out, &c, r, err);
    else if (r->form == FORM_JSON)
        rc = print_json(out, &c, err);
    else if (r->form == FORM_TEXT)
        rc = print_text(out, &c, err);
    else
        rc = print_csv(out, &c, err);
    for (size_t i = 1; i < c.n; i++)
        *regression |= pairing_verdict(&c.pairs[i]) == VERDICT_WORSE;
    if (rc == 0 && r->fail_on_regression)
        rc = all_tested(&c, err);
out:
    comparison_free(&c);
    return rc;
}
