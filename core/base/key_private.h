/* key_private.h - what key.c, key_names.c and key_tree.c share.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_KEY_PRIVATE_H
#define PRESIZE_BASE_KEY_PRIVATE_H

#include "base/key.h"

/* Tables joined over one struct, read by VERSION's rules. */
enum { NAME_MAX_LEN = 192 }; /* of a key */

struct key_join {
    const struct key_table *tables;
    size_t n;
    int version;
    char *obj;
};

/* Not any more in VERSION; in VERSION. (Neither: a younger key.) */
bool key_is_retired(const struct key *row, int version);
bool key_exists(const struct key *row, int version);

/* The row NAME and, in *OBJ, its module's struct. */
const struct key *key_find(const struct key_join *j, const char *name, char **obj);
/* Whether a struct key_join has KEY; an item of a list ("train.phases.0.lr") where the list has it. */
bool key_has(void *join, const char *key);
/* Always -1: what a message says of NAME, shown as SHOWN, that is no key; of a retired ROW. */
int key_unknown(const struct key_join *j, const char *shown, const char *name, struct err *err);
int key_refuse(const struct key *row, const char *shown, struct err *err);

#endif
