/* test_cuda_ways.c - the ways in which the CUDA backend may run a step, over the simulated device (sim.h):
 * as a graph, on pictures that stay, with the fastest convolutions. No statement about a GPU.
 * SPDX-License-Identifier: MIT */
#include "host_train.h"

/* ---- graphs ----------------------------------------------------------------------------------- */

static void graphs_give_the_same_bits(void **state)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    struct err err = {0};
    long graphs;

    (void)state;
    for (int i = 0; i < 12; i++) {
        const enum dtype t = types[i % 3];
        struct way way = {.keep = i / 3 % 2, .parts = i / 6 * 2, .eager = true};
        const int runs = STEPS * (way.parts ? 2 : 1), warm = way.parts ? 2 : 1;
        struct parameters *eager = parameters_new();

        sim->graphs = 0;
        must(host_train(cuda, t, way, eager->at, &err), &err);
        assert_int_equal(sim->graphs, 0);
        assert_string_equal(host_steps, "op by op: exec.cuda_graph=off");
        way.eager = false;
        assert_true(host_same_bits(eager, t, way, PLANT_NONE, &graphs));
        assert_int_equal(graphs, runs - warm);
        assert_string_equal(host_steps, "CUDA graphs");
        assert_false(host_same_bits(eager, t, way, PLANT_STALE, &graphs));
        assert_false(host_same_bits(eager, t, way, PLANT_NO_UPLOAD, &graphs));
        sim->no_capture = true;
        assert_true(host_same_bits(eager, t, way, PLANT_NONE, &graphs));
        sim->no_capture = false;
        assert_int_equal(graphs, 0);
        assert_non_null(strstr(host_steps, "op by op: a graph's capture: CUDA says"));
        free(eager);
    }
    assert_int_equal(sim->buffers, 0);
}

/* ---- pictures that stay ------------------------------------------------------------------------ */

static void pictures_are_read_once(void **state)
{
    struct parameters *travel = parameters_new();
    struct way way = {0};
    struct err err = {0};
    long graphs;

    (void)state;
    must(host_train(cuda, DTYPE_F32, way, travel->at, &err), &err);
    way.keep = true;
    assert_true(host_same_bits(travel, DTYPE_F32, way, PLANT_NONE, &graphs));
    host_reading = READ_OTHERS;
    assert_false(host_same_bits(travel, DTYPE_F32, way, PLANT_NONE, &graphs));
    host_reading = READ_FAILS;
    assert_int_equal(host_train(cuda, DTYPE_F32, way, travel->at, &err), -1);
    assert_string_equal(err.msg, "picture 5 cannot be read");
    host_reading = READ_WELL;
    assert_int_equal(sim->buffers, 0);
    free(travel);
}

/* A list of 2 GB takes the memory that pictures had; then they travel again. */
static void pictures_give_way(void **state)
{
    struct net n = host_net(DTYPE_F32, 1);
    struct op_list *large = op_list_new(PICTURES, PICTURES);
    const int x = ops_tensor(large, TENSOR_ACT, DTYPE_F32, PICTURES, CHANNELS, 2048, 2048),
              y = ops_tensor(large, TENSOR_ACT, DTYPE_F32, PICTURES, CHANNELS, 2048, 2048);
    struct op relu = {.kind = OP_RELU};
    struct picture pictures[PICTURES];
    struct step step = host_step(pictures, 0, true);
    struct be *b;
    struct be_program *p, *q;
    struct err err = {0};

    (void)state;
    relu.in[0] = x;
    relu.out[0] = y;
    op_list_add(large, relu);
    must(cuda->open(&b, &(struct exec_options){.threads = 2, .deterministic = true}, &err), &err);
    must(cuda->prepare(&p, b, n.l, &err), &err);
    assert_int_equal(cuda->keep(b, &host_set, &err), 1);
    must(cuda->run(p, &step, &err), &err);
    sim->memory = sim->used + ((size_t)2 << 30); /* the list, but for some kB */
    must(cuda->prepare(&q, b, large, &err), &err);
    assert_int_equal(cuda->keep(b, &host_set, &err), 0);
    step = host_step(pictures, 1, false);
    must(cuda->run(p, &step, &err), &err);
    cuda->release(q);
    cuda->release(p);
    cuda->close(b);
    op_list_free(n.l);
    op_list_free(large);
    sim->memory = 0;
    must(0, &err);
    assert_int_equal(sim->buffers, 0);
}

/* ---- pictures sent ahead ----------------------------------------------------------------------- */

static void the_next_pictures_go_ahead(void **state)
{
    struct parameters *want = parameters_new();
    struct err err = {0};
    long graphs;

    (void)state;
    must(host_train(cuda, DTYPE_F32, (struct way){0}, want->at, &err), &err);
    for (int i = 0; i < 8; i++) {
        struct way way = {.eager = i % 2, .ahead = AHEAD, .keep = i / 2 % 2};

        sim->seed = (uint64_t)(2 * i + 1);
        assert_true(host_same_bits(want, DTYPE_F32, way, PLANT_NONE, &graphs));
        way.ahead = AHEAD_WRONG; /* what was sent is of no use */
        assert_true(host_same_bits(want, DTYPE_F32, way, PLANT_NONE, &graphs));
        way.keep = false;
        way.ahead = AHEAD_OTHERS; /* what was sent is what is used */
        assert_false(host_same_bits(want, DTYPE_F32, way, PLANT_NONE, &graphs));
        way.ahead = AHEAD; /* the slot is filled while it is on its way, or read */
        assert_false(host_same_bits(want, DTYPE_F32, way, PLANT_NO_WAIT, &graphs));
        assert_false(host_same_bits(want, DTYPE_F32, way, PLANT_NO_SYNC, &graphs));
    }
    sim->seed = 1;
    assert_int_equal(sim->buffers, 0);
    free(want);
}

/* ---- tuning ----------------------------------------------------------------------------------- */

/* The plans of a list, one line each; DETERMINISTIC or timed. The caller's to free. */
static char *plans_of(bool deterministic)
{
    const struct exec_options options = {.threads = 2, .deterministic = deterministic};
    struct net n = host_net(DTYPE_F16, 1);
    struct be *b;
    struct be_program *p;
    struct err err = {0};
    char *plans;

    must(cuda->open(&b, &options, &err), &err);
    must(cuda->prepare(&p, b, n.l, &err), &err);
    plans = cuda->plans(b);
    assert_non_null(plans);
    cuda->release(p);
    cuda->close(b);
    op_list_free(n.l);
    must(0, &err);
    return plans;
}

static void the_fastest_is_chosen(void **state)
{
    static const int engines[] = {0, 4, 5}; /* those that may be taken where bits may differ */
    char *plans, text[64];

    (void)state;
    for (int i = 0; i < 3; i++) {
        int chosen = 0, lines = 0;

        sim->fastest = engines[i];
        plans = plans_of(false);
        snprintf(text, sizeof text, ": engine %d,", engines[i]);
        for (char *line = plans, *end; (end = strchr(line, '\n')); line = end + 1) {
            *end = 0;
            lines++;
            chosen += strstr(line, text) && strstr(line, ", 1.00") &&
                      strstr(line, " ms, the fastest of 3");
        }
        free(plans);
        assert_int_equal(lines, 2);
        assert_int_equal(chosen, 2);
    }
    sim->convolutions = 0;
    plans = plans_of(true);
    assert_int_equal(sim->convolutions, 0);
    assert_null(strstr(plans, "fastest"));
    free(plans);
    sim->fastest = -1;
    assert_int_equal(sim->buffers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs_give_the_same_bits), cmocka_unit_test(pictures_are_read_once),
        cmocka_unit_test(pictures_give_way),         cmocka_unit_test(the_next_pictures_go_ahead),
        cmocka_unit_test(the_fastest_is_chosen),
    };

    return host_main(tests, sizeof tests / sizeof *tests);
}
