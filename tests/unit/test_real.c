/* test_real.c - log, exp and trigonometry against the C library's long double, and their recorded bits.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/real.h"
#include "base/rng.h"

enum { N = 100000 };

/* |X - TRUTH| in units of the last place of TRUTH. */
static double ulps(double x, long double truth)
{
    const double size = fabs((double)truth);
    const double ulp = fmax(nextafter(size, HUGE_VAL) - size, 0x1p-1074);

    return (double)(fabsl(x - truth) / ulp);
}

static double between(struct rng *r, double low, double high)
{
    return rng_uniform(r, low, high);
}

static void within_an_ulp(void **state)
{
    static const double spans[] = {1e-3, 1, 700};
    struct rng r = rng_begin(1, RNG_INIT, 0, 0);
    double most = 0, control = 0;

    (void)state;
    for (int i = 0; i < N; i++) {
        const double span = spans[i % 3], x = between(&r, -span, span);
        const double y = real_exp(x), angle = x * (i % 2 ? 1 : 1000);
        double sine, cosine;

        most = fmax(most, ulps(y, expl(x)));
        control = fmax(control, ulps(y * (1 + 0x1p-51), expl(x)));
        most = fmax(most, ulps(real_log(y), logl(y)));
        most = fmax(most, ulps(real_log(1 + x / 1400), logl(1 + x / 1400)));
        real_sincos(angle, &sine, &cosine);
        most = fmax(most, ulps(sine, sinl(angle)));
        most = fmax(most, ulps(cosine, cosl(angle)));
        assert_true(real_cos(angle) == cosine);
    }
    assert_true(most <= 1);
    assert_true(control > 1);
}

static void powers(void **state)
{
    struct rng r = rng_begin(2, RNG_INIT, 0, 0);

    (void)state;
    for (int i = 0; i < N; i++) {
        const double x = real_exp(between(&r, -20, 20)), y = between(&r, -10, 10);
        const long double truth = powl(x, y);
        const long double bound = (2 + fabsl((long double)y * logl(x))) * 0x1p-52L;

        assert_true(fabsl(real_pow(x, y) / truth - 1) <= bound);
    }
    assert_true(real_pow(3, 0) == 1);
}

static void ends(void **state)
{
    double sine, cosine;

    (void)state;
    assert_true(real_exp(0) == 1 && real_log(1) == 0);
    assert_true(isinf(real_exp(710)) && isinf(real_exp(INFINITY)));
    assert_true(isfinite(real_exp(709.78)));
    assert_true(real_exp(-746) == 0 && real_exp(-INFINITY) == 0);
    assert_true(real_exp(-745.1) == 0x1p-1074);
    assert_true(isnan(real_exp(NAN)) && isnan(real_log(NAN)) && isnan(real_log(-1)));
    assert_true(real_log(0) == -INFINITY && real_log(INFINITY) == INFINITY);
    assert_true(ulps(real_log(0x1p-1074), logl(0x1p-1074L)) <= 1);
    real_sincos(0, &sine, &cosine);
    assert_true(sine == 0 && cosine == 1);
    real_sincos(0x1.00001p20, &sine, &cosine);
    assert_true(isnan(sine) && isnan(cosine));
    assert_true(isnan(real_cos(NAN)));
}

static uint64_t add_bits(uint64_t hash, double x)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof bits);
    for (int i = 0; i < 8; i++, bits >>= 8)
        hash = (hash ^ (bits & 0xff)) * 0x100000001b3; /* FNV-1a */
    return hash;
}

/* The bits on every machine: instruction sets, compilers, C libraries. */
static void the_same_everywhere(void **state)
{
    struct rng r = rng_begin(3, RNG_INIT, 0, 0);
    uint64_t hash = 0xcbf29ce484222325, control = hash;

    (void)state;
    for (int i = 0; i < N; i++) {
        const double x = between(&r, -50, 50), y = real_exp(x);
        double sine, cosine;

        real_sincos(x, &sine, &cosine);
        hash = add_bits(add_bits(hash, y), real_log(y));
        hash = add_bits(add_bits(hash, sine), cosine);
        hash = add_bits(hash, real_pow(fabs(x), sine));
        control = add_bits(add_bits(control, exp(x)), log(y));
        control = add_bits(add_bits(control, sine), cosine);
        control = add_bits(control, real_pow(fabs(x), sine));
    }
    assert_true(hash != control);
    assert_int_equal(hash, 0x15f97483b5b1190);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(within_an_ulp),
        cmocka_unit_test(powers),
        cmocka_unit_test(ends),
        cmocka_unit_test(the_same_everywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
