/* emulate.h - for the tests: the .cu files as host C++, one thread of a kernel after the other.
 *
 * Threads of a kernel with barriers are fibres, resumed in changing order; shared memory knows who
 * touched it since the last barrier. Found, and kept until emulate_clear(): two threads that use a
 * place in shared memory without a barrier between them, a place read that this block has not
 * written, a barrier that some threads do not reach, one in a kernel launched without. Bounds and
 * alignment are the sanitizers' part. The C half: tests/cuda/emulate.c.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CUDA_EMULATE_H
#define PRESIZE_BACKEND_CUDA_EMULATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct emulate_index {
    unsigned x, y, z;
};
extern struct emulate_index threadIdx, blockIdx, blockDim, gridDim;

/* One launch; BODY(args) is one thread's. */
struct emulate_launch {
    const char *kernel;
    void (*body)(const void *args);
    struct emulate_index grid, block;
    bool barriers;
};
void emulate_run(const struct emulate_launch *l, const void *args);

/* What stands in for a stream and for device memory. NULL: launches run at once; pointers are what
 * they are. Of ENQUEUE, L and SIZE bytes at ARGS are borrowed for the call. */
struct emulate_hooks {
    void (*enqueue)(void *stream, const struct emulate_launch *l, const void *args, size_t size);
    const void *(*pointer)(const void *device);
};
extern struct emulate_hooks emulate_hooks;

void emulate_put(void *stream, const struct emulate_launch *l, const void *args, size_t size);
const void *emulate_pointer(const void *device);
void emulate_barrier(void);

/* Mistakes planted in every kernel, for the controls. -1: none. */
struct emulate_plants {
    int barrier; /* this one of each block's barriers is left out */
    int block;   /* this block does the work of its neighbour */
};
extern struct emulate_plants emulate_plants;
extern int emulate_barriers; /* that the last launch's threads met, each */

const char *emulate_fault(void); /* the first one found, with its kernel; NULL */
void emulate_clear(void);
int emulate_status(void); /* a cudaError_t: 0, or 719 (cudaErrorLaunchFailure) after a fault */

/* A place in shared memory. */
struct emulate_trace {
    unsigned written, read; /* when, in barriers since the start */
    int writer, reader;     /* thread of the block; reader -1: several */
    unsigned block;         /* in which it was written */
};
void emulate_read(struct emulate_trace *t);
void emulate_write(struct emulate_trace *t);

#ifdef __cplusplus
}

#include <tuple>

#define __global__
#define DEVICE static inline
#define BARRIER() emulate_barrier()
#define SHARED(type, name, n) static emulate_cell<type> name[n]
#define SHARED_ARG(type, name) emulate_cell<type> *name
#define LAUNCH(kernel, grid, block, stream, ...)                                                   \
    emulate(#kernel, false, (kernel), (grid), (block), (stream), __VA_ARGS__)
#define LAUNCH_BARRIERS(kernel, grid, block, stream, ...)                                          \
    emulate(#kernel, true, (kernel), (grid), (block), (stream), __VA_ARGS__)
#define LAUNCHED() emulate_status()

struct dim3 : emulate_index {
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : emulate_index{a, b, c}
    {
    }
};

template <typename T> class emulate_cell
{
    T value;
    mutable emulate_trace trace;

  public:
    operator T() const
    {
        emulate_read(&trace);
        return value;
    }
    emulate_cell &operator=(T x)
    {
        emulate_write(&trace);
        value = x;
        return *this;
    }
    emulate_cell &operator=(const emulate_cell &other)
    {
        return *this = (T)other;
    }
};

template <typename P> static inline P emulate_argument(P x)
{
    return x;
}

template <typename P> static inline P *emulate_argument(P *x)
{
    return (P *)const_cast<void *>(emulate_pointer(x));
}

template <typename... P> struct emulate_call {
    void (*kernel)(P...);
    std::tuple<P...> args;

    static void body(const void *self)
    {
        const emulate_call *call = (const emulate_call *)self;

        std::apply(call->kernel, call->args);
    }
};

template <typename... P, typename... A>
static inline void emulate(const char *name, bool barriers, void (*kernel)(P...), dim3 grid,
                           dim3 block, void *stream, A... args)
{
    emulate_call<P...> call = {kernel, {emulate_argument((P)args)...}};
    emulate_launch launch = {name, call.body, grid, block, barriers};

    emulate_put(stream, &launch, &call, sizeof call);
}
#endif

#endif
