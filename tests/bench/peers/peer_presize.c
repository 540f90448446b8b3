/* peer_presize.c - presize's side of against_torch.py: training or inference steps, when asked for.
 *
 *   peer_presize ARCH PRECISION train|infer BATCH THREADS [exec.KEY=VALUE...]
 *
 * Prints "PARAMETERS TEXT" once all is made and warm: how many numbers are trained, and what runs. Then a line
 * with a count on stdin runs as many steps, and their images/s come back on one line. Between lines the process
 * only waits, so that two sides can take turns. Pictures are random and lie in the network's input from the start.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "base/clock.h"
#include "base/rng.h"
#include "nn/network.h"
#include "nn/weights.h"

enum { SIZE = 224, CLASSES = 37 };

struct peer {
    int batch;
    struct be *b;
    struct network *net;
    struct be_program *program;
    struct step step;
};

static void check(int rc, const struct err *err)
{
    if (rc < 0) {
        fprintf(stderr, "peer_presize: %s\n", err->msg);
        exit(1);
    }
}

static void misused(const char *what)
{
    fprintf(stderr,
            "peer_presize: %s\nusage: peer_presize resnet18|resnet34|resnet50|... fp32|bf16 "
            "train|infer BATCH THREADS [exec.KEY=VALUE...]\n",
            what);
    exit(2);
}

static int number(const char *word)
{
    char *end;
    const long n = strtol(word, &end, 10);

    return *end || end == word || n < 1 || n > 65536 ? 0 : (int)n;
}

static void exec_of(struct exec_options *o, int n_words, char **words)
{
    const struct key_table table = {.rows = exec_keys};
    json_t *tree = json_object();
    struct err err = {0};

    keys_default(&table, 1, KEYS_NEWEST, o);
    for (int i = 0; i < n_words; i++)
        check(keys_override(tree, words[i], &err), &err);
    check(keys_apply(&table, 1, KEYS_NEWEST, o, tree, NULL, &err), &err);
    json_decref(tree);
}

/* Numbers in [-2, 2) as the input, which no op writes: it stays from step to step. */
static void fill_input(struct be_program *p, int x, int batch)
{
    const size_t n = (size_t)batch * 3 * SIZE * SIZE;
    float *values = malloc(n * sizeof *values);
    struct rng r = rng_begin(1, RNG_TEST, 0, 0);
    struct err err = {0};

    if (!values)
        check(err_set(&err, ERR_NOMEM, "%zu numbers", n), &err);
    for (size_t i = 0; i < n; i++)
        values[i] = (float)(rng_u32(&r) >> 8) / (1 << 22) - 2;
    check(cpu_backend.write(p, x, values, &err), &err);
    free(values);
}

static void make(struct peer *p, int arch, enum dtype dtype, bool train,
                 const struct exec_options *o)
{
    const struct model_options m = {.arch = arch, .dropout = 0.5};
    const struct network_shape shape = {.batch = p->batch,
                                        .microbatch = (int)o->microbatch,
                                        .size = SIZE,
                                        .dtype = dtype,
                                        .dropout = 0.5};
    struct op_list *list;
    struct err err = {0};
    int x;

    check(cpu_backend.open(&p->b, o, &err), &err);
    check(network_new(&p->net, &m, CLASSES, &err), &err);
    check((train ? network_train_list : network_infer_list)(&list, p->net, &shape, &err), &err);
    x = op_list_find(list, "x");
    check(cpu_backend.prepare(&p->program, p->b, list, &err), &err);
    op_list_free(list);
    check(weights_init(&(struct device){.kind = &cpu_backend, .be = p->b}, p->net, 1, false, &err),
          &err);
    fill_input(p->program, x, p->batch);
}

static double images_per_second(struct peer *p)
{
    struct err err = {0};
    const double start = clock_seconds();

    p->step.adam_step++;
    check(cpu_backend.run(p->program, &p->step, &err), &err);
    return p->batch / (clock_seconds() - start);
}

static void print_what_runs(const struct peer *p, const char *type)
{
    struct be_info info;
    size_t trained = 0;

    for (int i = 0; i < p->net->n_params; i++)
        trained += p->net->params[i].trained ? p->net->params[i].n : 0;
    cpu_backend.info(p->b, &info);
    printf("%zu presize " PRESIZE_VERSION ", %s, %s, %s\n", trained, info.isa, info.library, type);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct peer p = {0};
    struct exec_options o = {0};
    struct picture *pictures;
    char line[32];
    int arch = RESNET18;

    if (argc < 6)
        misused("too few words");
    while (arch < ARCHS && strcmp(argv[1], arch_name(arch)) != 0)
        arch++;
    if (arch == ARCHS || (strcmp(argv[2], "fp32") != 0 && strcmp(argv[2], "bf16") != 0) ||
        (strcmp(argv[3], "train") != 0 && strcmp(argv[3], "infer") != 0))
        misused("unknown network, precision or kind of step");
    p.batch = number(argv[4]);
    exec_of(&o, argc - 6, argv + 6);
    o.threads = number(argv[5]);
    pictures = calloc((size_t)p.batch, sizeof *pictures);
    if (!p.batch || !o.threads || !pictures)
        misused("BATCH and THREADS are numbers from 1");
    for (int i = 0; i < p.batch; i++)
        pictures[i] = (struct picture){.label = i % CLASSES, .position = (uint32_t)i};
    p.step = (struct step){.pictures = pictures,
                           .n_pictures = p.batch,
                           .lr = {1e-4, 1e-4, 1e-4},
                           .mom = 0.9,
                           .sqr_mom = 0.99,
                           .eps = 1e-5,
                           .wd = 0.01};
    make(&p, arch, strcmp(argv[2], "bf16") == 0 ? DTYPE_BF16 : DTYPE_F32,
         strcmp(argv[3], "train") == 0, &o);
    images_per_second(&p);
    print_what_runs(&p, argv[2]);
    while (fgets(line, sizeof line, stdin)) {
        for (long n = strtol(line, NULL, 10); n > 0; n--)
            printf("%.4f%c", images_per_second(&p), n > 1 ? ' ' : '\n');
        fflush(stdout);
    }
    cpu_backend.release(p.program);
    cpu_backend.close(p.b);
    network_free(p.net);
    free(pictures);
    return 0;
}
