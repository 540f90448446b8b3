/* issues.c - the table of suspects, and how well the finder did where that is known.
 * SPDX-License-Identifier: MIT */
#include "issues.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "issues_page.h"
#include "suspects.h"

static const struct column columns[] = {{"rank", -1},      {"path", -1}, {"given", -1},
                                        {"suggested", -1}, {"score", 4}, {"probability", 4},
                                        {"reason", -1},    {"part", -1}};
enum { COLUMNS = sizeof columns / sizeof *columns };

/* --- how well labels that are wrong on purpose are found ------------------------------------------- */

struct quality {
    uint32_t found;           /* planted ones beyond the cut */
    double precision, recall; /* of the cut, fractions; 0 where nothing is beyond it */
};

/* Planted ones among the first COUNT of the list. */
static uint32_t found_among(const struct suspects *s, uint32_t count)
{
    uint32_t found = 0;

    for (uint32_t k = 0; k < count && k < s->n; k++)
        found += s->list[k].right >= 0;
    return found;
}

static struct quality measure(const struct suspects *s)
{
    struct quality q = {.found = found_among(s, s->n_likely)};

    q.precision = s->n_likely ? (double)q.found / s->n_likely : 0;
    q.recall = s->n_planted ? (double)q.found / s->n_planted : 0;
    return q;
}

/* [first, found, recall] at 10, 20, 40, ... of the list. */
static int curve(json_t **rows, const struct suspects *s, struct err *err)
{
    *rows = json_array();
    for (uint32_t first = 10; *rows && first / 2 < s->n; first *= 2) {
        const uint32_t n = first < s->n ? first : s->n, found = found_among(s, n);

        if (tabular_add(*rows,
                        json_pack("[I, I, f]", (json_int_t)n, (json_int_t)found,
                                  (double)found / s->n_planted),
                        err) < 0) {
            json_decref(*rows);
            *rows = NULL;
            return -1;
        }
        if (found == s->n_planted)
            break;
    }
    return *rows ? 0 : err_set(err, ERR_NOMEM, "curve");
}

static const struct column curve_columns[] = {{"first", -1}, {"found", -1}, {"recall", 3}};

static int print_quality(FILE *out, const struct suspects *s, struct err *err)
{
    const struct quality q = measure(s);
    json_t *rows;

    fprintf(
        out,
        "\n%u of these pictures have a label that is wrong on purpose (data.plant). The finder's "
        "cut: %u of %u are such,\nprecision %.3f; %u of %u are beyond the cut, recall %.3f. "
        "Labels that were wrong before count as false alarms.\n\n",
        s->n_planted, q.found, s->n_likely, q.precision, q.found, s->n_planted, q.recall);
    if (curve(&rows, s, err) < 0)
        return -1;
    tabular_print(out, FORM_TEXT, curve_columns, 3, rows);
    json_decref(rows);
    return 0;
}

/* --- the rows --------------------------------------------------------------------------------------- */

/* Why a picture is listed; NULL: it is not. */
static const char *reason_of(const struct suspect *x)
{
    if (x->right >= 0)
        return "planted"; /* never to be taken for a fault of the set */
    if (x->likely)
        return "likely wrong";
    return x->suggested != x->given ? "predicted otherwise" : NULL;
}

static int list_rows(json_t **rows, const struct suspects *s, struct err *err)
{
    char **vocab = s->runs[0].p->vocab;
    uint32_t rank = 0;

    *rows = json_array();
    if (!*rows)
        return err_set(err, ERR_NOMEM, "issues");
    for (uint32_t k = 0; k < s->n; k++) {
        const struct suspect *x = &s->list[k];

        if (reason_of(x) &&
            tabular_add(*rows,
                        json_pack("[I, o, o, o, f, f, s, s]", (json_int_t)++rank,
                                  tabular_string(x->path), tabular_string(vocab[x->given]),
                                  tabular_string(vocab[x->suggested]), x->score, x->probability,
                                  reason_of(x), x->part),
                        err) < 0) {
            json_decref(*rows);
            *rows = NULL;
            return -1;
        }
    }
    return 0;
}

static int write_csv(const struct suspects *s, const json_t *rows, char path[PATH_LEN],
                     struct err *err)
{
    struct new_file file = {0};

    if (path_format(path, err, "%s/issues.csv", s->folder) < 0 ||
        new_file_begin(&file, path, err) < 0)
        return -1;
    tabular_print(file.file, FORM_CSV, columns, COLUMNS, rows);
    return new_file_finish(&file, err);
}

/* --- what is printed -------------------------------------------------------------------------------- */

/* Which pictures were judged, and by whom. */
static void print_source(FILE *out, const struct suspects *s)
{
    char text[1500];

    suspects_text(text, sizeof text, s);
    tabular_text(out, text);
    fputc('\n', out);
    if (strcmp(s->split, "valid") == 0 && s->n_runs == 1 && s->n < s->n_set)
        fprintf(
            out,
            "  (the folds of a cross-validation judge all: data.folds=5 with data.fold=1 to 5)\n");
}

static void warn(const struct suspects *s, const struct request *r)
{
    char text[400];

    suspects_doubt(text, sizeof text, s);
    if (text[0])
        log_warn("%s", text);
    if (r->with_train || (r->split && strcmp(r->split, "train") == 0))
        log_warn("training pictures are judged by a network that has seen their labels, so wrong "
                 "ones look better than they are; with folds, no network judges a picture that it "
                 "was trained on");
    if (strcmp(s->split, "valid") == 0 && s->n_runs > 1 && s->n < s->n_set)
        log_warn("%u of %u pictures validate in none of the %zu runs and are not judged",
                 s->n_set - s->n, s->n_set, s->n_runs);
}

static int print_text(FILE *out, const struct suspects *s, const struct request *r, json_t *rows,
                      const char *path, const char *page, struct err *err)
{
    const size_t all = json_array_size(rows);
    json_t *few = json_array();
    int rc = few ? 0 : err_set(err, ERR_NOMEM, "issues");

    print_source(out, s);
    fprintf(out, "%u label%s likely wrong, by confident learning (Northcutt et al. 2021)\n\n",
            s->n_likely, s->n_likely == 1 ? " is" : "s are");
    for (size_t i = 0; rc == 0 && i < all && i < r->count; i++)
        json_array_append(few, json_array_get(rows, i));
    if (rc == 0 && all > 0)
        tabular_print(out, FORM_TEXT, columns, COLUMNS, few);
    if (all > r->count)
        fprintf(out, "and %zu more\n", all - r->count);
    if (rc == 0 && s->n_planted > 0)
        rc = print_quality(out, s, err);
    fputc('\n', out);
    tabular_text(out, path);
    fputc('\n', out);
    if (page[0]) {
        tabular_text(out, page);
        fputc('\n', out);
    }
    json_decref(few);
    return rc;
}

static int print_json(FILE *out, const struct suspects *s, const json_t *rows, const char *path,
                      const char *page, struct err *err)
{
    const struct quality q = measure(s);
    json_t *planted = json_null(), *all = NULL, *steps = NULL;
    int rc = -1;

    if (s->n_planted > 0) {
        if (curve(&steps, s, err) < 0)
            return -1;
        planted = json_pack("{s:I, s:I, s:f, s:f, s:o}", "pictures", (json_int_t)s->n_planted,
                            "found", (json_int_t)q.found, "precision", q.precision, "recall",
                            q.recall, "curve", tabular_objects(curve_columns, 3, steps));
        json_decref(steps);
    }
    all = json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:o, s:o}", "file", tabular_string(path),
                    "page", page[0] ? tabular_string(page) : json_null(), "runs",
                    (json_int_t)s->n_runs, "pictures", (json_int_t)s->n, "of", (json_int_t)s->n_set,
                    "likely_wrong", (json_int_t)s->n_likely, "planted", planted, "issues",
                    tabular_objects(columns, COLUMNS, rows));
    rc = all ? tabular_json(out, all, err) : err_set(err, ERR_NOMEM, "issues");
    json_decref(all);
    return rc;
}

int issues_print(FILE *out, const struct request *r, struct err *err)
{
    struct suspects s;
    char path[PATH_LEN], page[PATH_LEN] = "";
    json_t *rows = NULL;
    int rc = -1;

    if (suspects_find(&s, r, err) < 0)
        return -1;
    warn(&s, r);
    if (list_rows(&rows, &s, err) < 0 || write_csv(&s, rows, path, err) < 0 ||
        (r->report && issues_page_write(page, &s, r, r->page_file, err) < 0))
        goto out;
    if (r->form == FORM_JSON)
        rc = print_json(out, &s, rows, path, page, err);
    else if (r->form == FORM_TEXT)
        rc = print_text(out, &s, r, rows, path, page, err);
    else
        rc = 0;
    if (r->form == FORM_CSV)
        tabular_print(out, FORM_CSV, columns, COLUMNS, rows);
out:
    json_decref(rows);
    suspects_free(&s);
    return rc;
}
