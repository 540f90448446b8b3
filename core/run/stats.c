/* stats.c - intervals and paired tests, in double.
 * SPDX-License-Identifier: MIT */
#include "run/stats.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"

static const double z95 = 1.959963984540054; /* 0.975 quantile of the normal distribution */

void stats_wilson(double *low, double *high, uint64_t hits, uint64_t n)
{
    double p, centre, half, scale;

    BUG_IF(hits > n);
    *low = 0;
    *high = 1;
    if (n == 0)
        return;
    p = (double)hits / (double)n;
    scale = 1 / (1 + z95 * z95 / (double)n);
    centre = scale * (p + z95 * z95 / (2 * (double)n));
    half = scale * z95 * sqrt((p * (1 - p) + z95 * z95 / (4 * (double)n)) / (double)n);
    if (hits > 0)
        *low = centre - half;
    if (hits < n)
        *high = centre + half;
}

struct mcnemar stats_mcnemar(uint64_t b, uint64_t c)
{
    uint64_t k = b < c ? b : c, n = b + c;
    struct mcnemar m = {1, 1};
    double term, sum, first;
    int sign;

    if (n == 0)
        return m;
    /* P(X = k), then downwards by the ratio of neighbours. */
    first = exp(lgamma_r((double)n + 1, &sign) - lgamma_r((double)k + 1, &sign) -
                lgamma_r((double)(n - k) + 1, &sign) - (double)n * M_LN2);
    sum = term = first;
    for (uint64_t i = k; i > 0 && term > sum * 1e-18; i--) {
        term *= (double)i / (double)(n - i + 1);
        sum += term;
    }
    m.exact = fmin(1, 2 * sum);
    m.mid_p = fmin(1, 2 * sum - first);
    return m;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

void stats_sort(double *x, uint32_t n)
{
    qsort(x, n, sizeof *x, by_value);
}

double stats_quantile(const double *x, uint32_t n, double q)
{
    double at = q * (double)(n - 1);
    uint32_t i = (uint32_t)at;

    return i + 1 < n ? x[i] + (at - (double)i) * (x[i + 1] - x[i]) : x[n - 1];
}

int stats_bootstrap(double *low, double *high, const double *difference, uint32_t n,
                    uint32_t resamples, uint64_t seed, struct err *err)
{
    double *means = NULL;

    BUG_IF(n == 0 || resamples < 40);
    means = calloc(resamples, sizeof *means);
    if (!means)
        return err_set(err, ERR_NOMEM, "bootstrap: %u resamples", resamples);
    for (uint32_t r = 0; r < resamples; r++) {
        struct rng rng = rng_begin(seed, RNG_BOOTSTRAP, BOOTSTRAP_MEAN, r);
        double sum = 0;

        for (uint32_t i = 0; i < n; i++)
            sum += difference[rng_below(&rng, n)];
        means[r] = sum / n;
    }
    stats_sort(means, resamples);
    *low = stats_quantile(means, resamples, 0.025);
    *high = stats_quantile(means, resamples, 0.975);
    free(means);
    return 0;
}

void stats_holm(double *p, int n)
{
    double running = 0;

    /* In rising order, by looking for the next smallest: n is a handful. Done ones are negative. */
    for (int rank = 0; rank < n; rank++) {
        int smallest = -1;

        for (int i = 0; i < n; i++)
            if (p[i] >= 0 && (smallest < 0 || p[i] < p[smallest]))
                smallest = i;
        running = fmax(running, fmin(1, (n - rank) * p[smallest]));
        p[smallest] = -running - 1;
    }
    for (int i = 0; i < n; i++)
        p[i] = -p[i] - 1;
}

void stats_mean(double *mean, double *deviation, const double *x, int n)
{
    double sum = 0, squares = 0;

    for (int i = 0; i < n; i++)
        sum += x[i];
    *mean = n > 0 ? sum / n : 0;
    for (int i = 0; i < n; i++)
        squares += (x[i] - *mean) * (x[i] - *mean);
    *deviation = n > 1 ? sqrt(squares / (n - 1)) : 0;
}
