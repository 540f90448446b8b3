/* repeats.c - Student's t, sign flips over seeds, variance over seeds and pictures.
 * SPDX-License-Identifier: MIT */
#include "run/repeats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "run/stats.h"

enum { DRAWS = 100000, SIMULATED_MOST = 12, SIMULATIONS = 2000, REPEATS_SEED = 42 };

/* --- Student's t ---------------------------------------------------------------------------------- */

/* P(T > t), t >= 0: the finite sums of Abramowitz and Stegun 1964, 26.7.3 and 26.7.4. */
static double student_tail(double t, int df)
{
    const double angle = atan(t / sqrt(df)), cosine = cos(angle), square = cosine * cosine;
    double term = 1, sum = 0;

    for (int k = df % 2 ? 3 : 2; k <= df; k += 2) { /* of the powers of the cosine */
        sum += term;
        term *= square * (double)(k - 1) / (double)k;
    }
    if (df % 2 == 0)
        return 0.5 - 0.5 * sin(angle) * sum;
    return 0.5 - (angle + sin(angle) * cosine * sum) / M_PI;
}

double student_quantile(double tail, int df)
{
    double low = 0, high = 1;

    BUG_IF(df < 1 || !(tail > 0 && tail < 0.5));
    while (student_tail(high, df) > tail && high < 1e15)
        high *= 2;
    for (int i = 0; i < 200 && high - low > 1e-15 * high; i++) {
        const double middle = (low + high) / 2;

        if (student_tail(middle, df) > tail)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

void student_interval(double *low, double *high, double mean, double deviation, int n)
{
    double half;

    BUG_IF(n < 2);
    half = student_quantile(0.025, n - 1) * deviation / sqrt(n);
    *low = mean - half;
    *high = mean + half;
}

/* --- sign flips ----------------------------------------------------------------------------------- */

/* Sums that are equal but for their rounding are equal. */
static double tolerance(const double *d, int n)
{
    double all = 0;

    for (int i = 0; i < n; i++)
        all += fabs(d[i]);
    return 1e-12 * all;
}

/* The share of all 2^n sums that are as far from 0 as the observed one. The first sign stays, as a sum and its opposite
 * are equally far; successive sums differ in one sign (a Gray code). */
static double flip_all(const double *d, int n)
{
    const uint32_t all = 1U << (n - 1);
    const double near = tolerance(d, n);
    double sum = 0, observed, sign[SIGN_FLIP_EXACT];
    uint32_t hits = 1;

    for (int i = 0; i < n; i++) {
        sum += d[i];
        sign[i] = 1;
    }
    observed = fabs(sum) - near;
    for (uint32_t i = 1; i < all; i++) {
        const int bit = __builtin_ctz(i) + 1;

        sign[bit] = -sign[bit];
        sum += 2 * sign[bit] * d[bit];
        hits += fabs(sum) >= observed;
    }
    return (double)hits / all;
}

static double flip_drawn(const double *d, int n)
{
    const double near = tolerance(d, n);
    double observed = 0;
    uint32_t hits = 1;

    for (int i = 0; i < n; i++)
        observed += d[i];
    observed = fabs(observed) - near;
    for (uint32_t k = 0; k < DRAWS; k++) {
        struct rng rng = rng_begin(REPEATS_SEED, RNG_BOOTSTRAP, BOOTSTRAP_SIGNS, k);
        double sum = 0;
        uint32_t bits = 0;

        for (int i = 0; i < n; i++) {
            if (i % 32 == 0)
                bits = rng_u32(&rng);
            sum += bits >> (i % 32) & 1 ? d[i] : -d[i];
        }
        hits += fabs(sum) >= observed;
    }
    return (double)hits / (DRAWS + 1);
}

double sign_flip(const double *difference, int n)
{
    BUG_IF(n < 1);
    return n <= SIGN_FLIP_EXACT ? flip_all(difference, n) : flip_drawn(difference, n);
}

double sign_flip_least(int n)
{
    return n <= SIGN_FLIP_EXACT ? ldexp(1, 1 - n) : 1.0 / (DRAWS + 1);
}

int sign_flip_needed(double alpha)
{
    for (int n = 1; n <= SIGN_FLIP_EXACT + 1; n++)
        if (sign_flip_least(n) <= alpha)
            return n;
    return 0;
}

/* The share of simulated studies of N seeds that find a mean difference of EFFECT standard deviations. */
static double power_of(const double *normals, int n, double effect, double alpha)
{
    double d[SIMULATED_MOST];
    int found = 0;

    for (int k = 0; k < SIMULATIONS; k++) {
        for (int i = 0; i < n; i++)
            d[i] = effect + normals[k * n + i];
        found += flip_all(d, n) <= alpha;
    }
    return (double)found / SIMULATIONS;
}

double sign_flip_detectable(int n, double alpha)
{
    static double normals[SIMULATIONS * SIMULATED_MOST];
    static struct {
        int n;
        double alpha, found;
    } last; /* which the next test of a comparison asks for again */
    double low = 0, high = 8;

    if (sign_flip_needed(alpha) == 0 || n < sign_flip_needed(alpha))
        return INFINITY;
    if (n > SIMULATED_MOST) /* the usual approximation of the power of a t test */
        return (student_quantile(alpha / 2, n - 1) + student_quantile(0.2, n - 1)) / sqrt(n);
    if (n == last.n && !(alpha < last.alpha) && !(alpha > last.alpha))
        return last.found;
    for (int k = 0; k < SIMULATIONS; k++) {
        struct rng rng = rng_begin(REPEATS_SEED, RNG_BOOTSTRAP, BOOTSTRAP_POWER, (uint32_t)k);

        for (int i = 0; i < n; i++)
            normals[k * n + i] = rng_normal(&rng);
    }
    for (int i = 0; i < 12; i++) {
        const double middle = (low + high) / 2;

        if (power_of(normals, n, middle, alpha) < 0.8)
            low = middle;
        else
            high = middle;
    }
    last.n = n;
    last.alpha = alpha;
    last.found = (low + high) / 2;
    return last.found;
}

/* --- seeds and pictures --------------------------------------------------------------------------- */

int two_way_difference(struct two_way *out, const int8_t *x, int n, uint32_t m, struct err *err)
{
    int64_t *of_picture = calloc(m, sizeof *of_picture), total = 0;
    double *of_seed = calloc((size_t)n, sizeof *of_seed), seeds = 0, pictures = 0, cells = 0;
    double variance, half;
    int rc = -1;

    BUG_IF(n < 2 || m < 2);
    memset(out, 0, sizeof *out);
    if (!of_picture || !of_seed) {
        err_set(err, ERR_NOMEM, "comparison of %d seeds", n);
        goto out;
    }
    for (int s = 0; s < n; s++) {
        int64_t sum = 0;

        for (uint32_t i = 0; i < m; i++) {
            sum += x[(size_t)s * m + i];
            of_picture[i] += x[(size_t)s * m + i];
        }
        of_seed[s] = (double)sum / m;
        total += sum;
    }
    stats_mean(&out->mean, &out->seed_sd, of_seed, n);
    out->mean = (double)total / ((double)n * m);
    for (uint32_t i = 0; i < m; i++)
        pictures += pow((double)of_picture[i] / n - out->mean, 2);
    for (int s = 0; s < n; s++)
        for (uint32_t i = 0; i < m; i++)
            cells +=
                pow(x[(size_t)s * m + i] - of_seed[s] - (double)of_picture[i] / n + out->mean, 2);
    seeds = out->seed_sd * out->seed_sd / n;
    pictures /= (double)(m - 1) * m;
    cells /= (double)(n - 1) * (m - 1) * n * m;
    variance = fmax(fmax(seeds, pictures), seeds + pictures - cells);
    out->error = sqrt(variance);
    half = out->error * student_quantile(0.025, (uint32_t)n < m ? n - 1 : (int)m - 1);
    out->low = out->mean - half;
    out->high = out->mean + half;
    rc = 0;
out:
    free(of_picture);
    free(of_seed);
    return rc;
}
