/* thread.h - the pool that runs microbatches, and a thread that works beside it.
 *
 * Threads only decide who computes a task, never in which order numbers meet: results must not
 * depend on WORKER. Every pool thread has flush-to-zero and denormals-are-zero set alike, and so has
 * the caller of pool_run() while it runs tasks (it is worker 0).
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_THREAD_H
#define PRESIZE_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "base/err.h"

struct pool; /* opaque; owned by whoever called pool_new() */

/* THREADS >= 1 workers, the caller included (THREADS - 1 are started). INIT (may be NULL) runs once
 * in each worker before its first task, the caller's included (at once, in pool_new). */
int pool_new(struct pool **out, int threads, void (*init)(void *ctx, int worker), void *ctx,
             struct err *err) MUST_USE;
void pool_free(struct pool *p); /* NULL is fine; joins the threads */
int pool_threads(const struct pool *p);

/* Runs task(ctx, i, worker) for i in [0, n), each exactly once, claimed in rising order; returns when
 * all are done. Writes made by the tasks are visible to the caller. Not reentrant. */
void pool_run(struct pool *p, int n, void (*task)(void *ctx, int i, int worker), void *ctx);

/* A thread of its own that runs task(ctx, i) for i = 0, 1, 2, ..., one after the other, as far as they are allowed. Its
 * arithmetic is that of the pool's threads. It sleeps while nothing is allowed. */
struct runner;
int runner_new(struct runner **out, void (*task)(void *ctx, int i), void *ctx,
               struct err *err) MUST_USE;
void runner_free(struct runner *r); /* NULL is fine; no task runs any more */
bool runner_more(struct runner *r); /* in a task: whether the next one may run already */
void runner_allow(struct runner *r,
                  int n); /* the first N tasks may run; N does not fall before runner_wait() */
/* Returns when all allowed tasks are done, whose writes the caller then sees. The next is task 0 again. */
void runner_wait(struct runner *r);

/* pthread_create() of a thread that takes no signal: signals stay the business of those that were there before. 0, or
 * errno. */
int thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

/* Tells the processor that the thread waits for another's write. */
static inline void thread_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

int cpu_count(void); /* processors this process may run on, >= 1 */

#endif
