/* transport.c - options of libcurl. SPDX-License-Identifier: MIT */
#include "remote/transport.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REDIRECTS_MAX = 5, CONNECT_S = 30 };

const struct transport_rules transport_rules_default = {
    .attempts = 5, .slow_bytes = 1000, .slow_s = 60, .max_s = 0, .wait_s = 1};

int transport_begin(struct err *err)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK
               ? 0
               : err_set(err, ERR_NETWORK, "libcurl cannot be started");
}

bool transport_may_pass(CURLcode code, long status)
{
    switch (code) {
    case CURLE_OK:
    case CURLE_HTTP_RETURNED_ERROR:
        return status == 408 || status == 429 || status >= 500;
    case CURLE_COULDNT_RESOLVE_HOST: /* of a name that was found before, too */
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

static int set_limits(CURL *c, const struct transport_rules *r, long left_ms)
{
    const char *certificates = getenv("SSL_CERT_FILE");

    if (curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, r->slow_bytes) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, r->slow_s) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, left_ms) != CURLE_OK)
        return -1;
    if (certificates && *certificates &&
        curl_easy_setopt(c, CURLOPT_CAINFO, certificates) != CURLE_OK)
        return -1;
    return 0;
}

int transport_prepare(CURL *c, const char *url, const struct transport_rules *r, long left_ms,
                      char text[CURL_ERROR_SIZE], struct err *err)
{
    /* never from https to http: bytes that someone on the way may have changed */
    const char *schemes = strncmp(url, "https:", 6) == 0 ? "https" : "http,https";

    if (curl_easy_setopt(c, CURLOPT_URL, url) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, schemes) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_USERAGENT, "presize/" PRESIZE_VERSION) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_ERRORBUFFER, text) != CURLE_OK || set_limits(c, r, left_ms) < 0)
        return err_set(err, ERR_NETWORK, "%s: libcurl refuses it", url);
    return 0;
}

void transport_sleep(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds};

    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    nanosleep(&t, NULL);
}
