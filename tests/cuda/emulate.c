/* emulate.c - the C half of emulate.h: blocks one after the other, threads as fibres of ucontext.
 *
 * Between two barriers every fibre runs once, in an order that changes from turn to turn; blocks run
 * upwards and downwards by turns. One launch at a time. SPDX-License-Identifier: MIT */
#include "backend/cuda/emulate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

#include "base/err.h"

enum { FIBRES_MAX = 1024, STACK_BYTES = 128 << 10, LAUNCH_FAILURE = 719 };

enum fibre_state { READY, WAITING, DONE };

struct fibre {
    ucontext_t context;
    enum fibre_state state;
    int barriers; /* met so far */
    void *stack, *fake_stack;
};

struct emulate_index threadIdx, blockIdx, blockDim, gridDim;
struct emulate_hooks emulate_hooks;
struct emulate_plants emulate_plants = {.barrier = -1, .block = -1};
int emulate_barriers;

static struct fibre fibres[FIBRES_MAX];
static ucontext_t scheduler;
static int current = -1; /* fibre that runs; -1: a launch without barriers */
static const struct emulate_launch *launch;
static const void *launch_args;
static unsigned turn, blocks; /* since the start */
static char fault[256];
#ifdef __SANITIZE_ADDRESS__
static const void *scheduler_stack;
static size_t scheduler_stack_bytes;
static void *scheduler_fake_stack;
#endif

const char *emulate_fault(void)
{
    return fault[0] ? fault : NULL;
}

void emulate_clear(void)
{
    fault[0] = 0;
}

int emulate_status(void)
{
    return fault[0] ? LAUNCH_FAILURE : 0;
}

static void set_fault(const char *what)
{
    if (!fault[0])
        snprintf(fault, sizeof fault, "%s in %s, block %u, thread %u", what, launch->kernel,
                 blockIdx.x, threadIdx.x + blockDim.x * threadIdx.y);
}

const void *emulate_pointer(const void *device)
{
    return device && emulate_hooks.pointer ? emulate_hooks.pointer(device) : device;
}

void emulate_put(void *stream, const struct emulate_launch *l, const void *args, size_t size)
{
    if (emulate_hooks.enqueue)
        emulate_hooks.enqueue(stream, l, args, size);
    else
        emulate_run(l, args);
}

/* --- shared memory --------------------------------------------------------------------------- */

void emulate_read(struct emulate_trace *t)
{
    if (t->block != blocks)
        set_fault("shared memory read that was not written");
    else if (t->written == turn && t->writer != current)
        set_fault("no barrier between a write to shared memory and a read");
    if (t->block != blocks || t->read != turn)
        t->reader = current;
    else if (t->reader != current)
        t->reader = -1;
    t->read = turn;
}

void emulate_write(struct emulate_trace *t)
{
    bool known = t->block == blocks;

    if (known && t->written == turn && t->writer != current)
        set_fault("no barrier between two writes to shared memory");
    if (known && t->read == turn && t->reader != current)
        set_fault("no barrier between a read of shared memory and a write");
    t->block = blocks;
    t->written = turn;
    t->writer = current;
    if (!known)
        t->read = turn - 1;
}

/* --- fibres ---------------------------------------------------------------------------------- */

static void enter_fibre(void)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fibres[current].fake_stack, &scheduler_stack,
                                    &scheduler_stack_bytes);
#endif
}

/* Back to the scheduler; returns when resumed. */
static void leave_fibre(enum fibre_state state)
{
    struct fibre *f = &fibres[current];

    f->state = state;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(state == DONE ? NULL : &f->fake_stack, scheduler_stack,
                                   scheduler_stack_bytes);
#endif
    swapcontext(&f->context, &scheduler);
    enter_fibre();
}

static void set_thread(int i)
{
    unsigned n = (unsigned)i;

    threadIdx.x = n % blockDim.x;
    threadIdx.y = n / blockDim.x % blockDim.y;
    threadIdx.z = n / blockDim.x / blockDim.y;
}

static void resume(int i)
{
    current = i;
    set_thread(i);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&scheduler_fake_stack, fibres[i].stack, STACK_BYTES);
#endif
    swapcontext(&scheduler, &fibres[i].context);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(scheduler_fake_stack, NULL, NULL);
#endif
}

void emulate_barrier(void)
{
    if (current < 0) {
        set_fault("a barrier where none was said to be");
        return;
    }
    if (fibres[current].barriers++ != emulate_plants.barrier)
        leave_fibre(WAITING);
}

static void start(void)
{
    enter_fibre();
    fibres[current].fake_stack = NULL;
    launch->body(launch_args);
    leave_fibre(DONE);
}

static void begin_fibre(struct fibre *f)
{
    if (!f->stack)
        f->stack = malloc(STACK_BYTES);
    BUG_IF(!f->stack || getcontext(&f->context) != 0);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = STACK_BYTES;
    f->context.uc_link = NULL;
    f->state = READY;
    f->barriers = 0;
    f->fake_stack = NULL;
    makecontext(&f->context, start, 0);
}

/* Fibres come in turn, beginning anywhere and in either direction. */
static int fibre_at(int k, int n)
{
    int first = (int)(turn * 2654435761u >> 8) % n;

    return turn & 1 ? (first + k) % n : (first + n - k) % n;
}

static void run_fibres(int n)
{
    int done = 0;

    for (int i = 0; i < n; i++)
        begin_fibre(&fibres[i]);
    while (done < n) {
        int waiting = 0;

        for (int k = 0; k < n; k++) {
            struct fibre *f = &fibres[fibre_at(k, n)];

            if (f->state != READY)
                continue;
            resume((int)(f - fibres));
            done += f->state == DONE;
            waiting += f->state == WAITING;
        }
        if (waiting > 0 && done > 0)
            set_fault("a barrier that not all threads reach");
        for (int i = 0; i < n; i++)
            if (fibres[i].state == WAITING)
                fibres[i].state = READY;
        turn++;
    }
    emulate_barriers = fibres[0].barriers;
    current = -1;
}

/* --- launches -------------------------------------------------------------------------------- */

void emulate_run(const struct emulate_launch *l, const void *args)
{
    const unsigned n_blocks = l->grid.x * l->grid.y * l->grid.z;
    const int n = (int)(l->block.x * l->block.y * l->block.z);
    static bool down;

    launch = l;
    launch_args = args;
    gridDim = l->grid;
    blockDim = l->block;
    if (n < 1 || n > FIBRES_MAX || n_blocks < 1 || l->grid.y > 65535 || l->grid.z > 65535) {
        set_fault("a launch of no or too many threads");
        return;
    }
    down = !down;
    for (unsigned i = 0; i < n_blocks; i++) {
        unsigned b = down ? n_blocks - 1 - i : i;

        if (emulate_plants.block >= 0 && b == (unsigned)emulate_plants.block)
            b = b > 0 ? b - 1 : n_blocks - 1;
        blockIdx.x = b % gridDim.x;
        blockIdx.y = b / gridDim.x % gridDim.y;
        blockIdx.z = b / gridDim.x / gridDim.y;
        turn++;
        blocks++;
        if (l->barriers) {
            run_fibres(n);
            continue;
        }
        for (int t = 0; t < n; t++) {
            set_thread(t);
            l->body(args);
        }
    }
}
