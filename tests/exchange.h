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

#include "group/group.h"

enum { EXCHANGE_RANKS = 16, EXCHANGE_GONE = 3, EXCHANGE_WAITS = 250, EXCHANGE_PIECE = 1 << 20 };
enum { EXCHANGE_HELD = 4 }; /* status: nothing went across while a share was held back */
#define EXCHANGE_ROOM ((size_t)64 << 20)
#define EXCHANGE_MEMORY ((size_t)2 << 30) /* of a machine; what is not written is not there */

struct exchange { /* all of them share it */
    int ranks, machine_ranks;
    bool turned; /* a mistake: across gives the part of the machine behind in the place of each */
    struct meeting {
        atomic_int arrived;
        atomic_uint round;
    } all, across, machine[EXCHANGE_RANKS];
    atomic_bool gone;
    char pieces[EXCHANGE_RANKS][EXCHANGE_PIECE];
    char data[EXCHANGE_ROOM];
};

static struct exchange *exchange;
static int exchange_rank;                      /* of this process */
static char *exchange_machines;                /* their memories */
static size_t exchange_mapped, exchange_taken; /* bytes of all; of this process's machine */
/* Of this process: exchanges of all ranks that were begun, and those across that are done since exchange_hold was set.
 * Share number exchange_hold waits for one across, for exchange_hold_ms. */
static int exchange_shares, exchange_hold, exchange_hold_ms;
static atomic_int exchange_crossed;
/* What this process sent: in shares, in exchanges across; calls of these that bring parts. */
static struct exchange_sent {
    int exchanges, pieces;
    size_t bytes;
} exchange_shared, exchange_sent_across;

/* RANKS processes, as many on every machine as MACHINE_RANKS. */
static inline bool exchange_begin(int ranks, int machine_ranks)
{
    if (!exchange)
        exchange =
            mmap(NULL, sizeof *exchange, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (exchange == MAP_FAILED)
        return false;
    exchange->ranks = ranks;
    exchange->machine_ranks = machine_ranks;
    exchange->turned = false;
    atomic_store(&exchange->all.arrived, 0);
    atomic_store(&exchange->across.arrived, 0);
    for (int i = 0; i < EXCHANGE_RANKS; i++)
        atomic_store(&exchange->machine[i].arrived, 0);
    atomic_store(&exchange->gone, false);
    if (exchange_mapped)
        munmap(exchange_machines, exchange_mapped);
    exchange_mapped = machine_ranks > 1 ? (size_t)(ranks / machine_ranks) * EXCHANGE_MEMORY : 0;
    if (exchange_mapped)
        exchange_machines = mmap(NULL, exchange_mapped, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return exchange_machines != MAP_FAILED;
}

static inline void exchange_wait(struct meeting *m, int ranks)
{
    const unsigned round = atomic_load(&m->round);

    if (atomic_fetch_add(&m->arrived, 1) + 1 == ranks) {
        atomic_store(&m->arrived, 0);
        atomic_fetch_add(&m->round, 1);
        return;
    }
    for (int polls = 0; atomic_load(&m->round) == round; polls++) {
        if (atomic_load(&exchange->gone))
            _exit(EXCHANGE_GONE);
        if (polls < 20)
            sched_yield();
        else
            usleep(50);
    }
}

static inline void exchange_meet_all(void)
{
    exchange_wait(&exchange->all, exchange->ranks);
}

static inline int exchange_machine(void)
{
    return exchange_rank / exchange->machine_ranks;
}

static inline void exchange_meet(void *ctx)
{
    (void)ctx;
    exchange_wait(&exchange->machine[exchange_machine()], exchange->machine_ranks);
}

static inline void *exchange_memory(void *ctx, size_t bytes)
{
    char *memory =
        exchange_machines + (size_t)exchange_machine() * EXCHANGE_MEMORY + exchange_taken;

    (void)ctx;
    bytes = (bytes + 4095) / 4096 * 4096;
    if (exchange_taken + bytes > EXCHANGE_MEMORY)
        return NULL;
    exchange_taken += bytes;
    return memory;
}

static inline void exchange_give_back(void *ctx, void *memory, size_t bytes)
{
    (void)ctx;
    (void)memory;
    (void)bytes;
}

static inline void exchange_hold_back(void)
{
    for (int ms = 0; atomic_load(&exchange_crossed) == 0; ms++) {
        if (ms == exchange_hold_ms)
            _exit(EXCHANGE_HELD);
        usleep(1000);
    }
}

static inline void exchange_share(void *ctx, void *all, size_t bytes)
{
    const size_t whole = bytes * (size_t)exchange->ranks, own = (size_t)exchange_rank * bytes;
    const size_t most = EXCHANGE_ROOM / (size_t)exchange->ranks;

    (void)ctx;
    exchange_shared.exchanges++;
    exchange_shared.bytes += bytes * (size_t)(exchange->ranks - 1);
    if (++exchange_shares == exchange_hold)
        exchange_hold_back();
    for (size_t at = 0; at < bytes; at += most) {
        const size_t n = bytes - at < most ? bytes - at : most;

        memcpy(exchange->data + (size_t)exchange_rank * n, (char *)all + own + at, n);
        exchange_meet_all();
        for (size_t r = 0; r * bytes < whole; r++)
            memcpy((char *)all + r * bytes + at, exchange->data + r * n, n);
        exchange_meet_all();
    }
}

/* One exchange across the machines, which all ranks make at once; on a thread of its own. */
static inline void exchange_across_one(const struct group_parts *p)
{
    const size_t each = (size_t)exchange->machine_ranks, machines = (size_t)exchange->ranks / each;
    const size_t rank = (size_t)exchange_rank, own = rank / each, bytes = p->bytes;
    char *to = p->out ? p->out : p->in;

    if (machines * bytes > EXCHANGE_PIECE)
        _exit(EXCHANGE_GONE);
    memcpy(exchange->pieces[rank], p->in, machines * bytes);
    exchange_wait(&exchange->across, exchange->ranks);
    for (size_t m = 0; m < machines; m++) {
        const bool turned = p->out && exchange->turned;
        const size_t from = (turned ? (m + 1) % machines : m) * each + rank % each;

        memcpy(to + m * bytes, exchange->pieces[from] + (p->out ? own : m) * bytes, bytes);
    }
    exchange_wait(&exchange->across, exchange->ranks);
}

/* Until an exchange is done, what it will write is no number. */
static inline void exchange_spoil(const struct group_parts *p)
{
    const size_t machines = (size_t)(exchange->ranks / exchange->machine_ranks);

    for (size_t m = 0; m < machines; m++)
        if (p->out || (int)m != exchange_machine())
            memset((char *)(p->out ? p->out : p->in) + m * p->bytes, 0xff, p->bytes);
}

struct exchange_call {
    struct group_parts parts[GROUP_PARTS];
    int n;
};

static inline void exchange_call_now(struct exchange_call *c)
{
    for (int i = 0; i < c->n; i++)
        exchange_across_one(&c->parts[i]);
    if (c->n > 0)
        atomic_fetch_add(&exchange_crossed, 1);
    c->n = 0;
}

/* Exchanges are made in the order of their calls, and those of a call at once or, of every other call, as late as the
 * calls may return without them. */
static inline bool exchange_across(void *ctx, const struct group_parts *parts, int n, bool all)
{
    static struct exchange_call calls[GROUP_WINDOW];
    static unsigned call;
    struct exchange_call *now = &calls[call++ % GROUP_WINDOW];

    (void)ctx;
    now->n = n;
    for (int i = 0; i < n; i++) {
        now->parts[i] = parts[i];
        exchange_spoil(&parts[i]);
        exchange_sent_across.exchanges++;
        exchange_sent_across.bytes +=
            parts[i].bytes * (size_t)(exchange->ranks / exchange->machine_ranks - 1);
    }
    exchange_sent_across.pieces += n > 0 && parts[0].out;
    for (unsigned i = 0; i < (all || call % 2 ? GROUP_WINDOW : 1); i++)
        exchange_call_now(&calls[(call + i) % GROUP_WINDOW]);
    return true;
}

static inline void exchange_across_end(void *ctx, double waited_s)
{
    (void)ctx;
    (void)waited_s;
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
            exchange_taken = 0;
            exchange_shares = exchange_hold = 0;
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
