/* report.c - the parts of a run's page in their order. SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/markup.h"
#include "base/path.h"
#include "draw/element.h"
#include "draw/page.h"
#include "draw/report_private.h"

struct section {
    const char *id, *title;
    int (*put)(FILE *out, struct report *r, struct err *err);
    bool predictions; /* it needs some */
};

static const struct section sections[] = {
    {"curves", "Curves", report_curves, false},
    {"confusion", "Confusion matrix", report_matrix, true},
    {"pairs", "Most confused pairs", report_pairs, true},
    {"losses", "Top losses", report_losses, true},
    {"classes", "Classes", report_classes, true},
    {"calibration", "Calibration", report_calibration, true},
    {"scores", "Other scores", report_scores, false},
    {"time", "Time", report_time, false},
    {"settings", "Data and model", report_settings, false},
    {"origin", "Provenance", report_origin, false},
};

static bool is_there(const struct report *r, const struct section *s)
{
    if (s->predictions)
        return r->p != NULL && (s->put != report_pairs || r->n_most > 0);
    if (s->put == report_curves)
        return r->epochs.n > 0 || json_array_size(r->points) > 0 ||
               r->run.facts.lr_find.steps != FIELD_NO_INT;
    if (s->put == report_time)
        return r->timings.n > 0;
    return true;
}

static int put_title(FILE *out, void *of, struct err *err)
{
    const struct report *r = of;

    (void)err;
    markup_text(out, r->run.name);
    return 0;
}

static int put_heading(FILE *out, void *of, struct err *err)
{
    const struct report *r = of;
    const char *ran = r->run.facts.ran; /* older runs have their title alone */
    const char *title = ran ? ran : r->run.facts.title;
    const char *error = r->run.facts.error;
    const char *start = r->run.facts.start;

    (void)err;
    fputs("<h1>", out);
    markup_text(out, r->run.name);
    fputc(' ', out);
    element_badge(out, r->run.status);
    fputs("</h1>\n<p class=\"note\">", out);
    if (title && title[0]) {
        markup_text(out, title);
        fputs(". ", out);
    }
    if (start && strlen(start) >= 16) { /* to the minute; the record below has the rest */
        fputs("Started ", out);
        fprintf(out, "%.10s, %.5s UTC.", start, start + 11);
    }
    fputs("</p>\n", out);
    if (error) {
        fputs("<p class=\"bad\">", out);
        markup_text(out, error);
        fputs("</p>\n", out);
    }
    return 0;
}

static int put_contents(FILE *out, void *of, struct err *err)
{
    (void)err;
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (is_there(of, &sections[i]))
            fprintf(out, "<a href=\"#%s\">%s</a>\n", sections[i].id, sections[i].title);
    return 0;
}

static int put_summary(FILE *out, void *of, struct err *err)
{
    return report_summary(out, of, err);
}

static int put_sections(FILE *out, void *of, struct err *err)
{
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        if (!is_there(of, &sections[i]))
            continue;
        fprintf(out, "<section id=\"%s\">\n<h2>%s</h2>\n", sections[i].id, sections[i].title);
        if (sections[i].put(out, of, err) < 0)
            return -1;
        fputs("</section>\n", out);
    }
    return 0;
}

/* What the script works with. */
static json_t *page_data(const struct report *r)
{
    json_t *vocab = json_array(), *shown = json_array();

    for (int32_t c = 0; r->p && c < r->p->classes; c++)
        json_array_append_new(vocab, element_string(r->p->vocab[c]));
    for (int32_t k = 0; k < r->n_shown; k++)
        json_array_append_new(shown, json_integer(r->shown[k]));
    return json_pack("{s:o, s:o, s:O, s:i, s:s}", "vocab", vocab, "shown", shown, "pictures",
                     r->pictures, "in_page", LOSS_PICTURES, "status", r->run.status);
}

int report_write(const char *folder, const struct report_sources *from, struct err *err)
{
    static const struct page_part parts[] = {{"title", put_title},
                                             {"heading", put_heading},
                                             {"contents", put_contents},
                                             {"summary", put_summary},
                                             {"sections", put_sections}};
    struct report r = {0};
    json_t *data;
    char path[PATH_LEN];
    int rc = -1;

    if (report_open(&r, folder, from, err) < 0)
        return -1;
    data = page_data(&r);
    if (!data)
        err_set(err, ERR_NOMEM, "report");
    else if (path_format(path, err, "%s/report.html", r.run.folder) == 0)
        rc = page_write(path, from->served, "run", parts, sizeof parts / sizeof *parts, &r, data,
                        err);
    json_decref(data);
    report_close(&r);
    return rc;
}
