/* download.c - libcurl into a partial file, hashed as it streams.
 *
 * Each attempt opens the partial file again and asks for what is missing: a second attempt in this
 * process and a first one after a kill are the same thing. SPDX-License-Identifier: MIT */
#include "download.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "base/version.h"
#include "partial.h"

enum next { STOP, WAIT, AT_ONCE }; /* after a failed attempt: no other; another one, later; now */

/* libcurl counts whole milliseconds on its own clock, and may end a little early. */
#define TIMER_MARGIN_S 0.1

struct transfer {
    const struct download *d;
    struct partial *p;
    CURL *curl;
    struct curl_slist *headers;
    double until;                    /* clock_seconds() at which to give up; 0: never */
    uint64_t from;                   /* bytes that were there: the first one asked for */
    struct partial_version version;  /* of the answer */
    uint64_t range_from, range_size; /* of its Content-Range; size 0: not said */
    bool has_range, begun;
    bool stale;   /* what is there is of no use */
    bool restart; /* ... but a download from the first byte may do */
    char text[CURL_ERROR_SIZE];
    struct err *err; /* set by a callback when it stops the transfer */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* --- the head of the answer --- */

static void take_value(char out[PARTIAL_TAG], const char *value, size_t size)
{
    while (size > 0 && (*value == ' ' || *value == '\t')) {
        value++;
        size--;
    }
    while (size > 0 && (unsigned char)value[size - 1] <= ' ')
        size--;
    snprintf(out, PARTIAL_TAG, "%.*s", size < PARTIAL_TAG ? (int)size : 0, value);
}

/* "bytes 100-199/200", or "bytes * /200" (without the blank) with status 416. */
static void take_range(struct transfer *t, const char *text)
{
    const char *slash = strchr(text, '/');

    if (strncasecmp(text, "bytes ", 6) != 0 || !slash)
        return;
    t->has_range = true;
    t->range_from = strtoull(text + 6, NULL, 10);
    t->range_size = strtoull(slash + 1, NULL, 10);
}

static size_t take_header(char *line, size_t one, size_t size, void *ctx)
{
    struct transfer *t = ctx;
    const size_t bytes = one * size;
    char range[PARTIAL_TAG];

    if (bytes >= 5 &&
        strncasecmp(line, "HTTP/", 5) == 0) { /* another answer: after a redirection */
        t->version = (struct partial_version){0};
        t->has_range = false;
    } else if (bytes > 5 && strncasecmp(line, "ETag:", 5) == 0) {
        take_value(t->version.etag, line + 5, bytes - 5);
    } else if (bytes > 14 && strncasecmp(line, "Last-Modified:", 14) == 0) {
        take_value(t->version.modified, line + 14, bytes - 14);
    } else if (bytes > 14 && strncasecmp(line, "Content-Range:", 14) == 0) {
        take_value(range, line + 14, bytes - 14);
        take_range(t, range);
    }
    return bytes;
}

/* What If-Range can be given: a strong ETag, else the date; NULL: neither. */
static const char *validator(const struct partial_version *v)
{
    if (*v->etag && strncmp(v->etag, "W/", 2) != 0)
        return v->etag;
    return *v->modified ? v->modified : NULL;
}

static bool same_version(const struct partial_version *a, const struct partial_version *b)
{
    const char *was = validator(a), *is = validator(b);

    return (!was || !is || strcmp(was, is) == 0) && (!a->size || !b->size || a->size == b->size);
}

static bool can_resume(const struct transfer *t)
{
    return t->p->bytes > 0 && t->p->bytes <= t->d->max_bytes &&
           (validator(&t->p->version) || t->d->sha256);
}

/* --- while bytes arrive --- */

static int check_room(struct transfer *t, uint64_t length)
{
    struct statvfs fs;
    char folder[PATH_LEN];
    const char *base = path_base(t->d->path);

    if (path_format(folder, t->err, "%.*s.", (int)(base - t->d->path), t->d->path) < 0)
        return -1;
    if (statvfs(folder, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < length)
        return err_set(t->err, ERR_FULL,
                       "needs %.1f MB, %s has %.1f MB free: make room or choose another --data",
                       (double)length / 1e6, folder,
                       (double)fs.f_bavail * (double)fs.f_frsize / 1e6);
    return 0;
}

/* The server sends the rest of what is there. */
static int begin_rest(struct transfer *t)
{
    t->version.size = t->range_size;
    t->stale = t->from == 0 || !t->has_range || t->range_from != t->from ||
               !same_version(&t->p->version, &t->version);
    t->restart = t->stale && t->from > 0;
    if (t->stale)
        return err_set(t->err, ERR_NETWORK,
                       "the server sends another part than the one asked for, from byte %" PRIu64,
                       t->from);
    return 0;
}

/* Whether the server's file, where it says its size, can be the published one. */
static int check_size(const struct transfer *t)
{
    return t->version.size == 0 || t->d->size == 0 || t->version.size == t->d->size
               ? 0
               : err_set(t->err, ERR_CHECKSUM,
                         "the server has a file of %" PRIu64 " bytes, expected %" PRIu64
                         ": it is not the published one",
                         t->version.size, t->d->size);
}

/* The server sends the file from its first byte: what is there goes, unless the file is a wrong one. */
static int begin_whole(struct transfer *t)
{
    curl_off_t length = -1;

    curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    t->version.size = length > 0 ? (uint64_t)length : 0;
    if (check_size(t) < 0)
        return -1;
    t->begun = true;
    if (t->from > 0 && same_version(&t->p->version, &t->version))
        log_warn("%s: the server does not send parts of files: the download starts again",
                 t->d->url);
    else if (t->from > 0)
        log_warn("%s: the file on the server was changed since the first %" PRIu64
                 " bytes came: the download starts again",
                 t->d->url, t->from);
    t->from = 0;
    return partial_restart(t->p, &t->version, t->err);
}

/* Once the headers are there. */
static int begin_body(struct transfer *t)
{
    long status = 0;

    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    t->begun = status == 206;
    if ((status == 206 ? begin_rest(t) : begin_whole(t)) < 0)
        return -1;
    if (check_size(t) < 0)
        return -1;
    if (t->version.size == 0)
        return 0;
    progress_begin(path_base(t->d->path), t->version.size);
    return t->version.size > t->p->bytes ? check_room(t, t->version.size - t->p->bytes) : 0;
}

static size_t receive(char *data, size_t one, size_t size, void *ctx)
{
    struct transfer *t = ctx;
    size_t bytes = one * size;

    if (!t->begun && begin_body(t) < 0)
        return 0;
    if (bytes > t->d->max_bytes - t->p->bytes) {
        t->stale = true;
        err_set(t->err, ERR_NETWORK, "the server sends more than the %" PRIu64 " bytes allowed",
                t->d->max_bytes);
        return 0;
    }
    if (partial_write(t->p, data, bytes, t->err) < 0)
        return 0;
    progress_set(t->p->bytes, NULL);
    return bytes;
}

static int ask_to_stop(void *ctx, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
                       curl_off_t up)
{
    (void)ctx, (void)down_all, (void)down, (void)up_all, (void)up;
    return interrupted;
}

/* --- one attempt --- */

/* Asks for what is missing, and only if the server's file is still the same. */
static int ask_for_rest(struct transfer *t)
{
    const char *same = validator(&t->p->version);
    char range[32], header[PARTIAL_TAG + 16];

    snprintf(range, sizeof range, "%" PRIu64 "-", t->from);
    if (curl_easy_setopt(t->curl, CURLOPT_RANGE, range) != CURLE_OK)
        return -1;
    if (!same)
        return 0;
    snprintf(header, sizeof header, "If-Range: %s", same);
    t->headers = curl_slist_append(NULL, header);
    return t->headers && curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, t->headers) == CURLE_OK ? 0
                                                                                               : -1;
}

static int set_options(struct transfer *t, struct err *err)
{
    const double left = t->until > 0 ? t->until - clock_seconds() : 0;
    const long left_ms = t->until > 0 ? (left > 0.001 ? (long)(left * 1000) : 1) : 0;
    CURL *c = t->curl;

    if (transport_prepare(c, t->d->url, &t->d->rules, left_ms, t->text, err) < 0)
        return -1;
    if (curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_HEADERDATA, t) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, receive) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_WRITEDATA, t) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, ask_to_stop) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L) != CURLE_OK ||
        (t->from > 0 && ask_for_rest(t) < 0))
        return err_set(err, ERR_NETWORK, "%s: libcurl refuses it", t->d->url);
    return 0;
}

/* All bytes came: are they the right ones? */
static int check_result(struct transfer *t, char hex[SHA256_HEX], struct err *err)
{
    const struct download *d = t->d;
    int rc = 0;

    if (sha256_so_far(t->p->hash, hex, err) < 0)
        return -1;
    if (d->size > 0 && t->p->bytes != d->size)
        rc = err_set(err, ERR_CHECKSUM, "%s: %" PRIu64 " bytes came, expected %" PRIu64, d->url,
                     t->p->bytes, d->size);
    else if (d->sha256 && strcmp(hex, d->sha256) != 0)
        rc = err_set(err, ERR_CHECKSUM,
                     "%s: its SHA-256 is %s, expected %s: it is not the published file, and is "
                     "not kept",
                     d->url, hex, d->sha256);
    if (rc < 0 && t->from > 0)
        err_append(err,
                   "; its first %" PRIu64 " bytes were there from before and are discarded, too: "
                   "the same command downloads all of it again",
                   t->from);
    t->stale = rc < 0;
    return rc;
}

/* The transfer ended with CODE, not CURLE_OK. */
static enum next failed(struct transfer *t, CURLcode code, long status, struct err *err)
{
    const bool late = code == CURLE_OPERATION_TIMEDOUT && t->until > 0 &&
                      clock_seconds() >= t->until - TIMER_MARGIN_S;

    if (t->restart) {
        log_warn("%s: %s: the download starts again", t->d->url, err->msg);
        return AT_ONCE;
    }
    if (code == CURLE_WRITE_ERROR) { /* our callback said why */
        err_wrap(err, "%s", t->d->url);
        return STOP;
    }
    if (status == 416 && t->from > 0) {
        log_warn("%s: the server has nothing behind byte %" PRIu64
                 " of the file (416): the download starts again",
                 t->d->url, t->from);
        t->stale = true;
        return AT_ONCE;
    }
    if (interrupted)
        err_set(err, ERR_STOPPED, "%s: stopped by a signal", t->d->url);
    else if (late)
        err_set(err, ERR_NETWORK, "%s: took longer than the %ld s of --max-time", t->d->url,
                t->d->rules.max_s);
    else
        err_set(err, ERR_NETWORK, "%s: %s", t->d->url,
                t->text[0] ? t->text : curl_easy_strerror(code));
    return !interrupted && !late && transport_may_pass(code, status) ? WAIT : STOP;
}

/* Runs the transfer. 0: the bytes are there and right. *RETRY_S: the server named a time to wait (else 0). */
static int perform(struct transfer *t, char hex[SHA256_HEX], enum next *next, double *retry_s,
                   struct err *err)
{
    curl_off_t after = 0;
    CURLcode code;
    long status = 0;

    if (t->from > 0 &&
        t->from == t->p->version.size) /* ended between the last byte and the rename */
        return check_result(t, hex, err);
    t->curl = curl_easy_init();
    if (!t->curl)
        return err_set(err, ERR_NOMEM, "no memory for libcurl");
    if (set_options(t, err) < 0)
        return -1;
    if (t->from > 0)
        log_info("%s.part: resuming at byte %" PRIu64, t->d->path, t->from);
    code = curl_easy_perform(t->curl);
    if (code == CURLE_OK && !t->begun && begin_body(t) < 0) /* an empty body */
        code = CURLE_WRITE_ERROR;
    progress_end();
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(t->curl, CURLINFO_RETRY_AFTER, &after);
    *retry_s = after > 0 ? (double)after : 0;
    if (code == CURLE_OK)
        return check_result(t, hex, err);
    if (status == 416 && t->has_range && t->range_size == t->from && t->from > 0)
        return check_result(t, hex, err); /* it was whole, and its size is known only now */
    *next = failed(t, code, status, err);
    return -1;
}

/* How much of a failed attempt stays: what came and can be resumed; before anything came, all that was there. */
static uint64_t kept_bytes(const struct transfer *t, const struct err *err)
{
    struct stat there;

    if (t->begun || t->stale)
        return t->stale || !can_resume(t) || err->kind == ERR_CHECKSUM ? 0 : t->p->bytes;
    return fstat(fileno(t->p->file), &there) == 0 ? (uint64_t)there.st_size : 0;
}

static int attempt(const struct download *d, double until, char hex[SHA256_HEX], enum next *next,
                   double *retry_s, struct err *err)
{
    struct partial p;
    struct transfer t = {.d = d, .p = &p, .until = until, .err = err};
    uint64_t kept;
    int rc;

    *next = STOP;
    *retry_s = 0;
    if (partial_open(&p, d->path, d->url, err) < 0)
        return -1;
    if (p.bytes > 0 && !can_resume(&t)) {
        log_warn("%s: nothing tells whether the server's file is still that of %s: the download "
                 "starts again",
                 d->url, p.part);
        p.bytes = 0;
    }
    t.from = p.bytes;
    rc = perform(&t, hex, next, retry_s, err);
    if (t.curl)
        curl_easy_cleanup(t.curl);
    curl_slist_free_all(t.headers);
    if (rc == 0)
        return partial_commit(&p, err);
    kept = kept_bytes(&t, err);
    if (kept == 0) {
        partial_discard(&p);
        return -1;
    }
    if (*next != AT_ONCE)
        err_append(err, "; %.1f MB are kept in %s", (double)kept / 1e6, p.part);
    partial_close(&p);
    return -1;
}

/* --- all attempts --- */

static int attempts(const struct download *d, char hex[SHA256_HEX], struct err *err)
{
    const double until = d->rules.max_s > 0 ? clock_seconds() + (double)d->rules.max_s : 0;
    double wait = d->rules.wait_s, retry_s;
    enum next next;

    for (int n = 1;; n++) {
        double pause;
        int rc;

        do
            rc = attempt(d, until, hex, &next, &retry_s, err);
        while (rc < 0 && next == AT_ONCE);
        if (rc == 0)
            return 0;
        if (next == STOP || n == d->rules.attempts)
            return n == 1 ? -1 : err_append(err, " (tried %d times)", n);
        pause = retry_s > wait ? retry_s : wait;
        pause = pause > TRANSPORT_WAIT_MAX_S ? TRANSPORT_WAIT_MAX_S : pause;
        if (until > 0 && clock_seconds() + pause >= until)
            return err_append(err, " (tried %d times, and --max-time %ld leaves no time for more)",
                              n, d->rules.max_s);
        log_warn("%s; trying again in %.0f s (%d of %d)", err->msg, pause, n + 1,
                 d->rules.attempts);
        transport_sleep(pause);
        wait *= 2;
    }
}

int download(const struct download *d, char hex[SHA256_HEX], struct err *err)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    enum { N = sizeof signals / sizeof *signals };
    struct sigaction stop = {.sa_handler = on_signal}, before[N];
    int rc;

    BUG_IF(!err || d->rules.attempts < 1);
    if (transport_begin(err) < 0)
        return -1;
    interrupted = 0;
    sigemptyset(&stop.sa_mask);
    for (int i = 0; i < N; i++) {
        sigaction(signals[i], NULL, &before[i]);
        if (before[i].sa_handler != SIG_IGN)
            sigaction(signals[i], &stop, NULL);
    }
    rc = attempts(d, hex, err);
    for (int i = 0; i < N; i++)
        sigaction(signals[i], &before[i], NULL);
    return rc;
}

void download_libraries(FILE *file)
{
    version_library(file, "libcurl", curl_version_info(CURLVERSION_NOW)->version);
    version_library(file, "zlib", zlibVersion());
}
