/* serve_admit.c - who may ask the server: its own name and port, the cookie of its session, the token of its pages.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "serve_private.h"

/* Takes as long for every TEXT of one length. */
static bool is_secret(const char *text, const char *secret)
{
    unsigned differs = 0;

    if (!text || strlen(text) != strlen(secret))
        return false;
    for (size_t i = 0; secret[i]; i++)
        differs |= (unsigned char)text[i] ^ (unsigned char)secret[i];
    return differs == 0;
}

/* HOST:PORT as a browser on this machine writes it. Any other name may be one that a foreign server has let point here
 * (DNS rebinding). */
static bool is_ours(const struct serve *s, const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    char full[32];

    for (size_t i = 0; host && i < sizeof names / sizeof *names; i++) {
        snprintf(full, sizeof full, "%s:%d", names[i], s->port);
        if (strcmp(host, full) == 0)
            return true;
    }
    return false;
}

static bool is_origin(const struct serve *s, const char *origin)
{
    return strncmp(origin, "http://", 7) == 0 && is_ours(s, origin + 7);
}

static void cookie_name(char out[32], const struct serve *s)
{
    snprintf(out, 32, "presize-%d=", s->port); /* cookies are not kept apart by port */
}

/* Whether the cookie of this session is among those that were sent. */
static bool has_session(const struct serve *s, const char *cookies)
{
    char name[32], value[SERVE_SECRET];

    cookie_name(name, s);
    for (const char *at = cookies; at && *at; at = strchr(at, ';'), at += at ? 1 : 0) {
        at += strspn(at, " ");
        if (strncmp(at, name, strlen(name)) != 0)
            continue;
        snprintf(value, sizeof value, "%.*s", (int)strcspn(at + strlen(name), ";"),
                 at + strlen(name));
        if (strcspn(at + strlen(name), ";") == strlen(value) && is_secret(value, s->session))
            return true;
    }
    return false;
}

/* The address that was printed, opened: the session becomes a cookie, and leaves the address. */
static bool is_entry(const struct serve *s, const struct ask *q)
{
    return strcmp(q->path, "/") == 0 && strcmp(ask_method(q), "GET") == 0 &&
           is_secret(ask_argument(q, "token"), s->session);
}

static int refuse(const struct serve *s, struct answer *a, int status, const char *text)
{
    answer_message(a, s, status, "Refused", text);
    return -1;
}

/* Where the question comes from. */
static int check_source(const struct serve *s, const struct ask *q, struct answer *a)
{
    if (q->fault)
        return refuse(s, a, 400, q->fault);
    if (!is_ours(s, q->host))
        return refuse(s, a, 403, "The Host header is not that of this server.");
    if (q->origin && !is_origin(s, q->origin))
        return refuse(s, a, 403, "Another site's page asked.");
    if (q->site && strcmp(q->site, "same-origin") != 0 && strcmp(q->site, "none") != 0 &&
        !(q->mode && strcmp(q->mode, "navigate") == 0 && strcmp(q->method, "GET") == 0))
        return refuse(s, a, 403, "Another site's page asked.");
    return 0;
}

int64_t serve_admit(const struct serve *s, const struct ask *q, struct answer *a)
{
    const struct route *route;
    const char *methods;

    memset(a, 0, sizeof *a);
    if (check_source(s, q, a) < 0)
        return -1;
    if (is_entry(s, q)) {
        char name[32];

        cookie_name(name, s);
        a->status = 303;
        snprintf(a->location, sizeof a->location, "/");
        snprintf(a->cookie, sizeof a->cookie, "%s%s; Path=/; HttpOnly; SameSite=Strict", name,
                 s->session);
        return -1;
    }
    if (!has_session(s, q->cookie))
        return refuse(s, a, 403,
                      "Open the address that `eval --serve' printed: it has the token of this "
                      "server.");
    route = route_find(q, &methods);
    if (!route && methods) {
        a->allow = methods;
        return refuse(s, a, 405, "There is nothing here for this method.");
    }
    if (!route)
        return refuse(s, a, 404, "There is no such page.");
    if (route->type && !is_secret(q->token, s->token))
        return refuse(s, a, 403, "The token of the page is missing or an older server's; reload.");
    if (route->type && (!q->type || strcmp(q->type, route->type) != 0))
        return refuse(s, a, 415, "The body has another type than is expected here.");
    if (q->announced > (uint64_t)route->body_max)
        return refuse(s, a, 413, "The body is too large.");
    return route->body_max;
}
