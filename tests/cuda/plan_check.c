/* plan_check.c - every convolution of the ResNets planned by the real cuDNN, without a device.
 *
 * Usage: plan_check [--short] [PROFILE.json ...]. Prints docs/cuda.md's table; fails when a shape has
 * no plan by the backend's rules. The lists are the networks' own, the graphs the backend's own; only
 * the device is described by a file. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "backend/cuda/conv_graph.h"
#include "base/path.h"
#include "base/thread.h"
#include "nn/network.h"

enum { SHAPES_MAX = 2048, SIZE = 224, CLASSES = 37, T4_VERSION = 750, PROFILE_MAX = 1 << 16 };

struct result {
    struct conv_shape shape;
    struct conv_choice choice;
    bool ok;
    struct err err;
};

struct check {
    struct conv_device *device;
    struct conv_rules rules;
    struct result results[SHAPES_MAX];
    int n;
};

static const int batches[] = {1, 2, 17, 64, 256};
static const enum dtype types[] = {DTYPE_F16, DTYPE_BF16, DTYPE_F32};
enum { N_BATCHES = 5, N_TYPES = 3 };

/* ---- shapes ---------------------------------------------------------------------------------- */

static void add(struct check *c, const struct conv_shape *s)
{
    for (int i = 0; i < c->n; i++)
        if (memcmp(&c->results[i].shape, s, sizeof *s) == 0)
            return;
    BUG_IF(c->n == SHAPES_MAX);
    c->results[c->n++].shape = *s;
}

static struct conv_shape shape_of(const struct op_list *l, const struct op *o)
{
    const int *x = l->tensors[o->in[0]].dims, *w = l->tensors[o->in[1]].dims,
              *y = l->tensors[o->out[0]].dims, groups = x[1] / w[1], c = x[1] == 3 ? 4 : x[1];
    struct conv_shape s;

    memset(&s, 0, sizeof s);
    s.dtype = (int32_t)l->tensors[o->in[0]].dtype;
    s.n = x[0];
    s.c = c;
    s.filter_c = c / groups;
    s.groups = groups;
    s.h = x[2];
    s.w = x[3];
    s.k = w[0];
    s.r = w[2];
    s.s = w[3];
    s.p = y[2];
    s.q = y[3];
    s.stride = o->stride;
    s.pad = o->pad;
    return s;
}

/* All passes of the convolutions of LIST, and what inference makes of the batch norms behind them. */
static void add_list(struct check *c, const struct op_list *l)
{
    for (int i = 0; i < l->n_ops; i++) {
        const struct op *o = &l->ops[i];
        struct conv_shape s;

        if (o->kind != OP_CONV)
            continue;
        s = shape_of(l, o);
        for (s.pass = 0; s.pass < CONV_PASSES; s.pass++)
            if (s.pass != CONV_DATA || s.c != 4) /* pictures have no gradient */
                add(c, &s);
        if (i + 1 < l->n_ops && o[1].kind == OP_BN_INFER) {
            s.pass = CONV_FORWARD;
            s.bias = 1;
            s.add = o[1].in[5] > 0;
            s.relu = o[1].relu;
            add(c, &s);
        }
    }
}

static int collect(struct check *c, enum dtype type, int batch, struct err *err)
{
    c->n = 0;
    for (int arch = RESNET18; arch < ARCHS; arch++) {
        const struct model_options options = {.arch = arch};
        const struct network_shape shape = {
            .batch = batch, .microbatch = batch, .size = SIZE, .dtype = type};
        struct network *n;
        struct op_list *l;

        if (network_new(&n, &options, CLASSES, err) < 0)
            return -1;
        if (network_infer_list(&l, n, &shape, err) < 0) {
            network_free(n);
            return -1;
        }
        add_list(c, l);
        op_list_free(l);
        network_free(n);
    }
    return 0;
}

/* ---- plans ----------------------------------------------------------------------------------- */

static void plan_one(void *ctx, int i, int worker)
{
    struct check *c = ctx;
    struct result *r = &c->results[i];
    struct conv_plan *p;

    (void)worker;
    r->err = (struct err){0};
    r->ok = conv_plan_make(&p, &r->shape, c->device, &c->rules, &r->err) == 0;
    if (r->ok)
        conv_plan_choice(p, &r->choice);
    if (r->ok)
        conv_plan_free(p);
}

/* One line of the table; the number of shapes without a plan. */
static int report(const struct check *c, const char *profile, enum dtype type, int batch)
{
    int failed = 0, tensor_core = 0, fewest = INT32_MAX;
    size_t most = 0;

    for (int i = 0; i < c->n; i++) {
        const struct result *r = &c->results[i];

        if (!r->ok) {
            if (failed++ < 3)
                fprintf(stderr, "%s: %s\n", profile, r->err.msg);
            continue;
        }
        BUG_IF(!r->choice.deterministic || r->choice.workspace > c->rules.workspace);
        tensor_core += r->choice.tensor_core;
        most = most < r->choice.workspace ? r->choice.workspace : most;
        fewest = r->choice.fitting < fewest ? r->choice.fitting : fewest;
    }
    printf("| %s | %s | %d | %d | %d | %d | %.1f |\n", profile, dtype_name(type), batch, c->n,
           c->n - failed, tensor_core, (double)most / 1e6);
    return failed;
}

static int open_profile(struct check *c, char name[128], int *version, const char *path,
                        struct err *err)
{
    char *text;
    size_t n;
    json_t *json;

    if (path_read(&text, &n, path, PROFILE_MAX, err) < 0)
        return -1;
    json = json_loads(text, 0, NULL);
    snprintf(name, 128, "%s", json_string_value(json_object_get(json, "deviceName")));
    *version = (int)json_integer_value(json_object_get(json, "deviceVer"));
    json_decref(json);
    while (n > 0 && text[n - 1] == '\n')
        n--;
    if (conv_device_from_json(&c->device, text, n, err) < 0) {
        free(text);
        return err_wrap(err, "%s", path);
    }
    free(text);
    return 0;
}

/* What must be refused before cuDNN is asked, which would not. */
static int check_refusals(const struct check *c)
{
    static const struct {
        const char *text;
        struct conv_shape shape;
    } bad[] = {
        {"over 1 groups", {.c = 64, .filter_c = 32, .p = 56, .q = 56}},
        {"over 3 groups", {.c = 64, .filter_c = 21, .groups = 3, .p = 56, .q = 56}},
        {"not the size", {.c = 64, .filter_c = 64, .p = 55, .q = 56}},
        {"below one", {.c = 0, .filter_c = 0, .p = 56, .q = 56}},
        {"only a forward", {.c = 64, .filter_c = 64, .p = 56, .q = 56, .pass = 1, .relu = 1}},
        {"smaller batch", {.c = 1 << 15, .filter_c = 1 << 15, .p = 56, .q = 56}},
    };
    int failed = 0;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct conv_shape s = bad[i].shape;
        struct conv_plan *p = NULL;
        struct err err = {0};

        s.dtype = DTYPE_F16;
        s.groups = s.groups ? s.groups : 1;
        s.n = 64;
        s.h = s.w = 56;
        s.k = 64;
        s.r = s.s = 3;
        s.stride = s.pad = 1;
        if (conv_plan_make(&p, &s, c->device, &c->rules, &err) == 0 ||
            !strstr(err.msg, bad[i].text)) {
            fprintf(stderr, "expected \"%s\", got \"%s\"\n", bad[i].text, err.msg);
            failed++;
        }
        conv_plan_free(p);
    }
    return failed;
}

static int check_profile(struct check *c, struct pool *pool, const char *path, bool few,
                         int *failed, struct err *err)
{
    char name[128];
    int version;

    if (open_profile(c, name, &version, path, err) < 0)
        return -1;
    for (int t = 0; t < N_TYPES; t++)
        for (int b = 0; b < N_BATCHES; b++) {
            if ((types[t] == DTYPE_BF16 && version <= T4_VERSION) || (few && batches[b] != 64))
                continue;
            if (collect(c, types[t], batches[b], err) < 0)
                return -1;
            pool_run(pool, c->n, plan_one, c);
            *failed += report(c, name, types[t], batches[b]);
            fflush(stdout);
        }
    *failed += check_refusals(c);
    conv_device_free(c->device);
    c->device = NULL;
    return 0;
}

int main(int argc, char **argv)
{
    struct check *c = calloc(1, sizeof *c);
    const bool few = argc > 1 && strcmp(argv[1], "--short") == 0;
    struct pool *pool = NULL;
    struct err err = {0};
    int failed = 0;

    if (!c || pool_new(&pool, cpu_count(), NULL, NULL, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    c->rules = (struct conv_rules){.deterministic = true, .workspace = CONV_WORKSPACE};
    printf("| device | type | batch | shapes | planned | on tensor cores | most workspace, MB |\n"
           "|---|---|---|---|---|---|---|\n");
    for (int i = few ? 2 : 1; i < argc; i++)
        if (check_profile(c, pool, argv[i], few, &failed, &err) < 0) {
            fprintf(stderr, "%s\n", err.msg);
            failed++;
        }
    pool_free(pool);
    free(c);
    return failed > 0;
}
