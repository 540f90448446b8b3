/* test_ops_place.c - a picture's probabilities depend on its pixels and the weights alone: not on its place, its
 * neighbours, the batch, the threads or the instruction set.
 * SPDX-License-Identifier: MIT */
#include "nn/network.h"
#include "nn/weights.h"
#include "ops.h"

enum { PLACES = 7, CLASSES = 5, SIDE = 70 };

static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16};

/* PLACES pictures of noise, each its own. */
static void draw(struct picture *p, uint8_t *pixels)
{
    struct rng r = rng_begin(3, RNG_TEST, 0, 0);

    for (int i = 0; i < PLACES; i++) {
        uint8_t *own = pixels + (size_t)i * SIDE * SIDE * 3;

        for (size_t k = 0; k < SIDE * SIDE * 3; k++)
            own[k] = (uint8_t)((rng_u32(&r) & 127) + (unsigned)(i * 15));
        p[i] = (struct picture){.pixels = own, .height = SIDE, .width = SIDE};
        p[i].map = (struct sample_map){.m = {1, 0, 0, 0, 1, 0, 0, 0, 1}, .k = 2, .contrast = 1};
    }
}

struct model {
    struct be *b;
    struct network *net;
    int size;
    enum dtype type;
};

/* False where the processor lacks ISA. */
static bool open_model(struct model *m, int arch, int size, enum dtype type, int threads,
                       const char *isa)
{
    const struct exec_options o = {.threads = threads};
    const struct model_options options = {.arch = arch};
    struct err err = {0};

    if (isa)
        setenv("PRESIZE_ISA", isa, 1);
    else
        unsetenv("PRESIZE_ISA");
    m->size = size;
    m->type = type;
    if (cpu_backend.open(&m->b, &o, &err) < 0) {
        if (!isa || err.kind != ERR_UNSUPPORTED)
            fail_msg("%s", err.msg);
        return false;
    }
    if (network_new(&m->net, &options, CLASSES, &err) < 0)
        fail_msg("%s", err.msg);
    return true;
}

/* The probabilities of N pictures in batches of BATCH, the last one filled up with nothing. */
static void infer(struct model *m, int batch, const struct picture *pictures, int n, float *prob)
{
    const struct network_shape shape = {
        .batch = batch, .size = m->size, .dtype = m->type, .augment = true};
    float *all = malloc((size_t)(batch * CLASSES) * sizeof *all);
    struct be_program *p;
    struct op_list *l;
    struct err err = {0};

    assert_non_null(all);
    if (network_infer_list(&l, m->net, &shape, &err) < 0 ||
        cpu_backend.prepare(&p, m->b, l, &err) < 0 ||
        weights_init(&(struct device){.kind = &cpu_backend, .be = m->b}, m->net, 1, false, &err) <
            0)
        fail_msg("%s", err.msg);
    for (int i = 0; i < n; i += batch) {
        const int count = n - i < batch ? n - i : batch;
        const struct step step = {.pictures = pictures + i, .n_pictures = count};

        if (cpu_backend.run(p, &step, &err) < 0 ||
            cpu_backend.read(p, op_list_find(l, "prob"), all, &err) < 0)
            fail_msg("%s", err.msg);
        memcpy(prob + (size_t)i * CLASSES, all, (size_t)(count * CLASSES) * sizeof *all);
    }
    cpu_backend.release(p);
    op_list_free(l);
    free(all);
}

static void check(int arch, int size, enum dtype type)
{
    static uint8_t pixels[PLACES * SIDE * SIDE * 3];
    static const struct {
        int batch, threads;
        const char *isa;
    } ways[] = {{1, 1, NULL},   {PLACES, 2, NULL},    {3, 3, NULL},  {16, 2, NULL},
                {4, 2, "avx2"}, {5, 2, "avx512bf16"}, {2, 1, "base"}};
    struct picture pictures[PLACES], turned[PLACES];
    float first[PLACES * CLASSES], got[PLACES * CLASSES];

    draw(pictures, pixels);
    for (int i = 0; i < PLACES; i++)
        turned[(3 * i + 2) % PLACES] = pictures[i];
    for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
        struct model m;

        if (ways[w].isa && strcmp(ways[w].isa, "base") == 0 && size > 32)
            continue; /* slow */
        if (!open_model(&m, arch, size, type, ways[w].threads, ways[w].isa))
            continue;
        if (w == 0) {
            infer(&m, 1, pictures, PLACES, first);
            for (int i = 1; i < PLACES;
                 i++) /* the control: other pictures have other probabilities */
                assert_memory_not_equal(first, first + (ptrdiff_t)i * CLASSES,
                                        CLASSES * sizeof *first);
        }
        infer(&m, ways[w].batch, turned, PLACES, got);
        for (int i = 0; i < PLACES; i++)
            assert_memory_equal(first + (ptrdiff_t)i * CLASSES,
                                got + (ptrdiff_t)((3 * i + 2) % PLACES) * CLASSES,
                                CLASSES * sizeof *first);
        cpu_backend.close(m.b);
        network_free(m.net);
    }
}

static void resnet18_at_any_place(void **state)
{
    (void)state;
    for (size_t t = 0; t < 2; t++) {
        check(RESNET18, 32, types[t]);
        check(RESNET18, 60, types[t]);
    }
}

static void resnet50_at_any_place(void **state)
{
    (void)state;
    for (size_t t = 0; t < 2; t++)
        check(RESNET50, 36, types[t]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resnet18_at_any_place),
        cmocka_unit_test(resnet50_at_any_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
