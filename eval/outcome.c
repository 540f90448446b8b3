/* outcome.c - one line of figures per way of predicting, and the paired test between two.
 * SPDX-License-Identifier: MIT */
#include "outcome.h"
#include "base/text.h"

#include "look.h"
#include "mistakes.h"
#include "pairing.h"
#include "quality.h"
#include "run/leaks.h"
#include "run/score.h"
#include "run/stats.h"

enum { SHOWN_PAIRS = 5 };

struct outcome_row {
    const char *prediction;
    double error_rate, low95, high95;
    int64_t errors, pictures;
    double loss;
    const char *of;
    double without_leaks;
};
static const struct field outcome_fields[] = {
    CELL_TEXT(outcome_row, prediction),    CELL_REAL(outcome_row, error_rate),
    CELL_REAL(outcome_row, low95),         CELL_REAL(outcome_row, high95),
    CELL_INT(outcome_row, errors),         CELL_INT(outcome_row, pictures),
    CELL_REAL(outcome_row, loss),          CELL_TEXT(outcome_row, of),
    CELL_REAL(outcome_row, without_leaks), FIELD_END,
};

static int add_row(json_t *rows, const struct scored *s, const char *name, struct err *err)
{
    char text[1200];
    struct outcome_row row = {.prediction = name,
                              .error_rate = (double)s->errors / s->p->n,
                              .errors = s->errors,
                              .pictures = s->p->n,
                              .loss = s->record.loss,
                              .of = text,
                              .without_leaks = s->record.without_leaks.error_rate};

    stats_wilson(&row.low95, &row.high95, s->errors, s->p->n);
    score_text(text, sizeof text, &s->record);
    return tabular_add_record(rows, outcome_fields, &row, err);
}

static json_t *test_object(const struct pairing *t)
{
    return json_pack("{s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:s}", "pictures", (int)t->n,
                     "only_plain_wrong", (int)t->first_only, "only_tta_wrong", (int)t->second_only,
                     "difference", t->difference, "low95", t->low, "high95", t->high, "p", t->p,
                     "verdict", t->identical ? "identical" : pairing_word(t));
}

static int print_json(FILE *out, const struct look *l, const json_t *rows, const struct pairing *t,
                      struct err *err)
{
    json_t *all =
        json_pack("{s:o, s:o, s:o, s:o}", "run", tabular_string(l->run.name), "folder",
                  tabular_string(l->folder), "scores", tabular_record_objects(outcome_fields, rows),
                  "tta_against_plain", t ? test_object(t) : json_null());
    int rc = -1;

    if (!all || (l->scoring.looks > 0 &&
                 json_object_set_new(all, "looks", json_integer(l->scoring.looks)) < 0))
        err_set(err, ERR_NOMEM, "JSON");
    else if (quality_add(all, l, err) == 0)
        rc = tabular_json(out, all, err);
    json_decref(all);
    return rc;
}

static int print_text(FILE *out, const struct look *l, const json_t *rows, const struct pairing *t,
                      struct err *err)
{
    json_t *pairs;

    tabular_print_records(out, FORM_TEXT, outcome_fields, rows);
    if (leaks_are(&l->leaks)) {
        char text[96];

        leaks_text(text, sizeof text, &l->leaks);
        fprintf(out, "error rate %s\n", text);
    }
    fputc('\n', out);
    if (quality_print(out, l, err) < 0)
        return -1;
    fputc('\n', out);
    if (t) {
        fputs("with test-time augmentation against without: ", out);
        pairing_print(out, t, 1);
        fputc('\n', out);
    }
    if (l->scoring.looks > 0)
        fprintf(out,
                "this run was evaluated on the test split %u time%s (looks.jsonl); evaluate once, "
                "after the last choice\n\n",
                l->scoring.looks, PLURAL(l->scoring.looks));
    if (l->errors > 0) {
        if (mistakes_pairs(&pairs, l->p, 1, SHOWN_PAIRS, err) < 0)
            return -1;
        fputs("most confused:\n", out);
        mistakes_print_pairs(out, FORM_TEXT, pairs);
        json_decref(pairs);
        fputc('\n', out);
    }
    tabular_text(out, l->folder);
    fputs("/predictions.csv\n", out);
    return 0;
}

int outcome_print(FILE *out, const struct request *r, struct err *err)
{
    json_t *rows = json_array();
    const struct pairing *tested = NULL;
    struct pairing t;
    struct look l;
    int rc = -1;

    if (!rows)
        return err_set(err, ERR_NOMEM, "scores");
    if (look_open(&l, r, r->run, err) < 0) {
        json_decref(rows);
        return -1;
    }
    if (add_row(rows, &l.scoring.plain, "plain", err) < 0)
        goto out;
    if (l.scoring.tta.p) {
        if (add_row(rows, &l.scoring.tta, "tta", err) < 0 ||
            pairing_test(&t, l.scoring.plain.p, l.scoring.tta.p, err) < 0)
            goto out;
        tested = &t;
    }
    if (r->form == FORM_JSON) {
        rc = print_json(out, &l, rows, tested, err);
    } else if (r->form == FORM_TEXT) {
        rc = print_text(out, &l, rows, tested, err);
    } else {
        tabular_print_records(out, FORM_CSV, outcome_fields, rows);
        rc = 0;
    }
out:
    json_decref(rows);
    look_close(&l);
    return rc;
}
