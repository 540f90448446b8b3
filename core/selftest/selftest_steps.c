/* selftest_steps.c - whole training steps: augmentation's bits, the same bits twice, graphs, overflow, a
 * curve of losses, images/s. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "data/augment.h"
#include "nn/weights.h"
#include "selftest/selftest_private.h"

enum { GRAPH_STEPS = 8 /* one without a graph, one to make that of each slot, and some again */ };
enum { CLASSES = 37, BATCH_MAX = 64, SIDE_MAX = 460, RUNS = 5 };

struct trainer { /* a network in training on one device */
    struct device *device;
    struct network *net;
    struct op_list *list;
    struct be_program *program;
    struct picture pictures[BATCH_MAX];
    uint8_t *pixels;
    struct step step;
    int loss;
};

static void trainer_close(struct trainer *t)
{
    if (t->program)
        t->device->kind->release(t->program);
    op_list_free(t->list);
    network_free(t->net);
    free(t->pixels);
}

/* Fresh weights by SEED; T is all zero but for its device. */
static int trainer_open(struct trainer *t, int arch, const struct network_shape *shape,
                        uint64_t seed, struct err *err)
{
    const struct model_options model = {.arch = arch, .dropout = 0.5};
    const int side = 2 * shape->size < SIDE_MAX ? 2 * shape->size : SIDE_MAX;

    t->pixels = malloc(3 * SIDE_MAX * SIDE_MAX);
    if (!t->pixels)
        return err_set(err, ERR_NOMEM, "selftest");
    if (network_new(&t->net, &model, CLASSES, err) < 0 ||
        network_train_list(&t->list, t->net, shape, err) < 0 ||
        t->device->kind->prepare(&t->program, t->device->be, t->list, err) < 0 ||
        weights_init(t->device, t->net, seed, false, err) < 0 ||
        weights_clear_optimiser(t->device, t->net, err) < 0)
        return -1;
    t->loss = op_list_find(t->list, "loss");
    selftest_pictures(t->pictures, t->pixels, shape->batch, AUGMENT_PRESIZE, side, shape->size,
                      CLASSES);
    t->step = (struct step){.pictures = t->pictures,
                            .n_pictures = shape->batch,
                            .seed = seed,
                            .lr = {3e-5, 3e-5, 3e-5},
                            .mom = 0.9,
                            .sqr_mom = 0.99,
                            .eps = 1e-2,
                            .wd = 0.01};
    return 0;
}

/* One more step, or only the kinds in ONLY; the mean loss to *LOSS. */
static int trainer_step(struct trainer *t, uint64_t only, double *loss, struct err *err)
{
    float losses[BATCH_MAX];

    t->step.only = only;
    t->step.adam_step += only == 0;
    if (t->device->kind->run(t->program, &t->step, err) < 0 ||
        t->device->kind->read(t->program, t->loss, losses, err) < 0)
        return -1;
    *loss = 0;
    for (int i = 0; i < t->step.n_pictures; i++)
        *loss += (double)losses[i] / t->step.n_pictures;
    return 0;
}

static struct network_shape small_shape(struct selftest *s, enum dtype type)
{
    const bool slow = s->quick || selftest_partner(s, DTYPE_F32) == &s->ref;

    return (struct network_shape){
        .batch = slow ? 8 : 16, .size = 64, .dtype = type, .augment = true};
}

/* --- augmentation ------------------------------------------------------------------------------ */

/* Eight pictures of D in MODE into X. */
static int augment(const struct device *d, int mode, const struct mix *mixes, float *x, int size,
                   struct err *err)
{
    static uint8_t pixels[3 * SIDE_MAX * SIDE_MAX];
    struct picture pictures[8];
    struct step step = {.pictures = pictures, .n_pictures = 8, .mixes = mixes};
    struct op_list *l = op_list_new(8, 8);
    struct op o = {.kind = OP_AUGMENT};
    struct be_program *p = NULL;
    int rc;

    if (!l)
        return err_set(err, ERR_NOMEM, "selftest");
    o.out[0] = op_list_tensor(l, "x", TENSOR_ACT, DTYPE_F32, 8, 3, size, size);
    op_list_add(l, o);
    selftest_pictures(pictures, pixels, 8, mode, SIDE_MAX, size, CLASSES);
    rc = d->kind->prepare(&p, d->be, l, err);
    if (rc == 0)
        rc = d->kind->run(p, &step, err);
    if (rc == 0)
        rc = d->kind->read(p, o.out[0], x, err);
    if (p)
        d->kind->release(p);
    op_list_free(l);
    return rc;
}

void selftest_augment(struct selftest *s)
{
    static const char *const names[] = {"augmentation presize", "augmentation fastai"};
    const struct device *partner = selftest_partner(s, DTYPE_F32);
    const int size = s->quick ? 64 : 224;
    const size_t n = 8 * 3 * (size_t)size * (size_t)size;
    float *got = malloc(n * sizeof *got), *want = malloc(n * sizeof *want);
    struct mix mixes[8];
    struct err err = {0};

    BUG_IF(!got || !want);
    for (int i = 0; i < 8; i++) /* MixUp and CutMix by turns */
        mixes[i] = (struct mix){(i + 1) % 8, 0.3f, 5, 9, i % 2 ? 5 : 40, 50};
    for (int mode = AUGMENT_PRESIZE; mode <= AUGMENT_FASTAI; mode++)
        for (int mixed = 0; mixed < 2; mixed++) {
            const struct mix *m = mixed ? mixes : NULL;
            bool same;

            if (augment(&s->under, mode, m, got, size, &err) < 0 ||
                augment(partner, mode, m, want, size, &err) < 0) {
                selftest_error(s, names[mode], &err);
                continue;
            }
            same = memcmp(got, want, n * sizeof *got) == 0;
            selftest_check(s, same ? PASSED : FAILED, names[mode], NULL, "8 pictures%s: %s of %s",
                           mixed ? ", mixed" : "", same ? "the bits" : "other bits than those",
                           partner->kind->name);
        }
    free(got);
    free(want);
}

/* --- repeatability, overflow ------------------------------------------------------------------- */

/* The weights' hash after N steps on D. */
static int steps(struct selftest *s, struct device *d, int n, enum dtype type, uint64_t seed,
                 char hex[SHA256_HEX], struct err *err)
{
    const struct network_shape shape = small_shape(s, type);
    struct trainer t = {.device = d};
    double loss;
    int rc = trainer_open(&t, RESNET18, &shape, seed, err);

    for (int i = 0; i < n && rc == 0; i++)
        rc = trainer_step(&t, 0, &loss, err);
    if (rc == 0)
        rc = weights_sha256(hex, d, t.net, err);
    trainer_close(&t);
    return rc;
}

void selftest_repeats(struct selftest *s)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};

    for (int i = 0; i < 3; i++) {
        char first[SHA256_HEX], second[SHA256_HEX], other[SHA256_HEX], name[64];
        struct err err = {0};
        bool same;

        if (!selftest_has(s, types[i]))
            continue;
        snprintf(name, sizeof name, "the same bits twice, %s", dtype_name(types[i]));
        if (steps(s, &s->under, 3, types[i], 1, first, &err) < 0 ||
            steps(s, &s->under, 3, types[i], 1, second, &err) < 0 ||
            steps(s, &s->under, 3, types[i], 2, other, &err) < 0) {
            selftest_error(s, name, &err);
            continue;
        }
        same = strcmp(first, second) == 0 && strcmp(first, other) != 0;
        selftest_check(s, same ? PASSED : FAILED, name, json_pack("{s:s}", "sha256", first),
                       "three steps of resnet18, weights %.12s, then %.12s; of another seed %.12s",
                       first, second, other);
    }
}

void selftest_graphs(struct selftest *s)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};

    if (!s->eager.be) {
        selftest_check(s, LEFT_OUT, "graph against eager", NULL, "this backend has no graphs");
        return;
    }
    for (int i = 0; i < 3; i++) {
        char graph[SHA256_HEX], eager[SHA256_HEX], name[64];
        struct be_info info;
        struct err err = {0};
        bool same, ran;

        if (!selftest_has(s, types[i]))
            continue;
        snprintf(name, sizeof name, "graph against eager, %s", dtype_name(types[i]));
        if (steps(s, &s->under, GRAPH_STEPS, types[i], 1, graph, &err) < 0 ||
            steps(s, &s->eager, GRAPH_STEPS, types[i], 1, eager, &err) < 0) {
            selftest_error(s, name, &err);
            continue;
        }
        s->under.kind->info(s->under.be, &info);
        ran = strcmp(info.steps, "CUDA graphs") == 0;
        same = strcmp(graph, eager) == 0;
        selftest_check(s,
                       !same ? FAILED
                       : ran ? PASSED
                             : LEFT_OUT,
                       name, json_pack("{s:s, s:s}", "sha256", graph, "steps", info.steps),
                       "%d steps of resnet18, as %s: weights %.12s, without graphs %.12s",
                       GRAPH_STEPS, info.steps, graph, eager);
    }
}

/* Running statistics to zero: an infinite step leaves nothing else behind. The weights' hash after that. */
static int weights_alone(struct trainer *t, char hex[SHA256_HEX], struct err *err)
{
    for (int k = 0; k < t->net->n_params; k++) {
        const struct param *p = &t->net->params[k];
        float *zeros = p->trained ? NULL : calloc(p->n, sizeof *zeros);
        int rc = 0;

        if (!p->trained)
            rc = zeros ? t->device->kind->put(t->device->be, p->name, zeros, err)
                       : err_set(err, ERR_NOMEM, "selftest");
        free(zeros);
        if (rc < 0)
            return -1;
    }
    return weights_sha256(hex, t->device, t->net, err);
}

/* A step on input that is INFINITE in one place or nowhere. */
static int step_on(struct trainer *t, bool infinite, struct err *err)
{
    const int x = op_list_find(t->list, "x");
    const size_t n = tensor_elements(&t->list->tensors[x]);
    float *v = malloc(n * sizeof *v);
    double loss;
    int rc;

    if (!v)
        return err_set(err, ERR_NOMEM, "selftest");
    for (size_t i = 0; i < n; i++)
        v[i] = (float)(i % 17) / 17 - 0.5f;
    v[0] = infinite ? INFINITY : 0;
    rc = t->device->kind->write(t->program, x, v, err);
    free(v);
    return rc < 0 ? -1 : trainer_step(t, 0, &loss, err);
}

/* Hashes before, after an infinite step, and after the finite step that first changed the weights: number
 * *STEPS of them, as the loss scale has to come down first. */
static int overflow(struct selftest *s, char hex[3][SHA256_HEX], int *steps, struct err *err)
{
    struct network_shape shape = small_shape(s, DTYPE_F16);
    struct trainer t = {.device = &s->under};
    int rc = -1;

    *steps = 0;
    shape.augment = false;
    if (trainer_open(&t, RESNET18, &shape, 1, err) < 0 || weights_alone(&t, hex[0], err) < 0 ||
        step_on(&t, true, err) < 0 || weights_alone(&t, hex[1], err) < 0)
        goto out;
    do {
        if (step_on(&t, false, err) < 0 || weights_alone(&t, hex[2], err) < 0)
            goto out;
    } while (++*steps < 16 && strcmp(hex[1], hex[2]) == 0);
    rc = 0;
out:
    trainer_close(&t);
    return rc;
}

void selftest_overflow(struct selftest *s)
{
    char hex[3][SHA256_HEX];
    struct err err = {0};
    bool right;
    int steps;

    if (!selftest_has(s, DTYPE_F16)) {
        selftest_check(s, LEFT_OUT, "overflow drill", NULL, "this device has no fp16");
        return;
    }
    if (overflow(s, hex, &steps, &err) < 0) {
        selftest_error(s, "overflow drill", &err);
        return;
    }
    right = strcmp(hex[0], hex[1]) == 0 && strcmp(hex[1], hex[2]) != 0;
    selftest_check(s, right ? PASSED : FAILED, "overflow drill", json_pack("{s:i}", "steps", steps),
                   "weights %.12s; after an infinite step %.12s; after %d finite ones %.12s",
                   hex[0], hex[1], steps, hex[2]);
}

/* --- losses ---------------------------------------------------------------------------------- */

/* N losses, each before a step on the same pictures. A loss that is the last one again follows a step that
 * fp16's loss scale left out, and does not count. */
static int losses_of(struct device *d, const struct network_shape *shape, double *losses, int n,
                     struct err *err)
{
    struct trainer t = {.device = d};
    int rc = trainer_open(&t, RESNET18, shape, 1, err), left_out = 0;

    for (int i = 0; i < n && rc == 0;) {
        rc = trainer_step(&t, 0, &losses[i], err);
        if (i == 0 || losses[i] != losses[i - 1])
            i++;
        else if (++left_out > 16)
            rc = err_set(err, ERR_NUMERIC, "the loss stays at %g", losses[i]);
    }
    trainer_close(&t);
    return rc;
}

/* Apart by at most 2 % of the first loss in fp32, and by 20 % where 16 bits are held against fp32. */
void selftest_curve(struct selftest *s)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};
    struct device *partner = selftest_partner(s, DTYPE_F32);
    struct network_shape shape = small_shape(s, DTYPE_F32);
    const int n = s->quick ? 3 : 20;
    double want[20], got[20];
    struct err err = {0};

    if (losses_of(partner, &shape, want, n, &err) < 0) {
        selftest_error(s, "curve", &err);
        return;
    }
    for (int i = 0; i < 3; i++) {
        const double allowed = types[i] == DTYPE_F32 ? 0.02 : 0.2;
        double worst = 0;
        json_t *curve = json_array();
        char name[64];

        if (!selftest_has(s, types[i])) {
            json_decref(curve);
            continue;
        }
        shape.dtype = types[i];
        snprintf(name, sizeof name, "losses of %d steps, %s", n, dtype_name(types[i]));
        if (losses_of(&s->under, &shape, got, n, &err) < 0) {
            json_decref(curve);
            selftest_error(s, name, &err);
            continue;
        }
        for (int k = 0; k < n; k++) {
            double off = fabs(got[k] - want[k]) / want[0];

            worst = off <= worst ? worst : isfinite(off) ? off : 1e300;
            json_array_append_new(curve,
                                  json_pack("[f, f]", isfinite(got[k]) ? got[k] : -1, want[k]));
        }
        selftest_check(
            s, worst <= allowed ? PASSED : FAILED, name,
            json_pack("{s:o}", "here_and_there", curve),
            "%.4f to %.4f, on %s in fp32 %.4f to %.4f; apart by at most %.2g of the first", got[0],
            got[n - 1], partner->kind->name, want[0], want[n - 1], worst);
    }
}

/* --- images/s -------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Median seconds of RUNS runs. */
static int seconds_of(struct trainer *t, uint64_t only, double *seconds, struct err *err)
{
    double all[RUNS], loss;

    for (int i = -1; i < RUNS; i++) { /* the first warms up */
        const double start = clock_seconds();

        if (trainer_step(t, only, &loss, err) < 0)
            return -1;
        if (i >= 0)
            all[i] = clock_seconds() - start;
    }
    qsort(all, RUNS, sizeof *all, by_value);
    *seconds = all[RUNS / 2];
    return 0;
}

static void rate(struct selftest *s, int arch, enum dtype type, int batch)
{
    const uint64_t convolutions = 1u << OP_CONV | 1u << OP_CONV_BWD_DATA | 1u << OP_CONV_BWD_WEIGHT;
    struct network_shape shape = {
        .batch = batch, .size = s->quick ? 64 : 224, .dtype = type, .augment = true};
    struct device own = {0}; /* as parameters of one name differ between networks */
    struct trainer t = {.device = &own};
    struct err err = {0};
    double whole, bare;
    char name[64];
    int rc = selftest_open(&own, s, &err);

    snprintf(name, sizeof name, "images/s %s %s", arch_name(arch), dtype_name(type));
    if (rc == 0)
        rc = trainer_open(&t, arch, &shape, 1, &err);
    if (rc == 0)
        rc = seconds_of(&t, 0, &whole, &err);
    if (rc == 0)
        rc = seconds_of(&t, convolutions, &bare, &err);
    trainer_close(&t);
    device_close(&own);
    if (rc < 0 && err.kind == ERR_NOMEM && batch > 1)
        rate(s, arch, type, batch / 2);
    else if (rc < 0)
        selftest_error(s, name, &err);
    else
        selftest_check(s, PASSED, name,
                       json_pack("{s:i, s:f, s:f}", "batch", batch, "images_per_s", batch / whole,
                                 "convolutions_share", bare / whole),
                       "%.1f at batch %d, %d px; its convolutions alone %.2f of the time",
                       batch / whole, batch, shape.size, bare / whole);
}

void selftest_rates(struct selftest *s)
{
    const int batch = s->quick || s->under.kind == s->cpu.kind ? 4 : BATCH_MAX;

    if (s->under.kind == s->ref.kind) {
        selftest_check(s, LEFT_OUT, "images/s", NULL, "ref is not timed");
        return;
    }
    for (int arch = RESNET18; arch < (s->quick ? RESNET50 + 1 : ARCHS); arch += s->quick ? 2 : 1) {
        rate(s, arch, DTYPE_F32, batch);
        if (selftest_has(s, DTYPE_F16))
            rate(s, arch, DTYPE_F16, batch);
        if (selftest_has(s, DTYPE_BF16))
            rate(s, arch, DTYPE_BF16, batch);
    }
}
