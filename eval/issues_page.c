/* issues_page.c - the data of the page, and what is seen without scripts. SPDX-License-Identifier: MIT */
#include "issues_page.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/markup.h"
#include "base/path.h"
#include "draw/element.h"
#include "draw/page.h"
#include "draw/thumb.h"
#include "saved_marks.h"

/* So many thumbnails of some 5 KB keep the page below 5 MB: of those that are listed, then of each label and part of
 * the worst others, up to OTHERS. */
enum { PICTURES_MAX = 700, LIST_MAX = 2000, OTHERS = 8 };

struct issues_page {
    const struct suspects *s;
    char **vocab;
    const char *no_shards; /* why there are no pictures; "" */
    json_t *pictures;
    char file[PATH_LEN]; /* that the server saves marks in; "" */
    uint32_t n_more;     /* that would be shown, but for the page's size */
};

static bool is_listed(const struct suspect *x)
{
    return x->right < 0 && (x->likely || x->suggested != x->given);
}

/* --- data ------------------------------------------------------------------------------------------- */

static int add_picture(struct issues_page *p, const struct suspect *x,
                       const struct shard_set *shards, struct err *err)
{
    json_t *picture =
        json_pack("{s:o, s:i, s:i, s:f, s:f, s:b, s:s}", "id", tabular_string(x->path), "given",
                  x->given, "suggested", x->suggested, "p_given", x->score, "p_suggested",
                  x->probability, "likely", x->likely, "part", x->part);

    if (!picture || json_array_append_new(p->pictures, picture) < 0)
        return err_set(err, ERR_NOMEM, "page");
    return thumb_add(picture, shards, x->path, err);
}

/* Worst first, as the list is; labels that are wrong on purpose are left out. */
static int add_pictures(struct issues_page *p, const struct shard_set *shards, struct err *err)
{
    const struct suspects *s = p->s;
    const size_t classes = (size_t)s->runs[0].p->classes;
    uint32_t *others = calloc(2 * classes, sizeof *others), shown = 0;
    int rc = others ? 0 : err_set(err, ERR_NOMEM, "page");

    for (uint32_t k = 0; rc == 0 && k < s->n; k++) {
        const struct suspect *x = &s->list[k];
        uint32_t *n = &others[2 * (size_t)x->given + (strcmp(x->part, "train") == 0)];

        if (x->right >= 0 || (!is_listed(x) && ++*n > OTHERS))
            continue;
        if (shown == PICTURES_MAX) {
            p->n_more++;
            continue;
        }
        shown++;
        rc = add_picture(p, x, shards, err);
    }
    free(others);
    return rc;
}

/* The rows of the table that the runs were cleaned by, so that a new one has them, too. */
static int add_before(json_t *before, const struct look *l, struct err *err)
{
    char path[PATH_LEN];

    if (path_format(path, err, "%s/clean.csv", l->run.folder) < 0)
        return -1;
    return path_is_file(path) ? saved_marks_add(before, path, err) : 0;
}

static json_t *names_of(char **vocab, int32_t n)
{
    json_t *list = json_array();

    for (int32_t c = 0; list && c < n; c++)
        json_array_append_new(list, tabular_string(vocab[c]));
    return list;
}

/* What the server keeps: the rows that are there, their hash, the file. */
static int add_saved(json_t *data, const struct look *l, const struct request *r, struct err *err)
{
    char path[PATH_LEN], sha256[SHA256_HEX];
    json_t *rows;

    if (saved_marks_path(path, l, r, err) < 0 || saved_marks_read(&rows, sha256, path, err) < 0)
        return -1;
    return json_object_set_new(data, "saved",
                               json_pack("{s:o, s:s, s:o}", "rows", rows, "was", sha256, "file",
                                         tabular_string(path))) < 0
               ? err_set(err, ERR_NOMEM, "page")
               : 0;
}

/* Marks are stored under the name of the shards: those of one set stay when a page is rebuilt. */
static int make_data(json_t **data, const struct issues_page *p, const struct request *r,
                     struct err *err)
{
    const struct look *l = &p->s->runs[0];
    json_t *before = json_array();
    char store[200];

    snprintf(store, sizeof store, "presize clean %.100s",
             l->run.facts.sha256.index ? l->run.facts.sha256.index : l->run.name);
    *data = NULL;
    if (before && add_before(before, l, err) < 0) {
        json_decref(before);
        return -1;
    }
    *data = json_pack("{s:s, s:o, s:O, s:o, s:o}", "store", store, "classes",
                      names_of(p->vocab, l->p->classes), "pictures", p->pictures, "before", before,
                      "parts",
                      p->s->train.p ? json_pack("[s, s]", "valid", "train")
                                    : json_pack("[s]", p->s->n ? p->s->list[0].part : "valid"));
    if (!*data)
        return err_set(err, ERR_NOMEM, "page");
    return r->served ? add_saved(*data, l, r, err) : 0;
}

/* --- what is seen without scripts ------------------------------------------------------------------- */

static int put_title(FILE *out, void *of, struct err *err)
{
    const struct issues_page *p = of;

    (void)err;
    fputs("Labels of ", out);
    markup_text(out, p->s->runs[0].run.facts.set ? p->s->runs[0].run.facts.set : "?");
    return 0;
}

/* What to do with the marks. */
static void put_how(FILE *out, const struct issues_page *p)
{
    if (!p->file[0]) {
        fputs("<p>Mark pictures, download <code>clean.csv</code>, and train again with "
              "<code>data.clean=clean.csv</code>. The marks stay in this browser.</p>\n",
              out);
        return;
    }
    fputs("<p>Each mark is saved at once. Train again with <code>data.clean=", out);
    markup_text(out, p->file);
    fputs("</code>.</p>\n", out);
}

static int put_summary(FILE *out, void *of, struct err *err)
{
    const struct issues_page *p = of;
    const struct suspects *s = p->s;
    uint32_t likely = s->n_likely;
    char text[1500];

    (void)err;
    for (uint32_t k = 0; k < s->n_likely; k++)
        likely -= s->list[k].right >= 0;
    fprintf(
        out,
        "<p class=\"lead\">%u of %u labels %s likely wrong, by confident learning (Northcutt et "
        "al. 2021).</p>\n<p>",
        likely, s->n - s->n_planted, likely == 1 ? "is" : "are");
    suspects_text(text, sizeof text, s);
    markup_text(out, text);
    if (s->train.p || strcmp(s->split, "train") == 0)
        fputs(". A network has seen the labels of its training pictures, so wrong ones look better "
              "than they are",
              out);
    fputs(".</p>\n", out);
    suspects_doubt(text, sizeof text, s);
    if (text[0]) {
        fputs("<p class=\"bad\">", out);
        markup_text(out, text);
        fputs(".</p>\n", out);
    }
    put_how(out, p);
    if (s->n_planted > 0)
        fprintf(out,
                "<p class=\"note\">%u labels that are wrong on purpose (data.plant) are not "
                "shown.</p>\n",
                s->n_planted);
    if (p->n_more > 0)
        fprintf(out,
                "<p class=\"note\">The page has the worst %zu pictures; %u more are in "
                "issues.csv.</p>\n",
                json_array_size(p->pictures), p->n_more);
    if (p->no_shards[0]) {
        fputs("<p class=\"note\">Pictures cannot be shown: ", out);
        markup_text(out, p->no_shards);
        fputs("</p>\n", out);
    }
    return 0;
}

static int put_list(FILE *out, void *of, struct err *err)
{
    const struct issues_page *p = of;
    uint32_t rank = 0;

    (void)err;
    fputs("<div class=\"wide\"><table class=\"sort\">\n<thead><tr>", out);
    element_th(out, "rank", 1);
    element_th(out, "picture", 0);
    element_th(out, "label", 0);
    element_th(out, "probability", 1);
    element_th(out, "predicted", 0);
    element_th(out, "probability", 1);
    element_th(out, "likely wrong", 0);
    fputs("</tr></thead>\n<tbody>\n", out);
    for (uint32_t k = 0; k < p->s->n; k++) {
        const struct suspect *x = &p->s->list[k];

        if (!is_listed(x) || ++rank > LIST_MAX)
            continue;
        fputs("<tr>", out);
        element_td_number(out, rank, 0);
        element_td(out, x->path);
        element_td(out, p->vocab[x->given]);
        element_td_number(out, x->score, 3);
        element_td(out, p->vocab[x->suggested]);
        element_td_number(out, x->probability, 3);
        element_td(out, x->likely ? "yes" : "no");
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
    if (rank > LIST_MAX)
        fprintf(out, "<p class=\"note\">%u more are in issues.csv.</p>\n", rank - LIST_MAX);
    return 0;
}

int issues_page_write(char out[4096], const struct suspects *s, const struct request *r,
                      const char *file, struct err *err)
{
    static const struct page_part parts[] = {
        {"title", put_title}, {"summary", put_summary}, {"list", put_list}};
    struct err why = {0};
    struct shard_set *shards = look_open_shards(&s->runs[0], r, &why);
    struct issues_page p = {
        .s = s, .vocab = s->runs[0].p->vocab, .no_shards = why.msg, .pictures = json_array()};
    json_t *data = NULL;
    int rc = -1;

    if (!p.pictures)
        err_set(err, ERR_NOMEM, "page");
    else if (r->served && saved_marks_path(p.file, &s->runs[0], r, err) < 0)
        ;
    else if ((file ? path_format(out, err, "%s", file)
                   : path_format(out, err, "%s/issues.html", s->folder)) == 0 &&
             add_pictures(&p, shards, err) == 0 && make_data(&data, &p, r, err) == 0)
        rc = page_write(out, r->served, "issues", parts, sizeof parts / sizeof *parts, &p, data,
                        err);
    json_decref(data);
    json_decref(p.pictures);
    shard_set_close(shards);
    return rc;
}
