/* test_learn.c - the learner: epoch by epoch it makes the run that training at once makes, closed early or not.
 * SPDX-License-Identifier: MIT */
#include "learn/learn.h"

#include "learn/begin.h"
#include "run/run.h"
#include "shards.h"

enum { PICTURES = 48, EPOCHS = 3 };

static struct shards shards;
static char experiment[PATH_LEN];

static int set_up(void **state)
{
    static const char text[] =
        "data: {set: set}\n"
        "model: {arch: resnet18, weights: none}\n"
        "train: {size: 32, batch: 8, ema: 0.9, phases: [{kind: fine_tune, epochs: 2, base_lr: "
        "1e-3}]}\n"
        "exec: {threads: 1, microbatch: 4}\n";
    struct err err = {0};

    (void)state;
    shards_describe(&shards, PICTURES);
    snprintf(experiment, sizeof experiment, "%s/test.yaml", shards.scratch);
    if (shards_write(&shards, &err) < 0 || path_write(experiment, text, strlen(text), &err) < 0)
        fail_msg("%s", err.msg);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shards_end(&shards);
    return 0;
}

static struct learner *open_learner(const char *name)
{
    struct learner *l;
    struct err err;

    if (learner_open(&l,
                     &(struct learner_options){.experiment = experiment,
                                               .data = shards.scratch,
                                               .results = shards.scratch,
                                               .name = name},
                     &err) < 0)
        fail_msg("%s", err.msg);
    return l;
}

static void expect_status(const char *name, const char *status)
{
    char folder[PATH_LEN];
    struct run_entry run;
    struct err err;

    snprintf(folder, sizeof folder, "%s/%s", shards.scratch, name);
    assert_int_equal(run_open(&run, folder, &err), 0);
    assert_string_equal(run.status, status);
    run_entry_free(&run);
}

static char *read_file(const char *name, const char *file, size_t *size)
{
    char path[PATH_LEN], *out;
    struct err err;

    snprintf(path, sizeof path, "%s/%s/%s", shards.scratch, name, file);
    if (path_read(&out, size, path, 1 << 28, &err) < 0)
        fail_msg("%s", err.msg);
    return out;
}

static bool same_file(const char *a, const char *b, const char *file)
{
    size_t n, m;
    char *x = read_file(a, file, &n), *y = read_file(b, file, &m);
    const bool same = n == m && memcmp(x, y, n) == 0;

    free(x);
    free(y);
    return same;
}

static void expect_same(const char *a, const char *b)
{
    static const char *const files[] = {"metrics.jsonl", "metrics.json", "predictions.csv",
                                        "checkpoints/last.safetensors",
                                        "checkpoints/last.optim.safetensors"};

    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (!same_file(a, b, files[i]))
            fail_msg("%s differs between %s and %s", files[i], a, b);
}

/* What is scored between epochs is what the epoch's line says, and changes no bit of what follows. */
static void epoch_by_epoch(void **state)
{
    struct learner *l = open_learner("whole");
    struct score score;
    struct epoch_line line;
    struct err err;
    int n = 0;

    (void)state;
    expect_status("whole", "running");
    for (int more; (more = learner_epoch(l, &line, &err)) != 0; n++) {
        if (more < 0)
            fail_msg("%s", err.msg);
        assert_int_equal(line.epoch, n);
        assert_int_equal(learner_score(l, LEARN_VALID, &score, &err), 0);
        assert_true(score.loss == line.metric[MONITOR_VALID_LOSS]);
        assert_true(score.error_rate == line.metric[MONITOR_ERROR_RATE]);
    }
    assert_int_equal(n, EPOCHS);
    assert_int_equal(learner_finish(l, &err), 0);
    assert_int_equal(learner_score(l, LEARN_VALID, &score, &err), 0);
    assert_true(score.loss == line.metric[MONITOR_VALID_LOSS]);
    assert_int_equal(learner_score(l, LEARN_TRAIN, &score, &err), 0);
    assert_true(score.loss != line.metric[MONITOR_VALID_LOSS]);
    learner_close(l);
    expect_status("whole", "done");
}

/* `train --resume` goes through begin_resume(), and through all epochs at once. */
static void closed_early_and_resumed(void **state)
{
    struct request r = {.resume = "early", .data = shards.scratch, .results = shards.scratch};
    struct learner *l = open_learner("early");
    char folder[PATH_LEN];
    struct err err;

    (void)state;
    assert_int_equal(learner_epoch(l, NULL, &err), 1);
    learner_close(l);
    expect_status("early", "stopped");
    assert_false(same_file("whole", "early", "metrics.jsonl")); /* the control */
    if (begin_resume(&r, folder, &err) < 0)
        fail_msg("%s", err.msg);
    expect_same("whole", "early");
}

static void what_is_wrong_is_said(void **state)
{
    struct learner_options o = {.experiment = experiment,
                                .data = shards.scratch,
                                .results = shards.scratch,
                                .name = "whole"};
    struct learner *l;
    struct err err;

    (void)state;
    assert_int_equal(learner_open(&l, &o, &err), -1);
    assert_null(l);
    assert_non_null(strstr(err.msg, "a run is never overwritten"));
    o.experiment = "none of these";
    o.name = "other";
    assert_int_equal(learner_open(&l, &o, &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    learner_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(epoch_by_epoch),
        cmocka_unit_test(closed_early_and_resumed),
        cmocka_unit_test(what_is_wrong_is_said),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
