/* comparison_page.c - a comparison as a page: verdicts in words first, then intervals, curves over each other, keys
 * that differ, and the pictures that one run gets right and the other wrong. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/markup.h"
#include "base/path.h"
#include "charts.h"
#include "comparison_private.h"
#include "draw/element.h"
#include "draw/page.h"
#include "draw/thumb.h"

enum { PICTURES = 400, PICTURES_EACH = 60, NAME_LENGTH = 200 };

struct page_of {
    const struct comparison *c;
    struct shard_set *shards; /* of the first run; NULL: no pictures */
    struct err why;           /* then */
};

static const char *name_of(const struct comparison *c, size_t i)
{
    return c->runs[i].run.name;
}

/* --- summary -------------------------------------------------------------------------------------- */

static void put_name(FILE *out, const struct comparison *c, size_t i)
{
    fputs("<b>", out);
    markup_text(out, name_of(c, i));
    fputs("</b>", out);
}

static void put_p(FILE *out, double p)
{
    if (p < 0.0001)
        fputs("below 0.0001", out);
    else
        fprintf(out, "%.4f", p);
}

static void put_test(FILE *out, const struct comparison *c, size_t i)
{
    static const char *const words[] = {[VERDICT_SAME] = "is not distinguishable from",
                                        [VERDICT_BETTER] = "is better than",
                                        [VERDICT_WORSE] = "is worse than"};
    static const char *const colours[] = {
        [VERDICT_SAME] = "", [VERDICT_BETTER] = "good", [VERDICT_WORSE] = "bad"};
    const struct pairing *p = &c->pairs[i];
    const enum verdict_kind verdict = pairing_verdict(p);

    fputs("<p class=\"lead\">", out);
    put_name(out, c, i);
    if (!p->tested) {
        fputs(" was not tested against ", out);
        put_name(out, c, 0);
        fputs(": ", out);
        markup_text(out, p->why_not);
        fputs(".</p>\n", out);
        return;
    }
    fprintf(out, " <span class=\"%s\">%s</span> ", colours[verdict],
            p->identical ? "has the same probabilities, bit by bit, as" : words[verdict]);
    put_name(out, c, 0);
    fprintf(out,
            ".</p>\n<p>Its error rate differs by %+.4f (95&nbsp;%% interval %+.4f to %+.4f) on the "
            "same %u pictures: %u are wrong only in ",
            p->difference, p->low, p->high, p->n, p->first_only);
    markup_text(out, name_of(c, 0));
    fprintf(out, ", %u only here, %u in both. McNemar's mid-p is ", p->second_only, p->both);
    put_p(out, p->p);
    if (c->n_tests > 1) {
        fputs(", ", out);
        put_p(out, p->adjusted);
        fprintf(out, " by Holm for %zu tests at once", c->n_tests);
    }
    fprintf(out,
            "; a difference below %.4f would not be significant with this many pictures.</p>\n",
            p->least);
}

/* The same test without the pictures that have duplicates in training, where there are any. */
static void put_clean(FILE *out, const struct comparison *c, size_t i)
{
    const struct pairing *p = &c->clean[i];

    if (!p->tested && !p->why_not[0])
        return;
    fputs("<p>Without pictures that have duplicates in training: ", out);
    if (!p->tested) {
        fputs("not tested: ", out);
        markup_text(out, p->why_not);
        fputs(".</p>\n", out);
        return;
    }
    fprintf(out,
            "%s. The error rate differs by %+.4f (95&nbsp;%% interval %+.4f to %+.4f) on %u "
            "pictures, mid-p is ",
            p->identical ? "identical" : pairing_word(p), p->difference, p->low, p->high, p->n);
    put_p(out, p->p);
    if (c->n_clean > 1) {
        fputs(", ", out);
        put_p(out, p->adjusted);
        fprintf(out, " by Holm for %zu tests at once", c->n_clean);
    }
    fputs(".</p>\n", out);
}

static int put_title(FILE *out, void *of, struct err *err)
{
    const struct comparison *c = ((struct page_of *)of)->c;

    (void)err;
    for (size_t i = 1; i < c->n && i < 4; i++) {
        fputs(i > 1 ? ", " : "", out);
        markup_text(out, name_of(c, i));
    }
    fputs(c->n > 4 ? " and others against " : " against ", out);
    markup_text(out, name_of(c, 0));
    return 0;
}

/* By which labels the runs are judged, where not all have the same. */
static void put_labels(FILE *out, const struct comparison *c)
{
    const json_t *row;
    size_t i;

    if (c->relabelled.several)
        fputs("<p class=\"note\">The runs were cleaned by different tables; <code>--clean "
              "FILE</code> "
              "names the labels that all are judged by.</p>\n",
              out);
    if (json_array_size(c->relabelled.rows) == 0)
        return;
    fputs("<p class=\"note\">Judged by the labels of ", out);
    markup_text(out, c->relabelled.file);
    fputs(". Of the pictures that are compared", out);
    json_array_foreach(c->relabelled.rows, i, row)
    {
        fputs(i > 0 ? "; in " : ", in ", out);
        markup_text(out, json_string_value(json_array_get(row, 0)));
        fprintf(out, " %" JSON_INTEGER_FORMAT " dropped, %" JSON_INTEGER_FORMAT " relabelled",
                json_integer_value(json_array_get(row, 1)),
                json_integer_value(json_array_get(row, 2)));
    }
    fputs(".</p>\n", out);
}

static int put_summary(FILE *out, void *of, struct err *err)
{
    const struct page_of *p = of;

    (void)err;
    put_labels(out, p->c);
    for (size_t i = 1; i < p->c->n; i++) {
        put_test(out, p->c, i);
        put_clean(out, p->c, i);
    }
    if (comparison_differs(p->c, LOOK_ARITHMETIC))
        fputs(
            "<p class=\"note\">The runs differ in arithmetic (run.json): the same keys give other "
            "bits in them.</p>\n",
            out);
    fputs("<p class=\"note\">This test says whether these two networks differ. A test of two "
          "recipes needs several seeds of each.</p>\n",
          out);
    if (!p->shards) {
        fputs("<p class=\"note\">This page has no pictures: ", out);
        markup_text(out, p->why.msg);
        fputs(".</p>\n", out);
    }
    return 0;
}

/* --- figures -------------------------------------------------------------------------------------- */

static int put_figures(FILE *out, void *of, struct err *err)
{
    const struct comparison *c = ((struct page_of *)of)->c;
    double most = 0;

    (void)err;
    for (size_t i = 0; i < c->n; i++)
        most = fmax(most, json_number_value(json_array_get(json_array_get(c->figures, i), 4)));
    fprintf(out,
            "<div class=\"wide\"><table class=\"sort\">\n<thead><tr><th scope=\"col\">run</th><th "
            "scope=\"col\" class=\"n\">error rate</th><th scope=\"col\" class=\"n\">95 %% "
            "interval</th><th scope=\"col\">from 0 to %.2f</th><th scope=\"col\" "
            "class=\"n\">pictures</th><th scope=\"col\" class=\"n\">valid loss</th><th "
            "scope=\"col\" class=\"n\">best error rate</th></tr></thead>\n<tbody>\n",
            most);
    for (size_t i = 0; i < c->n; i++) {
        const json_t *row = json_array_get(c->figures, i);
        double value[9];

        for (size_t k = 0; k < 9; k++)
            value[k] = json_number_value(json_array_get(row, k));
        fputs("<tr>", out);
        element_td(out, name_of(c, i));
        if (!json_is_number(json_array_get(row, 2))) {
            fprintf(out, "<td></td><td></td><td>%s: no predictions</td><td></td><td></td><td></td>",
                    c->runs[i].run.status);
            fputs("</tr>\n", out);
            continue;
        }
        element_td_number(out, value[2], 4);
        fprintf(out, "<td class=\"n\">%.4f to %.4f</td>", value[3], value[4]);
        element_td_range(out, value[2], value[3], value[4], most, NULL, 0);
        element_td_number(out, value[5], 0);
        for (size_t k = 6; k < 8; k++) {
            if (json_is_number(json_array_get(row, k)))
                element_td_number(out, value[k], 4);
            else
                fputs("<td></td>", out);
        }
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
    return 0;
}

/* Runs of one recipe. */
static int put_groups(FILE *out, void *of, struct err *err)
{
    const struct comparison *c = ((struct page_of *)of)->c;

    (void)err;
    if (json_array_size(c->groups) == 0)
        return 0;
    fputs("<section id=\"groups\">\n<h2>By recipe</h2>\n<p class=\"note\">Runs that differ in "
          "nothing but seed, split seed and fold.</p>\n<div class=\"wide\"><table>\n<thead><tr><th "
          "scope=\"col\">runs</th><th scope=\"col\" class=\"n\">seeds</th><th scope=\"col\" "
          "class=\"n\">mean error rate</th><th scope=\"col\" class=\"n\">standard "
          "deviation</th></tr></thead>\n",
          out);
    for (size_t i = 0; i < json_array_size(c->groups); i++) {
        const json_t *row = json_array_get(c->groups, i);

        fputs("<tr><td>", out);
        element_value(out, json_array_get(row, 0));
        fputs("</td>", out);
        element_td_number(out, json_number_value(json_array_get(row, 1)), 0);
        element_td_number(out, json_number_value(json_array_get(row, 2)), 4);
        element_td_number(out, json_number_value(json_array_get(row, 3)), 4);
        fputs("</tr>\n", out);
    }
    fputs("</table></div>\n</section>\n", out);
    return 0;
}

/* --- curves --------------------------------------------------------------------------------------- */

static int put_curves(FILE *out, void *of, struct err *err)
{
    const struct comparison *c = ((struct page_of *)of)->c;
    struct chart_line lines[CHARTS_LINES];
    char *folders[CHARTS_LINES];
    size_t n = 0;

    if (c->n > CHARTS_LINES)
        fprintf(out, "<p class=\"note\">Of the first %d runs.</p>\n", CHARTS_LINES);
    for (; n < CHARTS_LINES && n < c->n; n++) {
        folders[n] = c->runs[n].run.folder;
        lines[n] = (struct chart_line){name_of(c, n), &folders[n], 1};
    }
    return charts_put(out, lines, n, err);
}

/* --- keys ----------------------------------------------------------------------------------------- */

static int put_keys(FILE *out, void *of, struct err *err)
{
    const struct comparison *c = ((struct page_of *)of)->c;

    (void)err;
    if (json_array_size(c->keys) == 0) {
        fputs("<p>No key differs.</p>\n", out);
        return 0;
    }
    fputs("<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">key</th>", out);
    for (size_t i = 0; i < c->n; i++)
        element_th(out, name_of(c, i), 0);
    fputs("</tr></thead>\n", out);
    for (size_t k = 0; k < json_array_size(c->keys); k++) {
        const json_t *row = json_array_get(c->keys, k);

        fputs("<tr><th scope=\"row\">", out);
        element_value(out, json_array_get(row, 0));
        fputs("</th>", out);
        for (size_t i = 0; i < c->n; i++) {
            fputs("<td>", out);
            element_value(out, json_array_get(row, i + 1));
            fputs("</td>", out);
        }
        fputs("</tr>\n", out);
    }
    fputs("</table></div>\n", out);
    return 0;
}

/* --- pictures ------------------------------------------------------------------------------------- */

/* What a run says of picture I. */
static void put_answer(FILE *out, const struct comparison *c, size_t run, uint32_t i)
{
    const struct predictions *p = c->runs[run].p;
    const int32_t predicted = p->predicted[i];

    markup_text(out, name_of(c, run));
    fprintf(out, ": <b class=\"%s\">", predicted == p->actual[i] ? "good" : "bad");
    element_name(out, p->vocab[predicted]);
    fprintf(out, "</b> <span>%.0f&nbsp;%%</span><br>",
            100 * (double)p->prob[(size_t)i * (size_t)p->classes + (size_t)predicted]);
}

static int put_picture(FILE *out, const struct page_of *of, size_t run, uint32_t i, uint32_t j,
                       struct err *err)
{
    const struct predictions *p = of->c->runs[0].p;
    json_t *picture = json_object();
    int rc = picture ? thumb_add(picture, of->shards, p->ids[i], err)
                     : err_set(err, ERR_NOMEM, "picture");

    if (rc == 0) {
        fputs("<figure class=\"picture\"><div>", out);
        thumb_put(out, picture, p->ids[i]);
        fputs("</div><figcaption>is ", out);
        element_name(out, p->vocab[p->actual[i]]);
        fputs("<br>", out);
        put_answer(out, of->c, 0, i);
        put_answer(out, of->c, run, j);
        fputs("<span class=\"id\">", out);
        markup_text(out, p->ids[i]);
        fputs("</span></figcaption></figure>\n", out);
    }
    json_decref(picture);
    return rc;
}

/* Those that only run RUN (else only the first) gets wrong, by falling loss of the one that is wrong. */
static int put_side(FILE *out, const struct page_of *of, size_t run, bool second,
                    const uint32_t *match, struct err *err)
{
    const struct predictions *a = of->c->runs[0].p, *b = of->c->runs[run].p;
    const uint32_t n = second ? of->c->pairs[run].second_only : of->c->pairs[run].first_only;
    const uint32_t room = PICTURES / (2 * (uint32_t)of->c->n_tests);
    const uint32_t most = room < PICTURES_EACH ? room : PICTURES_EACH;
    uint32_t *order, *back = calloc((size_t)a->n + 1, sizeof *back), shown = 0;
    int rc = predictions_by_loss(&order, second ? b : a, err);

    if (rc == 0 && !back)
        rc = err_set(err, ERR_NOMEM, "pictures");
    for (uint32_t i = 0; rc == 0 && i < a->n; i++)
        back[match[i]] = i;
    fprintf(out, "<h3>%u that only ", n);
    markup_text(out, name_of(of->c, second ? run : 0));
    fputs(" gets wrong</h3>\n", out);
    if (n > most)
        fprintf(out, "<p class=\"note\">The %u with the highest loss.</p>\n", most);
    fputs("<div class=\"pictures\">\n", out);
    for (uint32_t k = 0; rc == 0 && k < a->n && shown < most; k++) {
        const uint32_t i = second ? back[order[k]] : order[k], j = match[i];
        const bool wrong_a = a->predicted[i] != a->actual[i];
        const bool wrong_b = b->predicted[j] != b->actual[j];

        if (wrong_a == wrong_b || wrong_b != second)
            continue;
        rc = put_picture(out, of, run, i, j, err);
        shown++;
    }
    fputs("</div>\n", out);
    free(order);
    free(back);
    return rc;
}

static int put_pictures(FILE *out, void *of, struct err *err)
{
    const struct page_of *page = of;
    const struct comparison *c = page->c;

    for (size_t i = 1; i < c->n; i++) {
        uint32_t *match;
        int rc;

        if (!c->pairs[i].tested || c->pairs[i].first_only + c->pairs[i].second_only == 0)
            continue;
        if (pairing_match(&match, c->runs[0].p, c->runs[i].p, err) < 0)
            return -1;
        fprintf(out, "<section id=\"pictures-%zu\">\n<h2>Where ", i);
        markup_text(out, name_of(c, i));
        fputs(" and ", out);
        markup_text(out, name_of(c, 0));
        fputs(" disagree</h2>\n", out);
        rc = put_side(out, page, i, true, match, err);
        if (rc == 0)
            rc = put_side(out, page, i, false, match, err);
        fputs("</section>\n", out);
        free(match);
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* --- the page ------------------------------------------------------------------------------------- */

/* compare-A-B.html beside the first run's folder. */
static int name_page(char path[PATH_LEN], const struct comparison *c, struct err *err)
{
    const char *folder = c->runs[0].run.folder, *slash = strrchr(folder, '/');
    const int parent = slash ? (int)(slash - folder) : 1;
    char names[PATH_LEN] = "";
    size_t length = 0;

    for (size_t i = 0; i < c->n && length < NAME_LENGTH; i++)
        length += (size_t)snprintf(names + length, sizeof names - length, "-%.255s", name_of(c, i));
    if (length >= NAME_LENGTH)
        snprintf(names, sizeof names, "-%.160s-and-%zu-more", name_of(c, 0), c->n - 1);
    for (char *at = names; (at = strchr(at, '/'));) /* runs of several studies: "s1/seed=42" */
        *at = '-';
    return path_format(path, err, "%.*s/compare%s.html", parent, slash ? folder : ".", names);
}

static int is_comparable(const struct comparison *c, struct err *err)
{
    for (size_t i = 1; i < c->n; i++)
        if (c->pairs[i].tested)
            return 0;
    return err_set(err, ERR_INPUT, "no page: %s cannot be compared with %s: %s", name_of(c, 1),
                   name_of(c, 0), c->pairs[1].why_not);
}

int comparison_page(FILE *out, const struct comparison *c, const struct request *r, struct err *err)
{
    static const struct page_part parts[] = {{"title", put_title},      {"summary", put_summary},
                                             {"figures", put_figures},  {"groups", put_groups},
                                             {"curves", put_curves},    {"keys", put_keys},
                                             {"pictures", put_pictures}};
    struct page_of of = {.c = c};
    char path[PATH_LEN];
    json_t *data;
    int rc = -1;

    if (is_comparable(c, err) < 0 || name_page(path, c, err) < 0)
        return -1;
    data = comparison_json(c);
    if (!data)
        return err_set(err, ERR_NOMEM, "page");
    of.shards = look_open_shards(&c->runs[0], r, &of.why);
    rc =
        page_write(path, r->served, "compare", parts, sizeof parts / sizeof *parts, &of, data, err);
    if (rc == 0 && !r->served) {
        tabular_text(out, path);
        fputc('\n', out);
    }
    shard_set_close(of.shards);
    json_decref(data);
    return rc;
}
