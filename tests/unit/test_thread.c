/* test_thread.c - the pool: every task once, in every size, with the same arithmetic in each thread; the thread beside
 * it: tasks in their order, as far as they are allowed.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <float.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/thread.h"

enum { MAX = 1000 };

struct job {
    int count[MAX]; /* how often task i ran; plain, so that a race is one for ThreadSanitizer */
    int worker[MAX];

    int threads;
};

static void count_task(void *ctx, int i, int worker)
{
    struct job *j = ctx;

    if (worker < 0 || worker >= j->threads)
        return;
    j->count[i]++;
    j->worker[i] = worker;
}

static void every_task_once(void **state)
{
    static const int sizes[] = {0, 1, 2, 3, 7, 64, MAX};
    struct err err = {0};

    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        struct pool *p;
        struct job j = {.threads = threads};
        int runs = 0;

        assert_int_equal(pool_new(&p, threads, NULL, NULL, &err), 0);
        assert_int_equal(pool_threads(p), threads);
        for (int repeat = 0; repeat < 40; repeat++)
            for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
                memset(j.count, 0, sizeof j.count);
                pool_run(p, sizes[s], count_task, &j);
                for (int i = 0; i < MAX; i++)
                    assert_int_equal(j.count[i], i < sizes[s]);
                runs++;
            }
        assert_int_equal(runs, 280);
        pool_free(p);
    }
    pool_free(NULL);
}

static atomic_int inits;

static void init_worker(void *ctx, int worker)
{
    int *seen = ctx;

    seen[worker]++;
    atomic_fetch_add(&inits, 1);
}

/* Sleeps, so that each worker gets one. */
static void slow_task(void *ctx, int i, int worker)
{
    struct timespec t = {0, 20000000};

    nanosleep(&t, NULL);
    count_task(ctx, i, worker);
}

static void init_runs_once_in_each_worker(void **state)
{
    struct err err = {0};
    struct pool *p;
    int seen[4] = {0};
    struct job j = {.threads = 4};

    (void)state;
    assert_int_equal(pool_new(&p, 4, init_worker, seen, &err), 0);
    assert_int_equal(seen[0], 1); /* the caller's, at once */
    pool_run(p, 8, slow_task, &j);
    pool_run(p, 8, count_task, &j);
    pool_free(p);
    for (int i = 0; i < 4; i++)
        assert_int_equal(seen[i], 1);
    assert_int_equal(atomic_load(&inits), 4);
}

struct tiny {
    volatile float x;
    float product[8];
    int blocked[8];
};

static void denormal_task(void *ctx, int i, int worker)
{
    struct tiny *t = ctx;
    struct timespec pause = {0, 20000000};
    sigset_t mask;

    nanosleep(&pause, NULL);
    t->product[i] = t->x * 0.25f;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    t->blocked[i] = worker == 0 || sigismember(&mask, SIGINT);
}

static void denormals_are_flushed_alike(void **state)
{
    struct err err = {0};
    struct pool *p;
    struct tiny t = {.x = FLT_MIN};

    (void)state;
    assert_int_equal(pool_new(&p, 3, NULL, NULL, &err), 0);
    pool_run(p, 8, denormal_task, &t);
    pool_free(p);
    for (int i = 0; i < 8; i++) {
#if defined(__x86_64__) || defined(__aarch64__)
        assert_true(t.product[i] == 0.0f);
#endif
        assert_true(t.blocked[i]); /* signals reach the caller's thread only */
    }
    assert_true(t.x * 0.25f > 0.0f); /* control: the caller's own mode is back */
}

struct row {
    atomic_int ran;
    int order[MAX];
    bool same_thread;
    pthread_t caller;
    struct tiny tiny;
    struct runner *runner;
    bool more[MAX]; /* whether the next task might run, at each */
};

static void row_task(void *ctx, int i)
{
    struct row *r = ctx;

    if (i < 8)
        denormal_task(&r->tiny, i, 1);
    r->same_thread |= pthread_equal(pthread_self(), r->caller) != 0;
    r->more[i] = runner_more(r->runner);
    r->order[atomic_load(&r->ran)] = i;
    atomic_fetch_add(&r->ran, 1);
}

static void a_runner_keeps_the_order_and_the_limit(void **state)
{
    static const int allowed[] = {0, 3, 3, 10, 200};
    struct err err = {0};
    struct row r = {.caller = pthread_self(), .tiny = {.x = FLT_MIN}};

    (void)state;
    assert_int_equal(runner_new(&r.runner, row_task, &r, &err), 0);
    runner_wait(r.runner); /* for nothing */
    for (int round = 0; round < 3; round++) {
        atomic_store(&r.ran, 0);
        for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
            runner_allow(r.runner, allowed[i]);
            nanosleep(&(struct timespec){0, 5000000}, NULL);
            assert_true(atomic_load(&r.ran) <= allowed[i]);
        }
        runner_wait(r.runner);
        assert_int_equal(atomic_load(&r.ran), 200);
        for (int i = 0; i < 200; i++)
            assert_int_equal(r.order[i], i);
        assert_true(r.more[0] && r.more[1] && !r.more[199]);
    }
    runner_free(r.runner);
    runner_free(NULL);
    assert_false(r.same_thread);
    for (int i = 0; i < 8; i++) {
#if defined(__x86_64__) || defined(__aarch64__)
        assert_true(r.tiny.product[i] == 0.0f);
#endif
        assert_true(r.tiny.blocked[i]);
    }
}

static int count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    int n = 0;

    if (!dir)
        return -1;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

static void starts_no_more_threads_than_asked(void **state)
{
    struct err err = {0};
    struct pool *p;
    struct job j = {.threads = 3};
    int before = count_threads(), after;

    (void)state;
    if (before < 0)
        skip();
    assert_int_equal(pool_new(&p, 3, NULL, NULL, &err), 0);
    pool_run(p, 10, count_task, &j);
    assert_int_equal(count_threads(), before + 2);
    pool_free(p);
    for (int i = 0; (after = count_threads()) != before && i < 100; i++) {
        struct timespec t = {0, 10000000}; /* a joined thread leaves /proc a moment later */

        nanosleep(&t, NULL);
    }
    assert_int_equal(after, before);
    assert_true(cpu_count() >= 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_once),
        cmocka_unit_test(init_runs_once_in_each_worker),
        cmocka_unit_test(denormals_are_flushed_alike),
        cmocka_unit_test(a_runner_keeps_the_order_and_the_limit),
        cmocka_unit_test(starts_no_more_threads_than_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
