/* real.c - log, exp and trigonometry from IEEE 754's operations alone.
 *
 * Each function reduces its argument with a constant in pieces, whose first product is exact, and carries what that
 * loses (Cody and Waite 1980, Software Manual for the Elementary Functions). The series behind are Taylor's, long
 * enough that what they leave out is below 2^-57 of the result. SPDX-License-Identifier: MIT */
#include "base/real.h"

#include <math.h>
#include <stdint.h>

/* ln 2, and pi / 2: pieces whose last bits are 0, so that n times a piece is exact, and a rest. */
static const double ln2_high = 0x1.62e42fefa38p-1, ln2_low = 0x1.ef35793c7673p-45;
static const double half_pi_1 = 0x1.921fb544p+0, half_pi_2 = 0x1.0b4611a6p-34,
                    half_pi_3 = 0x1.3198a2e037073p-69;

double real_exp(double x)
{
    double k, high, r, rest, sum = 0;

    if (isnan(x))
        return x;
    if (x > 709.8)
        return HUGE_VAL;
    if (x < -745.2)
        return 0;
    k = rint(x * 0x1.71547652b82fep+0); /* 1 / ln 2 */
    high = x - k * ln2_high;
    r = high - k * ln2_low; /* |r| <= ln 2 / 2 */
    rest = (high - r) - k * ln2_low;
    for (int n = 14; n >= 2; n--) /* r^2 / 2! + r^3 / 3! + ... */
        sum = (sum + 1) * r / n;
    return ldexp(1 + (r + (rest + r * sum)), (int)k);
}

double real_log(double x)
{
    double f, s, z, sum = 0, half;
    int k;

    if (isnan(x) || x < 0)
        return NAN;
    if (x == 0)
        return -HUGE_VAL;
    if (isinf(x))
        return x;
    f = frexp(x, &k);
    if (f < 0x1.6a09e667f3bcdp-1) { /* sqrt(1 / 2) */
        f *= 2;
        k--;
    }
    /* log(1 + f) = 2 artanh(s) with s = f / (2 + f); as f - f^2 / 2 + s (f^2 / 2 + R), since 2 s = f - s f: so f, which
     * is exact, is added last. */
    f -= 1;
    s = f / (2 + f);
    z = s * s;
    for (int n = 23; n >= 3; n -= 2)
        sum = (sum + 2.0 / n) * z;
    half = f * f / 2;
    return k * ln2_high - ((half - (s * (half + sum) + k * ln2_low)) - f);
}

/* |y| <= pi / 4, and REST behind it. */
static double sine_of(double y, double rest)
{
    const double z = y * y;
    double sum = 0;

    for (int n = 21; n >= 5; n -= 2) /* 1 / 5! - z / 7! + ..., times 3! z */
        sum = (1 - sum) * z / (n * (n - 1));
    return y + (rest * (1 - z / 2) - y * z * (1 - sum) / 6);
}

static double cosine_of(double y, double rest)
{
    const double z = y * y, half = z / 2, w = 1 - half;
    double sum = 0;

    for (int n = 20; n >= 4; n -= 2)
        sum = (1 - sum) * z / (n * (n - 1));
    return w + (((1 - w) - half) + (half * sum - y * rest));
}

void real_sincos(double x, double *sine, double *cosine)
{
    double n, high, y, rest, s, c;

    *sine = *cosine = NAN;
    if (!(fabs(x) <= 0x1p20))
        return;
    n = rint(x * 0x1.45f306dc9c883p-1); /* 2 / pi */
    high = x - n * half_pi_1;
    y = high - n * half_pi_2;
    rest = (high - y) - n * half_pi_2;
    high = y;
    y = high + (rest - n * half_pi_3);
    rest = (high - y) + (rest - n * half_pi_3);
    s = sine_of(y, rest);
    c = cosine_of(y, rest);
    switch ((int64_t)n & 3) {
    case 0:
        *sine = s;
        *cosine = c;
        break;
    case 1:
        *sine = c;
        *cosine = -s;
        break;
    case 2:
        *sine = -s;
        *cosine = -c;
        break;
    default:
        *sine = -c;
        *cosine = s;
        break;
    }
}

double real_cos(double x)
{
    double sine, cosine;

    real_sincos(x, &sine, &cosine);
    return cosine;
}

double real_pow(double x, double y)
{
    return real_exp(y * real_log(x));
}
