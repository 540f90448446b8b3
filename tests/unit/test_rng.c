/* test_rng.c - Philox against Random123's known answers, and what is drawn from it.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"

/* Random123 1.14, tests/kat_vectors, philox4x32 with 10 rounds. */
static void known_answers(void **state)
{
    static const struct {
        uint64_t seed;
        struct rng_counter c;
        uint32_t want[4];
    } cases[] = {
        {0, {0, 0, 0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX,
         {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822,
         {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t got[4];

        rng_words(got, cases[i].seed, cases[i].c);
        assert_memory_equal(got, cases[i].want, sizeof got);
    }
}

static void cursor_walks_the_draws(void **state)
{
    struct rng r = rng_begin(5, RNG_TEST, 2, 3);

    (void)state;
    for (uint32_t draw = 0; draw < 3; draw++) {
        uint32_t words[4];

        rng_words(words, 5, (struct rng_counter){RNG_TEST, 2, 3, draw});
        for (int i = 0; i < 4; i++)
            assert_int_equal(rng_u32(&r), words[i]);
    }
}

static void streams_differ_in_every_coordinate(void **state)
{
    struct rng a = rng_begin(1, RNG_TEST, 0, 0), b = rng_begin(2, RNG_TEST, 0, 0),
               c = rng_begin(1, RNG_INIT, 0, 0), d = rng_begin(1, RNG_TEST, 1, 0),
               e = rng_begin(1, RNG_TEST, 0, 1);
    uint32_t first = rng_u32(&a);

    (void)state;
    assert_int_not_equal(first, rng_u32(&b));
    assert_int_not_equal(first, rng_u32(&c));
    assert_int_not_equal(first, rng_u32(&d));
    assert_int_not_equal(first, rng_u32(&e));
}

/* Bounds are eight standard deviations: a right generator fails once in 10^15 seeds, and the seed is
 * fixed. */
static void uniform_and_below_fill_their_range(void **state)
{
    enum { N = 100000, BINS = 7 };
    struct rng r = rng_begin(1, RNG_TEST, 0, 0);
    double sum = 0;
    int bins[BINS] = {0};

    (void)state;
    for (int i = 0; i < N; i++) {
        double x = rng_uniform(&r, -1, 3);

        assert_true(x >= -1 && x < 3);
        sum += x;
        bins[rng_below(&r, BINS)]++;
    }
    assert_true(fabs(sum / N - 1) < 8 * 4 / sqrt(12.0 * N));
    for (int i = 0; i < BINS; i++)
        assert_true(fabs(bins[i] - N / 7.0) < 8 * sqrt(N * (1 / 7.0) * (6 / 7.0)));
    assert_true(rng_uniform(&r, 0.5, 0.5) == 0.5);
    assert_int_equal(rng_below(&r, 1), 0);
    for (int i = 0; i < 1000; i++) /* half of all words are rejected here */
        assert_true(rng_below(&r, 0x80000001U) <= 0x80000000U);
}

static void normal_has_its_moments(void **state)
{
    enum { N = 200000 };
    struct rng r = rng_begin(3, RNG_TEST, 0, 0);
    double s1 = 0, s2 = 0, s4 = 0;

    (void)state;
    for (int i = 0; i < N; i++) {
        double x = rng_normal(&r);

        assert_true(isfinite(x));
        s1 += x;
        s2 += x * x;
        s4 += x * x * x * x;
    }
    assert_true(fabs(s1 / N) < 8 / sqrt(N));
    assert_true(fabs(s2 / N - 1) < 8 * sqrt(2.0 / N));
    assert_true(fabs(s4 / N - 3) < 8 * sqrt(96.0 / N));
}

static void permutation_is_one(void **state)
{
    enum { N = 1000 };
    uint32_t a[N], b[N];
    char seen[N] = {0};
    int fixed = 0;

    (void)state;
    rng_permutation(a, N, 9, RNG_ORDER, 4);
    for (uint32_t i = 0; i < N; i++) {
        assert_true(a[i] < N && !seen[a[i]]);
        seen[a[i]] = 1;
        fixed += a[i] == i;
    }
    assert_true(fixed < 12); /* Poisson with mean 1 */
    rng_permutation(b, N, 9, RNG_ORDER, 4);
    assert_memory_equal(a, b, sizeof a);
    rng_permutation(b, N, 9, RNG_ORDER, 5);
    assert_memory_not_equal(a, b, sizeof a);
    rng_permutation(a, 0, 9, RNG_ORDER, 4);
    rng_permutation(a, 1, 9, RNG_ORDER, 4);
    assert_int_equal(a[0], 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(cursor_walks_the_draws),
        cmocka_unit_test(streams_differ_in_every_coordinate),
        cmocka_unit_test(uniform_and_below_fill_their_range),
        cmocka_unit_test(normal_has_its_moments),
        cmocka_unit_test(permutation_is_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
