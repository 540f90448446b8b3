/* link.c - a model of the exchanges in core/backend/cpu/cpu_ranks.c. SPDX-License-Identifier: MIT */
#include "link.h"

#include <stdlib.h>

#include "group/group.h"

bool link_parse(struct link *out, const char *text)
{
    char *end;
    const double us = strtod(text, &end);
    double gbit;

    if (end == text || *end != ',' || !(us >= 0 && us <= 1e9))
        return false;
    text = end + 1;
    gbit = strtod(text, &end);
    if (end == text || *end || !(gbit >= 1e-6 && gbit <= 1e6))
        return false;
    *out = (struct link){us * 1e-6, gbit * 1e9 / 8};
    return true;
}

#define MOVE_S 0.9e-9 /* for a byte sent or received */

static double larger(double a, double b)
{
    return a > b ? a : b;
}

void link_times(struct link_times *out, const struct link *link, const struct be_traffic *t,
                const struct link_compute *c)
{
    const double beside_s = (double)t->bytes_beside / link->bytes_per_s;
    const double moving_s = 2 * MOVE_S * (double)t->bytes_beside / c->threads;
    const double backward_s = c->backward_s + moving_s + t->exchanges_backward * link->latency_s;
    /* The last piece is complete when the backward pass is: its parts are sent, and its sums gathered. */
    const double least_s = t->rounds_beside > 0 ? 2 * c->parts * link->latency_s : 0;

    out->sums_s = (t->exchanges - t->exchanges_beside) * link->latency_s +
                  (double)(t->bytes - t->bytes_beside) / link->bytes_per_s;
    out->moving_s = moving_s;
    out->gradients_s =
        larger(beside_s, t->rounds_beside * link->latency_s + beside_s / GROUP_WINDOW);
    out->left_s = larger(least_s, out->gradients_s - backward_s);
    out->step_s = c->all_s + moving_s + out->sums_s + out->left_s;
}
