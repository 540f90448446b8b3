/* test_ops_network.c - a whole ResNet, forward and backward, on every backend against ref.
 *
 * Bands, not bounds: rounding errors pass through some sixty ops. fp32: forward values differ by at
 * most 1e-4 of their norm (measured: 4e-6), gradients by 0.02 (measured: 3e-5, but a ReLU or a
 * maximum that falls to the other side moves a gradient by up to 0.01). bf16: both backends round
 * at the same places, but a value that falls to the other side of a rounding boundary goes its own
 * way from there; so the measure is the type's own error: the backend may be at most twice as far
 * from fp32 as ref in bf16 is, and a little more. Threads must not change a bit.
 * SPDX-License-Identifier: MIT */
#include "nn/network.h"
#include "ops.h"

enum { SEED = 32, BATCH = 8, MICRO = 4, SIZE = 37, CLASSES = 5 };

struct run { /* one list on one backend */
    const struct backend *k;
    struct be *b;
    struct be_program *p;
};

static void fill(float *v, size_t n, double mean, double spread, uint32_t stream)
{
    struct rng r = rng_begin(SEED, RNG_TEST, 0, stream);

    for (size_t i = 0; i < n; i++)
        v[i] = (float)(mean + spread * rng_uniform(&r, -1.7320508, 1.7320508)); /* variance 1 */
}

/* Pictures that differ: waves of their own direction and colour under some noise. */
static void draw(float *v, size_t n)
{
    fill(v, n, 0.0, 0.3, 1000);
    for (size_t i = 0; i < n; i++) {
        size_t picture = i / (3 * SIZE * SIZE), plane = i / (SIZE * SIZE) % 3;
        double row = (double)(i / SIZE % SIZE), col = (double)(i % SIZE);
        double pitch = 0.1 + 0.15 * (double)picture;
        double tint = plane == picture % 3 ? 0.3 * ((double)picture - 3.5) : 0.0;

        v[i] += (float)(sin(pitch * row + (double)plane) * cos(1.3 * pitch * col) + tint);
    }
}

/* Parameters as He et al. 2015 would begin, norms near 1 and 0, running statistics of use. All
 * are numbers that bf16 has, as a bf16 convolution rounds its weights. */
static void give(const struct run *r, const struct network *net)
{
    struct err err = {0};

    for (int i = 0; i < net->n_params; i++) {
        const struct param *p = &net->params[i];
        float *v = malloc(p->n * sizeof *v);
        bool weight = p->n_dims > 1, scale = strstr(p->name, ".weight") || strstr(p->name, "_var");
        double fan = weight ? (double)p->n / p->dims[0] : 1.0;

        assert_non_null(v);
        fill(v, p->n, weight || !scale ? 0.0 : 1.0, weight ? sqrt(2.0 / fan) : 0.1, (uint32_t)i);
        for (size_t e = 0; e < p->n; e++)
            v[e] = f32_from_bf16(bf16_from_f32(v[e]));
        if (r->k->put(r->b, p->name, v, &err) < 0)
            fail_msg("%s", err.msg);
        free(v);
    }
}

/* Opens K, prepares L, fills parameters and x, runs once. 0, or -1 when unsupported. */
static int start(struct run *r, const struct backend *k, const struct exec_options *o,
                 const struct network *net, const struct op_list *l)
{
    int x = op_list_find(l, "x");
    size_t n = tensor_elements(&l->tensors[x]);
    float *v = malloc(n * sizeof *v);
    struct picture pictures[BATCH] = {{0}};
    struct step step = {.pictures = pictures,
                        .n_pictures = BATCH,
                        .seed = 9,
                        .epoch = 2,
                        .mom = 0.9,
                        .sqr_mom = 0.99,
                        .eps = 1e-5,
                        .adam_step = 1};
    struct err err = {0};
    int rc = 0;

    assert_non_null(v);
    *r = (struct run){.k = k};
    for (int i = 0; i < BATCH; i++) {
        pictures[i].label = i % CLASSES;
        pictures[i].position = (uint32_t)i;
    }
    draw(v, n);
    if (k->open(&r->b, o, &err) < 0 || k->prepare(&r->p, r->b, l, &err) < 0) {
        assert_int_equal(err.kind, ERR_UNSUPPORTED);
        rc = -1;
    } else {
        give(r, net);
        if (k->write(r->p, x, v, &err) < 0 || k->run(r->p, &step, &err) < 0)
            fail_msg("%s: %s", k->name, err.msg);
    }
    free(v);
    return rc;
}

static void stop(struct run *r)
{
    r->k->release(r->p);
    r->k->close(r->b);
}

static float *take(const struct run *r, const struct op_list *l, int tensor)
{
    float *v = malloc(tensor_elements(&l->tensors[tensor]) * sizeof *v);
    struct err err = {0};

    assert_non_null(v);
    if (r->k->read(r->p, tensor, v, &err) < 0)
        fail_msg("%s: %s", l->tensors[tensor].name, err.msg);
    return v;
}

static bool compared(const struct tensor *t)
{
    return t->role == TENSOR_GRAD || strcmp(t->name, "prob") == 0 || strcmp(t->name, "loss") == 0;
}

/* ||a - b|| / ||b|| of tensor T. */
static double distance(const struct run *a, const struct run *b, const struct op_list *l, int t)
{
    float *x = take(a, l, t), *y = take(b, l, t);
    double diff = 0.0, norm = 0.0;

    for (size_t i = 0; i < tensor_elements(&l->tensors[t]); i++) {
        diff += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        norm += (double)y[i] * (double)y[i];
    }
    free(x);
    free(y);
    return sqrt(diff / (norm + 1e-20));
}

/* The worst tensor of A: how far from B, less twice how far OWN (NULL: no allowance) is from B.
 * Asserts that it is within BAND. */
static void assert_close(const struct run *a, const struct run *b, const struct run *own,
                         const struct op_list *l, double band, const char *what)
{
    double most = -INFINITY;
    int which = 0, n = 0;

    for (int t = 1; t < l->n_tensors; t++) {
        double d;

        if (!compared(&l->tensors[t]))
            continue;
        n++;
        d = distance(a, b, l, t) - (own ? 2 * distance(own, b, l, t) : 0.0);
        if (l->tensors[t].role != TENSOR_GRAD && !own)
            assert_true(d <= 1e-4);
        if (!(d <= most)) {
            most = d;
            which = t;
        }
    }
    print_message("%s on %s: %d tensors, worst %s, off by %.2g of its norm\n", what, a->k->name, n,
                  l->tensors[which].name, distance(a, b, l, which));
    assert_true(n > 1 && most <= band);
}

static void assert_same_bits(const struct run *a, const struct run *b, const struct op_list *l)
{
    for (int t = 1; t < l->n_tensors; t++) {
        float *x, *y;

        if (!compared(&l->tensors[t]))
            continue;
        x = take(a, l, t);
        y = take(b, l, t);
        if (memcmp(x, y, tensor_elements(&l->tensors[t]) * sizeof *x) != 0)
            fail_msg("%s: other bits with other threads", l->tensors[t].name);
        free(x);
        free(y);
    }
}

/* A hidden unit of the head that is on in one picture and there but by rounding has next to no
 * variance, and the batch norm after it a huge gradient: the seed is one where no unit is that near
 * to zero. */
static void assert_no_unit_on_the_edge(const struct run *ref, const struct op_list *l)
{
    int t = op_list_find(l, "head.1.y");
    size_t n = tensor_elements(&l->tensors[t]);
    double square = 0.0, least = INFINITY;

    for (size_t i = 0; i < n; i++) {
        double v = ref_values(ref->p, t)[i];

        square += v * v;
        least = fmin(least, fabs(v));
    }
    if (!(least > 2e-5 * sqrt(square / (double)n)))
        fail_msg("seed %d: a unit at %.2g of its size: take another", SEED,
                 least / sqrt(square / (double)n));
}

struct case_of { /* what is compared */
    const char *what;
    int arch;
    enum dtype dtype;
    bool train;
    int freeze_to;
    double dropout, band;
};

static struct op_list *list_of(const struct case_of *c, const struct network *net, enum dtype dtype)
{
    const struct network_shape shape = {.batch = BATCH,
                                        .microbatch = MICRO,
                                        .size = SIZE,
                                        .dtype = dtype,
                                        .freeze_to = c->freeze_to,
                                        .dropout = c->dropout};
    struct op_list *l;
    struct err err = {0};

    if ((c->train ? network_train_list(&l, net, &shape, &err)
                  : network_infer_list(&l, net, &shape, &err)) < 0)
        fail_msg("%s", err.msg);
    return l;
}

static void on_devices(const struct case_of *c, const struct network *net, const struct op_list *l,
                       const struct run *ref, const struct run *own)
{
    struct run first = {0}, got;

    for (int d = 0; d < N_DEVICES; d++) {
        const struct backend *k = ops_backend(d);

        if (!k)
            continue;
        if (start(&got, k, &ops_devices[d].options, net, l) < 0) {
            print_message("%s on %s: unsupported\n", c->what, k->name);
        } else {
            assert_close(&got, ref, own, l, c->band, c->what);
            if (ops_devices[d].same && first.k)
                assert_same_bits(&first, &got, l);
            if (d == 0) {
                first = got;
                continue;
            }
        }
        stop(&got);
    }
    if (first.k)
        stop(&first);
}

static void compare(const struct case_of *c)
{
    const struct model_options options = {.arch = c->arch, .dropout = c->dropout};
    struct network *net;
    struct op_list *l, *plain;
    struct run ref, own;
    struct err err = {0};

    assert_int_equal(network_new(&net, &options, CLASSES, &err), 0);
    l = list_of(c, net, c->dtype);
    plain = list_of(c, net, DTYPE_F32);
    assert_int_equal(start(&ref, &ref_backend, &(struct exec_options){0}, net, plain), 0);
    if (c->train)
        assert_no_unit_on_the_edge(&ref, plain);
    if (c->dtype == DTYPE_F32) {
        on_devices(c, net, l, &ref, NULL);
    } else {
        assert_int_equal(start(&own, &ref_backend, &(struct exec_options){0}, net, l), 0);
        on_devices(c, net, l, &ref, &own);
        stop(&own);
    }
    stop(&ref);
    op_list_free(l);
    op_list_free(plain);
    network_free(net);
}

static void train_fp32(void **state)
{
    (void)state;
    compare(&(struct case_of){"train fp32", RESNET18, DTYPE_F32, true, 0, 0.5, 0.02});
}

static void train_small(void **state)
{
    (void)state;
    compare(&(struct case_of){"train resnet20 fp32", RESNET20, DTYPE_F32, true, 0, 0.5, 0.02});
}

static void train_bf16(void **state)
{
    (void)state;
    compare(&(struct case_of){"train bf16", RESNET18, DTYPE_BF16, true, 0, 0.0, 0.05});
}

static void train_frozen(void **state)
{
    (void)state;
    compare(&(struct case_of){"frozen fp32", RESNET18, DTYPE_F32, true, 2, 0.5, 0.02});
}

static void infer(void **state)
{
    (void)state;
    compare(&(struct case_of){"inference fp32", RESNET18, DTYPE_F32, false, 0, 0.5, 1e-4});
    compare(&(struct case_of){"inference of bottlenecks fp32", RESNET50, DTYPE_F32, false, 0, 0.5,
                              1e-4});
    compare(&(struct case_of){"inference of groups fp32", RESNEXT50_32X4D, DTYPE_F32, false, 0, 0.5,
                              1e-4});
    compare(&(struct case_of){"inference bf16", RESNET18, DTYPE_BF16, false, 0, 0.5, 0.05});
    compare(&(struct case_of){"inference of bottlenecks bf16", RESNET50, DTYPE_BF16, false, 0, 0.5,
                              0.05});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(train_fp32),   cmocka_unit_test(train_small), cmocka_unit_test(train_bf16),
        cmocka_unit_test(train_frozen), cmocka_unit_test(infer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
