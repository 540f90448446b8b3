/* report_pictures.c - a run's page: what it predicts, with pictures. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/markup.h"
#include "draw/canvas.h"
#include "draw/element.h"
#include "draw/report_private.h"
#include "draw/thumb.h"
#include "run/stats.h"

enum { SHADES = 9 };

/* --- confusion matrix ----------------------------------------------------------------------------- */

/* A column's or row's heading; the whole name is in the title, as long ones are cut. */
static void put_class(FILE *out, const struct report *r, int32_t c, const char *scope)
{
    fprintf(out, "<th scope=\"%s\" title=\"", scope);
    markup_text(out, r->p->vocab[c]);
    fputs("\"><span>", out);
    markup_text(out, r->p->vocab[c]);
    fputs("</span></th>", out);
}

/* A shade from 1 to SHADES: r for right ones, w for mistakes, whose root lets one in fifty be seen. */
static void put_cell(FILE *out, uint32_t count, uint32_t total, bool right)
{
    const double share = (double)count / total;
    const int shade = (int)ceil((right ? share : sqrt(share)) * SHADES);

    if (count == 0)
        fputs("<td></td>", out);
    else
        fprintf(out, "<td class=\"%c%d\">%u</td>", right ? 'r' : 'w', shade, count);
}

int report_matrix(FILE *out, struct report *r, struct err *err)
{
    const size_t classes = (size_t)r->p->classes;

    (void)err;
    if (r->n_shown < r->p->classes)
        fprintf(out,
                "<p class=\"note\">The %d of %d classes with most mistakes; confusion.csv has all "
                "of them.</p>\n",
                r->n_shown, r->p->classes);
    fputs("<p class=\"note\">Rows are the actual classes, columns the predicted ones; shaded by "
          "the share of the row.</p>\n<div id=\"views\"></div>\n",
          out);
    fprintf(out,
            "<div class=\"wide\"><table class=\"matrix%s\" id=\"matrix\">\n<thead><tr><td>actual "
            "\\ predicted</td>",
            r->n_shown > 50 ? " small" : "");
    for (int32_t k = 0; k < r->n_shown; k++)
        put_class(out, r, r->shown[k], "col");
    fputs("</tr></thead>\n<tbody>\n", out);
    for (int32_t a = 0; a < r->n_shown; a++) {
        const uint32_t *row = r->counts + (size_t)r->shown[a] * classes;

        fputs("<tr>", out);
        put_class(out, r, r->shown[a], "row");
        for (int32_t k = 0; k < r->n_shown; k++)
            put_cell(out, row[r->shown[k]], r->scores[r->shown[a]].support, k == a);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n<p id=\"told\" class=\"note\"></p>\n<div id=\"cell\" "
          "aria-live=\"polite\"></div>\n",
          out);
    return 0;
}

int report_pairs(FILE *out, struct report *r, struct err *err)
{
    (void)err;
    fputs("<div class=\"wide\"><table id=\"pairs-table\">\n<thead><tr><th "
          "scope=\"col\">actual</th><th scope=\"col\">predicted</th><th scope=\"col\" "
          "class=\"n\">times</th><th scope=\"col\" class=\"n\">of</th></tr></thead>\n<tbody>\n",
          out);
    for (size_t i = 0; i < r->n_most && i < PAIR_ROWS; i++) {
        const struct confused *pair = &r->most[i];

        fprintf(out, "<tr data-actual=\"%d\" data-predicted=\"%d\">", pair->actual,
                pair->predicted);
        element_td(out, r->p->vocab[pair->actual]);
        element_td(out, r->p->vocab[pair->predicted]);
        fprintf(out, "<td class=\"n\">%u</td><td class=\"n\">%u</td></tr>\n", pair->count,
                r->scores[pair->actual].support);
    }
    fputs("</tbody></table></div>\n", out);
    if (r->n_most > PAIR_ROWS)
        fprintf(out, "<p class=\"note\">And %zu pairs more.</p>\n", r->n_most - PAIR_ROWS);
    return 0;
}

/* --- top losses ----------------------------------------------------------------------------------- */

/* The class activation map, which the page's script shows in the picture's place. */
static int put_cam(FILE *out, const struct report *r, const char *id, int class, struct err *err)
{
    const int64_t rank = r->from->cam && r->from->shards ? shard_set_rank(r->from->shards, id) : -1;
    struct err why = {0};
    uint8_t *jpeg;
    size_t size;

    if (rank < 0)
        return 0;
    if (r->from->cam(r->from->cam_of, &jpeg, &size, (uint32_t)rank, class, &why) < 0) {
        if (why.kind == ERR_NOMEM)
            return err_set(err, why.kind, "%s", why.msg);
        log_warn("%s; the page is without this class activation map", why.msg);
        return 0;
    }
    fprintf(out, "<img class=\"cam\" hidden width=\"%d\" height=\"%d\" alt=\"", THUMB_SIDE,
            THUMB_SIDE);
    markup_text(out, id);
    fputs("\" src=\"data:image/jpeg;base64,", out);
    markup_base64(out, jpeg, size);
    fputs("\">", out);
    free(jpeg);
    return 0;
}

/* The I-th of the page's pictures, which begin with the top losses. */
static int put_picture(FILE *out, const struct report *r, size_t i, struct err *err)
{
    const uint32_t at = r->order[i];
    const float *prob = r->p->prob + (size_t)at * (size_t)r->p->classes;
    const int32_t actual = r->p->actual[at], predicted = r->p->predicted[at];
    const char *id = r->p->ids[at];

    fprintf(out, "<figure class=\"picture\" id=\"picture-%zu\"><div>", i);
    thumb_put(out, json_array_get(r->pictures, i), id);
    if (put_cam(out, r, id, predicted, err) < 0)
        return -1;
    fprintf(out, "</div><figcaption><b class=\"%s\">", actual == predicted ? "good" : "bad");
    element_name(out, r->p->vocab[predicted]);
    fprintf(out, "</b> <span>%.0f&nbsp;%%</span><br>", 100 * (double)prob[predicted]);
    if (actual != predicted) {
        fputs("is ", out);
        element_name(out, r->p->vocab[actual]);
        fprintf(out, " <span>%.0f&nbsp;%%</span><br>", 100 * (double)prob[actual]);
    }
    fprintf(out, "<span>loss %.2f</span><br><span class=\"id\">", (double)r->p->loss[at]);
    element_name(out, id);
    fputs("</span></figcaption></figure>\n", out);
    return 0;
}

int report_losses(FILE *out, struct report *r, struct err *err)
{
    size_t n = json_array_size(r->pictures);

    fputs("<p class=\"note\">The prediction with its probability, then the actual class with "
          "its.</p>\n",
          out);
    if (r->from->shards && (r->from->cam || r->from->served))
        fputs("<div id=\"cams\"></div>\n", out);
    fputs("<div class=\"pictures\">\n", out);
    for (size_t i = 0; i < n && i < LOSS_PICTURES; i++)
        if (put_picture(out, r, i, err) < 0)
            return -1;
    fputs("</div>\n", out);
    /* The page has these once: the script finds them in the elements above. */
    for (size_t i = 0; i < n && i < LOSS_PICTURES; i++)
        json_object_del(json_array_get(r->pictures, i), "jpeg");
    return 0;
}

/* --- classes -------------------------------------------------------------------------------------- */

int report_classes(FILE *out, struct report *r, struct err *err)
{
    (void)err;
    fputs("<div class=\"wide\"><table class=\"sort\">\n<thead><tr><th scope=\"col\">class</th>",
          out);
    element_th(out, "pictures", 1);
    element_th(out, "predicted", 1);
    element_th(out, "correct", 1);
    element_th(out, "precision", 1);
    element_th(out, "recall", 1);
    element_th(out, "95 % interval", 1);
    element_th(out, "F1", 1);
    fputs("</tr></thead>\n<tbody>\n", out);
    for (int32_t c = 0; c < r->p->classes; c++) {
        const struct class_score *s = &r->scores[c];

        fputs("<tr>", out);
        element_td(out, r->p->vocab[c]);
        fprintf(out, "<td class=\"n\">%u</td><td class=\"n\">%u</td><td class=\"n\">%u</td>",
                s->support, s->predicted, s->correct);
        if (s->support == 0) { /* nothing to recall */
            fputs("<td></td><td></td><td></td><td></td></tr>\n", out);
            continue;
        }
        element_td_number(out, s->precision, 3);
        element_td_number(out, s->recall, 3);
        fprintf(out, "<td class=\"n\">%.3f to %.3f</td>", s->low, s->high);
        element_td_number(out, s->f1, 3);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
    return 0;
}

/* --- calibration ---------------------------------------------------------------------------------- */

/* A square of SIDE: a dot for each bin, its mean probability to the right, its share of right ones up, with the 95 %
 * interval of that. */
static int draw_reliability(FILE *out, const struct calibration_bin *bins, int n, struct err *err)
{
    const double left = 56, top = 16, side = 260;
    const uint32_t ink = 0x333333, grid = 0xe6e6e6;
    const double ends[] = {left, left + side}, falls[] = {top + side, top};
    struct canvas *c;
    char text[16];

    if (canvas_new_svg(&c, out, left + side + 20, top + side + 52, err) < 0)
        return -1;
    for (int k = 0; k <= 5; k++) {
        const double at = k * side / 5;
        const double across[] = {top + side - at, top + side - at}, down[] = {left + at, left + at};

        canvas_line(c, ends, across, 2, grid, 1);
        canvas_line(c, down, falls, 2, grid, 1);
        snprintf(text, sizeof text, "%.1f", k / 5.0);
        canvas_text(c, left - 8, top + side - at + 4, 12, ANCHOR_END, 0, ink, text);
        canvas_text(c, left + at, top + side + 18, 12, ANCHOR_MIDDLE, 0, ink, text);
    }
    canvas_dashes(c, ends, falls, 2, 0x999999, 1);
    for (int b = 0; b < n; b++) {
        const double x[] = {left + side * bins[b].confidence, left + side * bins[b].confidence};
        double low, high;

        stats_wilson(&low, &high, bins[b].correct, bins[b].n);
        canvas_line(c, x, (const double[]){top + side * (1 - low), top + side * (1 - high)}, 2,
                    0x0072b2, 1.2);
        canvas_dot(c, x[0], top + side * (1 - (double)bins[b].correct / bins[b].n), 3.5, 0x0072b2);
    }
    canvas_text(c, left + side / 2, top + side + 42, 12, ANCHOR_MIDDLE, 0, ink,
                "mean probability of the prediction");
    canvas_text(c, 16, top + side / 2, 12, ANCHOR_MIDDLE, -90, ink, "share that is right");
    canvas_end_svg(c);
    canvas_free(c);
    return 0;
}

int report_calibration(FILE *out, struct report *r, struct err *err)
{
    struct calibration_bin bins[METRICS_BINS];
    int n;

    if (metrics_bins(bins, &n, r->p, err) < 0)
        return -1;
    fprintf(
        out,
        "<p class=\"note\">Each dot is one of %d bins of equally many pictures, with the 95 %% "
        "interval of the share that is right. Below the dashed line the network is surer than it "
        "is right.</p>\n<div class=\"beside\"><figure class=\"chart small\">\n",
        n);
    if (draw_reliability(out, bins, n, err) < 0)
        return -1;
    fputs("</figure>\n<div class=\"wide\"><table>\n", out);
    for (int i = MONITORS_ALWAYS; i < METRICS; i++) {
        char interval[80] = "";
        double low, high;

        if (metrics_interval(&low, &high, &r->metrics, (enum monitor)i))
            snprintf(interval, sizeof interval, "; 95 %% interval %.4f to %.4f", low, high);
        fprintf(out,
                "<tr><th scope=\"row\">%s<br><span class=\"note\">%s%s</span></th><td class=\"n\">"
                "%.4f</td></tr>\n",
                monitor_rows[i].label, monitor_rows[i].what, interval,
                metrics_value(&r->metrics, (enum monitor)i));
    }
    fputs("</table></div></div>\n", out);
    return 0;
}
