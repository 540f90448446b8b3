/* range.c - libcurl into memory, tried again where a failure may pass.
 *
 * Threads: each request takes a connection out of a list, or makes one, and puts it back.
 * SPDX-License-Identifier: MIT */
#include "remote/range.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/path.h"
#include "remote/transport.h"

enum { IDLE_MAX = 64, STALL_MAX_S = 3600 };

struct requests {
    char url[PATH_LEN];                          /* of the folder, https or http */
    char signature[128], keys[512], token[2048]; /* of s3; "" without */
    struct transport_rules rules;
    pthread_mutex_t lock; /* guards the list */
    CURL *idle[IDLE_MAX];
    int n_idle;
};

struct transfer {
    CURL *curl;
    struct answer *a;
    size_t room;   /* bytes that a->bytes may take */
    uint64_t from; /* of a part */
    bool part, begun;
    uint64_t range_from;
    struct err *err; /* set by a callback that stops the transfer */
};

/* --- the address -------------------------------------------------------------------------------- */

static const char *variable(const char *name, const char *otherwise)
{
    const char *value = getenv(name);

    return value && *value ? value : otherwise;
}

/* s3://BUCKET/PREFIX: path style where AWS_ENDPOINT_URL names another server than Amazon's. Without keys requests are
 * not signed, as public buckets want it. */
static int take_s3(struct requests *r, const char *address, struct err *err)
{
    const char *bucket = address + 5, *rest = strchr(bucket, '/');
    const char *endpoint = variable("AWS_ENDPOINT_URL_S3", variable("AWS_ENDPOINT_URL", ""));
    const char *region = variable("AWS_REGION", variable("AWS_DEFAULT_REGION", "us-east-1"));
    const char *id = variable("AWS_ACCESS_KEY_ID", ""),
               *key = variable("AWS_SECRET_ACCESS_KEY", "");
    const char *token = variable("AWS_SESSION_TOKEN", "");
    const int length = rest ? (int)(rest - bucket) : (int)strlen(bucket);

    if (length < 1)
        return err_set(err, ERR_INPUT, "%s: s3://BUCKET/PREFIX was expected", address);
    if (strchr(endpoint, '@'))
        return err_set(err, ERR_INPUT,
                       "AWS_ENDPOINT_URL: an address without a user's name was expected");
    if (!*id != !*key)
        return err_set(err, ERR_INPUT,
                       "%s: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together: set both, or "
                       "neither for a public bucket",
                       address);
    if (*endpoint
            ? path_format(r->url, err, "%s/%.*s%s", endpoint, length, bucket, rest ? rest : "")
        : memchr(bucket, '.', (size_t)length) /* the certificate has no such names */
            ? path_format(r->url, err, "https://s3.%s.amazonaws.com/%.*s%s", region, length, bucket,
                          rest ? rest : "")
            : path_format(r->url, err, "https://%.*s.s3.%s.amazonaws.com%s", length, bucket, region,
                          rest ? rest : ""))
        return -1;
    if (!*id)
        return 0;
    snprintf(r->signature, sizeof r->signature, "aws:amz:%s:s3", region);
    if (snprintf(r->keys, sizeof r->keys, "%s:%s", id, key) >= (int)sizeof r->keys ||
        (*token && snprintf(r->token, sizeof r->token, "x-amz-security-token: %s", token) >=
                       (int)sizeof r->token))
        return err_set(err, ERR_INPUT, "%s: a key or token of AWS is too long", address);
    return 0;
}

/* How long a server may be slower than rules->slow_bytes. */
static int take_stall(struct transport_rules *rules, struct err *err)
{
    const char *text = variable("PRESIZE_STALL_SECONDS", "");
    char *end;

    if (!*text)
        return 0;
    rules->slow_s = strtol(text, &end, 10);
    if (*end || rules->slow_s < 1 || rules->slow_s > STALL_MAX_S)
        return err_set(err, ERR_INPUT,
                       "PRESIZE_STALL_SECONDS: \"%s\", expected whole seconds, 1 to %d", text,
                       STALL_MAX_S);
    return 0;
}

int requests_open(struct requests **out, const char *address, struct err *err)
{
    struct requests *r = calloc(1, sizeof *r);
    int rc;

    *out = NULL;
    if (!r)
        return err_set(err, ERR_NOMEM, "%s: out of memory", address);
    pthread_mutex_init(&r->lock, NULL);
    rc = strncmp(address, "s3://", 5) == 0 ? take_s3(r, address, err)
                                           : path_format(r->url, err, "%s", address);
    r->rules = transport_rules_default;
    if (rc < 0 || take_stall(&r->rules, err) < 0 || transport_begin(err) < 0) {
        requests_close(r);
        return -1;
    }
    *out = r;
    return 0;
}

void requests_close(struct requests *r)
{
    if (!r)
        return;
    for (int i = 0; i < r->n_idle; i++)
        curl_easy_cleanup(r->idle[i]);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static CURL *take_connection(struct requests *r)
{
    CURL *c = NULL;

    pthread_mutex_lock(&r->lock);
    if (r->n_idle > 0)
        c = r->idle[--r->n_idle];
    pthread_mutex_unlock(&r->lock);
    return c ? c : curl_easy_init();
}

static void put_back(struct requests *r, CURL *c)
{
    curl_easy_reset(c); /* options go, with what they point to and the keys; the connection stays */
    pthread_mutex_lock(&r->lock);
    if (r->n_idle < IDLE_MAX) {
        r->idle[r->n_idle++] = c;
        c = NULL;
    }
    pthread_mutex_unlock(&r->lock);
    curl_easy_cleanup(c); /* NULL is fine */
}

/* --- one transfer ------------------------------------------------------------------------------- */

static void take_value(char out[REQUEST_TAG], const char *value, size_t size)
{
    while (size > 0 && (*value == ' ' || *value == '\t')) {
        value++;
        size--;
    }
    while (size > 0 && (unsigned char)value[size - 1] <= ' ')
        size--;
    snprintf(out, REQUEST_TAG, "%.*s", size < REQUEST_TAG ? (int)size : 0, value);
}

static size_t take_header(char *line, size_t one, size_t size, void *ctx)
{
    struct transfer *t = ctx;
    const size_t bytes = one * size;
    char text[REQUEST_TAG];
    const char *slash;

    if (bytes >= 5 &&
        strncasecmp(line, "HTTP/", 5) == 0) { /* after a redirection: another answer */
        t->a->tag[0] = 0;
        t->a->total = t->range_from = 0;
    } else if (bytes > 5 && strncasecmp(line, "ETag:", 5) == 0) {
        take_value(t->a->tag, line + 5, bytes - 5);
    } else if (bytes > 14 && strncasecmp(line, "Last-Modified:", 14) == 0 && !t->a->tag[0]) {
        take_value(t->a->tag, line + 14, bytes - 14);
    } else if (bytes > 14 && strncasecmp(line, "Content-Range:", 14) == 0) {
        take_value(text, line + 14, bytes - 14);
        slash = strchr(text, '/');
        if (strncasecmp(text, "bytes ", 6) == 0 && slash) {
            t->range_from = strtoull(text + 6, NULL, 10);
            t->a->total = strtoull(slash + 1, NULL, 10);
        }
    }
    return bytes;
}

static int begin_body(struct transfer *t)
{
    long status = 0;

    t->begun = true;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (!t->part || status >= 300 || (status == 206 && t->range_from == t->from))
        return 0;
    return err_set(t->err, ERR_NETWORK,
                   status == 206 ? "the server sends another part than the one asked for"
                                 : "the server does not send parts of files (Range): copy the "
                                   "folder of shards and name the copy by --data DIR");
}

static size_t receive(char *data, size_t one, size_t size, void *ctx)
{
    struct transfer *t = ctx;
    const size_t bytes = one * size;
    uint8_t *grown;

    if (!t->begun && begin_body(t) < 0)
        return 0;
    if (bytes > t->room - t->a->size) {
        err_set(t->err, ERR_NETWORK, "the server sends more than the %zu bytes expected", t->room);
        return 0;
    }
    grown = realloc(t->a->bytes, t->a->size + bytes + 1);
    if (!grown) {
        err_set(t->err, ERR_NOMEM, "out of memory");
        return 0;
    }
    memcpy(grown + t->a->size, data, bytes);
    t->a->bytes = grown;
    t->a->size += bytes;
    return bytes;
}

/* What S3 wants beside curl's signature. The token must not go to another server, so redirections are not followed. */
static int sign(CURL *c, const struct requests *r, struct curl_slist **headers)
{
    struct curl_slist *more =
        curl_slist_append(NULL, "x-amz-content-sha256: UNSIGNED-PAYLOAD"); /* GET has no payload */

    *headers = more;
    if (more && *r->token)
        more = curl_slist_append(*headers, r->token);
    return more && curl_easy_setopt(c, CURLOPT_HTTPHEADER, *headers) == CURLE_OK &&
                   curl_easy_setopt(c, CURLOPT_AWS_SIGV4, r->signature) == CURLE_OK &&
                   curl_easy_setopt(c, CURLOPT_USERPWD, r->keys) == CURLE_OK &&
                   curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK
               ? 0
               : -1;
}

static int set_options(struct transfer *t, const struct requests *r, const char *name,
                       struct curl_slist **headers, char text[CURL_ERROR_SIZE], struct err *err)
{
    char url[PATH_LEN], range[64];
    CURL *c = t->curl;

    if (path_format(url, err, "%s/%s", r->url, name) < 0 ||
        transport_prepare(c, url, &r->rules, 0, text, err) < 0)
        return -1;
    snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, t->from, t->from + t->room - 1);
    if (curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_HEADERDATA, t) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, receive) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_WRITEDATA, t) != CURLE_OK ||
        (t->part && curl_easy_setopt(c, CURLOPT_RANGE, range) != CURLE_OK) ||
        (*r->keys && sign(c, r, headers) < 0))
        return err_set(err, ERR_NETWORK, "libcurl refuses it");
    return 0;
}

/* 0; -1: it failed for good; 1: it may pass. A is empty unless 0 is returned. */
static int attempt(struct answer *a, struct requests *r, const char *name, uint64_t from,
                   size_t room, bool part, struct err *err)
{
    struct transfer t = {.a = a, .room = room, .from = from, .part = part, .err = err};
    struct curl_slist *headers = NULL;
    char text[CURL_ERROR_SIZE] = "";
    CURLcode code = CURLE_FAILED_INIT;
    long status = 0;
    int rc = -1;

    *a = (struct answer){0};
    t.curl = take_connection(r);
    if (!t.curl)
        return err_set(err, ERR_NOMEM, "no memory for libcurl");
    if (set_options(&t, r, name, &headers, text, err) == 0) {
        code = curl_easy_perform(t.curl);
        curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &status);
        if (code == CURLE_OK && part && a->size != room)
            code = CURLE_PARTIAL_FILE;
        if (code == CURLE_OK && *r->keys && status >= 300)
            rc = err_set(err, ERR_NETWORK,
                         "the server names another place (status %ld): is AWS_REGION the region of "
                         "the bucket?",
                         status);
        else if (code == CURLE_OK)
            rc = 0;
        else if (code == CURLE_WRITE_ERROR) /* a callback said why */
            rc = -1;
        else {
            err_set(err, status == 404 ? ERR_INPUT : ERR_NETWORK, "%s%s",
                    text[0] ? text : curl_easy_strerror(code),
                    status != 403 ? ""
                    : *r->keys    ? ": the server refuses these keys, or has no such file"
                                  : ": the server asks for keys, or has no such file");
            rc = transport_may_pass(code, status) ? 1 : -1;
        }
    }
    put_back(r, t.curl);
    curl_slist_free_all(headers);
    if (rc != 0) {
        free(a->bytes);
        *a = (struct answer){0};
    }
    return rc;
}

static int attempts(struct answer *a, struct requests *r, const char *name, uint64_t from,
                    size_t room, bool part, struct err *err)
{
    const struct transport_rules *rules = &r->rules;
    double wait = rules->wait_s;

    for (int n = 1;; n++) {
        const int rc = attempt(a, r, name, from, room, part, err);

        if (rc == 0)
            return 0;
        err_wrap(err, "%s/%s", r->url, name);
        if (rc < 0 || n == rules->attempts)
            return n == 1 ? -1 : err_append(err, " (tried %d times)", n);
        log_warn("%s; trying again in %.0f s (%d of %d)", err->msg, wait, n + 1, rules->attempts);
        transport_sleep(wait);
        wait = 2 * wait < TRANSPORT_WAIT_MAX_S ? 2 * wait : TRANSPORT_WAIT_MAX_S;
    }
}

int requests_whole(struct answer *a, struct requests *r, const char *name, size_t max,
                   struct err *err)
{
    return attempts(a, r, name, 0, max, false, err);
}

int requests_part(struct answer *a, struct requests *r, const char *name, uint64_t from,
                  size_t size, struct err *err)
{
    return attempts(a, r, name, from, size, true, err);
}
