/* remote_private.h - private to remote. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_REMOTE_REMOTE_PRIVATE_H
#define PRESIZE_REMOTE_REMOTE_PRIVATE_H

#include "base/path.h"
#include "remote/range.h"

struct remote {
    char folder[PATH_LEN]; /* in the cache */
    struct requests *requests;
};

/* A descriptor whose closing gives up the cache's folder FOLDER to other processes. ERR_IO. */
int remote_lock(const char *folder, struct err *err) MUST_USE;

#endif
