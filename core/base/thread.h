/* thread.h - the pool that runs microbatches, and nothing else.
 *
 * Threads only decide who computes a task, never in which order numbers meet: results must not
 * depend on WORKER. Every pool thread has flush-to-zero and denormals-are-zero set alike, and so has
 * the caller of pool_run() while it runs tasks (it is worker 0).
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_THREAD_H
#define PRESIZE_BASE_THREAD_H

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
