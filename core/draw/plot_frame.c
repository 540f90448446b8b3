/* plot_frame.c - what part of the plane a plot shows, and where its ticks are.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>

#include "draw/plot_private.h"

bool plot_point(const struct plot_options *o, const struct plot_series *s, int i, double *x,
                double *y)
{
    *x = o->log_x ? (s->x[i] > 0 ? log10(s->x[i]) : NAN) : s->x[i];
    *y = s->y[i];
    return isfinite(*x) && isfinite(*y);
}

static void include(struct plot_range *r, double x)
{
    r->low = fmin(r->low, x);
    r->high = fmax(r->high, x);
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Under calm the frame ends at twice what 98 of 100 points reach, where the highest lie above that. */
static int calm_down(struct plot_frame *f, const struct plot_options *o,
                     const struct plot_series *series, int n, struct err *err)
{
    size_t room = 1, count = 0;
    double *all, x, y, most;

    f->highest = f->y.high;
    if (!o->calm || f->y.low > f->y.high)
        return 0;
    for (int k = 0; k < n; k++)
        room += (size_t)series[k].n;
    all = calloc(room, sizeof *all);
    if (!all)
        return err_set(err, ERR_NOMEM, "plot");
    for (int k = 0; k < n; k++)
        for (int i = 0; i < series[k].n; i++)
            if (plot_point(o, &series[k], i, &x, &y))
                all[count++] = y;
    qsort(all, count, sizeof *all, by_value);
    most = 2 * all[(size_t)(0.98 * (double)(count - 1))];
    if (most > f->y.low && most < f->y.high)
        f->y.high = most;
    free(all);
    return 0;
}

double plot_tick_step(struct plot_range r, int most)
{
    static const double steps[] = {1, 2, 5, 10};
    double rough = (r.high - r.low) / most, power = pow(10, floor(log10(rough)));

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (steps[i] * power >= rough * (1 - 1e-9))
            return steps[i] * power;
    return 10 * power;
}

double plot_x_step(const struct plot_options *o, struct plot_range x, int most)
{
    const double step = plot_tick_step(x, most);

    if (o->whole_x && ceil(x.low) > x.high) /* within one */
        return step;
    return o->log_x || o->whole_x ? fmax(1, step) : step;
}

int plot_frame_find(struct plot_frame *f, const struct plot_options *o,
                    const struct plot_series *series, int n, int ticks, struct err *err)
{
    double x, y;

    f->x = f->y = (struct plot_range){INFINITY, -INFINITY};
    for (int k = 0; k < n; k++)
        for (int i = 0; i < series[k].n; i++)
            if (plot_point(o, &series[k], i, &x, &y)) {
                include(&f->x, x);
                include(&f->y, y);
            }
    if (calm_down(f, o, series, n, err) < 0)
        return -1;
    if (f->x.low > f->x.high) /* nothing to show */
        f->x = f->y = (struct plot_range){0, 1};
    if (f->y.low >= 0 && f->y.low < 0.5 * f->y.high)
        f->y.low = 0; /* a loss or a rate: its zero is the mark to compare with */
    for (int axis = 0; axis < 2; axis++) {
        struct plot_range *r = axis ? &f->y : &f->x;
        double step;

        if (r->high - r->low <= 1e-12 * fmax(fabs(r->low), fabs(r->high)) || r->high == r->low) {
            r->low -= r->low != 0 ? 0.5 * fabs(r->low) : 0.5;
            r->high += r->high != 0 ? 0.5 * fabs(r->high) : 0.5;
        }
        if (axis == 0) { /* curves reach from side to side, but for a nearly 0 start */
            if (!o->log_x && r->low > 0 && r->low < 0.05 * r->high)
                r->low = 0;
            continue;
        }
        step = plot_tick_step(*r, ticks);
        r->low = floor(r->low / step + 1e-9) * step;
        r->high = ceil(r->high / step - 1e-9) * step;
    }
    return 0;
}
