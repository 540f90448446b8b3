/* sim_stream.c - streams and events of the simulated device, and who may touch what when.
 *
 * Work is put into queues and run when something waits for it, or before, by a draw. Order is kept by
 * vector clocks at the time of the call: an access is a fault when another stream's access to the
 * same buffer is neither before nor after it by an event or by a wait of the host, and one of the
 * two writes. A kernel's access counts as a write, as nobody says what it only reads.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "sim_private.h"

enum kind { RUN, RECORD, WAIT };

struct work {
    struct work *next;
    enum kind kind;
    const char *name;
    void (*run)(void *args);
    cudaEvent_t event;
    uint64_t version;
    _Alignas(16) char args[];
};

struct CUstream_st {
    int id;
    struct work *first, *last;
    uint64_t clock[STREAMS_MAX]; /* what of each stream has happened before what comes next here */
};

struct CUevent_st {
    cudaStream_t stream; /* of the last record */
    uint64_t recorded, done;
    uint64_t clock[STREAMS_MAX];
    double seconds; /* of the last record that was reached */
};

static double now; /* the device's time */
static struct CUstream_st *streams[STREAMS_MAX];
static uint64_t host_clock[STREAMS_MAX];
static uint64_t last_clock[STREAMS_MAX]; /* of each number, over all streams that had it */

static void merge(uint64_t *clock, const uint64_t *other)
{
    for (int i = 0; i < STREAMS_MAX; i++)
        if (clock[i] < other[i])
            clock[i] = other[i];
}

void sim_spend(double seconds)
{
    now += seconds;
}

/* ---- running --------------------------------------------------------------------------------- */

/* Runs the first piece of work of S; false when it waits for another stream. */
static bool run_first(cudaStream_t s)
{
    struct work *w = s->first;

    if (w->kind == WAIT && w->event->done < w->version)
        return false;
    s->first = w->next;
    if (!s->first)
        s->last = NULL;
    if (w->kind == RUN)
        w->run(w->args);
    if (w->kind == RECORD) {
        w->event->done = w->version;
        w->event->seconds = now;
    }
    free(w);
    return true;
}

static void reach(cudaEvent_t e, uint64_t version);

static void empty(cudaStream_t s)
{
    while (s->first)
        if (!run_first(s))
            reach(s->first->event, s->first->version);
}

/* As much of the event's stream as is needed. */
static void reach(cudaEvent_t e, uint64_t version)
{
    while (e->done < version) {
        cudaStream_t s = e->stream;

        BUG_IF(!s || !s->first);
        if (!run_first(s))
            reach(s->first->event, s->first->version);
    }
}

/* Sometimes something runs at once. */
static void run_something(void)
{
    uint64_t draw = sim_random();
    cudaStream_t s = streams[draw % STREAMS_MAX];

    if (draw >> 32 & 1)
        return;
    for (int i = 0; i < STREAMS_MAX && !(s && s->first); i++)
        s = streams[(draw + (uint64_t)i) % STREAMS_MAX];
    if (s && s->first && (draw >> 33 & 3) == 0)
        run_first(s);
}

void sim_drain(void)
{
    for (int i = 0; i < STREAMS_MAX; i++)
        if (streams[i]) {
            empty(streams[i]);
            merge(host_clock, streams[i]->clock);
        }
}

/* ---- order ----------------------------------------------------------------------------------- */

static void check_touch(cudaStream_t s, const char *name, const struct touch *t)
{
    for (int i = 0; i < STREAMS_MAX; i++) {
        const uint64_t before = t->write ? t->buffer->touched[i] : t->buffer->written[i];

        if (i != s->id && before > s->clock[i])
            sim_fault("%s on stream %d and work on stream %d use one buffer of %zu bytes, and "
                      "nothing says in which order",
                      name, s->id, i, t->buffer->bytes);
    }
    t->buffer->touched[s->id] = s->clock[s->id];
    if (t->write)
        t->buffer->written[s->id] = s->clock[s->id];
}

static struct work *put(cudaStream_t s, enum kind kind, const char *name, size_t size)
{
    struct work *w = calloc(1, sizeof *w + size);

    BUG_IF(!w);
    w->kind = kind;
    w->name = name;
    merge(s->clock, host_clock);
    s->clock[s->id] = ++last_clock[s->id];
    if (s->last)
        s->last->next = w;
    else
        s->first = w;
    s->last = w;
    return w;
}

void sim_enqueue(cudaStream_t s, const char *name, void (*run)(void *args), const void *args,
                 size_t size, const struct touch *touches, int n_touches)
{
    struct work *w;

    if (!s || !streams[s->id]) {
        sim_fault("%s on no stream of ours", name);
        return;
    }
    if (sim_capture(s, name, run, args, size, touches, n_touches))
        return;
    w = put(s, RUN, name, size);
    w->run = run;
    memcpy(w->args, args, size);
    for (int i = 0; i < n_touches; i++)
        check_touch(s, name, &touches[i]);
    run_something();
}

/* ---- entry points ---------------------------------------------------------------------------- */

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int priority)
{
    int id = 0;

    (void)priority;
    if (sim_fails())
        return cudaErrorMemoryAllocation;
    if (flags != cudaStreamNonBlocking)
        sim_fault("a stream that waits for the legacy default stream");
    while (streams[id])
        id++;
    BUG_IF(id >= STREAMS_MAX - 1);
    *out = streams[id] = calloc(1, sizeof **out);
    BUG_IF(!*out);
    (*out)->id = id;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    empty(s);
    merge(host_clock, s->clock);
    streams[s->id] = NULL;
    free(s);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    if (sim_fails())
        return sim_error();
    if (sim_captures())
        return cudaErrorStreamCaptureUnsupported;
    empty(s);
    merge(host_clock, s->clock);
    return sim.broken ? sim_error() : cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned flags)
{
    struct work *w;

    (void)flags;
    if (sim_fails())
        return sim_error();
    if (sim_captures())
        return cudaErrorStreamCaptureUnsupported;
    if (sim.plant == PLANT_NO_WAIT || e->recorded == 0)
        return cudaSuccess;
    w = put(s, WAIT, "a wait", 0);
    w->event = e;
    w->version = e->recorded;
    merge(s->clock, e->clock);
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    (void)flags;
    if (sim_fails())
        return cudaErrorMemoryAllocation;
    *out = calloc(1, sizeof **out);
    BUG_IF(!*out);
    sim.buffers++;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    reach(e, e->recorded);
    sim_drain(); /* waits for it that are still queued */
    sim.buffers--;
    free(e);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    struct work *w;

    if (sim_fails())
        return sim_error();
    if (sim_captures())
        return cudaErrorStreamCaptureUnsupported;
    if (e->stream && e->stream != s)
        reach(e, e->recorded); /* the simulation follows one stream per event */
    w = put(s, RECORD, "an event", 0);
    w->event = e;
    w->version = ++e->recorded;
    e->stream = s;
    memcpy(e->clock, s->clock, sizeof e->clock);
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    if (sim_fails())
        return sim_error();
    if (sim_captures())
        return cudaErrorStreamCaptureUnsupported;
    if (sim.plant == PLANT_NO_SYNC)
        return cudaSuccess;
    reach(e, e->recorded);
    merge(host_clock, e->clock);
    return sim.broken ? sim_error() : cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    if (sim_captures())
        return cudaErrorStreamCaptureUnsupported;
    if (from->done < from->recorded || to->done < to->recorded)
        return sim.plant == PLANT_NO_SYNC ? cudaSuccess : cudaErrorNotReady;
    *ms = (float)(1e3 * (to->seconds - from->seconds));
    return cudaSuccess;
}
