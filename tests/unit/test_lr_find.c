/* test_lr_find.c - the range test's rates and suggestions: golden values, curves with known answers.
 *
 * Numbers of the curves: tests/oracle/lr_find.py. SPDX-License-Identifier: MIT */
#include "nn/lr_find.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct curve {
    double lr[LR_FIND_STEPS], loss[LR_FIND_STEPS];
    struct lr_suggestion s[LR_RULES];
    struct err err;
};

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-7 * fabs(want)))
        fail_msg("%.12g, expected %.12g", got, want);
}

static void set_rates(struct curve *c)
{
    *c = (struct curve){0};
    for (int i = 0; i < LR_FIND_STEPS; i++)
        c->lr[i] = lr_find_rate(i);
}

static void suggest(struct curve *c, int n)
{
    if (lr_find_suggest(c->s, c->lr, c->loss, n, &c->err) < 0)
        fail_msg("%s", c->err.msg);
}

static void expect(const struct curve *c, enum lr_rule rule, int point)
{
    if (c->s[rule].at != c->lr[point])
        fail_msg("%s read at rate %g, expected point %d at %g", lr_rule_names[rule], c->s[rule].at,
                 point, c->lr[point]);
    assert_true(c->s[rule].loss == c->loss[point]);
    near(c->s[rule].rate, rule == LR_MINIMUM ? c->lr[point] / 10 : c->lr[point]);
}

static void rates_are_fastais(void **state)
{
    (void)state;
    near(lr_find_rate(0), 1e-7);
    near(lr_find_rate(10), 6.3095734e-7);
    near(lr_find_rate(50), 1e-3);
    near(lr_find_rate(99), 8.3176377);
}

static void it_stops_above_four_times_the_best(void **state)
{
    double best = INFINITY;

    (void)state;
    assert_false(lr_find_diverged(&best, 2));
    assert_false(lr_find_diverged(&best, 1));
    assert_false(lr_find_diverged(&best, 4));
    assert_false(lr_find_diverged(&best, NAN));
    assert_true(best == 1);
    assert_true(lr_find_diverged(&best, 4.0001));
    assert_true(lr_find_diverged(&best, INFINITY));
}

static void fill(struct curve *c, int n, double middle, double wobble)
{
    set_rates(c);
    for (int i = 0; i < n; i++)
        c->loss[i] =
            3.6 - 1.5 / (1 + exp(-(i - middle) / 5)) + wobble * sin(1.7 * i) + exp((i - 93) / 2.0);
}

static void curves_as_in_numpy(void **state)
{
    struct curve c;

    (void)state;
    fill(&c, 98, 60, 0);
    suggest(&c, 98);
    expect(&c, LR_VALLEY, 45);
    expect(&c, LR_SLIDE, 25);
    expect(&c, LR_MINIMUM, 83);
    expect(&c, LR_STEEP, 59);
    near(c.s[LR_VALLEY].rate, 3.9810717055e-04);
    near(c.s[LR_MINIMUM].rate, 4.3651583224e-02);

    fill(&c, 97, 45, 0.03);
    suggest(&c, 97);
    expect(&c, LR_VALLEY, 63);
    expect(&c, LR_SLIDE, 69);
    expect(&c, LR_MINIMUM, 73);
    expect(&c, LR_STEEP, 42);
}

/* 85 points count, 10 to 94: the whole is the valley, begun one before its first point. */
static void a_straight_fall(void **state)
{
    struct curve c;

    (void)state;
    set_rates(&c);
    for (int i = 0; i < LR_FIND_STEPS; i++)
        c.loss[i] = 200 - i - (i > 70 ? 3 : 0);
    suggest(&c, LR_FIND_STEPS);
    expect(&c, LR_VALLEY, 10 - 1 + 28 + 14);
    expect(&c, LR_MINIMUM, 94);
    expect(&c, LR_STEEP, 70);
    for (int i = 71; i < LR_FIND_STEPS; i++)
        c.loss[i] += 3;
    suggest(&c, LR_FIND_STEPS);
    expect(&c, LR_SLIDE, 94 - 15); /* equal slopes: the window does not move */
}

static void a_rise_has_no_valley(void **state)
{
    struct curve c;

    (void)state;
    set_rates(&c);
    for (int i = 0; i < LR_FIND_STEPS; i++)
        c.loss[i] = 10 + i;
    suggest(&c, LR_FIND_STEPS);
    expect(&c, LR_VALLEY, 10);
    expect(&c, LR_MINIMUM, 10);
    c.loss[10] = 5; /* falls once, then rises */
    c.loss[11] = 4;
    suggest(&c, LR_FIND_STEPS);
    expect(&c, LR_VALLEY, 10);
    expect(&c, LR_MINIMUM, 11);
    expect(&c, LR_STEEP, 10);
}

static void what_does_not_count(void **state)
{
    struct curve c;

    (void)state;
    set_rates(&c);
    for (int i = 0; i < LR_FIND_STEPS; i++)
        c.loss[i] = 100 - i;
    c.loss[3] = c.loss[97] = -1000; /* among the first and the last */
    c.loss[41] = NAN;
    c.loss[60] = -1000; /* after it */
    suggest(&c, LR_FIND_STEPS);
    expect(&c, LR_MINIMUM, 40);
    c.loss[41] = INFINITY;
    suggest(&c, LR_FIND_STEPS);
    expect(&c, LR_MINIMUM, 40);
    c.loss[41] = 59;
    suggest(&c, LR_FIND_STEPS); /* control: without the hole the dip is seen */
    expect(&c, LR_MINIMUM, 60);
}

static void too_few_points(void **state)
{
    struct curve c;

    (void)state;
    set_rates(&c);
    for (int i = 0; i < LR_FIND_STEPS; i++)
        c.loss[i] = 100 - i;
    suggest(&c, 31); /* 10 to 25 */
    expect(&c, LR_MINIMUM, 25);
    expect(&c, LR_SLIDE, 10);
    for (int n = 0; n <= 30; n++) {
        c.err = (struct err){0};
        assert_int_equal(lr_find_suggest(c.s, c.lr, c.loss, n, &c.err), -1);
        assert_int_equal(c.err.kind, ERR_INPUT);
    }
    assert_non_null(strstr(c.err.msg, "15 of 30 points"));
    c.loss[25] = NAN;
    assert_int_equal(lr_find_suggest(c.s, c.lr, c.loss, LR_FIND_STEPS, &c.err), -1);
    c.loss[0] = NAN; /* from the start */
    c.loss[10] = NAN;
    assert_int_equal(lr_find_suggest(c.s, c.lr, c.loss, LR_FIND_STEPS, &c.err), -1);
    assert_non_null(strstr(c.err.msg, "0 of 100 points"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_fastais),
        cmocka_unit_test(it_stops_above_four_times_the_best),
        cmocka_unit_test(curves_as_in_numpy),
        cmocka_unit_test(a_straight_fall),
        cmocka_unit_test(a_rise_has_no_valley),
        cmocka_unit_test(what_does_not_count),
        cmocka_unit_test(too_few_points),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
