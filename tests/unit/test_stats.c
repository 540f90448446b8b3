/* test_stats.c - intervals and tests against values worked out with exact fractions.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "run/stats.h"

/* Written so that NaN fails. */
static void assert_near(double x, double expected, double tolerance)
{
    if (!(fabs(x - expected) <= tolerance))
        fail_msg("%.17g, expected %.17g within %g", x, expected, tolerance);
}

/* Python's math.comb over fractions of 2^n. */
static void mcnemar_meets_exact_fractions(void **state)
{
    static const struct {
        uint64_t b, c;
        double exact, mid_p;
    } cases[] = {
        {0, 0, 1, 1},
        {0, 1, 1, 0.5},
        {7, 7, 1, 1},
        {0, 10, 0.001953125, 0.0009765625},
        {5, 15, 0.04138946533203125, 0.02660369873046875},
        {30, 60, 0.002060265680963076, 0.0015165131944572217},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mcnemar m = stats_mcnemar(cases[i].b, cases[i].c);
        struct mcnemar turned = stats_mcnemar(cases[i].c, cases[i].b);

        assert_near(m.exact, cases[i].exact, 1e-12);
        assert_near(m.mid_p, cases[i].mid_p, 1e-12);
        assert_near(m.mid_p, turned.mid_p, 0);
    }
    /* Large counts neither overflow nor take long. */
    assert_near(stats_mcnemar(1000000, 1000000).exact, 1, 0);
    assert_true(stats_mcnemar(1000000, 1010000).exact < 1e-11);
    assert_true(stats_mcnemar(0, 5000000).exact >= 0);
}

static void wilson_meets_published_values(void **state)
{
    double low, high;

    (void)state;
    stats_wilson(&low, &high, 10, 100);
    assert_near(low, 0.05522914, 1e-8);
    assert_near(high, 0.17436566, 1e-8);
    stats_wilson(&low, &high, 0, 20); /* Brown, Cai, DasGupta: never negative */
    assert_near(low, 0, 0);
    assert_near(high, 0.16112516, 1e-8);
    stats_wilson(&low, &high, 20, 20);
    assert_near(low, 1 - 0.16112516, 1e-8);
    assert_near(high, 1, 0);
    stats_wilson(&low, &high, 0, 0);
    assert_near(high - low, 1, 0);
}

static void bootstrap_is_repeatable_and_covers(void **state)
{
    double d[400], low, high, again_low, again_high, mean = 0;
    struct rng rng = rng_begin(1, RNG_TEST, 0, 0);
    struct err err;

    (void)state;
    for (size_t i = 0; i < 400; i++)
        mean += (d[i] = rng_normal(&rng)) / 400;
    assert_int_equal(stats_bootstrap(&low, &high, d, 400, 2000, 42, &err), 0);
    assert_int_equal(stats_bootstrap(&again_low, &again_high, d, 400, 2000, 42, &err), 0);
    assert_near(low, again_low, 0);
    assert_near(high, again_high, 0);
    /* The mean of 400 normal numbers has a standard error of 1/20. */
    assert_near(low, mean - 1.96 / 20, 0.02);
    assert_near(high, mean + 1.96 / 20, 0.02);
    assert_int_equal(stats_bootstrap(&again_low, &again_high, d, 400, 2000, 43, &err), 0);
    assert_true(again_low != low); /* the control: another seed */
}

static void holm_steps_down(void **state)
{
    double p[] = {0.01, 0.04, 0.03, 0.005}, one[] = {0.2}, tied[] = {0, 0, 0.9};

    (void)state;
    stats_holm(p, 4); /* Holm 1979: 4 x 0.005, 3 x 0.01, 2 x 0.03, then not below the one before */
    assert_near(p[3], 0.02, 1e-15);
    assert_near(p[0], 0.03, 1e-15);
    assert_near(p[2], 0.06, 1e-15);
    assert_near(p[1], 0.06, 1e-15);
    stats_holm(one, 1);
    assert_near(one[0], 0.2, 1e-15);
    stats_holm(tied, 3);
    assert_near(tied[0] + tied[1], 0, 0);
    assert_near(tied[2], 0.9, 1e-15);
}

static void mean_and_deviation(void **state)
{
    const double x[] = {2, 4, 4, 4, 5, 5, 7, 9};
    double mean, deviation;

    (void)state;
    stats_mean(&mean, &deviation, x, 8);
    assert_near(mean, 5, 0);
    assert_near(deviation, 2.138089935299395, 1e-12);
    stats_mean(&mean, &deviation, x, 1);
    assert_near(deviation, 0, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(mcnemar_meets_exact_fractions),
        cmocka_unit_test(wilson_meets_published_values),
        cmocka_unit_test(bootstrap_is_repeatable_and_covers),
        cmocka_unit_test(holm_steps_down),
        cmocka_unit_test(mean_and_deviation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
