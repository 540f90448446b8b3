/* test_link.c - how long a step over a link takes: the model against pieces that are played through one by one.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "group/group.h"
#include "link.h"

enum { PIECES = 180 };
#define PART                                                                                       \
    (128 << 10) /* bytes that one of two machines sends of a piece, to be added and of the sums */

static double later(double a, double b)
{
    return a > b ? a : b;
}

static bool is_near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fabs(b);
}

/* Seconds until all calls of cpu_ranks.c are done: what a call sends follows what was sent before, and a call is begun
 * when that of a window before is done. Gradients are there from the start. */
static double play(const struct link *l)
{
    double done[PIECES + GROUP_WINDOW], free_s = 0;

    for (int i = 0; i < PIECES + GROUP_WINDOW; i++) {
        const double begun = i < GROUP_WINDOW ? 0 : done[i - GROUP_WINDOW];
        const int parts = (i < PIECES) + (i >= GROUP_WINDOW);

        free_s = later(free_s, begun) + parts * PART / l->bytes_per_s;
        done[i] = free_s + l->latency_s;
    }
    return done[PIECES + GROUP_WINDOW - 1];
}

static const struct be_traffic traffic = {.exchanges = 2 * PIECES + 46,
                                          .exchanges_beside = 2 * PIECES,
                                          .bytes = 2 * PIECES * PART + 1000000,
                                          .bytes_beside = 2 * PIECES * PART,
                                          .rounds_beside = PIECES / GROUP_WINDOW + 1,
                                          .exchanges_backward = 21};

static void pieces_take_what_the_model_says(void **state)
{
    static const double latencies[] = {0, 10e-6, 50e-6, 200e-6, 1e-3, 0.02};
    static const double gbits[] = {0.1, 1, 10, 100};
    const struct link_compute none = {.threads = 1, .parts = 1};

    (void)state;
    for (size_t i = 0; i < sizeof latencies / sizeof *latencies; i++)
        for (size_t k = 0; k < sizeof gbits / sizeof *gbits; k++) {
            const struct link l = {latencies[i], gbits[k] * 1e9 / 8};
            struct link_times times;
            double s = play(&l);

            link_times(&times, &l, &traffic, &none);
            if (times.gradients_s < 0.9 * s || times.gradients_s > 1.1 * s)
                fail_msg("%g s, %g Gbit/s: %g s, the model says %g s", latencies[i], gbits[k], s,
                         times.gradients_s);
        }
}

static void computing_hides_gradients_alone(void **state)
{
    const struct link l = {1e-3, 125e6};
    struct link_compute c = {.all_s = 0.06, .backward_s = 0.04, .threads = 2, .parts = 1};
    const double moving_s = 2 * 0.9e-9 * 2 * PIECES * PART / 2; /* by two threads */
    struct be_traffic frozen = {.exchanges = 10, .bytes = 1000};
    struct link_times t;

    (void)state;
    link_times(&t, &l, &traffic, &c); /* 377 ms of bytes, 40, 21 and 42 ms beside them */
    assert_true(is_near(t.moving_s, moving_s));
    assert_true(is_near(t.sums_s, 0.046 + 0.008));
    assert_true(is_near(t.gradients_s, 2.0 * PIECES * PART / 125e6));
    assert_true(is_near(t.left_s, t.gradients_s - 0.061 - moving_s));
    assert_true(is_near(t.step_s, 0.06 + moving_s + t.sums_s + t.left_s));
    c.backward_s = 1; /* the last piece is not hidden */
    link_times(&t, &l, &traffic, &c);
    assert_true(is_near(t.left_s, 0.002));
    link_times(&t, &l, &frozen, &c); /* nothing is trained */
    assert_true(is_near(t.left_s, 0));
    assert_true(is_near(t.sums_s, 0.010008));
}

static void links_are_read(void **state)
{
    static const char *const wrong[] = {"",     "50",    "50,",   ",10",   "50,0",    "-1,10",
                                        "50;1", "50,1x", "nan,1", "1,nan", "1,10,10", "50us,10"};
    struct link l;

    (void)state;
    assert_true(link_parse(&l, "1000,2.5"));
    assert_true(is_near(l.latency_s, 1e-3));
    assert_true(is_near(l.bytes_per_s, 2.5e9 / 8));
    assert_true(link_parse(&l, "0,1"));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (link_parse(&l, wrong[i]))
            fail_msg("--link %s is taken", wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_take_what_the_model_says),
        cmocka_unit_test(computing_hides_gradients_alone),
        cmocka_unit_test(links_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
