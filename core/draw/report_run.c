/* report_run.c - a run's page: the summary in words, curves, times, record. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/markup.h"
#include "base/monitor.h"
#include "base/path.h"
#include "base/remark.h"
#include "base/text.h"
#include "draw/element.h"
#include "draw/plot.h"
#include "draw/report_private.h"
#include "run/leaks.h"
#include "run/score.h"
#include "run/stats.h"

enum { RANGE_MAX = 64 << 20 };

/* --- summary -------------------------------------------------------------------------------------- */

/* A missing number is 0. */
static double known(double x)
{
    return isnan(x) ? 0 : x;
}

struct times {
    double seconds, train, valid, wait;
    size_t n;
};

static struct times sum_times(const struct report *r)
{
    const struct epoch_timing *lines = r->timings.all;
    struct times t = {.n = r->timings.n};

    for (size_t i = 0; i < t.n; i++) {
        t.seconds += known(lines[i].seconds);
        t.train += known(lines[i].train_seconds);
        t.valid += known(lines[i].valid_seconds);
        t.wait += known(lines[i].wait_ms) / 1000;
    }
    return t;
}

static void put_model(FILE *out, const struct report *r)
{
    const char *arch = json_text_at(r->params, "model.arch", NULL, NULL);
    const char *weights = json_text_at(r->params, "model.weights", NULL, NULL);

    markup_text(out, arch ? arch : "The network");
    if (weights && strcmp(weights, "none") == 0) {
        fputs(", trained from nothing,", out);
    } else if (weights) {
        fputs(", trained from weights ", out);
        markup_text(out, weights);
        fputc(',', out);
    }
}

static void put_result(FILE *out, const struct report *r)
{
    const struct leaks_record *clean = &r->run.figures.without_leaks;
    const char *split = r->run.facts.split, *set = r->run.facts.set;
    double low, high;

    stats_wilson(&low, &high, r->errors, r->p->n);
    fputs("<p class=\"lead\">", out);
    put_model(out, r);
    fprintf(
        out,
        " gets <b>%u of %u</b> validation pictures wrong: an error rate of <b>%.4f</b> (95&nbsp;%% "
        "interval %.4f to %.4f).</p>\n<p>",
        r->errors, r->p->n, (double)r->errors / r->p->n, low, high);
    if (leaks_are(clean))
        fprintf(out,
                "On the %lld that have no duplicate in training, the error rate is "
                "%.4f. ",
                (long long)clean->pictures, clean->error_rate);
    if (set) {
        fputs("The pictures are of ", out);
        markup_text(out, set);
        fprintf(out, ", %d class%s", r->p->classes, r->p->classes == 1 ? "" : "es");
        if (split) {
            fputs(", ", out);
            markup_text(out, split);
        }
        fputs(". ", out);
    }
    if (r->n_most > 0) {
        fputs("Most often, ", out);
        element_name(out, r->p->vocab[r->most[0].actual]);
        fputs(" is taken for ", out);
        element_name(out, r->p->vocab[r->most[0].predicted]);
        fprintf(out, " (%u time%s). ", r->most[0].count, PLURAL(r->most[0].count));
    }
}

/* Mean probability of the predictions against the share that is right. */
static void put_trust(FILE *out, const struct report *r)
{
    double accuracy = 1 - (double)r->errors / r->p->n, confidence = 0;

    for (uint32_t i = 0; i < r->p->n; i++)
        confidence +=
            (double)r->p->prob[(size_t)i * (size_t)r->p->classes + (size_t)r->p->predicted[i]] /
            r->p->n;
    fprintf(out,
            "Its predictions have a mean probability of %.2f and %.2f of them are right, so it is "
            "%s. ",
            confidence, accuracy,
            confidence > accuracy + 0.03   ? "too sure of itself"
            : confidence < accuracy - 0.03 ? "less sure than it could be"
                                           : "about as sure as it should be");
}

static void put_duration(FILE *out, double seconds)
{
    const long s = lrint(seconds);

    if (s >= 3600)
        fprintf(out, "%ld h %ld min", s / 3600, s / 60 % 60);
    else if (s >= 60)
        fprintf(out, "%ld min %ld s", s / 60, s % 60);
    else
        fprintf(out, "%ld s", s);
}

static enum monitor monitor_of(const struct report *r)
{
    return monitor_find(json_text_at(r->params, "train.monitor", NULL, NULL));
}

static void put_training(FILE *out, const struct report *r)
{
    const struct times t = sum_times(r);
    const struct epoch_line *best = &r->run.figures.best;
    const enum monitor which = monitor_of(r);
    const struct monitor_row *by = &monitor_rows[which];

    if (t.n == 0)
        return;
    fprintf(out, "Training took %zu epoch%s, ", t.n, PLURAL(t.n));
    put_duration(out, t.seconds);
    fputs(" in all", out);
    if (t.train > 0)
        fprintf(out, ", of which %.1f&nbsp;%% was waiting for data", 100 * t.wait / t.seconds);
    fputs(". ", out);
    if (best->epoch == FIELD_NO_INT)
        return;
    fprintf(out, "The best epoch by %s", by->label);
    if (!by->always)
        fprintf(out, " (%.4f)", known(best->metric[which]));
    fprintf(out, " is %lld, counted from 0, with an error rate of %.4f.", (long long)best->epoch,
            known(best->metric[MONITOR_ERROR_RATE]));
}

static void put_remarks(FILE *out, const struct report *report)
{
    const json_t *list = report->run.facts.remarks, *remark;
    bool begun = false;
    size_t i;

    json_array_foreach(list, i, remark)
    {
        struct remark_record r;

        fields_read(remark_fields, 0, &r, remark, NULL);
        if (!r.text || !r.warning)
            continue;
        fputs(begun ? "<li>" : "<ul class=\"remarks\">\n<li>", out);
        markup_text(out, r.text);
        fputs("</li>\n", out);
        begun = true;
    }
    if (begun)
        fputs("</ul>\n", out);
}

static void put_tile(FILE *out, const char *name, double value)
{
    fprintf(out, "<div><dt>%s</dt><dd>%.4f</dd></div>\n", name, value);
}

int report_summary(FILE *out, struct report *r, struct err *err)
{
    (void)err;
    if (!r->p) {
        fputs("<p class=\"lead\">There are no predictions to show.</p>\n<p>", out);
        markup_text(out, r->no_predictions);
        fputc(' ', out);
        put_training(out, r);
        fputs("</p>\n", out);
        put_remarks(out, r);
        return 0;
    }
    put_result(out, r);
    put_trust(out, r);
    put_training(out, r);
    fputs("</p>\n", out);
    put_remarks(out, r);
    if (!r->from->shards) {
        fputs("<p class=\"note\">This page has no pictures: ", out);
        markup_text(out, r->from->no_shards ? r->from->no_shards : "the shards were not asked for");
        fputs(". Everything else is from the run's folder.</p>\n", out);
    }
    fputs("<dl class=\"tiles\">\n", out);
    put_tile(out, "error rate", (double)r->errors / r->p->n);
    for (int i = MONITORS_ALWAYS; i < MONITORS; i++)
        if (metrics_says((enum monitor)i, r->p->classes))
            put_tile(out, monitor_rows[i].label, metrics_value(&r->metrics, (enum monitor)i));
    fputs("</dl>\n", out);
    return 0;
}

/* --- curves --------------------------------------------------------------------------------------- */

struct curve {
    double *x, *y;
    int n;
};

/* The first member of each point and its COLUMN; points that lack one are left out. */
static int take_points(struct curve *c, const json_t *points, size_t column, struct err *err)
{
    const size_t n = json_array_size(points);

    c->x = calloc(n + 1, sizeof *c->x);
    c->y = calloc(n + 1, sizeof *c->y);
    if (!c->x || !c->y)
        return err_set(err, ERR_NOMEM, "curve");
    for (size_t i = 0; i < n; i++) {
        const json_t *point = json_array_get(points, i);
        const json_t *x = json_array_get(point, 0), *y = json_array_get(point, column);

        if (!json_is_number(x) || !json_is_number(y))
            continue;
        c->x[c->n] = json_number_value(x);
        c->y[c->n++] = json_number_value(y);
    }
    return 0;
}

/* The member NAME of each epoch; NULL: none is drawn without points. */
static int take_epochs(struct curve *c, const struct field_lines *epochs, const char *name,
                       struct err *err)
{
    c->x = calloc(epochs->n + 1, sizeof *c->x);
    c->y = calloc(epochs->n + 1, sizeof *c->y);
    if (!c->x || !c->y)
        return err_set(err, ERR_NOMEM, "curve");
    c->n = name ? epochs_curve(c->x, c->y, epochs, name) : 0;
    return 0;
}

struct drawing {
    struct plot_options o;
    struct {
        const char *name, *member; /* of metrics.jsonl; NULL: only the points have it */
        size_t column;             /* of the points, which are finer; 0: none */
    } series[2];
    bool momentum; /* the points are those of the recipe */
};

static const struct drawing drawings[] = {
    {{.title = "Loss",
      .x_label = "epochs trained",
      .whole_x = true,
      .y_label = "cross-entropy, nat",
      .calm = true},
     {{"train", "train_loss", 1}, {"valid", "valid_loss", 0}},
     false},
    {{.title = "Error rate",
      .x_label = "epochs trained",
      .whole_x = true,
      .y_label = "share of pictures"},
     {{"valid", "error_rate", 0}, {NULL, NULL, 0}},
     false},
    {{.title = "Learning rate", .x_label = "epochs trained", .whole_x = true, .y_label = "rate"},
     {{"head", "lr", 2}, {"first layers", "lr_first", 3}},
     false},
    {{.title = "Momentum", .x_label = "epochs trained", .whole_x = true, .y_label = "momentum"},
     {{"all layers", NULL, 1}, {NULL, NULL, 0}},
     true}};

static int put_drawing(FILE *out, const struct report *r, const struct drawing *d, struct err *err)
{
    const json_t *points = d->momentum ? r->from->momentum : r->points;
    struct plot_options o = d->o;
    struct plot_series series[2];
    struct curve curves[2] = {{0}};
    int n = 0, rc = 0;

    for (; n < 2 && d->series[n].name && rc == 0; n++) {
        const bool fine = d->series[n].column > 0 && json_array_size(points) > 1;

        rc = fine ? take_points(&curves[n], points, d->series[n].column, err)
                  : take_epochs(&curves[n], &r->epochs, d->series[n].member, err);
        series[n] =
            (struct plot_series){d->series[n].name, curves[n].x, curves[n].y, curves[n].n, !fine};
    }
    /* A recipe continues where a run ended early. */
    while (d->momentum && curves[0].n > 0 && curves[0].x[curves[0].n - 1] >= (double)r->epochs.n)
        series[0].n = --curves[0].n;
    o.width = 480;
    o.height = 320;
    if (rc == 0 && (!d->momentum || curves[0].n > 0)) {
        fputs("<figure class=\"chart\">\n", out);
        rc = plot_lines_svg(out, &o, series, n, err);
        fputs("</figure>\n", out);
    }
    for (int k = 0; k < 2; k++) {
        free(curves[k].x);
        free(curves[k].y);
    }
    return rc;
}

static void put_epochs(FILE *out, const struct report *r)
{
    const struct monitor_row *by = &monitor_rows[monitor_of(r)];
    const struct epoch_line *lines = r->epochs.all;
    const char *const columns[] = {"epoch",    "phase", "train_loss", "valid_loss", "error_rate",
                                   "accuracy", "lr",    "steps",      by->key};
    const size_t n = sizeof columns / sizeof *columns - (by->always ? 1 : 0);

    fputs("<details><summary>Epochs as a table</summary><div class=\"wide\"><table "
          "class=\"sort\">\n<thead><tr>",
          out);
    for (size_t k = 0; k < n; k++)
        element_th(out, columns[k], k != 1);
    fputs("</tr></thead>\n<tbody>\n", out);
    for (size_t i = 0; i < r->epochs.n; i++) {
        fputs("<tr>", out);
        for (size_t k = 0; k < n; k++) {
            json_t *value = field_json(field_find(epoch_fields, columns[k]), &lines[i]);

            fputs(json_is_number(value) ? "<td class=\"n\">" : "<td>", out);
            if (json_is_real(value))
                fprintf(out, strcmp(columns[k], "lr") == 0 ? "%.3g" : "%.4f",
                        json_real_value(value));
            else
                element_value(out, value);
            fputs("</td>", out);
            json_decref(value);
        }
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div></details>\n", out);
}

/* Losses of the range test (lr_find.csv: step, rate, loss, smoothed loss). */
static int put_range_test(FILE *out, const struct report *r, struct err *err)
{
    const struct plot_options o = {.title = "Range test",
                                   .x_label = "learning rate",
                                   .y_label = "cross-entropy, nat",
                                   .log_x = true,
                                   .calm = true,
                                   .width = 480,
                                   .height = 320};
    char path[PATH_LEN], *text, *rest, *line;
    double *values;
    size_t size, n = 0, room;
    int rc = -1;

    if (path_format(path, err, "%s/lr_find.csv", r->run.folder) < 0)
        return -1;
    if (!path_exists(path))
        return 0;
    if (path_read(&text, &size, path, RANGE_MAX, err) < 0)
        return -1;
    room = size / 8 + 1; /* a row has more bytes */
    values = calloc(3 * room, sizeof *values);
    if (!values) {
        free(text);
        return err_set(err, ERR_NOMEM, "%s", path);
    }
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        n += sscanf(line, "%*d,%lf,%lf,%lf", &values[n], &values[room + n],
                    &values[2 * room + n]) == 3;
    {
        const struct plot_series smoothed = {"smoothed loss", values, values + 2 * room, (int)n,
                                             false};

        fputs("<div class=\"charts\"><figure class=\"chart\">\n", out);
        rc = plot_lines_svg(out, &o, &smoothed, 1, err);
        fputs("</figure></div>\n", out);
    }
    free(values);
    free(text);
    return rc;
}

static void put_rates(FILE *out, const struct run_rates *found)
{
    const struct field *first = run_rate_fields + 1; /* behind the steps */

    fputs("<p>Rates that the range test suggests:", out);
    for (const struct field *row = first; row->name; row++)
        fprintf(out, "%s %s %.2e", row > first ? "," : "", row->name, field_number(row, found));
    fputs(".</p>\n", out);
}

static void put_bad_line(FILE *out, const char *file, size_t line)
{
    if (line > 0)
        fprintf(out, "<p class=\"bad\">%s: line %zu is no JSON object: left out.</p>\n", file,
                line);
}

int report_curves(FILE *out, struct report *r, struct err *err)
{
    const struct run_rates *found = &r->run.facts.lr_find;

    if (found->steps != FIELD_NO_INT) {
        put_rates(out, found);
        if (put_range_test(out, r, err) < 0)
            return -1;
    }
    put_bad_line(out, "metrics.jsonl", r->epochs.bad);
    put_bad_line(out, "timing.jsonl", r->timings.bad);
    if (r->epochs.n == 0 && json_array_size(r->points) == 0)
        return 0;
    fputs("<div class=\"charts\">\n", out);
    for (size_t i = 0; i < sizeof drawings / sizeof *drawings; i++)
        if (put_drawing(out, r, &drawings[i], err) < 0)
            return -1;
    fputs("</div>\n", out);
    if (r->epochs.n > 0)
        put_epochs(out, r);
    return 0;
}

/* --- tables --------------------------------------------------------------------------------------- */

/* What `eval --split`, `--set` and `--tta` have found since. */
int report_scores(FILE *out, struct report *r, struct err *err)
{
    json_t *scores;

    if (score_list(&scores, NULL, r->run.folder, err) < 0)
        return -1;
    if (json_array_size(scores) == 0)
        fputs("<p class=\"note\">None yet. <code>eval RUN --split test</code>, <code>--set</code> "
              "and <code>--tta</code> add some.</p>\n",
              out);
    else
        fputs("<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">pictures</th><th "
              "scope=\"col\" class=\"n\">number</th><th scope=\"col\" class=\"n\">error rate</th>"
              "<th scope=\"col\" class=\"n\">95 % interval</th><th scope=\"col\" "
              "class=\"n\">loss</th></tr></thead>\n",
              out);
    for (size_t i = 0; i < json_array_size(scores); i++) {
        struct score_record s;
        int64_t errors, n;
        char text[1200];
        double low, high;

        fields_read(score_fields, SCORE_VERSION, &s, json_array_get(scores, i), NULL);
        errors = s.errors;
        n = s.pictures;
        if (n < 1 || errors < 0 || errors > n)
            continue;
        stats_wilson(&low, &high, (uint64_t)errors, (uint64_t)n);
        score_text(text, sizeof text, &s);
        fputs("<tr>", out);
        element_td(out, text);
        fprintf(out,
                "<td class=\"n\">%lld</td><td class=\"n\">%.4f</td><td class=\"n\">%.4f to "
                "%.4f</td><td class=\"n\">%.4f</td></tr>\n",
                (long long)n, (double)errors / (double)n, low, high, known(s.loss));
    }
    if (json_array_size(scores) > 0)
        fputs("</table></div>\n", out);
    json_decref(scores);
    return 0;
}

int report_time(FILE *out, struct report *r, struct err *err)
{
    const struct times t = sum_times(r);
    const struct epoch_timing *last = (const struct epoch_timing *)r->timings.all + t.n - 1;
    const double other = t.seconds - t.train - t.valid;
    const double waited = fmin(t.wait, t.train);
    const struct {
        const char *name;
        double seconds;
    } rows[] = {{"training", t.train - waited},
                {"waiting for data", waited},
                {"validation", t.valid},
                {"checkpoints and the rest", other > 0 ? other : 0}};
    char text[32];

    (void)err;
    fputs("<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">for</th><th scope=\"col\" "
          "class=\"n\">time</th><th scope=\"col\" class=\"n\">share</th></tr></thead>\n",
          out);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        clock_duration(rows[i].seconds, text, sizeof text);
        fprintf(out,
                "<tr><th scope=\"row\">%s</th><td class=\"n\">%s</td><td class=\"n\">%.1f %%</td>"
                "</tr>\n",
                rows[i].name, text, t.seconds > 0 ? 100 * rows[i].seconds / t.seconds : 0);
    }
    clock_duration(t.seconds, text, sizeof text);
    fprintf(out,
            "<tr><th scope=\"row\">all %zu epochs</th><td class=\"n\">%s</td><td "
            "class=\"n\"></td></tr>\n</table></div>\n",
            t.n, text);
    fprintf(out,
            "<p class=\"note\">In the last epoch %.1f pictures were trained on in a second; the "
            "most memory was %.0f MiB.</p>\n",
            known(last->images_per_s), (double)last->peak_bytes / (1 << 20));
    return 0;
}

/* What most people look for first; every key is below. */
int report_settings(FILE *out, struct report *r, struct err *err)
{
    static const char *const facts[] = {"set", "split", "classes", "seed", "experiment", "backend"};
    static const char *const keys[] = {"model.arch",  "model.weights",   "train.size",
                                       "train.batch", "train.precision", "train.phases"};

    (void)err;
    fputs("<div class=\"wide\"><table>\n", out);
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        if (json_at(r->run.run, facts[i], NULL))
            element_row(out, facts[i], json_at(r->run.run, facts[i], NULL));
    element_rows(out, "pictures", json_at(r->run.run, "pictures", NULL));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_at(r->params, keys[i], NULL))
            element_row(out, keys[i], json_at(r->params, keys[i], NULL));
    fputs("</table></div>\n<details><summary>Every key of the experiment</summary><div "
          "class=\"wide\"><table>\n",
          out);
    element_rows(out, "", r->params);
    fputs("</table></div></details>\n", out);
    return 0;
}

static void put_verdict(FILE *out, const json_t *rows)
{
    size_t failed = 0, unchecked = 0;

    for (size_t i = 0; i < json_array_size(rows); i++) {
        const char *result = json_string_value(json_array_get(json_array_get(rows, i), 1));

        failed += result && strcmp(result, "FAILED") == 0;
        unchecked += result && strcmp(result, "not checked") == 0;
    }
    if (failed > 0)
        fprintf(out, "<p class=\"bad\"><b>%zu link%s of the chain of hashes failed.</b></p>\n",
                failed, PLURAL(failed));
    else
        fprintf(out,
                "<p><b class=\"good\">Every link of the chain of hashes that could be checked "
                "is valid</b>; %zu could not be.</p>\n",
                unchecked);
    fputs("<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">link</th><th "
          "scope=\"col\">result</th><th scope=\"col\">what</th></tr></thead>\n",
          out);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *result = json_string_value(json_array_get(row, 1));

        fprintf(out, "<tr class=\"%s\">", result && strcmp(result, "FAILED") == 0 ? "bad" : "ok");
        element_td(out, json_string_value(json_array_get(row, 0)));
        element_td(out, result);
        fputs("<td class=\"long\">", out);
        markup_text(out, json_string_value(json_array_get(row, 2)));
        fputs("</td></tr>\n", out);
    }
    fputs("</table></div>\n", out);
}

int report_origin(FILE *out, struct report *r, struct err *err)
{
    (void)err;
    if (r->from->verify)
        put_verdict(out, r->from->verify);
    else if (r->from->served)
        fputs("<p>The chain of hashes from these predictions back to the pictures is checked when "
              "you ask for it, which reads all of them: <a id=\"verify\" href=\"\">check "
              "now</a>.</p>\n",
              out);
    else
        fputs("<p>The chain of hashes from these predictions back to the pictures was not checked "
              "when this page was written. <code>eval RUN --verify</code> does it, <code>eval RUN "
              "--report</code> writes this page again, with its verdict.</p>\n",
              out);
    fputs("<details><summary>The run's record</summary><div class=\"wide\"><table>\n", out);
    element_rows(out, "", r->run.run);
    fputs("</table></div></details>\n", out);
    return 0;
}
