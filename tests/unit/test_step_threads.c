/* test_step_threads.c - a training step runs on the pool's threads and starts no other.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>

#include "data/augment.h"
#include "nn/network.h"
#include "nn/weights.h"

enum { BATCH = 8, SIDE = 40, SIZE = 32, TASKS_MAX = 256 };

struct tasks {
    int n;
    long id[TASKS_MAX];
};

static int by_number(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;

    return (x > y) - (x < y);
}

static struct tasks tasks_now(void)
{
    struct tasks t = {0};
    DIR *dir = opendir("/proc/self/task");
    const struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.' && t.n < TASKS_MAX)
            t.id[t.n++] = strtol(entry->d_name, NULL, 10);
    closedir(dir);
    qsort(t.id, (size_t)t.n, sizeof *t.id, by_number);
    return t;
}

static void steps_start_no_thread(void **state)
{
    static uint8_t pixels[BATCH][SIDE * SIDE * 3];
    const struct exec_options options = {.backend = BACKEND_CPU, .threads = 3};
    const struct model_options model = {.arch = RESNET18, .dropout = 0.5};
    const struct network_shape shape = {
        .batch = BATCH, .microbatch = 4, .size = SIZE, .augment = true, .dropout = 0.5};
    struct device d;
    struct picture pictures[BATCH] = {0};
    struct step step = {.pictures = pictures,
                        .n_pictures = BATCH,
                        .lr = {1e-3, 1e-3, 1e-3},
                        .mom = 0.9,
                        .sqr_mom = 0.99,
                        .eps = 1e-5};
    struct err err = {0};
    struct tasks before = tasks_now(), opened, after;
    struct network *network;
    struct op_list *list;
    struct be_program *program;

    (void)state;
    for (int i = 0; i < BATCH; i++) {
        memset(pixels[i], 20 * i, sizeof pixels[i]);
        pictures[i] = (struct picture){.pixels = pixels[i],
                                       .height = SIDE,
                                       .width = SIDE,
                                       .label = i % 3,
                                       .position = (uint32_t)i};
        augment_centre(&pictures[i].map, SIDE, SIDE, SIZE);
    }
    if (device_open(&d, &options, &err) < 0 || network_new(&network, &model, 3, &err) < 0 ||
        network_train_list(&list, network, &shape, &err) < 0 ||
        d.kind->prepare(&program, d.be, list, &err) < 0 ||
        weights_init(&d, network, 1, false, &err) < 0)
        fail_msg("%s", err.msg);
    opened = tasks_now();
    assert_int_equal(opened.n, before.n + 2); /* the caller is the third */
    for (uint32_t i = 1; i <= 3; i++) {
        step.adam_step = i;
        if (d.kind->run(program, &step, &err) < 0)
            fail_msg("%s", err.msg);
        after = tasks_now();
        assert_int_equal(after.n, opened.n);
        assert_memory_equal(after.id, opened.id, (size_t)after.n * sizeof *after.id);
    }
    d.kind->release(program);
    device_close(&d);
    op_list_free(list);
    network_free(network);
    assert_int_equal(tasks_now().n, before.n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_start_no_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
