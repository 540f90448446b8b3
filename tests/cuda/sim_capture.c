/* sim_capture.c - stream capture and graphs of the simulated device.
 *
 * While a stream is captured, what is put on it becomes a node with its arguments as they are then. A
 * launch puts copies of all nodes on the stream, whose order is looked at as ever; the buffers that a node
 * uses must still be there. Stricter than CUDA: a capture takes kernels, libraries' work, memsets and
 * copies on the device, and whatever else is asked for meanwhile breaks it.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "sim_private.h"

struct node {
    struct node *next;
    const char *name;
    void (*run)(void *args);
    size_t size;
    struct {
        const void *at;
        bool write;
    } touches[TOUCHED_MAX];
    int n_touches;
    _Alignas(16) char args[];
};

struct CUgraph_st {
    struct node *first, **end;
};

struct CUgraphExec_st {
    struct node *first;
};

static struct {
    cudaStream_t stream; /* NULL: none is captured */
    struct CUgraph_st *graph;
    bool broken;
} capture;

static cudaGraphExec_t stale; /* the first that was launched, for PLANT_STALE */

static void nodes_free(struct node *n)
{
    for (struct node *next; n; n = next) {
        next = n->next;
        free(n);
    }
}

bool sim_captures(void)
{
    capture.broken |= capture.stream != NULL;
    return capture.stream != NULL;
}

bool sim_capture(cudaStream_t s, const char *name, void (*run)(void *args), const void *args,
                 size_t size, const struct touch *touches, int n_touches)
{
    struct node *n;

    if (!capture.stream || s != capture.stream)
        return false;
    capture.broken |= sim.no_capture;
    n = calloc(1, sizeof *n + size);
    BUG_IF(!n);
    n->name = name;
    n->run = run;
    n->size = size;
    memcpy(n->args, args, size);
    for (int i = 0; i < n_touches; i++) {
        n->touches[i].at = touches[i].buffer->at;
        n->touches[i].write = touches[i].write;
    }
    n->n_touches = n_touches;
    *capture.graph->end = n;
    capture.graph->end = &n->next;
    return true;
}

/* ---- entry points ---------------------------------------------------------------------------- */

cudaError_t cudaStreamBeginCapture(cudaStream_t s, enum cudaStreamCaptureMode mode)
{
    if (sim_fails())
        return sim_error();
    if (mode != cudaStreamCaptureModeThreadLocal)
        sim_fault("a capture that other threads' calls would break");
    if (capture.stream)
        return cudaErrorIllegalState;
    capture.stream = s;
    capture.broken = false;
    capture.graph = calloc(1, sizeof *capture.graph);
    BUG_IF(!capture.graph);
    capture.graph->end = &capture.graph->first;
    sim.buffers++;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *out)
{
    const bool fails = sim_fails();

    *out = NULL;
    if (capture.stream != s)
        return cudaErrorIllegalState;
    capture.stream = NULL;
    if (fails || capture.broken) {
        cudaGraphDestroy(capture.graph);
        return fails ? sim_error() : cudaErrorStreamCaptureInvalidated;
    }
    *out = capture.graph;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags)
{
    (void)flags;
    if (sim_fails())
        return sim_error();
    BUG_IF(!graph->first); /* empty, or made twice: its nodes went to the other */
    *out = calloc(1, sizeof **out);
    BUG_IF(!*out);
    (*out)->first = graph->first;
    graph->first = NULL;
    sim.buffers++;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    nodes_free(graph->first);
    free(graph);
    sim.buffers--;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    if (exec == stale)
        stale = NULL;
    nodes_free(exec->first);
    free(exec);
    sim.buffers--;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    if (sim_fails())
        return sim_error();
    if (sim_captures())
        return cudaErrorStreamCaptureUnsupported;
    sim.graphs++;
    stale = stale ? stale : exec;
    if (sim.plant == PLANT_STALE)
        exec = stale;
    for (const struct node *n = exec->first; n; n = n->next) {
        struct touch touches[TOUCHED_MAX];

        for (int i = 0; i < n->n_touches; i++) {
            touches[i].buffer = sim_buffer(n->touches[i].at, 1, "a graph's node");
            touches[i].write = n->touches[i].write;
            if (!touches[i].buffer)
                return cudaErrorIllegalAddress;
        }
        sim_enqueue(stream, n->name, n->run, n->args, n->size, touches, n->n_touches);
    }
    return cudaSuccess;
}
