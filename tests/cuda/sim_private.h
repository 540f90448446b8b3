/* sim_private.h - shared by the sim_*.c files alone.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_CUDA_SIM_PRIVATE_H
#define PRESIZE_TESTS_CUDA_SIM_PRIVATE_H

#include <cuda_runtime_api.h>

#include "base/err.h"
#include "sim.h"

enum { STREAMS_MAX = 64, TOUCHED_MAX = 32, NAN_BYTE = 0xff };

extern struct sim sim;

void sim_fault(const char *format, ...) PRINTF_LIKE(1, 2);
/* Counts a call that may fail; whether this one must. */
bool sim_fails(void);
cudaError_t sim_error(void); /* what it returns then */
uint64_t sim_random(void);   /* from the seed */

/* ---- memory: sim_memory.c */

struct buffer {
    struct buffer *next;
    char *at;           /* on the device, or of pinned memory */
    size_t bytes, room; /* room: whole pages */
    bool pinned;
    bool part; /* of another one: what is told apart in it, see sim_part() */
    uint64_t touched[STREAMS_MAX], written[STREAMS_MAX]; /* clocks of each stream's last access */
};

bool sim_is_device(const void *p);
/* The live buffer that holds BYTES at P; NULL with a fault that names WHO. */
struct buffer *sim_buffer(const void *p, size_t bytes, const char *who);
/* Of one buffer, this much has its own accesses from now on: another stream uses it beside the rest. A kernel
 * is taken to use the part, or the rest, that its pointer points to. */
struct buffer *sim_part(const void *p, size_t bytes, const char *who);
struct buffer *sim_pinned(const void *p); /* NULL: P is not in pinned memory */
void *sim_shadow(const void *device);     /* where the host side of the simulation sees it */
void sim_drain(void);                     /* everything on all streams, as cudaFree does */

/* ---- streams: sim_stream.c */

struct touch {
    struct buffer *buffer;
    bool write;
};

void sim_spend(double seconds); /* the device's time advances by what runs */
/* Puts RUN(args), a copy of SIZE bytes at ARGS, on STREAM; the buffers of TOUCHES are used by it. */
void sim_enqueue(cudaStream_t stream, const char *name, void (*run)(void *args), const void *args,
                 size_t size, const struct touch *touches, int n_touches);

/* ---- graphs: sim_capture.c */

/* Whether a stream is captured, which then is broken: for calls that a capture does not take. */
bool sim_captures(void);
/* sim_enqueue() on a stream that is captured: the work becomes a node. False where it is not. */
bool sim_capture(cudaStream_t s, const char *name, void (*run)(void *args), const void *args,
                 size_t size, const struct touch *touches, int n_touches);

#endif
