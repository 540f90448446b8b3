/* test_repeats.c - several seeds of two recipes: scipy's values, and how often equal recipes are called different.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/path.h"
#include "base/rng.h"
#include "run/repeats.h"
#include "run/stats.h"

/* Written so that NaN fails. */
static void assert_near(double x, double expected, double tolerance)
{
    if (!(fabs(x - expected) <= tolerance))
        fail_msg("%.17g, expected %.17g within %g", x, expected, tolerance);
}

static void check_quantile(const char *line)
{
    double tail, value;
    int df;

    assert_int_equal(sscanf(line, "t %lf %d %lf", &tail, &df, &value), 3);
    assert_near(student_quantile(tail, df), value, 1e-9 * value);
}

static void check_flip(const char *line)
{
    double p, d[SIGN_FLIP_EXACT];
    int n, used;

    assert_int_equal(sscanf(line, "flip %d %lf%n", &n, &p, &used), 2);
    for (int i = 0, more; i < n; i++, used += more)
        assert_int_equal(sscanf(line + used, "%lf%n", &d[i], &more), 1);
    assert_near(sign_flip(d, n), p, 1e-12);
}

/* As tests/oracle/repeats.py makes them. */
static void make_cells(int8_t *x, int n, uint32_t m, uint32_t state)
{
    for (int s = 0; s < n; s++)
        for (uint32_t i = 0; i < m; i++) {
            int u;

            state = (state * 1103515245U + 12345U) & 0x7fffffffU;
            u = (int)((state >> 8) % 100);
            x[(size_t)s * m + i] =
                (int8_t)(u < 8 + 3 * (s % 3) + 20 * (i % 7 == 0) ? 1 : -(u > 93));
        }
}

static void check_table(const char *line)
{
    double mean, sd, error, low, high;
    struct two_way t;
    struct err err;
    unsigned m, seed;
    int8_t *x;
    int n;

    assert_int_equal(sscanf(line, "table %d %u %lf %lf %lf %lf %lf %u", &n, &m, &mean, &sd, &error,
                            &low, &high, &seed),
                     8);
    x = malloc((size_t)n * m);
    assert_non_null(x);
    make_cells(x, n, m, seed);
    assert_int_equal(two_way_difference(&t, x, n, m, &err), 0);
    assert_near(t.mean, mean, 1e-12);
    assert_near(t.seed_sd, sd, 1e-12);
    assert_near(t.error, error, 1e-12);
    assert_near(t.low, low, 1e-9);
    assert_near(t.high, high, 1e-9);
    free(x);
}

static void values_are_scipys(void **state)
{
    char *text, *rest;
    struct err err;
    size_t size;
    int seen[3] = {0};

    (void)state;
    if (path_read(&text, &size, "tests/data/repeats.txt", 1 << 20, &err) < 0)
        fail_msg("%s", err.msg);
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, "t ", 2) == 0)
            check_quantile(line);
        else if (strncmp(line, "flip ", 5) == 0)
            check_flip(line);
        else if (strncmp(line, "table ", 6) == 0)
            check_table(line);
        seen[0] += line[0] == 't' && line[1] == ' ';
        seen[1] += line[0] == 'f';
        seen[2] += line[0] == 't' && line[1] == 'a';
    }
    free(text);
    assert_true(seen[0] >= 40 && seen[1] >= 13 && seen[2] >= 5);
}

static void few_seeds_cannot_decide(void **state)
{
    const double same_sign[] = {1, 2, 3, 4, 5, 6, 7, 8};

    (void)state;
    assert_near(sign_flip(same_sign, 3), 0.25, 0);
    assert_near(sign_flip(same_sign, 5), 0.0625, 0);
    assert_near(sign_flip(same_sign, 6), 0.03125, 0);
    for (int n = 1; n <= 8; n++)
        assert_near(sign_flip(same_sign, n), sign_flip_least(n), 0);
    assert_int_equal(sign_flip_needed(0.05), 6);
    assert_int_equal(sign_flip_needed(0.025), 7); /* two tests at once */
    assert_int_equal(sign_flip_needed(0.05 / 9), 9);
    assert_int_equal(sign_flip_needed(1e-6), 0); /* 50,000 tests at once */
    assert_true(isinf(sign_flip_detectable(50, 1e-6)));
    assert_true(isinf(sign_flip_detectable(5, 0.05)));
    assert_true(isinf(sign_flip_detectable(6, 0.025)));
}

/* What is called detectable is found in 80 % of other studies, half of it far more rarely; more seeds see more. */
static void detectable_is_found_in_four_of_five(void **state)
{
    static const int seeds[] = {6, 7, 10, 14};
    double before = INFINITY;

    (void)state;
    for (size_t k = 0; k < 4; k++) {
        const int n = seeds[k];
        const double effect = sign_flip_detectable(n, 0.05);
        int found[2] = {0};
        enum { STUDIES = 1000 };

        assert_true(effect < before);
        before = effect;
        for (uint32_t i = 0; i < STUDIES; i++)
            for (int half = 0; half < 2; half++) {
                struct rng rng = rng_begin(7, RNG_TEST, (uint32_t)n, i);
                double d[14];

                for (int s = 0; s < n; s++)
                    d[s] = rng_normal(&rng) + (half ? effect / 2 : effect);
                found[half] += sign_flip(d, n) < 0.05;
            }
        assert_true(found[0] >= STUDIES * 0.75 && found[0] <= STUDIES * 0.85);
        assert_true(found[1] < STUDIES * 0.45);
    }
}

enum { PICTURES = 200, SEEDS_MOST = 10 };

/* Mistakes of one network: each picture is as hard as it is, each seed a little better or worse. BETTER: how much the
 * recipe is. */
static void predict(uint8_t *wrong, const double *hard, struct rng *rng, double better)
{
    const double luck = 0.6 * rng_normal(rng) - better;

    for (int i = 0; i < PICTURES; i++)
        wrong[i] = rng_uniform(rng, 0, 1) < 1 / (1 + exp(2 - hard[i] - luck));
}

/* Of 1,000 studies of N seeds, how many call the recipes different: *FLIPS by sign flips over seeds, *POOLED by
 * McNemar's test over all pictures of all seeds as if they were independent, *OUTSIDE: intervals without 0. */
static void simulate(int n, double better, int *flips, int *pooled, int *outside)
{
    static int8_t x[SEEDS_MOST * PICTURES];

    *flips = *pooled = *outside = 0;
    for (uint32_t study = 0; study < 1000; study++) {
        struct rng rng = rng_begin(11, RNG_TEST, (uint32_t)n, study);
        uint32_t only[2] = {0};
        double hard[PICTURES], d[SEEDS_MOST];
        struct two_way t;
        struct err err;

        for (int i = 0; i < PICTURES; i++)
            hard[i] = 1.5 * rng_normal(&rng);
        for (int s = 0; s < n; s++) {
            uint8_t a[PICTURES], b[PICTURES];
            int sum = 0;

            predict(a, hard, &rng, 0);
            predict(b, hard, &rng, better);
            for (int i = 0; i < PICTURES; i++) {
                x[s * PICTURES + i] = (int8_t)(b[i] - a[i]);
                sum += b[i] - a[i];
                only[0] += a[i] > b[i];
                only[1] += b[i] > a[i];
            }
            d[s] = (double)sum / PICTURES;
        }
        *flips += sign_flip(d, n) < 0.05;
        *pooled += stats_mcnemar(only[0], only[1]).mid_p < 0.05;
        assert_int_equal(two_way_difference(&t, x, n, PICTURES, &err), 0);
        *outside += t.low > 0 || t.high < 0;
    }
}

/* Equal recipes are called different in at most 6.5 % of the studies. The controls: a test that takes pictures of one
 * seed for independent does not keep that, and recipes that do differ are found. */
static void equal_recipes_are_called_equal(void **state)
{
    static const int seeds[] = {7, 10};
    int flips, pooled, outside;

    (void)state;
    for (int k = 0; k < 2; k++) {
        simulate(seeds[k], 0, &flips, &pooled, &outside);
        print_message("%d seeds: %d of 1,000 by sign flips, %d by pooled pictures, %d intervals\n",
                      seeds[k], flips, pooled, outside);
        assert_true(flips <= 65);
        assert_true(outside <= 65);
        assert_true(pooled > 100);
        simulate(seeds[k], 1.5, &flips, &pooled, &outside);
        assert_true(flips > 500);
    }
    simulate(5, 3, &flips, &pooled, &outside);
    assert_int_equal(flips, 0); /* however large the difference is */
}

static void many_seeds_are_drawn(void **state)
{
    double d[40], p;

    (void)state;
    for (int i = 0; i < 40; i++)
        d[i] = i % 4 == 0 ? -1 : 0.5; /* 30 of 40 above 0, the mean is 0.125 */
    p = sign_flip(d, 40);
    /* a normal distribution of this variance gives 0.23 */
    assert_true(p > 0.18 && p < 0.30);
    assert_near(sign_flip(d, 40), p, 0);
    for (int i = 0; i < 40; i++)
        d[i] = 1;
    assert_near(sign_flip(d, 40), sign_flip_least(40), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_scipys),
        cmocka_unit_test(few_seeds_cannot_decide),
        cmocka_unit_test(detectable_is_found_in_four_of_five),
        cmocka_unit_test(equal_recipes_are_called_equal),
        cmocka_unit_test(many_seeds_are_drawn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
