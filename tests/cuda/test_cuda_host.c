/* test_cuda_host.c - the CUDA backend's host side over the simulated device (sim.h): training steps from
 * pictures agree with ref, in any order that streams may run in; mistakes planted in it are found; a
 * call that fails leaves nothing behind. No statement about a GPU.
 * SPDX-License-Identifier: MIT */
#include "host_train.h"

static void steps_agree_with_ref(void **state)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    static const double bands[] = {1e-4, 0.02, 0.1};
    struct err err = {0};

    (void)state;
    for (int t = 0; t < 3; t++) {
        struct parameters *ref = parameters_new(), *first = parameters_new(), *got;

        must(host_train(&ref_backend, DTYPE_F32, (struct way){0}, ref->at, &err), &err);
        must(host_train(cuda, types[t], (struct way){0}, first->at, &err), &err);
        print_message("%s: off by %.2g of ref's fp32 after %d steps\n", dtype_name(types[t]),
                      distance(first, ref), STEPS);
        assert_true(distance(first, ref) <= bands[t]);
        for (uint64_t seed = 3; seed < 23; seed += 2) { /* odd: sums in the same order */
            sim->seed = seed;
            got = parameters_new();
            must(host_train(cuda, types[t], (struct way){.keep = seed % 4 == 1}, got->at, &err),
                 &err);
            if (memcmp(got->values, first->values, sizeof got->values) != 0)
                fail_msg("%s: other bits in another order of streams, or with pictures kept",
                         dtype_name(types[t]));
            free(got);
        }
        assert_int_equal(sim->buffers, 0);
        sim->seed = 1;
        free(ref);
        free(first);
    }
}

/* ---- mistakes --------------------------------------------------------------------------------- */

/* Trains with WHAT planted: must be found, by the simulation or by a difference from ref (TEXT is NULL). */
static void find(enum sim_plant what, const char *text)
{
    struct parameters *got = parameters_new();
    struct err err = {0};
    int rc;

    sim->plant = what;
    rc = host_train(cuda, DTYPE_F32, (struct way){0}, got->at, &err);
    sim->plant = PLANT_NONE;
    if (what == PLANT_LEAK) {
        assert_int_equal(rc, 0);
        assert_true(sim->buffers == 1 && sim->used > 0);
        sim->buffers = sim->used = 0;
    } else if (!text) {
        struct parameters *ref = parameters_new();

        must(host_train(&ref_backend, DTYPE_F32, (struct way){0}, ref->at, &err), &err);
        assert_int_equal(rc, 0);
        assert_false(distance(got, ref) <= 1e-4); /* NaN, where half of a gradient is not written */
        free(ref);
    } else if (!strstr(sim->fault, text)) {
        fail_msg("plant %d: expected \"%s\", found \"%s\"", (int)what, text, sim->fault);
    }
    sim->fault[0] = 0;
    free(got);
}

static void mistakes_are_found(void **state)
{
    (void)state;
    find(PLANT_NO_WAIT, "nothing says in which order");
    find(PLANT_NO_SYNC, "pinned memory was written while its upload was on the way");
    find(PLANT_STRIDE, "strides");
    find(PLANT_GROUPS, NULL);
    find(PLANT_WORKSPACE, "workspace");
    find(PLANT_LEAK, "");
}

/* ---- failures --------------------------------------------------------------------------------- */

/* Every call of the library fails once: the run ends with a sentence and leaves nothing behind. */
static void fail_each(struct way way)
{
    struct parameters *got = parameters_new();
    long n = 0;

    for (int rc = -1; rc < 0; n++) {
        struct err err = {0};

        sim->calls = 0;
        sim->fail_at = n + 1;
        rc = host_train(cuda, DTYPE_F16, way, got->at, &err);
        if (sim->calls < sim->fail_at)
            assert_int_equal(rc, 0);
        if (rc < 0 && (!err.msg[0] || sim->buffers))
            fail_msg("call %ld: \"%s\", %zu buffers left", n + 1, err.msg, sim->buffers);
        if (sim->calls >= sim->fail_at)
            rc = -1; /* a failure on the way out is nobody's, and graphs can be done without */
        assert_true(n < 10000);
        if (sim->fault[0])
            fail_msg("call %ld: %s", n + 1, sim->fault);
    }
    sim->fail_at = 0;
    print_message("%ld calls\n", n - 1);
    assert_true(n > 200);
    free(got);
}

static void every_call_may_fail(void **state)
{
    (void)state;
    fail_each((struct way){0});
    fail_each((struct way){.keep = true, .eager = true});
    fail_each((struct way){.tuned = true, .ahead = AHEAD});
}

static void refuse(const char *text)
{
    struct parameters *got = parameters_new();
    struct err err = {0};

    assert_int_equal(host_train(cuda, DTYPE_BF16, (struct way){0}, got->at, &err), -1);
    if (!strstr(err.msg, text))
        fail_msg("expected \"%s\" in: %s", text, err.msg);
    assert_int_equal(sim->buffers, 0);
    free(got);
}

static void what_a_device_lacks_is_said(void **state)
{
    (void)state;
    sim->memory = (32 << 20) + (100 << 10); /* cuBLAS's workspace and little more */
    refuse("planned for a batch of 4");
    sim->memory = 0;
    sim->capability = 75;
    refuse("has no bf16");
    sim->capability = 70;
    refuse("7.5 is the least");
    sim->capability = 80;
    sim->devices = 0;
    refuse("no usable GPU");
    sim->devices = 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_agree_with_ref),
        cmocka_unit_test(mistakes_are_found),
        cmocka_unit_test(every_call_may_fail),
        cmocka_unit_test(what_a_device_lacks_is_said),
    };

    return host_main(tests, sizeof tests / sizeof *tests);
}
