/* repeats.h - what several seeds of each of two recipes can prove.
 *
 * A recipe is trained with N seeds, another one with the same N seeds; both are scored on the same M pictures. The
 * statistic is the mean over seeds and pictures of the difference of their mistakes. The pictures of one seed share one
 * network, so they are not independent of one another: a seed is a cluster.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_RUN_REPEATS_H
#define PRESIZE_RUN_REPEATS_H

#include <stdint.h>

#include "base/err.h"

/* Student's t: the value that is exceeded with probability TAIL, 0 < TAIL < 0.5, at DF >= 1 degrees of freedom. */
double student_quantile(double tail, int df);
/* 95 % interval of a mean of N >= 2 values with sample standard deviation DEVIATION, by Student's t (1908, Biometrika
 * 6, 1-25). */
void student_interval(double *low, double *high, double mean, double deviation, int n);

/* Two-sided p of the hypothesis that N differences, one per seed, are distributed symmetrically about 0: the share of
 * all 2^N ways to flip their signs whose mean is at least as far from 0 (Fisher 1935, The Design of Experiments,
 * section 21). Flipping all pictures of a seed together keeps what they share; this is valid with few clusters (Canay,
 * Romano and Shaikh 2017, Econometrica 85, 1013-1030). Above SIGN_FLIP_EXACT seeds, 100,000 flips drawn by Philox,
 * the observed one counted in (Phipson and Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39). N >= 1. */
enum { SIGN_FLIP_EXACT = 16 };
double sign_flip(const double *difference, int n);
/* The least p that N seeds can give, 2^(1 - N), and the fewest seeds whose least p is at most ALPHA (0.05: 6 seeds); 0
 * where no number of them reaches it. */
double sign_flip_least(int n);
int sign_flip_needed(double alpha);
/* The smallest mean difference that the test finds with a probability of 80 % at level ALPHA, in standard deviations
 * of the difference between two runs of one seed, where that is normally distributed. INFINITY where N seeds cannot
 * decide. By simulation up to 12 seeds, then from Student's t. Not for several threads. */
double sign_flip_detectable(int n, double alpha);

/* How the difference of two recipes varies over seeds and over pictures. */
struct two_way {
    double mean, seed_sd; /* of the N differences, one per seed; sd by n - 1 */
    double error;         /* standard error of the mean for new seeds and new pictures */
    double low,
        high; /* 95 %, by Student's t with the fewer of N - 1 and M - 1 degrees of freedom */
};
/* X (N seeds, M pictures; row-major): -1, 0 or 1 each, the second recipe's mistake less the first's. The variance of
 * the mean is that of the N seeds' means plus that of the M pictures' means less the rest's (seed by picture), which
 * both contain: the analysis of variance of a crossed design with a value a cell (Searle, Casella and McCulloch 1992,
 * Variance Components, section 4.3), and at least the larger of the two. N, M >= 2. ERR_NOMEM. */
int two_way_difference(struct two_way *out, const int8_t *x, int n, uint32_t m,
                       struct err *err) MUST_USE;

#endif
