/* cuda_graph.c - whole runs of a list as CUDA graphs, one launch each.
 *
 * The same code enqueues with a graph and without, so the bits are the same. A graph freezes addresses
 * and which ops run: its key. What the host decides from step to step is enqueued before it, on the
 * same stream. The first run of a kind has no graph, as then kernels are loaded and refused plans make
 * way for others. Once a capture fails there are no more graphs on this device.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "backend/cuda/cuda.h"

static void say(struct be *b, const char *how, const char *why)
{
    snprintf(b->info.steps, sizeof b->info.steps, "%s%.*s", how, 200, why);
}

void graphs_open(struct be *b)
{
    const char *why = b->wait                                   ? "$PRESIZE_CUDA_WAIT is set"
                      : b->options.cuda_graph == CUDA_GRAPH_OFF ? "exec.cuda_graph=off"
                      : ranks_count(b) > 1                      ? "several GPUs add up in between"
                                                                : NULL;

    b->graphs = !why;
    if (why)
        say(b, "op by op: ", why);
}

void graphs_free(struct be_program *p)
{
    for (int i = 0; i < GRAPHS; i++)
        if (p->graphs[i].exec)
            cudaGraphExecDestroy(p->graphs[i].exec);
}

/* Whether this run may be a graph's; the one place that decides. */
static bool may_be_graph(const struct be_program *p)
{
    return p->be->graphs && !p->step->only;
}

static bool same_key(const struct graph_key *a, const struct graph_key *b)
{
    return a->step == b->step && a->pixels == b->pixels && a->store == b->store &&
           a->last == b->last;
}

static cudaGraphExec_t find(const struct be_program *p, const struct graph_key *key)
{
    for (int i = 0; i < GRAPHS; i++)
        if (p->graphs[i].exec && same_key(&p->graphs[i].key, key))
            return p->graphs[i].exec;
    return NULL;
}

static int launch(struct be_program *p, cudaGraphExec_t exec, struct err *err)
{
    return cuda_check(cudaGraphLaunch(exec, p->be->compute), "a graph", err);
}

/* What ops_run() enqueues, as a graph. An open capture is closed in any case. */
static int capture(cudaGraph_t *out, struct be_program *p, struct err *err)
{
    int rc, code;

    *out = NULL;
    if (cuda_check(cudaStreamBeginCapture(p->be->compute, cudaStreamCaptureModeThreadLocal),
                   "a graph's capture", err) < 0)
        return -1;
    rc = ops_run(p, false, err);
    code = cudaStreamEndCapture(p->be->compute, out);
    return rc < 0 ? -1 : cuda_check(code, "a graph's capture", err);
}

/* Makes the graph of KEY, in the oldest one's place, and launches it. */
static int make(struct be_program *p, const struct graph_key *key, struct err *err)
{
    struct step_graph *g = &p->graphs[p->next_graph];
    cudaGraphExec_t exec = NULL;
    cudaGraph_t graph;
    int rc = capture(&graph, p, err);

    if (rc == 0)
        rc = cuda_check(cudaGraphInstantiate(&exec, graph, 0), "a graph", err);
    if (graph)
        cudaGraphDestroy(graph);
    if (rc == 0)
        rc = launch(p, exec, err);
    if (rc < 0) {
        if (exec)
            cudaGraphExecDestroy(exec);
        return -1;
    }
    if (g->exec) /* one under way is freed when it is over */
        cudaGraphExecDestroy(g->exec);
    *g = (struct step_graph){*key, exec};
    p->next_graph = (p->next_graph + 1) % GRAPHS;
    return 0;
}

int graph_run(struct be_program *p, struct err *err)
{
    const struct graph_key key = {p->device_step, p->pixels, p->be->store, step_is_last(p->step)};
    cudaGraphExec_t exec = find(p, &key);
    struct err why = {0};

    if (!may_be_graph(p))
        return ops_run(p, true, err);
    if (!p->warm[key.last]) {
        p->warm[key.last] = true;
        return ops_run(p, true, err);
    }
    if (exec)
        return launch(p, exec, err);
    if (make(p, &key, &why) == 0) {
        say(p->be, "CUDA graphs", "");
        return 0;
    }
    (void)cudaGetLastError();
    p->be->graphs = false;
    say(p->be, "op by op: ", why.msg);
    return ops_run(p, true, err);
}
