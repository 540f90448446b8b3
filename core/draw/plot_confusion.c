/* plot_confusion.c - the confusion matrix, from two classes to thousands.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/markup.h"
#include "draw/canvas.h"
#include "draw/plot.h"
#include "draw/plot_private.h"

enum { LABEL_CHARACTERS = 36, LABEL_TEXT = 4 * LABEL_CHARACTERS + 8, TIP_TEXT = 512 };

static const uint32_t ink = 0x333333, rule = 0xdddddd;
static const double margin = 16, title_height = 52, axis_height = 26;

struct matrix {
    const char *title;
    const uint32_t *counts;
    char *const *vocab;
    int32_t classes;
    double cell, font;   /* px; font 0: no labels */
    double left, top;    /* of the cells */
    double label_length; /* px */
};

/* Cell sizes that keep the page at a screen or two. */
static double cell_side(int32_t classes)
{
    if (classes <= 10)
        return 44;
    if (classes <= 20)
        return 30;
    if (classes <= 50)
        return 20;
    if (classes <= 120)
        return 11;
    return fmax(1, floor(1400.0 / classes));
}

/* A label cut to LABEL_CHARACTERS. */
static void label(char out[LABEL_TEXT], const char *text)
{
    size_t n = 0;
    char *p;

    markup_clean(out, LABEL_TEXT - 4, text);
    if (markup_length(out) <= LABEL_CHARACTERS)
        return;
    for (p = out; *p; p++)
        if (((unsigned char)*p & 0xc0) != 0x80 && n++ == LABEL_CHARACTERS - 1)
            break;
    memcpy(p, "\xe2\x80\xa6", 4); /* an ellipsis */
}

static struct plot_page lay_out(struct matrix *m)
{
    char text[LABEL_TEXT];
    double longest = 0, side;

    m->cell = cell_side(m->classes);
    m->font = m->cell >= 11 ? fmin(12, m->cell - 2) : 0;
    for (int32_t c = 0; m->font > 0 && c < m->classes; c++) {
        label(text, m->vocab[c]);
        longest = fmax(longest, canvas_text_width(text, m->font));
    }
    m->label_length = longest + 8;
    m->left = margin + axis_height + m->label_length;
    m->top = title_height;
    side = m->cell * m->classes;
    return (struct plot_page){
        fmax(fmax(m->left + side, margin + canvas_text_width(m->title, 16)) + margin, 360),
        m->top + side + m->label_length + axis_height + margin};
}

/* From white to FULL. */
static uint32_t shade(uint32_t full, double share)
{
    uint32_t out = 0;

    for (int i = 16; i >= 0; i -= 8) {
        double part = full >> i & 255;

        out |= (uint32_t)lrint(255 + share * (part - 255)) << i;
    }
    return out;
}

static void draw_cell(struct canvas *c, const struct matrix *m, int32_t a, int32_t p,
                      uint32_t count, uint32_t total)
{
    double x = m->left + p * m->cell, y = m->top + a * m->cell, share = (double)count / total;
    /* The root lets one mistake in fifty be seen. */
    uint32_t colour = a == p ? shade(0x08519c, share) : shade(0xb2182b, sqrt(share));
    bool dark = a == p ? share > 0.45 : sqrt(share) > 0.5;
    char text[TIP_TEXT];

    snprintf(text, sizeof text, "actual %.200s, predicted %.200s: %u of %u", m->vocab[a],
             m->vocab[p], count, total);
    canvas_rect(c, x, y, m->cell, m->cell, colour, text);
    if (m->cell < 16)
        return;
    snprintf(text, sizeof text, "%u", count);
    canvas_text(c, x + m->cell / 2, y + m->cell / 2 + 0.36 * m->font, fmin(11, m->font),
                ANCHOR_MIDDLE, 0, dark ? 0xffffff : ink, text);
}

static void draw_grid(struct canvas *c, const struct matrix *m)
{
    double side = m->cell * m->classes;

    for (int32_t i = 0; i <= m->classes; i++) {
        double at = i * m->cell;
        const double across[] = {m->left, m->left + side}, down[] = {m->top, m->top + side};
        const double x[] = {m->left + at, m->left + at}, y[] = {m->top + at, m->top + at};

        if (i > 0 && i < m->classes && m->cell < 11)
            continue;
        canvas_line(c, across, y, 2, rule, 0.5);
        canvas_line(c, x, down, 2, rule, 0.5);
    }
}

static void draw_labels(struct canvas *c, const struct matrix *m)
{
    double side = m->cell * m->classes;
    char text[LABEL_TEXT];

    for (int32_t i = 0; m->font > 0 && i < m->classes; i++) {
        double middle = (i + 0.5) * m->cell + 0.36 * m->font;

        label(text, m->vocab[i]);
        canvas_text(c, m->left - 6, m->top + middle, m->font, ANCHOR_END, 0, ink, text);
        canvas_text(c, m->left + middle, m->top + side + 6, m->font, ANCHOR_END, -90, ink, text);
    }
    canvas_text(c, margin + 8, m->top + side / 2, 13, ANCHOR_MIDDLE, -90, ink, "actual");
    canvas_text(c, m->left + side / 2, m->top + side + m->label_length + 20, 13, ANCHOR_MIDDLE, 0,
                ink, "predicted");
}

static int draw_matrix(struct canvas *c, const void *what, struct err *err)
{
    const struct matrix *m = what;
    uint64_t all = 0, right = 0;
    char text[128];

    (void)err;
    for (int32_t a = 0; a < m->classes; a++) {
        const uint32_t *row = m->counts + (size_t)a * (size_t)m->classes;
        uint32_t total = 0;

        for (int32_t p = 0; p < m->classes; p++)
            total += row[p];
        for (int32_t p = 0; p < m->classes; p++)
            if (row[p] > 0)
                draw_cell(c, m, a, p, row[p], total);
        all += total;
        right += row[a];
    }
    draw_grid(c, m);
    draw_labels(c, m);
    canvas_text(c, margin, 22, 16, ANCHOR_START, 0, ink, m->title);
    snprintf(text, sizeof text, "%llu pictures, %llu mistaken; shaded by share of the row",
             (unsigned long long)all, (unsigned long long)(all - right));
    canvas_text(c, margin, 40, 12, ANCHOR_START, 0, 0x666666, text);
    return 0;
}

int plot_confusion(const char *path, const char *title, const uint32_t *counts, char *const *vocab,
                   int32_t classes, struct err *err)
{
    struct matrix m = {.title = title, .counts = counts, .vocab = vocab, .classes = classes};
    struct plot_page page = lay_out(&m);

    return plot_page(path, page, draw_matrix, &m, err);
}

int plot_confusion_png(struct plot_png *out, const char *title, const uint32_t *counts,
                       char *const *vocab, int32_t classes, struct err *err)
{
    struct matrix m = {.title = title, .counts = counts, .vocab = vocab, .classes = classes};
    const struct plot_page page = lay_out(&m);
    struct canvas *c;
    FILE *memory;
    int rc;

    *out = (struct plot_png){.width = (int)ceil(page.width), .height = (int)ceil(page.height)};
    if (out->width > PLOT_PNG_MOST || out->height > PLOT_PNG_MOST)
        return err_set(err, ERR_INPUT, "%d x %d pixels are too many (%d each)", out->width,
                       out->height, PLOT_PNG_MOST);
    if (canvas_new_png(&c, page.width, page.height, 1, err) < 0)
        return -1;
    memory = open_memstream(&out->bytes, &out->size);
    rc = memory ? draw_matrix(c, &m, err) : err_set(err, ERR_NOMEM, "confusion matrix");
    if (rc == 0)
        rc = canvas_put_png(c, memory, err);
    canvas_free(c);
    if (memory && fclose(memory) != 0 && rc == 0)
        rc = err_set(err, ERR_NOMEM, "confusion matrix");
    if (rc < 0) {
        free(out->bytes);
        out->bytes = NULL;
    }
    return rc;
}
