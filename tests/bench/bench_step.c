/* bench_step.c - a training step against its bare convolutions, in one run.
 *
 *   bench_step [ARCH [PRECISION [BATCH [REPEATS]]]]     e.g. bench_step resnet50 bf16 32 5
 *
 * Step and convolutions alone (the same primitives, order and buffers with all else left out) run
 * by turns; medians and the ratio of each pair are printed, with the seconds per kind of op.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "backend/backend.h"
#include "base/clock.h"
#include "base/rng.h"
#include "nn/network.h"
#include "nn/weights.h"

enum { SIZE = 224, SIDE = 460, CLASSES = 37, MOST = 64 };

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(const double *v, int n)
{
    double sorted[MOST];

    memcpy(sorted, v, (size_t)n * sizeof *v);
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static void check(int rc, const struct err *err)
{
    if (rc < 0) {
        fprintf(stderr, "bench_step: %s\n", err->msg);
        exit(1);
    }
}

static struct picture *make_pictures(int n)
{
    struct picture *p = calloc((size_t)n, sizeof *p);
    uint8_t *pixels = malloc(SIDE * SIDE * 3);
    struct rng r = rng_begin(1, RNG_TEST, 0, 0);

    for (size_t i = 0; i < SIDE * SIDE * 3; i++)
        pixels[i] = (uint8_t)rng_u32(&r);
    for (int i = 0; i < n; i++) {
        const float k = (float)SIDE / SIZE;

        p[i] =
            (struct picture){.pixels = pixels, .height = SIDE, .width = SIDE, .label = i % CLASSES};
        p[i].map = (struct sample_map){.m = {k, 0, 0, 0, k, 0, 0, 0, 1}, .k = 2, .contrast = 1};
        p[i].position = (uint32_t)i;
    }
    return p;
}

struct result {
    double step, convs, ratio, low, high; /* images/s, images/s, medians; range of the ratio */
    double planned_mb, peak_mb;
};

static double timed(struct be_program *p, struct step *s, uint64_t only)
{
    struct err err = {0};
    const double start = clock_seconds();

    s->only = only;
    s->adam_step += only == 0;
    check(cpu_backend.run(p, s, &err), &err);
    return clock_seconds() - start;
}

static void print_profile(const struct be_program *p)
{
    double seconds[OP_KINDS], total = 0;

    cpu_backend.profile(p, seconds);
    for (int k = 0; k < OP_KINDS; k++)
        total += seconds[k];
    for (int k = 0; k < OP_KINDS; k++)
        if (seconds[k] > 0)
            printf("      %-18s %6.2f %%\n", op_kind_name((enum op_kind)k),
                   100 * seconds[k] / total);
}

static struct result measure(int arch, enum dtype dtype, int batch, int repeats, int freeze_to)
{
    const uint64_t convs = 1u << OP_CONV | 1u << OP_CONV_BWD_DATA | 1u << OP_CONV_BWD_WEIGHT;
    struct exec_options o = {.winograd = getenv("PRESIZE_WINOGRAD") ? WINOGRAD_AUTO : WINOGRAD_OFF};
    struct model_options m = {.arch = arch, .dropout = 0.5};
    struct network_shape shape = {.batch = batch,
                                  .size = SIZE,
                                  .dtype = dtype,
                                  .augment = true,
                                  .freeze_to = freeze_to,
                                  .dropout = 0.5};
    struct step step = {.n_pictures = batch,
                        .lr = {1e-3, 1e-3, 1e-3},
                        .mom = 0.9,
                        .sqr_mom = 0.99,
                        .eps = 1e-5,
                        .wd = 0.01};
    double whole[MOST], bare[MOST], ratio[MOST];
    struct be_program *p;
    struct op_list *list;
    struct network *net;
    struct be_memory memory;
    struct rusage usage;
    struct err err = {0};
    struct be *b;

    check(cpu_backend.open(&b, &o, &err), &err);
    check(network_new(&net, &m, CLASSES, &err), &err);
    check(network_train_list(&list, net, &shape, &err), &err);
    check(cpu_backend.prepare(&p, b, list, &err), &err);
    check(weights_init(&cpu_backend, b, net, 1, false, &err), &err);
    step.pictures = make_pictures(batch);
    timed(p, &step, 0);
    for (int i = 0; i < repeats; i++) {
        whole[i] = batch / timed(p, &step, 0);
        bare[i] = batch / timed(p, &step, convs);
        ratio[i] = whole[i] / bare[i];
    }
    if (getenv("PROFILE"))
        print_profile(p);
    cpu_backend.memory(p, &memory);
    getrusage(RUSAGE_SELF, &usage);
    cpu_backend.release(p);
    cpu_backend.close(b);
    op_list_free(list);
    network_free(net);
    free((void *)(uintptr_t)step.pictures[0].pixels);
    free((void *)(uintptr_t)step.pictures);
    qsort(ratio, (size_t)repeats, sizeof *ratio, by_value);
    return (struct result){
        median(whole, repeats), median(bare, repeats),      median(ratio, repeats),       ratio[0],
        ratio[repeats - 1],     (double)memory.total / 1e6, (double)usage.ru_maxrss / 1e3};
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int arch;
    } archs[] = {{"resnet18", RESNET18}, {"resnet34", RESNET34}, {"resnet50", RESNET50}};
    const int batch = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 32;
    const int repeats = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 5;

    printf("training step at %d px, batch %d, %d repeats: images/s, the same convolutions alone, "
           "ratio\n",
           SIZE, batch, repeats);
    printf("%-10s %-5s %-9s %9s %9s %7s %15s %11s %9s\n", "network", "type", "", "step", "convs",
           "ratio", "range", "planned MB", "peak MB");
    for (size_t a = 0; a < sizeof archs / sizeof *archs; a++)
        for (int t = 0; t < 2; t++) {
            const char *type = t ? "bf16" : "fp32";
            struct result r;

            if ((argc > 1 && strcmp(argv[1], archs[a].name) != 0 && strcmp(argv[1], "all") != 0) ||
                (argc > 2 && strcmp(argv[2], type) != 0 && strcmp(argv[2], "all") != 0))
                continue;
            r = measure(archs[a].arch, t ? DTYPE_BF16 : DTYPE_F32, batch, repeats, 0);
            printf("%-10s %-5s %-9s %9.2f %9.2f %7.3f %7.3f-%.3f %11.0f %9.0f\n", archs[a].name,
                   type, "", r.step, r.convs, r.ratio, r.low, r.high, r.planned_mb, r.peak_mb);
            fflush(stdout);
        }
    return 0;
}
