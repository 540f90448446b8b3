/* obtain.h - from an archive, given or downloaded or made, to DATA/NAME/tree and its manifest.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_OBTAIN_H
#define PRESIZE_FETCH_OBTAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/path.h"
#include "download.h"
#include "data/source.h"
#include "unpack.h"

struct obtain_from {
    const char *what;   /* a file, or an http or https address */
    const char *sha256; /* what the user expects, NULL: nothing */
};

struct obtain {
    const char *data;            /* folder of all data sets */
    const char *name;            /* of this one; obtain_name_is_valid() */
    const struct source *source; /* NULL: only FROM says where it comes from */
    const struct obtain_from *from;
    size_t n_from;
    /* address that has the source's files, instead of the published ones; NULL */
    const char *mirror;
    struct transport_rules rules; /* of each download */
    const char *charset;          /* of names in the archives that are not UTF-8; NULL: none are */
    struct unpack_limits limits;
};

/* Letters, digits, ".", "_", "-"; no dot first; at most 100 bytes; not a name that DATA uses itself. */
bool obtain_name_is_valid(const char *name);

/* Does what is missing; when the set is complete, checks sizes only and says so. On an error nothing
 * half-made stays: no tree; whole archives that were downloaded do, and a partial download that can be resumed.
 * ERR_NETWORK, ERR_CHECKSUM, ERR_FULL, ERR_UNSAFE, ERR_LOCKED, ERR_FORMAT, ERR_INPUT, ERR_IO. */
int obtain(const struct obtain *o, struct err *err) MUST_USE;

#endif
