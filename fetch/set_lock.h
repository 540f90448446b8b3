/* set_lock.h - one process at a time works on a data set.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_SET_LOCK_H
#define PRESIZE_FETCH_SET_LOCK_H

#include "base/err.h"
#include "base/path.h"

struct set_lock {
    int fd; /* -1: not held */
    char path[PATH_LEN];
};

/* Takes DATA/.NAME.lock by flock(2) without waiting. ERR_LOCKED (with the holder's process number
 * where it is known), ERR_IO. Released by set_lock_release() and by the end of the process. */
int set_lock_take(struct set_lock *l, const char *data, const char *name, struct err *err) MUST_USE;
void set_lock_release(struct set_lock *l); /* removes the file; not held is fine */

#endif
