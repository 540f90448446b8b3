/* cuda_conv.c - convolutions: their plans, the filters they read, and the batch norm that inference
 * does with them.
 *
 * In inference a convolution and the batch norm after it are one graph with bias, residual and relu,
 * where nothing else reads what lies between; its filter is the parameter times gamma / sqrt(var).
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/cuda.h"
#include "base/size.h"

/* ---- plans ----------------------------------------------------------------------------------- */

static struct conv_shape shape_of(const struct be_program *p, const struct cuda_op *o)
{
    const struct op *op = o->op;
    const bool data = op->kind == OP_CONV_BWD_DATA, weight = op->kind == OP_CONV_BWD_WEIGHT;
    const struct tensor *x = op_tensor(p, data ? op->out[0] : op->in[0]);
    const struct tensor *w = op_tensor(p, weight ? op->out[0] : op->in[1]);
    const struct tensor *y = op_tensor(p, data ? op->in[0] : weight ? op->in[1] : op->out[0]);
    struct conv_shape s;

    memset(&s, 0, sizeof s);
    s.pass = data ? CONV_DATA : weight ? CONV_WEIGHT : CONV_FORWARD;
    s.dtype = (int32_t)x->dtype;
    s.n = x->dims[0];
    s.c = device_channels(x);
    s.h = x->dims[2];
    s.w = x->dims[3];
    s.k = w->dims[0];
    s.r = w->dims[2];
    s.s = w->dims[3];
    s.p = y->dims[2];
    s.q = y->dims[3];
    s.filter_c = device_channels(w);
    s.groups = x->dims[1] / w->dims[1];
    s.stride = op->stride;
    s.pad = op->pad;
    if (o->norm) {
        s.bias = 1;
        s.add = o->norm->in[5] > 0;
        s.relu = o->norm->relu;
    }
    return s;
}

/* The plan kept for S, or a new one that is yet to be made. */
static int keep_plan(struct kept_plan **out, struct be *b, const struct conv_shape *s,
                     struct err *err)
{
    struct kept_plan *k = b->plans;

    while (k && memcmp(&k->shape, s, sizeof *s) != 0)
        k = k->next;
    if (!k) {
        k = calloc(1, sizeof *k);
        if (!k)
            return err_set(err, ERR_NOMEM, "plan of a convolution");
        k->shape = *s;
        k->next = b->plans;
        b->plans = k;
    }
    *out = k;
    return 0;
}

struct plan_work {
    const struct be *b;
    struct kept_plan **missing;
};

static void make_plan(void *ctx, int i, int worker)
{
    struct plan_work *w = ctx;
    struct kept_plan *k = w->missing[i];

    (void)worker;
    if (conv_plan_make(&k->plan, &k->shape, w->b->conv_device, &w->b->rules, &k->err) < 0)
        k->plan = NULL;
}

int plans_make(struct be_program *p, struct err *err)
{
    struct plan_work w = {.b = p->be};
    int n = 0, rc = 0;

    for (struct kept_plan *k = p->be->plans; k; k = k->next)
        n += !k->plan;
    w.missing = calloc((size_t)n + 1, sizeof(struct kept_plan *));
    if (!w.missing)
        return err_set(err, ERR_NOMEM, "plans of convolutions");
    n = 0;
    for (struct kept_plan *k = p->be->plans; k; k = k->next)
        if (!k->plan)
            w.missing[n++] = k;
    pool_run(p->be->pool, n, make_plan, &w);
    if (!p->be->rules.deterministic)
        rc = plans_tune(p->be, w.missing, n, err);
    free(w.missing);
    if (rc < 0)
        return -1;
    for (int i = 0; i < p->list->n_ops; i++)
        if (p->ops[i].conv && !p->ops[i].conv->plan) {
            if (err)
                *err = p->ops[i].conv->err;
            return err_wrap(err, "op %d %s", i, op_kind_name(p->ops[i].op->kind));
        }
    return 0;
}

void plans_free(struct be *b)
{
    for (struct kept_plan *k = b->plans, *next; k; k = next) {
        next = k->next;
        conv_plan_free(k->plan);
        free(k);
    }
}

char *cuda_plans(const struct be *b)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    for (const struct kept_plan *k = b->plans; file && k; k = k->next) {
        struct conv_choice c;
        char name[160];

        if (!k->plan)
            continue;
        conv_plan_choice(k->plan, &c);
        conv_shape_name(&k->shape, name, sizeof name);
        fprintf(file, "%s: engine %lld, %zu bytes of workspace%s%s", name, (long long)c.engine,
                c.workspace, c.tensor_core ? ", tensor cores" : "",
                c.deterministic ? "" : ", other bits from run to run");
        if (c.ms > 0)
            fprintf(file, ", %.3f ms, the fastest of %d", (double)c.ms, c.fitting);
        fputc('\n', file);
    }
    if (!file || fclose(file) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* ---- filters --------------------------------------------------------------------------------- */

/* Chunks of filter W of the torch layout at TORCH, (k, r, s, c) at KRSC, in elements; CAST: they
 * count elements of the latter. */
static int add_filter(struct be_program *p, struct cuda_op *o, const struct tensor *w, size_t torch,
                      size_t krsc, bool cast, struct err *err)
{
    const size_t n = cast ? device_elements(w) : tensor_elements(w);
    const int more = (int)((n + CUDA_CHUNK - 1) / CUDA_CHUNK);
    struct cuda_filter_chunk *grown =
        realloc(p->filters, (size_t)(p->n_filters + more) * sizeof *grown);

    if (!grown)
        return err_set(err, ERR_NOMEM, "%s", w->name);
    p->filters = grown;
    o->first_chunk = p->n_filters;
    o->n_chunks = more;
    for (size_t first = 0; first < n; first += CUDA_CHUNK)
        p->filters[p->n_filters++] = (struct cuda_filter_chunk){
            .torch = torch,
            .krsc = krsc,
            .c = (uint32_t)w->dims[1],
            .rs = (uint32_t)(w->dims[2] * w->dims[3]),
            .c_pad = (uint32_t)device_channels(w),
            .first = (uint32_t)first,
            .n = (uint32_t)(n - first < CUDA_CHUNK ? n - first : CUDA_CHUNK)};
    return 0;
}

static bool reads_filter(const struct cuda_op *o)
{
    return o->conv && o->op->kind != OP_CONV_BWD_WEIGHT;
}

/* An op before O that reads the same copy; NULL: O is the first. */
static const struct cuda_op *same_copy(const struct be_program *p, const struct cuda_op *o)
{
    for (const struct cuda_op *e = p->ops; e < o; e++)
        if (reads_filter(e) && !e->norm && e->param[1] == o->param[1])
            return e;
    return NULL;
}

static int place_copy(struct be_program *p, struct cuda_op *o, size_t *bytes, struct err *err)
{
    const struct tensor *w = op_tensor(p, o->op->in[1]);
    const size_t size = dtype_size(op_tensor(p, o->op->in[0])->dtype);
    const struct cuda_op *first = o->norm ? NULL : same_copy(p, o);

    if (first) {
        o->filter = first->filter;
        return 0;
    }
    o->filter = *bytes;
    *bytes = align_up(*bytes + device_elements(w) * size, DEVICE_ALIGN);
    if (!o->norm)
        return add_filter(p, o, w, o->param[1]->at, o->filter / size, true, err);
    o->bias = *bytes;
    *bytes = align_up(*bytes + (size_t)w->dims[0] * size, DEVICE_ALIGN);
    return 0;
}

int filters_make(struct be_program *p, size_t *copies, size_t *staging, struct err *err)
{
    *copies = *staging = 0;
    for (int i = 0; i < p->list->n_ops; i++)
        if (reads_filter(&p->ops[i]) && place_copy(p, &p->ops[i], copies, err) < 0)
            return -1;
    p->n_casts = p->n_filters;
    for (int i = 0; i < p->list->n_ops; i++) {
        struct cuda_op *o = &p->ops[i];
        const struct tensor *w;
        size_t bytes;

        if (o->op->kind != OP_CONV_BWD_WEIGHT)
            continue;
        w = op_tensor(p, o->op->out[0]);
        bytes = device_elements(w) * dtype_size(op_tensor(p, o->op->in[0])->dtype);
        *staging = *staging < bytes ? bytes : *staging;
        if (add_filter(p, o, w, (p->at[o->op->out[0]] - p->grads) / sizeof(float), 0, false, err) <
            0)
            return -1;
    }
    return 0;
}

/* Sums of the versions of what copies and folded filters are made of. */
static void versions(const struct be_program *p, uint64_t *cast, uint64_t *fold)
{
    *cast = *fold = 0;
    for (int i = 0; i < p->list->n_ops; i++) {
        const struct cuda_op *o = &p->ops[i];

        if (!reads_filter(o))
            continue;
        *(o->norm ? fold : cast) += o->param[1]->version;
        for (int k = 1; o->norm && k <= 4; k++)
            *fold += o->norm_param[k]->version;
    }
}

static int fold(struct be_program *p, const struct cuda_op *o, struct err *err)
{
    const struct tensor *w = op_tensor(p, o->op->in[1]);
    const enum dtype type = type_of(p, o->op->in[0]);
    struct persistent *const *n = o->norm_param;

    return cuda_check(cuda_bn_fold(p->be->compute, p->memory + p->copies + o->filter, type,
                                   p->memory + p->copies + o->bias, type, param(p, o->param[1]),
                                   param(p, n[1]), param(p, n[2]), param(p, n[3]), param(p, n[4]),
                                   w->dims[0], w->dims[1], w->dims[2] * w->dims[3],
                                   device_channels(w)),
                      w->name, err);
}

int refresh_filters(struct be_program *p, struct err *err)
{
    const struct cuda_filter_chunk *table =
        (const struct cuda_filter_chunk *)(void *)(p->memory + p->filters_at);
    uint64_t cast, folded;

    versions(p, &cast, &folded);
    if (cast != p->cast_version && p->n_casts > 0) {
        const struct cuda_op *o = p->ops;

        while (!reads_filter(o) || o->norm)
            o++;
        if (cuda_check(cuda_cast_weights(p->be->compute, p->memory + p->copies,
                                         type_of(p, o->op->in[0]), p->be->store, table, p->n_casts),
                       "copies of weights", err) < 0)
            return -1;
    }
    for (int i = 0; folded != p->fold_version && i < p->list->n_ops; i++)
        if (p->ops[i].norm && fold(p, &p->ops[i], err) < 0)
            return -1;
    p->cast_version = cast;
    p->fold_version = folded;
    return 0;
}

/* ---- ops ------------------------------------------------------------------------------------- */

static int run_conv(struct be_program *p, const struct cuda_op *o, struct err *err)
{
    const struct op *op = o->op;
    const bool data = op->kind == OP_CONV_BWD_DATA, weight = op->kind == OP_CONV_BWD_WEIGHT;
    char *copies = p->memory + p->copies, *staging = p->memory + p->staging;
    const struct cuda_filter_chunk *table =
        (const struct cuda_filter_chunk *)(void *)(p->memory + p->filters_at);
    const struct conv_data d = {
        .x = act(p, data ? op->out[0] : op->in[0]),
        .filter = weight ? staging : copies + o->filter,
        .y = act(p, data     ? op->in[0]
                    : weight ? op->in[1]
                             : (o->norm ? o->norm : op)->out[0]),
        .bias = o->norm ? copies + o->bias : NULL,
        .add = o->norm ? act(p, o->norm->in[5]) : NULL,
    };

    if (conv_plan_run(o->conv->plan, p->be->cudnn, &d, p->memory + p->workspace, err) < 0)
        return -1;
    if (!weight)
        return 0;
    return cuda_check(cuda_cast_grads(p->be->compute, (float *)(void *)(p->memory + p->grads),
                                      staging, type_of(p, op->in[0]), table + o->first_chunk,
                                      o->n_chunks),
                      op_tensor(p, op->out[0])->name, err);
}

int cuda_conv_op(struct be_program *p, struct cuda_op *o, struct err *err)
{
    struct conv_shape s;

    if (op_list_folds(p->list, (int)(o - p->ops))) {
        o->norm = o->op + 1;
        if (persistents_of_op(o->norm_param, &p->be->persistents, p->list, o->norm, err) < 0)
            return -1;
    }
    o->run = run_conv;
    s = shape_of(p, o);
    return keep_plan(&o->conv, p->be, &s, err);
}
