/* archives.h - the archives of a data set: found, checked, downloaded or made, before unpacking.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_ARCHIVES_H
#define PRESIZE_FETCH_ARCHIVES_H

#include "data/manifest.h"
#include "obtain.h"

struct archives {
    char path[MANIFEST_ARCHIVES_MAX][PATH_LEN];
    /* downloaded just now, and nobody published its hash: not kept if it turns out to be useless */
    bool doubtful[MANIFEST_ARCHIVES_MAX];
};

/* Fills PATHS and m->archives (name, size, SHA-256) with every archive of the set, hashes checked
 * where they are known. Errors as obtain(). */
int archives_gather(struct archives *a, struct manifest *m, const struct obtain *o,
                    struct err *err) MUST_USE;

/* Whether FILE in DATA/archives is of the set (or weights) NAME: published for it, or by its name, NAME-..., downloaded
 * for it. Any other is a stranger's, though a set made by --from may name one like it. */
bool archives_is_of(const char *name, const char *file);

/* True for http:// and https:// addresses. */
bool archives_is_address(const char *what);

#endif
