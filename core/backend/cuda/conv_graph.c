/* conv_graph.c - cuDNN's graph calls in plain C.
 *
 * A graph is a handful of descriptors; conv_plan owns them all until it is freed. Order of
 * dimensions is always n c h w (k c r s), the layout lies in the strides. Engines are taken in the
 * order of heuristics A, then of its fallback list. SPDX-License-Identifier: MIT */
#include "backend/cuda/conv_graph.h"

#include <stdlib.h>
#include <string.h>

#include <cudnn.h>

typedef cudnnBackendDescriptor_t descriptor; /* as cuDNN calls it, shorter */

enum {
    MAX_DESCRIPTORS = 64,
    MAX_CONFIGS = 128, /* named by one heuristic */
    NOTES = 32,
    ALIGNMENT = 16,
    NOT_SUPPORTED = 3000, /* CUDNN_STATUS_CATEGORY of what another engine may be able to do */
};

enum uid { UID_X = 1, UID_FILTER, UID_Y, UID_BIAS, UID_ADD, UID_VIRTUAL };

struct conv_device {
    descriptor properties;
};

struct candidate {
    descriptor config, plan;
    struct conv_choice choice;
};

struct conv_plan {
    struct conv_shape shape;
    descriptor made[MAX_DESCRIPTORS]; /* of the graph */
    int n_made;
    int64_t n_virtual;
    struct candidate candidates[CONV_CANDIDATES];
    int n_candidates, current;
    int offered;
    bool ran;    /* the current candidate did: it stays */
    bool failed; /* a call on the way failed; ERR has why */
    struct err *err;
};

/* ---- calls ----------------------------------------------------------------------------------- */

static int refuse(struct err *err, const char *what, cudnnStatus_t status)
{
    char why[1024] = "";

    cudnnGetLastErrorString(why, sizeof why);
    return err_set(err, ERR_UNSUPPORTED, "cuDNN: %s: %s%s%s", what, cudnnGetErrorString(status),
                   *why ? ": " : "", why);
}

static descriptor make(struct conv_plan *p, cudnnBackendDescriptorType_t type)
{
    descriptor d = NULL;
    cudnnStatus_t status;

    if (p->failed)
        return NULL;
    BUG_IF(p->n_made == MAX_DESCRIPTORS);
    status = cudnnBackendCreateDescriptor(type, &d);
    if (status != CUDNN_STATUS_SUCCESS) {
        p->failed = true;
        refuse(p->err, "a descriptor", status);
        return NULL;
    }
    p->made[p->n_made++] = d;
    return d;
}

static void set(struct conv_plan *p, descriptor d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t n, const void *values)
{
    cudnnStatus_t status;

    if (p->failed)
        return;
    status = cudnnBackendSetAttribute(d, name, type, n, values);
    if (status != CUDNN_STATUS_SUCCESS) {
        p->failed = true;
        refuse(p->err, "an attribute", status);
    }
}

static void set_descriptor(struct conv_plan *p, descriptor d, cudnnBackendAttributeName_t name,
                           descriptor value)
{
    set(p, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static void finalize(struct conv_plan *p, descriptor d, const char *what)
{
    cudnnStatus_t status;

    if (p->failed)
        return;
    status = cudnnBackendFinalize(d);
    if (status != CUDNN_STATUS_SUCCESS) {
        p->failed = true;
        refuse(p->err, what, status);
    }
}

static void destroy(descriptor *d)
{
    if (*d)
        cudnnBackendDestroyDescriptor(*d);
    *d = NULL;
}

/* ---- device ---------------------------------------------------------------------------------- */

static int device_make(struct conv_device **out, cudnnBackendAttributeName_t name,
                       cudnnBackendAttributeType_t type, int64_t n, const void *value,
                       struct err *err)
{
    struct conv_device *d = calloc(1, sizeof *d);
    cudnnStatus_t status;

    *out = NULL;
    if (!d)
        return err_set(err, ERR_NOMEM, "device properties");
    status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &d->properties);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendSetAttribute(d->properties, name, type, n, value);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendFinalize(d->properties);
    if (status != CUDNN_STATUS_SUCCESS) {
        refuse(err, "device properties", status);
        conv_device_free(d);
        return -1;
    }
    *out = d;
    return 0;
}

int conv_device_of(struct conv_device **out, void *handle, struct err *err)
{
    cudnnHandle_t h = handle;

    return device_make(out, CUDNN_ATTR_DEVICEPROP_HANDLE, CUDNN_TYPE_HANDLE, 1, &h, err);
}

int conv_device_from_json(struct conv_device **out, const char *json, size_t n, struct err *err)
{
    if (device_make(out, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)n,
                    json, err) == 0)
        return 0;
    if (err)
        err->kind = ERR_FORMAT;
    return -1;
}

void conv_device_free(struct conv_device *d)
{
    if (!d)
        return;
    destroy(&d->properties);
    free(d);
}

/* ---- graph ----------------------------------------------------------------------------------- */

static cudnnDataType_t type_of(enum dtype t)
{
    switch (t) {
    case DTYPE_F16:
        return CUDNN_DATA_HALF;
    case DTYPE_BF16:
        return CUDNN_DATA_BFLOAT16;
    default:
        return CUDNN_DATA_FLOAT;
    }
}

/* (n, c, h, w) with c varying fastest. UID_VIRTUAL: lives inside the graph only, in fp32. */
static descriptor tensor(struct conv_plan *p, enum uid uid, int n, int c, int h, int w)
{
    const int64_t dims[4] = {n, c, h, w}, strides[4] = {(int64_t)c * h * w, 1, (int64_t)c * w, c},
                  alignment = ALIGNMENT;
    const bool is_virtual = uid == UID_VIRTUAL;
    const int64_t id = is_virtual ? UID_VIRTUAL + p->n_virtual++ : (int64_t)uid;
    const cudnnDataType_t type =
        is_virtual ? CUDNN_DATA_FLOAT : type_of((enum dtype)p->shape.dtype);
    descriptor d = make(p, CUDNN_BACKEND_TENSOR_DESCRIPTOR);

    set(p, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(p, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
    set(p, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    set(p, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    set(p, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    if (is_virtual)
        set(p, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    finalize(p, d, "a tensor");
    return d;
}

static descriptor convolution(struct conv_plan *p)
{
    const int64_t axes = 2, pad[2] = {p->shape.pad, p->shape.pad},
                  stride[2] = {p->shape.stride, p->shape.stride}, dilation[2] = {1, 1};
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    descriptor d = make(p, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);

    set(p, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &axes);
    set(p, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(p, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    set(p, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pad);
    set(p, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pad);
    set(p, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride);
    set(p, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation);
    finalize(p, d, "a convolution");
    return d;
}

/* Names of one pass's attributes. */
static const struct pass_row {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t x, filter, y, conv, alpha, beta;
} pass_rows[CONV_PASSES] = {
    [CONV_FORWARD] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                      CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    [CONV_DATA] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    [CONV_WEIGHT] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};

static descriptor conv_op(struct conv_plan *p, descriptor x, descriptor filter, descriptor y)
{
    const struct pass_row *row = &pass_rows[p->shape.pass];
    const float alpha = 1, beta = 0;
    descriptor conv = convolution(p), d = make(p, row->type);

    set_descriptor(p, d, row->x, x);
    set_descriptor(p, d, row->filter, filter);
    set_descriptor(p, d, row->y, y);
    set_descriptor(p, d, row->conv, conv);
    set(p, d, row->alpha, CUDNN_TYPE_FLOAT, 1, &alpha);
    set(p, d, row->beta, CUDNN_TYPE_FLOAT, 1, &beta);
    finalize(p, d, "the convolution's operation");
    return d;
}

/* y = x MODE b; B is NULL for a mode of one operand. */
static descriptor pointwise(struct conv_plan *p, cudnnPointwiseMode_t mode, descriptor x,
                            descriptor b, descriptor y)
{
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    descriptor what = make(p, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    descriptor d = make(p, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);

    set(p, what, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set(p, what, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type);
    finalize(p, what, "a pointwise step");
    set_descriptor(p, d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, what);
    set_descriptor(p, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b)
        set_descriptor(p, d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    set_descriptor(p, d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    finalize(p, d, "a pointwise operation");
    return d;
}

/* The operations of p->shape into OPS; their number. Every step but the last writes a virtual
 * tensor. */
static int operations(struct conv_plan *p, descriptor ops[4])
{
    const struct conv_shape *s = &p->shape;
    int left = s->add + s->bias + s->relu, n = 0;
    descriptor x = tensor(p, UID_X, s->n, s->c, s->h, s->w);
    descriptor filter = tensor(p, UID_FILTER, s->k, s->filter_c, s->r, s->s);
    descriptor y = tensor(p, left ? UID_VIRTUAL : UID_Y, s->n, s->k, s->p, s->q), next;

    ops[n++] = conv_op(p, x, filter, y);
    if (s->add) {
        next = tensor(p, --left ? UID_VIRTUAL : UID_Y, s->n, s->k, s->p, s->q);
        ops[n++] =
            pointwise(p, CUDNN_POINTWISE_ADD, y, tensor(p, UID_ADD, s->n, s->k, s->p, s->q), next);
        y = next;
    }
    if (s->bias) {
        next = tensor(p, --left ? UID_VIRTUAL : UID_Y, s->n, s->k, s->p, s->q);
        ops[n++] = pointwise(p, CUDNN_POINTWISE_ADD, y, tensor(p, UID_BIAS, 1, s->k, 1, 1), next);
        y = next;
    }
    if (s->relu) {
        next = tensor(p, UID_Y, s->n, s->k, s->p, s->q);
        ops[n++] = pointwise(p, CUDNN_POINTWISE_RELU_FWD, y, NULL, next);
    }
    return n;
}

static descriptor graph(struct conv_plan *p)
{
    descriptor ops[4];
    int n = operations(p, ops);
    descriptor d = make(p, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);

    set(p, d, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n, ops);
    finalize(p, d, "the graph");
    return d;
}

/* ---- plans ----------------------------------------------------------------------------------- */

struct notes {
    bool nondeterministic, tensor_core, down_convert;
};

/* Engine and notes of CONFIG; false when cuDNN does not tell. */
static bool read_engine(descriptor config, int64_t *index, struct notes *out)
{
    cudnnBackendNumericalNote_t notes[NOTES];
    descriptor engine = NULL;
    int64_t n = 0;
    bool ok;

    memset(out, 0, sizeof *out);
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) !=
        CUDNN_STATUS_SUCCESS)
        return false;
    ok =
        cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                 1, &n, &engine) == CUDNN_STATUS_SUCCESS &&
        cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &n,
                                 index) == CUDNN_STATUS_SUCCESS &&
        cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                 CUDNN_TYPE_NUMERICAL_NOTE, NOTES, &n,
                                 notes) == CUDNN_STATUS_SUCCESS;
    for (int64_t i = 0; ok && i < n && i < NOTES; i++) {
        out->nondeterministic |= notes[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
        out->tensor_core |= notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        out->down_convert |= notes[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
    }
    destroy(&engine);
    return ok;
}

static bool allowed(const struct conv_plan *p, const struct notes *n, const struct conv_rules *r)
{
    return !n->down_convert && !(n->nondeterministic && r->deterministic) &&
           !(n->tensor_core && p->shape.dtype == DTYPE_F32 && !r->tf32);
}

/* A plan of CONFIG that fits RULES becomes the next candidate; whether it did. */
static bool try_config(struct conv_plan *p, descriptor config, const struct conv_device *d,
                       const struct conv_rules *rules)
{
    struct candidate c = {.config = config};
    struct notes notes;
    int64_t n = 0, workspace = -1;

    if (!read_engine(config, &c.choice.engine, &notes) || !allowed(p, &notes, rules))
        return false;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &c.plan) !=
        CUDNN_STATUS_SUCCESS)
        return false;
    if (cudnnBackendSetAttribute(c.plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                                 CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                 &config) != CUDNN_STATUS_SUCCESS ||
        cudnnBackendSetAttribute(c.plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
                                 CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                 &d->properties) != CUDNN_STATUS_SUCCESS ||
        cudnnBackendFinalize(c.plan) != CUDNN_STATUS_SUCCESS ||
        cudnnBackendGetAttribute(c.plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64,
                                 1, &n, &workspace) != CUDNN_STATUS_SUCCESS ||
        workspace < 0 || (uint64_t)workspace > rules->workspace) {
        destroy(&c.plan);
        return false;
    }
    c.choice.workspace = (size_t)workspace;
    c.choice.deterministic = !notes.nondeterministic;
    c.choice.tensor_core = notes.tensor_core;
    p->candidates[p->n_candidates++] = c;
    return true;
}

/* What one heuristic names for GRAPH; *N of CONFIGS, the caller's to destroy. The count that it
 * promises is only an upper bound. */
static void ask(struct conv_plan *p, descriptor graph_, const struct conv_device *d,
                cudnnBackendHeurMode_t mode, descriptor configs[MAX_CONFIGS], int64_t *n)
{
    descriptor h = make(p, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    int64_t promised = 0;

    *n = 0;
    set_descriptor(p, h, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph_);
    set(p, h, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    set_descriptor(p, h, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, d->properties);
    if (p->failed || cudnnBackendFinalize(h) != CUDNN_STATUS_SUCCESS)
        return; /* the other heuristic may know */
    if (cudnnBackendGetAttribute(h, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0,
                                 &promised, NULL) != CUDNN_STATUS_SUCCESS)
        return;
    for (int64_t i = 0; i < promised && i < MAX_CONFIGS; i++, ++*n)
        if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[i]) !=
            CUDNN_STATUS_SUCCESS)
            break;
    promised = *n;
    if (promised == 0)
        return;
    if (cudnnBackendGetAttribute(h, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                 promised, n, configs) != CUDNN_STATUS_SUCCESS)
        *n = 0;
    for (int64_t i = *n; i < promised; i++)
        destroy(&configs[i]);
}

static int choose(struct conv_plan *p, const struct conv_device *d, const struct conv_rules *rules)
{
    static const cudnnBackendHeurMode_t modes[2] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    descriptor g = graph(p), configs[MAX_CONFIGS];
    char name[160];

    for (int m = 0; m < 2 && !p->failed; m++) {
        int64_t n;

        ask(p, g, d, modes[m], configs, &n);
        p->offered += (int)n;
        for (int64_t i = 0; i < n; i++)
            if (p->n_candidates == CONV_CANDIDATES || !try_config(p, configs[i], d, rules))
                destroy(&configs[i]);
    }
    if (p->failed)
        return -1;
    if (p->n_candidates > 0)
        return 0;
    conv_shape_name(&p->shape, name, sizeof name);
    return err_set(p->err, ERR_UNSUPPORTED,
                   "%s: cuDNN has %d engine configurations, none of them%s within %zu MB", name,
                   p->offered, rules->deterministic ? " deterministic and" : "",
                   rules->workspace >> 20);
}

int conv_plan_make(struct conv_plan **out, const struct conv_shape *s, const struct conv_device *d,
                   const struct conv_rules *rules, struct err *err)
{
    struct conv_plan *p;

    *out = NULL;
    if (conv_shape_check(s, err) < 0)
        return -1;
    p = calloc(1, sizeof *p);
    if (!p)
        return err_set(err, ERR_NOMEM, "plan of a convolution");
    p->shape = *s;
    p->err = err;
    if (choose(p, d, rules) < 0) {
        conv_plan_free(p);
        return -1;
    }
    p->err = NULL;
    *out = p;
    return 0;
}

void conv_plan_free(struct conv_plan *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->n_candidates; i++) {
        destroy(&p->candidates[i].plan);
        destroy(&p->candidates[i].config);
    }
    for (int i = p->n_made - 1; i >= 0; i--)
        destroy(&p->made[i]);
    free(p);
}

void conv_plan_choice(const struct conv_plan *p, struct conv_choice *out)
{
    *out = p->candidates[p->current].choice;
    out->offered = p->offered;
    out->fitting = p->n_candidates;
}

void conv_plan_prefer(struct conv_plan *p, int i, float ms)
{
    const struct candidate first = p->candidates[0];

    p->candidates[0] = p->candidates[i];
    p->candidates[i] = first;
    p->candidates[0].choice.ms = ms;
}

size_t conv_plan_workspace(const struct conv_plan *p)
{
    size_t most = 0;

    for (int i = p->current; i < p->n_candidates; i++)
        if (most < p->candidates[i].choice.workspace)
            most = p->candidates[i].choice.workspace;
    return most;
}

/* ---- run ------------------------------------------------------------------------------------- */

struct arguments {
    int64_t uids[5], n;
    void *pointers[5], *workspace;
};

static struct arguments arguments_of(const struct conv_plan *p, const struct conv_data *data,
                                     void *workspace)
{
    struct arguments a = {
        {UID_X, UID_FILTER, UID_Y}, 3, {data->x, data->filter, data->y}, workspace};

    if (p->shape.bias) {
        a.uids[a.n] = UID_BIAS;
        a.pointers[a.n++] = data->bias;
    }
    if (p->shape.add) {
        a.uids[a.n] = UID_ADD;
        a.pointers[a.n++] = data->add;
    }
    for (int64_t i = 0; i < a.n; i++)
        BUG_IF(!a.pointers[i] || (uintptr_t)a.pointers[i] % ALIGNMENT);
    return a;
}

static cudnnStatus_t execute(const struct conv_plan *p, int candidate, cudnnHandle_t handle,
                             const struct arguments *a)
{
    descriptor pack = NULL;
    cudnnStatus_t status =
        cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack);

    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS,
                                          CUDNN_TYPE_INT64, a->n, a->uids);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
                                          CUDNN_TYPE_VOID_PTR, a->n, a->pointers);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE,
                                          CUDNN_TYPE_VOID_PTR, 1, &a->workspace);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendFinalize(pack);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendExecute(handle, p->candidates[candidate].plan, pack);
    destroy(&pack);
    return status;
}

bool conv_plan_try(const struct conv_plan *p, int i, void *handle, const struct conv_data *data,
                   void *workspace)
{
    const struct arguments a = arguments_of(p, data, workspace);

    return execute(p, i, handle, &a) == CUDNN_STATUS_SUCCESS;
}

int conv_plan_run(struct conv_plan *p, void *handle, const struct conv_data *data, void *workspace,
                  struct err *err)
{
    const struct arguments a = arguments_of(p, data, workspace);
    char name[160];
    cudnnStatus_t status;

    for (;;) {
        status = execute(p, p->current, handle, &a);
        p->ran |= status == CUDNN_STATUS_SUCCESS;
        if (status == CUDNN_STATUS_SUCCESS)
            return 0;
        if (CUDNN_STATUS_CATEGORY(status) != NOT_SUPPORTED || p->ran ||
            p->current + 1 == p->n_candidates)
            break;
        p->current++;
    }
    conv_shape_name(&p->shape, name, sizeof name);
    refuse(err, name, status);
    return -1;
}
