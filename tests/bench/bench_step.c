/* bench_step.c - a training step against its bare convolutions, in one run.
 *
 *   bench_step [ARCH [PRECISION [BATCH [REPEATS [MICROBATCH]]]]]   e.g. bench_step resnet50 bf16 32 5
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
#include "backend/op_traits.h"
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

struct bench { /* one network in one precision */
    const char *arch, *type;
    int batch, repeats, microbatch;
    struct be *b;
    struct network *net;
    struct step step;
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

/* Where one more run of P spends its time, and what of it no op accounts for. */
static void print_profile(struct be_program *p, struct bench *x)
{
    double before[OP_KINDS], after[OP_KINDS], wall, left;
    struct be_info info;

    cpu_backend.info(x->b, &info);
    cpu_backend.profile(p, before);
    wall = timed(p, &x->step, 0) * info.threads;
    cpu_backend.profile(p, after);
    left = wall;
    for (int k = 0; k < OP_KINDS; k++) {
        const double seconds = after[k] - before[k];

        left -= seconds;
        if (seconds > 0)
            printf("      %-18s %6.2f %%\n", op_kind_name((enum op_kind)k), 100 * seconds / wall);
    }
    printf("      %-18s %6.2f %%\n", "(waiting, serial)", 100 * left / wall);
}

static const uint64_t forward = 1u << OP_CONV,
                      convs = 1u << OP_CONV | 1u << OP_CONV_BWD_DATA | 1u << OP_CONV_BWD_WEIGHT;

/* Runs P whole and BARE's convolutions (ONLY) by turns and prints a row. */
static void compare(struct bench *x, const char *what, struct be_program *p,
                    struct be_program *bare_program, uint64_t only)
{
    double whole[MOST], bare[MOST], ratio[MOST];
    struct be_memory memory;
    struct rusage usage;

    timed(p, &x->step, 0);
    timed(bare_program, &x->step, only);
    for (int i = 0; i < x->repeats; i++) {
        whole[i] = x->batch / timed(p, &x->step, 0);
        bare[i] = x->batch / timed(bare_program, &x->step, only);
        ratio[i] = whole[i] / bare[i];
    }
    qsort(ratio, (size_t)x->repeats, sizeof *ratio, by_value);
    cpu_backend.memory(p, &memory);
    getrusage(RUSAGE_SELF, &usage);
    printf("%-10s %-5s %-10s %9.2f %9.2f %7.3f %7.3f-%.3f %11.0f %9.0f\n", x->arch, x->type, what,
           median(whole, x->repeats), median(bare, x->repeats), median(ratio, x->repeats), ratio[0],
           ratio[x->repeats - 1], (double)memory.total / 1e6, (double)usage.ru_maxrss / 1e3);
    if (getenv("PROFILE"))
        print_profile(p, x);
    fflush(stdout);
}

static struct be_program *prepared(struct bench *x, struct op_list *list)
{
    struct be_program *p;
    struct err err = {0};

    check(cpu_backend.prepare(&p, x->b, list, &err), &err);
    op_list_free(list);
    return p;
}

static void measure(struct bench *x, int arch, enum dtype dtype)
{
    const struct exec_options o = {.conv = getenv("PRESIZE_ONEDNN") ? CONV_ONEDNN : CONV_OWN};
    const struct model_options m = {.arch = arch, .dropout = 0.5};
    struct network_shape shape = {.batch = x->batch,
                                  .microbatch = x->microbatch,
                                  .size = SIZE,
                                  .dtype = dtype,
                                  .augment = true,
                                  .dropout = 0.5};
    struct be_program *train, *frozen, *infer;
    struct op_list *list;
    struct err err = {0};

    check(cpu_backend.open(&x->b, &o, &err), &err);
    check(network_new(&x->net, &m, CLASSES, &err), &err);
    check(network_train_list(&list, x->net, &shape, &err), &err);
    train = prepared(x, list);
    check(weights_init(&(struct device){.kind = &cpu_backend, .be = x->b}, x->net, 1, false, &err),
          &err);
    compare(x, "step", train, train, convs);
    check(network_infer_list(&list, x->net, &shape, &err), &err);
    infer = prepared(x, list);
    compare(x, "inference", infer, train, forward);
    cpu_backend.release(infer);
    cpu_backend.release(train);
    shape.freeze_to = 2;
    check(network_train_list(&list, x->net, &shape, &err), &err);
    frozen = prepared(x, list);
    compare(x, "frozen", frozen, frozen, convs);
    cpu_backend.release(frozen);
    cpu_backend.close(x->b);
    network_free(x->net);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int arch;
    } archs[] = {{"resnet18", RESNET18}, {"resnet34", RESNET34}, {"resnet50", RESNET50}};
    struct bench x = {.batch = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 32,
                      .repeats = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 5,
                      .microbatch = argc > 5 ? (int)strtol(argv[5], NULL, 10) : 0};

    if (x.batch < 1 || x.repeats < 1 || x.repeats > MOST)
        return 2;
    x.step = (struct step){.pictures = make_pictures(x.batch),
                           .n_pictures = x.batch,
                           .lr = {1e-3, 1e-3, 1e-3},
                           .mom = 0.9,
                           .sqr_mom = 0.99,
                           .eps = 1e-5,
                           .wd = 0.01};
    printf("%d px, batch %d, median of %d: images/s, the convolutions alone, their ratio\n", SIZE,
           x.batch, x.repeats);
    printf("%-10s %-5s %-10s %9s %9s %7s %15s %11s %9s\n", "network", "type", "what", "whole",
           "convs", "ratio", "range", "planned MB", "peak MB");
    for (size_t a = 0; a < sizeof archs / sizeof *archs; a++)
        for (int t = 0; t < 2; t++) {
            x.arch = archs[a].name;
            x.type = t ? "bf16" : "fp32";
            if ((argc < 2 || strcmp(argv[1], x.arch) == 0 || strcmp(argv[1], "all") == 0) &&
                (argc < 3 || strcmp(argv[2], x.type) == 0 || strcmp(argv[2], "all") == 0))
                measure(&x, archs[a].arch, t ? DTYPE_BF16 : DTYPE_F32);
        }
    return 0;
}
