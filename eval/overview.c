/* overview.c - the figures of a run with what they are figures of.
 * SPDX-License-Identifier: MIT */
#include "overview.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/monitor.h"
#include "base/path.h"
#include "base/text.h"
#include "look.h"
#include "mistakes.h"
#include "quality.h"
#include "record/leaks.h"
#include "record/score.h"
#include "record/stats.h"
#include "record/study.h"

enum { SHOWN_PAIRS = 5 };

struct times {
    double seconds,
        images_per_s; /* of all epochs that timing.jsonl has; the last one's, training */
    int epochs;       /* of the run; until metrics.json is there, those lines */
};

static void read_times(struct times *t, const struct look *l)
{
    const json_t *last = look_get(l->run.metrics, "last", "epoch");
    json_t *lines = NULL, *object;
    char path[PATH_LEN];
    size_t i;

    *t = (struct times){0};
    if (path_format(path, NULL, "%s/timing.jsonl", l->run.folder) < 0 ||
        json_read_lines(&lines, path, NULL) < 0)
        return;
    json_array_foreach(lines, i, object)
    {
        if (json_is_number(json_object_get(object, "seconds"))) {
            t->seconds += json_number_value(json_object_get(object, "seconds"));
            t->images_per_s = json_number_value(json_object_get(object, "images_per_s"));
            t->epochs++;
        }
    }
    json_decref(lines);
    if (json_is_integer(last))
        t->epochs = (int)json_integer_value(last) + 1;
}

/* Everything that is known, for --json; also the source of the text. NULL: out of memory. */
static json_t *facts(const struct look *l, const struct times *t)
{
    double low = 0, high = 1;
    json_t *all, *more, *scores = NULL;

    if (score_list(&scores, l->run.folder, NULL) < 0)
        return NULL;
    all = json_pack(
        "{s:o, s:o, s:s, s:O?, s:O?, s:O?, s:O?, s:O?, s:O?, s:O?, s:O?, s:O?, s:O?, "
        "s:O?, s:i, s:f, s:f, s:o, s:O?, s:O?}",
        "run", tabular_string(l->run.name), "folder", tabular_string(l->run.folder), "status",
        l->run.status, "error", look_get(l->run.run, "error", NULL), "experiment",
        look_get(l->run.run, "experiment", NULL), "title", look_get(l->run.run, "title", NULL),
        "start", look_get(l->run.run, "start", NULL), "set", look_get(l->run.run, "set", NULL),
        "split", look_get(l->run.run, "split", NULL), "pictures",
        look_get(l->run.run, "pictures", NULL), "classes", look_get(l->run.run, "classes", NULL),
        "seed", look_get(l->run.run, "seed", NULL), "final",
        look_get(l->run.metrics, "final", NULL), "best", look_get(l->run.metrics, "best", NULL),
        "epochs", t->epochs, "seconds", t->seconds, "images_per_s", t->images_per_s, "scores",
        scores, "remarks", look_get(l->run.run, "remarks", NULL), "without_leaks",
        l->without_leaks);
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
    char text[32];

    line(out, "run");
    tabular_text(out, l->run.folder);
    fprintf(out, "  (%s", l->run.status);
    if (t->epochs > 0) {
        clock_duration(t->seconds, text, sizeof text);
        fprintf(out, ", %d epoch%s in %s", t->epochs, PLURAL(t->epochs), text);
    }
    fputs(")\n", out);
    if (look_text(l->run.run, "error", NULL, NULL)) {
        line(out, "");
        tabular_text(out, look_text(l->run.run, "error", NULL, ""));
        fputc('\n', out);
    }
    if (look_text(l->run.run, "ran", NULL, NULL)) {
        line(out, "trained");
        tabular_text(out, look_text(l->run.run, "ran", NULL, ""));
        fputc('\n', out);
    }
    line(out, "experiment");
    tabular_text(out, look_text(l->run.run, "experiment", NULL, "?"));
    /* a title may be inherited: what ran is another thing, and older runs have the title alone */
    if (!look_text(l->run.run, "ran", NULL, NULL) && look_text(l->run.run, "title", NULL, "")[0]) {
        fputs(": ", out);
        tabular_text(out, look_text(l->run.run, "title", NULL, ""));
    }
    fputc('\n', out);
}

/* BEFORE and a text of the run's record. */
static void put(FILE *out, const char *before, const json_t *object, const char *a, const char *b)
{
    fputs(before, out);
    tabular_text(out, look_text(object, a, b, "?"));
}

static void print_what_ran(FILE *out, const struct look *l, const struct times *t)
{
    const json_t *run = l->run.run;
    json_int_t threads;

    line(out, "with");
    put(out, "", l->params, "model.arch", NULL);
    put(out, ", weights ", l->params, "model.weights", NULL);
    put(out, ", ", run, "precision", "ran");
    if (strcmp(look_text(run, "precision", "asked", ""), look_text(run, "precision", "ran", ""))) {
        put(out, " (", run, "precision", "asked");
        fputs(" asked for)", out);
    }
    put(out, ", ", l->params, "train.size", NULL);
    fprintf(out, " px, seed %" JSON_INTEGER_FORMAT,
            json_integer_value(look_get(run, "seed", NULL)));
    put(out, "; ", run, "backend", NULL);
    put(out, " (", run, "libraries", "backend");
    put(out, "), ", run, "machine", "isa");
    threads = json_integer_value(look_get(run, "machine", "threads"));
    fprintf(out, ", %" JSON_INTEGER_FORMAT " thread%s", threads, PLURAL(threads));
    if (t->images_per_s > 0)
        fprintf(out, ", %.1f images/s", t->images_per_s);
    fputc('\n', out);
    line(out, "pictures");
    put(out, "", run, "set", NULL);
    fprintf(out,
            ", %" JSON_INTEGER_FORMAT " classes: %" JSON_INTEGER_FORMAT
            " to train, %" JSON_INTEGER_FORMAT " to validate, %" JSON_INTEGER_FORMAT " to test\n",
            json_integer_value(look_get(run, "classes", NULL)),
            json_integer_value(look_get(run, "pictures", "train")),
            json_integer_value(look_get(run, "pictures", "valid")),
            json_integer_value(look_get(run, "pictures", "test")));
}

static json_int_t of_part(const json_t *cleaning, const char *what, const char *part)
{
    return json_integer_value(look_get(json_object_get(cleaning, what), part, NULL));
}

/* "3 dropped (2 train, 1 valid, 0 test)" */
static void print_cleaned(FILE *out, const json_t *cleaning, const char *what)
{
    const json_int_t train = of_part(cleaning, what, "train"),
                     valid = of_part(cleaning, what, "valid"),
                     test = of_part(cleaning, what, "test");

    fprintf(out,
            ", %" JSON_INTEGER_FORMAT " %s (%" JSON_INTEGER_FORMAT
            " to train, %" JSON_INTEGER_FORMAT " to validate, %" JSON_INTEGER_FORMAT " to test)",
            train + valid + test, what, train, valid, test);
}

/* Labels that are not those of the set. */
static void print_cleaning(FILE *out, const struct look *l)
{
    const json_t *cleaning = look_get(l->run.run, "cleaning", NULL);
    const json_t *planted = look_get(cleaning, "planted", NULL);

    if (look_get(cleaning, "file", NULL)) {
        line(out, "cleaned");
        put(out, "by ", cleaning, "file", NULL);
        fprintf(out, ": %" JSON_INTEGER_FORMAT " kept",
                json_integer_value(look_get(cleaning, "kept", NULL)));
        print_cleaned(out, cleaning, "dropped");
        print_cleaned(out, cleaning, "relabelled");
        fputc('\n', out);
    }
    if (planted) {
        line(out, "planted");
        fprintf(out,
                "%" JSON_INTEGER_FORMAT " labels are wrong on purpose, %" JSON_INTEGER_FORMAT
                " of them to validate (data.plant): rates are not of real labels\n",
                json_integer_value(json_object_get(planted, "pictures")),
                json_integer_value(json_object_get(planted, "valid")));
    }
}

static void print_figures(FILE *out, const struct look *l)
{
    const json_t *loss = look_get(l->run.metrics, "final", "valid_loss");
    const json_t *best = look_get(l->run.metrics, "best", NULL);
    const struct monitor_row *by =
        &monitor_rows[monitor_find(look_text(l->params, "train.monitor", NULL, NULL))];
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
    if (l->without_leaks) {
        leaks_text(text, sizeof text, l->without_leaks);
        line(out, "");
        fprintf(out, "%s\n", text);
    }
    if (json_is_number(loss)) {
        line(out, "loss");
        fprintf(out, "%.4f nat", json_number_value(loss));
        if (json_is_number(json_object_get(best, "valid_loss")))
            fprintf(out,
                    "; %.4f in epoch %" JSON_INTEGER_FORMAT ", the best by %s (error rate %.4f",
                    json_number_value(json_object_get(best, "valid_loss")),
                    json_integer_value(json_object_get(best, "epoch")), by->label,
                    json_number_value(json_object_get(best, "error_rate")));
        if (json_is_number(json_object_get(best, "valid_loss")) && !by->always)
            fprintf(out, ", %s %.4f", by->label, json_number_value(json_object_get(best, by->key)));
        if (json_is_number(json_object_get(best, "valid_loss")))
            fputc(')', out);
        fputc('\n', out);
    }
}

/* What else the run was scored on, and how often its test pictures were looked at. */
static int print_scores(FILE *out, const struct look *l, struct err *err)
{
    json_t *scores;

    if (score_list(&scores, l->run.folder, err) < 0)
        return -1;
    for (size_t i = 0; i < json_array_size(scores); i++) {
        const json_t *score = json_array_get(scores, i);
        char text[1200];

        score_text(text, sizeof text, score);
        line(out, i == 0 ? "also scored" : "");
        fprintf(out, "%.4f  on %" JSON_INTEGER_FORMAT " ",
                json_number_value(json_object_get(score, "error_rate")),
                json_integer_value(json_object_get(score, "pictures")));
        tabular_text(out, text);
        if (json_object_get(score, "without_leaks")) {
            leaks_text(text, sizeof text, json_object_get(score, "without_leaks"));
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
    const json_t *list = look_get(l->run.run, "remarks", NULL), *m;
    size_t i;

    json_array_foreach(list, i, m)
    {
        const char *text = json_string_value(json_object_get(m, "text"));

        if (!text || !json_is_true(json_object_get(m, "warning")))
            continue;
        line(out, "remark");
        tabular_text(out, text);
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
    static const char *const rules[] = {"valley", "slide", "minimum", "steep"};

    if (!look_get(l->run.run, "lr_find", NULL))
        return;
    fputs("rates      ", out);
    for (int i = 0; i < 4; i++)
        fprintf(out, "%s %s %.2e", i ? "," : "", rules[i],
                json_number_value(look_get(l->run.run, "lr_find", rules[i])));
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

int overview_list(FILE *out, const struct request *r, struct err *err)
{
    static const struct column columns[] = {
        {"run", -1},      {"status", -1}, {"start", -1},       {"experiment", -1},
        {"set", -1},      {"seed", -1},   {"error_rate", 4},   {"valid_loss", 4},
        {"pictures", -1}, {"split", -1},  {"without_leaks", 4}};
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
        const json_t *run = runs[i].run;

        if (runs[i].fault[0])
            log_warn("%s: %s", runs[i].name, runs[i].fault);
        rc = tabular_add(
            rows,
            json_pack(
                "[o, s, s%, O?, O?, O?, O?, O?, O?, O?, O?]", tabular_string(runs[i].name),
                runs[i].status, look_text(run, "start", NULL, ""),
                strcspn(look_text(run, "start", NULL, ""), "."), look_get(run, "experiment", NULL),
                look_get(run, "set", NULL), look_get(run, "seed", NULL),
                look_get(runs[i].metrics, "final", "error_rate"),
                look_get(runs[i].metrics, "final", "valid_loss"),
                look_get(run, "pictures", "valid"), look_get(run, "split", NULL),
                json_object_get(look_get(runs[i].metrics, "without_leaks", NULL), "error_rate")),
            err);
    }
    study_names(studies, sizeof studies, r->results);
    if (rc == 0 && n == 0 && studies[0] && r->form == FORM_TEXT)
        ; /* the studies follow */
    else if (rc == 0 && n == 0 && r->form == FORM_TEXT)
        fprintf(out, "no run in %s yet; `train --exp NAME` makes one\n", r->results);
    else if (rc == 0)
        tabular_print(out, r->form, columns, sizeof columns / sizeof *columns, rows);
    run_list_free(runs, n);
    json_decref(rows);
    return rc;
}
