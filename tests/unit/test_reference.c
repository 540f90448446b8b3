/* test_reference.c - a step of six ResNets, and of three of them three steps of Adam, against torchvision's.
 *
 * tests/data/ARCH_reference.txt is made by tests/oracle/resnet_reference.py, in double;
 * tests/data/rounding.txt by tests/oracle/rounding.py: it says how far torch's own fp32 and bf16 are from
 * that, and why weights and pictures are as they are here (docs/recipes.md, "Proved against PyTorch").
 * SPDX-License-Identifier: MIT */
#include "nn/weights.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

enum { BATCH = 8, CLASSES = 5, MOST_PIXELS = BATCH * 3 * 40 * 40, LARGEST = 2048 * 512 * 9 };

/* The architectures with a file, and what the files have. */
static const struct {
    int arch, parameters, statistics;
    bool adam;
} rows[] = {{RESNET18, 66, 44, true},           {RESNET34, 114, 76, true},
            {RESNET50, 165, 110, true},         {WIDE_RESNET50_2, 165, 110, false},
            {RESNEXT50_32X4D, 165, 110, false}, {RESNET20, 69, 46, false}};
enum { ROWS = sizeof rows / sizeof rows[0] };
static const struct exec_options options = {0};

struct net { /* with a training list, prepared */
    struct network *network;
    struct op_list *list;
    struct be *be;
    struct be_program *program;
    uint64_t seed; /* of the pictures, and their side */
    int size;
};

/* Half of a block's norms so that its ReLUs see few values near zero: decide_clearly() of network.py. */
static void decide_clearly(const struct net *s)
{
    static float values[2048];
    const int last = resnet_of(s->network->arch)->bottleneck ? 3 : 2;
    struct err err = {0};

    for (int i = 0; i < s->network->n_params; i++) {
        const struct param *p = &s->network->params[i];
        const char *bn = strstr(p->name, ".bn"), *part = bn ? bn + strlen(".bnN.") : "";
        const bool is_last = bn && bn[3] - '0' == last;

        if (!(is_last && strcmp(part, "weight") == 0) &&
            !(bn && !is_last && strcmp(part, "bias") == 0))
            continue;
        for (size_t k = 0; k < p->n; k++)
            values[k] = is_last ? 0.25f : 2.0f;
        if (cpu_backend.put(s->be, p->name, values, &err) < 0)
            fail_msg("%s", err.msg);
    }
}

static FILE *reference(int arch)
{
    char path[64];
    FILE *file;

    snprintf(path, sizeof path, "tests/data/%s_reference.txt", arch_name(arch));
    file = fopen(path, "r");
    assert_non_null(file);
    return file;
}

/* Seed and side of the pictures of ARCH's file. */
static void read_pictures(struct net *s, int arch)
{
    FILE *file = reference(arch);
    char line[200];

    s->size = 0;
    while (fgets(line, sizeof line, file)) {
        sscanf(line, "seed %" SCNu64, &s->seed);
        sscanf(line, "size %d", &s->size);
    }
    fclose(file);
    assert_true(s->size > 0);
}

static void begin(struct net *s, int arch, enum dtype dtype, int freeze_to)
{
    const struct model_options model = {.arch = arch};
    struct network_shape shape = {
        .batch = BATCH, .microbatch = 4, .dtype = dtype, .freeze_to = freeze_to};
    struct err err = {0};

    read_pictures(s, arch);
    shape.size = s->size;
    if (network_new(&s->network, &model, CLASSES, &err) < 0 ||
        network_train_list(&s->list, s->network, &shape, &err) < 0 ||
        cpu_backend.open(&s->be, &options, &err) < 0 ||
        cpu_backend.prepare(&s->program, s->be, s->list, &err) < 0 ||
        weights_init(&(struct device){.kind = &cpu_backend, .be = s->be}, s->network, 42, false,
                     &err) < 0)
        fail_msg("%s", err.msg);
    decide_clearly(s);
}

static void end(struct net *s)
{
    cpu_backend.release(s->program);
    cpu_backend.close(s->be);
    op_list_free(s->list);
    network_free(s->network);
}

/* Runs PROGRAM of LIST on the pictures of S; STEP has the optimiser's numbers. */
static void run(const struct net *s, struct be_program *program, const struct op_list *list,
                struct step *step)
{
    static float x[MOST_PIXELS];
    const uint32_t n = (uint32_t)(BATCH * 3 * s->size * s->size);
    struct picture pictures[BATCH] = {0};
    struct err err = {0};

    assert_true(n <= MOST_PIXELS);
    for (uint32_t i = 0; i < n; i += 4) {
        uint32_t words[4];

        rng_words(words, s->seed, (struct rng_counter){.purpose = RNG_TEST, .draw = i / 4});
        for (uint32_t k = 0; k < 4; k++)
            x[i + k] = (float)(words[k] * 0x1p-32 * 4 - 2);
    }
    for (int i = 0; i < BATCH; i++)
        pictures[i].label = i % CLASSES;
    step->pictures = pictures;
    step->n_pictures = BATCH;
    step->sqr_mom = 0.99;
    step->eps = 1e-5;
    if (cpu_backend.write(program, op_list_find(list, "x"), x, &err) < 0 ||
        cpu_backend.run(program, step, &err) < 0)
        fail_msg("%s", err.msg);
}

/* One step with rates of 0: gradients and running statistics, but no weight changes. */
static void run_still(struct net *s)
{
    run(s, s->program, s->list, &(struct step){.mom = 0.9, .adam_step = 1});
}

/* The list's forward half alone, whose logits no op reads: (BATCH, CLASSES). */
static void read_logits(const struct net *s, float logits[BATCH * CLASSES])
{
    struct op_list *half = op_list_copy(s->list);
    const int wanted = op_list_find(s->list, "logits");
    struct be_program *program;
    struct err err = {0};
    int n = 0;

    assert_non_null(half);
    while (half->ops[n].out[0] != wanted)
        n++;
    half->n_ops = n + 1;
    if (cpu_backend.prepare(&program, s->be, half, &err) < 0)
        fail_msg("%s", err.msg);
    run(s, program, half, &(struct step){0});
    if (cpu_backend.read(program, wanted, logits, &err) < 0)
        fail_msg("%s", err.msg);
    cpu_backend.release(program);
    op_list_free(half);
}

struct sums { /* of a tensor */
    double norm, projection;
};

/* signs() of network.py. */
static struct sums sums_of(const float *v, size_t n)
{
    struct sums s = {0, 0};
    uint32_t words[4];

    for (size_t i = 0; i < n; i++) {
        if (i % 128 == 0)
            rng_words(words, 7,
                      (struct rng_counter){
                          .purpose = RNG_TEST, .position = 1, .draw = (uint32_t)(i / 128)});
        s.norm += (double)v[i] * v[i];
        s.projection += words[i / 32 % 4] >> i % 32 & 1 ? v[i] : -v[i];
    }
    s.norm = sqrt(s.norm);
    return s;
}

/* The sums of NAME's gradient, of a running statistic, or of a weight less BEFORE's. */
static struct sums sums_at(const struct net *s, const char *kind, const char *name,
                           float *const *before)
{
    static float v[LARGEST];
    const struct param *p = network_param(s->network, name);
    struct err err = {0};
    char gradient[80];

    if (!p)
        fail_msg("no tensor %s", name);
    assert_true(p->n <= LARGEST);
    snprintf(gradient, sizeof gradient, "%s.grad", name);
    if ((strcmp(kind, "grad") == 0
             ? cpu_backend.read(s->program, op_list_find(s->list, gradient), v, &err)
             : cpu_backend.get(s->be, name, v, &err)) < 0)
        fail_msg("%s: %s", name, err.msg);
    for (size_t k = 0; before && k < p->n; k++)
        v[k] -= before[p - s->network->params][k];
    return sums_of(v, p->n);
}

/* A line of tests/data/rounding.txt. */
static double rounding(const char *arch, const char *key)
{
    FILE *file = fopen("tests/data/rounding.txt", "r");
    char line[200], whose[24], name[40];
    double value, found = NAN;

    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "%23s %39s %lf", whose, name, &value) == 3 && strcmp(whose, arch) == 0 &&
            strcmp(name, key) == 0)
            found = value;
    fclose(file);
    if (isnan(found))
        fail_msg("rounding.txt: no %s of %s", key, arch);
    return found;
}

/* What three roundings of every weight to fp32, whose error is at most 2^-24 of it, add up to. */
static double three_roundings(const struct net *s, const char *name, float *const *before)
{
    const struct param *p = network_param(s->network, name);

    return before ? 3 * 0x1p-24 * sums_of(before[p - s->network->params], p->n).norm : 0;
}

/* Every line KIND of ARCH's file: norms within BAND of themselves, projections, which see directions
 * too, within ten times that. Returns how many. */
static int compare(const struct net *s, const char *kind, float *const *before, double band)
{
    const char *arch = arch_name(s->network->arch);
    FILE *file = reference(s->network->arch);
    char line[200], what[16], name[80];
    double norm, projection, worst = 0;
    int n = 0;

    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%15s %79s %lf %lf", what, name, &norm, &projection) != 4 ||
            strcmp(what, kind) != 0)
            continue;
        const struct sums got = sums_at(s, kind, name, before);
        const double allowed = band * norm + three_roundings(s, name, before),
                     off = fmax(fabs(got.norm - norm), fabs(got.projection - projection) / 10);

        n++;
        worst = fmax(worst, off / allowed);
        if (isnan(got.norm) || !(off <= allowed))
            fail_msg("%s, %s of %s: norm %.8g, projection %.8g; torch has %.8g, %.8g", arch, kind,
                     name, got.norm, got.projection, norm, projection);
    }
    fclose(file);
    print_message("%s, %s: %d tensors, the worst at %.2g of its band\n", arch, kind, n, worst);
    return n;
}

/* Largest difference of a logit from torch's over the logits' standard deviation. */
static double logits_off(const struct net *s)
{
    float logits[BATCH * CLASSES];
    FILE *file = reference(s->network->arch);
    double want, worst = 0, sum = 0, square = 0;
    char line[200];
    int i, n = 0;

    read_logits(s, logits);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "logit %d %lf", &i, &want) == 2) {
            assert_int_equal(i, n++);
            assert_true(n <= BATCH * CLASSES);
            worst = fmax(worst, isnan(logits[i]) ? INFINITY : fabs(logits[i] - want));
            sum += want;
            square += want * want;
        }
    fclose(file);
    assert_int_equal(n, BATCH * CLASSES);
    return worst / sqrt(square / n - sum / n * (sum / n));
}

static double loss_off(const struct net *s)
{
    float losses[BATCH];
    FILE *file = reference(s->network->arch);
    double want = NAN, sum = 0;
    struct err err = {0};
    char line[200];

    while (fgets(line, sizeof line, file))
        sscanf(line, "loss %lf", &want);
    fclose(file);
    if (cpu_backend.read(s->program, op_list_find(s->list, "loss"), losses, &err) < 0)
        fail_msg("%s", err.msg);
    for (int i = 0; i < BATCH; i++)
        sum += losses[i];
    return fabs(sum / BATCH / want - 1);
}

static void steps_are_torchs(void **state)
{
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        struct net s;
        double off;

        begin(&s, rows[i].arch, DTYPE_F32, 0);
        run_still(&s);
        assert_true(loss_off(&s) <= 1e-4);
        assert_int_equal(compare(&s, "grad", NULL, 1e-3), rows[i].parameters);
        assert_int_equal(compare(&s, "stat", NULL, 1e-4), rows[i].statistics);
        off = logits_off(&s);
        print_message("%s: logits off by at most %.2g of their deviation\n",
                      arch_name(rows[i].arch), off);
        assert_true(off <= 1e-4);
        end(&s);
    }
}

/* The bands are twice torch's own distance in bf16: eight bits hold a value to 2^-9, a body has 20 to
 * 50 such roundings in a row, and where they move ReLUs gradients jump. */
static void bf16_is_as_near_as_torchs(void **state)
{
    struct be_info info;
    struct err err = {0};
    struct be *be;

    (void)state;
    if (cpu_backend.open(&be, &options, &err) < 0)
        fail_msg("%s", err.msg);
    cpu_backend.info(be, &info);
    cpu_backend.close(be);
    if (!info.has_bf16)
        skip();
    for (int i = 0; i < ROWS; i++) {
        const char *arch = arch_name(rows[i].arch);
        struct net s;
        double off;

        begin(&s, rows[i].arch, DTYPE_BF16, 0);
        run_still(&s);
        compare(&s, "grad", NULL, 2 * rounding(arch, "bf16.norm"));
        off = logits_off(&s);
        print_message("%s: logits off by at most %.2g of their deviation\n", arch, off);
        assert_true(off <= 2 * rounding(arch, "bf16.logit"));
        end(&s);
    }
}

static float **copy_weights(const struct net *s)
{
    float **copies = calloc((size_t)s->network->n_params, sizeof *copies);
    struct err err = {0};

    assert_non_null(copies);
    for (int i = 0; i < s->network->n_params; i++) {
        const struct param *p = &s->network->params[i];

        copies[i] = malloc(p->n * sizeof **copies);
        assert_non_null(copies[i]);
        if (cpu_backend.get(s->be, p->name, copies[i], &err) < 0)
            fail_msg("%s", err.msg);
    }
    return copies;
}

/* Three steps as resnet_reference.py takes them; then every changed weight, and no other. */
static void train(int arch, bool frozen)
{
    static const double rates[3] = {1e-5, 1e-4, 1e-3}, momenta[3] = {0.95, 0.9, 0.85};
    const char *kind = frozen ? "frozen" : "unfrozen";
    struct net s;
    float **before;
    int trained = 0;

    begin(&s, arch, DTYPE_F32, frozen ? 2 : 0);
    before = copy_weights(&s);
    for (uint32_t k = 0; k < 3; k++) {
        struct step step = {.mom = momenta[k], .wd = 10, .adam_step = k + 1};

        for (int g = 0; g < 3; g++)
            step.lr[g] = (k + 1) * rates[g];
        run(&s, s.program, s.list, &step);
    }
    for (int i = 0; i < s.network->n_params; i++) {
        const struct param *p = &s.network->params[i];
        const bool changed = sums_at(&s, kind, p->name, before).norm > 0;

        if (p->trained && changed != (p->norm || p->group == 2 || !frozen))
            fail_msg("%s, %s: %s is %s", arch_name(arch), kind, p->name,
                     changed ? "changed" : "not");
        trained += p->trained && changed;
    }
    assert_int_equal(compare(&s, kind, before, 1e-3), trained);
    for (int i = 0; i < s.network->n_params; i++)
        free(before[i]);
    free(before);
    end(&s);
}

static void three_steps_of_adam_are_torchs(void **state)
{
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        if (!rows[i].adam)
            continue;
        train(rows[i].arch, true);
        train(rows[i].arch, false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_torchs),
        cmocka_unit_test(bf16_is_as_near_as_torchs),
        cmocka_unit_test(three_steps_of_adam_are_torchs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
