/* host_train.c - see host_train.h. SPDX-License-Identifier: MIT */
#include "host_train.h"

#include <dlfcn.h>

struct sim *sim;
const struct backend *cuda;
enum host_reading host_reading;
char host_steps[256];

static uint8_t pixels[BATCHES][PICTURES][PIXELS];

/* ---- a network of one convolution ------------------------------------------------------------- */

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

#define OP(...) op_list_add(l, (struct op){__VA_ARGS__})
#define SAME_SIZE .stride = 1, .pad = 1

/* Gradient G of parameter WHICH summed over the runs of a step. */
static int add_sum(struct op_list *l, int which, int g)
{
    const int *d = shapes[which], n = d[0] * d[1] * d[2] * d[3];
    char name[32];
    int sum = named(l, which, ".sum", TENSOR_GRAD);

    snprintf(name, sizeof name, "%s.parts", names[which]);
    OP(.kind = OP_GRAD_SUM, .in = {g, op_list_tensor(l, name, TENSOR_STATE, DTYPE_F32, 1, n, 1, 1)},
       .out = {sum});
    return sum;
}

static void add_backward(struct op_list *l, enum dtype t, int parts, const int p[4], const int a[8])
{
    enum { X, Y, STAT, MASK, POOLED, ARGMAX, DLOGITS };
    int g[4], dpooled = ops_tensor(l, TENSOR_ACT, DTYPE_F32, PICTURES, 2 * CHANNELS, 1, 1);
    int dz = activation(l, t, CHANNELS, SIDE), gz = activation(l, t, CHANNELS, SIDE),
        dy = activation(l, t, CHANNELS, SIDE), bstat = ops_vector(l, TENSOR_STAT, CHANNELS);

    for (int i = 0; i < 4; i++)
        g[i] = named(l, i, ".grad", TENSOR_GRAD);
    OP(.kind = OP_LINEAR_BWD_WEIGHT, .in = {a[POOLED], a[DLOGITS]}, .out = {g[3]});
    OP(.kind = OP_LINEAR_BWD_DATA, .in = {a[DLOGITS], p[3]}, .out = {dpooled});
    OP(.kind = OP_CONCAT_POOL_BWD, .in = {dpooled, a[ARGMAX]}, .out = {dz});
    OP(.kind = OP_BN_BWD_STATS, .in = {dz, 0, a[MASK], a[Y], a[STAT]},
       .out = {gz, bstat, g[1], g[2]});
    OP(.kind = OP_BN_BWD_APPLY, .in = {gz, a[Y], a[STAT], bstat, p[1]}, .out = {dy});
    OP(.kind = OP_CONV_BWD_WEIGHT, .in = {a[X], dy}, .out = {g[0]}, SAME_SIZE);
    for (int i = 0; i < 4 && parts > 1; i++)
        g[i] = add_sum(l, i, g[i]);
    for (int i = 0; i < 4; i++)
        OP(.kind = OP_ADAM,
           .in = {g[i], p[i], named(l, i, ".m", TENSOR_STATE), named(l, i, ".v", TENSOR_STATE)});
}

struct net host_net(enum dtype t, int parts)
{
    struct op_list *l = op_list_new(PICTURES, PICTURES);
    int x = activation(l, t, 3, SIDE), y = activation(l, t, CHANNELS, SIDE),
        z = activation(l, t, CHANNELS, SIDE), stat = ops_vector(l, TENSOR_STAT, CHANNELS);
    int mask = activation(l, DTYPE_BITS, CHANNELS / 8, SIDE);
    int pooled = ops_tensor(l, TENSOR_ACT, DTYPE_F32, PICTURES, 2 * CHANNELS, 1, 1);
    int argmax = ops_tensor(l, TENSOR_ACT, DTYPE_I32, PICTURES, CHANNELS, 1, 1);
    int logits = ops_tensor(l, TENSOR_ACT, DTYPE_F32, PICTURES, KINDS, 1, 1);
    int prob = ops_tensor(l, TENSOR_ACT, DTYPE_F32, PICTURES, KINDS, 1, 1);
    int dlogits = ops_tensor(l, TENSOR_ACT, DTYPE_F32, PICTURES, KINDS, 1, 1);
    struct net n = {l, op_list_tensor(l, "loss", TENSOR_ACT, DTYPE_F32, PICTURES, 1, 1, 1)};
    int p[4];

    for (int i = 0; i < 4; i++)
        p[i] = named(l, i, "", TENSOR_PARAM);
    OP(.kind = OP_AUGMENT, .out = {x});
    OP(.kind = OP_CONV, .in = {x, p[0]}, .out = {y}, SAME_SIZE);
    OP(.kind = OP_BN_STATS, .in = {y}, .out = {stat});
    OP(.kind = OP_BN_APPLY, .in = {y, stat, p[1], p[2]}, .out = {z, mask}, .relu = true);
    OP(.kind = OP_CONCAT_POOL, .in = {z}, .out = {pooled, argmax});
    OP(.kind = OP_LINEAR, .in = {pooled, p[3]}, .out = {logits});
    OP(.kind = OP_SOFTMAX_LOSS, .in = {logits}, .out = {prob, n.loss, dlogits});
    add_backward(l, t, parts, p, (const int[8]){x, y, stat, mask, pooled, argmax, dlogits});
    return n;
}

/* ---- training --------------------------------------------------------------------------------- */

static void draw_pixels(void)
{
    struct rng r = rng_begin(5, RNG_TEST, 0, 0);

    for (size_t i = 0; i < sizeof pixels; i++)
        ((uint8_t *)pixels)[i] = (uint8_t)rng_below(&r, 256);
}

/* Batches of several sizes: slots grow. */
static int width_of(int batch, int place)
{
    return 40 + (place + batch) % 17;
}

static size_t set_bytes(void *ctx, uint32_t rank)
{
    (void)ctx;
    return 3 * 40 * (size_t)width_of((int)rank / PICTURES, (int)rank % PICTURES);
}

static int set_read(void *ctx, uint32_t rank, uint8_t *to, struct err *err)
{
    const uint32_t from = host_reading == READ_OTHERS ? rank / 2 : rank;

    if (host_reading == READ_FAILS && rank == 5)
        return err_set(err, ERR_IO, "picture 5 cannot be read");
    memcpy(to, pixels[from / PICTURES][from % PICTURES], set_bytes(ctx, rank));
    return 0;
}

const struct picture_set host_set = {
    .set = 5, .n = BATCHES * PICTURES, .bytes = set_bytes, .read = set_read};

struct step host_step(struct picture pictures[PICTURES], int s, bool kept)
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
            .pixels = kept ? NULL : pixels[b][i],
            .height = 40,
            .width = width_of(b, i),
            .map = {.m = {2, 0.2f, 1, 0.1f, 2.1f, (float)s, 0, 0, 1}, .k = 1 + i % 3},
            .label = (i + s) % KINDS,
            .position = (uint32_t)(PICTURES * s + i),
            .set = 5,
            .rank = (uint32_t)(PICTURES * b + i)};
    return step;
}

int host_train(const struct backend *k, enum dtype t, struct way way, float *out[4],
               struct err *err)
{
    const int parts = way.parts > 1 ? way.parts : 1;
    const struct exec_options options = {.threads = 2,
                                         .deterministic = !way.tuned,
                                         .cuda_graph =
                                             way.eager ? CUDA_GRAPH_OFF : CUDA_GRAPH_AUTO};
    struct net n = host_net(t, parts);
    struct be_info info;
    struct be *b = NULL;
    struct be_program *p = NULL;
    struct rng r = rng_begin(7, RNG_TEST, 0, 0);
    int rc = -1, kept = 0;

    if (k->open(&b, &options, err) < 0 || k->prepare(&p, b, n.l, err) < 0)
        goto out;
    if (way.keep && (kept = k->keep(b, &host_set, err)) < 0)
        goto out;
    if (way.keep && !kept) { /* no room: then pictures travel */
        assert_true(sim->fail_at > 0);
        way.keep = false;
    }
    for (int i = 0; i < 4; i++) {
        const size_t size = (size_t)shapes[i][0] * (size_t)shapes[i][1] * (size_t)shapes[i][2] *
                            (size_t)shapes[i][3];

        for (size_t e = 0; e < size; e++)
            out[i][e] = i == 1 ? 1.0f : i == 2 ? 0.0f : 0.3f * (float)rng_normal(&r);
        if (k->put(b, names[i], out[i], err) < 0)
            goto out;
    }
    for (int s = 0; s < STEPS * parts; s++) {
        struct picture pictures[PICTURES], next[PICTURES];
        struct step step = host_step(pictures, s, way.keep);

        if (way.ahead) {
            host_step(next, way.ahead == AHEAD_WRONG ? s + 2 : s + 1, way.keep);
            step.next = next;
            step.n_next = PICTURES;
            if (way.ahead == AHEAD_OTHERS)
                next[1].pixels = next[0].pixels;
        }
        step.parts = way.parts;
        step.part = s % parts;
        step.adam_step = (uint32_t)(s / parts) + 1;
        if (k->run(p, &step, err) < 0)
            goto out;
    }
    k->info(b, &info);
    memcpy(host_steps, info.steps, sizeof host_steps);
    rc = 0;
    for (int i = 0; rc == 0 && i < 4; i++)
        rc = k->get(b, names[i], out[i], err);
out:
    k->release(p);
    k->close(b);
    op_list_free(n.l);
    return rc;
}

struct parameters *parameters_new(void)
{
    struct parameters *p = calloc(1, sizeof *p);

    assert_non_null(p);
    for (int i = 0; i < 4; i++)
        p->at[i] = p->values[i];
    return p;
}

double distance(const struct parameters *a, const struct parameters *b)
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

void must(int rc, const struct err *err)
{
    if (rc < 0)
        fail_msg("%s", err->msg);
    if (sim->fault[0])
        fail_msg("simulated device: %s", sim->fault);
}

bool host_same_bits(const struct parameters *want, enum dtype t, struct way way,
                    enum sim_plant what, long *graphs)
{
    struct parameters *got = parameters_new();
    struct err err = {0};
    bool same;

    sim->graphs = 0;
    sim->plant = what;
    same = host_train(cuda, t, way, got->at, &err) == 0 && !sim->fault[0] &&
           memcmp(got->values, want->values, sizeof got->values) == 0;
    if (what == PLANT_NONE)
        must(0, &err);
    sim->plant = PLANT_NONE;
    sim->fault[0] = 0;
    *graphs = sim->graphs;
    free(got);
    return same;
}

int host_main(const struct CMUnitTest *tests, size_t n)
{
    setenv("PRESIZE_PLUGIN", SIM_PLUGIN, 1);
    cuda = backend_find("cuda");
    sim = dlsym(dlopen(SIM_PLUGIN, RTLD_NOW), "sim");
    if (!cuda || !sim) {
        fprintf(stderr, "%s cannot be opened\n", SIM_PLUGIN);
        return 1;
    }
    draw_pixels();
    return _cmocka_run_group_tests("cuda", tests, n, NULL, NULL);
}
