/* sim_cudnn_run.c - the simulated cuDNN's arithmetic: convolutions in double, one rounding at the end.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "sim_cudnn.h"

static size_t elements(const struct sim_tensor *t)
{
    return (size_t)(t->d[0] * t->d[1] * t->d[2] * t->d[3]);
}

size_t sim_tensor_bytes(const struct sim_tensor *t)
{
    return elements(t) * dtype_size(t->type);
}

static float *load(const struct sim_tensor *t, const void *data)
{
    float *v = malloc(elements(t) * sizeof *v);

    BUG_IF(!v);
    for (size_t i = 0; i < elements(t); i++)
        v[i] = dtype_get(data, i, t->type);
    return v;
}

/* One tap (i, j) of the filter: CALL(n, row of x, column of x, place in y) for every place it meets. */
struct place {
    size_t x, y; /* first element of the pixel in x and in y */
};

static bool place_of(struct place *at, const struct sim_graph *g, int64_t n, int64_t p, int64_t q,
                     int64_t i, int64_t j)
{
    const int64_t h = p * g->stride + i - g->pad, w = q * g->stride + j - g->pad;

    if (h < 0 || h >= g->x.d[2] || w < 0 || w >= g->x.d[3])
        return false;
    at->x = (size_t)(((n * g->x.d[2] + h) * g->x.d[3] + w) * g->x.d[1]);
    at->y = (size_t)(((n * g->y.d[2] + p) * g->y.d[3] + q) * g->y.d[1]);
    return true;
}

/* Adds to TO, in double, what pixel AT contributes through tap F of the filter, (k, c / groups) with rows
 * STEP apart. */
static void contribute(const struct sim_graph *g, double *to, const float *x, const float *y,
                       const float *f, size_t step, struct place at)
{
    const size_t c = (size_t)g->filter.d[1], k = (size_t)g->y.d[1],
                 each = k / ((size_t)g->x.d[1] / c); /* filters of a group */

    for (size_t o = 0; o < k; o++) {
        const size_t from = at.x + o / each * c; /* its group's first channel */

        if (g->pass == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR) {
            double sum = 0;

            for (size_t i = 0; i < c; i++)
                sum += (double)x[from + i] * (double)f[o * step + i];
            to[at.y + o] += sum;
        } else if (g->pass == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR) {
            for (size_t i = 0; i < c; i++)
                to[from + i] += (double)y[at.y + o] * (double)f[o * step + i];
        } else {
            for (size_t i = 0; i < c; i++)
                to[o * step + i] += (double)y[at.y + o] * (double)x[from + i];
        }
    }
}

static void convolve(const struct sim_graph *g, double *to, const float *x, const float *filter,
                     const float *y)
{
    const int64_t taps = g->filter.d[2] * g->filter.d[3];
    const size_t step = (size_t)(taps * g->filter.d[1]);
    const bool weight = g->pass == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR;

    for (int64_t turn = 0; turn < taps; turn++) {
        /* nobody may count on an order of sums */
        const int64_t tap = sim.seed & 1 ? turn : taps - 1 - turn, i = tap / g->filter.d[3],
                      j = tap % g->filter.d[3];
        const size_t offset = (size_t)(tap * g->filter.d[1]);

        for (int64_t n = 0; n < g->y.d[0]; n++)
            for (int64_t p = 0; p < g->y.d[2]; p++)
                for (int64_t q = 0; q < g->y.d[3]; q++) {
                    struct place at;

                    if (place_of(&at, g, n, p, q, i, j))
                        contribute(g, weight ? to + offset : to, x, y,
                                   filter ? filter + offset : NULL, step, at);
                }
    }
}

static void pointwise(const struct sim_execution *e, double *v)
{
    const size_t n = elements(&e->graph.out), k = (size_t)e->graph.out.d[1];

    for (int s = 0; s < e->graph.n_steps; s++) {
        const struct sim_step *step = &e->graph.steps[s];
        const bool vector = !step->relu && elements(&step->other) != n;

        for (size_t i = 0; i < n; i++)
            v[i] = step->relu
                       ? (v[i] < 0 ? 0 : v[i])
                       : (double)(float)v[i] +
                             (double)dtype_get(e->others[s], vector ? i % k : i, step->other.type);
    }
}

void sim_execute(void *execution)
{
    const struct sim_execution *e = execution;
    const struct sim_graph *g = &e->graph;
    float *x = e->x ? load(&g->x, e->x) : NULL, *y = e->y ? load(&g->y, e->y) : NULL,
          *filter = e->filter ? load(&g->filter, e->filter) : NULL;
    double *to = calloc(elements(&g->out), sizeof *to);

    BUG_IF(!to);
    if (e->workspace_bytes > 0)
        memset(e->workspace, NAN_BYTE, e->workspace_bytes);
    sim_spend(e->seconds);
    convolve(g, to, x, filter, y);
    pointwise(e, to);
    for (size_t i = 0; i < elements(&g->out); i++)
        dtype_put(e->out, i, g->out.type, (float)to[i]);
    free(x);
    free(y);
    free(filter);
    free(to);
}
