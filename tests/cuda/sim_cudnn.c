/* sim_cudnn.c - the simulated cuDNN: descriptors, heuristics, plans. Stricter than the real one.
 *
 * Heuristic A names six engines, of which four must not or cannot be taken: one with other bits from
 * run to run, one that rounds its inputs, one that is not supported after all, one that wants more
 * workspace than anybody has. The fifth sometimes refuses when it is run.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_cudnn.h"

enum config {
    CONFIG_NONDETERMINISTIC,
    CONFIG_DOWN_CONVERT,
    CONFIG_NOT_SUPPORTED,
    CONFIG_HUGE,
    CONFIG_MOODY,
    CONFIG_GOOD,
    N_CONFIGS,
    PROMISED = N_CONFIGS + 3 /* an upper bound only */
};

struct cudnnContext {
    cudaStream_t stream;
};

/* ---- descriptors ----------------------------------------------------------------------------- */

static size_t value_bytes(cudnnBackendAttributeType_t type)
{
    switch (type) {
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
        return 8;
    case CUDNN_TYPE_BOOLEAN:
    case CUDNN_TYPE_CHAR:
        return 1;
    default: /* enums and float */
        return 4;
    }
}

const struct attribute *sim_attribute(const struct sim_descriptor *d,
                                      cudnnBackendAttributeName_t name)
{
    for (int i = 0; i < d->n; i++)
        if (d->attributes[i].name == name)
            return &d->attributes[i];
    return NULL;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t *out)
{
    struct sim_descriptor *d = calloc(1, sizeof *d);

    BUG_IF(!d);
    d->type = type;
    *out = d;
    __atomic_add_fetch(&sim.buffers, 1, __ATOMIC_RELAXED);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor)
{
    struct sim_descriptor *d = descriptor;

    for (int i = 0; i < d->n; i++)
        free(d->attributes[i].values);
    free(d);
    __atomic_sub_fetch(&sim.buffers, 1, __ATOMIC_RELAXED);
    return CUDNN_STATUS_SUCCESS;
}

/* Strides of another layout, or a filter (up to 7x7) of half the channels, where that is planted. */
static void plant(const struct sim_descriptor *d, struct attribute *a)
{
    const struct attribute *size = sim_attribute(d, CUDNN_ATTR_TENSOR_DIMENSIONS);
    const bool strides = a->name == CUDNN_ATTR_TENSOR_STRIDES;
    int64_t *v = a->values;

    if (d->type != CUDNN_BACKEND_TENSOR_DESCRIPTOR)
        return;
    if (sim.plant == PLANT_STRIDE && strides)
        v[2]++;
    if (sim.plant == PLANT_GROUPS && a->name == CUDNN_ATTR_TENSOR_DIMENSIONS && v[2] <= 7)
        v[1] /= 2;
    if (sim.plant == PLANT_GROUPS && strides && ((const int64_t *)size->values)[2] <= 7)
        for (int i = 0; i < 4; i++)
            v[i] /= i == 1 ? 1 : 2;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t n,
                                       const void *values)
{
    struct sim_descriptor *d = descriptor;
    struct attribute *a = &d->attributes[d->n];
    const size_t bytes = (size_t)n * value_bytes(type);

    if (d->final || d->n == ATTRIBUTES_MAX || sim_attribute(d, name) || n < 1)
        sim_fault("cudnnBackendSetAttribute: set twice, or after cudnnBackendFinalize");
    for (int64_t i = 0; type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < n; i++) {
        const struct sim_descriptor *value = ((struct sim_descriptor *const *)values)[i];

        if (!value || !value->final)
            sim_fault("cudnnBackendSetAttribute: a descriptor that is not final");
    }
    *a = (struct attribute){name, type, n, malloc(bytes)};
    BUG_IF(!a->values);
    memcpy(a->values, values, bytes);
    plant(d, a);
    d->n++;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor)
{
    struct sim_descriptor *d = descriptor;
    struct sim_graph graph;

    if (d->type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR && !sim_graph_read(&graph, d))
        return CUDNN_STATUS_BAD_PARAM;
    if (d->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
        const struct sim_descriptor *config = *(struct sim_descriptor *const *)sim_attribute(
                                                   d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)
                                                   ->values;

        d->config = config->config;
        d->graph = config->graph;
        if (d->config == CONFIG_NOT_SUPPORTED)
            return CUDNN_STATUS_NOT_SUPPORTED;
    }
    d->final = true;
    return CUDNN_STATUS_SUCCESS;
}

/* ---- heuristics ------------------------------------------------------------------------------ */

static void name_configs(const struct sim_descriptor *heuristic, int64_t *n,
                         struct sim_descriptor **configs, int64_t room)
{
    struct sim_descriptor *graph = *(struct sim_descriptor *const *)sim_attribute(
                                        heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH)
                                        ->values;
    const cudnnBackendHeurMode_t mode =
        *(const cudnnBackendHeurMode_t *)sim_attribute(heuristic, CUDNN_ATTR_ENGINEHEUR_MODE)
             ->values;

    *n = mode == CUDNN_HEUR_MODE_A ? N_CONFIGS : 0;
    if (*n > room)
        *n = room;
    for (int64_t i = 0; i < *n; i++) {
        configs[i]->config = (int)i;
        configs[i]->graph = graph;
        configs[i]->final = true;
    }
}

static int64_t notes_of(int config, cudnnBackendNumericalNote_t *notes)
{
    if (config == CONFIG_NONDETERMINISTIC)
        notes[0] = CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
    else if (config == CONFIG_DOWN_CONVERT)
        notes[0] = CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
    else
        return 0;
    return 1;
}

static int64_t workspace_of(const struct sim_descriptor *plan)
{
    const int64_t some = (int64_t)((uintptr_t)plan / 64 % 4096); /* nobody may know it */

    return plan->config == CONFIG_HUGE ? (int64_t)1 << 62 : 256 * some;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t room, int64_t *n,
                                       void *values)
{
    const struct sim_descriptor *d = descriptor;
    struct sim_descriptor *engine;

    (void)type;
    switch (name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS:
        if (room == 0)
            *n = PROMISED;
        else
            name_configs(d, n, values, room);
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINECFG_ENGINE:
        engine = *(struct sim_descriptor **)values;
        engine->config = d->config;
        engine->final = true;
        *n = 1;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINE_GLOBAL_INDEX:
        *(int64_t *)values = d->config;
        *n = 1;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE:
        *n = notes_of(d->config, values);
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
        *(int64_t *)values = workspace_of(d);
        *n = 1;
        return CUDNN_STATUS_SUCCESS;
    default:
        sim_fault("cudnnBackendGetAttribute: an attribute that is not simulated");
        return CUDNN_STATUS_NOT_SUPPORTED;
    }
}

/* ---- running --------------------------------------------------------------------------------- */

struct pack {
    const struct attribute *uids, *pointers;
    int64_t taken;
};

/* The simulation's view of tensor T, and its buffer into TOUCHES. NULL for a virtual one. */
static void *find_data(struct pack *p, const struct sim_tensor *t, bool write,
                       struct touch *touches, int *n)
{
    for (int64_t i = 0; i < p->uids->n; i++) {
        void *at = ((void *const *)p->pointers->values)[i];
        struct buffer *b;

        if (((const int64_t *)p->uids->values)[i] != t->uid)
            continue;
        p->taken++;
        if ((uintptr_t)at % 16)
            sim_fault("cudnnBackendExecute: a pointer that is not 16-byte aligned");
        b = sim_buffer(at, sim_tensor_bytes(t), "cudnnBackendExecute");
        if (!b)
            return NULL;
        touches[(*n)++] = (struct touch){b, write};
        return sim_shadow(at);
    }
    sim_fault("cudnnBackendExecute: a tensor without data");
    return NULL;
}

static void find_workspace(struct sim_execution *e, const struct sim_descriptor *plan,
                           const struct sim_descriptor *pack, struct touch *touches, int *n)
{
    void *at = *(void *const *)sim_attribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE)->values;
    struct buffer *b;

    e->workspace_bytes = (size_t)workspace_of(plan);
    if (sim.plant == PLANT_WORKSPACE)
        e->workspace_bytes += 1 << 30;
    if (e->workspace_bytes == 0)
        return;
    b = sim_buffer(at, e->workspace_bytes, "cudnnBackendExecute, workspace");
    e->workspace = b ? sim_shadow(at) : NULL;
    if (b)
        touches[(*n)++] = (struct touch){b, true};
    else
        e->workspace_bytes = 0;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan_,
                                  cudnnBackendDescriptor_t pack_)
{
    const struct sim_descriptor *plan = plan_, *pack = pack_;
    struct pack p = {sim_attribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS),
                     sim_attribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS), 0};
    struct sim_execution e = {0};
    struct sim_graph *g = &e.graph;
    struct touch touches[TOUCHED_MAX];
    bool data, weight;
    int n = 0;

    if (sim_fails())
        return CUDNN_STATUS_EXECUTION_FAILED;
    if (!plan->final || !pack->final || !sim_graph_read(g, plan->graph))
        return CUDNN_STATUS_BAD_PARAM;
    if (plan->config == CONFIG_MOODY && g->x.d[1] % 3 == 0)
        return CUDNN_STATUS_NOT_SUPPORTED;
    data = g->pass == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR;
    weight = g->pass == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR;
    if (!data)
        e.x = find_data(&p, &g->x, false, touches, &n);
    if (!weight)
        e.filter = find_data(&p, &g->filter, false, touches, &n);
    if (data || weight)
        e.y = find_data(&p, &g->y, false, touches, &n);
    e.out = find_data(&p, &g->out, true, touches, &n);
    for (int i = 0; i < g->n_steps; i++)
        if (!g->steps[i].relu)
            e.others[i] = find_data(&p, &g->steps[i].other, false, touches, &n);
    if (p.taken != p.uids->n)
        sim_fault("cudnnBackendExecute: data for a tensor that the graph does not have");
    find_workspace(&e, plan, pack, touches, &n);
    if (sim.fault[0])
        return CUDNN_STATUS_BAD_PARAM;
    sim.convolutions++;
    e.seconds = plan->config == sim.fastest ? 1e-3 : 2e-3;
    sim_enqueue(handle->stream, "a convolution", sim_execute, &e, sizeof e, touches, n);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *h)
{
    if (sim_fails())
        return CUDNN_STATUS_NOT_INITIALIZED;
    *h = calloc(1, sizeof **h);
    BUG_IF(!*h);
    sim.buffers++;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t h)
{
    sim.buffers--;
    free(h);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t h, cudaStream_t stream)
{
    if (!h)
        return CUDNN_STATUS_NOT_INITIALIZED;
    h->stream = stream;
    return sim_fails() ? CUDNN_STATUS_BAD_PARAM : CUDNN_STATUS_SUCCESS;
}

size_t cudnnGetVersion(void)
{
    return CUDNN_VERSION;
}

size_t cudnnGetCudartVersion(void)
{
    return CUDART_VERSION;
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    return status == CUDNN_STATUS_SUCCESS ? "success" : "an error of the simulation";
}

void cudnnGetLastErrorString(char *out, size_t size)
{
    snprintf(out, size, "%s", sim.fault);
}
