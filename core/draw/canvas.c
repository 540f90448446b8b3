/* canvas.c - each shape twice: a line of SVG, a few calls of cairo.
 * SPDX-License-Identifier: MIT */
#include "draw/canvas.h"

#include <cairo.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/markup.h"
#include "base/path.h"
#include "base/version.h"

enum { TEXT_MAX = 512, SIDE_MAX = 16000 };

struct canvas {
    FILE *svg; /* one of the two */
    cairo_surface_t *surface;
    cairo_t *cairo;
};

static int canvas_new(struct canvas **out, struct err *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? 0 : err_set(err, ERR_NOMEM, "plot");
}

/* At most two decimals: no one sees more, and the file stays small. */
static void put_number(FILE *out, double x)
{
    char text[64];
    char *end;

    snprintf(text, sizeof text, "%.2f", x);
    end = text + strlen(text) - 1;
    while (*end == '0')
        *end-- = 0;
    if (*end == '.')
        *end = 0;
    fputs(strcmp(text, "-0") == 0 ? "0" : text, out);
}

static void put_attribute(FILE *out, const char *name, double x)
{
    fprintf(out, " %s=\"", name);
    put_number(out, x);
    fputc('"', out);
}

int canvas_new_svg(struct canvas **out, FILE *file, double width, double height, struct err *err)
{
    if (canvas_new(out, err) < 0)
        return -1;
    (*out)->svg = file;
    fputs("<svg xmlns=\"http://www.w3.org/2000/svg\"", file);
    put_attribute(file, "width", width);
    put_attribute(file, "height", height);
    fputs(" viewBox=\"0 0 ", file);
    put_number(file, width);
    fputc(' ', file);
    put_number(file, height);
    fputs("\" font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\">\n", file);
    canvas_rect(*out, 0, 0, width, height, 0xffffff, NULL);
    return 0;
}

int canvas_new_png(struct canvas **out, double width, double height, int scale, struct err *err)
{
    struct canvas *c;
    int w = (int)ceil(width * scale), h = (int)ceil(height * scale);

    if (canvas_new(out, err) < 0)
        return -1;
    c = *out;
    if (w > SIDE_MAX || h > SIDE_MAX) {
        err_set(err, ERR_INPUT, "a PNG of %d x %d pixels is too large; take SVG", w, h);
        goto fail;
    }
    c->surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, w, h);
    c->cairo = cairo_create(c->surface);
    if (cairo_status(c->cairo) != CAIRO_STATUS_SUCCESS) {
        err_set(err, ERR_NOMEM, "plot: %s", cairo_status_to_string(cairo_status(c->cairo)));
        goto fail;
    }
    cairo_scale(c->cairo, scale, scale);
    cairo_select_font_face(c->cairo, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
                           CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_source_rgb(c->cairo, 1, 1, 1);
    cairo_paint(c->cairo); /* a rectangle leaves the last pixel dark where a side is broken */
    return 0;
fail:
    canvas_free(c);
    *out = NULL;
    return -1;
}

void canvas_find_font(void)
{
    struct canvas *c;
    cairo_text_extents_t size;

    if (canvas_new_png(&c, 1, 1, 1, NULL) < 0)
        return;
    cairo_text_extents(c->cairo, "0", &size);
    canvas_free(c);
}

void canvas_end_svg(struct canvas *c)
{
    fputs("</svg>\n", c->svg);
}

static cairo_status_t append(void *file, const unsigned char *data, unsigned size)
{
    return fwrite(data, 1, size, file) == size ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

int canvas_put_png(struct canvas *c, FILE *file, struct err *err)
{
    const cairo_status_t status = cairo_surface_write_to_png_stream(c->surface, append, file);

    if (status != CAIRO_STATUS_SUCCESS && !ferror(file))
        return err_set(err, ERR_IO, "cannot make a PNG: %s", cairo_status_to_string(status));
    return 0;
}

int canvas_write_png(struct canvas *c, const char *path, struct err *err)
{
    struct new_file f;

    if (new_file_begin(&f, path, err) < 0)
        return -1;
    if (canvas_put_png(c, f.file, err) < 0) {
        new_file_abort(&f);
        return err_wrap(err, "%s", path);
    }
    return new_file_finish(&f, err);
}

void canvas_free(struct canvas *c)
{
    if (!c)
        return;
    if (c->cairo)
        cairo_destroy(c->cairo);
    if (c->surface)
        cairo_surface_destroy(c->surface);
    free(c);
}

static void set_colour(struct canvas *c, uint32_t colour)
{
    cairo_set_source_rgb(c->cairo, (colour >> 16 & 255) / 255.0, (colour >> 8 & 255) / 255.0,
                         (colour & 255) / 255.0);
}

void canvas_rect(struct canvas *c, double x, double y, double w, double h, uint32_t colour,
                 const char *tip)
{
    if (!c->svg) {
        set_colour(c, colour);
        cairo_rectangle(c->cairo, x, y, w, h);
        cairo_fill(c->cairo);
        return;
    }
    fputs("<rect", c->svg);
    put_attribute(c->svg, "x", x);
    put_attribute(c->svg, "y", y);
    put_attribute(c->svg, "width", w);
    put_attribute(c->svg, "height", h);
    fprintf(c->svg, " fill=\"#%06x\"", colour);
    if (tip) {
        fputs("><title>", c->svg);
        markup_text(c->svg, tip);
        fputs("</title></rect>\n", c->svg);
    } else {
        fputs("/>\n", c->svg);
    }
}

static void stroke(struct canvas *c, const double *x, const double *y, size_t n, uint32_t colour,
                   double width, bool dashed)
{
    static const double dashes[] = {7, 5};

    if (!c->svg) {
        set_colour(c, colour);
        cairo_set_line_width(c->cairo, width);
        cairo_set_line_join(c->cairo, CAIRO_LINE_JOIN_ROUND);
        cairo_new_path(c->cairo); /* text leaves a point behind */
        for (size_t i = 0; i < n; i++)
            cairo_line_to(c->cairo, x[i], y[i]);
        cairo_set_dash(c->cairo, dashes, dashed ? 2 : 0, 0);
        cairo_stroke(c->cairo);
        return;
    }
    fputs("<polyline points=\"", c->svg);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            fputc(' ', c->svg);
        put_number(c->svg, x[i]);
        fputc(',', c->svg);
        put_number(c->svg, y[i]);
    }
    fprintf(c->svg, "\" fill=\"none\" stroke=\"#%06x\" stroke-linejoin=\"round\"", colour);
    put_attribute(c->svg, "stroke-width", width);
    if (dashed)
        fputs(" stroke-dasharray=\"7 5\"", c->svg);
    fputs("/>\n", c->svg);
}

void canvas_line(struct canvas *c, const double *x, const double *y, size_t n, uint32_t colour,
                 double width)
{
    stroke(c, x, y, n, colour, width, false);
}

void canvas_dashes(struct canvas *c, const double *x, const double *y, size_t n, uint32_t colour,
                   double width)
{
    stroke(c, x, y, n, colour, width, true);
}

void canvas_dot(struct canvas *c, double x, double y, double radius, uint32_t colour)
{
    if (!c->svg) {
        set_colour(c, colour);
        cairo_new_path(c->cairo);
        cairo_arc(c->cairo, x, y, radius, 0, 2 * M_PI);
        cairo_fill(c->cairo);
        return;
    }
    fputs("<circle", c->svg);
    put_attribute(c->svg, "cx", x);
    put_attribute(c->svg, "cy", y);
    put_attribute(c->svg, "r", radius);
    fprintf(c->svg, " fill=\"#%06x\"/>\n", colour);
}

static void show_text(struct canvas *c, double x, double y, double size, enum anchor anchor,
                      double degrees, const char *text)
{
    static const double shares[] = {[ANCHOR_START] = 0, [ANCHOR_MIDDLE] = 0.5, [ANCHOR_END] = 1};
    cairo_text_extents_t extents;

    cairo_save(c->cairo);
    cairo_set_font_size(c->cairo, size);
    cairo_text_extents(c->cairo, text, &extents);
    cairo_translate(c->cairo, x, y);
    cairo_rotate(c->cairo, degrees * M_PI / 180);
    cairo_move_to(c->cairo, -shares[anchor] * extents.x_advance, 0);
    cairo_show_text(c->cairo, text);
    cairo_restore(c->cairo);
}

void canvas_text(struct canvas *c, double x, double y, double size, enum anchor anchor,
                 double degrees, uint32_t colour, const char *text)
{
    static const char *const anchors[] = {
        [ANCHOR_START] = "start", [ANCHOR_MIDDLE] = "middle", [ANCHOR_END] = "end"};
    char clean[TEXT_MAX];

    markup_clean(clean, sizeof clean, text);
    if (!c->svg) {
        set_colour(c, colour);
        show_text(c, x, y, size, anchor, degrees, clean);
        return;
    }
    fputs("<text", c->svg);
    put_attribute(c->svg, "x", x);
    put_attribute(c->svg, "y", y);
    put_attribute(c->svg, "font-size", size);
    if (anchor != ANCHOR_START)
        fprintf(c->svg, " text-anchor=\"%s\"", anchors[anchor]);
    fprintf(c->svg, " fill=\"#%06x\"", colour);
    if (degrees != 0) {
        fputs(" transform=\"rotate(", c->svg);
        put_number(c->svg, degrees);
        fputc(' ', c->svg);
        put_number(c->svg, x);
        fputc(' ', c->svg);
        put_number(c->svg, y);
        fputs(")\"", c->svg);
    }
    fputc('>', c->svg);
    markup_text(c->svg, clean);
    fputs("</text>\n", c->svg);
}

double canvas_text_width(const char *text, double size)
{
    return 0.57 * size * (double)markup_length(text); /* DejaVu Sans, lower case: 0.54 */
}

void draw_libraries(FILE *file)
{
    version_library(file, "cairo", cairo_version_string());
}
