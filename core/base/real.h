/* real.h - log, exp and trigonometry of doubles, bit-identical everywhere.
 *
 * The C library's differ between its versions and between processors, as no standard fixes them. These are made of
 * additions, multiplications and divisions of doubles, one rounding each, which IEEE 754 fixes (built without
 * contraction). What decides about a result takes these: draws, first weights, schedules, metrics.
 * Thread-safe. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_REAL_H
#define PRESIZE_BASE_REAL_H

/* Each within 1 ulp (subnormal results: within 1 of the smallest subnormal). */
double real_exp(double x); /* NaN stays; overflows to infinity, underflows to 0 */
double real_log(double x); /* x 0: -infinity; below 0: NaN */
/* X in radians, |x| at most 2^20: within 1 ulp, or 2^-70 near a zero. Beyond, and for NaN: NaN. */
void real_sincos(double x, double *sine, double *cosine);
double real_cos(double x);

/* x^y for x > 0, as exp(y log x): the relative error is at most (2 + |y log x|) 2^-52. */
double real_pow(double x, double y);

#endif
