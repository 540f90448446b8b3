/* test_range_test.c - a training after --lr-find has the bits of one without it.
 * SPDX-License-Identifier: MIT */
#include "range_test.h"

#include <math.h>

#include "data/stream.h"
#include "nn/weights.h"
#include "shards.h"

enum { PICTURES = 48, STEPS_BEFORE = 2 };

static struct shards shards;

static int set_up(void **state)
{
    struct err err = {0};

    (void)state;
    shards_describe(&shards, PICTURES);
    if (shards_write(&shards, &err) < 0)
        fail_msg("%s", err.msg);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shards_end(&shards);
    return 0;
}

/* A session at the start of phase PHASE of "fine_tune": 0 frozen, 1 everything is trained. */
static struct session *begin(int phase, char *batch)
{
    static const char text[] =
        "data: {set: set}\n"
        "model: {arch: resnet18, weights: none}\n"
        "train: {size: 32, phases: [{kind: fine_tune, epochs: 2, base_lr: 1e-5}]}\n"
        "exec: {threads: 1, microbatch: 4}\n";
    char path[PATH_LEN];
    char *words[] = {batch};
    struct experiment *e;
    struct session *s;
    struct err err = {0};

    snprintf(path, sizeof path, "%s/test.yaml", shards.scratch);
    if (path_write(path, text, strlen(text), &err) < 0 ||
        experiment_read(&e, path, words, 1, &err) < 0 ||
        session_open(&s, e, shards.scratch, shards.scratch, &err) < 0 ||
        session_phase(s, phase, &err) < 0 ||
        session_weights(s, shards.scratch, shards.scratch, &err) < 0 ||
        weights_clear_optimiser(&s->device, s->network, &err) < 0)
        fail_msg("%s", err.msg);
    return s;
}

/* Training step K of the session's phase, the first K of them done before. */
static void train(struct session *s, uint32_t k)
{
    const struct run_phase *p = &s->phases[s->phase];
    struct step step = {.seed = (uint64_t)s->e->seed, .adam_step = k + 1};
    const uint32_t *ranks;
    struct stream *stream;
    struct err err = {0};
    double loss;

    if (session_stream(&stream, s, s->phase, 0, 0, &err) < 0)
        fail_msg("%s", err.msg);
    for (uint32_t i = 0; i <= k; i++)
        assert_int_equal(stream_next(stream, &step.pictures, &ranks, &step.n_pictures, &err), 1);
    recipe_step(&step, p, &s->e->optim, k, 10);
    if (session_run(s, &step, &loss, &err) < 0)
        fail_msg("%s", err.msg);
    assert_true(isfinite(loss));
    stream_close(stream);
}

static const char *weights_hash(struct session *s)
{
    static char hex[4][SHA256_HEX];
    static int next;
    struct err err = {0};
    char *out = hex[next++ % 4];

    if (weights_sha256(out, &s->device, s->network, &err) < 0)
        fail_msg("%s", err.msg);
    return out;
}

/* Two steps, perhaps the test, then another step; its hash. */
static const char *third_step(int phase, int (*test)(struct range_test *, struct session *,
                                                     uint32_t, uint32_t, struct err *))
{
    struct session *s = begin(phase, (char[]){"train.batch=4"});
    struct range_test t;
    struct err err = {0};
    const char *before, *after;

    for (uint32_t k = 0; k < STEPS_BEFORE; k++)
        train(s, k);
    before = weights_hash(s);
    if (test && test(&t, s, 0, STEPS_BEFORE, &err) < 0)
        fail_msg("%s", err.msg);
    if (test == range_test)
        assert_string_equal(weights_hash(s), before);
    if (test == range_sweep)
        assert_string_not_equal(weights_hash(s), before);
    if (test)
        assert_true(t.ran > LR_FIND_FIRST);
    train(s, STEPS_BEFORE);
    after = weights_hash(s);
    assert_string_not_equal(after, before);
    session_close(s);
    return after;
}

/* Weights, running statistics, moments: any of them left as the test had it shows after the step. */
static void training_afterwards_has_the_same_bits(void **state)
{
    (void)state;
    for (int phase = 0; phase < 2; phase++) {
        const char *without = third_step(phase, NULL);

        assert_string_equal(third_step(phase, range_test), without);
        if (phase == 1) /* control: nothing put back */
            assert_string_not_equal(third_step(phase, range_sweep), without);
    }
}

/* 38 pictures to train on make 2 batches of 16, and 100 steps make 50 passes. */
static void passes_repeat_and_the_curve_is_whole(void **state)
{
    struct session *s = begin(0, (char[]){"train.batch=16"});
    struct range_test t, again;
    struct smooth_loss smooth = {0};
    double best = INFINITY;
    struct err err = {0};

    (void)state;
    assert_int_equal(session_steps(s, 0), 2);
    if (range_test(&t, s, 0, 0, &err) < 0 || range_test(&again, s, 0, 0, &err) < 0)
        fail_msg("%s", err.msg);
    assert_memory_equal(&t, &again, sizeof t);
    assert_true(t.ran > 4);
    assert_true(t.ran <= t.n && t.n <= LR_FIND_STEPS);
    for (int i = 0; i < t.n; i++) {
        assert_true(t.lr[i] == lr_find_rate(i));
        if (i >= t.ran) {
            assert_true(isnan(t.smooth[i]));
            continue;
        }
        assert_true(t.smooth[i] == smooth_loss_add(&smooth, t.loss[i]) || isnan(t.smooth[i]));
        assert_int_equal(lr_find_diverged(&best, t.smooth[i]), i == t.n - 1 && t.n < LR_FIND_STEPS);
    }
    session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_afterwards_has_the_same_bits),
        cmocka_unit_test(passes_repeat_and_the_curve_is_whole),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
