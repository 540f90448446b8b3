/* stats.h - what can be said of error rates and of their differences.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_RUN_STATS_H
#define PRESIZE_RUN_STATS_H

#include <stdint.h>

#include "base/err.h"

/* Interval of a proportion HITS / N that covers it with 95 %: the score interval of Wilson 1927
 * (J. Am. Stat. Assoc. 22, 209-212), which Brown, Cai and DasGupta 2001 (Stat. Sci. 16, 101-133)
 * recommend. HITS <= N; N = 0 gives 0 to 1. */
void stats_wilson(double *low, double *high, uint64_t hits, uint64_t n);

/* McNemar's test (1947, Psychometrika 12, 153-157) of two classifiers on the same pictures: B that
 * only the first got wrong, C that only the second did. Two-sided; "no difference" gives B a binomial
 * (B + C, 1/2) distribution.
 *   exact  2 P(X <= min(B, C)), at most 1
 *   mid_p  the same with half the probability of the observed value itself (Lancaster 1961): close
 *          to its nominal level where exact is too strict (Fagerland, Lydersen and Laake 2013, BMC
 *          Med. Res. Methodol. 13:91) */
struct mcnemar {
    double exact, mid_p;
};
struct mcnemar stats_mcnemar(uint64_t b, uint64_t c);

/* 95 % interval of the mean of N differences, one per picture, by the percentile bootstrap (Efron 1979;
 * Efron and Tibshirani 1993, section 13.3) with RESAMPLES (40 or more) resamples drawn by Philox
 * (RNG_BOOTSTRAP), so that it is the same every time. N > 0. ERR_NOMEM. */
int stats_bootstrap(double *low, double *high, const double *difference, uint32_t n,
                    uint32_t resamples, uint64_t seed, struct err *err) MUST_USE;

/* What is drawn with RNG_BOOTSTRAP, as the draws' epoch: two purposes never share numbers. */
enum bootstrap {
    BOOTSTRAP_MEAN,       /* stats_bootstrap() */
    BOOTSTRAP_SIGNS,      /* repeats.c: sign flips */
    BOOTSTRAP_POWER,      /* repeats.c: differences that a study can detect */
    BOOTSTRAP_ECE,        /* metrics.c: resampled pictures */
    BOOTSTRAP_CALIBRATED, /* metrics.c: outcomes of a calibrated network */
};

void stats_sort(double *x, uint32_t n); /* rising; no NAN */
/* Quantile Q of N rising numbers X by linear interpolation (type 7 of Hyndman and Fan 1996). N > 0. */
double stats_quantile(const double *x, uint32_t n, double q);

/* P of N tests made at once, adjusted in place: the step-down rule of Holm 1979 (Scand. J. Stat. 6,
 * 65-70). */
void stats_holm(double *p, int n);

/* Mean and sample standard deviation (n - 1; 0 for n < 2). */
void stats_mean(double *mean, double *deviation, const double *x, int n);

#endif
