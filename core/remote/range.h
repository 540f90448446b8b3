/* range.h - one GET, of a whole small file or of a part; private to remote.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_REMOTE_RANGE_H
#define PRESIZE_REMOTE_RANGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { REQUEST_TAG = 256 };

struct requests; /* a server's open connections and what it is asked with */

/* ADDRESS: of a folder, https, http or s3 (with the keys and the endpoint of the usual variables of the environment).
 * $PRESIZE_STALL_SECONDS: a server that sends under 1000 bytes per second for so long (60) is given up and asked again.
 * ERR_INPUT: what is missing or cannot be; ERR_NETWORK, ERR_NOMEM. */
int requests_open(struct requests **out, const char *address, struct err *err) MUST_USE;
void requests_close(struct requests *r); /* NULL is fine */

struct answer {
    uint8_t *bytes; /* released with free() */
    size_t size;
    uint64_t total;        /* bytes of the server's whole file; 0: not said */
    char tag[REQUEST_TAG]; /* ETag, else Last-Modified; "": not said */
};

/* The file NAME, whole, of at most MAX bytes. ERR_INPUT: the server has no such file (404); ERR_NETWORK with
 * what the server said (also 403) and the attempts made; ERR_NOMEM. A has nothing then. Any thread. */
int requests_whole(struct answer *a, struct requests *r, const char *name, size_t max,
                   struct err *err) MUST_USE;
/* SIZE bytes from FROM on, exactly. The same errors; a server that sends no parts: ERR_NETWORK. */
int requests_part(struct answer *a, struct requests *r, const char *name, uint64_t from,
                  size_t size, struct err *err) MUST_USE;

#endif
