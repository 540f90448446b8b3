/* test_recipe.c - phases and schedules against fastai's values.
 *
 * Golden values: computed with fastai 2 in double (its combined_cos, fine_tune, fit_one_cycle,
 * even_mults and AvgSmoothLoss). SPDX-License-Identifier: MIT */
#include "nn/recipe.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/yaml.h"

struct options {
    struct train_options train;
    struct optim_options optim;
};

static const struct key_table tables[] = {{train_keys, offsetof(struct options, train)},
                                          {optim_keys, offsetof(struct options, optim)}};

struct recipe {
    struct options o;
    struct run_phase phases[2 * KEY_LIST_MAX];
    int n;
    struct err err;
};

/* What TEXT, a file's, becomes; -1 where a key or a phase is refused. */
static int expand(struct recipe *r, const char *text)
{
    json_t *tree;
    int rc;

    *r = (struct recipe){0};
    keys_default(tables, 2, KEYS_NEWEST, &r->o);
    if (yaml_parse(&tree, text, &r->err) < 0)
        fail_msg("%s", r->err.msg);
    rc = keys_apply(tables, 2, KEYS_NEWEST, &r->o, tree, "text", &r->err);
    json_decref(tree);
    return rc < 0 ? -1 : recipe_expand(r->phases, &r->n, &r->o.train, &r->o.optim, &r->err);
}

static void expand_ok(struct recipe *r, const char *text)
{
    if (expand(r, text) < 0)
        fail_msg("%s: %s", text, r->err.msg);
}

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-7 * fabs(want)))
        fail_msg("%.12g, expected %.12g", got, want);
}

static double lr_at(const struct recipe *r, int phase, int group, uint64_t k, uint64_t n)
{
    struct step step = {0};

    recipe_step(&step, &r->phases[phase], &r->o.optim, k, n);
    return step.lr[group];
}

static double mom_at(const struct recipe *r, int phase, uint64_t k, uint64_t n)
{
    struct step step = {0};

    recipe_step(&step, &r->phases[phase], &r->o.optim, k, n);
    return step.mom;
}

static void fine_tune_is_two_cycles(void **state)
{
    struct recipe r;

    (void)state;
    expand_ok(&r, "train: {phases: [{kind: fine_tune, epochs: 2}]}");
    assert_int_equal(r.n, 2);
    assert_string_equal(r.phases[0].name, "frozen");
    assert_string_equal(r.phases[1].name, "unfrozen");
    assert_int_equal(r.phases[0].kind, PHASE_ONE_CYCLE);
    assert_int_equal(r.phases[0].epochs, 1);
    assert_int_equal(r.phases[1].epochs, 2);
    assert_int_equal(r.phases[0].freeze_to, 2);
    assert_int_equal(r.phases[1].freeze_to, 0);
    assert_true(r.phases[0].clears && r.phases[1].clears);
    assert_int_equal(r.phases[0].batch, 64);
    assert_int_equal(r.phases[1].size, 224);
    near(r.phases[0].lr[0], 2e-4);
    near(r.phases[1].lr[0], 1e-5);
    near(r.phases[1].lr[1], 1e-4);
    near(r.phases[1].lr[2], 1e-3);

    near(lr_at(&r, 0, 2, 0, 92), 8e-5);
    near(lr_at(&r, 0, 2, 1, 92), 8.0571021e-5);
    near(lr_at(&r, 0, 2, 4, 92), 8.9122752e-5);
    near(lr_at(&r, 0, 2, 90, 92), 1.9993340e-3);
    near(lr_at(&r, 0, 2, 91, 92), 1.9999963e-3);
    near(mom_at(&r, 0, 1, 92), .9499703);
    near(mom_at(&r, 0, 45, 92), .9009312);
    near(mom_at(&r, 0, 91, 92), .8500002);

    near(lr_at(&r, 1, 2, 0, 184), 2e-4);
    near(lr_at(&r, 1, 2, 1, 184), 2.0064764e-4);
    near(lr_at(&r, 1, 2, 55, 184), 9.9997409e-4);
    near(lr_at(&r, 1, 2, 56, 184), 9.9990481e-4);
    near(lr_at(&r, 1, 2, 100, 184), 7.3003522e-4);
    near(lr_at(&r, 1, 2, 183, 184), 1.5872437e-7);
    near(mom_at(&r, 1, 100, 184), .8769967);
    near(mom_at(&r, 1, 183, 184), .9499851);
}

static void fine_tunes_keys_reach_their_part(void **state)
{
    struct recipe r;

    (void)state;
    expand_ok(&r,
              "train: {batch: 16, size: 96, phases: [{kind: fine_tune, epochs: 6, base_lr: 3e-3, "
              "freeze_epochs: 3, lr_mult: 10, div: 7, pct_start: 0.4, div_final: 100, size: 64, "
              "batch: 8}]}");
    assert_int_equal(r.n, 2);
    assert_int_equal(r.phases[0].epochs, 3);
    near(r.phases[0].lr[2], 3e-3);
    near(r.phases[0].div, 25);
    near(r.phases[0].pct_start, 0.99);
    near(r.phases[0].div_final, 100);
    near(r.phases[1].lr[0], 1.5e-4);
    near(r.phases[1].lr[2], 1.5e-3);
    near(r.phases[1].div, 7);
    near(r.phases[1].pct_start, 0.4);
    assert_int_equal(r.phases[1].size, 64);
    assert_int_equal(r.phases[0].batch, 8);
    expand_ok(&r, "train: {phases: [{kind: fine_tune, epochs: 6, freeze_epochs: 0}]}");
    assert_int_equal(r.n, 1);
    assert_string_equal(r.phases[0].name, "unfrozen");
}

/* freeze() and unfreeze() clear Adam's state; continuing in the same state does not. */
static void when_the_optimiser_starts_anew(void **state)
{
    static const bool clears[] = {true, false, true, true, true};
    struct recipe r;

    (void)state;
    expand_ok(&r, "train: {phases: [{epochs: 1, freeze: true}, {epochs: 1, freeze: true}, "
                  "{kind: fine_tune, epochs: 1}, {epochs: 1, freeze: true}]}");
    assert_int_equal(r.n, 5);
    for (int i = 0; i < r.n; i++)
        assert_int_equal(r.phases[i].clears, clears[i]);
}

static void one_cycle_and_slices(void **state)
{
    struct recipe r;

    (void)state;
    expand_ok(&r, "train: {phases: [{epochs: 3, lr: 3e-3, freeze: true}, "
                  "{kind: one_cycle, epochs: 12, lr: [1e-6, 1e-4]}]}");
    assert_int_equal(r.n, 2);
    assert_int_equal(r.phases[0].freeze_to, 2);
    assert_string_equal(r.phases[0].name, "one_cycle_frozen");
    for (int g = 0; g < 3; g++)
        near(lr_at(&r, 0, g, 0, 276), 1.2e-4);
    near(lr_at(&r, 0, 2, 69, 276), 3e-3);
    near(lr_at(&r, 0, 2, 138, 276), 2.25e-3 + 3e-8 / 4); /* 3/4 of the peak, 1/4 of the end */
    near(lr_at(&r, 0, 2, 275, 276), 2.0274586e-7);

    for (int g = 0; g < 3; g++) {
        double peak = pow(10, g - 6);

        near(lr_at(&r, 1, g, 0, 1104), peak / 25);
        near(lr_at(&r, 1, g, 276, 1104), peak);
        near(lr_at(&r, 1, g, 500, 1104), peak * .83003104);
    }
    expand_ok(&r, "train: {phases: [{epochs: 1, lr: [1e-5, 1e-3]}, {epochs: 1, lr: [1, 2, 3]}, "
                  "{epochs: 1}]}\noptim: {lr: 5e-3}");
    near(r.phases[0].lr[0], 1e-5);
    near(r.phases[0].lr[1], 1e-4);
    near(r.phases[0].lr[2], 1e-3);
    near(r.phases[1].lr[1], 2);
    near(r.phases[2].lr[0], 5e-3);
}

static void flat_and_constant(void **state)
{
    struct recipe r;

    (void)state;
    expand_ok(&r, "train: {phases: [{kind: flat_cos, epochs: 1, lr: 1e-2}, "
                  "{kind: constant, epochs: 1, lr: 1e-2}]}");
    near(lr_at(&r, 0, 0, 0, 100), 1e-2);
    near(lr_at(&r, 0, 0, 75, 100), 1e-2);
    near(lr_at(&r, 0, 0, 87, 100), 1e-7 + (1e-2 - 1e-7) * (1 + cos(3.14159265358979 * .48)) / 2);
    near(mom_at(&r, 0, 50, 100), .9);
    near(lr_at(&r, 1, 2, 0, 100), 1e-2);
    near(lr_at(&r, 1, 2, 99, 100), 1e-2);
    near(mom_at(&r, 1, 50, 100), .9);
}

/* fastai's fit_sgdr(3, 2): cycles of 2, 4 and 8 epochs, each from the rate to 0. */
static void restarts(void **state)
{
    struct recipe r;

    (void)state;
    expand_ok(&r, "train: {phases: [{kind: sgdr, cycles: 3, cycle_len: 2, lr: 1e-2}]}");
    assert_int_equal(r.phases[0].epochs, 14);
    near(lr_at(&r, 0, 0, 0, 1400), 1e-2);
    near(lr_at(&r, 0, 2, 100, 1400), 5e-3);
    assert_true(lr_at(&r, 0, 2, 199, 1400) < 1e-6);
    near(lr_at(&r, 0, 2, 200, 1400), 1e-2);
    near(lr_at(&r, 0, 1, 400, 1400), 5e-3);
    near(lr_at(&r, 0, 1, 600, 1400), 1e-2);
    near(lr_at(&r, 0, 1, 800, 1400), 1e-2 * (1 + cos(3.14159265358979 / 4)) / 2);
    assert_true(lr_at(&r, 0, 1, 1399, 1400) < 1e-6);
    near(mom_at(&r, 0, 50, 1400), .9);
    expand_ok(&r, "train: {phases: [{kind: sgdr, cycles: 3, cycle_len: 2, cycle_mult: 1}]}");
    assert_int_equal(r.phases[0].epochs, 6);
}

/* fastai's TrackerCallback: better is what is lower by more than min_delta. */
static void a_phase_is_watched(void **state)
{
    const struct watch_options stop = {.early_stop = 2, .min_delta = 0.1};
    const struct watch_options fall = {.plateau = 1, .plateau_factor = 4};
    struct watch w;

    (void)state;
    watch_begin(&w);
    assert_int_equal(watch_epoch(&w, &stop, true, 1.0), WATCH_GO_ON);
    assert_int_equal(watch_epoch(&w, &stop, true, 0.95), WATCH_GO_ON); /* not enough: once */
    assert_int_equal(watch_epoch(&w, &stop, true, 0.8), WATCH_GO_ON);
    assert_int_equal(watch_epoch(&w, &stop, true, 0.8), WATCH_GO_ON);
    assert_int_equal(watch_epoch(&w, &stop, true, 0.75), WATCH_STOP);
    watch_begin(&w);
    for (int i = 0; i < 9; i++)
        assert_int_equal(watch_epoch(&w, &(struct watch_options){0}, true, 1.0), WATCH_GO_ON);

    watch_begin(&w);
    assert_int_equal(watch_epoch(&w, &fall, true, 1.0), WATCH_GO_ON);
    assert_int_equal(watch_epoch(&w, &fall, true, 1.0), WATCH_RATE_FELL);
    assert_int_equal(watch_epoch(&w, &fall, true, 1.1), WATCH_RATE_FELL);
    near(w.scale, 1.0 / 16);
    assert_int_equal(watch_epoch(&w, &fall, true, 0.9), WATCH_GO_ON);
    assert_int_equal(watch_epoch(&w, &fall, false, 2.0), WATCH_GO_ON); /* a schedule has its own */
    near(w.scale, 1.0 / 16);
}

/* The best epoch and the end of a phase by each metric: of some higher is better, of the others lower. */
static void every_monitor_has_its_direction(void **state)
{
    const struct run_phase phases[] = {{.kind = PHASE_CONSTANT, .epochs = 9}};
    const double rising[] = {0.5, 0.6, 0.6, 0.7}, falling[] = {0.7, 0.6, 0.6, 0.5};

    (void)state;
    assert_int_equal(monitor_find(NULL), MONITOR_VALID_LOSS);
    assert_int_equal(monitor_find("none of them"), MONITOR_VALID_LOSS);
    for (int m = 0; m < MONITORS; m++) {
        const struct watch_options o = {.monitor = m, .early_stop = 2};
        const double *better = monitor_rows[m].higher ? rising : falling;
        const double *worse = monitor_rows[m].higher ? falling : rising;
        enum watch_event event = WATCH_GO_ON;
        struct place at;
        bool best;

        assert_int_equal(monitor_find(monitor_rows[m].key), m);
        assert_string_equal(monitor_keys[m], monitor_rows[m].key);
        place_begin(&at);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(place_epoch(&at, &best, phases, &o, better[i]), WATCH_GO_ON);
            assert_int_equal(best, i != 2); /* the first of equals */
        }
        assert_int_equal(at.best_epoch, 3);
        place_begin(&at);
        for (int i = 0; i < 3; i++)
            event = place_epoch(&at, &best, phases, &o, worse[i]);
        assert_int_equal(event, WATCH_STOP);
        assert_int_equal(at.best_epoch, 0);
    }
    assert_null(monitor_keys[MONITORS]);
}

static void averages_forget_their_start(void **state)
{
    (void)state;
    near(recipe_ema_decay(0.999, 0), 0.1);
    near(recipe_ema_decay(0.999, 90), 0.91);
    near(recipe_ema_decay(0.999, 100000), 0.999);
}

static void steps_carry_the_optimisers_keys(void **state)
{
    struct recipe r;
    struct step step = {.seed = 9, .adam_step = 4};

    (void)state;
    expand_ok(&r, "train: {phases: [{epochs: 1}]}\n"
                  "optim: {wd: 0.1, sqr_mom: 0.98, eps: 1e-8, moms: 0.8}");
    recipe_step(&step, &r.phases[0], &r.o.optim, 3, 10);
    near(step.wd, 0.1);
    near(step.sqr_mom, 0.98);
    near(step.eps, 1e-8);
    near(step.mom, 0.8);
    assert_true(step.lr[3] == 0 && step.lr[7] == 0);
    assert_int_equal(step.seed, 9); /* not its own: left alone */
    assert_int_equal(step.adam_step, 4);
}

static void bad_phases_are_refused(void **state)
{
    static const char *const bad[][2] = {
        {"{}", "nothing to do"},
        {"train: {phases: []}", "nothing to do"},
        {"train: {phases: [{kind: one_cycle}]}", "train.phases.0.epochs"},
        {"train: {phases: [{epochs: 1}, {epochs: 0}]}", "train.phases.1.epochs"},
        {"train: {phases: [{epochs: 1, lr: [1, 2, 3, 4]}]}", "4 rates for 3 parameter groups"},
        {"train: {phases: [{epochs: 1, lr: [0, 1e-3]}]}", "above 0"},
        {"train: {phases: [{epochs: 1, base_lr: 1e-3}]}", "only fine_tune"},
        {"train: {phases: [{epochs: 1, freeze_epochs: 1}]}", "only fine_tune"},
        {"train: {phases: [{epochs: 1, lr_mult: 10}]}", "only fine_tune"},
        {"train: {phases: [{kind: fine_tune, epochs: 1, lr: 1e-3}]}", "base_lr"},
        {"train: {phases: [{kind: fine_tune, epochs: 1, freeze: true}]}", "by itself"},
        {"train: {phases: [{kind: fine_tune, epochs: 1, base_lr: 0}]}", "base_lr"},
        {"train: {phases: [{kind: constant, epochs: 1, pct_start: 0.5}]}", "pct_start"},
        {"train: {phases: [{kind: flat_cos, epochs: 1, div: 5}]}", "div"},
        {"train: {phases: [{epochs: 1, div: 0}]}", "div"},
        {"train: {phases: [{epochs: 1, size: 8}]}", "16 px"},
        {"train: {phases: [{epochs: 1, batch: 1}]}", "at least 2"},
        {"train: {phases: [{epochs: 1, kind: onecycle}]}", "one_cycle"},
        {"train: {phases: [{epochs: 1}]}\noptim: {moms: [0.9, 0.8]}", "optim.moms"},
        {"train: {phases: [{epochs: 1}]}\noptim: {lr: 0}", "optim.lr"},
        {"train: {batch: 1}", "train.batch"},
        {"train: {phases: [{kind: sgdr, epochs: 3}]}", "cycles"},
        {"train: {phases: [{kind: sgdr, cycles: 0}]}", "cycles"},
        {"train: {phases: [{kind: sgdr, cycles: 40}]}", "100000"},
        {"train: {phases: [{kind: sgdr, cycles: 2, div_final: 3}]}", "div_final"},
        {"train: {phases: [{epochs: 1, cycle_mult: 2}]}", "only sgdr"},
        {"train: {plateau: 2, phases: [{epochs: 1}]}", "constant"},
    };
    struct recipe r;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (expand(&r, bad[i][0]) == 0)
            fail_msg("%s was taken", bad[i][0]);
        assert_int_equal(r.err.kind, ERR_INPUT);
        if (!strstr(r.err.msg, bad[i][1]))
            fail_msg("%s: expected \"%s\" in: %s", bad[i][0], bad[i][1], r.err.msg);
    }
}

/* What a run records reads back as itself, unset values included. */
static void resolved_keys_read_back(void **state)
{
    struct recipe r;
    struct options again = {0};
    json_t *tree;

    (void)state;
    expand_ok(&r, "train: {phases: [{kind: fine_tune, epochs: 2}, {epochs: 3, lr: [1e-6, 1e-4]}]}");
    tree = keys_tree(tables, 2, KEYS_NEWEST, &r.o, false);
    assert_non_null(tree);
    keys_default(tables, 2, KEYS_NEWEST, &again);
    if (keys_apply(tables, 2, KEYS_NEWEST, &again, tree, "resolved", &r.err) < 0)
        fail_msg("%s", r.err.msg);
    json_decref(tree);
    assert_int_equal(again.train.phases_list.n, 2);
    for (int i = 0; i < 2; i++)
        assert_memory_equal(&again.train.phases[i], &r.o.train.phases[i],
                            sizeof again.train.phases[i]);
    assert_memory_equal(&again.optim, &r.o.optim, sizeof again.optim);
}

static void loss_is_smoothed(void **state)
{
    static const double losses[] = {4, 3, 2, 1.5};
    static const double shown[] = {4, 3.4949495, 2.9865324, 2.6035626};
    struct smooth_loss s = {0};

    (void)state;
    for (int i = 0; i < 4; i++)
        near(smooth_loss_add(&s, losses[i]), shown[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fine_tune_is_two_cycles),
        cmocka_unit_test(fine_tunes_keys_reach_their_part),
        cmocka_unit_test(when_the_optimiser_starts_anew),
        cmocka_unit_test(one_cycle_and_slices),
        cmocka_unit_test(flat_and_constant),
        cmocka_unit_test(restarts),
        cmocka_unit_test(a_phase_is_watched),
        cmocka_unit_test(every_monitor_has_its_direction),
        cmocka_unit_test(averages_forget_their_start),
        cmocka_unit_test(steps_carry_the_optimisers_keys),
        cmocka_unit_test(bad_phases_are_refused),
        cmocka_unit_test(resolved_keys_read_back),
        cmocka_unit_test(loss_is_smoothed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
