/* test_selftest.c - the self-test names what is wrong with a backend: the cpu backend with one planted mistake each.
 * That a right one passes: tests/tool/test_train_selftest.sh. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "selftest/selftest_private.h"

static enum op_kind prepared; /* first op of the list prepared last */
static enum op_kind wrong = OP_KINDS;
static bool restless;
static float *drift;

static int planted_prepare(struct be_program **out, struct be *b, const struct op_list *l,
                           struct err *err)
{
    prepared = l->ops[0].kind;
    return cpu_backend.prepare(out, b, l, err);
}

/* One value is off by a hundredth where the op is the wrong one. */
static int planted_read(struct be_program *p, int tensor, float *dst, struct err *err)
{
    int rc = cpu_backend.read(p, tensor, dst, err);

    if (prepared == wrong)
        dst[1] += 0.01f;
    return rc;
}

/* Every run leaves something else in the first norm. */
static int planted_run(struct be_program *p, const struct step *step, struct err *err)
{
    if (restless && drift)
        *drift += 1e-6f;
    return cpu_backend.run(p, step, err);
}

static int planted_get(struct be *b, const char *name, float *dst, struct err *err)
{
    int rc = cpu_backend.get(b, name, dst, err);

    if (rc == 0 && restless && drift && strcmp(name, "bn1.weight") == 0)
        dst[0] += *drift;
    return rc;
}

static const char *steps_text = ""; /* what it says of its runs */

static void planted_info(const struct be *b, struct be_info *info)
{
    cpu_backend.info(b, info);
    snprintf(info->steps, sizeof info->steps, "%s", steps_text);
}

struct outcome {
    char *page;
    int passed, failed;
};

/* What PART says of the cpu backend with the mistakes planted. */
static struct outcome outcome_of(void (*part)(struct selftest *))
{
    struct backend planted = cpu_backend;
    struct exec_options options = {.threads = 2};
    struct selftest t = {.quick = true, .checks = json_array()};
    struct device *devices[] = {&t.under, &t.cpu, &t.ref, &t.eager};
    const struct backend *kinds[] = {&planted, &cpu_backend, &ref_backend, &cpu_backend};
    struct outcome out = {0};
    size_t size;
    struct err err = {0};

    planted.prepare = planted_prepare;
    planted.read = planted_read;
    planted.run = planted_run;
    planted.get = planted_get;
    planted.info = planted_info;
    t.page = open_memstream(&out.page, &size);
    t.out = fopen("/dev/null", "we");
    assert_true(t.page && t.out && t.checks);
    for (int i = 0; i < 4; i++) {
        devices[i]->kind = kinds[i];
        assert_int_equal(kinds[i]->open(&devices[i]->be, &options, &err), 0);
        kinds[i]->info(devices[i]->be, &devices[i]->info);
    }
    part(&t);
    for (int i = 0; i < 4; i++)
        kinds[i]->close(devices[i]->be);
    fclose(t.page);
    fclose(t.out);
    assert_int_equal(json_array_size(t.checks), (size_t)(t.passed + t.failed + t.left_out));
    json_decref(t.checks);
    out.passed = t.passed;
    out.failed = t.failed;
    return out;
}

static void a_wrong_op_is_named(void **state)
{
    struct outcome o;

    (void)state;
    wrong = OP_BN_APPLY;
    o = outcome_of(selftest_ops);
    wrong = OP_KINDS;
    assert_true(o.failed >= 1 && o.failed <= 2); /* in fp32, and in bf16 where there is that */
    assert_true(o.passed >= 20);                 /* the others; test_train_selftest.sh: all */
    assert_non_null(strstr(o.page, "FAILED    op bn_apply fp32"));
    assert_non_null(strstr(o.page, "passed    op bn_stats fp32"));
    free(o.page);
}

static void other_bits_of_augmentation_are_seen(void **state)
{
    struct outcome o;

    (void)state;
    wrong = OP_AUGMENT;
    o = outcome_of(selftest_augment);
    wrong = OP_KINDS;
    assert_int_equal(o.failed, 4);
    free(o.page);
}

static void bits_that_do_not_repeat_are_seen(void **state)
{
    float moved = 0;
    struct outcome o;

    (void)state;
    drift = &moved;
    restless = true;
    o = outcome_of(selftest_repeats);
    restless = false;
    assert_true(o.failed >= 1 && o.passed == 0);
    free(o.page);
    o = outcome_of(selftest_repeats);
    assert_true(o.failed == 0 && o.passed >= 1);
    free(o.page);
}

static void graphs_with_other_bits_are_seen(void **state)
{
    float moved = 0;
    struct outcome o;

    (void)state;
    drift = &moved;
    steps_text = "CUDA graphs";
    restless = true;
    o = outcome_of(selftest_graphs);
    restless = false;
    assert_true(o.failed >= 1 && o.passed == 0);
    free(o.page);
    o = outcome_of(selftest_graphs);
    assert_true(o.failed == 0 && o.passed >= 1);
    free(o.page);
    steps_text = "op by op: why"; /* nothing was held against anything */
    o = outcome_of(selftest_graphs);
    assert_true(o.failed == 0 && o.passed == 0);
    free(o.page);
    steps_text = "";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_op_is_named),
        cmocka_unit_test(other_bits_of_augmentation_are_seen),
        cmocka_unit_test(bits_that_do_not_repeat_are_seen),
        cmocka_unit_test(graphs_with_other_bits_are_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
