/* test_cuda_host.c - the CUDA backend's host side over the simulated device (sim.h): training steps from
 * pictures agree with ref, in any order that streams may run in; mistakes planted in it are found; a
 * call that fails leaves nothing behind. No statement about a GPU.
 * SPDX-License-Identifier: MIT */
#include <dlfcn.h>

#include "ops.h"
#include "sim.h"

enum {
    PICTURES = 4,
    SIDE = 16,
    CHANNELS = 16,
    KINDS = 5,
    STEPS = 9,
    BATCHES = 4,
    PIXELS = 40 * 56 * 3
};

static struct sim *sim;
static const struct backend *cuda;
static uint8_t pixels[BATCHES][PICTURES][PIXELS], noise[PIXELS];

/* ---- a network of one convolution ------------------------------------------------------------- */

struct net {
    struct op_list *l;
    int loss;
};

static const char *const names[4] = {"conv", "gamma", "beta", "linear"};
static const int shapes[4][4] = {
    {CHANNELS, 3, 3, 3}, {CHANNELS, 1, 1, 1}, {CHANNELS, 1, 1, 1}, {KINDS, 2 * CHANNELS, 1, 1}};

static int named(struct op_list *l, int which, const char *suffix, enum tensor_role role)
{
    const int *d = shapes[which];
    char name[32];

    snprintf(name, sizeof name, "%s%s", names[which], suffix);
    return op_list_tensor(l, name, role, DTYPE_F32, d[0], d[1], d[2], d[3]);
}

static int activation(struct op_list *l, enum dtype t, int c, int side)
{
    return ops_tensor(l, TENSOR_ACT, t, PICTURES, c, side, side);
}

static void add(struct op_list *l, struct op o, const int in[6], const int out[4])
{
    memcpy(o.in, in, sizeof o.in);
    memcpy(o.out, out, sizeof o.out);
    op_list_add(l, o);
}

#define ADD(l, kind, attributes, ...) add((l), attributes(op_none(kind)), __VA_ARGS__)
#define IN(...) ((const int[6]){__VA_ARGS__})
#define OUT(...) ((const int[4]){__VA_ARGS__})

static struct op plain(struct op o)
{
    return o;
}

static struct op same_size(struct op o)
{
    o.stride = 1;
    o.pad = 1;
    return o;
}

static struct op with_relu(struct op o)
{
    o.relu = true;
    return o;
}

/* Gradient G of parameter WHICH summed over the runs of a step. */
static int add_sum(struct op_list *l, int which, int g)
{
    const int *d = shapes[which], n = d[0] * d[1] * d[2] * d[3];
    char name[32];
    int sum = named(l, which, ".sum", TENSOR_GRAD);

    snprintf(name, sizeof name, "%s.parts", names[which]);
    ADD(l, OP_GRAD_SUM, plain,
        IN(g, op_list_tensor(l, name, TENSOR_STATE, DTYPE_F32, 1, n, 1, 1), -1, -1, -1, -1),
        OUT(sum, -1, -1, -1));
    return sum;
}

static void add_backward(struct op_list *l, enum dtype t, int parts, const int p[4], const int a[8])
{
    enum { X, Y, STAT, Z, POOLED, ARGMAX, DLOGITS };
    int g[4], dpooled = ops_tensor(l, TENSOR_ACT, DTYPE_F32, PICTURES, 2 * CHANNELS, 1, 1);
    int dz = activation(l, t, CHANNELS, SIDE), gz = activation(l, t, CHANNELS, SIDE),
        dy = activation(l, t, CHANNELS, SIDE), bstat = ops_vector(l, TENSOR_STAT, CHANNELS);

    for (int i = 0; i < 4; i++)
        g[i] = named(l, i, ".grad", TENSOR_GRAD);
    ADD(l, OP_LINEAR_BWD_WEIGHT, plain, IN(a[POOLED], a[DLOGITS], -1, -1, -1, -1),
        OUT(g[3], -1, -1, -1));
    ADD(l, OP_LINEAR_BWD_DATA, plain, IN(a[DLOGITS], p[3], -1, -1, -1, -1),
        OUT(dpooled, -1, -1, -1));
    ADD(l, OP_CONCAT_POOL_BWD, plain, IN(dpooled, a[ARGMAX], -1, -1, -1, -1), OUT(dz, -1, -1, -1));
    ADD(l, OP_BN_BWD_STATS, with_relu, IN(dz, -1, a[Z], a[Y], a[STAT], -1),
        OUT(gz, bstat, g[1], g[2]));
    ADD(l, OP_BN_BWD_APPLY, plain, IN(gz, a[Y], a[STAT], bstat, p[1], -1), OUT(dy, -1, -1, -1));
    ADD(l, OP_CONV_BWD_WEIGHT, same_size, IN(a[X], dy, -1, -1, -1, -1), OUT(g[0], -1, -1, -1));
    for (int i = 0; i < 4 && parts > 1; i++)
        g[i] = add_sum(l, i, g[i]);
    for (int i = 0; i < 4; i++)
        ADD(l, OP_ADAM, plain,
            IN(g[i], p[i], named(l, i, ".m", TENSOR_STATE), named(l, i, ".v", TENSOR_STATE), -1,
               -1),
            OUT(-1, -1, -1, -1));
}

static struct net net_new(enum dtype t, int parts)
{
    struct op_list *l = op_list_new(PICTURES, PICTURES);
    int x = activation(l, t, 3, SIDE), y = activation(l, t, CHANNELS, SIDE),
        z = activation(l, t, CHANNELS, SIDE), stat = ops_vector(l, TENSOR_STAT, CHANNELS);
    int pooled = ops_tensor(l, TENSOR_ACT, DTYPE_F32, PICTURES, 2 * CHANNELS, 1, 1);
    int argmax = ops_tensor(l, TENSOR_ACT, DTYPE_I32, PICTURES, CHANNELS, 1, 1);
    int logits = ops_tensor(l, TENSOR_ACT, DTYPE_F32, PICTURES, KINDS, 1, 1);
    int prob = ops_tensor(l, TENSOR_ACT, DTYPE_F32, PICTURES, KINDS, 1, 1);
    int dlogits = ops_tensor(l, TENSOR_ACT, DTYPE_F32, PICTURES, KINDS, 1, 1);
    struct net n = {l, op_list_tensor(l, "loss", TENSOR_ACT, DTYPE_F32, PICTURES, 1, 1, 1)};
    int p[4];

    for (int i = 0; i < 4; i++)
        p[i] = named(l, i, "", TENSOR_PARAM);
    ADD(l, OP_AUGMENT, plain, IN(-1, -1, -1, -1, -1, -1), OUT(x, -1, -1, -1));
    ADD(l, OP_CONV, same_size, IN(x, p[0], -1, -1, -1, -1), OUT(y, -1, -1, -1));
    ADD(l, OP_BN_STATS, plain, IN(y, -1, -1, -1, -1, -1), OUT(stat, -1, -1, -1));
    ADD(l, OP_BN_APPLY, with_relu, IN(y, stat, p[1], p[2], -1, -1), OUT(z, -1, -1, -1));
    ADD(l, OP_CONCAT_POOL, plain, IN(z, -1, -1, -1, -1, -1), OUT(pooled, argmax, -1, -1));
    ADD(l, OP_LINEAR, plain, IN(pooled, p[3], -1, -1, -1, -1), OUT(logits, -1, -1, -1));
    ADD(l, OP_SOFTMAX_LOSS, plain, IN(logits, -1, -1, -1, -1, -1), OUT(prob, n.loss, dlogits, -1));
    add_backward(l, t, parts, p, (const int[8]){x, y, stat, z, pooled, argmax, dlogits});
    return n;
}

/* ---- training --------------------------------------------------------------------------------- */

static void draw_pixels(void)
{
    struct rng r = rng_begin(5, RNG_TEST, 0, 0);

    for (size_t i = 0; i < sizeof pixels; i++)
        ((uint8_t *)pixels)[i] = (uint8_t)rng_below(&r, 256);
    memset(noise, 77, sizeof noise);
}

/* Step S; the fourth and later show batches again. KEPT: the device has those, what is shown is noise. */
static struct step step_of(struct picture pictures[PICTURES], int s, bool kept)
{
    const int b = s % BATCHES;
    const struct step step = {.pictures = pictures,
                              .n_pictures = PICTURES,
                              .seed = 3,
                              .epoch = 1,
                              .lr = {1e-2 / (1 + s)},
                              .mom = 0.9,
                              .sqr_mom = 0.99,
                              .eps = 1e-5,
                              .adam_step = (uint32_t)s + 1};

    for (int i = 0; i < PICTURES; i++)
        pictures[i] = (struct picture){
            .pixels = kept && s >= BATCHES ? noise : pixels[b][i],
            .height = 40,
            .width = 40 + (i + b) % 17, /* batches of several sizes: slots grow */
            .map = {.m = {2, 0.2f, 1, 0.1f, 2.1f, (float)s, 0, 0, 1}, .k = 1 + i % 3},
            .label = (i + s) % KINDS,
            .position = (uint32_t)(PICTURES * s + i),
            .set = 5,
            .rank = (uint32_t)(PICTURES * b + i)};
    return step;
}

struct way {
    bool keep;  /* the pictures stay on the device */
    bool eager; /* no graphs */
    bool tuned; /* the fastest convolutions */
    int parts;  /* runs that make a step; 0: one */
};

static char steps_text[256]; /* what the backend said of the last training */

/* STEPS steps on K without a look at results in between; parameters into OUT. 0, or -1. */
static int train(const struct backend *k, enum dtype t, struct way way, float *out[4],
                 struct err *err)
{
    const int parts = way.parts > 1 ? way.parts : 1;
    const struct exec_options options = {.threads = 2,
                                         .deterministic = !way.tuned,
                                         .cuda_graph =
                                             way.eager ? CUDA_GRAPH_OFF : CUDA_GRAPH_AUTO};
    struct net n = net_new(t, parts);
    struct be_info info;
    struct be *b = NULL;
    struct be_program *p = NULL;
    struct rng r = rng_begin(7, RNG_TEST, 0, 0);
    int rc = -1, kept = 0;

    if (k->open(&b, &options, err) < 0 || k->prepare(&p, b, n.l, err) < 0)
        goto out;
    if (way.keep && (kept = k->keep(b, 5, BATCHES * PICTURES, sizeof pixels, err)) < 0)
        goto out;
    assert_true(!way.keep || kept || sim->fail_at); /* no room: then pictures travel */
    for (int i = 0; i < 4; i++) {
        const size_t size = (size_t)shapes[i][0] * (size_t)shapes[i][1] * (size_t)shapes[i][2] *
                            (size_t)shapes[i][3];

        for (size_t e = 0; e < size; e++)
            out[i][e] = i == 1 ? 1.0f : i == 2 ? 0.0f : 0.3f * (float)rng_normal(&r);
        if (k->put(b, names[i], out[i], err) < 0)
            goto out;
    }
    for (int s = 0; s < STEPS * parts; s++) {
        struct picture pictures[PICTURES];
        struct step step = step_of(pictures, s, way.keep);

        step.parts = way.parts;
        step.part = s % parts;
        step.adam_step = (uint32_t)(s / parts) + 1;
        if (k->run(p, &step, err) < 0)
            goto out;
    }
    k->info(b, &info);
    memcpy(steps_text, info.steps, sizeof steps_text);
    rc = 0;
    for (int i = 0; rc == 0 && i < 4; i++)
        rc = k->get(b, names[i], out[i], err);
out:
    k->release(p);
    k->close(b);
    op_list_free(n.l);
    return rc;
}

struct parameters {
    float values[4][2 * CHANNELS * KINDS + CHANNELS * 27];
    float *at[4];
};

static struct parameters *parameters_new(void)
{
    struct parameters *p = calloc(1, sizeof *p);

    assert_non_null(p);
    for (int i = 0; i < 4; i++)
        p->at[i] = p->values[i];
    return p;
}

static double distance(const struct parameters *a, const struct parameters *b)
{
    double diff = 0, norm = 0;

    for (int i = 0; i < 4; i++)
        for (size_t e = 0; e < sizeof a->values[i] / sizeof(float); e++) {
            const double x = (double)a->values[i][e], y = (double)b->values[i][e];

            diff += (x - y) * (x - y);
            norm += y * y;
        }
    return sqrt(diff / norm);
}

static void must(int rc, const struct err *err)
{
    if (rc < 0)
        fail_msg("%s", err->msg);
    if (sim->fault[0])
        fail_msg("simulated device: %s", sim->fault);
}

static void steps_agree_with_ref(void **state)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    static const double bands[] = {1e-4, 0.02, 0.1};
    struct err err = {0};

    (void)state;
    for (int t = 0; t < 3; t++) {
        struct parameters *ref = parameters_new(), *first = parameters_new(), *got;

        must(train(&ref_backend, DTYPE_F32, (struct way){0}, ref->at, &err), &err);
        must(train(cuda, types[t], (struct way){0}, first->at, &err), &err);
        print_message("%s: off by %.2g of ref's fp32 after %d steps\n", dtype_name(types[t]),
                      distance(first, ref), STEPS);
        assert_true(distance(first, ref) <= bands[t]);
        for (uint64_t seed = 3; seed < 23; seed += 2) { /* odd: sums in the same order */
            sim->seed = seed;
            got = parameters_new();
            must(train(cuda, types[t], (struct way){.keep = seed % 4 == 1}, got->at, &err), &err);
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

/* ---- graphs ----------------------------------------------------------------------------------- */

/* Whether training WAY in type T, with WHAT planted, ends with the bits of WANT and without a fault; *GRAPHS
 * were launched. */
static bool same_bits(const struct parameters *want, enum dtype t, struct way way,
                      enum sim_plant what, long *graphs)
{
    struct parameters *got = parameters_new();
    struct err err = {0};
    bool same;

    sim->graphs = 0;
    sim->plant = what;
    same = train(cuda, t, way, got->at, &err) == 0 && !sim->fault[0] &&
           memcmp(got->values, want->values, sizeof got->values) == 0;
    if (what == PLANT_NONE)
        must(0, &err);
    sim->plant = PLANT_NONE;
    sim->fault[0] = 0;
    *graphs = sim->graphs;
    free(got);
    return same;
}

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
        must(train(cuda, t, way, eager->at, &err), &err);
        assert_int_equal(sim->graphs, 0);
        assert_string_equal(steps_text, "op by op: exec.cuda_graph=off");
        way.eager = false;
        assert_true(same_bits(eager, t, way, PLANT_NONE, &graphs));
        assert_int_equal(graphs, runs - warm);
        assert_string_equal(steps_text, "CUDA graphs");
        assert_false(same_bits(eager, t, way, PLANT_STALE, &graphs));
        assert_false(same_bits(eager, t, way, PLANT_NO_UPLOAD, &graphs));
        sim->no_capture = true;
        assert_true(same_bits(eager, t, way, PLANT_NONE, &graphs));
        sim->no_capture = false;
        assert_int_equal(graphs, 0);
        assert_non_null(strstr(steps_text, "op by op: a graph's capture: CUDA says"));
        free(eager);
    }
    assert_int_equal(sim->buffers, 0);
}

/* ---- tuning ----------------------------------------------------------------------------------- */

/* The plans of a list, one line each; DETERMINISTIC or timed. The caller's to free. */
static char *plans_of(bool deterministic)
{
    const struct exec_options options = {.threads = 2, .deterministic = deterministic};
    struct net n = net_new(DTYPE_F16, 1);
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

/* ---- mistakes --------------------------------------------------------------------------------- */

/* Trains with WHAT planted: must be found, by the simulation or by a difference from ref. */
static void find(enum sim_plant what, const char *text)
{
    struct parameters *got = parameters_new();
    struct err err = {0};
    int rc;

    sim->plant = what;
    rc = train(cuda, DTYPE_F32, (struct way){0}, got->at, &err);
    sim->plant = PLANT_NONE;
    if (what == PLANT_LEAK) {
        assert_int_equal(rc, 0);
        assert_true(sim->buffers == 1 && sim->used > 0);
        sim->buffers = sim->used = 0;
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
    find(PLANT_GROUPS, "groups");
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
        rc = train(cuda, DTYPE_F16, way, got->at, &err);
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
    fail_each((struct way){.tuned = true});
}

static void refuse(const char *text)
{
    struct parameters *got = parameters_new();
    struct err err = {0};

    assert_int_equal(train(cuda, DTYPE_BF16, (struct way){0}, got->at, &err), -1);
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
        cmocka_unit_test(steps_agree_with_ref),  cmocka_unit_test(graphs_give_the_same_bits),
        cmocka_unit_test(the_fastest_is_chosen), cmocka_unit_test(mistakes_are_found),
        cmocka_unit_test(every_call_may_fail),   cmocka_unit_test(what_a_device_lacks_is_said),
    };

    setenv("PRESIZE_PLUGIN", SIM_PLUGIN, 1);
    cuda = backend_find("cuda");
    sim = dlsym(dlopen(SIM_PLUGIN, RTLD_NOW), "sim");
    if (!cuda || !sim) {
        fprintf(stderr, "%s cannot be opened\n", SIM_PLUGIN);
        return 1;
    }
    draw_pixels();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
