/* test_mixing.c - MixUp and CutMix: shares, partners and boxes have the stated distributions, by seed alone.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/mixing.h"

enum { BATCH = 64, BATCHES = 400, SIZE = 224 };

static const struct augment_options mixup = {.mixup = 0.4}, cutmix = {.cutmix = 1.0};

static void draw(struct mix *m, const struct augment_options *o, uint64_t seed, uint32_t batch)
{
    mixing_draw(m, BATCH, o, SIZE, seed, 3, batch * BATCH);
}

static void it_is_off_by_default(void **state)
{
    (void)state;
    assert_false(mixing_is_on(&(struct augment_options){0}));
    assert_true(mixing_is_on(&mixup) && mixing_is_on(&cutmix));
}

static void draws_follow_from_seed_and_place(void **state)
{
    struct mix a[BATCH], b[BATCH];

    (void)state;
    draw(a, &mixup, 7, 2);
    draw(b, &mixup, 7, 2);
    assert_memory_equal(a, b, sizeof a);
    draw(b, &mixup, 8, 2);
    assert_memory_not_equal(a, b, sizeof a);
    draw(b, &mixup, 7, 3);
    assert_memory_not_equal(a, b, sizeof a);
}

/* Each picture is somebody's partner once, and about one in a batch stays alone. */
static void partners_are_a_permutation(void **state)
{
    struct mix m[BATCH];
    int alone = 0;

    (void)state;
    for (uint32_t k = 0; k < BATCHES; k++) {
        bool taken[BATCH] = {false};

        draw(m, &mixup, 1, k);
        for (int i = 0; i < BATCH; i++) {
            assert_in_range(m[i].partner, 0, BATCH - 1);
            assert_false(taken[m[i].partner]);
            taken[m[i].partner] = true;
            alone += m[i].partner == i;
            assert_true(m[i].partner != i || m[i].share == 0);
        }
    }
    assert_in_range(alone, BATCHES * 8 / 10, BATCHES * 12 / 10);
}

/* min(l, 1 - l) of Beta(a, a): mean square from E l^2 = (a + 1) / (2 (2 a + 1)). (l - 1/2)^2 is the same of both. */
static void shares_are_betas(void **state)
{
    static const double alphas[] = {0.1, 0.4, 1.0, 8.0};
    struct mix m[BATCH];

    (void)state;
    for (int a = 0; a < 4; a++) {
        const struct augment_options o = {.mixup = alphas[a]};
        double square = 0, variance = 1 / (4 * (2 * alphas[a] + 1));
        int n = 0;

        for (uint32_t k = 0; k < BATCHES; k++) {
            draw(m, &o, 5, k);
            for (int i = 0; i < BATCH; i++) {
                assert_true(m[i].share >= 0 && m[i].share <= 0.5f);
                assert_int_equal(m[i].left | m[i].top | m[i].right | m[i].bottom, 0);
                if (m[i].partner == i)
                    continue;
                square += ((double)m[i].share - 0.5) * ((double)m[i].share - 0.5);
                n++;
            }
        }
        assert_true(fabs(square / n - variance) < 0.03 * variance + 0.0005);
    }
}

/* A box is the whole batch's; its share is its area; alpha 1: the mean share is E(1 - l), less what is cut off. */
static void boxes_have_their_area(void **state)
{
    struct mix m[BATCH];
    double mean = 0;
    int boxes = 0, at_border = 0;

    (void)state;
    for (uint32_t k = 0; k < BATCHES; k++) {
        const struct mix *one = NULL;

        draw(m, &cutmix, 9, k);
        for (int i = 0; i < BATCH; i++) {
            if (m[i].partner == i)
                continue;
            one = one ? one : &m[i];
            assert_in_range(m[i].left, 0, m[i].right);
            assert_in_range(m[i].right, m[i].left, SIZE);
            assert_in_range(m[i].bottom, m[i].top, SIZE);
            assert_true(fabs((double)m[i].share - (double)(m[i].right - m[i].left) *
                                                      (m[i].bottom - m[i].top) / (SIZE * SIZE)) <
                        1e-6);
            assert_true(m[i].left == one->left && m[i].bottom == one->bottom);
        }
        if (!one)
            continue;
        boxes++;
        at_border += one->left == 0 || one->right == SIZE;
        mean += (double)one->share;
    }
    mean /= boxes;
    assert_true(mean > 0.25 && mean < 0.45);
    assert_in_range(at_border, boxes / 4, boxes * 9 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_off_by_default),
        cmocka_unit_test(draws_follow_from_seed_and_place),
        cmocka_unit_test(partners_are_a_permutation),
        cmocka_unit_test(shares_are_betas),
        cmocka_unit_test(boxes_have_their_area),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
