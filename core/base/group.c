/* group.c - the members' sockets, what is exchanged over them, and the thread that watches.
 *
 * Threads: the watching one reads the watch connections and is the only one to call lost(), but for the
 * case that the exchange alone breaks. `lock` guards names and what is written to watch connections.
 * SPDX-License-Identifier: MIT */
#include "base/group.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/group_socket.h"

enum { PING_MS = 1000, TEXT = 1000 };

enum kind { PING = 0x50475201, FAIL, LOST, BYE };

struct message { /* on watch connections, whole */
    uint32_t kind;
    char text[TEXT];
};

struct peer {
    int rank, data, watch;
    double heard;     /* when something came from it last */
    atomic_bool done; /* it said good-bye */
};

struct group {
    int rank, ranks;
    struct group_options o;
    char (*names)[GROUP_NAME]; /* ranks of them, owned */
    struct peer *peers;        /* of member 0 all others, of others member 0; owned */
    int n_peers;
    uint32_t exchanges; /* so far */
    pthread_mutex_t lock;
    pthread_t watcher;
    int wake;            /* an eventfd that the watcher looks at, too */
    atomic_bool leaving; /* in order or not: who ends now is not missed */
};

int group_rank(const struct group *g)
{
    return g->rank;
}

int group_size(const struct group *g)
{
    return g->ranks;
}

const char *group_name(const struct group *g, int rank)
{
    return g->names[rank];
}

/* ---- the watch ------------------------------------------------------------------------------- */

static void tell(struct group *g, const struct peer *p, enum kind kind, const char *text)
{
    struct message m = {.kind = (uint32_t)kind};

    snprintf(m.text, sizeof m.text, "%s", text);
    pthread_mutex_lock(&g->lock);
    /* one that takes nothing any more will be found silent */
    (void)send(p->watch, &m, sizeof m, MSG_NOSIGNAL | MSG_DONTWAIT);
    pthread_mutex_unlock(&g->lock);
}

static void tell_all(struct group *g, enum kind kind, const char *text)
{
    for (int i = 0; i < g->n_peers; i++)
        if (kind == BYE || !atomic_load(&g->peers[i].done)) /* who said it first is still told */
            tell(g, &g->peers[i], kind, text);
}

/* Ends this process and, where this is member 0, all of them. */
__attribute__((noreturn)) static void give_up(struct group *g, bool said, const char *format, ...)
    PRINTF_LIKE(3, 4);
static void give_up(struct group *g, bool said, const char *format, ...)
{
    char why[TEXT];
    va_list args;

    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    if (g->rank == 0)
        tell_all(g, LOST, why);
    g->o.lost(g->o.ctx, why, said);
    abort();
}

static const char *name_of(struct group *g, int rank, char out[GROUP_NAME])
{
    pthread_mutex_lock(&g->lock);
    memcpy(out, g->names[rank], GROUP_NAME);
    pthread_mutex_unlock(&g->lock);
    return out;
}

/* Reads what P said. */
static void hear(struct group *g, struct peer *p)
{
    char name[GROUP_NAME];
    struct message m;

    if (!socket_get(p->watch, &m, sizeof m)) {
        if (!atomic_load(&g->leaving))
            give_up(g, false, "%s has died", name_of(g, p->rank, name));
        atomic_store(&p->done, true);
        return;
    }
    m.text[sizeof m.text - 1] = 0;
    p->heard = clock_seconds();
    if (m.kind == FAIL)
        give_up(g, p->rank == 0, "%s failed: %s", name_of(g, p->rank, name), m.text);
    if (m.kind == LOST)
        give_up(g, false, "%s", m.text);
    atomic_store(&p->done, m.kind == BYE);
}

static void *watch(void *arg)
{
    struct group *g = arg;
    struct pollfd fds[GROUP_MAX + 1];
    char name[GROUP_NAME];
    double said = 0, awake = clock_seconds();

    while (!atomic_load(&g->leaving)) {
        double now = clock_seconds();

        if (now - said >= PING_MS / 1e3) {
            tell_all(g, PING, "");
            said = now;
        }
        for (int i = 0; i < g->n_peers; i++)
            fds[i] = (struct pollfd){.fd = atomic_load(&g->peers[i].done) ? -1 : g->peers[i].watch,
                                     .events = POLLIN};
        fds[g->n_peers] = (struct pollfd){.fd = g->wake, .events = POLLIN};
        if (poll(fds, (nfds_t)g->n_peers + 1, PING_MS) < 0)
            continue;
        now = clock_seconds();
        for (int i = 0; i < g->n_peers; i++) {
            struct peer *p = &g->peers[i];

            if (now - awake > 3 * PING_MS / 1e3) /* this process was stopped itself */
                p->heard += now - awake;

            if (fds[i].revents)
                hear(g, p);
            else if (!atomic_load(&p->done) && !atomic_load(&g->leaving) &&
                     now - p->heard > g->o.limit_s)
                give_up(g, false, "%s has not been heard of for %.0f s", name_of(g, p->rank, name),
                        now - p->heard);
        }
        awake = now;
    }
    return NULL;
}

/* Signals are the business of the threads that were there before. */
static int start_watch(struct group *g, struct err *err)
{
    sigset_t all, old;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    errno = pthread_create(&g->watcher, NULL, watch, g);
    rc = errno == 0 ? 0 : err_errno(err, "cannot start the watching thread");
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

/* ---- exchanges ------------------------------------------------------------------------------- */

struct part {
    uint32_t number, bytes_low, bytes_high;
};

/* The watching thread knows better why a connection ends; it needs a moment to be told. */
__attribute__((noreturn)) static void broken(struct group *g, const struct peer *p)
{
    const struct timespec pause = {(time_t)g->o.limit_s + 1, 0};
    char name[GROUP_NAME];

    nanosleep(&pause, NULL);
    give_up(g, false, "the connection to %s broke", name_of(g, p->rank, name));
}

static void put(struct group *g, const struct peer *p, const void *data, size_t bytes)
{
    if (!socket_put(p->data, data, bytes))
        broken(g, p);
}

static void get(struct group *g, const struct peer *p, void *data, size_t bytes)
{
    if (!socket_get(p->data, data, bytes))
        broken(g, p);
}

/* Each part has a head, so that members that have parted ways are found. */
static void get_part(struct group *g, const struct peer *p, const struct part *head, char *at,
                     size_t bytes)
{
    char name[GROUP_NAME];
    struct part theirs;

    get(g, p, &theirs, sizeof theirs);
    if (memcmp(&theirs, head, sizeof theirs) != 0)
        give_up(g, false,
                "%s is at another place of the run than rank %d (exchange %u of %u bytes, not "
                "%u of %u)",
                name_of(g, p->rank, name), g->rank, theirs.number, theirs.bytes_low, head->number,
                head->bytes_low);
    get(g, p, at, bytes);
}

void group_share(struct group *g, void *all, size_t bytes)
{
    const struct part head = {++g->exchanges, (uint32_t)bytes, (uint32_t)(bytes >> 16 >> 16)};
    const size_t whole = bytes * (size_t)g->ranks;
    char *at = all;

    if (g->rank > 0) {
        put(g, g->peers, &head, sizeof head);
        put(g, g->peers, at + (size_t)g->rank * bytes, bytes);
        get_part(g, g->peers, &head, at, whole);
        return;
    }
    for (int i = 0; i < g->n_peers; i++)
        get_part(g, &g->peers[i], &head, at + (size_t)g->peers[i].rank * bytes, bytes);
    for (int i = 0; i < g->n_peers; i++) {
        put(g, &g->peers[i], &head, sizeof head);
        put(g, &g->peers[i], at, whole);
    }
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

void group_introduce(struct group *g, const char *text)
{
    char(*all)[GROUP_NAME] = calloc((size_t)g->ranks, sizeof *all);
    char host[65] = "";

    BUG_IF(!all);
    gethostname(host, sizeof host - 1);
    snprintf(all[g->rank], sizeof *all, "rank %d (%s, pid %ld%s%.140s)", g->rank, host,
             (long)getpid(), *text ? ", " : "", text);
    group_share(g, all, sizeof *all);
    pthread_mutex_lock(&g->lock);
    for (int i = 0; i < g->ranks; i++) {
        memcpy(g->names[i], all[i], sizeof *all);
        g->names[i][GROUP_NAME - 1] = 0;
    }
    pthread_mutex_unlock(&g->lock);
    free(all);
    (void)group_any(g, false); /* who fails next is known by its name */
}

/* ---- begin and end --------------------------------------------------------------------------- */

static void release(struct group *g)
{
    for (int i = 0; g->peers && i < g->n_peers; i++) {
        if (g->peers[i].data >= 0)
            close(g->peers[i].data);
        if (g->peers[i].watch >= 0)
            close(g->peers[i].watch);
    }
    if (g->wake >= 0)
        close(g->wake);
    pthread_mutex_destroy(&g->lock);
    free(g->peers);
    free(g->names);
    free(g);
}

static struct group *make(const struct group_place *place, const struct group_options *o)
{
    struct group *g = calloc(1, sizeof *g);

    if (!g)
        return NULL;
    g->rank = place->rank;
    g->ranks = place->ranks;
    g->o = *o;
    g->n_peers = g->rank == 0 ? g->ranks - 1 : 1;
    pthread_mutex_init(&g->lock, NULL);
    g->wake = eventfd(0, EFD_CLOEXEC);
    g->names = calloc((size_t)g->ranks, sizeof *g->names);
    g->peers = calloc((size_t)g->ranks, sizeof *g->peers);
    for (int i = 0; g->peers && i < g->n_peers; i++)
        g->peers[i] = (struct peer){g->rank == 0 ? i + 1 : 0, -1, -1, 0, false};
    for (int i = 0; g->names && i < g->ranks; i++)
        snprintf(g->names[i], sizeof *g->names, "rank %d", i);
    if (g->names && g->peers && g->wake >= 0)
        return g;
    release(g);
    return NULL;
}

int group_join(struct group **out, const struct group_place *place, const struct group_options *o,
               struct err *err)
{
    struct group *g = make(place, o);
    int fds[2 * GROUP_MAX];

    *out = NULL;
    BUG_IF(place->ranks < 2 || place->ranks > GROUP_MAX || place->rank >= place->ranks);
    if (!g)
        return err_set(err, ERR_NOMEM, "a group of %d", place->ranks);
    if (socket_meet(fds, place, o->limit_s, err) < 0) {
        release(g);
        return -1;
    }
    for (int i = 0; i < g->n_peers; i++) {
        g->peers[i].data = fds[2 * i];
        g->peers[i].watch = fds[2 * i + 1];
        g->peers[i].heard = clock_seconds();
    }
    if (start_watch(g, err) < 0) {
        release(g);
        return -1;
    }
    group_introduce(g, "");
    *out = g;
    return 0;
}

void group_fail(struct group *g, const char *why)
{
    atomic_store(&g->leaving, true); /* first: those who are told may end before the others are */
    tell_all(g, FAIL, why);
}

void group_leave(struct group *g)
{
    if (!g)
        return;
    (void)group_any(g, false); /* all are here */
    tell_all(g, BYE, "");
    atomic_store(&g->leaving, true);
    (void)eventfd_write(g->wake, 1);
    pthread_join(g->watcher, NULL);
    release(g);
}
