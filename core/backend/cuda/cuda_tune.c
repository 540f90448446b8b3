/* cuda_tune.c - the fastest of each convolution's candidates, timed on this device.
 *
 * Only where exec.deterministic is false: which one is fastest may change from run to run, and the bits with
 * it. Convolutions run on scratch memory, whatever is in it. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>

#include "backend/cuda/cuda.h"
#include "base/size.h"

enum { TRIES = 5 /* the median counts, after one to warm up */ };

struct tuner {
    struct be *b;
    char *scratch;
    cudaEvent_t before, after;
};

/* Bytes of scratch memory that K needs; its addresses into D where SCRATCH is some. */
static size_t lay_out(struct conv_data *d, void **workspace, const struct kept_plan *k,
                      char *scratch)
{
    const struct conv_shape *s = &k->shape;
    const size_t size = dtype_size((enum dtype)s->dtype),
                 x = (size_t)s->n * (size_t)s->h * (size_t)s->w * (size_t)s->c,
                 y = (size_t)s->n * (size_t)s->p * (size_t)s->q * (size_t)s->k,
                 filter = (size_t)s->k * (size_t)s->r * (size_t)s->s * (size_t)s->filter_c;
    const size_t bytes[6] = {x * size,
                             filter * size,
                             y * size,
                             s->bias ? (size_t)s->k * size : 0,
                             s->add ? y * size : 0,
                             conv_plan_workspace(k->plan)};
    void **const to[6] = {&d->x, &d->filter, &d->y, &d->bias, &d->add, workspace};
    size_t at = 0;

    for (int i = 0; i < 6; i++) {
        *to[i] = scratch && bytes[i] > 0 ? scratch + at : NULL;
        at = align_up(at + bytes[i], DEVICE_ALIGN);
    }
    return at;
}

static int by_value(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* Median milliseconds of candidate I; infinite where cuDNN refuses it. */
static int time_of(float *ms, const struct tuner *t, struct kept_plan *k, int i, struct err *err)
{
    struct conv_data d;
    void *workspace;
    float all[TRIES];

    lay_out(&d, &workspace, k, t->scratch);
    *ms = INFINITY;
    for (int n = -1; n < TRIES; n++) {
        if (cuda_check(cudaEventRecord(t->before, t->b->compute), "an event", err) < 0)
            return -1;
        if (!conv_plan_try(k->plan, i, t->b->cudnn, &d, workspace))
            return 0;
        if (cuda_check(cudaEventRecord(t->after, t->b->compute), "an event", err) < 0 ||
            cuda_check(cudaEventSynchronize(t->after), "a convolution", err) < 0 ||
            cuda_check(cudaEventElapsedTime(&all[n < 0 ? 0 : n], t->before, t->after), "a time",
                       err) < 0)
            return -1;
    }
    qsort(all, TRIES, sizeof *all, by_value);
    *ms = all[TRIES / 2];
    return 0;
}

static int tune(const struct tuner *t, struct kept_plan *k, struct err *err)
{
    struct conv_choice c;
    float best_ms = INFINITY;
    int best = -1;

    conv_plan_choice(k->plan, &c);
    for (int i = 0; i < c.fitting; i++) {
        float ms;

        if (time_of(&ms, t, k, i, err) < 0)
            return -1;
        if (ms < best_ms) {
            best_ms = ms;
            best = i;
        }
    }
    if (best >= 0)
        conv_plan_prefer(k->plan, best, best_ms);
    return 0;
}

int plans_tune(struct be *b, struct kept_plan *const *plans, int n, struct err *err)
{
    struct tuner t = {.b = b};
    struct conv_data unused;
    void *none;
    size_t most = 0;
    int rc = -1;

    for (int i = 0; i < n; i++) {
        const size_t bytes = plans[i]->plan ? lay_out(&unused, &none, plans[i], NULL) : 0;

        most = most < bytes ? bytes : most;
    }
    if (most == 0)
        return 0;
    if (cudaMalloc((void **)&t.scratch, most) != cudaSuccess) { /* the order stays cuDNN's */
        (void)cudaGetLastError();
        return 0;
    }
    if (cuda_check(cudaEventCreateWithFlags(&t.before, cudaEventDefault), "an event", err) < 0 ||
        cuda_check(cudaEventCreateWithFlags(&t.after, cudaEventDefault), "an event", err) < 0)
        goto out;
    rc = 0;
    for (int i = 0; i < n && rc == 0; i++)
        if (plans[i]->plan)
            rc = tune(&t, plans[i], err);
out:
    if (t.before)
        cudaEventDestroy(t.before);
    if (t.after)
        cudaEventDestroy(t.after);
    cudaFree(t.scratch);
    return rc;
}
