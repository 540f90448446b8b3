/* test_network.c - parameter tables and op lists of the ResNets, and their gradients.
 * SPDX-License-Identifier: MIT */
#include "nn/network.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/plan.h"
#include "backend/ref.h"
#include "base/rng.h"

static struct network *network(int arch, int classes)
{
    const struct model_options o = {.arch = arch, .dropout = 0.5};
    struct network *n;
    struct err err = {0};

    if (network_new(&n, &o, classes, &err) < 0)
        fail_msg("%s", err.msg);
    return n;
}

struct counts {
    size_t trained, group[3], frozen;
};

static struct counts count(const struct network *n)
{
    struct counts c = {0};

    for (int i = 0; i < n->n_params; i++) {
        const struct param *p = &n->params[i];

        if (!p->trained)
            continue;
        c.trained += p->n;
        c.group[p->group] += p->n;
        if (p->norm || p->group == 2)
            c.frozen += p->n;
    }
    return c;
}

/* Counted in PyTorch, on fastai's learner. */
static void parameters_are_counted(void **state)
{
    struct network *n = network(RESNET34, 37);
    struct counts c = count(n);

    (void)state;
    assert_int_equal(c.trained, 21830976);
    assert_int_equal(c.group[0], 1347904);
    assert_int_equal(c.group[1], 19936768);
    assert_int_equal(c.group[2], 546304);
    assert_int_equal(c.frozen, 563328);
    network_free(n);
    n = network(RESNET50, 37);
    c = count(n);
    assert_int_equal(c.trained, 25633344);
    assert_int_equal(c.group[0], 1444928);
    assert_int_equal(c.group[1], 22063104);
    assert_int_equal(c.group[2], 2125312);
    assert_int_equal(c.frozen, 2178432);
    network_free(n);
}

/* What torchvision publishes, with its classifier of 1,000 classes; PyTorch's count of those for small pictures. */
static void numbers_are_published(void **state)
{
    static const size_t published[ARCHS] = {
        [RESNET18] = 11689512,        [RESNET34] = 21797672,  [RESNET50] = 25557032,
        [RESNET101] = 44549160,       [RESNET152] = 60192808, [WIDE_RESNET50_2] = 68883240,
        [RESNEXT50_32X4D] = 25028904, [RESNET20] = 336824,    [RESNET32] = 531256,
        [RESNET44] = 725688,          [RESNET56] = 920120,
    };

    (void)state;
    for (int arch = 0; arch < ARCHS; arch++) {
        struct network *n = network(arch, 2);
        const struct counts c = count(n);

        assert_int_equal(resnet_parameters(arch, 1000), published[arch]);
        assert_int_equal(c.group[0] + c.group[1],
                         published[arch] - 1000 * (size_t)(resnet_features(arch) + 1));
        assert_int_equal(arch_find(arch_name(arch)), arch);
        network_free(n);
    }
    assert_int_equal(arch_find("resnet51"), -1);
}

static void names_are_torchvisions(void **state)
{
    struct network *n = network(RESNET50, 37);
    const struct param *p = network_param(n, "layer1.0.downsample.0.weight");

    (void)state;
    assert_string_equal(n->params[0].name, "conv1.weight");
    assert_string_equal(n->params[1].name, "bn1.weight");
    assert_string_equal(n->params[4].name, "bn1.running_var");
    assert_non_null(p);
    assert_int_equal(p->dims[0], 256);
    assert_int_equal(p->dims[1], 64);
    p = network_param(n, "layer4.2.conv3.weight");
    assert_non_null(p);
    assert_int_equal(p->dims[0], 2048);
    assert_int_equal(p->group, 1);
    p = network_param(n, "layer2.0.conv2.weight");
    assert_non_null(p);
    assert_int_equal(p->dims[2], 3);
    assert_int_equal(p->group, 0);
    assert_null(network_param(n, "layer1.1.downsample.0.weight"));
    p = network_param(n, "head.0.bias");
    assert_non_null(p);
    assert_int_equal(p->init, INIT_BN_BIAS);
    p = network_param(n, "head.3.weight");
    assert_non_null(p);
    assert_int_equal(p->dims[0], 37);
    assert_ptr_equal(p, &n->params[n->n_params - 1]);
    network_free(n);
}

static int count_kind(const struct op_list *l, enum op_kind kind)
{
    int n = 0;

    for (int i = 0; i < l->n_ops; i++)
        n += l->ops[i].kind == kind;
    return n;
}

/* Every ACT and STAT that is written is also read, but for what is there to be looked at. */
static void assert_nothing_idle(const struct op_list *l, bool frozen)
{
    for (int t = 1; t < l->n_tensors; t++) {
        const struct tensor *x = &l->tensors[t];
        bool read = false;

        if (x->role != TENSOR_ACT && x->role != TENSOR_STAT)
            continue;
        for (int i = 0; i < l->n_ops && !read; i++)
            for (int k = 0; k < 6; k++)
                read |= l->ops[i].in[k] == t;
        if (read || strcmp(x->name, "prob") == 0 || strcmp(x->name, "loss") == 0)
            continue;
        if (strstr(x->name, "argmax")) /* of the pools in inference */
            continue;
        if (frozen && (strcmp(x->name, "bn1.bstat") == 0 || strcmp(x->name, "bn1.g") == 0))
            continue; /* the first sums yield gamma and beta, nothing lies below */
        fail_msg("%s is written and never read", x->name);
    }
}

static void one_shape(const struct network *n, struct network_shape s)
{
    struct op_list *train, *infer;
    struct err err = {0};
    int convs = 0, params = 0;

    for (int i = 0; i < n->n_params; i++) {
        const struct param *p = &n->params[i];

        convs += p->n_dims == 4;
        params += p->trained && (p->norm || p->group >= s.freeze_to);
    }
    if (network_train_list(&train, n, &s, &err) < 0 || network_infer_list(&infer, n, &s, &err) < 0)
        fail_msg("%d px, batch %d: %s", s.size, s.batch, err.msg);
    assert_int_equal(count_kind(train, OP_CONV), convs);
    assert_int_equal(count_kind(infer, OP_CONV), convs);
    assert_int_equal(count_kind(train, OP_CONV_BWD_DATA), convs - 1);
    assert_int_equal(count_kind(train, OP_CONV_BWD_WEIGHT), s.freeze_to ? 0 : convs);
    assert_int_equal(count_kind(train, OP_BN_BWD_STATS) + count_kind(train, OP_BN_RELU_BWD_STATS),
                     convs + 2);
    assert_int_equal(count_kind(train, OP_BN_BWD_APPLY) + count_kind(train, OP_BN_RELU_BWD_APPLY),
                     convs + (s.freeze_to ? 1 : 2));
    assert_true(count_kind(train, OP_BN_RELU_BWD_STATS) >
                convs / 3); /* the stem and inside blocks */
    assert_int_equal(count_kind(train, OP_ADAM), params);
    assert_int_equal(count_kind(train, OP_GRAD_SUM), s.parts > 1 ? params : 0);
    assert_int_equal(count_kind(train, OP_GRAD_NORM), s.max_norm > 0);
    assert_int_equal(count_kind(train, OP_EMA), s.averages ? n->n_params : 0);
    assert_int_equal(count_kind(train, OP_AUGMENT), s.augment);
    assert_int_equal(count_kind(train, OP_DROPOUT), s.dropout > 0 ? 2 : 0);
    assert_int_equal(count_kind(infer, OP_BN_STATS) + count_kind(infer, OP_DROPOUT) +
                         count_kind(infer, OP_ADAM),
                     0);
    assert_int_equal(count_kind(infer, OP_BN_INFER), convs + 2);
    assert_nothing_idle(train, s.freeze_to > 0);
    assert_nothing_idle(infer, false);
    assert_true(op_list_find(train, "x") && op_list_find(train, "logits"));
    assert_true(op_list_find(train, "prob") && op_list_find(infer, "loss"));
    op_list_free(train);
    op_list_free(infer);
}

static void lists_are_well_formed(void **state)
{
    static const int sizes[] = {16, 32, 33, 96, 224};

    (void)state;
    for (int arch = RESNET18; arch < ARCHS; arch++) {
        struct network *n = network(arch, 5);

        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            if (arch > RESNET50 && arch != RESNEXT50_32X4D &&
                i != 4) /* the same code, and n^2 names to compare */
                continue;
            for (int freeze_to = 0; freeze_to <= 2; freeze_to += 2) {
                one_shape(n, (struct network_shape){.batch = 12,
                                                    .microbatch = i == 1 ? 3 : 0,
                                                    .size = sizes[i],
                                                    .dtype = i & 1 ? DTYPE_BF16 : DTYPE_F32,
                                                    .augment = i != 2,
                                                    .freeze_to = freeze_to,
                                                    .dropout = i == 3 ? 0 : 0.5,
                                                    .smoothing = i == 1 ? 0.1 : 0,
                                                    .max_norm = i == 2 ? 1 : 0,
                                                    .parts = (int)i,
                                                    .averages = i == 3});
            }
        }
        network_free(n);
    }
}

static int microbatch(int batch)
{
    struct network *n = network(RESNET18, 5);
    const struct network_shape s = {.batch = batch, .size = 32};
    struct op_list *l;
    struct err err = {0};
    int m;

    if (network_infer_list(&l, n, &s, &err) < 0)
        fail_msg("%s", err.msg);
    m = l->microbatch;
    op_list_free(l);
    network_free(n);
    return m;
}

static void microbatch_divides(void **state)
{
    (void)state;
    assert_int_equal(microbatch(64), 8);
    assert_int_equal(microbatch(12), 6);
    assert_int_equal(microbatch(7), 7);
    assert_int_equal(microbatch(11), 1);
    assert_int_equal(microbatch(1), 1);
}

static void bad_shapes_are_refused(void **state)
{
    static const struct {
        struct network_shape s;
        const char *says;
    } bad[] = {
        {{.batch = 1, .size = 32}, "batch"},
        {{.batch = 8, .size = 8}, "px"},
        {{.batch = 8, .size = 32, .microbatch = 3}, "does not divide"},
        {{.batch = 8, .size = 32, .dtype = DTYPE_U8}, "fp32, bf16 or fp16"},
    };
    const struct model_options o = {.arch = RESNET18};
    struct network *n = network(RESNET18, 5), *none;
    struct op_list *l;
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_true(network_train_list(&l, n, &bad[i].s, &err) < 0);
        assert_null(l);
        assert_int_equal(err.kind, ERR_INPUT);
        assert_non_null(strstr(err.msg, bad[i].says));
    }
    assert_true(network_new(&none, &o, 1, &err) < 0);
    assert_null(none);
    network_free(n);
}

/* --- gradients: central differences of the loss along random directions ------------------------- */

enum { BATCH = 4, CLASSES = 3, SIZE = 16 };

struct probe {
    struct be *be;
    struct be_program *program;
    struct op_list *list;
    struct step step;
};

static const uint64_t KINDS_ALL = ((uint64_t)1 << OP_KINDS) - 1;
static const uint64_t KINDS_FORWARD = ((uint64_t)1 << OP_LINEAR_BWD_DATA) - 1;
static uint32_t drawn = 0;

static double draw(void)
{
    struct rng r = rng_begin(5, RNG_TEST, 0, drawn++);

    return rng_normal(&r);
}

static double loss_of(struct probe *p)
{
    const double *loss = ref_values(p->program, op_list_find(p->list, "loss"));
    struct err err = {0};
    double sum = 0;

    if (ref_exact_backend.run(p->program, &p->step, &err) < 0)
        fail_msg("%s", err.msg);
    for (int i = 0; i < BATCH; i++)
        sum += loss[i];
    return sum / BATCH;
}

/* d loss / d (tensor NAME along a random direction), by differences against by its gradient op. */
static void probe_one(struct probe *p, const char *name)
{
    char grad_name[80];
    int t = op_list_find(p->list, name), g;
    double *w = ref_values(p->program, t), *old, *direction, along = 0, sides[2], difference, h;
    const double *grad;
    size_t n = tensor_elements(&p->list->tensors[t]);

    snprintf(grad_name, sizeof grad_name, "%s.grad", name);
    g = op_list_find(p->list, grad_name);
    assert_true(g >= 0);
    grad = ref_values(p->program, g);
    old = malloc(n * sizeof *old);
    direction = malloc(n * sizeof *direction);
    assert_true(old && direction);
    memcpy(old, w, n * sizeof *old);
    for (size_t i = 0; i < n; i++) {
        direction[i] = draw();
        along += grad[i] * direction[i];
    }
    h = 1e-7 / (1 + fabs(along)); /* batch norms over 4 values bend sharply */
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < n; i++)
            w[i] = old[i] + (side ? -h : h) * direction[i];
        sides[side] = loss_of(p);
    }
    memcpy(w, old, n * sizeof *old);
    difference = (sides[0] - sides[1]) / (2 * h);
    if (!(fabs(difference - along) <= 1e-5 + 1e-3 * fabs(along)))
        fail_msg("%s: %.9g by differences, %.9g by the list", name, difference, along);
    if (!(fabs(along) > 1e-4))
        fail_msg("%s: a gradient of %.3g says nothing", name, along);
    free(old);
    free(direction);
}

static void probe_begin(struct probe *p, const struct network *n, int freeze_to)
{
    static struct picture pictures[BATCH];
    const struct network_shape s = {
        .batch = BATCH, .microbatch = 2, .size = SIZE, .freeze_to = freeze_to, .dropout = 0.5};
    const struct exec_options options = {.threads = 1};
    struct err err = {0};

    *p = (struct probe){0};
    if (ref_exact_backend.open(&p->be, &options, &err) < 0 ||
        network_train_list(&p->list, n, &s, &err) < 0 ||
        ref_exact_backend.prepare(&p->program, p->be, p->list, &err) < 0)
        fail_msg("%s", err.msg);
    for (int i = 0; i < BATCH; i++)
        pictures[i] = (struct picture){.label = i % CLASSES, .position = (uint32_t)i};
    p->step = (struct step){.pictures = pictures,
                            .n_pictures = BATCH,
                            .seed = 3,
                            .only = KINDS_ALL & ~((uint64_t)1 << OP_ADAM)};
    for (int t = 1; t < p->list->n_tensors; t++) {
        const struct tensor *x = &p->list->tensors[t];
        size_t size = tensor_elements(x);
        double fan = (double)x->dims[1] * x->dims[2] * x->dims[3];
        double *v = ref_values(p->program, t);

        if (x->role == TENSOR_PARAM) { /* calm branches: 50 layers must not bend too sharply */
            double centre = !strstr(x->name, "weight") ? 0 : strstr(x->name, "bn3") ? 0.2 : 1;

            for (size_t i = 0; i < size; i++)
                v[i] = fan > 1 ? draw() / sqrt(fan) : centre + 0.1 * draw();
        } else if (strcmp(x->name, "x") == 0) {
            for (size_t i = 0; i < size; i++)
                v[i] = draw();
        }
    }
    (void)loss_of(p);
    p->step.only = KINDS_FORWARD; /* the gradients stay */
}

static void probe_end(struct probe *p)
{
    ref_exact_backend.release(p->program);
    ref_exact_backend.close(p->be);
    op_list_free(p->list);
}

static void gradients_are_the_losss(void **state)
{
    static const char *const basic[] = {
        "conv1.weight",
        "bn1.weight",
        "layer1.0.conv1.weight",
        "layer2.0.downsample.0.weight",
        "layer2.0.downsample.1.weight",
        "layer3.1.conv2.weight",
        "head.1.weight",
        "head.2.bias",
        "head.3.weight",
    };
    struct network *n = network(RESNET18, CLASSES);
    struct probe p;

    (void)state;
    probe_begin(&p, n, 0);
    for (size_t i = 0; i < sizeof basic / sizeof basic[0]; i++)
        probe_one(&p, basic[i]);
    probe_end(&p);
    network_free(n);
}

static void gradients_of(int arch, const char *const *names)
{
    struct network *n = network(arch, CLASSES);
    struct probe p;

    probe_begin(&p, n, 0);
    for (; *names; names++)
        probe_one(&p, *names);
    probe_end(&p);
    network_free(n);
}

static void gradients_of_bottlenecks(void **state)
{
    (void)state;
    gradients_of(RESNET50, (const char *const[]){"conv1.weight", "layer1.0.downsample.0.weight",
                                                 "layer4.2.bn3.weight", NULL});
}

static void gradients_of_groups(void **state)
{
    (void)state;
    gradients_of(RESNEXT50_32X4D, (const char *const[]){"conv1.weight", "layer1.0.conv2.weight",
                                                        "layer4.0.conv2.weight", NULL});
}

static void gradients_without_max_pool(void **state)
{
    (void)state;
    gradients_of(RESNET20,
                 (const char *const[]){"conv1.weight", "bn1.weight", "layer1.0.conv1.weight",
                                       "layer2.0.downsample.0.weight", NULL});
}

static void frozen_body_trains_its_norms(void **state)
{
    static const char *const names[] = {"bn1.weight", "bn1.bias", "layer2.0.downsample.1.bias",
                                        "head.1.weight"};
    struct network *n = network(RESNET18, CLASSES);
    struct probe p;

    (void)state;
    probe_begin(&p, n, 2);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        probe_one(&p, names[i]);
    assert_int_equal(op_list_find(p.list, "conv1.weight.grad"), 0);
    assert_int_equal(op_list_find(p.list, "layer4.1.conv2.weight.m"), 0);
    assert_true(op_list_find(p.list, "layer4.1.bn2.weight.m") > 0);
    probe_end(&p);
    network_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_counted),
        cmocka_unit_test(numbers_are_published),
        cmocka_unit_test(names_are_torchvisions),
        cmocka_unit_test(lists_are_well_formed),
        cmocka_unit_test(microbatch_divides),
        cmocka_unit_test(bad_shapes_are_refused),
        cmocka_unit_test(gradients_are_the_losss),
        cmocka_unit_test(gradients_of_bottlenecks),
        cmocka_unit_test(gradients_of_groups),
        cmocka_unit_test(gradients_without_max_pool),
        cmocka_unit_test(frozen_body_trains_its_norms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
