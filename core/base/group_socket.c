/* group_socket.c - members find one another: member 0 listens, the others come, each says who it is.
 *
 * Whoever says nothing, or something else, is turned away without harm; on a machine's own sockets so
 * are other users. SPDX-License-Identifier: MIT */
#include "base/group_socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/clock.h"
#include "base/log.h"

enum { CHANNELS = 2, HELLO_MS = 2000, AGAIN_MS = 50, TEXT = 256 };

static const char magic[16] = "presize group 1";

struct hello { /* what a member says first on each connection */
    char magic[16];
    uint32_t channel, rank, ranks;
    char version[32], job[128];
};

struct welcome { /* member 0's answer on data connections, when all are there */
    char magic[16];
    char refused[TEXT]; /* why; "" */
};

bool socket_put(int fd, const void *data, size_t bytes)
{
    const char *at = data;

    while (bytes > 0) {
        const ssize_t n = send(fd, at, bytes, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            return false;
        at += n > 0 ? n : 0;
        bytes -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

bool socket_get(int fd, void *data, size_t bytes)
{
    char *at = data;

    while (bytes > 0) {
        const ssize_t n = recv(fd, at, bytes, 0);

        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        at += n > 0 ? n : 0;
        bytes -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* ---- addresses ------------------------------------------------------------------------------- */

struct address {
    struct sockaddr_storage at;
    socklen_t length;
};

static int local_address(struct address *out, const char *name, struct err *err)
{
    struct sockaddr_un *to = (struct sockaddr_un *)&out->at;
    const size_t n = strlen(name); /* with the '@', whose place the abstract namespace's 0 takes */

    if (n < 2 || n > sizeof to->sun_path)
        return err_set(err, ERR_INPUT, "%s: no place to meet", name);
    to->sun_family = AF_UNIX;
    memcpy(to->sun_path, name, n);
    to->sun_path[0] = 0;
    out->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    return 0;
}

static int address_of(struct address *out, const char *meet, struct err *err)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const char *colon = strrchr(meet, ':');
    struct addrinfo *found;
    char host[256];
    int rc;

    memset(out, 0, sizeof *out);
    if (meet[0] == '@')
        return local_address(out, meet, err);
    if (!colon || colon == meet || !colon[1])
        return err_set(err, ERR_INPUT, "%s: expected HOST:PORT, or @NAME on one machine", meet);
    snprintf(host, sizeof host, "%.*s", (int)(colon - meet), meet);
    rc = getaddrinfo(host, colon + 1, &hints, &found);
    if (rc != 0)
        return err_set(err, ERR_INPUT, "%s: %s", meet, gai_strerror(rc));
    memcpy(&out->at, found->ai_addr, found->ai_addrlen);
    out->length = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static int open_socket(const struct address *a)
{
    const int fd = socket(a->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd >= 0 && a->at.ss_family != AF_UNIX) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    return fd;
}

static void patience(int fd, int ms)
{
    const struct timeval t = {ms / 1000, ms % 1000 * 1000};

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
}

/* ---- member 0 -------------------------------------------------------------------------------- */

static bool same_user(int fd)
{
    struct ucred who = {0};
    socklen_t size = sizeof who;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.uid == geteuid();
}

/* 1: FD is in its place; 0: turned away; -1: one of ours that does not fit. */
static int seat(int *fds, int fd, const struct group_place *place, struct err *err)
{
    struct hello h;

    patience(fd, HELLO_MS);
    if (!socket_get(fd, &h, sizeof h) || memcmp(h.magic, magic, sizeof magic) != 0 ||
        strncmp(h.job, place->job, sizeof h.job) != 0)
        return 0;
    h.version[sizeof h.version - 1] = 0;
    if (h.channel >= CHANNELS || h.rank == 0 || h.rank >= (uint32_t)place->ranks ||
        h.ranks != (uint32_t)place->ranks)
        return err_set(err, ERR_INPUT, "rank %u of %u came where %d ranks meet", h.rank, h.ranks,
                       place->ranks);
    if (strcmp(h.version, presize_version) != 0)
        return err_set(err, ERR_INPUT, "rank %u is version %s, rank 0 is %s", h.rank, h.version,
                       presize_version);
    if (fds[CHANNELS * (h.rank - 1) + h.channel] >= 0)
        return err_set(err, ERR_INPUT, "two processes are rank %u", h.rank);
    fds[CHANNELS * (h.rank - 1) + h.channel] = fd;
    patience(fd, 0);
    return 1;
}

static int missing(const int *fds, const struct group_place *place, double limit_s, struct err *err)
{
    err_set(err, ERR_IO, "after %.0f s not all of the %d ranks have come to %s; missing:", limit_s,
            place->ranks, place->meet);
    for (int r = 1; r < place->ranks; r++)
        if (fds[CHANNELS * (r - 1)] < 0 || fds[CHANNELS * (r - 1) + 1] < 0)
            err_append(err, " %d", r);
    return -1;
}

static int welcome_all(int *fds, const struct group_place *place, double limit_s, int listener,
                       bool own_machine, struct err *err)
{
    const double end = clock_seconds() + limit_s;
    int left = CHANNELS * (place->ranks - 1);

    while (left > 0) {
        const double wait = end - clock_seconds();
        struct pollfd p = {.fd = listener, .events = POLLIN};
        int fd, got;

        if (wait <= 0)
            return missing(fds, place, limit_s, err);
        if (poll(&p, 1, (int)(1000 * wait) + 1) <= 0)
            continue;
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        got = !own_machine || same_user(fd) ? seat(fds, fd, place, err) : 0;
        if (got <= 0)
            close(fd);
        if (got < 0)
            return -1;
        if (got == 0)
            log_debug("somebody else came to %s and was turned away", place->meet);
        left -= got;
    }
    return 0;
}

static int receive(int *fds, const struct group_place *place, const struct address *a,
                   double limit_s, struct err *err)
{
    struct welcome w = {.refused = ""};
    const int listener = open_socket(a);
    int rc = -1;

    memcpy(w.magic, magic, sizeof magic);
    if (listener < 0 || bind(listener, (const struct sockaddr *)&a->at, a->length) < 0 ||
        listen(listener, SOMAXCONN) < 0)
        err_errno(err, "cannot listen at %s", place->meet);
    else
        rc = welcome_all(fds, place, limit_s, listener, a->at.ss_family == AF_UNIX, err);
    if (rc < 0)
        snprintf(w.refused, sizeof w.refused, "%.250s", err ? err->msg : "refused");
    for (int r = 1; r < place->ranks; r++)
        if (fds[CHANNELS * (r - 1)] >= 0)
            (void)socket_put(fds[CHANNELS * (r - 1)], &w, sizeof w);
    if (listener >= 0)
        close(listener);
    return rc;
}

/* ---- the others ------------------------------------------------------------------------------ */

static int go(const struct group_place *place, const struct address *a, int channel, double end,
              struct err *err)
{
    struct hello h = {.channel = (uint32_t)channel,
                      .rank = (uint32_t)place->rank,
                      .ranks = (uint32_t)place->ranks};

    memcpy(h.magic, magic, sizeof magic);
    snprintf(h.version, sizeof h.version, "%s", presize_version);
    snprintf(h.job, sizeof h.job, "%s", place->job);
    for (;;) {
        const int fd = open_socket(a);

        if (fd >= 0 && connect(fd, (const struct sockaddr *)&a->at, a->length) == 0) {
            if (socket_put(fd, &h, sizeof h))
                return fd;
        }
        if (fd >= 0)
            close(fd);
        if (clock_seconds() >= end)
            return err_errno(err,
                             "rank 0 was not met at %s (several machines need MASTER_ADDR and "
                             "MASTER_PORT)",
                             place->meet);
        nanosleep(&(struct timespec){0, AGAIN_MS * 1000000L}, NULL);
    }
}

static int visit(int *fds, const struct group_place *place, const struct address *a, double limit_s,
                 struct err *err)
{
    const double end = clock_seconds() + limit_s;
    struct welcome w;

    for (int c = 0; c < CHANNELS; c++) {
        fds[c] = go(place, a, c, end, err);
        if (fds[c] < 0)
            return -1;
    }
    patience(fds[0], (int)(1000 * limit_s) + HELLO_MS);
    if (!socket_get(fds[0], &w, sizeof w) || memcmp(w.magic, magic, sizeof magic) != 0)
        return err_set(err, ERR_IO, "rank 0 at %s does not answer", place->meet);
    w.refused[sizeof w.refused - 1] = 0;
    patience(fds[0], 0);
    return w.refused[0] ? err_set(err, ERR_INPUT, "%s", w.refused) : 0;
}

int socket_meet(int *fds, const struct group_place *place, double limit_s, struct err *err)
{
    const int n = CHANNELS * (place->rank == 0 ? place->ranks - 1 : 1);
    struct address a;

    for (int i = 0; i < n; i++)
        fds[i] = -1;
    if (address_of(&a, place->meet, err) == 0 &&
        (place->rank == 0 ? receive(fds, place, &a, limit_s, err)
                          : visit(fds, place, &a, limit_s, err)) == 0)
        return 0;
    for (int i = 0; i < n; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return err_wrap(err, "several processes");
}

/* ---- the environment ------------------------------------------------------------------------- */

static const struct launcher {
    const char *rank, *ranks, *local, *job;
} launchers[] = {
    {"PRESIZE_RANK", "PRESIZE_RANKS", "PRESIZE_LOCAL_RANK", "PRESIZE_MEET"},
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "PMIX_NAMESPACE"},
    {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "SLURM_JOB_ID"},
    /* a batch script's own process has SLURM_NTASKS, too, but no step */
    {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_JOB_ID"},
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

static void meeting_place(struct group_place *p, const struct launcher *l)
{
    const char *host = getenv("MASTER_ADDR"), *port = getenv("MASTER_PORT");

    if (is_set("PRESIZE_MEET"))
        snprintf(p->meet, sizeof p->meet, "%s", getenv("PRESIZE_MEET"));
    else if (is_set("MASTER_ADDR") && is_set("MASTER_PORT"))
        snprintf(p->meet, sizeof p->meet, "%.200s:%.20s", host, port);
    if (is_set(l->job))
        snprintf(p->job, sizeof p->job, "%s", getenv(l->job));
    else if (!p->meet[0]) /* one that started them all */
        snprintf(p->job, sizeof p->job, "parent %ld", (long)getppid());
    if (!p->meet[0])
        snprintf(p->meet, sizeof p->meet, "@presize %ld %.70s", (long)geteuid(), p->job);
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
        out->local = out->rank;
        if (is_set(l->local) && number(&out->local, l->local, 0, GROUP_MAX - 1, err) < 0)
            return -1;
        out->by_launcher = i > 0;
        meeting_place(out, l);
        return 0;
    }
    return 0;
}
