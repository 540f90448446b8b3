/* thread.c - a pool of threads that claim tasks by a counter, and a thread that runs tasks one after the other.
 *
 * A run is announced by raising GENERATION; each worker takes part in every run, so when BUSY has
 * fallen to 0 nobody touches the run's fields any more. Waiting is a short spin (runs follow one
 * another within microseconds during a training step), then a condition variable.
 * SPDX-License-Identifier: MIT */
#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct worker {
    struct pool *pool;
    int number;
    pthread_t thread;
};

struct pool {
    int threads, started, spins;
    void (*init)(void *ctx, int worker);
    void *init_ctx;
    struct worker *workers; /* threads - 1 of them, numbers from 1 */

    void (*task)(void *ctx, int i, int worker);
    void *task_ctx;
    int n;
    _Alignas(64) atomic_int next;
    _Alignas(64) atomic_int busy; /* workers that have not finished this run */
    _Alignas(64) atomic_uint generation;
    atomic_bool stop;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t start, done;
};

#if defined(__x86_64__)
typedef unsigned fp_mode;

/* Sets flush-to-zero (bit 15 of MXCSR) and denormals-are-zero (bit 6); gives what was there. */
static fp_mode fp_flush(void)
{
    fp_mode old = __builtin_ia32_stmxcsr();

    __builtin_ia32_ldmxcsr(old | 1U << 15 | 1U << 6);
    return old;
}

static void fp_restore(fp_mode mode)
{
    __builtin_ia32_ldmxcsr(mode);
}
#elif defined(__aarch64__)
typedef uint64_t fp_mode;

static fp_mode fp_flush(void) /* FZ, bit 24 of FPCR */
{
    fp_mode old, new_mode;

    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    new_mode = old | (uint64_t)1 << 24;
    __asm__ volatile("msr fpcr, %0" : : "r"(new_mode));
    return old;
}

static void fp_restore(fp_mode mode)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
}
#else
typedef int fp_mode;

static fp_mode fp_flush(void)
{
    return 0;
}

static void fp_restore(fp_mode mode)
{
    (void)mode;
}
#endif

static void take_tasks(struct pool *p, int worker)
{
    for (;;) {
        int i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);

        if (i >= p->n)
            return;
        p->task(p->task_ctx, i, worker);
    }
}

/* Waits for a generation other than SEEN and returns it. */
static unsigned wait_start(struct pool *p, unsigned seen)
{
    unsigned now;

    for (int i = 0; i < p->spins; i++) {
        now = atomic_load_explicit(&p->generation, memory_order_acquire);
        if (now != seen)
            return now;
        thread_pause();
    }
    pthread_mutex_lock(&p->lock);
    while ((now = atomic_load_explicit(&p->generation, memory_order_acquire)) == seen)
        pthread_cond_wait(&p->start, &p->lock);
    pthread_mutex_unlock(&p->lock);
    return now;
}

static void *work(void *argument)
{
    struct worker *w = argument;
    struct pool *p = w->pool;
    unsigned seen = 0;

    fp_flush();
    if (p->init)
        p->init(p->init_ctx, w->number);
    for (;;) {
        seen = wait_start(p, seen);
        if (atomic_load_explicit(&p->stop, memory_order_acquire))
            return NULL;
        take_tasks(p, w->number);
        if (atomic_fetch_sub_explicit(&p->busy, 1, memory_order_acq_rel) == 1) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->done);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

int thread_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
    sigset_t all, old;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

int pool_new(struct pool **out, int threads, void (*init)(void *ctx, int worker), void *ctx,
             struct err *err)
{
    struct pool *p;
    size_t bytes = (sizeof *p + 63) / 64 * 64;

    *out = NULL;
    BUG_IF(threads < 1);
    p = aligned_alloc(64, bytes);
    if (!p)
        return err_set(err, ERR_NOMEM, "thread pool: out of memory");
    memset(p, 0, bytes);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->start, NULL);
    pthread_cond_init(&p->done, NULL);
    p->threads = threads;
    p->spins = threads <= cpu_count() ? 2000 : 0; /* some tens of microseconds; none when crowded */
    p->init = init;
    p->init_ctx = ctx;
    p->workers = calloc((size_t)threads, sizeof *p->workers);
    if (!p->workers) {
        pool_free(p);
        return err_set(err, ERR_NOMEM, "thread pool: %d threads: out of memory", threads);
    }
    for (; p->started < threads - 1; p->started++) {
        struct worker *w = &p->workers[p->started];

        w->pool = p;
        w->number = p->started + 1;
        errno = thread_start(&w->thread, work, w);
        if (errno != 0) {
            err_errno(err, "thread pool: cannot start thread %d of %d", w->number, threads - 1);
            pool_free(p);
            return -1;
        }
    }
    if (init)
        init(ctx, 0);
    *out = p;
    return 0;
}

static void announce(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add_explicit(&p->generation, 1, memory_order_acq_rel);
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    atomic_store_explicit(&p->stop, true, memory_order_release);
    announce(p);
    for (int i = 0; i < p->started; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->start);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}

int pool_threads(const struct pool *p)
{
    return p->threads;
}

static void wait_done(struct pool *p)
{
    for (int i = 0; i < p->spins; i++) {
        if (atomic_load_explicit(&p->busy, memory_order_acquire) == 0)
            return;
        thread_pause();
    }
    pthread_mutex_lock(&p->lock);
    while (atomic_load_explicit(&p->busy, memory_order_acquire) != 0)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void pool_run(struct pool *p, int n, void (*task)(void *ctx, int i, int worker), void *ctx)
{
    fp_mode mode;

    BUG_IF(p->running);
    if (n <= 0)
        return;
    p->running = true;
    p->task = task;
    p->task_ctx = ctx;
    p->n = n;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store_explicit(&p->busy, p->started, memory_order_relaxed);
    if (p->started)
        announce(p);
    mode = fp_flush();
    take_tasks(p, 0);
    fp_restore(mode);
    if (p->started)
        wait_done(p);
    p->running = false;
}

/* ---- one thread beside the caller ------------------------------------------------------------ */

struct runner {
    void (*task)(void *ctx, int i);
    void *ctx;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more, done;
    int allowed, next; /* tasks that may run, and that are over */
    bool stop;
};

static void *run_tasks(void *argument)
{
    struct runner *r = argument;

    fp_flush();
    pthread_mutex_lock(&r->lock);
    while (!r->stop) {
        if (r->next == r->allowed) {
            pthread_cond_signal(&r->done);
            pthread_cond_wait(&r->more, &r->lock);
            continue;
        }
        pthread_mutex_unlock(&r->lock);
        r->task(r->ctx, r->next);
        pthread_mutex_lock(&r->lock);
        r->next++;
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

int runner_new(struct runner **out, void (*task)(void *ctx, int i), void *ctx, struct err *err)
{
    struct runner *r = calloc(1, sizeof *r);

    *out = NULL;
    if (!r)
        return err_set(err, ERR_NOMEM, "a thread: out of memory");
    r->task = task;
    r->ctx = ctx;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->more, NULL);
    pthread_cond_init(&r->done, NULL);
    errno = thread_start(&r->thread, run_tasks, r);
    if (errno != 0) {
        err_errno(err, "cannot start a thread");
        free(r);
        return -1;
    }
    *out = r;
    return 0;
}

void runner_allow(struct runner *r, int n)
{
    pthread_mutex_lock(&r->lock);
    BUG_IF(n < r->allowed);
    if (n > r->allowed) {
        r->allowed = n;
        pthread_cond_signal(&r->more);
    }
    pthread_mutex_unlock(&r->lock);
}

bool runner_more(struct runner *r)
{
    bool more;

    pthread_mutex_lock(&r->lock);
    more = r->next + 1 < r->allowed;
    pthread_mutex_unlock(&r->lock);
    return more;
}

void runner_wait(struct runner *r)
{
    pthread_mutex_lock(&r->lock);
    while (r->next < r->allowed)
        pthread_cond_wait(&r->done, &r->lock);
    r->next = r->allowed = 0;
    pthread_mutex_unlock(&r->lock);
}

void runner_free(struct runner *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_signal(&r->more);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    pthread_cond_destroy(&r->more);
    pthread_cond_destroy(&r->done);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* The share of a control group's quota, rounded up; 0 when there is none. */
static int cgroup_cpus(void)
{
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    long quota = 0, period = 0;
    int n = 0;

    if (!file)
        return 0;
    if (fscanf(file, "%ld %ld", &quota, &period) == 2 && quota > 0 && period > 0)
        n = (int)((quota + period - 1) / period);
    fclose(file);
    return n;
}

int cpu_count(void)
{
    cpu_set_t set;
    int n = 1, quota = cgroup_cpus();

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        n = CPU_COUNT(&set);
    if (quota > 0 && quota < n)
        n = quota;
    return n > 0 ? n : 1;
}
