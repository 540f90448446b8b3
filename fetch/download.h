/* download.h - one file from the network, whole and checked or not at all.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_DOWNLOAD_H
#define PRESIZE_FETCH_DOWNLOAD_H

#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/hash.h"

struct download {
    const char *url;    /* https, or http where the user asked for it; no redirection leads from the
                           one to the other */
    const char *path;   /* where it is to be; PATH.part is written and renamed */
    uint64_t size;      /* expected bytes, 0: unknown */
    uint64_t max_bytes; /* refuse more than that */
    const char *sha256; /* expected, NULL: unknown */
    int attempts;       /* >= 1; what may go away by itself is tried again */
    double wait_s;      /* before the second attempt; doubled each time, at most 60 */
};

/* HEX gets the file's SHA-256. An earlier file at PATH is replaced, and stays when this fails;
 * PATH.part is gone then. ERR_NETWORK (with the server's answer and the attempts made), ERR_CHECKSUM
 * (another size or hash than expected), ERR_FULL, ERR_IO. */
int download(const struct download *d, char hex[SHA256_HEX], struct err *err) MUST_USE;

void download_libraries(FILE *file); /* for base/version.h */

#endif
