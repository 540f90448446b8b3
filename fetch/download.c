/* download.c - libcurl into a .part file, hashed as it streams.
 *
 * Each attempt starts the file anew. SPDX-License-Identifier: MIT */
#include "download.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "base/log.h"
#include "base/path.h"
#include "base/version.h"

enum {
    REDIRECTS_MAX = 5,
    CONNECT_S = 30,
    SLOW_BYTES_PER_S = 1000, /* slower than this ... */
    SLOW_S = 60,             /* ... for so long is a dead connection */
    WAIT_MAX_S = 60,
};

struct transfer {
    const struct download *d;
    FILE *file;
    CURL *curl;
    struct sha256 *hash;
    uint64_t got;
    bool checked_room;
    struct err *err; /* set by the callback when it stops the transfer */
};

/* --- while bytes arrive --- */

static int check_room(struct transfer *t, curl_off_t length)
{
    struct statvfs fs;
    char folder[PATH_LEN];
    const char *base = path_base(t->d->path);

    if (path_format(folder, t->err, "%.*s.", (int)(base - t->d->path), t->d->path) < 0)
        return -1;
    if (statvfs(folder, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < (uint64_t)length)
        return err_set(t->err, ERR_FULL,
                       "needs %.1f MB, %s has %.1f MB free: make room or choose another --data",
                       (double)length / 1e6, folder,
                       (double)fs.f_bavail * (double)fs.f_frsize / 1e6);
    return 0;
}

/* Once the headers are there. */
static int check_announced(struct transfer *t)
{
    curl_off_t length = -1;

    t->checked_room = true;
    curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (length < 0)
        return 0;
    if (t->d->size > 0 && (uint64_t)length != t->d->size)
        return err_set(t->err, ERR_CHECKSUM,
                       "the server has a file of %" PRId64 " bytes, expected %" PRIu64
                       ": it is not the published one",
                       (int64_t)length, t->d->size);
    progress_begin(path_base(t->d->path), (uint64_t)length);
    return check_room(t, length);
}

static size_t receive(char *data, size_t one, size_t size, void *ctx)
{
    struct transfer *t = ctx;
    size_t bytes = one * size;

    if (!t->checked_room && check_announced(t) < 0)
        return 0;
    if (bytes > t->d->max_bytes - t->got) {
        err_set(t->err, ERR_NETWORK, "the server sends more than the %" PRIu64 " bytes allowed",
                t->d->max_bytes);
        return 0;
    }
    sha256_update(t->hash, data, bytes);
    if (fwrite(data, 1, bytes, t->file) != bytes) {
        err_errno(t->err, "cannot write %s.part", t->d->path);
        return 0;
    }
    t->got += bytes;
    progress_set(t->got, NULL);
    return bytes;
}

/* --- one attempt --- */

static bool may_pass(CURLcode code, long status)
{
    switch (code) {
    case CURLE_OK:
    case CURLE_HTTP_RETURNED_ERROR:
        return status == 408 || status == 429 || status >= 500;
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return true;
    default:
        return false;
    }
}

static int set_options(struct transfer *t, char *text, struct err *err)
{
    CURL *c = t->curl;
    /* never from https to http: bytes that someone on the way may have changed */
    const char *schemes = strncmp(t->d->url, "https:", 6) == 0 ? "https" : "http,https";

    text[0] = '\0';
    if (curl_easy_setopt(c, CURLOPT_URL, t->d->url) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, schemes) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES_PER_S) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)SLOW_S) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_USERAGENT, "presize/" PRESIZE_VERSION) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_ERRORBUFFER, text) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, receive) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_WRITEDATA, t) != CURLE_OK)
        return err_set(err, ERR_NETWORK, "%s: libcurl refuses it", t->d->url);
    return 0;
}

static int check_result(const struct transfer *t, const char *hex, struct err *err)
{
    const struct download *d = t->d;

    if (d->size > 0 && t->got != d->size)
        return err_set(err, ERR_CHECKSUM, "%s: %" PRIu64 " bytes came, expected %" PRIu64, d->url,
                       t->got, d->size);
    if (d->sha256 && strcmp(hex, d->sha256) != 0)
        return err_set(err, ERR_CHECKSUM,
                       "%s: its SHA-256 is %s, expected %s: it is not the published file, and is "
                       "not kept",
                       d->url, hex, d->sha256);
    return 0;
}

/* Runs the transfer into FILE. *AGAIN: worth another attempt, after *RETRY_S seconds if the server
 * named a time (else 0). */
static int perform(const struct download *d, FILE *file, char hex[SHA256_HEX], bool *again,
                   double *retry_s, struct err *err)
{
    struct transfer t = {.d = d, .file = file, .err = err};
    char text[CURL_ERROR_SIZE];
    curl_off_t after = 0;
    CURLcode code;
    long status = 0;
    int rc = -1;

    t.curl = curl_easy_init();
    if (!t.curl)
        return err_set(err, ERR_NOMEM, "no memory for libcurl");
    if (sha256_new(&t.hash, err) < 0 || set_options(&t, text, err) < 0)
        goto out;
    code = curl_easy_perform(t.curl);
    progress_end();
    curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(t.curl, CURLINFO_RETRY_AFTER, &after);
    if (code == CURLE_WRITE_ERROR) { /* our callback said why */
        err_wrap(err, "%s", d->url);
        goto out;
    }
    if (code != CURLE_OK) {
        *again = may_pass(code, status);
        *retry_s = after > 0 ? (double)after : 0;
        err_set(err, ERR_NETWORK, "%s: %s", d->url, text[0] ? text : curl_easy_strerror(code));
        goto out;
    }
    sha256_hex(t.hash, hex);
    rc = check_result(&t, hex, err);
out:
    sha256_free(t.hash);
    curl_easy_cleanup(t.curl);
    return rc;
}

static int commit(FILE *file, const char *part, const char *path)
{
    int ok = fflush(file) == 0 && fsync(fileno(file)) == 0;

    return fclose(file) == 0 && ok && rename(part, path) == 0 ? 0 : -1;
}

static int attempt(const struct download *d, char hex[SHA256_HEX], bool *again, double *retry_s,
                   struct err *err)
{
    char part[PATH_LEN];
    FILE *file;

    *again = false;
    *retry_s = 0;
    if (path_format(part, err, "%s.part", d->path) < 0)
        return -1;
    file = fopen(part, "wbe");
    if (!file)
        return err_errno(err, "cannot write %s", part);
    if (perform(d, file, hex, again, retry_s, err) < 0) {
        fclose(file);
        remove(part);
        return -1;
    }
    if (commit(file, part, d->path) < 0) {
        err_errno(err, "cannot write %s", d->path);
        remove(part);
        return -1;
    }
    return 0;
}

static void sleep_s(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds};

    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    nanosleep(&t, NULL);
}

int download(const struct download *d, char hex[SHA256_HEX], struct err *err)
{
    double wait = d->wait_s, retry_s;
    bool again;

    BUG_IF(!err || d->attempts < 1);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_NETWORK, "libcurl cannot be started");
    for (int n = 1;; n++) {
        double pause;

        if (attempt(d, hex, &again, &retry_s, err) == 0)
            return 0;
        if (!again || n == d->attempts)
            return n == 1 ? -1 : err_append(err, " (tried %d times)", n);
        pause = retry_s > wait ? retry_s : wait;
        pause = pause > WAIT_MAX_S ? WAIT_MAX_S : pause;
        log_warn("%s; trying again in %.0f s (%d of %d)", err->msg, pause, n + 1, d->attempts);
        sleep_s(pause);
        wait *= 2;
    }
}

void download_libraries(FILE *file)
{
    version_library(file, "libcurl", curl_version_info(CURLVERSION_NOW)->version);
    version_library(file, "zlib", zlibVersion());
}
