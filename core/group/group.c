/* group.c - opens the MPI plug-in, looks who is there, and hands its exchanges on.
 * SPDX-License-Identifier: MIT */
#include "group/group.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/plugin.h"
#include "group/machine.h"
#include "group/mpi_plugin.h"
#include "group/watch.h"

enum {
    TELL_S = 30, /* rank 0 hears what it is told in the next exchange */
    /* where processes hang, rank 0 says so before the others, and these before any says that it waits */
    AFTER_S = 3,
    COLLECTED = 1 << 14 /* bytes of each member in one exchange */
};

struct group {
    const struct mpi_plugin *mpi;
    int rank, ranks, local, sharers;
    struct machine *machine; /* NULL: no memory in common */
    int machine_size;
    char told[MPI_TEXT]; /* why another member ends; "" */
    struct group_traffic traffic;
    struct watch *watch;
    struct { /* of group_across(), whose thread alone changes it until group_across_end() */
        enum mpi_result result;
        struct group_traffic traffic;
    } across;
    struct group_options o;
    char (*names)[GROUP_NAME]; /* ranks of them, owned */
};

/* What members tell of themselves first. Its size and its first member stay as they are in all versions. */
struct card {
    char version[32];
    char host[64];
    int64_t pid;
    unsigned char processors[128]; /* that the process may run on: a cpu_set_t */
    char rest[280];
};
_Static_assert(sizeof(struct card) == 512 && sizeof(cpu_set_t) <= 128, "a card has 512 bytes");

int group_rank(const struct group *g)
{
    return g->rank;
}

int group_size(const struct group *g)
{
    return g->ranks;
}

int group_local(const struct group *g)
{
    return g->local;
}

int group_sharers(const struct group *g)
{
    return g->sharers;
}

const char *group_name(const struct group *g, int rank)
{
    return g->names[rank];
}

/* ---- the environment ------------------------------------------------------------------------- */

static const struct launcher {
    const char *rank, *ranks, *name;
} launchers[] = {
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "mpirun"},
    {"PMI_RANK", "PMI_SIZE", "mpirun"},
    /* a batch script's own process has SLURM_NTASKS, too, but no step */
    {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "srun"},
};

static int number(int *out, const char *name, int least, int most, struct err *err)
{
    const char *text = getenv(name);
    char *end;
    const long n = text ? strtol(text, &end, 10) : -1;

    if (!text || end == text || *end || n < least || n > most)
        return err_set(err, ERR_INPUT, "%s=%s: expected a number from %d to %d", name,
                       text ? text : "", least, most);
    *out = (int)n;
    return 0;
}

static bool is_set(const char *name)
{
    const char *text = getenv(name);

    return text && *text;
}

int group_place(struct group_place *out, struct err *err)
{
    *out = (struct group_place){.ranks = 1};
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
        const struct launcher *l = &launchers[i];

        if (!is_set(l->rank) || !is_set(l->ranks))
            continue;
        if (number(&out->ranks, l->ranks, 1, GROUP_MAX, err) < 0 ||
            number(&out->rank, l->rank, 0, out->ranks - 1, err) < 0)
            return -1;
        out->launcher = l->name;
        if (out->ranks > 1) /* srun may have started an mpirun, and mpirun is asked first */
            return 0;
    }
    return 0;
}

/* ---- the plug-in ----------------------------------------------------------------------------- */

static int open_plugin(const struct mpi_plugin **out, struct err *err)
{
    static const struct plugin_place place = {
        .name = "MPI",
        .file = "libpresize_mpi.so",
        .variable = "PRESIZE_MPI_PLUGIN",
        .remedy = "install an MPI with its headers (on Debian and Ubuntu libopenmpi-dev and "
                  "openmpi-bin) and build presize again, or install the package presize-mpi",
        .global = true, /* MPI's own plug-ins look for its symbols */
    };
    const void *table;

    if (plugin_open(&table, &place, err) < 0)
        return -1;
    *out = table;
    return 0;
}

int group_mpirun(const char **name, struct err *err)
{
    const struct mpi_plugin *mpi;

    if (open_plugin(&mpi, err) < 0)
        return -1;
    *name = mpi->mpirun;
    return 0;
}

/* ---- exchanges ------------------------------------------------------------------------------- */

static bool is_told(void *ctx)
{
    const struct group *g = ctx;

    return !g->told[0] && g->mpi->told(((struct group *)ctx)->told);
}

static void check(struct group *g, enum mpi_result result)
{
    char why[MPI_TEXT];

    if (result == MPI_DONE)
        return;
    if (result == MPI_TOLD && (g->told[0] || is_told(g)))
        snprintf(why, sizeof why, "%s", g->told);
    else if (result == MPI_LATE)
        snprintf(why, sizeof why,
                 "%s has waited more than %.0f s for another process, which hangs or was stopped "
                 "($PRESIZE_RANK_SECONDS is the limit)",
                 g->names[g->rank], g->o.limit_s);
    else
        snprintf(why, sizeof why, "%s: MPI (%s) failed to exchange data", g->names[g->rank],
                 g->mpi->built_with);
    g->o.lost(g->o.ctx, why, result == MPI_TOLD);
    group_end(g, 1);
}

/* No call has ended, and no step of a progress bar. Where all hang, as GPUs do that wait for each other, rank 0 says it
 * for all. */
static void hang(void *ctx)
{
    struct group *g = ctx;
    char why[MPI_TEXT];

    if (g->rank > 0)
        nanosleep(&(struct timespec){AFTER_S, 0}, NULL);
    snprintf(why, sizeof why,
             "%s has not got any further for %.0f s: its GPU, its file system or the network hangs "
             "($PRESIZE_RANK_SECONDS is the limit)",
             g->names[g->rank], g->o.limit_s);
    g->o.lost(g->o.ctx, why, false);
    group_tell(g, why);
    group_end(g, 1);
}

/* An exchange of BYTES with each of OTHERS. */
static void count(struct group_traffic *t, size_t bytes, int others)
{
    t->exchanges++;
    t->bytes += (uint64_t)bytes * (uint64_t)others;
}

static double wait_limit(const struct group *g)
{
    return g->o.limit_s + 2 * AFTER_S;
}

static int other_machines(const struct group *g)
{
    return g->ranks / g->machine_size - 1;
}

struct group_traffic group_traffic(const struct group *g)
{
    return g->traffic;
}

static void check_machine(struct group *g, bool met)
{
    g->traffic.meetings++;
    check(g, met ? MPI_DONE : g->told[0] ? MPI_TOLD : MPI_LATE);
}

void group_share(struct group *g, void *all, size_t bytes)
{
    const struct machine_limit limit = {wait_limit(g), is_told, g};

    BUG_IF(bytes > INT32_MAX);
    watch_call(g->watch);
    if (g->machine_size == g->ranks) {
        check_machine(g, machine_share(g->machine, all, bytes, &limit));
    } else {
        const double start = clock_seconds();
        const enum mpi_result result = g->mpi->share(all, bytes, wait_limit(g));

        count(&g->traffic, bytes, g->ranks - 1);
        g->traffic.seconds += clock_seconds() - start;
        g->traffic.waited_s += clock_seconds() - start;
        check(g, result);
    }
    watch_called(g->watch);
}

bool group_across(struct group *g, const struct group_parts *parts, int n, bool all)
{
    const double start = clock_seconds();

    BUG_IF(n > GROUP_PARTS);
    if (g->across.result != MPI_DONE)
        return false;
    for (int i = 0; i < n; i++) {
        BUG_IF(parts[i].bytes > INT32_MAX);
        count(&g->across.traffic, parts[i].bytes, other_machines(g));
    }
    watch_call(g->watch);
    g->across.result = g->mpi->exchange(parts, n, all, wait_limit(g));
    watch_called(g->watch);
    g->across.traffic.seconds += clock_seconds() - start;
    return g->across.result == MPI_DONE;
}

void group_across_end(struct group *g, double waited_s)
{
    g->traffic.exchanges += g->across.traffic.exchanges;
    g->traffic.bytes += g->across.traffic.bytes;
    g->traffic.seconds += g->across.traffic.seconds;
    g->traffic.waited_s += waited_s;
    g->across.traffic = (struct group_traffic){0};
    check(g, g->across.result);
}

bool group_any(struct group *g, bool mine)
{
    bool all[GROUP_MAX] = {false}, any = false;

    all[g->rank] = mine;
    group_share(g, all, sizeof *all);
    for (int i = 0; i < g->ranks; i++)
        any |= all[i];
    return any;
}

void group_meet(struct group *g)
{
    (void)group_any(g, false);
}

int group_same(struct group *g, const char *what, const char *text, struct err *err)
{
    char all[GROUP_MAX]
            [SHA256_HEX]; /* not allocated: the others would wait for one that has no memory */
    int rank = 1;

    if (!g)
        return 0;
    memcpy(all[group_rank(g)], text, sizeof *all);
    group_share(g, all, sizeof *all);
    while (rank < group_size(g) && memcmp(all[rank], all[0], sizeof *all) == 0)
        rank++;
    if (rank == group_size(g))
        return 0;
    return err_set(err, ERR_INPUT, "%s has other %s than rank 0", group_name(g, rank), what);
}

/* SIZES[r] becomes rank r's SIZE. Returns the largest. */
static size_t share_sizes(struct group *g, size_t *sizes, size_t size)
{
    size_t most = 0;

    sizes[g->rank] = size;
    group_share(g, sizes, sizeof *sizes);
    for (int i = 0; i < g->ranks; i++)
        most = sizes[i] > most ? sizes[i] : most;
    return most;
}

int group_collect(struct group *g, char **all, size_t *sizes, const void *mine, size_t size,
                  bool keep, struct err *err)
{
    const size_t most = share_sizes(g, sizes, size);
    char *parts = malloc((size_t)g->ranks * COLLECTED);
    const bool exchanges = !group_any(g, !parts);
    bool whole = exchanges;

    for (int i = 0; i < g->ranks; i++) {
        all[i] = keep ? malloc(sizes[i] + 1) : NULL;
        whole &= !keep || all[i];
    }
    for (size_t at = 0; exchanges && at < most; at += COLLECTED) {
        if (at < size)
            memcpy(parts + (size_t)g->rank * COLLECTED, (const char *)mine + at,
                   size - at < COLLECTED ? size - at : COLLECTED);
        group_share(g, parts, COLLECTED);
        for (int i = 0; i < g->ranks; i++)
            if (all[i] && at < sizes[i])
                memcpy(all[i] + at, parts + (size_t)i * COLLECTED,
                       sizes[i] - at < COLLECTED ? sizes[i] - at : COLLECTED);
    }
    free(parts);
    return whole ? 0 : err_set(err, ERR_NOMEM, "what %d processes tell: out of memory", g->ranks);
}

/* ---- the machine ----------------------------------------------------------------------------- */

int group_machine_size(const struct group *g)
{
    return g->machine_size;
}

int group_machine_rank(const struct group *g)
{
    return g->rank % g->machine_size;
}

void group_machine_meet(struct group *g)
{
    const struct machine_limit limit = {wait_limit(g), is_told, g};

    watch_call(g->watch);
    check_machine(g, machine_meet(g->machine, &limit));
    watch_called(g->watch);
}

void *group_machine_memory(struct group *g, size_t bytes)
{
    return machine_memory(g->machine, bytes);
}

void group_machine_populate(struct group *g, void *memory, size_t bytes)
{
    machine_populate(g->machine, memory, bytes);
}

void group_machine_give_back(struct group *g, void *memory, size_t bytes)
{
    machine_give_back(g->machine, memory, bytes);
}

/* Members that each machine has, where these are ranges of ranks and all alike; else 1. */
static int members_of_machines(const struct card *cards, int ranks)
{
    int n = 1;

    while (n < ranks && strcmp(cards[n].host, cards[0].host) == 0)
        n++;
    if (ranks % n)
        return 1;
    for (int i = 0; i < ranks; i++)
        for (int k = 0; k < ranks; k++)
            if ((strcmp(cards[i].host, cards[k].host) == 0) != (i / n == k / n))
                return 1;
    return n;
}

/* Makes the memory that the members of a machine share. Where one of all has none, nobody has: machines are alike. */
static int share_memory(struct group *g, const struct card *cards, struct err *err)
{
    const int n = members_of_machines(cards, g->ranks), number = g->rank % n;
    struct machine_key *keys = calloc((size_t)g->ranks, sizeof *keys);
    struct err why = {0};
    const char *split;

    if (!keys)
        return err_set(err, ERR_NOMEM, "%d processes", g->ranks);
    if (n > 1 && number == 0 && machine_make(&g->machine, &keys[g->rank], n, &why) < 0)
        log_debug("no memory in common with the processes of this machine: %s", why.msg);
    if (n > 1)
        group_share(g, keys, sizeof *keys);
    if (n > 1 && number > 0 &&
        machine_open(&g->machine, &keys[g->rank - number], number, n, &why) < 0)
        log_debug("no memory in common with the processes of this machine: %s", why.msg);
    free(keys);
    if (n == 1 || group_any(g, !g->machine)) {
        machine_close(g->machine);
        g->machine = NULL;
    } else {
        g->machine_size = n;
    }
    split = g->mpi->split(g->rank % g->machine_size);
    return split ? err_set(err, ERR_UNSUPPORTED, "%s", split) : 0;
}

/* ---- who is there ---------------------------------------------------------------------------- */

static void set_name(struct group *g, int rank, const struct card *c)
{
    snprintf(g->names[rank], sizeof *g->names, "rank %d (%.60s, pid %lld)", rank, c->host,
             (long long)c->pid);
}

int group_introduce(struct group *g, const char *text, struct err *err)
{
    char(*all)[GROUP_NAME] = calloc((size_t)g->ranks, sizeof *all);
    const size_t length = strlen(g->names[g->rank]);

    if (!all)
        return err_set(err, ERR_NOMEM, "%d processes", g->ranks);
    snprintf(all[g->rank], sizeof *all, "%.*s, %.140s)", (int)length - 1, g->names[g->rank], text);
    group_share(g, all, sizeof *all);
    for (int i = 0; i < g->ranks; i++) {
        memcpy(g->names[i], all[i], sizeof *all);
        g->names[i][GROUP_NAME - 1] = 0;
    }
    free(all);
    return 0;
}

/* Open MPI's mpirun binds each process to one core where there are two processes, whatever the machine has. The
 * launcher itself is bound to none. srun binds as it was asked to. */
static void tell_of_binding(const struct group *g, const struct card *cards,
                            const struct group_place *place)
{
    const struct card *own = &cards[g->rank];
    cpu_set_t all, used;

    CPU_ZERO(&used);
    for (int i = 0; i < g->ranks; i++)
        if (strcmp(cards[i].host, own->host) == 0)
            CPU_OR(&used, &used, (const cpu_set_t *)(const void *)cards[i].processors);
    if (g->rank == 0 && strcmp(place->launcher, "mpirun") == 0 &&
        sched_getaffinity(getppid(), sizeof all, &all) == 0 && CPU_COUNT(&used) < CPU_COUNT(&all))
        log_warn("the processes of this machine may use %d of its %d processors, as mpirun bound "
                 "them: `mpirun --bind-to none' lets them use all",
                 CPU_COUNT(&used), CPU_COUNT(&all));
}

/* From the members' CARDS: names, versions, who lives on this machine. */
static int know(struct group *g, struct card *cards, struct err *err)
{
    const struct card *own = &cards[g->rank];

    for (int i = 0; i < g->ranks; i++) {
        struct card *c = &cards[i];

        c->version[sizeof c->version - 1] = c->host[sizeof c->host - 1] = 0;
        set_name(g, i, c);
        if (strcmp(c->host, own->host) != 0)
            continue;
        g->local += i < g->rank;
        g->sharers += memcmp(c->processors, own->processors, sizeof c->processors) == 0;
    }
    for (int i = 1; i < g->ranks; i++)
        if (strcmp(cards[i].version, cards[0].version) != 0)
            return err_set(err, ERR_INPUT, "%s is presize %s, and %s is presize %s: all take one",
                           g->names[i], cards[i].version, g->names[0], cards[0].version);
    return 0;
}

static int meet(struct group *g, const struct group_place *place, struct err *err)
{
    struct card *cards = calloc((size_t)g->ranks, sizeof *cards);
    struct card *own;
    int rc;

    g->names = calloc((size_t)g->ranks, sizeof *g->names);
    if (!cards || !g->names) {
        free(cards);
        return err_set(err, ERR_NOMEM, "%d processes", g->ranks);
    }
    own = &cards[g->rank];
    snprintf(own->version, sizeof own->version, "%s", PRESIZE_VERSION);
    if (is_set("PRESIZE_RANK_HOST"))
        snprintf(own->host, sizeof own->host, "%s", getenv("PRESIZE_RANK_HOST"));
    else
        gethostname(own->host, sizeof own->host - 1);
    own->pid = getpid();
    (void)sched_getaffinity(0, sizeof(cpu_set_t), (cpu_set_t *)(void *)own->processors);
    set_name(g, g->rank, own);
    group_share(g, cards, sizeof *cards);
    rc = know(g, cards, err);
    if (rc == 0)
        rc = share_memory(g, cards, err);
    if (rc == 0)
        tell_of_binding(g, cards, place);
    free(cards);
    return rc;
}

static int begin_mpi(struct group *g, const struct group_place *place, struct err *err)
{
    const char *why = g->mpi->start(&g->rank, &g->ranks);

    if (why)
        return err_set(err, ERR_UNSUPPORTED, "several processes: %s (%s)", why, g->mpi->built_with);
    if (g->ranks == place->ranks)
        return 0;
    if (strcmp(place->launcher, "srun") == 0)
        return err_set(err, ERR_INPUT,
                       "srun started %d processes, and MPI (%s) makes groups of %d of them: each "
                       "would work alone. Try `srun --mpi=%s`, or another of `srun --mpi=list`; "
                       "or start them by %s",
                       place->ranks, g->mpi->built_with, g->ranks, g->mpi->srun_type,
                       g->mpi->mpirun);
    return err_set(err, ERR_INPUT,
                   "mpirun started %d processes, and MPI (%s) makes groups of %d of them: each "
                   "would work alone. Start them by %s, the mpirun of this MPI",
                   place->ranks, g->mpi->built_with, g->ranks, g->mpi->mpirun);
}

int group_join(struct group **out, const struct group_place *place, const struct group_options *o,
               struct err *err)
{
    struct group *g = calloc(1, sizeof *g);

    *out = NULL;
    BUG_IF(place->ranks < 2 || place->ranks > GROUP_MAX);
    if (!g)
        return err_set(err, ERR_NOMEM, "a group of %d", place->ranks);
    g->o = *o;
    g->machine_size = 1;
    if (open_plugin(&g->mpi, err) < 0 || begin_mpi(g, place, err) < 0 || meet(g, place, err) < 0 ||
        watch_new(&g->watch, o->limit_s, hang, g, err) < 0) {
        machine_close(g->machine);
        free(g->names);
        free(g);
        return -1;
    }
    *out = g;
    return 0;
}

void group_tell(struct group *g, const char *why)
{
    if (g->rank == 0)
        return;
    g->mpi->tell(why, TELL_S);
}

noreturn void group_end(struct group *g, int status)
{
    g->mpi->end(status);
    abort();
}

void group_leave(struct group *g)
{
    if (!g)
        return;
    watch_free(g->watch);
    g->mpi->finish();
    machine_close(g->machine);
    free(g->names);
    free(g);
}
