/* exchange.h - processes that a test forks exchange bytes as struct be_ranks says, through memory that they share; no
 * MPI. One that ends with another status than 0 ends the others. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_EXCHANGE_H
#define PRESIZE_TESTS_EXCHANGE_H

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXCHANGE_RANKS = 16, EXCHANGE_GONE = 3, EXCHANGE_WAITS = 250 };
#define EXCHANGE_ROOM ((size_t)64 << 20)

struct exchange { /* all of them share it */
    int ranks;
    bool turned; /* a mistake: swap gives the part of the rank behind in the place of each */
    atomic_int arrived;
    atomic_uint round;
    atomic_bool gone;
    char data[EXCHANGE_ROOM];
};

static struct exchange *exchange;
static int exchange_rank; /* of this process */

static inline bool exchange_begin(int ranks)
{
    if (!exchange)
        exchange =
            mmap(NULL, sizeof *exchange, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (exchange == MAP_FAILED)
        return false;
    exchange->ranks = ranks;
    exchange->turned = false;
    atomic_store(&exchange->arrived, 0);
    atomic_store(&exchange->gone, false);
    return true;
}

static inline void exchange_meet(void)
{
    const unsigned round = atomic_load(&exchange->round);

    if (atomic_fetch_add(&exchange->arrived, 1) + 1 == exchange->ranks) {
        atomic_store(&exchange->arrived, 0);
        atomic_fetch_add(&exchange->round, 1);
        return;
    }
    while (atomic_load(&exchange->round) == round) {
        if (atomic_load(&exchange->gone))
            _exit(EXCHANGE_GONE);
        sched_yield();
    }
}

static inline void exchange_share(void *ctx, void *all, size_t bytes)
{
    const size_t whole = bytes * (size_t)exchange->ranks, own = (size_t)exchange_rank * bytes;
    const size_t most = EXCHANGE_ROOM / (size_t)exchange->ranks;

    (void)ctx;
    for (size_t at = 0; at < bytes; at += most) {
        const size_t n = bytes - at < most ? bytes - at : most;

        memcpy(exchange->data + (size_t)exchange_rank * n, (char *)all + own + at, n);
        exchange_meet();
        for (size_t r = 0; r * bytes < whole; r++)
            memcpy((char *)all + r * bytes + at, exchange->data + r * n, n);
        exchange_meet();
    }
}

static inline void exchange_swap(void *ctx, void *out, const void *in, size_t bytes)
{
    const size_t ranks = (size_t)exchange->ranks, rank = (size_t)exchange_rank;
    const size_t most = EXCHANGE_ROOM / ranks / ranks;

    (void)ctx;
    for (size_t at = 0; at < bytes; at += most) {
        const size_t n = bytes - at < most ? bytes - at : most;

        for (size_t to = 0; to < ranks; to++)
            memcpy(exchange->data + (rank * ranks + to) * n, (const char *)in + to * bytes + at, n);
        exchange_meet();
        for (size_t r = 0; r < ranks; r++) {
            const size_t from = exchange->turned ? (r + 1) % ranks : r;

            memcpy((char *)out + r * bytes + at, exchange->data + (from * ranks + rank) * n, n);
        }
        exchange_meet();
    }
}

/* Forks the ranks, which call PROCESS(CTX, rank) and end with its status; the statuses of all. False: no fork. */
static inline bool exchange_run(int status[EXCHANGE_RANKS], int (*process)(void *ctx, int rank),
                                void *ctx)
{
    pid_t pids[EXCHANGE_RANKS];
    int left = exchange->ranks, waits = 0;

    for (int r = 0; r < exchange->ranks; r++) {
        pids[r] = fork();
        if (pids[r] < 0)
            return false;
        if (pids[r] == 0) {
            exchange_rank = r;
            _exit(process(ctx, r));
        }
    }
    while (left > 0) {
        int ended;
        const pid_t pid = waitpid(-1, &ended, atomic_load(&exchange->gone) ? WNOHANG : 0);

        if (pid == 0) { /* one that waits for it elsewhere has a few seconds to notice */
            usleep(20000);
            for (int r = 0; ++waits > EXCHANGE_WAITS && r < exchange->ranks; r++)
                if (pids[r] > 0)
                    kill(pids[r], SIGKILL);
        }
        for (int r = 0; r < exchange->ranks; r++)
            if (pid > 0 && pids[r] == pid) {
                pids[r] = 0;
                status[r] = WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
                left--;
                if (status[r] != 0)
                    atomic_store(&exchange->gone, true);
            }
    }
    return true;
}

#endif
