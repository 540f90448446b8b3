/* sim_cudart.c - the rest of the simulated cudart: the device, copies, launches; and the faults.
 * SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/cuda/emulate.h"
#include "sim_private.h"

enum { FAULT_STATUS = 86 };

__attribute__((visibility("default"))) struct sim sim;

static uint64_t state;
static struct touch touched[TOUCHED_MAX]; /* buffers among the arguments of the launch under way */
static int n_touched;

void sim_fault(const char *format, ...)
{
    va_list args;

    if (sim.fault[0])
        return;
    va_start(args, format);
    vsnprintf(sim.fault, sizeof sim.fault, format, args);
    va_end(args);
}

cudaError_t sim_error(void)
{
    return sim.broken ? cudaErrorLaunchFailure : cudaErrorUnknown;
}

bool sim_fails(void)
{
    return sim.broken || ++sim.calls == sim.fail_at;
}

uint64_t sim_random(void)
{
    state += 0x9e3779b97f4a7c15u + sim.seed; /* splitmix64 (Steele, Lea, Flood 2014) */
    uint64_t z = (state ^ state >> 30) * 0xbf58476d1ce4e5b9u;

    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* ---- launches -------------------------------------------------------------------------------- */

struct launch {
    struct emulate_launch launch;
    _Alignas(16) char args[512];
};

static void run_launch(void *args)
{
    struct launch *l = args;

    if (sim.kernel[0] && strstr(l->launch.kernel, sim.kernel) && --sim.kernel_at == 0)
        sim.broken = true;
    emulate_run(&l->launch, l->args);
    if (emulate_fault())
        sim_fault("%s", emulate_fault());
}

static void enqueue(void *stream, const struct emulate_launch *l, const void *args, size_t size)
{
    struct launch copy = {.launch = *l};

    BUG_IF(size > sizeof copy.args);
    memcpy(copy.args, args, size);
    sim_enqueue(stream, l->kernel, run_launch, &copy, sizeof copy, touched, n_touched);
    n_touched = 0;
}

static const void *pointer(const void *device)
{
    struct buffer *b = sim_buffer(device, 1, "a kernel's argument");

    if (!b)
        return device;
    BUG_IF(n_touched == TOUCHED_MAX);
    touched[n_touched++] = (struct touch){b, true};
    return sim_shadow(device);
}

/* ---- copies ---------------------------------------------------------------------------------- */

struct copy {
    void *to;
    const void *from;
    size_t bytes;
    uint64_t sum; /* of pinned memory at the time of the call */
    bool pinned;
    void *staged; /* of pageable memory, owned */
};

static uint64_t sum_of(const void *p, size_t bytes)
{
    uint64_t sum = 14695981039346656037u; /* FNV-1a over words (Fowler, Noll, Vo) */
    size_t i = 0;

    for (uint64_t w; i + sizeof w <= bytes; i += sizeof w) {
        memcpy(&w, (const char *)p + i, sizeof w);
        sum = (sum ^ w) * 1099511628211u;
    }
    for (; i < bytes; i++)
        sum = (sum ^ ((const unsigned char *)p)[i]) * 1099511628211u;
    return sum;
}

static void run_copy(void *args)
{
    struct copy *c = args;

    if (c->pinned && sum_of(c->from, c->bytes) != c->sum)
        sim_fault("pinned memory was written while its upload was on the way");
    memcpy(c->to, c->from, c->bytes);
    free(c->staged);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    struct copy c = {to, from, bytes, 0, false, NULL};
    struct touch touches[2];
    int n = 0;

    if (sim_fails())
        return sim_error();
    if (kind != cudaMemcpyDeviceToDevice && sim_captures())
        return cudaErrorStreamCaptureUnsupported;
    if (sim.plant == PLANT_NO_UPLOAD && sim.graphs > 0 && sim_pinned(from))
        return cudaSuccess;
    if (kind != cudaMemcpyHostToDevice) {
        struct buffer *b = sim_buffer(from, bytes, "a copy's source");

        if (!b)
            return cudaErrorInvalidValue;
        touches[n++] = (struct touch){b, false};
        c.from = sim_shadow(from);
    }
    if (kind != cudaMemcpyDeviceToHost) {
        struct buffer *b = sim_buffer(to, bytes, "a copy's target");

        if (!b)
            return cudaErrorInvalidValue;
        touches[n++] = (struct touch){b, true};
        c.to = sim_shadow(to);
    }
    if (kind == cudaMemcpyHostToDevice && sim_pinned(from)) {
        c.pinned = true;
        c.sum = sum_of(from, bytes);
    } else if (kind == cudaMemcpyHostToDevice) {
        c.from = c.staged = malloc(bytes);
        BUG_IF(!c.staged);
        memcpy(c.staged, from, bytes);
    } else if (kind == cudaMemcpyDeviceToHost) {
        memset(to, NAN_BYTE, bytes); /* who reads it before the copy is over reads this */
    }
    sim_enqueue(stream, "a copy", run_copy, &c, sizeof c, touches, n);
    return cudaSuccess;
}

struct fill {
    void *at;
    int value;
    size_t bytes;
};

static void run_fill(void *args)
{
    const struct fill *f = args;

    memset(f->at, f->value, f->bytes);
}

cudaError_t cudaMemsetAsync(void *at, int value, size_t bytes, cudaStream_t stream)
{
    struct buffer *b = sim_buffer(at, bytes, "cudaMemsetAsync");
    const struct fill f = {b ? sim_shadow(at) : NULL, value, bytes};
    const struct touch t = {b, true};

    if (sim_fails() || !b)
        return sim_error();
    sim_enqueue(stream, "a memset", run_fill, &f, sizeof f, &t, 1);
    return cudaSuccess;
}

/* ---- device ---------------------------------------------------------------------------------- */

static long number(const char *name, long otherwise)
{
    const char *text = getenv(name);

    return text && *text ? strtol(text, NULL, 10) : otherwise;
}

static void read_fail_kernel(void)
{
    const char *text = getenv("SIM_FAIL_KERNEL"), *colon = text ? strchr(text, ':') : NULL;

    if (!colon)
        return;
    snprintf(sim.kernel, sizeof sim.kernel, "%.*s", (int)(colon - text), text);
    sim.kernel_at = strtol(colon + 1, NULL, 10);
}

__attribute__((constructor)) static void begin(void)
{
    read_fail_kernel();
    sim.seed = (uint64_t)number("SIM_SEED", 1);
    sim.plant = (enum sim_plant)number("SIM_PLANT", 0);
    sim.fail_at = number("SIM_FAIL", 0);
    sim.fastest = (int)number("SIM_FASTEST", -1);
    sim.hang_at = number("SIM_HANG", 0);
    sim.no_capture = number("SIM_NO_CAPTURE", 0) != 0;
    sim.memory = (size_t)number("SIM_MEMORY", 0);
    sim.devices = (int)number("SIM_DEVICES", 1);
    sim.capability = (int)number("SIM_CAPABILITY", 80);
    emulate_hooks.enqueue = enqueue;
    emulate_hooks.pointer = pointer;
}

__attribute__((destructor)) static void end(void)
{
    if (sim.buffers > 0)
        sim_fault("%zu bytes in %zu buffers and events are never freed", sim.used, sim.buffers);
    if (!sim.fault[0])
        return;
    fprintf(stderr, "simulated device: %s\n", sim.fault);
    _exit(FAULT_STATUS);
}

cudaError_t cudaGetDeviceCount(int *n)
{
    *n = sim.devices;
    return sim.devices > 0 ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaSetDevice(int device)
{
    return device < sim.devices ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device)
{
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "simulated device %d", device);
    p->major = sim.capability / 10;
    p->minor = sim.capability % 10;
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t code)
{
    return code == cudaErrorMemoryAllocation ? "out of memory" : "an error of the simulation";
}

const char *cudaGetErrorName(cudaError_t code)
{
    static char name[32];

    snprintf(name, sizeof name, "error %d", (int)code);
    return name;
}
