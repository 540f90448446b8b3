/* transport.h - what every request to a server has in common: schemes, certificates, time-outs, who asks, and which
 * failures may pass. For fetch's downloads and for shards of another machine.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_REMOTE_TRANSPORT_H
#define PRESIZE_REMOTE_TRANSPORT_H

#include <stdbool.h>

#include <curl/curl.h>

#include "base/err.h"

enum { TRANSPORT_WAIT_MAX_S = 60 };

/* When a request is given up. */
struct transport_rules {
    int attempts;    /* >= 1; what may go away by itself is tried again */
    long slow_bytes; /* a connection slower than so many bytes per second ... */
    long slow_s;     /* ... for so many seconds is given up (and tried again); 0: never */
    long max_s;      /* for one file, with all attempts and waits; 0: no limit */
    double wait_s; /* before the second attempt; doubled each time, at most TRANSPORT_WAIT_MAX_S */
};
extern const struct transport_rules transport_rules_default; /* 5, 1000, 60, 0, 1 */

/* libcurl's own beginning, once. ERR_NETWORK. */
int transport_begin(struct err *err) MUST_USE;
/* Sets what all requests of C share. URL: http or https; no redirection leads from https to http. LEFT_MS: the most
 * that the request may take, 0: no limit. TEXT: where libcurl says what failed. $SSL_CERT_FILE replaces the system's
 * certificates. ERR_NETWORK. */
int transport_prepare(CURL *c, const char *url, const struct transport_rules *r, long left_ms,
                      char text[CURL_ERROR_SIZE], struct err *err) MUST_USE;
/* Whether the same request may succeed later. */
bool transport_may_pass(CURLcode code, long status);
void transport_sleep(double seconds); /* a signal ends it */

#endif
