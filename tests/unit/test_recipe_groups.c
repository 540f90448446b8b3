/* test_recipe_groups.c - runs by recipe: units, folds, what is left out, verdicts; and how often equal recipes of whole
 * studies are called different. SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "recipes.h"

enum { PICTURES = 150 };

static struct trials t;
static struct recipe_groups g;

static int set_up(void **state)
{
    struct err err;

    (void)state;
    return trials_begin(&t, &err);
}

static int tear_down(void **state)
{
    (void)state;
    recipe_groups_free(&g);
    trials_free(&t);
    return 0;
}

/* A run of recipe LR on pictures FIRST to FIRST + N - 1, of which it mistakes those that WRONG says. */
static struct trial *add(const char *lr, int64_t seed, uint32_t first, uint32_t n,
                         const uint8_t *wrong)
{
    struct trial *trial;

    if (t.n == t.capacity) {
        t.capacity = t.capacity ? 2 * t.capacity : 16;
        t.all = realloc(t.all, t.capacity * sizeof *t.all);
        assert_non_null(t.all);
    }
    trial = &t.all[t.n++];
    *trial = (struct trial){.seed = seed, .fold = 1, .n = n};
    snprintf(trial->name, sizeof trial->name, "%s-%d-%zu", lr, (int)seed, t.n);
    snprintf(trial->experiment, sizeof trial->experiment, "made");
    trial->recipe = json_pack("{s:s, s:s}", "optim.lr", lr, "data.set", "made");
    trial->pictures = malloc(n * sizeof *trial->pictures);
    trial->wrong = malloc(n);
    assert_non_null(trial->pictures);
    assert_non_null(trial->wrong);
    for (uint32_t i = 0; i < n; i++) {
        trial->pictures[i] = first + i;
        trial->wrong[i] = wrong[i];
        trial->errors += wrong[i];
    }
    return trial;
}

/* The first MISTAKES pictures are wrong. */
static struct trial *add_plain(const char *lr, int64_t seed, uint32_t mistakes)
{
    uint8_t wrong[PICTURES] = {0};

    memset(wrong, 1, mistakes);
    return add(lr, seed, 0, PICTURES, wrong);
}

static void make(void)
{
    struct err err;

    if (recipe_groups_make(&g, &t, &err) < 0)
        fail_msg("%s", err.msg);
}

static const char *reason(size_t i)
{
    return json_string_value(json_array_get(json_array_get(t.left_out, i), 1));
}

static void seeds_are_grouped(void **state)
{
    (void)state;
    add_plain("0.1", 2, 30);
    add_plain("0.1", 1, 15);
    add_plain("0.2", 1, 20);
    add_plain("0.1", 3, 45);
    add_plain("0.1", 3, 45); /* trained twice: no second sample */
    make();
    assert_int_equal(g.n, 2);
    assert_string_equal(g.all[0].label, "lr=0.1");
    assert_string_equal(g.all[1].label, "lr=0.2");
    assert_int_equal(g.all[0].n, 3);
    assert_int_equal(json_array_size(g.all[0].runs), 3);
    assert_true(fabs(g.all[0].mean - 0.2) < 1e-12 && fabs(g.all[0].deviation - 0.1) < 1e-12);
    /* 4.302653 is Student's t of 2 degrees of freedom */
    assert_true(fabs(g.all[0].low - fmax(0, 0.2 - 4.302653 * 0.1 / sqrt(3))) < 1e-6);
    assert_true(g.all[1].low > g.all[1].high); /* one seed has no interval */
    assert_int_equal(json_array_size(t.left_out), 1);
    assert_non_null(strstr(reason(0), "as another run"));
    /* one seed in common */
    assert_int_equal(g.contrasts[1].n, 1);
    assert_int_equal(g.contrasts[1].verdict, SEEDS_FEW);
}

/* The folds of a seed are one score of all pictures; a seed that lacks one does not count. */
static void folds_are_one_score(void **state)
{
    uint8_t wrong[PICTURES] = {1, 1, 1};

    (void)state;
    for (int64_t seed = 1; seed <= 2; seed++)
        for (int64_t fold = 3; fold >= 1; fold--) {
            struct trial *trial;

            if (seed == 2 && fold == 2)
                continue;
            trial = add("0.1", seed, (uint32_t)(fold - 1) * 50, 50, wrong);
            trial->folds = 3;
            trial->fold = fold;
        }
    make();
    assert_int_equal(g.n, 1);
    assert_string_equal(g.all[0].label, "made");
    assert_int_equal(g.all[0].n, 1);
    assert_int_equal(g.all[0].units[0].n, 150);
    assert_int_equal(g.all[0].units[0].errors, 9);
    for (uint32_t i = 0; i < 150; i++) {
        assert_int_equal(g.all[0].units[0].pictures[i], i);
        assert_int_equal(g.all[0].units[0].wrong[i], i % 50 < 3);
    }
    assert_int_equal(json_array_size(t.left_out), 2);
    assert_non_null(strstr(reason(0), "folds of its seed are missing"));
}

static void verdicts_need_seeds(void **state)
{
    (void)state;
    for (int64_t seed = 1; seed <= 7; seed++) {
        add_plain("0.1", seed, 60 + (uint32_t)seed % 3);
        add_plain("0.2", seed, 20 + (uint32_t)seed % 2); /* far better */
        add_plain("0.3", seed, 61 + (uint32_t)seed % 2); /* alike */
        if (seed <= 5)
            add_plain("0.4", seed, 0);   /* far better, in 5 seeds */
        add_plain("0.5", seed + 100, 0); /* in other seeds */
    }
    make();
    assert_int_equal(g.n, 5);
    assert_int_equal(g.n_tests, 3);
    assert_int_equal(g.contrasts[1].verdict, SEEDS_BETTER);
    assert_true(g.contrasts[1].p == ldexp(1, -6) && g.contrasts[1].adjusted == 3 * ldexp(1, -6));
    assert_true(g.contrasts[1].high < 0 && g.contrasts[1].new_pictures);
    assert_int_equal(g.contrasts[2].verdict, SEEDS_SAME);
    assert_true(isfinite(g.contrasts[2].missed) && g.contrasts[2].missed > 0);
    assert_int_equal(g.contrasts[3].verdict, SEEDS_FEW);
    assert_true(g.contrasts[3].p == 0.0625);
    assert_int_equal(g.contrasts[3].needed, 7); /* for three tests at once */
    assert_int_equal(g.contrasts[4].verdict, SEEDS_UNTESTED);
    assert_non_null(strstr(g.contrasts[4].why_not, "no seed in common"));
}

static void other_pictures_are_not_compared(void **state)
{
    uint8_t wrong[PICTURES] = {0};

    (void)state;
    for (int64_t seed = 1; seed <= 7; seed++) {
        add_plain("0.1", seed, 60);
        add("0.2", seed, 1, PICTURES, wrong);
    }
    make();
    assert_int_equal(g.contrasts[1].verdict, SEEDS_UNTESTED);
    assert_non_null(strstr(g.contrasts[1].why_not, "different pictures"));
}

/* Split seeds give other pictures each: still paired split by split, but the interval is for new seeds only. */
static void splits_are_paired(void **state)
{
    (void)state;
    for (int64_t split = 1; split <= 6; split++)
        for (int recipe = 0; recipe < 2; recipe++) {
            uint8_t wrong[PICTURES] = {0};

            memset(wrong, 1, (size_t)(recipe ? 30 : 20 + split));
            add(recipe ? "0.2" : "0.1", 1, (uint32_t)split * 10, PICTURES, wrong)->split_seed =
                split;
        }
    make();
    assert_int_equal(g.all[0].n, 6);
    assert_int_equal(g.contrasts[1].n, 6);
    assert_false(g.contrasts[1].new_pictures);
    assert_int_equal(g.contrasts[1].verdict, SEEDS_WORSE);
}

/* Mistakes of a network of a recipe with EFFECT: pictures are as hard as they are, a seed has a little luck. */
static void simulate(uint8_t *wrong, const double *hard, struct rng *rng, double effect)
{
    const double luck = 0.4 * rng_normal(rng) + effect;

    for (int i = 0; i < PICTURES; i++)
        wrong[i] = rng_uniform(rng, 0, 1) < 1 / (1 + exp(2 - hard[i] - luck));
}

/* How many of 1,000 studies of RECIPES recipes with N seeds call any different; the last is better by EFFECT. */
static int called_different(int recipes, int n, double effect, int *undecided)
{
    static const char *const names[] = {"0.1", "0.2", "0.3", "0.4"};
    int different = 0;

    *undecided = 0;
    for (uint32_t study = 0; study < 1000; study++) {
        struct rng rng = rng_begin(5, RNG_TEST, (uint32_t)(n * recipes), study);
        double hard[PICTURES];
        bool any = false, few = true;
        struct err err;

        assert_int_equal(trials_begin(&t, &err), 0);
        for (int i = 0; i < PICTURES; i++)
            hard[i] = 1.5 * rng_normal(&rng);
        for (int s = 0; s < n; s++)
            for (int k = 0; k < recipes; k++) {
                uint8_t wrong[PICTURES];

                simulate(wrong, hard, &rng, k + 1 == recipes ? -effect : 0);
                add(names[k], s, 0, PICTURES, wrong);
            }
        make();
        for (int k = 1; k < recipes; k++) {
            any |= g.contrasts[k].verdict == SEEDS_BETTER || g.contrasts[k].verdict == SEEDS_WORSE;
            few &= g.contrasts[k].verdict == SEEDS_FEW;
        }
        different += any;
        *undecided += few;
        tear_down(NULL);
    }
    return different;
}

/* At most 6.5 % of the studies of equal recipes call any different, also of three tests at once; with 5 seeds none
 * does, and each says that it cannot. The control: a recipe that is better is found. */
static void equal_recipes_are_called_equal(void **state)
{
    static const int seeds[] = {7, 10};
    int undecided;

    (void)state;
    tear_down(NULL);
    for (int i = 0; i < 2; i++) {
        const int two = called_different(2, seeds[i], 0, &undecided);
        const int four = called_different(4, seeds[i], 0, &undecided);

        print_message("%d seeds: %d of 1,000 studies of 2 recipes, %d of 4\n", seeds[i], two, four);
        assert_true(two <= 65 && four <= 65);
        assert_int_equal(undecided, 0);
    }
    assert_true(called_different(2, 10, 1, &undecided) > 800);
    assert_int_equal(called_different(2, 5, 3, &undecided), 0);
    assert_int_equal(undecided, 1000);
    memset(&t, 0, sizeof t);
}

int main(void)
{
#define EACH(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH (seeds_are_grouped),   EACH (folds_are_one_score),
        EACH (verdicts_need_seeds), EACH (other_pictures_are_not_compared),
        EACH (splits_are_paired),   EACH (equal_recipes_are_called_equal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
