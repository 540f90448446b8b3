/* download.h - one file from the network, whole and checked or not at all; a broken one is resumed.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_DOWNLOAD_H
#define PRESIZE_FETCH_DOWNLOAD_H

#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/hash.h"
#include "remote/transport.h"

struct download {
    const char *url;    /* https, or http where the user asked for it; no redirection leads from the
                           one to the other */
    const char *path;   /* where it is to be; PATH.part is written and renamed (partial.h) */
    uint64_t size;      /* expected bytes, 0: unknown */
    uint64_t max_bytes; /* refuse more than that */
    const char *sha256; /* expected, NULL: unknown */
    struct transport_rules rules;
};

/* HEX gets the file's SHA-256. An earlier file at PATH is replaced, and stays when this fails. PATH.part of an earlier
 * call that ended early is resumed (Range) where the server still has the same file (If-Range by ETag or
 * Last-Modified), or where SHA256 tells; else it starts again, and says so. After a failure PATH.part stays when it can
 * be resumed, and the message says so. Wrong bytes are never kept. $SSL_CERT_FILE replaces the system's
 * certificates. SIGINT, SIGTERM and SIGHUP end it (ERR_STOPPED). ERR_NETWORK (with the server's answer and the attempts
 * made), ERR_CHECKSUM (another size or hash than expected), ERR_FULL, ERR_IO, ERR_NOMEM. */
int download(const struct download *d, char hex[SHA256_HEX], struct err *err) MUST_USE;

void download_libraries(FILE *file); /* for base/version.h */

#endif
