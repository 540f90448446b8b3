/* serve.c - the server: libmicrohttpd's connections, driven by one loop in one thread.
 *
 * One page is made at a time (HDF5 and the engine are not asked by two threads). Slow clients do not hinder that: bytes
 * come and go in the loop, a silent connection ends after IDLE_S, and any that has not asked its question within
 * QUESTION_S is shut down by sweep(). SPDX-License-Identifier: MIT */
#include "serve.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#ifdef PRESIZE_MICROHTTPD
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/version.h"
#include "serve_answer.h"

enum { CONNECTIONS = 200, IDLE_S = 10, QUESTION_S = 60, HEADERS_MAX = 32 << 10, SOCKETS = 2 };

/* A connection that is open. */
struct seat {
    int fd; /* -1: nobody's */
    double since;
};

struct server {
    struct serve serve;
    struct MHD_Daemon *daemons[SOCKETS]; /* NULL: not there */
    struct seat seats[SOCKETS * CONNECTIONS];
};

/* A question while it comes in. */
struct question {
    struct ask ask;
    struct answer refusal;
    bool admitted;
    int64_t most; /* bytes of body */
    char *body;
    size_t room;
    int hosts; /* Host headers */
};

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

/* --- a question ----------------------------------------------------------------------------------- */

/* Before anything is decoded: a zero byte would end a text early, and then mean something else. */
static void *on_address(void *of, const char *address, struct MHD_Connection *c)
{
    struct question *q = calloc(1, sizeof *q);

    (void)of;
    (void)c;
    if (q && strstr(address, "%00"))
        q->ask.fault = "The address has a zero byte.";
    return q;
}

static enum MHD_Result on_argument(void *of, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    struct ask *q = &((struct question *)of)->ask;

    (void)kind;
    if (q->n_arguments == SERVE_ARGUMENTS) {
        q->fault = "The address has too many arguments.";
        return MHD_NO;
    }
    q->arguments[q->n_arguments].name = name;
    q->arguments[q->n_arguments++].value = value;
    return MHD_YES;
}

static enum MHD_Result on_header(void *of, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    struct question *question = of;
    struct ask *q = &question->ask;
    const struct {
        const char *name, **value;
    } wanted[] = {{"Host", &q->host},           {"Origin", &q->origin},
                  {"Sec-Fetch-Site", &q->site}, {"Sec-Fetch-Mode", &q->mode},
                  {"Cookie", &q->cookie},       {"X-Presize-Token", &q->token},
                  {"Content-Type", &q->type}};

    (void)kind;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (strcasecmp(wanted[i].name, name) != 0)
            continue;
        if (*wanted[i].value)
            q->fault = "A header is there twice.";
        *wanted[i].value = value ? value : "";
    }
    if (strcasecmp(name, "Content-Length") == 0 && value)
        q->announced = strtoull(value, NULL, 10);
    return MHD_YES;
}

static enum MHD_Result send_answer(struct MHD_Connection *c, struct answer *a)
{
    static const char *const always[][2] = {
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Cache-Control", "no-store"},
        {"X-Frame-Options", "DENY"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
    };
    const char *const own[][2] = {
        {"Content-Type", a->type},
        {"Content-Security-Policy", a->policy[0] ? a->policy : "default-src 'none'"},
        {"Location", a->location[0] ? a->location : NULL},
        {"Set-Cookie", a->cookie[0] ? a->cookie : NULL},
        {"Allow", a->allow},
    };
    struct MHD_Response *r =
        MHD_create_response_from_buffer(a->size, a->body, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result sent;

    if (!r)
        return MHD_NO;
    a->body = NULL; /* the response's */
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        (void)MHD_add_response_header(r, always[i][0], always[i][1]);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i][1])
            (void)MHD_add_response_header(r, own[i][0], own[i][1]);
    sent = MHD_queue_response(c, (unsigned)a->status, r);
    MHD_destroy_response(r);
    return sent;
}

/* MHD_NO: there are more than may come; the connection ends. */
static enum MHD_Result take_bytes(struct question *q, const char *bytes, size_t size)
{
    const size_t needed = q->ask.size + size;

    if (needed > (uint64_t)q->most)
        return MHD_NO;
    if (needed > q->room) {
        size_t room = 2 * needed > (uint64_t)q->most ? (size_t)q->most : 2 * needed;
        char *more = realloc(q->body, room);

        if (!more)
            return MHD_NO;
        q->body = more;
        q->room = room;
    }
    memcpy(q->body + q->ask.size, bytes, size);
    q->ask.size = needed;
    return MHD_YES;
}

/* Called once with the headers, then with each piece of the body, then once more. */
static enum MHD_Result on_question(void *of, struct MHD_Connection *c, const char *path,
                                   const char *method, const char *version, const char *bytes,
                                   size_t *size, void **state)
{
    struct server *server = of;
    struct question *q = *state;
    struct answer a;
    enum MHD_Result sent;
    double began;

    (void)version;
    if (!q)
        return MHD_NO;
    if (!q->ask.method) {
        q->ask.method = method;
        q->ask.path = path;
        MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, on_argument, q);
        MHD_get_connection_values(c, MHD_HEADER_KIND, on_header, q);
        q->most = serve_admit(&server->serve, &q->ask, &q->refusal);
        return q->most < 0 ? send_answer(c, &q->refusal) : MHD_YES;
    }
    if (*size > 0) {
        if (take_bytes(q, bytes, *size) == MHD_NO)
            return MHD_NO;
        *size = 0;
        return MHD_YES;
    }
    q->ask.body = q->body ? q->body : "";
    began = clock_seconds();
    serve_answer(&server->serve, &q->ask, &a);
    for (size_t i = 0; i < sizeof server->seats / sizeof *server->seats; i++)
        server->seats[i].since += clock_seconds() - began; /* nobody could send or read meanwhile */
    sent = send_answer(c, &a);
    answer_free(&a);
    return sent;
}

/* --- connections ---------------------------------------------------------------------------------- */

static void on_connection(void *of, struct MHD_Connection *c, void **seat,
                          enum MHD_ConnectionNotificationCode what)
{
    struct server *server = of;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct seat *s = *seat;

    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (s)
            s->fd = -1;
        return;
    }
    for (size_t i = 0; info && i < sizeof server->seats / sizeof *server->seats; i++) {
        if (server->seats[i].fd >= 0)
            continue;
        server->seats[i] = (struct seat){info->connect_fd, clock_seconds()};
        *seat = &server->seats[i];
        return;
    }
}

/* The question was answered, or its connection ended. */
static void on_end(void *of, struct MHD_Connection *c, void **state,
                   enum MHD_RequestTerminationCode how)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct question *q = *state;

    (void)of;
    (void)how;
    if (info && info->socket_context)
        ((struct seat *)info->socket_context)->since = clock_seconds();
    if (q) {
        answer_free(&q->refusal);
        free(q->body);
    }
    free(q);
    *state = NULL;
}

/* Ends those that let their question, or what they read of the answer, trickle. */
static void sweep(struct server *server)
{
    const double now = clock_seconds();

    for (size_t i = 0; i < sizeof server->seats / sizeof *server->seats; i++) {
        struct seat *s = &server->seats[i];

        if (s->fd >= 0 && now - s->since > QUESTION_S) {
            (void)shutdown(s->fd, SHUT_RDWR);
            s->since = now;
        }
    }
}

/* --- sockets -------------------------------------------------------------------------------------- */

static void on_log(void *of, const char *format, va_list values)
{
    char text[500];

    (void)of;
    vsnprintf(text, sizeof text, format, values);
    text[strcspn(text, "\n")] = 0;
    log_debug("server: %s", text);
}

/* A socket on ADDRESS that listens; -1, errno says why. */
static int listen_at(const struct sockaddr *address, socklen_t length)
{
    const int one = 1, fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        (address->sa_family != AF_INET6 ||
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0) &&
        bind(fd, address, length) == 0 && listen(fd, 64) == 0)
        return fd;
    close(fd);
    return -1;
}

static int start(struct server *server, int which, int fd, struct err *err)
{
    server->daemons[which] = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_question, server,
        MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADERS_MAX,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, on_address, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
        server, MHD_OPTION_END);
    if (server->daemons[which])
        return 0;
    close(fd);
    return err_set(err, ERR_IO, "cannot start the server");
}

/* IPv4 must be there; IPv6 may be missing. */
static int start_all(struct server *server, const struct request *r, struct err *err)
{
    struct sockaddr_in four = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)r->port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t length = sizeof four;
    int fd = listen_at((const struct sockaddr *)&four, sizeof four);

    if (fd < 0 || getsockname(fd, (struct sockaddr *)&four, &length) < 0) {
        err_errno(err, "cannot listen at port %d of this machine", r->port);
        if (fd >= 0)
            close(fd);
        return err_append(err, "; `eval --serve 0' takes a free port");
    }
    server->serve.port = ntohs(four.sin_port);
    if (start(server, 0, fd, err) < 0)
        return -1;
    six.sin6_port = four.sin_port;
    fd = listen_at((const struct sockaddr *)&six, sizeof six);
    if (fd < 0) {
        log_debug("not on ::1: %s", strerror(errno));
        return 0;
    }
    return start(server, 1, fd, err);
}

/* Until a signal comes. */
static int answer_all(struct server *server, struct err *err)
{
    struct pollfd fds[SOCKETS];
    double swept = clock_seconds();

    while (!stopped) {
        nfds_t n = 0;
        int wait_ms = 1000;

        for (int i = 0; i < SOCKETS; i++) {
            const union MHD_DaemonInfo *info =
                server->daemons[i]
                    ? MHD_get_daemon_info(server->daemons[i], MHD_DAEMON_INFO_EPOLL_FD)
                    : NULL;
            MHD_UNSIGNED_LONG_LONG due_ms;

            if (!info)
                continue;
            fds[n++] = (struct pollfd){.fd = info->epoll_fd, .events = POLLIN};
            if (MHD_get_timeout(server->daemons[i], &due_ms) == MHD_YES && due_ms < 1000)
                wait_ms = wait_ms < (int)due_ms ? wait_ms : (int)due_ms;
        }
        if (poll(fds, n, wait_ms) < 0 && errno != EINTR)
            return err_errno(err, "cannot wait for connections");
        for (int i = 0; i < SOCKETS; i++)
            if (server->daemons[i])
                (void)MHD_run(server->daemons[i]);
        if (clock_seconds() - swept > 1) {
            sweep(server);
            swept = clock_seconds();
        }
    }
    return 0;
}

int serve_run(FILE *out, const struct request *r, struct err *err)
{
    struct server *server = calloc(1, sizeof *server);
    const struct sigaction stop = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
    int rc = -1;

    if (!server)
        return err_set(err, ERR_NOMEM, "server");
    for (size_t i = 0; i < sizeof server->seats / sizeof *server->seats; i++)
        server->seats[i].fd = -1;
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL); /* a client that has gone is no reason to end */
    if (serve_begin(&server->serve, r, err) == 0 && start_all(server, r, err) == 0) {
        fprintf(out, "http://127.0.0.1:%d/?token=%s\n", server->serve.port, server->serve.session);
        fflush(out);
        log_info("open this address in a browser of this machine; Ctrl-C ends the server");
        rc = answer_all(server, err);
    }
    for (int i = 0; i < SOCKETS; i++)
        if (server->daemons[i])
            MHD_stop_daemon(server->daemons[i]);
    serve_end(&server->serve);
    free(server);
    return rc;
}

void serve_libraries(FILE *out)
{
    version_library(out, "libmicrohttpd", MHD_get_version());
}

#else

int serve_run(FILE *out, const struct request *r, struct err *err)
{
    (void)out;
    (void)r;
    return err_set(err, ERR_UNSUPPORTED,
                   "--serve: this presize was built without libmicrohttpd; `eval --report` writes "
                   "pages that need no server");
}

void serve_libraries(FILE *out)
{
    (void)out;
}

#endif
