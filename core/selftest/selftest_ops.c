/* selftest_ops.c - every op of three networks' lists, alone, on seeded inputs, against another backend.
 *
 * Allowed is, of each value, one place of the type that activations are stored in, and in all a share of
 * the output's root mean square for sums in another order.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/op_traits.h"
#include "base/rng.h"
#include "data/augment.h"
#include "selftest/selftest_private.h"

enum { CLASSES = 37, SIDE = 80, PICTURES_MAX = 8 };

struct trial { /* one op on both devices */
    struct op_list *list;
    const struct tensor *tensors;
    const struct op *op;
    enum dtype type; /* of its activations; F32 where it has none */
    struct step step;
    struct picture pictures[PICTURES_MAX];
};

struct tally { /* of one kind of op in one type */
    int passed, failed, unsupported;
    double worst; /* of what is allowed */
    char where[400];
};

/* --- one op as a list ------------------------------------------------------------------------ */

/* A list of the op alone. Names say place and shape, as persistent tensors are known by name. */
static struct op_list *alone(const struct op_list *l, const struct op *o)
{
    struct op_list *one = op_list_new(l->batch, l->microbatch);
    struct op copy = *o;

    BUG_IF(!one);
    for (int i = 0; i < OP_MAX_IN + OP_MAX_OUT; i++) {
        int *place = i < OP_MAX_IN ? &copy.in[i] : &copy.out[i - OP_MAX_IN];
        const struct tensor *t = *place ? &l->tensors[*place] : NULL;
        char name[64];

        if (!t)
            continue;
        snprintf(name, sizeof name, "%d.%dx%dx%dx%d", i, t->dims[0], t->dims[1], t->dims[2],
                 t->dims[3]);
        *place = op_list_tensor(one, name, t->role, t->dtype, t->dims[0], t->dims[1], t->dims[2],
                                t->dims[3]);
    }
    op_list_add(one, copy);
    return one;
}

/* What tells one op from another, but for the names of its tensors. */
static void describe(char *out, size_t size, const struct trial *t)
{
    int at = snprintf(out, size, "%s", op_kind_name(t->op->kind));

    for (int i = 0; i < OP_MAX_IN + OP_MAX_OUT; i++) {
        int k = i < OP_MAX_IN ? t->op->in[i] : t->op->out[i - OP_MAX_IN];
        const struct tensor *x = k ? &t->tensors[k] : NULL;

        if (x && at >= 0 && (size_t)at < size)
            at += snprintf(out + at, size - (size_t)at, " %dx%dx%dx%d", x->dims[0], x->dims[1],
                           x->dims[2], x->dims[3]);
    }
    if (at >= 0 && (size_t)at < size)
        snprintf(out + at, size - (size_t)at, " /%d p%d%s%s", t->op->stride, t->op->pad,
                 t->op->relu ? " relu" : "", t->op->decay ? " decay" : "");
}

/* --- inputs ---------------------------------------------------------------------------------- */

static bool is_whole(enum dtype t)
{
    return t == DTYPE_U8 || t == DTYPE_BITS || t == DTYPE_I32;
}

/* A tap of a max pool's window at element I that lies inside DX. */
static float tap(struct rng *r, const struct tensor *dy, const struct tensor *dx, size_t i)
{
    int q = (int)(i % (size_t)dy->dims[3]);
    int p = (int)(i / (size_t)dy->dims[3] % (size_t)dy->dims[2]);

    for (;;) {
        int k = (int)rng_below(r, 9), row = 2 * p - 1 + k / 3, column = 2 * q - 1 + k % 3;

        if (row >= 0 && row < dx->dims[2] && column >= 0 && column < dx->dims[3])
            return (float)k;
    }
}

/* Multiples of 1/8, so that no ReLU stands within rounding of its edge; rstd and gamma powers of two. */
static float coarse(float x, const struct tensor *t, bool beta, bool rstd)
{
    if (t->role == TENSOR_STAT)
        return rstd ? (x > 0 ? 1.0f : 0.5f) : roundf(8 * x) / 8;
    if (beta)
        return roundf(8 * x) / 8 + 1.0f / 64;
    if (t->role == TENSOR_PARAM)
        return x > 0 ? 1.0f : -0.5f;
    return roundf(8 * x) / 8;
}

/* Whether the op decides by a norm's output what passes. */
static bool decides(const struct op *o)
{
    const struct op_traits *traits = &op_traits[o->kind];
    bool yes = traits->decides;

    for (int i = 0; i < OP_MAX_OUT; i++)
        yes |= (traits->out[i].role | 0x20) == 'b' && o->out[i] > 0;
    return yes;
}

static float value_of(struct rng *r, const struct trial *t, int place, size_t i)
{
    const struct tensor *x = &t->tensors[t->op->in[place]];
    const struct tensor *out = &t->tensors[t->op->out[0]];
    const enum op_values values = op_traits[t->op->kind].in[place].values;
    const bool stat = values == VALUES_STAT, rstd = stat && i >= (size_t)x->dims[1];
    const float n = (float)rng_normal(r);

    if (values == VALUES_TAP)
        return tap(r, x, out, i);
    if (values == VALUES_PIXEL)
        return (float)rng_below(r, (uint32_t)(out->dims[2] * out->dims[3]));
    if (x->dtype == DTYPE_BITS)
        return (float)rng_below(r, 256);
    if (decides(t->op) && (stat || x->role != TENSOR_STAT))
        return coarse(n, x, values == VALUES_SHIFT, rstd);
    if (rstd || values == VALUES_VARIANCE || values == VALUES_SQUARES)
        return fabsf(n) + 0.5f;
    if (values ==
        VALUES_SPREAD) /* rows alternate, so that a channel of two rows has a spread, too */
        return i / (tensor_elements(x) / (size_t)x->dims[0]) % 2 ? n + 4 : n - 4;
    return n;
}

/* Draws the inputs and puts them into both programs. */
static int give(const struct trial *t, struct device *const devices[2],
                struct be_program *const programs[2], struct err *err)
{
    for (int i = 0; i < OP_MAX_IN; i++) {
        const struct tensor *x = t->op->in[i] ? &t->tensors[t->op->in[i]] : NULL;
        struct rng r = rng_begin(2, RNG_TEST, 0, (uint32_t)i);
        size_t n = x ? tensor_elements(x) : 0;
        float *v = malloc((n + 1) * sizeof *v);
        int rc = 0;

        if (!v)
            return err_set(err, ERR_NOMEM, "selftest");
        for (size_t k = 0; k < n; k++) {
            uint16_t bits;

            v[k] = value_of(&r, t, i, k);
            if (dtype_is_16(t->type) && x->role != TENSOR_STAT && !is_whole(x->dtype)) {
                dtype_put(&bits, 0, t->type, v[k]);
                v[k] = dtype_get(&bits, 0, t->type);
            }
        }
        for (int d = 0; x && d < 2 && rc == 0; d++)
            rc = tensor_is_persistent(x)
                     ? devices[d]->kind->put(devices[d]->be, x->name, v, err)
                     : devices[d]->kind->write(programs[d], t->op->in[i], v, err);
        free(v);
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* --- comparison ------------------------------------------------------------------------------ */

/* The largest difference of GOT from WANT in units of what is allowed. NaN counts as infinite. */
static double distance(const float *got, const float *want, size_t n, enum dtype type, bool sums)
{
    const double place = type == DTYPE_BF16 ? 0x1p-7 : type == DTYPE_F16 ? 0x1p-10 : 0x1p-22;
    double square = 0, worst = 0, slack;

    for (size_t i = 0; i < n; i++)
        square += (double)want[i] * (double)want[i] / (double)n;
    slack = (sums ? 3e-5 : 1e-6) * sqrt(square) + (type == DTYPE_F16 ? 0x1p-24 : 0) + 1e-30;
    for (size_t i = 0; i < n; i++) {
        double off =
            fabs((double)got[i] - (double)want[i]) / (place * fabs((double)want[i]) + slack);

        worst = off <= worst ? worst : off == off ? off : INFINITY;
    }
    return worst;
}

/* Reads tensor X of both; -1 with ERR. *WORST grows. */
static int compare(const struct trial *t, int x, struct device *const devices[2],
                   struct be_program *const programs[2], double *worst, struct err *err)
{
    const struct tensor *tensor = &t->tensors[x];
    const size_t n = tensor_elements(tensor);
    const bool exact = is_whole(tensor->dtype);
    float *v[2] = {calloc(n, sizeof(float)), calloc(n, sizeof(float))};
    double off;
    int rc = v[0] && v[1] ? 0 : err_set(err, ERR_NOMEM, "selftest");

    for (int d = 0; d < 2 && rc == 0; d++)
        rc = tensor_is_persistent(tensor)
                 ? devices[d]->kind->get(devices[d]->be, tensor->name, v[d], err)
                 : devices[d]->kind->read(programs[d], x, v[d], err);
    if (rc == 0) {
        off = exact ? (memcmp(v[0], v[1], n * sizeof(float)) == 0 ? 0 : INFINITY)
                    : distance(v[0], v[1], n, t->type, op_traits[t->op->kind].sums != NULL);
        *worst = off > *worst ? off : *worst;
    }
    free(v[0]);
    free(v[1]);
    return rc;
}

static int run_both(const struct trial *t, struct device *const devices[2], double *worst,
                    struct err *err)
{
    struct be_program *programs[2] = {NULL, NULL};
    int rc = 0;

    *worst = 0;
    for (int d = 0; d < 2 && rc == 0; d++)
        rc = devices[d]->kind->prepare(&programs[d], devices[d]->be, t->list, err);
    if (rc == 0)
        rc = give(t, devices, programs, err);
    for (int d = 0; d < 2 && rc == 0; d++)
        rc = devices[d]->kind->run(programs[d], &t->step, err);
    for (int i = 0; i < OP_MAX_OUT && rc == 0; i++)
        if (t->op->out[i])
            rc = compare(t, t->op->out[i], devices, programs, worst, err);
    for (int i = 0; i < OP_MAX_IN && rc == 0; i++)
        if (tensor_is_persistent(&t->tensors[t->op->in[i]]))
            rc = compare(t, t->op->in[i], devices, programs, worst, err);
    for (int d = 0; d < 2; d++)
        if (programs[d])
            devices[d]->kind->release(programs[d]);
    return rc;
}

/* --- all ops --------------------------------------------------------------------------------- */

static enum dtype type_of(const struct trial *t)
{
    for (int i = 0; i < OP_MAX_IN + OP_MAX_OUT; i++) {
        int k = i < OP_MAX_IN ? t->op->in[i] : t->op->out[i - OP_MAX_IN];

        if (t->tensors[k].role == TENSOR_ACT && dtype_is_16(t->tensors[k].dtype))
            return t->tensors[k].dtype;
    }
    return DTYPE_F32;
}

static void run_trial(struct selftest *s, struct trial *t, struct device *partner,
                      struct tally *tally)
{
    struct device *devices[2] = {&s->under, partner};
    struct err err = {0};
    double worst;

    if (run_both(t, devices, &worst, &err) < 0) {
        tally->unsupported += err.kind == ERR_UNSUPPORTED;
        tally->failed += err.kind != ERR_UNSUPPORTED;
        if (err.kind != ERR_UNSUPPORTED)
            snprintf(tally->where, sizeof tally->where, "; %.300s", err.msg);
        return;
    }
    tally->passed += worst <= 1;
    tally->failed += !(worst <= 1);
    if (worst > tally->worst) {
        char what[300];

        describe(what, sizeof what, t);
        tally->worst = worst;
        snprintf(tally->where, sizeof tally->where, "; at %s", what);
    }
}

/* Every op of L that SEEN does not hold yet. */
static void run_list(struct selftest *s, const struct op_list *l, struct device *partner,
                     json_t *seen, struct tally tallies[OP_KINDS])
{
    static uint8_t pixels[3 * SIDE * SIDE];

    for (int i = 0; i < l->n_ops; i++) {
        struct trial t = {.list = alone(l, &l->ops[i])};
        char what[400];

        t.tensors = t.list->tensors;
        t.op = &t.list->ops[0];
        t.type = type_of(&t);
        t.step = (struct step){.pictures = t.pictures,
                               .n_pictures = l->batch,
                               .seed = 3,
                               .lr = {1e-2, 1e-2, 1e-2},
                               .mom = 0.9,
                               .sqr_mom = 0.99,
                               .eps = 1e-5,
                               .wd = 0.1,
                               .adam_step = 3,
                               .ema_decay = 0.99};
        selftest_pictures(t.pictures, pixels, l->batch, AUGMENT_PRESIZE, SIDE, 32, CLASSES);
        describe(what, sizeof what, &t);
        if (!op_traits[t.op->kind].whole_list && !json_object_get(seen, what)) {
            json_object_set_new(seen, what, json_true());
            run_trial(s, &t, partner, &tallies[t.op->kind]);
        }
        op_list_free(t.list);
    }
}

static void report(struct selftest *s, const char *type, const struct device *partner,
                   const struct tally tallies[OP_KINDS])
{
    for (int k = 0; k < OP_KINDS; k++) {
        const struct tally *y = &tallies[k];
        char name[80];

        if (y->passed + y->failed + y->unsupported == 0)
            continue;
        snprintf(name, sizeof name, "op %s %s", op_kind_name((enum op_kind)k), type);
        selftest_check(
            s,
            y->failed   ? FAILED
            : y->passed ? PASSED
                        : LEFT_OUT,
            name,
            json_pack("{s:i, s:i, s:i, s:f, s:s}", "equal", y->passed, "different", y->failed,
                      "unsupported", y->unsupported, "worst", isfinite(y->worst) ? y->worst : 1e300,
                      "against", partner->kind->name),
            "%d of %d shapes as on %s; worst %.2g of what is allowed%s", y->passed,
            y->passed + y->failed, partner->kind->name, y->worst, y->failed ? y->where : "");
    }
}

void selftest_ops(struct selftest *s)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};
    static const struct {
        int arch;
        bool train;
    } lists[] = {{RESNET18, true}, {RESNET50, true}, {RESNEXT50_32X4D, true}, {RESNET18, false}};
    enum { LISTS = sizeof lists / sizeof lists[0] };

    for (int k = 0; k < 3; k++) {
        struct tally tallies[OP_KINDS] = {{0}};
        struct device *partner = selftest_partner(s, types[k]);
        json_t *seen = json_object();

        for (int i = 0; i < LISTS && selftest_has(s, types[k]); i++) {
            const struct model_options model = {.arch = lists[i].arch, .dropout = 0.5};
            const struct network_shape shape = {.batch = partner == &s->ref ? 2 : PICTURES_MAX,
                                                .size = 32,
                                                .dtype = types[k],
                                                .augment = true,
                                                .smoothing = 0.1,
                                                .averages = i == 0};
            struct network *net = NULL;
            struct op_list *l = NULL;
            struct err err = {0};

            if (network_new(&net, &model, CLASSES, &err) < 0 ||
                (lists[i].train ? network_train_list(&l, net, &shape, &err)
                                : network_infer_list(&l, net, &shape, &err)) < 0)
                selftest_error(s, "ops", &err);
            else
                run_list(s, l, partner, seen, tallies);
            op_list_free(l);
            network_free(net);
        }
        json_decref(seen);
        report(s, dtype_name(types[k]), partner, tallies);
    }
}
