/* plot.c - curves with axes.
 * SPDX-License-Identifier: MIT */
#include "draw/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "draw/canvas.h"
#include "draw/plot_private.h"

/* Page, px; the frame lies inside the margins. The left one is as wide as the ticks' texts need. */
enum { WIDTH = 720, HEIGHT = 420, RIGHT = 20, TOP = 64, BOTTOM = 56, TICKS = 7, LEGEND_ROW = 18 };
enum { PNG_SCALE = 2 };

/* Okabe and Ito 2008, "Color universal design": told apart by colour-blind readers. */
static const uint32_t colours[] = {0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7, 0xe69f00, 0x56b4e9};
static const uint32_t ink = 0x333333, grid = 0xe6e6e6, frame = 0x999999;

struct chart {
    struct canvas *canvas;
    const struct plot_options *o;
    struct plot_frame f;
    double width, height, left;
    double top; /* below title and legend, whose rows are as many as the names need */
};

int plot_page(const char *path, struct plot_page page,
              int (*draw)(struct canvas *c, const void *what, struct err *err), const void *what,
              struct err *err)
{
    size_t length = strlen(path);
    struct new_file f;
    struct canvas *c;
    int rc;

    if (length > 4 && strcmp(path + length - 4, ".png") == 0) {
        if (canvas_new_png(&c, page.width, page.height, PNG_SCALE, err) < 0)
            return err_wrap(err, "%s", path);
        rc = draw(c, what, err);
        if (rc == 0)
            rc = canvas_write_png(c, path, err);
        canvas_free(c);
        return rc;
    }
    BUG_IF(length < 5 || strcmp(path + length - 4, ".svg") != 0);
    if (new_file_begin(&f, path, err) < 0)
        return -1;
    if (canvas_new_svg(&c, f.file, page.width, page.height, err) < 0) {
        new_file_abort(&f);
        return -1;
    }
    rc = draw(c, what, err);
    canvas_end_svg(c);
    canvas_free(c);
    if (rc < 0) {
        new_file_abort(&f);
        return -1;
    }
    return new_file_finish(&f, err);
}

/* --- axes ----------------------------------------------------------------------------------------- */

static double at_x(const struct chart *c, double x)
{
    return c->left + (x - c->f.x.low) / (c->f.x.high - c->f.x.low) * (c->width - c->left - RIGHT);
}

/* Above the frame where Y is above its range (calm). */
static double at_y(const struct chart *c, double y)
{
    return c->height - BOTTOM -
           (y - c->f.y.low) / (c->f.y.high - c->f.y.low) * (c->height - c->top - BOTTOM);
}

static void line(const struct chart *c, double x0, double y0, double x1, double y1, uint32_t colour)
{
    const double x[] = {x0, x1}, y[] = {y0, y1};

    canvas_line(c->canvas, x, y, 2, colour, 1);
}

/* The texts of the ticks beside the frame need their room, and the axis' title beside them its own. */
static double left_margin(const struct chart *c)
{
    double step = plot_tick_step(c->f.y, TICKS), widest = 0;
    char text[32];

    for (double k = ceil(c->f.y.low / step - 1e-9) + 0.0; k * step <= c->f.y.high + 1e-9 * step;
         k++) {
        snprintf(text, sizeof text, "%.6g", k * step);
        widest = fmax(widest, canvas_text_width(text, 12));
    }
    return fmax(64, 40 + widest);
}

/* + 0.0 makes 0 of -0. */
static void draw_ticks(const struct chart *c)
{
    double step = plot_tick_step(c->f.y, TICKS), before = -1000;
    char text[32];

    for (double k = ceil(c->f.y.low / step - 1e-9) + 0.0; k * step <= c->f.y.high + 1e-9 * step;
         k++) {
        double y = at_y(c, k * step);

        line(c, c->left, y, c->width - RIGHT, y, grid);
        snprintf(text, sizeof text, "%.6g", k * step);
        canvas_text(c->canvas, c->left - 8, y + 4, 12, ANCHOR_END, 0, ink, text);
    }
    step = plot_x_step(c->o, c->f.x, TICKS);
    for (double k = ceil(c->f.x.low / step - 1e-9) + 0.0; k * step <= c->f.x.high + 1e-9 * step;
         k++) {
        double x = at_x(c, k * step);

        line(c, x, c->top, x, c->height - BOTTOM, grid);
        snprintf(text, sizeof text, "%.6g", c->o->log_x ? pow(10, k * step) : k * step);
        if (canvas_text_width(text, 12) + 10 > x - before)
            continue; /* no room beside the one before */
        before = x;
        canvas_text(c->canvas, x, c->height - BOTTOM + 18, 12, ANCHOR_MIDDLE, 0, ink, text);
    }
}

/* Where the legend has series K: x, and its row's distance from the first, px. A series without points is not there. */
static double legend_place(const struct chart *c, const struct plot_series *series, int k,
                           double *row)
{
    double x = c->left, width;

    *row = 0;
    for (int i = 0; i <= k; i++) {
        if (series[i].n == 0)
            continue;
        width = 20 + canvas_text_width(series[i].name, 12);
        if (x > c->left && x + width > c->width - RIGHT) {
            x = c->left;
            *row += LEGEND_ROW;
        }
        if (i < k)
            x += width + 24;
    }
    return x;
}

static void draw_words(const struct chart *c, const struct plot_series *series, int n)
{
    double x, row;
    char text[64];

    canvas_text(c->canvas, c->left, 24, 16, ANCHOR_START, 0, ink, c->o->title);
    canvas_text(c->canvas, (c->left + c->width - RIGHT) / 2, c->height - 12, 12, ANCHOR_MIDDLE, 0,
                ink, c->o->x_label);
    canvas_text(c->canvas, 20, (c->top + c->height - BOTTOM) / 2, 12, ANCHOR_MIDDLE, -90, ink,
                c->o->y_label);
    for (int k = 0; k < n; k++) {
        if (series[k].n == 0)
            continue;
        x = legend_place(c, series, k, &row);
        canvas_rect(c->canvas, x, 42 + row, 14, 4,
                    colours[(size_t)k % (sizeof colours / sizeof *colours)], NULL);
        canvas_text(c->canvas, x + 20, 48 + row, 12, ANCHOR_START, 0, ink, series[k].name);
    }
    if (c->f.highest > c->f.y.high * (1 + 1e-9)) {
        snprintf(text, sizeof text, "highest: %.3g", c->f.highest);
        canvas_text(c->canvas, c->width - RIGHT, 24, 12, ANCHOR_END, 0, 0x666666, text);
    }
}

/* --- curves --------------------------------------------------------------------------------------- */

/* Puts the finite points of S into X and Y (page units); of a series with more points than the page
 * has columns, each column's lowest and highest. Returns how many. */
static size_t reduce(const struct chart *c, const struct plot_series *s, double *x, double *y)
{
    const int columns = 2 * (int)(c->width - c->left - RIGHT);
    bool all = s->n <= 2 * columns;
    int bucket = -1;
    size_t n = 0;
    double px, py;

    for (int i = 0; i < s->n; i++) {
        int column;

        if (!plot_point(c->o, s, i, &px, &py))
            continue;
        px = at_x(c, px);
        py = at_y(c, py);
        column = (int)((px - c->left) * columns / (c->width - c->left - RIGHT));
        if (all || column != bucket || n < 2) {
            if (!all && column != bucket) { /* a pair: lowest, highest */
                x[n] = px;
                y[n++] = py;
            }
            x[n] = px;
            y[n++] = py;
            bucket = column;
            continue;
        }
        y[n - 2] = fmin(y[n - 2], py);
        y[n - 1] = fmax(y[n - 1], py);
    }
    return n;
}

/* Whether the points of A and B are the same within a pixel: B would hide A. */
static bool coincide(const struct chart *c, const struct plot_series *a,
                     const struct plot_series *b)
{
    double x[2], y[2];

    if (a->n != b->n)
        return false;
    for (int i = 0; i < a->n; i++) {
        bool in_a = plot_point(c->o, a, i, &x[0], &y[0]),
             in_b = plot_point(c->o, b, i, &x[1], &y[1]);

        if (in_a != in_b || (in_a && (fabs(at_x(c, x[0]) - at_x(c, x[1])) > 1 ||
                                      fabs(at_y(c, y[0]) - at_y(c, y[1])) > 1)))
            return false;
    }
    return true;
}

/* The line through N points as far as it lies in the frame: what leaves it at the top ends there. PX, PY: room for
 * N + 2. */
static void draw_pieces(const struct chart *c, const double *x, const double *y, size_t n,
                        double *px, double *py, uint32_t colour, bool dashed)
{
    size_t count = 0;

    for (size_t i = 0; i <= n; i++) {
        const bool in = i < n && y[i] >= c->top - 0.5, before = i > 0 && y[i - 1] >= c->top - 0.5;

        if (i > 0 && i < n && in != before) {
            px[count] = x[i - 1] + (c->top - y[i - 1]) / (y[i] - y[i - 1]) * (x[i] - x[i - 1]);
            py[count++] = c->top;
        }
        if (in) {
            px[count] = x[i];
            py[count++] = y[i];
            continue;
        }
        if (count > 1)
            (dashed ? canvas_dashes : canvas_line)(c->canvas, px, py, count, colour, 1.6);
        count = 0;
    }
}

static int draw_series(const struct chart *c, const struct plot_series *s, uint32_t colour,
                       bool dashed, struct err *err)
{
    const size_t room = 2 * (size_t)s->n + 4; /* x may go back and forth */
    double *x = calloc(4 * room, sizeof *x), *y;
    size_t n;

    if (!x)
        return err_set(err, ERR_NOMEM, "plot");
    y = x + room;
    n = reduce(c, s, x, y);
    draw_pieces(c, x, y, n, x + 2 * room, x + 3 * room, colour, dashed);
    for (size_t i = 0; i < n && (s->points || n == 1); i++)
        if (y[i] >= c->top - 0.5)
            canvas_dot(c->canvas, x[i], y[i], 3.5, colour);
    free(x);
    return 0;
}

static struct plot_page page_of(const struct plot_options *o)
{
    return (struct plot_page){o->width > 0 ? o->width : WIDTH, o->height > 0 ? o->height : HEIGHT};
}

struct lines {
    const struct plot_options *o;
    const struct plot_series *series;
    int n;
};

static int draw_lines(struct canvas *canvas, const void *what, struct err *err)
{
    const struct lines *l = what;
    struct plot_page page = page_of(l->o);
    struct chart c = {.canvas = canvas, .o = l->o, .width = page.width, .height = page.height};
    double row;

    if (plot_frame_find(&c.f, l->o, l->series, l->n, TICKS, err) < 0)
        return -1;
    c.left = left_margin(&c);
    c.top = TOP;
    if (l->n > 0) {
        legend_place(&c, l->series, l->n - 1, &row);
        c.top += row;
    }
    draw_ticks(&c);
    line(&c, c.left, c.height - BOTTOM, c.width - RIGHT, c.height - BOTTOM, frame);
    line(&c, c.left, c.top, c.left, c.height - BOTTOM, frame);
    draw_words(&c, l->series, l->n);
    for (int k = 0; k < l->n; k++) {
        bool hides = false;

        for (int before = 0; before < k && !hides; before++)
            hides = coincide(&c, &l->series[before], &l->series[k]);
        if (draw_series(&c, &l->series[k], colours[(size_t)k % (sizeof colours / sizeof *colours)],
                        hides, err) < 0)
            return -1;
    }
    return 0;
}

int plot_lines(const char *path, const struct plot_options *o, const struct plot_series *series,
               int n, struct err *err)
{
    struct lines l = {o, series, n};

    return plot_page(path, page_of(o), draw_lines, &l, err);
}

int plot_lines_svg(FILE *file, const struct plot_options *o, const struct plot_series *series,
                   int n, struct err *err)
{
    struct lines l = {o, series, n};
    struct plot_page page = page_of(o);
    struct canvas *c;
    int rc;

    if (canvas_new_svg(&c, file, page.width, page.height, err) < 0)
        return -1;
    rc = draw_lines(c, &l, err);
    canvas_end_svg(c);
    canvas_free(c);
    return rc;
}
