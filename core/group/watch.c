/* watch.c - see watch.h. SPDX-License-Identifier: MIT */
#include "group/watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"

enum { LOOK_NS = 250000000 };

struct watch {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ends;
    bool ended;           /* under LOCK */
    atomic_uint calls;    /* that ended */
    atomic_int in_a_call; /* threads */
    double limit_s;
    void (*late)(void *ctx);
    void *ctx;
};

/* Whether the watch ends before the next look. */
static bool ends_soon(struct watch *w)
{
    struct timespec at;
    bool ended;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += LOOK_NS;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    pthread_mutex_lock(&w->lock);
    if (!w->ended)
        (void)pthread_cond_timedwait(&w->ends, &w->lock, &at);
    ended = w->ended;
    pthread_mutex_unlock(&w->lock);
    return ended;
}

static void *run(void *watch)
{
    struct watch *w = watch;
    uint64_t steps = progress_steps(), now_steps;
    unsigned calls = atomic_load(&w->calls), now_calls;
    struct clock_wait wait = clock_wait_begin();

    while (!ends_soon(w)) {
        now_steps = progress_steps();
        now_calls = atomic_load(&w->calls);
        if (now_steps != steps || now_calls != calls || atomic_load(&w->in_a_call) > 0)
            wait = clock_wait_begin();
        steps = now_steps;
        calls = now_calls;
        if (clock_waited(&wait) > w->limit_s) {
            w->late(w->ctx);
            break;
        }
    }
    return NULL;
}

int watch_new(struct watch **out, double limit_s, void (*late)(void *ctx), void *ctx,
              struct err *err)
{
    struct watch *w = calloc(1, sizeof *w);
    pthread_condattr_t clock;

    *out = NULL;
    if (!w)
        return err_set(err, ERR_NOMEM, "a group's watch");
    *w = (struct watch){.limit_s = limit_s, .late = late, .ctx = ctx};
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC); /* nobody sets that one back */
    pthread_cond_init(&w->ends, &clock);
    pthread_condattr_destroy(&clock);
    if ((errno = thread_start(&w->thread, run, w)) != 0) {
        err_errno(err, "cannot start a thread");
        free(w);
        return -1;
    }
    *out = w;
    return 0;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->ended = true;
    pthread_cond_signal(&w->ends);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->ends);
    free(w);
}

void watch_call(struct watch *w)
{
    if (w)
        atomic_fetch_add(&w->in_a_call, 1);
}

void watch_called(struct watch *w)
{
    if (!w)
        return;
    atomic_fetch_add(&w->calls, 1);
    atomic_fetch_sub(&w->in_a_call, 1);
}
