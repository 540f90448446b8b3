/* test_ops_optimiser.c - the optimiser's ops on every backend against ref, clipping by the norm of all
 * gradients, and several runs that make one step.
 * SPDX-License-Identifier: MIT */
#include "compare.h"

// clang-format off
static const struct ops_case adam[] = {
    {.kind = OP_ADAM, .n = 2, .micro = 1, .k = 16, .c = 3,  .r = 7, .extra = true},
    {.kind = OP_ADAM, .n = 2, .micro = 1, .k = 37, .c = 1,  .r = 1},
    {.kind = OP_ADAM, .n = 2, .micro = 1, .k = 64, .c = 64, .r = 3, .extra = true},
};
static const struct ops_case sgd[] = {
    {.kind = OP_SGD, .n = 2, .micro = 1, .k = 16, .c = 3,  .r = 7, .extra = true},
    {.kind = OP_SGD, .n = 2, .micro = 1, .k = 37, .c = 1,  .r = 1, .relu = true},
    {.kind = OP_SGD, .n = 2, .micro = 1, .k = 64, .c = 64, .r = 3, .extra = true, .relu = true},
};
static const struct ops_case ema[] = {
    {.kind = OP_EMA, .n = 2, .micro = 1, .k = 37, .c = 3,  .r = 1},
    {.kind = OP_EMA, .n = 2, .micro = 1, .k = 64, .c = 64, .r = 5, .extra = true},
};
static const struct ops_case grad_sum[] = {
    {.kind = OP_GRAD_SUM, .n = 2, .micro = 1, .k = 37, .c = 3,  .r = 1},
    {.kind = OP_GRAD_SUM, .n = 2, .micro = 1, .k = 37, .c = 3,  .r = 1, .part = 0,  .parts = 4},
    {.kind = OP_GRAD_SUM, .n = 2, .micro = 1, .k = 64, .c = 64, .r = 5, .part = 1,  .parts = 4},
    {.kind = OP_GRAD_SUM, .n = 2, .micro = 1, .k = 37, .c = 3,  .r = 1, .part = 11, .parts = 16},
    {.kind = OP_GRAD_SUM, .n = 2, .micro = 1, .k = 37, .c = 3,  .r = 1, .part = 12, .parts = 13},
    {.kind = OP_GRAD_SUM, .n = 2, .micro = 1, .k = 16, .c = 3,  .r = 7, .part = 15, .parts = 16},
};
// clang-format on

static void check_adam(void **state)
{
    (void)state;
    ops_check(adam, sizeof adam / sizeof adam[0]);
}

static void check_sgd(void **state)
{
    (void)state;
    ops_check(sgd, sizeof sgd / sizeof sgd[0]);
}

static void check_ema(void **state)
{
    (void)state;
    ops_check(ema, sizeof ema / sizeof ema[0]);
}

static void check_grad_sum(void **state)
{
    (void)state;
    ops_check(grad_sum, sizeof grad_sum / sizeof grad_sum[0]);
}

/* --- clipping ------------------------------------------------------------------------------- */

enum { TENSORS = 3 };
static const int sizes[TENSORS] = {5, 131, 70000}; /* the last of more than one chunk */

struct clipped { /* parameters after one step, and the factor */
    float *param[TENSORS], factor;
};

/* A step of Adam on seeded gradients; MAX_NORM 0: without GRAD_NORM. */
static struct clipped clip(const struct ops_device *d, const struct backend *k, float max_norm)
{
    struct op_list *l = op_list_new(2, 1);
    struct step step = {.lr = {1e-2}, .mom = .9, .sqr_mom = .99, .eps = 1e-5, .adam_step = 1};
    struct be *b = NULL;
    struct be_program *p = NULL;
    struct clipped out = {.factor = 1};
    struct err err = {0};
    int factor = 0, grads[TENSORS], params[TENSORS], at[2];

    for (int i = 0; i < TENSORS; i++) {
        grads[i] = ops_tensor(l, TENSOR_GRAD, DTYPE_F32, sizes[i], 1, 1, 1);
        params[i] = ops_tensor(l, TENSOR_PARAM, DTYPE_F32, sizes[i], 1, 1, 1);
    }
    if (max_norm > 0) {
        struct op o = {.kind = OP_GRAD_NORM};

        o.out[0] = factor = ops_tensor(l, TENSOR_STAT, DTYPE_F64, 1, 1, 1, 1);
        o.max_norm = max_norm;
        op_list_add(l, o);
    }
    for (int i = 0; i < TENSORS; i++) {
        for (int m = 0; m < 2; m++)
            at[m] = ops_tensor(l, TENSOR_STATE, DTYPE_F32, sizes[i], 1, 1, 1);
        op_list_add(
            l, (struct op){.kind = OP_ADAM, .in = {grads[i], params[i], at[0], at[1], factor}});
    }
    if (k->open(&b, &d->options, &err) < 0 || k->prepare(&p, b, l, &err) < 0)
        fail_msg("%s", err.msg);
    for (int i = 0; i < TENSORS; i++) {
        struct rng r = rng_begin(3, RNG_TEST, 0, (uint32_t)i);

        out.param[i] = malloc((size_t)sizes[i] * sizeof(float));
        assert_non_null(out.param[i]);
        for (int e = 0; e < sizes[i]; e++)
            out.param[i][e] = (float)rng_normal(&r) * 1e-3f;
        assert_int_equal(k->write(p, grads[i], out.param[i], &err), 0);
    }
    assert_int_equal(k->run(p, &step, &err), 0);
    if (factor)
        assert_int_equal(k->read(p, factor, &out.factor, &err), 0);
    for (int i = 0; i < TENSORS; i++)
        assert_int_equal(k->get(b, l->tensors[params[i]].name, out.param[i], &err), 0);
    k->release(p);
    k->close(b);
    op_list_free(l);
    return out;
}

static void clipped_free(struct clipped *c)
{
    for (int i = 0; i < TENSORS; i++)
        free(c->param[i]);
}

static bool same_bits(const struct clipped *a, const struct clipped *b)
{
    for (int i = 0; i < TENSORS; i++)
        if (memcmp(a->param[i], b->param[i], (size_t)sizes[i] * sizeof(float)) != 0)
            return false;
    return memcmp(&a->factor, &b->factor, sizeof a->factor) == 0;
}

/* The norm of 70,136 draws of N(0, 1e-3) is close to 0.265. */
static void gradients_are_clipped_by_their_norm(void **state)
{
    static const struct ops_device plain = {.name = "ref", .options = {.threads = 1}};
    struct clipped ref = clip(&plain, &ref_backend, 0.1f);

    (void)state;
    assert_true(ref.factor > 0.35f && ref.factor < 0.40f);
    for (int d = 0; d < N_DEVICES; d++) {
        const struct backend *k = ops_backend(d);
        struct clipped small, large, none, one;

        if (!k)
            continue;
        small = clip(&ops_devices[d], k, 0.1f);
        large = clip(&ops_devices[d], k, 1.0f);
        none = clip(&ops_devices[d], k, 0);
        one = clip(&ops_devices[0], ops_backend(0), 0.1f);
        assert_true(fabsf(small.factor - ref.factor) <= 4e-7f);
        for (int i = 0; i < TENSORS; i++)
            for (int e = 0; e < sizes[i]; e++)
                assert_true(fabsf(small.param[i][e] - ref.param[i][e]) <= 1e-7f);
        assert_true(large.factor == 1.0f && same_bits(&large, &none));
        assert_false(same_bits(&small, &none)); /* the control */
        assert_true(strcmp(k->name, "cpu") != 0 || same_bits(&small, &one));
        clipped_free(&small);
        clipped_free(&large);
        clipped_free(&none);
        clipped_free(&one);
    }
    clipped_free(&ref);
}

/* --- several runs that make one step ----------------------------------------------------------- */

enum { PICTURES = 32, SIDE = 6, IN = 16, WIDE = 32, KINDS = 16, MICRO = 2 };

struct small { /* convolution, relu, pools, linear layer, loss, Adam: nothing norms a batch */
    struct op_list *l;
    int x;
};

static void small_op(struct op_list *l, enum op_kind kind, const int in[3], const int out[3])
{
    struct op o = {.kind = kind};

    o.stride = o.pad = 1;
    memcpy(o.in, in, 3 * sizeof *in);
    memcpy(o.out, out, 3 * sizeof *out);
    op_list_add(l, o);
}

static void small_step(struct op_list *l, int grad, int param, int levels)
{
    const int *d = l->tensors[param].dims;
    int n = (int)tensor_elements(&l->tensors[param]), sum, state[3];

    sum = ops_tensor(l, TENSOR_GRAD, DTYPE_F32, d[0], d[1], d[2], d[3]);
    state[0] = ops_tensor(l, TENSOR_STATE, DTYPE_F32, levels, n, 1, 1);
    d = l->tensors[param].dims; /* the array may have moved */
    state[1] = ops_tensor(l, TENSOR_STATE, DTYPE_F32, d[0], d[1], d[2], d[3]);
    d = l->tensors[param].dims;
    state[2] = ops_tensor(l, TENSOR_STATE, DTYPE_F32, d[0], d[1], d[2], d[3]);
    small_op(l, OP_GRAD_SUM, (const int[]){grad, state[0], 0}, (const int[]){sum, 0, 0});
    op_list_add(l, (struct op){.kind = OP_ADAM, .in = {sum, param, state[1], state[2]}});
}

static struct small small_list(int batch)
{
    struct op_list *l = op_list_new(batch, MICRO);
#define TENSOR(role, type, ...) ops_tensor(l, role, type, __VA_ARGS__)
#define F(...) TENSOR(TENSOR_ACT, DTYPE_F32, batch, __VA_ARGS__)
    int x = F(IN, SIDE, SIDE), y = F(WIDE, SIDE, SIDE), z = F(WIDE, SIDE, SIDE);
    int pooled = F(2 * WIDE, 1, 1), dpooled = F(2 * WIDE, 1, 1), logits = F(KINDS, 1, 1);
    int dlogits = F(KINDS, 1, 1), prob = F(KINDS, 1, 1), loss = F(1, 1, 1);
    int dz = F(WIDE, SIDE, SIDE), dy = F(WIDE, SIDE, SIDE);
    int argmax = TENSOR(TENSOR_ACT, DTYPE_I32, batch, WIDE, 1, 1);
    int w = TENSOR(TENSOR_PARAM, DTYPE_F32, WIDE, IN, 3, 3);
    int v = TENSOR(TENSOR_PARAM, DTYPE_F32, KINDS, 2 * WIDE, 1, 1);
    int dw = TENSOR(TENSOR_GRAD, DTYPE_F32, WIDE, IN, 3, 3);
    int dv = TENSOR(TENSOR_GRAD, DTYPE_F32, KINDS, 2 * WIDE, 1, 1);
#define OP(kind, i, j, m, a, b, c) small_op(l, kind, (const int[]){i, j, m}, (const int[]){a, b, c})

    OP(OP_CONV, x, w, 0, y, 0, 0);
    OP(OP_RELU, y, 0, 0, z, 0, 0);
    OP(OP_CONCAT_POOL, z, 0, 0, pooled, argmax, 0);
    OP(OP_LINEAR, pooled, v, 0, logits, 0, 0);
    OP(OP_SOFTMAX_LOSS, logits, 0, 0, prob, loss, dlogits);
    OP(OP_LINEAR_BWD_DATA, dlogits, v, 0, dpooled, 0, 0);
    OP(OP_LINEAR_BWD_WEIGHT, pooled, dlogits, 0, dv, 0, 0);
    OP(OP_CONCAT_POOL_BWD, dpooled, argmax, 0, dz, 0, 0);
    OP(OP_RELU_BWD, dz, z, 0, dy, 0, 0);
    OP(OP_CONV_BWD_WEIGHT, x, dy, 0, dw, 0, 0);
    small_step(l, dw, w, 4);
    small_step(l, dv, v, 4);
#undef OP
#undef F
#undef TENSOR
    return (struct small){l, x};
}

/* Puts weights of its own draws into every parameter; or takes them all out. */
static size_t small_weights(const struct backend *k, struct be *b, const struct op_list *l,
                            float *values, bool take)
{
    size_t at = 0;
    struct err err = {0};

    for (int i = 1; i < l->n_tensors; i++) {
        const struct tensor *t = &l->tensors[i];
        struct rng r = rng_begin(5, RNG_TEST, 1, (uint32_t)i);

        if (t->role != TENSOR_PARAM)
            continue;
        for (size_t e = 0; !take && e < tensor_elements(t); e++)
            values[at + e] = 0.1f * (float)rng_normal(&r);
        assert_int_equal(
            (take ? k->get(b, t->name, values + at, &err) : k->put(b, t->name, values + at, &err)),
            0);
        at += tensor_elements(t);
    }
    return at;
}

/* Two steps on the same 32 pictures in PARTS runs each, in the order given; the weights after. */
static size_t train(float *weights, const struct backend *k, const struct exec_options *o,
                    int parts, const int *order)
{
    const int batch = PICTURES / parts, picture = IN * SIDE * SIDE;
    struct small s = small_list(batch);
    float *x = malloc(sizeof *x * (size_t)(PICTURES * picture));
    struct picture pictures[PICTURES] = {{0}};
    struct rng r = rng_begin(5, RNG_TEST, 0, 0);
    struct be *b = NULL;
    struct be_program *p = NULL;
    struct err err = {0};
    size_t n;

    assert_non_null(x);
    for (int i = 0; i < PICTURES * picture; i++)
        x[i] = (float)rng_normal(&r);
    for (int i = 0; i < PICTURES; i++)
        pictures[i].label = i * 5 % KINDS;
    if (k->open(&b, o, &err) < 0 || k->prepare(&p, b, s.l, &err) < 0)
        fail_msg("%s", err.msg);
    small_weights(k, b, s.l, weights, false);
    for (int i = 0; i < 2 * parts; i++) {
        int first = order[i % parts] * batch;
        struct step step = {.pictures = pictures + first,
                            .n_pictures = batch,
                            .part = i % parts,
                            .parts = parts,
                            .lr = {1e-2},
                            .mom = .9,
                            .sqr_mom = .99,
                            .eps = 1e-5,
                            .adam_step = (uint32_t)(i / parts + 1)};

        assert_int_equal(k->write(p, s.x, x + first * picture, &err), 0);
        assert_int_equal(k->run(p, &step, &err), 0);
    }
    n = small_weights(k, b, s.l, weights, true);
    k->release(p);
    k->close(b);
    op_list_free(s.l);
    free(x);
    return n;
}

static void parts_of_a_batch_give_its_bits(void **state)
{
    static const int straight[8] = {0, 1, 2, 3, 4, 5, 6, 7}, crooked[8] = {0, 2, 1, 3};
    static const int parts[] = {2, 4, 8};
    static float whole[WIDE * IN * 9 + KINDS * 2 * WIDE], split[WIDE * IN * 9 + KINDS * 2 * WIDE];

    (void)state;
    for (int d = 0; d < N_DEVICES; d++) {
        const struct backend *k = ops_backend(d);
        size_t n;

        if (!k || strcmp(k->name, "cpu") != 0)
            continue; /* the tree over pictures is the cpu's */
        n = train(whole, k, &ops_devices[d].options, 1, straight);
        for (int i = 0; i < 3; i++) {
            train(split, k, &ops_devices[d].options, parts[i], straight);
            assert_memory_equal(whole, split, n * sizeof *whole);
        }
        train(split, k, &ops_devices[d].options, 4, crooked); /* the control: another tree */
        assert_memory_not_equal(whole, split, n * sizeof *whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_adam),
        cmocka_unit_test(check_sgd),
        cmocka_unit_test(check_ema),
        cmocka_unit_test(check_grad_sum),
        cmocka_unit_test(gradients_are_clipped_by_their_norm),
        cmocka_unit_test(parts_of_a_batch_give_its_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
