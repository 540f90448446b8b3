/* html.c - the report: each part from one file of the run folder, left out where that is missing.
 *
 * Nothing of a run folder is put in as markup: texts are escaped, the confusion matrix is drawn anew
 * from the predictions, other plots are embedded as pictures, which run no script, and the page's
 * policy forbids scripts and addresses anyway. SPDX-License-Identifier: MIT */
#include "record/html.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/path.h"
#include "base/yaml.h"
#include "base/yaml.h"
#include "record/markup.h"
#include "record/plot.h"
#include "record/predictions.h"
#include "record/run.h"
#include "record/score.h"
#include "record/stats.h"

enum { PLOT_MAX = 64 << 20, LINES_MAX = 256 << 20, CONFUSED_ROWS = 20, LOSS_ROWS = 25 };

struct report {
    FILE *out;
    struct run_entry run;
    struct predictions *p; /* NULL: none */
    uint32_t *counts;      /* of p */
    uint32_t errors;       /* of p */
};

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
    "style-src 'unsafe-inline'; img-src data:\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<style>\n"
    "body{font:15px/1.5 system-ui,'DejaVu Sans',Helvetica,Arial,sans-serif;color:#222;"
    "background:#fff;max-width:64rem;margin:2rem auto;padding:0 1rem}\n"
    "h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .5rem;"
    "border-bottom:1px solid #ddd}\n"
    "table{border-collapse:collapse;font-size:.87rem}th{text-align:left;font-weight:600;"
    "border-bottom:1px solid #999}\n"
    "th,td{padding:.15rem .9rem .15rem 0;vertical-align:top}tr:nth-child(even) "
    "td{background:#f7f7f7}\n"
    ".n{text-align:right;font-variant-numeric:tabular-nums}.key{color:#666}\n"
    ".big{display:flex;flex-wrap:wrap;gap:2.5rem;margin:1.2rem 0}.big b{display:block;"
    "font-size:1.7rem;font-weight:600}\n"
    ".big span,.note{color:#666;font-size:.87rem}.bad{color:#b2182b}.wide{overflow-x:auto}\n"
    "img{max-width:100%}code{font-size:.8rem;word-break:break-all}\n"
    "details>summary{cursor:pointer;margin:.4rem 0}\n</style>\n";

/* --- small pieces --------------------------------------------------------------------------------- */

static const json_t *find(const json_t *object, const char *a, const char *b)
{
    const json_t *found = json_object_get(object, a);

    return b ? json_object_get(found, b) : found;
}

static const char *text_of(const json_t *object, const char *a, const char *b)
{
    return json_string_value(find(object, a, b));
}

/* A value as a person would write it: text bare, lists and objects as JSON. */
static void put_value(FILE *out, const json_t *value)
{
    char *text;

    if (json_is_string(value)) {
        markup_text(out, json_string_value(value));
        return;
    }
    if (json_is_array(value) && json_is_string(json_array_get(value, 0))) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            fputs(i ? " " : "", out);
            markup_text(out, json_string_value(json_array_get(value, i)));
        }
        return;
    }
    if (!value || json_is_null(value))
        return;
    text = json_text(value, 0);
    markup_text(out, text);
    free(text);
}

static void put_heading(const struct report *r, const char *text)
{
    fprintf(r->out, "<h2>%s</h2>\n", text);
}

static void put_row(const struct report *r, const char *name, const json_t *value)
{
    fputs("<tr><td class=\"key\">", r->out);
    markup_text(r->out, name);
    fputs("</td><td>", r->out);
    put_value(r->out, value);
    fputs("</td></tr>\n", r->out);
}

static bool is_in_head(const char *key)
{
    static const char *const shown[] = {"version", "status", "error", "ran"};

    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        if (strcmp(key, shown[i]) == 0)
            return true;
    return false;
}

/* "a.b" rows for nested objects. */
static void put_rows(const struct report *r, const char *prefix, const json_t *object)
{
    const char *key;
    json_t *value;
    char name[256];

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (!prefix[0] && is_in_head(key))
            continue;
        snprintf(name, sizeof name, "%s%s%s", prefix, prefix[0] ? "." : "", key);
        if (json_is_object(value) && strlen(name) < 200)
            put_rows(r, name, value);
        else
            put_row(r, name, value);
    }
}

/* --- parts ---------------------------------------------------------------------------------------- */

static void put_head(const struct report *r)
{
    const char *ran = text_of(r->run.run, "ran", NULL); /* older runs have their title alone */
    const char *title = ran ? ran : text_of(r->run.run, "title", NULL);

    fputs(head, r->out);
    fputs("<title>", r->out);
    markup_text(r->out, r->run.name);
    fputs("</title>\n</head>\n<body>\n<h1>", r->out);
    markup_text(r->out, r->run.name);
    fputs("</h1>\n<p>", r->out);
    if (title && title[0]) {
        markup_text(r->out, title);
        fputs("<br>", r->out);
    }
    fprintf(r->out, "<span class=\"%s\">status %s", strcmp(r->run.status, "done") ? "bad" : "note",
            r->run.status);
    if (text_of(r->run.run, "error", NULL)) {
        fputs(": ", r->out);
        markup_text(r->out, text_of(r->run.run, "error", NULL));
    }
    fputs(", started ", r->out);
    markup_text(r->out, text_of(r->run.run, "start", NULL));
    fputs("</span></p>\n", r->out);
}

static void put_figure(const struct report *r, const char *value, const char *name)
{
    fprintf(r->out, "<div><b>%s</b><span>%s</span></div>\n", value, name);
}

/* By what the best epoch was chosen: key train.monitor. Its default is that of runs older than the key. */
static void name_best(const struct report *r, char *name, size_t size)
{
    char path[PATH_LEN];
    json_t *params = NULL;
    const char *by;

    if (path_format(path, NULL, "%s/params.yaml", r->run.folder) == 0 && path_exists(path) &&
        yaml_read(&params, path, NULL) < 0)
        params = NULL;
    by = json_string_value(json_object_get(params, "train.monitor"));
    snprintf(name, size, "error rate of the best epoch by<br>%s (number %lld)",
             by && strcmp(by, "error_rate") == 0 ? "error rate" : "loss",
             (long long)json_integer_value(find(r->run.metrics, "best", "epoch")));
    json_decref(params);
}

static void put_figures(const struct report *r)
{
    const json_t *loss = find(r->run.metrics, "final", "valid_loss");
    const json_t *best = find(r->run.metrics, "best", "error_rate");
    const json_t *clean = find(r->run.metrics, "without_leaks", NULL);
    char value[64], name[160];
    double low, high;

    fputs("<div class=\"big\">\n", r->out);
    if (r->p && r->p->n > 0) {
        stats_wilson(&low, &high, r->errors, r->p->n);
        snprintf(value, sizeof value, "%.4f", (double)r->errors / r->p->n);
        snprintf(name, sizeof name,
                 "error rate: %u of %u validation pictures<br>95 %% interval %.4f to %.4f",
                 r->errors, r->p->n, low, high);
        put_figure(r, value, name);
    }
    if (clean) {
        snprintf(value, sizeof value, "%.4f",
                 json_number_value(json_object_get(clean, "error_rate")));
        snprintf(name, sizeof name, "error rate on the %lld that have no duplicate in training",
                 (long long)json_integer_value(json_object_get(clean, "pictures")));
        put_figure(r, value, name);
    }
    if (json_is_number(loss)) {
        snprintf(value, sizeof value, "%.4f", json_number_value(loss));
        put_figure(r, value, "validation loss, nat");
    }
    if (json_is_number(best)) {
        snprintf(value, sizeof value, "%.4f", json_number_value(best));
        name_best(r, name, sizeof name);
        put_figure(r, value, name);
    }
    if (r->p) {
        snprintf(value, sizeof value, "%d", r->p->classes);
        put_figure(r, value, "classes");
    }
    fputs("</div>\n", r->out);
    if (r->p && text_of(r->run.run, "split", NULL)) {
        fputs("<p class=\"note\">Validation pictures of ", r->out);
        put_value(r->out, find(r->run.run, "set", NULL));
        fputs(", ", r->out);
        put_value(r->out, find(r->run.run, "split", NULL));
        fputs("</p>\n", r->out);
    }
}

/* What `eval --split`, `--set` and `--tta` have found since. */
static int put_scores(const struct report *r, struct err *err)
{
    json_t *scores;

    if (score_list(&scores, r->run.folder, err) < 0)
        return -1;
    if (json_array_size(scores) > 0) {
        put_heading(r, "Other scores");
        fputs("<table>\n<tr><th>of</th><th class=\"n\">pictures</th><th class=\"n\">error rate</th>"
              "<th class=\"n\">95 % interval</th><th class=\"n\">loss</th></tr>\n",
              r->out);
    }
    for (size_t i = 0; i < json_array_size(scores); i++) {
        const json_t *s = json_array_get(scores, i);
        json_int_t errors = json_integer_value(json_object_get(s, "errors"));
        json_int_t n = json_integer_value(json_object_get(s, "pictures"));
        char text[1200];
        double low, high;

        if (n < 1 || errors < 0 || errors > n)
            continue;
        stats_wilson(&low, &high, (uint64_t)errors, (uint64_t)n);
        score_text(text, sizeof text, s);
        fputs("<tr><td>", r->out);
        markup_text(r->out, text);
        fprintf(r->out,
                "</td><td class=\"n\">%lld</td><td class=\"n\">%.4f</td>"
                "<td class=\"n\">%.4f to %.4f</td><td class=\"n\">%.4f</td></tr>\n",
                (long long)n, (double)errors / (double)n, low, high,
                json_number_value(json_object_get(s, "loss")));
    }
    if (json_array_size(scores) > 0)
        fputs("</table>\n", r->out);
    json_decref(scores);
    return 0;
}

static int put_plot(const struct report *r, const char *name, struct err *err)
{
    char path[PATH_LEN], *svg;
    size_t size;

    if (path_format(path, err, "%s/plots/%s", r->run.folder, name) < 0 ||
        path_read(&svg, &size, path, PLOT_MAX, err) < 0)
        return -1;
    fputs("<p><img alt=\"", r->out);
    markup_text(r->out, name);
    fputs("\" src=\"data:image/svg+xml;base64,", r->out);
    markup_base64(r->out, svg, size);
    fputs("\"></p>\n", r->out);
    free(svg);
    return 0;
}

static int is_curve(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');

    return dot && strcmp(dot, ".svg") == 0 && strcmp(entry->d_name, "confusion.svg") != 0;
}

static int put_plots(const struct report *r, struct err *err)
{
    struct dirent **entries;
    char folder[PATH_LEN];
    int n, rc = 0;

    if (path_format(folder, err, "%s/plots", r->run.folder) < 0)
        return -1;
    n = scandir(folder, &entries, is_curve, alphasort);
    if (n <= 0) {
        if (n == 0)
            free(entries);
        return 0;
    }
    put_heading(r, "Curves");
    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = put_plot(r, entries[i]->d_name, err);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

/* A line of metrics.jsonl as a row; columns are the first line's members. */
static void put_epoch(const struct report *r, const json_t *line, bool header)
{
    const char *key;
    json_t *value;

    fputs("<tr>", r->out);
    json_object_foreach((json_t *)(uintptr_t)line, key, value)
    {
        if (strcmp(key, "weights_sha256") == 0 || strcmp(key, "split") == 0)
            continue;
        fprintf(r->out, header ? "<th%s>" : "<td%s>", json_is_number(value) ? " class=\"n\"" : "");
        if (header)
            markup_text(r->out, key);
        else if (json_is_real(value))
            fprintf(r->out, "%.6g", json_real_value(value));
        else
            put_value(r->out, value);
        fputs(header ? "</th>" : "</td>", r->out);
    }
    fputs("</tr>\n", r->out);
}

static int put_epochs(const struct report *r, struct err *err)
{
    char path[PATH_LEN], *text, *rest, *line;
    bool header = true;
    size_t size;

    if (path_format(path, err, "%s/metrics.jsonl", r->run.folder) < 0)
        return -1;
    if (!path_exists(path))
        return 0;
    if (path_read(&text, &size, path, LINES_MAX, err) < 0)
        return -1;
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *object = json_loads(line, 0, NULL);

        if (!json_is_object(object)) { /* a torn last line */
            json_decref(object);
            continue;
        }
        if (header) {
            put_heading(r, "Epochs");
            fputs("<div class=\"wide\"><table>\n", r->out);
            put_epoch(r, object, true);
            header = false;
        }
        put_epoch(r, object, false);
        json_decref(object);
    }
    if (!header)
        fputs("</table></div>\n", r->out);
    free(text);
    return 0;
}

static void put_label(const struct report *r, int32_t label)
{
    fputs("<td>", r->out);
    markup_text(r->out, r->p->vocab[label]);
    fputs("</td>", r->out);
}

static int put_confused(const struct report *r, struct err *err)
{
    struct confused *most;
    size_t n;

    put_heading(r, "Confusion");
    fputs("<div class=\"wide\">\n", r->out);
    if (plot_confusion_svg(r->out, "Confusion matrix", r->counts, r->p->vocab, r->p->classes, err) <
        0)
        return -1;
    fputs("</div>\n", r->out);
    if (confusion_most(&most, &n, r->counts, r->p->classes, 1, err) < 0)
        return -1;
    if (n > 0) {
        put_heading(r, "Most confused");
        fputs("<table>\n<tr><th>actual</th><th>predicted</th><th class=\"n\">times</th></tr>\n",
              r->out);
        for (size_t i = 0; i < n && i < CONFUSED_ROWS; i++) {
            fputs("<tr>", r->out);
            put_label(r, most[i].actual);
            put_label(r, most[i].predicted);
            fprintf(r->out, "<td class=\"n\">%u</td></tr>\n", most[i].count);
        }
        fputs("</table>\n", r->out);
        if (n > CONFUSED_ROWS)
            fprintf(r->out, "<p class=\"note\">and %zu pairs more</p>\n", n - CONFUSED_ROWS);
    }
    free(most);
    return 0;
}

static int put_classes(const struct report *r, struct err *err)
{
    struct class_score *scores = calloc((size_t)r->p->classes, sizeof *scores);

    if (!scores)
        return err_set(err, ERR_NOMEM, "report");
    confusion_scores(scores, r->counts, r->p->classes);
    put_heading(r, "Classes");
    fputs("<table>\n<tr><th>class</th><th class=\"n\">precision</th><th class=\"n\">recall</th>"
          "<th class=\"n\">95 % interval</th><th class=\"n\">f1</th>"
          "<th class=\"n\">pictures</th></tr>\n",
          r->out);
    for (int32_t c = 0; c < r->p->classes; c++) {
        const struct class_score *s = &scores[c];

        fputs("<tr>", r->out);
        put_label(r, c);
        if (s->support == 0) { /* nothing to recall */
            fputs("<td class=\"n\"></td><td class=\"n\"></td><td class=\"n\"></td>"
                  "<td class=\"n\"></td><td class=\"n\">0</td></tr>\n",
                  r->out);
            continue;
        }
        fprintf(
            r->out,
            "<td class=\"n\">%.3f</td><td class=\"n\">%.3f</td><td class=\"n\">%.3f to %.3f</td>"
            "<td class=\"n\">%.3f</td><td class=\"n\">%u</td></tr>\n",
            s->precision, s->recall, s->low, s->high, s->f1, s->support);
    }
    fputs("</table>\n", r->out);
    free(scores);
    return 0;
}

static int put_losses(const struct report *r, struct err *err)
{
    uint32_t *order;

    if (predictions_by_loss(&order, r->p, err) < 0)
        return -1;
    put_heading(r, "Top losses");
    fputs("<table>\n<tr><th>picture</th><th>predicted</th><th>actual</th><th class=\"n\">loss</th>"
          "<th class=\"n\">probability</th></tr>\n",
          r->out);
    for (uint32_t k = 0; k < r->p->n && k < LOSS_ROWS; k++) {
        uint32_t i = order[k];
        const float *row = r->p->prob + (size_t)i * (size_t)r->p->classes;

        fputs("<tr><td>", r->out);
        markup_text(r->out, r->p->ids[i]);
        fputs("</td>", r->out);
        put_label(r, r->p->predicted[i]);
        put_label(r, r->p->actual[i]);
        fprintf(r->out, "<td class=\"n\">%.2f</td><td class=\"n\">%.2f</td></tr>\n",
                (double)r->p->loss[i], (double)row[r->p->predicted[i]]);
    }
    fputs("</table>\n<p class=\"note\">The probability is that of the prediction.</p>\n", r->out);
    free(order);
    return 0;
}

static int put_settings(const struct report *r, struct err *err)
{
    char path[PATH_LEN];
    json_t *params;

    put_heading(r, "What ran");
    fputs("<div class=\"wide\"><table>\n", r->out);
    put_rows(r, "", r->run.run);
    fputs("</table></div>\n", r->out);
    if (path_format(path, err, "%s/params.yaml", r->run.folder) < 0)
        return -1;
    if (!path_exists(path))
        return 0;
    if (yaml_read(&params, path, err) < 0)
        return -1;
    fputs("<details><summary>Every key of the experiment</summary><table>\n", r->out);
    put_rows(r, "", params);
    fputs("</table></details>\n", r->out);
    json_decref(params);
    return 0;
}

static int put_report(const struct report *r, struct err *err)
{
    put_head(r);
    put_figures(r);
    if (put_scores(r, err) < 0 || put_plots(r, err) < 0 || put_epochs(r, err) < 0)
        return -1;
    if (r->p && (put_confused(r, err) < 0 || put_losses(r, err) < 0 || put_classes(r, err) < 0))
        return -1;
    if (put_settings(r, err) < 0)
        return -1;
    fputs("</body>\n</html>\n", r->out);
    return 0;
}

static int open_predictions(struct report *r, struct err *err)
{
    if (predictions_read(&r->p, r->run.folder, err) < 0)
        return err && err->kind == ERR_INPUT ? 0 : -1; /* none yet */
    if (confusion_count(&r->counts, r->p, err) < 0)
        return -1;
    for (uint32_t i = 0; i < r->p->n; i++)
        r->errors += r->p->predicted[i] != r->p->actual[i];
    return 0;
}

int html_report(const char *folder, struct err *err)
{
    struct report r = {0};
    struct new_file f = {0};
    char path[PATH_LEN];
    int rc = -1;

    if (run_open(&r.run, folder, err) < 0)
        return -1;
    /* train writes the report last of all: metrics.json is there, the run all but over. */
    if (r.run.metrics && strcmp(r.run.status, "running") == 0)
        r.run.status = "done";
    if (open_predictions(&r, err) < 0 ||
        path_format(path, err, "%s/report.html", r.run.folder) < 0 ||
        new_file_begin(&f, path, err) < 0)
        goto out;
    r.out = f.file;
    if (put_report(&r, err) < 0)
        new_file_abort(&f);
    else
        rc = new_file_finish(&f, err);
out:
    free(r.counts);
    predictions_free(r.p);
    run_entry_free(&r.run);
    return rc;
}
