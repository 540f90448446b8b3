/* obtain_private.h - the steps of obtain() that repair() takes, too.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_OBTAIN_PRIVATE_H
#define PRESIZE_FETCH_OBTAIN_PRIVATE_H

#include "archives.h"
#include "obtain.h"

struct obtain_places {
    char set[PATH_LEN], tree[PATH_LEN], tree_part[PATH_LEN];
    char manifest[PATH_LEN], manifest_part[PATH_LEN], archives[PATH_LEN];
};

int obtain_find_places(struct obtain_places *p, const struct obtain *o, struct err *err) MUST_USE;
/* Unpacks all archives into p->tree_part, of which WANTED as in unpack.h, and lists all their files in M. */
int obtain_unpack(struct manifest *m, const struct archives *a, const struct obtain *o,
                  const struct obtain_places *p, bool (*wanted)(void *ctx, const char *path),
                  void *ctx, struct err *err) MUST_USE;
/* Takes the archives' one top folder off M's paths, where the source says so. ROOT: that folder. */
int obtain_strip_top(char root[PATH_LEN], struct manifest *m, const struct obtain_places *p,
                     const struct obtain *o, struct err *err) MUST_USE;
int obtain_flush(const char *folder, struct err *err) MUST_USE; /* to the disk, all below it */

#endif
