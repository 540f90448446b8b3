/* test_reference.c - a training step of ResNet-18, 34 and 50 against torchvision's, in fp32 on cpu.
 *
 * tests/data/resnet_reference.txt is made by tests/oracle/resnet_reference.py, in double. Bands are for
 * single precision: a random network of 18 to 50 layers whose norms see 8 pictures makes more of each
 * rounding with depth. In double on ref the same lists agree with torch to 1e-12.
 * SPDX-License-Identifier: MIT */
#include "nn/weights.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

enum { BATCH = 8, CLASSES = 5, SIZE = 96, PIXELS = BATCH * 3 * SIZE * SIZE };

struct stepped { /* a network after one forward and backward */
    struct network *network;
    struct op_list *list;
    struct be *be;
    struct be_program *program;
};

static float *read_tensor(const struct stepped *s, const char *name, size_t *n)
{
    int t = op_list_find(s->list, name);
    struct err err = {0};
    float *v;

    if (t < 0)
        fail_msg("no tensor %s", name);
    *n = tensor_elements(&s->list->tensors[t]);
    v = malloc(*n * sizeof *v);
    assert_non_null(v);
    if ((strstr(name, "running") ? cpu_backend.get(s->be, name, v, &err)
                                 : cpu_backend.read(s->program, t, v, &err)) < 0)
        fail_msg("%s", err.msg);
    return v;
}

static void step_once(struct stepped *s, int arch)
{
    static float x[PIXELS];
    const struct model_options model = {.arch = arch};
    const struct exec_options exec = {.winograd = WINOGRAD_OFF};
    const struct network_shape shape = {.batch = BATCH, .microbatch = 4, .size = SIZE};
    struct picture pictures[BATCH] = {0};
    const struct step step = {.pictures = pictures, /* rates of 0: the optimiser changes nothing */
                              .n_pictures = BATCH,
                              .mom = 0.9,
                              .sqr_mom = 0.99,
                              .eps = 1e-5,
                              .adam_step = 1};
    struct err err = {0};

    for (uint32_t i = 0; i < PIXELS; i += 4) {
        uint32_t words[4];

        rng_words(words, 7, (struct rng_counter){.purpose = RNG_TEST, .draw = i / 4});
        for (uint32_t k = 0; k < 4; k++)
            x[i + k] = (float)(words[k] * 0x1p-32 * 4 - 2);
    }
    for (int i = 0; i < BATCH; i++)
        pictures[i].label = i % CLASSES;
    if (network_new(&s->network, &model, CLASSES, &err) < 0 ||
        network_train_list(&s->list, s->network, &shape, &err) < 0 ||
        cpu_backend.open(&s->be, &exec, &err) < 0 ||
        cpu_backend.prepare(&s->program, s->be, s->list, &err) < 0 ||
        weights_init(&cpu_backend, s->be, s->network, 42, false, &err) < 0 ||
        cpu_backend.write(s->program, op_list_find(s->list, "x"), x, &err) < 0 ||
        cpu_backend.run(s->program, &step, &err) < 0)
        fail_msg("%s", err.msg);
}

static void release(struct stepped *s)
{
    cpu_backend.release(s->program);
    cpu_backend.close(s->be);
    op_list_free(s->list);
    network_free(s->network);
}

static double mean_of(const struct stepped *s, const char *name)
{
    size_t n;
    float *v = read_tensor(s, name, &n);
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += v[i];
    free(v);
    return sum / (double)n;
}

static double norm_of(const struct stepped *s, const char *name)
{
    size_t n;
    float *v = read_tensor(s, name, &n);
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * v[i];
    free(v);
    return sqrt(sum);
}

static void within(const char *name, double got, double want, double band)
{
    if (!(fabs(got - want) <= band))
        fail_msg("%s: %.9g, torch has %.9g (band %.3g)", name, got, want, band);
}

/* Every line of the file about ARCH; BAND is relative, of norms. Returns how many. */
static int compare(const struct stepped *s, const char *arch, double band)
{
    FILE *file = fopen("tests/data/resnet_reference.txt", "r");
    char line[200], whose[16], name[80];
    size_t n_prob, i;
    float *prob = read_tensor(s, "prob", &n_prob);
    double want, worst = 0;
    int n = 0;

    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        assert_int_equal(sscanf(line, "%15s %79s %lf", whose, name, &want), 3);
        if (strcmp(whose, arch) != 0)
            continue;
        n++;
        if (strcmp(name, "loss") == 0) {
            within(name, mean_of(s, "loss"), want, 1e-4 * want);
        } else if (sscanf(name, "prob.%zu", &i) == 1) {
            assert_true(i < n_prob);
            within(name, prob[i], want, 1e-4);
        } else {
            if (!strstr(name, "running"))
                snprintf(name + strlen(name), sizeof name - strlen(name), ".grad");
            double got = norm_of(s, name), off = fabs(got - want) / want;

            worst = off > worst ? off : worst;
            within(name, got, want, band * want);
        }
    }
    print_message("%s: worst norm off by %.2g\n", arch, worst);
    fclose(file);
    free(prob);
    return n;
}

static void steps_are_torchs(void **state)
{
    static const char *const names[] = {"resnet18", "resnet34", "resnet50"};
    static const double bands[] = {1e-3, 2e-3, 8e-3};
    static const int gradients[] = {66, 114, 165};

    (void)state;
    for (int arch = RESNET18; arch <= RESNET50; arch++) {
        struct stepped s;

        step_once(&s, arch);
        assert_int_equal(compare(&s, names[arch], bands[arch]),
                         1 + BATCH * CLASSES + gradients[arch] + 3);
        release(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_torchs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
