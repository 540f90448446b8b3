/* ops.h - one-op lists with seeded inputs, run on any backend and compared with ref.
 *
 * Bounds follow Higham 2002, section 3.1: a sum of K products in fp32, in any order, is off by at
 * most gamma_K sum|x w|, gamma_K = K u / (1 - K u); twice that is allowed between two backends.
 * Comparisons are written so that a NaN fails. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_OPS_H
#define PRESIZE_TESTS_OPS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "backend/backend.h"
#include "backend/elem.h"
#include "backend/ref.h"
#include "base/rng.h"
#ifdef OPS_EMULATED
#include "../cuda/emulated.h"
#endif

enum { MAX_IN = 6, MAX_OUT = 4, GUARD = 16, CLASSES_MAX = 64 };
static const double unit = 0x1p-24; /* rounding error of fp32 */

struct ops_case {
    enum op_kind kind;
    int n, micro;          /* pictures, microbatch */
    int c, h, w;           /* the larger tensor; vectors have h = w = 1 */
    int k, r, stride, pad; /* convolution; k also classes, linear's outputs */
    int groups;            /* convolution; 0: 1 */
    bool relu,
        extra; /* relu: Nesterov's momentum of SGD; extra: residual, dz2, dy2, running statistics, dlogits */
    bool masked; /* BN_APPLY writes a mask; BN_BWD_STATS reads one where relu is set */
    enum dtype dtype;
    bool refused;           /* the cpu backend must answer ERR_UNSUPPORTED */
    float smoothing, focal; /* SOFTMAX_LOSS */
    bool mixed, weighted;   /* AUGMENT, SOFTMAX_LOSS: the step has mixes, weights */
    int part, parts;        /* GRAD_SUM */
};

struct ops_setup { /* a case as a list, with inputs */
    struct ops_case c;
    struct op_list *list;
    float *in[MAX_IN];
    size_t n_in[MAX_IN], n_out[MAX_OUT];
    struct picture *pictures;
    struct mix *mixes;
    float *weights;
    struct step step;
};

struct ops_results {
    float *out[MAX_OUT];  /* guarded on both sides */
    float *state[MAX_IN]; /* persistent inputs after the run */
};

/* How a backend is opened. */
struct ops_device {
    const char *name;
    struct exec_options options;
    bool same;       /* bits as the first's */
    bool own;        /* it does every convolution that is not refused */
    const char *isa; /* of its kernels, at most; NULL: the best */
};
// clang-format off
static const struct ops_device ops_devices[] = {
#ifdef OPS_EMULATED /* the CUDA kernels on the host; with 2 threads: tensors off their alignment */
    {.name = "emulated", .options = {.threads = 1}},
    {.name = "emulated", .options = {.threads = 1}, .same = true},
    {.name = "emulated", .options = {.threads = 2}},
#else
    {.name = "cpu", .options = {.threads = 1}, .own = true},
    {.name = "cpu", .options = {.threads = 3}, .same = true, .own = true},
    {.name = "cpu", .options = {.threads = 2}, .same = true, .isa = "avx512bf16"},
    {.name = "cpu", .options = {.threads = 2}, .same = true, .isa = "avx512"},
    {.name = "cpu", .options = {.threads = 2}, .same = true, .isa = "avx2"},
    {.name = "cpu", .options = {.threads = 2}, .same = true, .isa = "base"},
    /* a second opinion, in both layouts that it asks for */
    {.name = "cpu", .options = {.threads = 2, .conv = CONV_ONEDNN, .layout = LAYOUT_BLOCKED}},
    {.name = "cpu", .options = {.threads = 2, .conv = CONV_ONEDNN, .layout = LAYOUT_NHWC}},
    {.name = "cuda", .options = {.threads = 1}},
#endif
};
// clang-format on
enum { N_DEVICES = sizeof ops_devices / sizeof ops_devices[0] };

/* The backend of device D, to be opened before another is asked for; NULL where it is not built in, or has no
 * device here. */
static inline const struct backend *ops_backend(int d)
{
#ifdef OPS_EMULATED
    (void)d;
    return &emulated_backend;
#else
    const struct backend *k = backend_find(ops_devices[d].name);
    struct be *b = NULL;
    struct err err = {0};

    if (ops_devices[d].isa)
        setenv("PRESIZE_ISA", ops_devices[d].isa, 1);
    else
        unsetenv("PRESIZE_ISA");
    if (!k || k->open(&b, &ops_devices[d].options, &err) < 0)
        return NULL;
    k->close(b);
    return k;
#endif
}

static inline const char *ops_case_name(const struct ops_case *c)
{
    static char name[200];

    snprintf(name, sizeof name, "%s n=%d/%d c=%d %dx%d k=%d r=%d /%d p%d g%d %s%s%s%s",
             op_kind_name(c->kind), c->n, c->micro, c->c, c->h, c->w, c->k, c->r, c->stride, c->pad,
             c->groups, dtype_name(c->dtype), c->relu ? " relu" : "", c->extra ? " extra" : "",
             c->masked ? " masked" : "");
    return name;
}

/* --- lists ---------------------------------------------------------------------------------- */

static inline int ops_tensor(struct op_list *l, enum tensor_role role, enum dtype t, int d0, int d1,
                             int d2, int d3)
{
    char name[32];

    snprintf(name, sizeof name, "t%d", l->n_tensors);
    return op_list_tensor(l, name, role, t, d0, d1, d2, d3);
}

static inline int ops_vector(struct op_list *l, enum tensor_role role, int n)
{
    return ops_tensor(l, role, role == TENSOR_STAT ? DTYPE_F64 : DTYPE_F32,
                      role == TENSOR_STAT ? 2 : n, role == TENSOR_STAT ? n : 1, 1, 1);
}

/* The sizes of a case by letter; l: of GRAD_SUM's levels. */
static inline void ops_sizes(int sizes[OP_LETTERS], const struct ops_case *c, const struct op *o)
{
    const int given[OP_LETTERS] = {
        ['n' - 'a'] = c->n, ['c' - 'a'] = c->c, ['h' - 'a'] = c->h,
        ['w' - 'a'] = c->w, ['k' - 'a'] = c->k, ['r' - 'a'] = c->r,
        ['s' - 'a'] = c->r, ['l' - 'a'] = 4,    ['g' - 'a'] = c->groups ? c->groups : 1};

    memcpy(sizes, given, sizeof given);
    op_sizes_derive(sizes, o);
}

/* Whether the case has an operand that may be absent: a mask is written where MASKED and read where RELU. */
static inline bool ops_has(const struct ops_case *c, const struct operand *o, bool input)
{
    if (o->role == 'B')
        return input ? c->relu : c->masked;
    if (o->role == 'A' && !input && c->kind == OP_BN_BWD_STATS)
        return c->extra || c->relu; /* g */
    return c->extra || o->role >= 'a';
}

/* A new tensor for operand O; 0 where it may be absent and is. */
static inline int ops_operand(struct op_list *l, const struct ops_case *c, const struct op *op,
                              const struct operand *o, bool input)
{
    const char role = (char)(o->role | 0x20);
    int sizes[OP_LETTERS], d[4];

    if (!o->name || !ops_has(c, o, input))
        return 0;
    ops_sizes(sizes, c, op);
    op_shape(d, o->shape, sizes);
    switch (role) {
    case 'p':
        return ops_tensor(l, TENSOR_PARAM, DTYPE_F32, d[0], d[1], d[2], d[3]);
    case 's':
        return ops_tensor(l, TENSOR_STATE, DTYPE_F32, d[0], d[1], d[2], d[3]);
    case 'e':
        return ops_tensor(l, c->extra ? TENSOR_PARAM : TENSOR_STATE, DTYPE_F32, d[0], d[1], d[2],
                          d[3]);
    case 'g':
        return ops_tensor(l, TENSOR_GRAD, DTYPE_F32, d[0], d[1], d[2], d[3]);
    case 't':
        return ops_tensor(l, TENSOR_STAT, DTYPE_F64, d[0], d[1], d[2], d[3]);
    default:
        return ops_tensor(l, TENSOR_ACT,
                          role == 'f'   ? DTYPE_F32
                          : role == 'u' ? DTYPE_U8
                          : role == 'b' ? DTYPE_BITS
                          : role == 'i' ? DTYPE_I32
                                        : c->dtype,
                          d[0], d[1], d[2], d[3]);
    }
}

static inline struct op_list *ops_build(const struct ops_case *c)
{
    struct op_list *l = op_list_new(c->n, c->micro);
    struct op o = {.kind = c->kind};

    assert_non_null(l);
    o.stride = c->stride;
    o.pad = c->pad;
    o.relu = c->relu && c->kind != OP_BN_BWD_STATS;
    o.nesterov = c->relu;
    o.rate = 0.3f;
    o.layer = 2;
    o.group = 1;
    o.decay = c->extra;
    o.smoothing = c->smoothing;
    o.focal = c->focal;
    for (int i = 0; i < OP_MAX_IN; i++)
        o.in[i] = ops_operand(l, c, &o, &op_traits[c->kind].in[i], true);
    for (int i = 0; i < OP_MAX_OUT; i++)
        o.out[i] = ops_operand(l, c, &o, &op_traits[c->kind].out[i], false);
    op_list_add(l, o);
    return l;
}

/* --- inputs --------------------------------------------------------------------------------- */

/* A tap of max pooling's window at (I, J) that lies inside. */
static inline float ops_tap(struct rng *r, const struct ops_case *c, int i, int j)
{
    for (;;) {
        int tap = (int)rng_below(r, 9), row = 2 * i - 1 + tap / 3, col = 2 * j - 1 + tap % 3;

        if (row >= 0 && row < c->h && col >= 0 && col < c->w)
            return (float)tap;
    }
}

static inline float ops_value(struct rng *r, const struct ops_case *c, int which, size_t i)
{
    const float x = (float)rng_normal(r);
    const int q = (c->w - 1) / 2 + 1, p = (c->h - 1) / 2 + 1;
    const struct operand *o = &op_traits[c->kind].in[which];

    switch (o->values) {
    case VALUES_SPREAD: /* means of several deviations */
        return x + 3.0f * (float)(i / ((size_t)c->h * (size_t)c->w) % 3);
    case VALUES_VARIANCE: /* smaller ones where the op divides by their root */
        return fabsf(x) + (o->changed ? 0.5f : 0.2f);
    case VALUES_STAT:
        return i >= (size_t)c->c ? 0.5f + fabsf(x) : x;
    case VALUES_TIES: /* few levels, so that maxima are often shared */
        return floorf(2.0f * x) - 1.0f;
    case VALUES_TAP:
        return ops_tap(r, c, (int)(i / (size_t)q % (size_t)p), (int)(i % (size_t)q));
    case VALUES_PIXEL:
        return (float)rng_below(r, (uint32_t)(c->h * c->w));
    case VALUES_LOGITS:
        return i / (size_t)c->k == 1 ? 30.0f * x : 4.0f * x;
    case VALUES_SQUARES:
        return x * x;
    default:
        if ((o->role | 0x20) == 'b')
            return (float)rng_below(r, 256);
        return c->kind == OP_ADAM && which == 4 ? 0.25f : x; /* 0.25: a clip */
    }
}

static inline float ops_rounded(float x, enum dtype t)
{
    uint16_t bits;

    dtype_put(&bits, 0, t, x);
    return dtype_get(&bits, 0, t);
}

/* The setup of case C, its inputs drawn by SEED. */
static inline struct ops_setup ops_begin(const struct ops_case *c, uint64_t seed)
{
    struct ops_setup s = {.c = *c, .list = ops_build(c)};
    const struct op *o = &s.list->ops[0];
    struct err err = {0};

    if (op_list_check(s.list, &err) < 0)
        fail_msg("%s: %s", ops_case_name(c), err.msg);
    for (int i = 0; i < MAX_IN; i++) {
        struct rng r = rng_begin(seed, RNG_TEST, 0, (uint32_t)i);
        const struct tensor *t = o->in[i] ? &s.list->tensors[o->in[i]] : NULL;

        if (!t)
            continue;
        s.n_in[i] = tensor_elements(t);
        s.in[i] = malloc(s.n_in[i] * sizeof(float));
        assert_non_null(s.in[i]);
        for (size_t e = 0; e < s.n_in[i]; e++) {
            s.in[i][e] = ops_value(&r, c, i, e);
            if (dtype_is_16(c->dtype) && t->role != TENSOR_STAT && t->dtype != DTYPE_BITS)
                s.in[i][e] = ops_rounded(s.in[i][e], c->dtype);
        }
    }
    for (int i = 0; i < MAX_OUT; i++)
        s.n_out[i] = tensor_elements(&s.list->tensors[o->out[i]]);
    s.pictures = calloc((size_t)c->n, sizeof *s.pictures);
    assert_non_null(s.pictures);
    s.mixes = calloc((size_t)c->n, sizeof *s.mixes);
    s.weights = calloc((size_t)c->n, sizeof *s.weights);
    assert_true(s.mixes && s.weights);
    for (int n = 0; n < c->n; n++) {
        s.pictures[n].label = c->k ? (n * 7) % c->k : 0;
        s.pictures[n].position = (uint32_t)(100 + n);
        s.mixes[n] = (struct mix){.partner = (n * 3 + 1) % c->n, .share = 0.1f * (float)(n % 5)};
        s.weights[n] = 0.5f + 0.25f * (float)(n % 4);
    }
    s.step = (struct step){.pictures = s.pictures,
                           .n_pictures = c->n,
                           .mixes = c->mixed ? s.mixes : NULL,
                           .weights = c->weighted ? s.weights : NULL,
                           .part = c->part,
                           .parts = c->parts,
                           .ema_decay = 0.9,
                           .seed = seed,
                           .epoch = 3,
                           .lr = {0, 1e-2},
                           .mom = 0.9,
                           .sqr_mom = 0.99,
                           .eps = 1e-5,
                           .wd = 0.1,
                           .adam_step = 3};
    return s;
}

static inline void ops_end(struct ops_setup *s)
{
    for (int i = 0; i < MAX_IN; i++)
        free(s->in[i]);
    free(s->pictures);
    free(s->mixes);
    free(s->weights);
    op_list_free(s->list);
}

/* --- runs ----------------------------------------------------------------------------------- */

static inline float *ops_guarded(size_t n)
{
    float *v = malloc((n + 2 * GUARD) * sizeof *v);

    assert_non_null(v);
    for (size_t i = 0; i < n + 2 * GUARD; i++)
        v[i] = 12345.0f;
    return v + GUARD;
}

/* Checks the guards of V and frees it. */
static inline void ops_unguard(float *v, size_t n)
{
    if (!v)
        return;
    for (size_t i = 0; i < GUARD; i++)
        assert_true(v[(ptrdiff_t)i - GUARD] == 12345.0f && v[n + i] == 12345.0f);
    free(v - GUARD);
}

static inline void ops_results_free(struct ops_results *r, const struct ops_setup *s)
{
    for (int i = 0; i < MAX_OUT; i++)
        ops_unguard(r->out[i], s->n_out[i]);
    for (int i = 0; i < MAX_IN; i++)
        ops_unguard(r->state[i], s->n_in[i]);
    memset(r, 0, sizeof *r);
}

static inline int ops_give(const struct backend *k, struct be *b, struct be_program *p,
                           const struct ops_setup *s, struct err *err)
{
    const struct op *o = &s->list->ops[0];

    for (int i = 0; i < MAX_IN; i++) {
        const struct tensor *t = o->in[i] ? &s->list->tensors[o->in[i]] : NULL;

        if (t && (tensor_is_persistent(t) ? k->put(b, t->name, s->in[i], err)
                                          : k->write(p, o->in[i], s->in[i], err)) < 0)
            return -1;
    }
    return 0;
}

static inline int ops_take(const struct backend *k, struct be *b, struct be_program *p,
                           const struct ops_setup *s, struct ops_results *r, struct err *err)
{
    const struct op *o = &s->list->ops[0];

    for (int i = 0; i < MAX_OUT; i++) {
        if (!o->out[i])
            continue;
        r->out[i] = ops_guarded(s->n_out[i]);
        if (k->read(p, o->out[i], r->out[i], err) < 0)
            return -1;
    }
    for (int i = 0; i < MAX_IN; i++) {
        const struct tensor *t = o->in[i] ? &s->list->tensors[o->in[i]] : NULL;

        if (!t || !tensor_is_persistent(t))
            continue;
        r->state[i] = ops_guarded(s->n_in[i]);
        if (k->get(b, t->name, r->state[i], err) < 0)
            return -1;
    }
    return 0;
}

static inline bool ops_same_bits(const struct ops_setup *s, const struct ops_results *a,
                                 const struct ops_results *b)
{
    for (int i = 0; i < MAX_OUT; i++)
        if (a->out[i] && memcmp(a->out[i], b->out[i], s->n_out[i] * sizeof(float)) != 0)
            return false;
    for (int i = 0; i < MAX_IN; i++)
        if (a->state[i] && memcmp(a->state[i], b->state[i], s->n_in[i] * sizeof(float)) != 0)
            return false;
    return true;
}

/* Runs S twice from the same inputs (sums must start from 0, the bits must repeat). 0, or -1 with
 * ERR. */
static inline int ops_run(const struct backend *k, const struct exec_options *options,
                          const struct ops_setup *s, struct ops_results *r, struct err *err)
{
    struct be *b = NULL;
    struct be_program *p = NULL;
    struct ops_results again = {0};
    int rc = -1;

    memset(r, 0, sizeof *r);
    if (k->open(&b, options, err) < 0 || k->prepare(&p, b, s->list, err) < 0)
        goto out;
    if (ops_give(k, b, p, s, err) < 0 || k->run(p, &s->step, err) < 0 ||
        ops_take(k, b, p, s, r, err) < 0 || ops_give(k, b, p, s, err) < 0 ||
        k->run(p, &s->step, err) < 0 || ops_take(k, b, p, s, &again, err) < 0)
        goto out;
    if (!ops_same_bits(s, r, &again))
        fail_msg("%s on %s: a second run gives other bits", ops_case_name(&s->c), k->name);
    rc = 0;
out:
    ops_results_free(&again, s);
    k->release(p);
    k->close(b);
    return rc;
}

#endif
