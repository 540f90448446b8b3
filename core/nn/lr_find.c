/* lr_find.c - rates and suggestions of the learning-rate range test.
 * SPDX-License-Identifier: MIT */
#include "nn/lr_find.h"

#include <math.h>
#include <string.h>

#include "base/real.h"

enum { SLIDE_WIDTH = 15 };

const char *const lr_rule_names[LR_RULES] = {"valley", "slide", "minimum", "steep"};

struct points {
    const double *lr, *loss;
    int n;
};

double lr_find_rate(int i)
{
    static const double first = 1e-7, last = 10;

    BUG_IF(i < 0 || i >= LR_FIND_STEPS);
    return first * real_pow(last / first, (double)i / LR_FIND_STEPS);
}

bool lr_find_diverged(double *best, double smooth)
{
    if (smooth < *best)
        *best = smooth;
    return smooth > 4 * *best;
}

static struct lr_suggestion at_point(const struct points *p, int i)
{
    return (struct lr_suggestion){.rate = p->lr[i], .at = p->lr[i], .loss = p->loss[i]};
}

/* The longest strictly falling subsequence marks the valley; half-way through its second third lies
 * the suggestion. */
static struct lr_suggestion valley(const struct points *p)
{
    int length[LR_FIND_STEPS]; /* of the longest one that ends here */
    int start = 0, end = 0, i;

    length[0] = 1;
    for (i = 1; i < p->n; i++) {
        length[i] = 1;
        for (int j = 0; j < i; j++)
            if (p->loss[i] < p->loss[j] && length[i] <= length[j])
                length[i] = length[j] + 1;
        if (length[i] > length[end]) {
            end = i;
            start = end - length[i];
        }
    }
    i = start + (end - start) / 3 + (end - start) / 6;
    /* -1 where only the first two points fall; fastai then takes the last point, the worst of all */
    return at_point(p, i < 0 ? 0 : i);
}

/* Slope per point: central differences, one-sided at the ends. */
static double slope(const struct points *p, int i)
{
    if (i == 0)
        return p->loss[1] - p->loss[0];
    if (i == p->n - 1)
        return p->loss[i] - p->loss[i - 1];
    return (p->loss[i + 1] - p->loss[i - 1]) / 2;
}

/* A window slides down from the end while the slopes at its two sides differ. */
static struct lr_suggestion slide(const struct points *p)
{
    static const double threshold = 0.005;
    int left = p->n - 1 - SLIDE_WIDTH, found = left;

    for (; left >= 0 && fabs(slope(p, left + SLIDE_WIDTH) - slope(p, left)) > threshold; left--)
        found = left;
    return at_point(p, found);
}

static struct lr_suggestion minimum(const struct points *p)
{
    struct lr_suggestion s;
    int least = 0;

    for (int i = 1; i < p->n; i++)
        if (p->loss[i] < p->loss[least])
            least = i;
    s = at_point(p, least);
    s.rate /= 10;
    return s;
}

static struct lr_suggestion steep(const struct points *p)
{
    double steepest = INFINITY;
    int found = 0;

    for (int i = 0; i < p->n - 1; i++) {
        double s = (p->loss[i + 1] - p->loss[i]) / (real_log(p->lr[i + 1]) - real_log(p->lr[i]));

        if (s < steepest) {
            steepest = s;
            found = i;
        }
    }
    return at_point(p, found);
}

int lr_find_suggest(struct lr_suggestion out[LR_RULES], const double *lr, const double *loss, int n,
                    struct err *err)
{
    struct points p;
    int end = n - LR_FIND_LAST, cut = LR_FIND_FIRST;

    BUG_IF(n < 0 || n > LR_FIND_STEPS);
    while (cut < end && isfinite(loss[cut]))
        cut++;
    p = (struct points){lr + LR_FIND_FIRST, loss + LR_FIND_FIRST, cut - LR_FIND_FIRST};
    if (p.n < LR_FIND_LEAST)
        return err_set(err, ERR_INPUT,
                       "no rate can be suggested: the loss left its valley or stopped being a "
                       "number too early: %d of %d points are left after the first %d and the "
                       "last %d, and %d are needed",
                       p.n, n, LR_FIND_FIRST, LR_FIND_LAST, LR_FIND_LEAST);
    out[LR_VALLEY] = valley(&p);
    out[LR_SLIDE] = slide(&p);
    out[LR_MINIMUM] = minimum(&p);
    out[LR_STEEP] = steep(&p);
    return 0;
}
