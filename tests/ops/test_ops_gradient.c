/* test_ops_gradient.c - backward ops against central differences of their forward ops, on ref.
 *
 * Every list computes L = sum r y from inputs and, with dy = r, the gradients. In double, with a
 * step of 1e-5, the difference quotient of these functions is good to about 1e-8 relative to the
 * terms of L.
 * SPDX-License-Identifier: MIT */
#include "ops.h"

enum { BATCH = 4, PAIRS = 4, SAMPLES = 24 };

struct problem {
    struct op_list *l;
    int y, dy; /* L = sum y dy */
    struct {
        int input, gradient;
    } pair[PAIRS];
    int n_pairs;
    bool mixed; /* pictures are mixed and weighted */
};

static int act(struct op_list *l, enum dtype t, int c, int h, int w)
{
    return ops_tensor(l, TENSOR_ACT, t, BATCH, c, h, w);
}

static int image(struct op_list *l, int c, int h, int w)
{
    return act(l, DTYPE_F32, c, h, w);
}

#define OP(...) op_list_add(p->l, (struct op){__VA_ARGS__})

static void pair(struct problem *p, int input, int gradient)
{
    p->pair[p->n_pairs].input = input;
    p->pair[p->n_pairs++].gradient = gradient;
}

static void conv(struct problem *p, int c, int h, int w, int k, int r, int stride, int pad)
{
    int q = (w + 2 * pad - r) / stride + 1, rows = (h + 2 * pad - r) / stride + 1;
    int x = image(p->l, c, h, w), weight = ops_tensor(p->l, TENSOR_PARAM, DTYPE_F32, k, c, r, r);
    int dx = image(p->l, c, h, w), dw = ops_tensor(p->l, TENSOR_GRAD, DTYPE_F32, k, c, r, r);

    p->y = image(p->l, k, rows, q);
    p->dy = image(p->l, k, rows, q);
#define STRIDE .stride = stride, .pad = pad
    OP(.kind = OP_CONV, .in = {x, weight}, .out = {p->y}, STRIDE);
    OP(.kind = OP_CONV_BWD_DATA, .in = {p->dy, weight}, .out = {dx}, STRIDE);
    OP(.kind = OP_CONV_BWD_WEIGHT, .in = {x, p->dy}, .out = {dw}, STRIDE);
#undef STRIDE
    pair(p, x, dx);
    pair(p, weight, dw);
}

static void conv_3x3(struct problem *p)
{
    conv(p, 3, 6, 5, 4, 3, 1, 1);
}

static void conv_7x7_stride_2(struct problem *p)
{
    conv(p, 3, 9, 11, 2, 7, 2, 3);
}

static void conv_1x1_stride_2(struct problem *p)
{
    conv(p, 5, 7, 4, 3, 1, 2, 0);
}

static void linear(struct problem *p)
{
    int x = image(p->l, 7, 1, 1), w = ops_tensor(p->l, TENSOR_PARAM, DTYPE_F32, 3, 7, 1, 1);
    int dx = image(p->l, 7, 1, 1), dw = ops_tensor(p->l, TENSOR_GRAD, DTYPE_F32, 3, 7, 1, 1);

    p->y = image(p->l, 3, 1, 1);
    p->dy = image(p->l, 3, 1, 1);
    OP(.kind = OP_LINEAR, .in = {x, w}, .out = {p->y});
    OP(.kind = OP_LINEAR_BWD_DATA, .in = {p->dy, w}, .out = {dx});
    OP(.kind = OP_LINEAR_BWD_WEIGHT, .in = {x, p->dy}, .out = {dw});
    pair(p, x, dx);
    pair(p, w, dw);
}

static void norm(struct problem *p, bool relu, bool residual)
{
    int c = 8, h = 3, w = 2, x = image(p->l, c, h, w), dx = image(p->l, c, h, w);
    int stat = ops_vector(p->l, TENSOR_STAT, c), bstat = ops_vector(p->l, TENSOR_STAT, c);
    int gamma = ops_vector(p->l, TENSOR_PARAM, c), beta = ops_vector(p->l, TENSOR_PARAM, c);
    int dgamma = ops_vector(p->l, TENSOR_GRAD, c), dbeta = ops_vector(p->l, TENSOR_GRAD, c);
    int add_in = residual ? image(p->l, c, h, w) : 0, g = relu ? image(p->l, c, h, w) : 0;
    int mask = relu ? act(p->l, DTYPE_BITS, c / 8, h, w) : 0;

    p->y = image(p->l, c, h, w);
    p->dy = image(p->l, c, h, w);
    OP(.kind = OP_BN_STATS, .in = {x}, .out = {stat});
    OP(.kind = OP_BN_APPLY, .in = {x, stat, gamma, beta, add_in}, .out = {p->y, mask},
       .relu = relu);
    OP(.kind = OP_BN_BWD_STATS, .in = {p->dy, 0, mask, x, stat}, .out = {g, bstat, dgamma, dbeta});
    OP(.kind = OP_BN_BWD_APPLY, .in = {relu ? g : p->dy, x, stat, bstat, gamma}, .out = {dx});
    pair(p, x, dx);
    pair(p, gamma, dgamma);
    pair(p, beta, dbeta);
    if (residual)
        pair(p, add_in, g);
}

static void bn(struct problem *p)
{
    norm(p, false, false);
}

static void bn_relu(struct problem *p)
{
    norm(p, true, false);
}

static void bn_add_relu(struct problem *p)
{
    norm(p, true, true);
}

/* The backward ops that make the ReLU's mask from the norm's input. */
static void bn_through_relu(struct problem *p)
{
    const struct op *ops;
    int x, stat, gamma, beta, bstat, dx, dgamma, dbeta;

    norm(p, true, false);
    ops = p->l->ops;
    x = ops[0].in[0];
    stat = ops[0].out[0];
    gamma = ops[1].in[2];
    beta = ops[1].in[3];
    bstat = ops[2].out[1];
    dgamma = ops[2].out[2];
    dbeta = ops[2].out[3];
    dx = ops[3].out[0];
    p->l->n_ops = 2;
    OP(.kind = OP_BN_RELU_BWD_STATS, .in = {p->dy, x, stat, gamma, beta},
       .out = {bstat, dgamma, dbeta});
    OP(.kind = OP_BN_RELU_BWD_APPLY, .in = {p->dy, x, stat, bstat, gamma, beta}, .out = {dx});
}

static void relu(struct problem *p)
{
    int x = image(p->l, 5, 3, 3), dx = image(p->l, 5, 3, 3);

    p->y = image(p->l, 5, 3, 3);
    p->dy = image(p->l, 5, 3, 3);
    OP(.kind = OP_RELU, .in = {x}, .out = {p->y});
    OP(.kind = OP_RELU_BWD, .in = {p->dy, p->y}, .out = {dx});
    pair(p, x, dx);
}

static void max_pool(struct problem *p)
{
    int x = image(p->l, 2, 7, 6), dx = image(p->l, 2, 7, 6), argmax = act(p->l, DTYPE_U8, 2, 4, 3);

    p->y = image(p->l, 2, 4, 3);
    p->dy = image(p->l, 2, 4, 3);
    OP(.kind = OP_MAX_POOL, .in = {x}, .out = {p->y, argmax});
    OP(.kind = OP_MAX_POOL_BWD, .in = {p->dy, 0, argmax}, .out = {dx});
    pair(p, x, dx);
}

static void concat_pool(struct problem *p)
{
    int x = image(p->l, 3, 3, 5), dx = image(p->l, 3, 3, 5), argmax = act(p->l, DTYPE_I32, 3, 1, 1);

    p->y = image(p->l, 6, 1, 1);
    p->dy = image(p->l, 6, 1, 1);
    OP(.kind = OP_CONCAT_POOL, .in = {x}, .out = {p->y, argmax});
    OP(.kind = OP_CONCAT_POOL_BWD, .in = {p->dy, argmax}, .out = {dx});
    pair(p, x, dx);
}

static void dropout(struct problem *p)
{
    int x = image(p->l, 11, 1, 1), dx = image(p->l, 11, 1, 1);

    p->y = image(p->l, 11, 1, 1);
    p->dy = image(p->l, 11, 1, 1);
    OP(.kind = OP_DROPOUT, .in = {x}, .out = {p->y}, .rate = 0.4f, .layer = 3);
    OP(.kind = OP_DROPOUT_BWD, .in = {p->dy}, .out = {dx}, .rate = 0.4f, .layer = 3);
    pair(p, x, dx);
}

/* L = the mean loss: dy stays the constant 1 / BATCH. */
static void add_loss(struct problem *p, float smoothing, float focal)
{
    int x = image(p->l, 5, 1, 1), prob = image(p->l, 5, 1, 1), dx = image(p->l, 5, 1, 1);

    p->y = image(p->l, 1, 1, 1);
    p->dy = 0;
    OP(.kind = OP_SOFTMAX_LOSS, .in = {x}, .out = {prob, p->y, dx}, .smoothing = smoothing,
       .focal = focal);
    pair(p, x, dx);
}

static void softmax_loss(struct problem *p)
{
    add_loss(p, 0, 0);
}

static void smoothed_loss(struct problem *p)
{
    add_loss(p, 0.1f, 0);
}

static void focal_loss(struct problem *p)
{
    add_loss(p, 0, 2);
}

/* Two classes a picture, weights, smoothing and focus at once. */
static void mixed_loss(struct problem *p)
{
    add_loss(p, 0.1f, 0.5f);
    p->mixed = true;
}

/* --- the check ------------------------------------------------------------------------------ */

static double loss(struct be_program *p, const struct problem *q, const struct step *step)
{
    struct err err = {0};
    size_t n = tensor_elements(&q->l->tensors[q->y]);
    double sum = 0.0;

    if (ref_exact_backend.run(p, step, &err) < 0)
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < n; i++)
        sum += ref_values(p, q->y)[i] * (q->dy ? ref_values(p, q->dy)[i] : 1.0 / BATCH);
    return sum;
}

static bool is_written(const struct op_list *l, int tensor)
{
    for (int o = 0; o < l->n_ops; o++)
        for (int k = 0; k < MAX_OUT; k++)
            if (l->ops[o].out[k] == tensor)
                return true;
    return false;
}

/* Largest |difference quotient - gradient| over the samples of pair K, relative to the gradient's
 * largest value. */
static double worst(struct be_program *p, const struct problem *q, const struct step *step, int k)
{
    int input = q->pair[k].input, gradient = q->pair[k].gradient;
    size_t n = tensor_elements(&q->l->tensors[input]), stride = n / SAMPLES + 1;
    double *x = ref_values(p, input), *g = malloc(n * sizeof *g), most = 0.0, scale = 1e-3;
    const double eps = 1e-5;

    assert_non_null(g);
    loss(p, q, step);
    memcpy(g, ref_values(p, gradient), n * sizeof *g);
    for (size_t i = 0; i < n; i++)
        scale = fmax(scale, fabs(g[i]));
    for (size_t i = 0; i < n; i += stride) {
        double kept = x[i], up, down, diff;

        x[i] = kept + eps;
        up = loss(p, q, step);
        x[i] = kept - eps;
        down = loss(p, q, step);
        x[i] = kept;
        diff = fabs((up - down) / (2 * eps) - g[i]) / scale;
        most = diff <= most ? most : diff; /* a NaN stays */
    }
    free(g);
    return most;
}

/* Sets up the problem, fills its inputs and gives the worst of all pairs. */
static double solve(void (*build)(struct problem *))
{
    double most = 0.0;

    struct problem q = {.l = op_list_new(BATCH, 2)};
    struct picture pictures[BATCH] = {{0}};
    const struct mix mixes[BATCH] = {{.partner = 2, .share = 0.3f},
                                     {1, 0, 0, 0, 0, 0},
                                     {.partner = 3, .share = 1},
                                     {.partner = 3}};
    const float weights[BATCH] = {0.5f, 2, 1, 0};
    struct step step = {.pictures = pictures, .n_pictures = BATCH, .seed = 5, .epoch = 1};
    struct be *b = NULL;
    struct be_program *p = NULL;
    struct err err = {0};

    assert_non_null(q.l);
    build(&q);
    step.mixes = q.mixed ? mixes : NULL;
    step.weights = q.mixed ? weights : NULL;
    for (int n = 0; n < BATCH; n++) {
        pictures[n].label = n;
        pictures[n].position = (uint32_t)n;
    }
    if (ref_exact_backend.open(&b, &(struct exec_options){0}, &err) < 0 ||
        ref_exact_backend.prepare(&p, b, q.l, &err) < 0)
        fail_msg("%s", err.msg);
    for (int t = 1; t < q.l->n_tensors; t++) {
        struct rng r = rng_begin(21, RNG_TEST, 0, (uint32_t)t);

        for (size_t i = 0; !is_written(q.l, t) && i < tensor_elements(&q.l->tensors[t]); i++)
            ref_values(p, t)[i] = rng_normal(&r);
    }
    for (int k = 0; k < q.n_pairs; k++) {
        double w = worst(p, &q, &step, k);

        most = w <= most ? most : w;
    }
    ref_exact_backend.release(p);
    ref_exact_backend.close(b);
    op_list_free(q.l);
    return most;
}

#define CHECK(name)                                                                                \
    static void check_##name(void **state)                                                         \
    {                                                                                              \
        (void)state;                                                                               \
        assert_true(solve(name) <= 1e-6);                                                          \
    }

CHECK(conv_3x3)
CHECK(conv_7x7_stride_2)
CHECK(conv_1x1_stride_2)
CHECK(linear)
CHECK(bn)
CHECK(bn_relu)
CHECK(bn_add_relu)
CHECK(bn_through_relu)
CHECK(relu)
CHECK(max_pool)
CHECK(concat_pool)
CHECK(dropout)
CHECK(softmax_loss)
CHECK(smoothed_loss)
CHECK(focal_loss)
CHECK(mixed_loss)

/* The controls: gradients that leave something out are found. */
static void bn_without_its_sums(struct problem *p)
{
    norm(p, true, false);
    p->pair[0].gradient = p->l->ops[2].out[0]; /* g, what flows in before the statistics' share */
}

static void dropout_of_another_layer(struct problem *p)
{
    dropout(p);
    p->l->ops[1].layer = 4;
}

static void wrong_gradients_are_found(void **state)
{
    (void)state;
    assert_true(solve(bn_without_its_sums) > 1e-3);
    assert_true(solve(dropout_of_another_layer) > 1e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_conv_3x3),
        cmocka_unit_test(check_conv_7x7_stride_2),
        cmocka_unit_test(check_conv_1x1_stride_2),
        cmocka_unit_test(check_linear),
        cmocka_unit_test(check_bn),
        cmocka_unit_test(check_bn_relu),
        cmocka_unit_test(check_bn_add_relu),
        cmocka_unit_test(check_bn_through_relu),
        cmocka_unit_test(check_relu),
        cmocka_unit_test(check_max_pool),
        cmocka_unit_test(check_concat_pool),
        cmocka_unit_test(check_dropout),
        cmocka_unit_test(check_softmax_loss),
        cmocka_unit_test(check_smoothed_loss),
        cmocka_unit_test(check_focal_loss),
        cmocka_unit_test(check_mixed_loss),
        cmocka_unit_test(wrong_gradients_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
