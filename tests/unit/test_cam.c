/* test_cam.c - class activation maps against autograd's.
 *
 * tests/data/cam.txt is made by tests/oracle/cam.py, whose maps are those of pytorch-grad-cam.
 * SPDX-License-Identifier: MIT */
#include "experiment/cam.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "nn/weights.h"

enum {
    PICTURES = 2,
    CLASSES = 5,
    SIZE = 72,
    SIDE = 3,
    SEED = 3,
    PIXELS = PICTURES * 3 * SIZE * SIZE
};
static const struct exec_options options = {.backend = BACKEND_CPU};

/* decide_clearly() of tests/oracle/network.py. */
static void decide_clearly(struct be *b, const struct network *n)
{
    static float values[2048];
    const int last = resnet_of(n->arch)->bottleneck ? 3 : 2;
    struct err err = {0};

    for (int i = 0; i < n->n_params; i++) {
        const struct param *p = &n->params[i];
        const char *bn = strstr(p->name, ".bn"), *part = bn ? bn + strlen(".bnN.") : "";
        const bool is_last = bn && bn[3] - '0' == last;

        if (!(is_last && strcmp(part, "weight") == 0) &&
            !(bn && !is_last && strcmp(part, "bias") == 0))
            continue;
        for (size_t k = 0; k < p->n; k++)
            values[k] = is_last ? 0.25f : 2.0f;
        assert_int_equal(cpu_backend.put(b, p->name, values, &err), 0);
    }
}

/* FEATURES (PICTURES, channels, SIDE, SIDE), owned by the caller, and the head of ARCH's network. */
static float *run_body(struct cam_head **head, int arch, int *channels)
{
    static float x[PIXELS];
    const struct model_options model = {.arch = arch};
    const struct network_shape shape = {.batch = PICTURES, .size = SIZE, .features = true};
    struct picture pictures[PICTURES] = {{.label = -1}, {.label = -1}};
    const struct step step = {.pictures = pictures, .n_pictures = PICTURES};
    struct network *n;
    struct op_list *list;
    struct device d;
    struct be_program *program;
    struct err err = {0};
    float *features;

    for (uint32_t i = 0; i < PIXELS; i += 4) {
        uint32_t words[4];

        rng_words(words, SEED, (struct rng_counter){.purpose = RNG_TEST, .draw = i / 4});
        for (uint32_t k = 0; k < 4; k++)
            x[i + k] = (float)(words[k] * 0x1p-32 * 4 - 2);
    }
    if (network_new(&n, &model, CLASSES, &err) < 0 ||
        network_infer_list(&list, n, &shape, &err) < 0 || device_open(&d, &options, &err) < 0)
        fail_msg("%s", err.msg);
    *channels = n->features;
    features = malloc((size_t)PICTURES * (size_t)n->features * SIDE * SIDE * sizeof *features);
    assert_non_null(features);
    if (cpu_backend.prepare(&program, d.be, list, &err) < 0)
        fail_msg("%s", err.msg);
    /* the head is not in this list: its parameters are those of a whole one, as a run has it */
    {
        const struct network_shape whole = {.batch = PICTURES, .size = SIZE};
        struct op_list *all;
        struct be_program *unused;

        if (network_infer_list(&all, n, &whole, &err) < 0 ||
            cpu_backend.prepare(&unused, d.be, all, &err) < 0 ||
            weights_init(&d, n, 42, false, &err) < 0)
            fail_msg("%s", err.msg);
        cpu_backend.release(unused);
        op_list_free(all);
    }
    decide_clearly(d.be, n);
    if (cpu_backend.write(program, op_list_find(list, "x"), x, &err) < 0 ||
        cpu_backend.run(program, &step, &err) < 0 ||
        cpu_backend.read(program, network_features(n, list), features, &err) < 0 ||
        cam_head_new(head, &d, n, &err) < 0)
        fail_msg("%s", err.msg);
    cpu_backend.release(program);
    device_close(&d);
    op_list_free(list);
    network_free(n);
    return features;
}

/* All maps of ARCH's lines; how far they are from the file's at most. CHANNELS that is 0: those of the network. */
static double compare(int arch, int *rows, int wrong_class)
{
    FILE *file = fopen("tests/data/cam.txt", "r");
    struct cam_head *head;
    struct err err = {0};
    char line[400], name[32];
    double worst = 0;
    int channels, picture, class, at;
    float *features = run_body(&head, arch, &channels);

    assert_non_null(file);
    *rows = 0;
    while (fgets(line, sizeof line, file)) {
        float map[SIDE * SIDE];
        const char *values;

        if (sscanf(line, "%31s %d %d %n", name, &picture, &class, &at) != 3 ||
            strcmp(name, arch_name(arch)) != 0)
            continue;
        assert_int_equal(cam_of_features(map, head,
                                         features + (size_t)(picture * channels) * SIDE * SIDE,
                                         SIDE, SIDE, (class + wrong_class) % CLASSES, &err),
                         0);
        values = line + at;
        for (int i = 0; i < SIDE * SIDE; i++) {
            char *end;

            worst = fmax(worst, fabs((double)map[i] - strtod(values, &end)));
            values = end;
        }
        ++*rows;
    }
    fclose(file);
    free(features);
    cam_head_free(head);
    return worst;
}

static void maps_are_those_of_autograd(void **state)
{
    static const int archs[] = {RESNET18, RESNET50};
    int rows;

    (void)state;
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++) {
        const double worst = compare(archs[i], &rows, 0);

        print_message("%s: largest difference %.1e\n", arch_name(archs[i]), worst);
        assert_int_equal(rows, PICTURES * CLASSES);
        assert_true(worst < 1e-4);
    }
}

/* The control: maps of the next class differ. */
static void another_class_has_another_map(void **state)
{
    int rows;

    (void)state;
    assert_true(compare(RESNET18, &rows, 1) > 0.5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_are_those_of_autograd),
        cmocka_unit_test(another_class_has_another_map),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
