/* plot_text.c - curves as text: a grid of characters, each of a few dots.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "draw/plot_private.h"

enum { TICKS = 4, TICK_TEXT = 32, TICK_ROOM = 10 };

/* How a character shows dots, and the axes around them. */
struct style {
    int across, down; /* dots of a character */
    const char *side, *side_tick, *corner, *bottom, *bottom_tick, *line;
};
static const struct style braille = {2, 4, "│", "┤", "└", "─", "┬", "⠒⠒"};
static const struct style ascii = {1, 2, "|", "+", "+", "-", "+", "..."};

struct grid {
    const struct plot_options *o;
    const struct style *style;
    struct plot_frame f;
    int columns, rows; /* characters inside the axes */
    int width;         /* of the ticks' texts beside them */
    unsigned char
        *dots; /* (rows, columns, 2): bits, row by row from the top left; whether it is a mark */
    char (*ticks)[TICK_TEXT]; /* of each row, "" where it has none */
};

/* --- dots ----------------------------------------------------------------------------------------- */

static double at_x(const struct grid *g, double x)
{
    return (x - g->f.x.low) / (g->f.x.high - g->f.x.low) * (g->columns * g->style->across - 1);
}

/* Less than 0 above the frame. */
static double at_y(const struct grid *g, double y)
{
    return (g->f.y.high - y) / (g->f.y.high - g->f.y.low) * (g->rows * g->style->down - 1);
}

static bool is_inside(const struct grid *g, double x, double y)
{
    return x > -0.5 && y > -0.5 && x < g->columns * g->style->across - 0.5 &&
           y < g->rows * g->style->down - 0.5;
}

/* The dot at X and Y, in dots; MARK: its character is a mark. */
static void put(const struct grid *g, double x, double y, bool mark)
{
    unsigned char *cell = g->dots;
    int column, row;

    if (!is_inside(g, x, y))
        return;
    column = (int)floor(x + 0.5);
    row = (int)floor(y + 0.5);
    cell += (row / g->style->down * g->columns + column / g->style->across) * 2;
    cell[0] |=
        (unsigned char)(1 << (row % g->style->down * g->style->across + column % g->style->across));
    cell[1] |= mark;
}

/* A straight row of dots; the end that is above the frame is moved to its edge. */
static void connect(const struct grid *g, double x0, double y0, double x1, double y1)
{
    int n;

    if (y0 < 0 && y1 < 0)
        return;
    if (y0 < 0) {
        x0 += (0 - y0) / (y1 - y0) * (x1 - x0);
        y0 = 0;
    } else if (y1 < 0) {
        x1 = x0 + (0 - y0) / (y1 - y0) * (x1 - x0);
        y1 = 0;
    }
    n = (int)ceil(fmax(fabs(x1 - x0), fabs(y1 - y0)));
    for (int i = 0; i <= n; i++)
        put(g, x0 + (x1 - x0) * i / (n > 0 ? n : 1), y0 + (y1 - y0) * i / (n > 0 ? n : 1), false);
}

/* Returns how many points are not finite. A line has a gap there. */
static int draw(const struct grid *g, const struct plot_series *s)
{
    double x, y, before_x = 0, before_y = 0;
    bool is_open = false;
    int left_out = 0;

    for (int i = 0; i < s->n; i++) {
        if (!plot_point(g->o, s, i, &x, &y)) {
            is_open = false;
            left_out++;
            continue;
        }
        x = at_x(g, x);
        y = at_y(g, y);
        if (s->points)
            put(g, x, y, true);
        else
            connect(g, is_open ? before_x : x, is_open ? before_y : y, x, y);
        before_x = x;
        before_y = y;
        is_open = true;
    }
    return left_out;
}

/* --- text ----------------------------------------------------------------------------------------- */

/* A tick at every row that has room: the row above is free. + 0.0 makes 0 of -0. */
static void find_ticks(struct grid *g)
{
    const double step = plot_tick_step(g->f.y, TICKS);
    int before = g->rows + 1, row;

    for (double k = ceil(g->f.y.low / step - 1e-9) + 0.0; k * step <= g->f.y.high + 1e-9 * step;
         k++) {
        row = (int)floor(at_y(g, k * step) + 0.5) / g->style->down;
        if (row < 0 || before - row < 2)
            continue;
        before = row;
        snprintf(g->ticks[row], TICK_TEXT, "%.6g", k * step);
        if ((int)strlen(g->ticks[row]) > g->width)
            g->width = (int)strlen(g->ticks[row]);
    }
}

/* Unicode numbers the dots of a cell down the left side, down the right side, then the two of the lowest row. */
static void put_braille(FILE *file, unsigned char bits)
{
    static const unsigned char of[8] = {0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80};
    unsigned cell = 0;

    for (int i = 0; i < 8; i++)
        if (bits & 1 << i)
            cell |= of[i];
    fputc(0xe2, file);
    fputc((int)(0xa0 | cell >> 6), file);
    fputc((int)(0x80 | (cell & 0x3f)), file);
}

static void put_row(FILE *file, const struct grid *g, int row)
{
    const unsigned char *cell = g->dots + (size_t)row * (size_t)g->columns * 2;
    int end = g->columns;

    fprintf(file, "%*s %s", g->width, g->ticks[row],
            g->ticks[row][0] ? g->style->side_tick : g->style->side);
    while (end > 0 && !cell[2 * end - 2])
        end--;
    for (int i = 0; i < end; i++) {
        const unsigned char bits = cell[2 * i];

        if (cell[2 * i + 1])
            fputc('o', file);
        else if (!bits)
            fputc(' ', file);
        else if (g->style == &braille)
            put_braille(file, bits);
        else
            fputc(" '.:"[bits], file);
    }
    fputc('\n', file);
}

/* The lower axis and its ticks' texts, each below its tick, where there is room. */
static void put_axis(FILE *file, const struct grid *g)
{
    const int most = g->columns / TICK_ROOM;
    const double low = g->f.x.low, step = plot_x_step(g->o, g->f.x, most > 1 ? most : 1);
    const int end = g->width + 2 + g->columns;
    int next = 0, drawn = 0;

    fprintf(file, "%*s %s", g->width, "", g->style->corner);
    for (double k = ceil(low / step - 1e-9) + 0.0; k * step <= g->f.x.high + 1e-9 * step; k++) {
        const int column = (int)floor(at_x(g, k * step) + 0.5) / g->style->across;

        for (; drawn < column; drawn++)
            fputs(g->style->bottom, file);
        if (drawn++ == column)
            fputs(g->style->bottom_tick, file);
    }
    for (; drawn < g->columns; drawn++)
        fputs(g->style->bottom, file);
    fputc('\n', file);
    for (double k = ceil(low / step - 1e-9) + 0.0; k * step <= g->f.x.high + 1e-9 * step; k++) {
        char text[TICK_TEXT];
        int n, at;

        n = snprintf(text, sizeof text, "%.6g", g->o->log_x ? pow(10, k * step) : k * step);
        at = g->width + 2 + (int)floor(at_x(g, k * step) + 0.5) / g->style->across - n / 2;
        if (at + n > end)
            at = end - n;
        if (at < next + (next > 0))
            continue;
        fprintf(file, "%*s%s", at - next, "", text);
        next = at + n;
    }
    fprintf(file, "%*s%s\n", end > next ? end - next + 1 : 1, "", g->o->x_label);
}

static void put_title(FILE *file, const struct grid *g, const struct plot_series *series, int n)
{
    fprintf(file, "%s (%s)", g->o->title, g->o->y_label);
    for (int k = 0; k < n; k++)
        fprintf(file, "  %s %s", series[k].points ? "o" : g->style->line, series[k].name);
    fputc('\n', file);
}

static void put_remark(FILE *file, const struct grid *g, int left_out)
{
    const bool high = g->f.highest > g->f.y.high * (1 + 1e-9);

    if (high)
        fprintf(file, "highest: %.3g%s", g->f.highest, left_out ? "; " : "\n");
    if (left_out)
        fprintf(file, "%d point%s not finite\n", left_out, left_out == 1 ? " is" : "s are");
}

int plot_lines_text(FILE *file, const struct plot_options *o, const struct plot_series *series,
                    int n, const struct plot_screen *screen, struct err *err)
{
    struct grid g = {.o = o, .style = screen->braille ? &braille : &ascii, .rows = screen->rows};
    int left_out = 0, rc = -1;

    BUG_IF(screen->columns < 40 || screen->rows < 2);
    if (plot_frame_find(&g.f, o, series, n, TICKS, err) < 0)
        return -1;
    g.ticks = calloc((size_t)g.rows, sizeof *g.ticks);
    g.dots = calloc((size_t)g.rows * (size_t)screen->columns, 2);
    if (!g.ticks || !g.dots) {
        err_set(err, ERR_NOMEM, "plot");
        goto out;
    }
    find_ticks(&g);
    g.columns = screen->columns - g.width - 3 - (int)strlen(o->x_label);
    for (int k = 0; k < n; k++)
        left_out += draw(&g, &series[k]);
    put_title(file, &g, series, n);
    put_remark(file, &g, left_out);
    for (int row = 0; row < g.rows; row++)
        put_row(file, &g, row);
    put_axis(file, &g);
    rc = 0;
out:
    free(g.ticks);
    free(g.dots);
    return rc;
}
