/* predict_page.c - see predict_page.h. SPDX-License-Identifier: MIT */
#include "predict_page.h"

#include "base/markup.h"
#include "base/text.h"
#include "draw/element.h"
#include "draw/page.h"
#include "draw/thumb.h"

/* Of a picture: with --top=all and 1,000 classes a page would be longer than anybody reads. */
enum { LABELS = 10 };

/* Probabilities are sums of floats: one may be a bit above 1. */
const struct field predicted_label_fields[] = {
    FIELD_TEXT(struct predicted_label, label, "label", "a class"),
    FIELD_REAL(struct predicted_label, probability, "probability", 0, 2, "1", "its probability"),
    FIELD_END,
};

const struct field predicted_fields[] = {
    FIELD_TEXT(struct predicted, file, "file", "the picture"),
    FIELD_TEXT(struct predicted, label, "label", "the most probable class"),
    FIELD_REAL(struct predicted, probability, "probability", 0, 2, "1", "its probability"),
    FIELD_LIST(struct predicted, best, "best", "the most probable classes",
               .fields = predicted_label_fields),
    FIELD_END,
};

static int put_title(FILE *out, void *of, struct err *err)
{
    (void)err;
    fputs("Predictions of ", out);
    markup_text(out, ((const struct predict_page *)of)->run);
    return 0;
}

static int put_summary(FILE *out, void *of, struct err *err)
{
    const struct predict_page *p = of;
    const size_t n = json_array_size(p->list);

    (void)err;
    fprintf(out, "<p class=\"lead\">%zu picture%s, each with its most probable labels.</p>\n", n,
            PLURAL(n));
    if (p->rounds > 0)
        fprintf(out, "<p>The probabilities are averaged over %d augmented round%s, too.</p>\n",
                p->rounds, PLURAL(p->rounds));
    if (p->failed > 0)
        fprintf(out, "<p class=\"bad\">%d file%s could not be read as a picture.</p>\n", p->failed,
                PLURAL(p->failed));
    if (p->labels > LABELS)
        fprintf(out, "<p class=\"note\">At most %d labels of each are shown; --json has all.</p>\n",
                LABELS);
    if (n > PREDICT_PICTURES)
        fprintf(out, "<p class=\"note\">The first %d are shown; the list has all.</p>\n",
                PREDICT_PICTURES);
    return 0;
}

static void put_picture(FILE *out, const json_t *row)
{
    struct predicted p;

    fields_read(predicted_fields, 0, &p, row, NULL);
    fputs("<figure class=\"picture\"><div>", out);
    thumb_put(out, row, p.file);
    fputs("</div><figcaption>", out);
    for (size_t k = 0; k < json_array_size(p.best) && k < LABELS; k++) {
        struct predicted_label best;

        fields_read(predicted_label_fields, 0, &best, json_array_get(p.best, k), NULL);
        fputs(k == 0 ? "<b>" : "<bdi>", out);
        element_name(out, best.label);
        fprintf(out, "%s <span>%.0f&nbsp;%%</span><br>", k == 0 ? "</b>" : "</bdi>",
                100 * best.probability);
    }
    fputs("<span class=\"id\">", out);
    element_name(out, p.file);
    fputs("</span></figcaption></figure>\n", out);
}

static int put_pictures(FILE *out, void *of, struct err *err)
{
    const json_t *list = ((const struct predict_page *)of)->list;

    (void)err;
    for (size_t i = 0; i < json_array_size(list) && i < PREDICT_PICTURES; i++)
        put_picture(out, json_array_get(list, i));
    return 0;
}

static int put_list(FILE *out, void *of, struct err *err)
{
    const json_t *row;
    size_t i;

    (void)err;
    fputs("<div class=\"wide\"><table class=\"sort\">\n<thead><tr>", out);
    element_th(out, "file", 0);
    element_th(out, "label", 0);
    element_th(out, "probability", 1);
    fputs("</tr></thead>\n<tbody>\n", out);
    json_array_foreach(((const struct predict_page *)of)->list, i, row)
    {
        struct predicted p;

        fields_read(predicted_fields, 0, &p, row, NULL);
        fputs("<tr>", out);
        element_td(out, p.file);
        element_td(out, p.label);
        element_td_number(out, p.probability, 4);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
    return 0;
}

int predict_page_write(const char *path, const struct predict_page *page, struct err *err)
{
    static const struct page_part parts[] = {{"title", put_title},
                                             {"summary", put_summary},
                                             {"pictures", put_pictures},
                                             {"list", put_list}};
    json_t *data = json_object();
    int rc = data ? page_write(path, NULL, "predicted", parts, sizeof parts / sizeof *parts,
                               (void *)page, data, err)
                  : err_set(err, ERR_NOMEM, "page");

    json_decref(data);
    return rc;
}
