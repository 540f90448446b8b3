/* ref.c - the ref backend: plain loops in double, the oracle of the tests.
 *
 * Slow on purpose: one thread, no microbatches (in double the order of a sum is no matter).
 * SPDX-License-Identifier: MIT */
#include "backend/ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/elem.h"
#include "backend/persistent.h"
#include "base/clock.h"

struct be {
    struct persistents persistents;
    bool exact;
};

struct be_program {
    struct be *be;
    struct op_list *list;
    double **data; /* per tensor; PARAM and STATE: the persistent's, the others owned */
    double seconds[OP_KINDS];
};

#define ENTRY(KIND, name) [OP_##KIND] = ref_##name,
static void (*const ref_ops[OP_KINDS])(const struct ref_call *) = {OP_EACH(ENTRY)};

void ref_store(const struct ref_tensor *t, size_t i, double x)
{
    if (t->exact)
        t->v[i] = x;
    else if (t->dtype == DTYPE_F32)
        t->v[i] = (double)(float)x;
    else if (t->dtype == DTYPE_BF16)
        t->v[i] = (double)f32_from_bf16(bf16_from_f32((float)x));
    else if (t->dtype == DTYPE_F16)
        t->v[i] = (double)f32_from_f16(f16_from_f32((float)x));
    else
        t->v[i] = x;
}

static int place(struct be *b, struct persistent *t, struct err *err)
{
    (void)b;
    t->values = calloc(t->n, sizeof *t->values);
    return t->values ? 0 : err_set(err, ERR_NOMEM, "%s", t->name);
}

static void drop(struct persistent *t)
{
    free(t->values);
}

static int open_ref(struct be **out, bool exact, struct err *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return err_set(err, ERR_NOMEM, "ref backend");
    (*out)->exact = exact;
    (*out)->persistents.place = place;
    return 0;
}

static int ref_open(struct be **out, const struct exec_options *o, struct err *err)
{
    (void)o;
    return open_ref(out, false, err);
}

static int ref_exact_open(struct be **out, const struct exec_options *o, struct err *err)
{
    (void)o;
    return open_ref(out, true, err);
}

static void ref_close(struct be *b)
{
    if (!b)
        return;
    persistents_free(&b->persistents, drop);
    free(b);
}

static void ref_info(const struct be *b, struct be_info *info)
{
    (void)b;
    memset(info, 0, sizeof *info);
    snprintf(info->device, sizeof info->device, "reference loops");
    snprintf(info->isa, sizeof info->isa, "double");
    snprintf(info->library, sizeof info->library, "none");
    info->threads = 1;
    info->has_bf16 = true;
}

static void ref_release(struct be_program *p)
{
    if (!p)
        return;
    for (int i = 1; p->data && i < p->list->n_tensors; i++)
        if (!tensor_is_persistent(&p->list->tensors[i]))
            free(p->data[i]);
    free(p->data);
    op_list_free(p->list);
    free(p);
}

static int ref_prepare(struct be_program **out, struct be *b, const struct op_list *list,
                       struct err *err)
{
    struct be_program *p = NULL;

    *out = NULL;
    if (op_list_check(list, err) < 0)
        return -1;
    p = calloc(1, sizeof *p);
    if (!p)
        return err_set(err, ERR_NOMEM, "ref backend");
    p->be = b;
    p->list = op_list_copy(list);
    if (!p->list) {
        err_set(err, ERR_NOMEM, "ref backend");
        goto fail;
    }
    p->data = calloc((size_t)p->list->n_tensors + 1, sizeof *p->data);
    if (!p->data) {
        err_set(err, ERR_NOMEM, "ref backend");
        goto fail;
    }
    for (int i = 1; i < p->list->n_tensors; i++) {
        const struct tensor *t = &p->list->tensors[i];

        if (tensor_is_persistent(t)) {
            struct persistent *s;

            if (persistents_get(&s, &b->persistents, t, err) < 0)
                goto fail;
            p->data[i] = s->values;
            continue;
        }
        p->data[i] = calloc(tensor_elements(t), sizeof **p->data);
        if (!p->data[i]) {
            err_set(err, ERR_NOMEM, "%s: %zu values", t->name, tensor_elements(t));
            goto fail;
        }
    }
    *out = p;
    return 0;
fail:
    ref_release(p);
    return -1;
}

static void ref_memory(const struct be_program *p, struct be_memory *m)
{
    memset(m, 0, sizeof *m);
    for (int i = 1; i < p->list->n_tensors; i++) {
        const struct tensor *t = &p->list->tensors[i];
        size_t bytes = tensor_elements(t) * sizeof(double);

        if (t->role == TENSOR_PARAM)
            m->parameters += bytes;
        else if (t->role == TENSOR_STATE)
            m->optimiser += bytes;
        else if (t->role == TENSOR_GRAD)
            m->gradients += bytes;
        else
            m->activations += bytes;
        m->total += bytes;
    }
}

static struct ref_tensor tensor_of(const struct be_program *p, int t)
{
    struct ref_tensor r = {0};

    if (t == 0)
        return r;
    r.v = p->data[t];
    r.d = p->list->tensors[t].dims;
    r.n = tensor_elements(&p->list->tensors[t]);
    r.dtype = p->list->tensors[t].dtype;
    r.exact = p->be->exact;
    return r;
}

/* Euclidean norm of every gradient that an optimiser steps by. */
static double grad_norm(const struct be_program *p)
{
    double sum = 0.0;

    for (int i = 0; i < p->list->n_ops; i++) {
        struct ref_tensor g = tensor_of(p, p->list->ops[i].in[0]);

        for (size_t k = 0; op_is_update(p->list->ops[i].kind) && k < g.n; k++)
            sum += g.v[k] * g.v[k];
    }
    return sqrt(sum);
}

static int ref_run(struct be_program *p, const struct step *step, struct err *err)
{
    if (step->n_pictures < 0 || step->n_pictures > p->list->batch)
        return err_set(err, ERR_INPUT, "%d pictures for a list of batch %d", step->n_pictures,
                       p->list->batch);
    for (int i = 0; i < p->list->n_ops; i++) {
        const struct op *o = &p->list->ops[i];
        struct ref_call c = {.op = o, .step = step, .batch = p->list->batch};
        double start = clock_seconds();

        if (!op_runs(o, step))
            continue;
        if (op_traits[o->kind].whole_list)
            c.grad_norm = grad_norm(p);
        for (int k = 0; k < OP_MAX_IN; k++)
            c.in[k] = tensor_of(p, o->in[k]);
        for (int k = 0; k < 4; k++)
            c.out[k] = tensor_of(p, o->out[k]);
        ref_ops[o->kind](&c);
        p->seconds[o->kind] += clock_seconds() - start;
    }
    return 0;
}

static void ref_profile(const struct be_program *p, double seconds[OP_KINDS])
{
    memcpy(seconds, p->seconds, sizeof p->seconds);
}

static int ref_put(struct be *b, const char *name, const float *src, struct err *err)
{
    const struct persistent *s = persistents_find(&b->persistents, name, err);

    if (!s)
        return -1;
    for (size_t i = 0; i < s->n; i++)
        s->values[i] = (double)src[i];
    return 0;
}

static int ref_get(struct be *b, const char *name, float *dst, struct err *err)
{
    const struct persistent *s = persistents_find(&b->persistents, name, err);

    if (!s)
        return -1;
    for (size_t i = 0; i < s->n; i++)
        dst[i] = (float)s->values[i];
    return 0;
}

static int ref_read(struct be_program *p, int tensor, float *dst, struct err *err)
{
    if (tensor < 1 || tensor >= p->list->n_tensors)
        return err_set(err, ERR_INPUT, "no tensor %d", tensor);
    for (size_t i = 0; i < tensor_elements(&p->list->tensors[tensor]); i++)
        dst[i] = (float)p->data[tensor][i];
    return 0;
}

static int ref_write(struct be_program *p, int tensor, const float *src, struct err *err)
{
    struct ref_tensor t;

    if (tensor < 1 || tensor >= p->list->n_tensors ||
        tensor_is_persistent(&p->list->tensors[tensor]))
        return err_set(err, ERR_INPUT, "no tensor %d that can be written", tensor);
    for (int i = 0; i < p->list->n_ops; i++)
        for (int k = 0; k < 4; k++)
            if (p->list->ops[i].out[k] == tensor)
                return err_set(err, ERR_INPUT, "%s is written by op %d",
                               p->list->tensors[tensor].name, i);
    t = tensor_of(p, tensor);
    for (size_t i = 0; i < t.n; i++)
        ref_store(&t, i, (double)src[i]);
    return 0;
}

double *ref_values(struct be_program *p, int tensor)
{
    BUG_IF(tensor < 1 || tensor >= p->list->n_tensors);
    return p->data[tensor];
}

const struct backend ref_backend = {
    .name = "ref",
    .open = ref_open,
    .close = ref_close,
    .info = ref_info,
    .prepare = ref_prepare,
    .release = ref_release,
    .memory = ref_memory,
    .run = ref_run,
    .profile = ref_profile,
    .put = ref_put,
    .get = ref_get,
    .read = ref_read,
    .write = ref_write,
};

const struct backend ref_exact_backend = {
    .name = "ref_exact",
    .open = ref_exact_open,
    .close = ref_close,
    .info = ref_info,
    .prepare = ref_prepare,
    .release = ref_release,
    .memory = ref_memory,
    .run = ref_run,
    .profile = ref_profile,
    .put = ref_put,
    .get = ref_get,
    .read = ref_read,
    .write = ref_write,
};
