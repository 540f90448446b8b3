/* overview.c - the figures of a run with what they are figures of.
 * SPDX-License-Identifier: MIT */
#include "overview.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/monitor.h"
#include "base/path.h"
#include "base/remark.h"
#include "base/text.h"
#include "arrange.h"
#include "look.h"
#include "mistakes.h"
#include "quality.h"
#include "run/leaks.h"
#include "run/score.h"
#include "run/stats.h"
#include "run/study.h"

enum { SHOWN_PAIRS = 5 };

struct times {
    double seconds,
        images_per_s; /* of all epochs that timing.jsonl has; the last one's, training */
    int epochs;       /* of the run; until metrics.json is there, those lines */
};

static void read_times(struct times *t, const struct look *l)
{
    const int64_t last = l->run.figures.last.epoch;
    const struct epoch_timing *timing;
    struct field_lines lines;

    *t = (struct times){0};
    if (timings_read(&lines, l->run.folder, NULL) == 0) {
        timing = lines.all;
        for (size_t i = 0; i < lines.n; i++)
            if (!isnan(timing[i].seconds)) {
                t->seconds += timing[i].seconds;
                t->images_per_s = isnan(timing[i].images_per_s) ? 0 : timing[i].images_per_s;
                t->epochs++;
            }
        if (last != FIELD_NO_INT)
            t->epochs = (int)last + 1;
    }
    fields_free_lines(&lines);
}

/* What --json prints of a run. */
struct overview {
    const char *run, *folder, *status, *error, *experiment, *title, *start, *set, *split;
    const json_t *pictures;
    int64_t classes, seed;
    const json_t *final, *best;
    int64_t epochs;
    double seconds, images_per_s;
    const json_t *scores, *remarks, *without_leaks;
};
static const struct field overview_fields[] = {
    CELL_TEXT(overview, run),      CELL_TEXT(overview, folder),        CELL_TEXT(overview, status),
    CELL_TEXT(overview, error),    CELL_TEXT(overview, experiment),    CELL_TEXT(overview, title),
    CELL_TEXT(overview, start),    CELL_TEXT(overview, set),           CELL_TEXT(overview, split),
    CELL_JSON(overview, pictures), CELL_INT(overview, classes),        CELL_INT(overview, seed),
    CELL_JSON(overview, final),    CELL_JSON(overview, best),          CELL_INT(overview, epochs),
    CELL_REAL(overview, seconds),  CELL_REAL(overview, images_per_s),  CELL_JSON(overview, scores),
    CELL_JSON(overview, remarks),  CELL_JSON(overview, without_leaks), FIELD_END,
};

/* Everything that is known, for --json; also the source of the text. NULL: out of memory. */
static json_t *facts(const struct look *l, const struct times *t)
{
    const struct run_facts *f = &l->run.facts;
    double low = 0, high = 1;
    json_t *all, *more, *scores = NULL;
    json_t *leaks = leaks_are(&l->leaks) ? fields_json(leaks_fields, &l->leaks) : NULL;

    if (score_list(&scores, NULL, l->run.folder, NULL) < 0) {
        json_decref(leaks);
        return NULL;
    }
    all = tabular_object(overview_fields,
                         &(struct overview){.run = l->run.name,
                                            .folder = l->run.folder,
                                            .status = l->run.status,
                                            .error = f->error,
                                            .experiment = f->experiment,
                                            .title = f->title,
                                            .start = f->start,
                                            .set = f->set,
                                            .split = f->split,
                                            .pictures = json_at(l->run.run, "pictures", NULL),
                                            .classes = f->classes,
                                            .seed = f->seed,
                                            .final = json_at(l->run.metrics, "final", NULL),
                                            .best = json_at(l->run.metrics, "best", NULL),
                                            .epochs = t->epochs,
                                            .seconds = t->seconds,
                                            .images_per_s = t->images_per_s,
                                            .scores = scores,
                                            .remarks = f->remarks,
                                            .without_leaks = leaks});
    json_decref(scores);
    json_decref(leaks);
    if (!all || !l->p || l->p->n == 0)
        return all;
    stats_wilson(&low, &high, l->errors, l->p->n);
    more = json_pack("{s:f, s:i, s:i, s:[f, f]}", "error_rate", (double)l->errors / l->p->n,
                     "errors", (int)l->errors, "n", (int)l->p->n, "interval95", low, high);
    if (json_object_update(all, more) < 0) {
        json_decref(all);
        all = NULL;
    }
    json_decref(more);
    return all;
}

static void line(FILE *out, const char *name)
{
    fprintf(out, "%-12s", name);
}

static void print_run(FILE *out, const struct look *l, const struct times *t)
{
    const struct run_facts *f = &l->run.facts;
    char text[32];

    line(out, "run");
    tabular_text(out, l->run.folder);
    fprintf(out, "  (%s", l->run.status);
    if (t->epochs > 0) {
        clock_duration(t->seconds, text, sizeof text);
        fprintf(out, ", %d epoch%s in %s", t->epochs, PLURAL(t->epochs), text);
    }
    fputs(")\n", out);
    if (f->error) {
        line(out, "");
        tabular_text(out, f->error);
        fputc('\n', out);
    }
    if (f->ran) {
        line(out, "trained");
        tabular_text(out, f->ran);
        fputc('\n', out);
    }
    line(out, "experiment");
    tabular_text(out, f->experiment ? f->experiment : "?");
    /* a title may be inherited: what ran is another thing, and older runs have the title alone */
    if (!f->ran && f->title && f->title[0]) {
        fputs(": ", out);
        tabular_text(out, f->title);
    }
    fputc('\n', out);
}

/* BEFORE and a text; NULL: it is not known. */
static void put(FILE *out, const char *before, const char *text)
{
    fputs(before, out);
    tabular_text(out, text ? text : "?");
}

static const char *key_of(const struct look *l, const char *key)
{
    return json_text_at(l->params, key, NULL, NULL);
}

/* A missing number is 0. */
static long long known(int64_t number)
{
    return number == FIELD_NO_INT ? 0 : (long long)number;
}

static void print_what_ran(FILE *out, const struct look *l, const struct times *t)
{
    const struct run_facts *f = &l->run.facts;
    const char *asked = f->precision.asked ? f->precision.asked : "";
    const char *ran = f->precision.ran ? f->precision.ran : "";

    line(out, "with");
    put(out, "", key_of(l, "model.arch"));
    put(out, ", weights ", key_of(l, "model.weights"));
    put(out, ", ", f->precision.ran);
    if (strcmp(asked, ran) != 0) {
        put(out, " (", f->precision.asked);
        fputs(" asked for)", out);
    }
    put(out, ", ", key_of(l, "train.size"));
    fprintf(out, " px, seed %lld", known(f->seed));
    put(out, "; ", f->backend);
    put(out, " (", f->libraries.backend);
    put(out, "), ", f->machine.isa);
    fprintf(out, ", %lld thread%s", known(f->machine.threads), PLURAL(known(f->machine.threads)));
    if (t->images_per_s > 0)
        fprintf(out, ", %.1f images/s", t->images_per_s);
    fputc('\n', out);
    line(out, "pictures");
    put(out, "", f->set);
    fprintf(out, ", %lld classes: %lld to train, %lld to validate, %lld to test\n",
            known(f->classes), known(f->pictures.train), known(f->pictures.valid),
            known(f->pictures.test));
}

/* "3 dropped (2 train, 1 valid, 0 test)" */
static void print_cleaned(FILE *out, const struct cleaning_parts *n, const char *what)
{
    fprintf(out, ", %lld %s (%lld to train, %lld to validate, %lld to test)",
            known(n->train) + known(n->valid) + known(n->test), what, known(n->train),
            known(n->valid), known(n->test));
}

/* Labels that are not those of the set. */
static void print_cleaning(FILE *out, const struct look *l)
{
    const struct cleaning_record c = look_cleaning(l);

    if (c.file) {
        line(out, "cleaned");
        put(out, "by ", c.file);
        fprintf(out, ": %lld kept", known(c.kept));
        print_cleaned(out, &c.dropped, "dropped");
        print_cleaned(out, &c.relabelled, "relabelled");
        fputc('\n', out);
    }
    if (!isnan(c.planted.share)) {
        line(out, "planted");
        fprintf(out,
                "%lld labels are wrong on purpose, %lld of them to validate (data.plant): rates "
                "are not of real labels\n",
                known(c.planted.pictures), known(c.planted.valid));
    }
}

static void print_figures(FILE *out, const struct look *l)
{
    const double loss = l->run.figures.final.metric[MONITOR_VALID_LOSS];
    const struct epoch_line *best = &l->run.figures.best;
    const enum monitor which = monitor_find(json_text_at(l->params, "train.monitor", NULL, NULL));
    const struct monitor_row *by = &monitor_rows[which];
    double low, high;
    char text[96];

    if (l->p && l->p->n > 0) {
        stats_wilson(&low, &high, l->errors, l->p->n);
        line(out, "error rate");
        fprintf(out, "%.4f  (%u of %u, 95 %% interval %.4f to %.4f) on the ",
                (double)l->errors / l->p->n, l->errors, l->p->n, low, high);
        tabular_text(out, l->pictures);
        fputc('\n', out);
    }
    if (leaks_are(&l->leaks)) {
        leaks_text(text, sizeof text, &l->leaks);
        line(out, "");
        fprintf(out, "%s\n", text);
    }
    if (isnan(loss))
        return;
    line(out, "loss");
    fprintf(out, "%.4f nat", loss);
    if (!isnan(best->metric[MONITOR_VALID_LOSS])) {
        fprintf(out, "; %.4f in epoch %lld, the best by %s (error rate %.4f",
                best->metric[MONITOR_VALID_LOSS], known(best->epoch), by->label,
                best->metric[MONITOR_ERROR_RATE]);
        if (!by->always)
            fprintf(out, ", %s %.4f", by->label, best->metric[which]);
        fputc(')', out);
    }
    fputc('\n', out);
}

/* What else the run was scored on, and how often its test pictures were looked at. */
static int print_scores(FILE *out, const struct look *l, struct err *err)
{
    json_t *scores;

    if (score_list(&scores, NULL, l->run.folder, err) < 0)
        return -1;
    for (size_t i = 0; i < json_array_size(scores); i++) {
        struct score_record score;
        char text[1200];

        fields_read(score_fields, SCORE_VERSION, &score, json_array_get(scores, i), NULL);
        score_text(text, sizeof text, &score);
        line(out, i == 0 ? "also scored" : "");
        fprintf(out, "%.4f  on %lld ", isnan(score.error_rate) ? 0 : score.error_rate,
                known(score.pictures));
        tabular_text(out, text);
        if (leaks_are(&score.without_leaks)) {
            leaks_text(text, sizeof text, &score.without_leaks);
            fprintf(out, "; %s", text);
        }
        fputc('\n', out);
    }
    json_decref(scores);
    return 0;
}

/* What prep and train remarked about the data. */
static void print_remarks(FILE *out, const struct look *l)
{
    const json_t *list = l->run.facts.remarks, *m;
    size_t i;

    json_array_foreach(list, i, m)
    {
        struct remark_record r;

        fields_read(remark_fields, 0, &r, m, NULL);
        if (!r.text || !r.warning)
            continue;
        line(out, "remark");
        tabular_text(out, r.text);
        fputc('\n', out);
    }
}

static void print_files(FILE *out, const struct look *l)
{
    static const char *const files[] = {"report.html", "plots/confusion.svg", "predictions.csv",
                                        "checkpoints/last.safetensors"};
    char path[PATH_LEN];
    bool first = true;

    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (path_format(path, NULL, "%s/%s", l->run.folder, files[i]) == 0 && path_exists(path)) {
            line(out, first ? "files" : "");
            tabular_text(out, path);
            fputc('\n', out);
            first = false;
        }
}

static int print_text(FILE *out, const struct look *l, const struct times *t, struct err *err)
{
    json_t *pairs;

    print_run(out, l, t);
    print_what_ran(out, l, t);
    print_cleaning(out, l);
    print_figures(out, l);
    if (quality_print(out, l, err) < 0 || print_scores(out, l, err) < 0)
        return -1;
    print_remarks(out, l);
    print_files(out, l);
    if (!l->p || l->errors == 0)
        return 0;
    if (mistakes_pairs(&pairs, l->p, 1, SHOWN_PAIRS, err) < 0)
        return -1;
    fputs("\nmost confused:\n", out);
    mistakes_print_pairs(out, FORM_TEXT, pairs);
    json_decref(pairs);
    return 0;
}

static int print_json(FILE *out, const struct look *l, const struct times *t, struct err *err)
{
    json_t *all = facts(l, t);
    int rc = -1;

    if (!all)
        err_set(err, ERR_NOMEM, "JSON");
    else if (quality_add(all, l, err) == 0)
        rc = tabular_json(out, all, err);
    json_decref(all);
    return rc;
}

/* What `train --lr-find` suggests, when it made this run. */
static void print_rates(FILE *out, const struct look *l)
{
    const struct field *first = run_rate_fields + 1; /* behind the steps */

    if (!look_is_range_test(l))
        return;
    fputs("rates      ", out);
    for (const struct field *row = first; row->name; row++)
        fprintf(out, "%s %s %.2e", row > first ? "," : "", row->name,
                field_number(row, &l->run.facts.lr_find));
    fputc('\n', out);
}

int overview_run(FILE *out, const struct request *r, bool *predicted, struct err *err)
{
    struct times t;
    struct look l;
    int rc;

    if (look_open(&l, r, r->run, err) < 0)
        return -1;
    *predicted = l.p != NULL;
    read_times(&t, &l);
    rc = r->form == FORM_JSON ? print_json(out, &l, &t, err) : print_text(out, &l, &t, err);
    if (rc == 0 && !l.p && r->form == FORM_TEXT) {
        struct err why = {0};

        print_rates(out, &l);
        if (look_needs_predictions(&l, &why) < 0) {
            fputc('\n', out);
            tabular_text(out, why.msg);
            fputc('\n', out);
        }
    }
    look_close(&l);
    return rc;
}

struct list_row {
    const char *run, *status, *start, *experiment, *set;
    int64_t seed;
    double error_rate, valid_loss;
    int64_t pictures;
    const char *split;
    double without_leaks;
};
static const struct field list_fields[] = {
    CELL_TEXT(list_row, run),           CELL_TEXT(list_row, status),
    CELL_TEXT(list_row, start),         CELL_TEXT(list_row, experiment),
    CELL_TEXT(list_row, set),           CELL_INT(list_row, seed),
    CELL_REAL(list_row, error_rate),    CELL_REAL(list_row, valid_loss),
    CELL_INT(list_row, pictures),       CELL_TEXT(list_row, split),
    CELL_REAL(list_row, without_leaks), FIELD_END,
};

static int add_run(json_t *rows, const struct run_entry *run, struct err *err)
{
    const struct run_facts *f = &run->facts;
    const struct metrics_record *m = &run->figures;
    char start[64];

    snprintf(start, sizeof start, "%.*s", f->start ? (int)strcspn(f->start, ".") : 0,
             f->start ? f->start : "");
    return tabular_add_record(
        rows, list_fields,
        &(struct list_row){run->name, run->status, start, f->experiment, f->set, f->seed,
                           m->final.metric[MONITOR_ERROR_RATE], m->final.metric[MONITOR_VALID_LOSS],
                           f->pictures.valid, f->split, m->without_leaks.error_rate},
        err);
}

int overview_list(FILE *out, const struct request *r, struct err *err)
{
    struct run_entry *runs;
    json_t *rows = json_array();
    char studies[512];
    size_t n;
    int rc = 0;

    if (!rows)
        return err_set(err, ERR_NOMEM, "list");
    if (run_list(&runs, &n, r->results, err) < 0) {
        json_decref(rows);
        return -1;
    }
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (runs[i].fault[0])
            log_warn("%s: %s", runs[i].name, runs[i].fault);
        rc = add_run(rows, &runs[i], err);
    }
    if (rc == 0 && r->how)
        rc = arrange_rows(rows, list_fields, r->how, err);
    study_names(studies, sizeof studies, r->results);
    if (rc == 0 && n == 0 && studies[0] && r->form == FORM_TEXT)
        ; /* the studies follow */
    else if (rc == 0 && n == 0 && r->form == FORM_TEXT)
        fprintf(out, "no run in %s yet; `train --exp NAME` makes one\n", r->results);
    else if (rc == 0)
        tabular_print_records(out, r->form, list_fields, rows);
    run_list_free(runs, n);
    json_decref(rows);
    return rc;
}
