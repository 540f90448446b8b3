/* set_lock.c - a lock file by flock, gone when nobody holds it.
 *
 * On some network file systems flock succeeds for every caller (huggingface_hub pull request 4228).
 * What is written is therefore also renamed into place, and its hash decides.
 * SPDX-License-Identifier: MIT */
#include "set_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/log.h"

static int locked(const struct set_lock *l, struct err *err)
{
    char holder[32] = "";
    ssize_t n = pread(l->fd, holder, sizeof holder - 1, 0);

    if (n > 0 && holder[n - 1] == '\n')
        holder[n - 1] = '\0';
    return err_set(err, ERR_LOCKED, "another fetch%s%s works on this data set (%s); wait for it",
                   n > 0 ? ", process " : "", n > 0 ? holder : "", l->path);
}

int set_lock_take(struct set_lock *l, const char *data, const char *name, struct err *err)
{
    l->fd = -1;
    if (path_format(l->path, err, "%s/.%s.lock", data, name) < 0)
        return -1;
    for (;;) {
        l->fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (l->fd < 0)
            return err_errno(err, "cannot make the lock file %s", l->path);
        if (flock(l->fd, LOCK_EX | LOCK_NB) < 0) {
            const bool none = errno == ENOLCK || errno == ENOSYS || errno == EOPNOTSUPP;
            int rc = 0;

            if (none)
                log_warn("%s: this file system has no locks (%s): do not let two fetches of one "
                         "set run at the same time",
                         data, strerror(errno));
            else
                rc = errno == EWOULDBLOCK ? locked(l, err) : err_errno(err, "%s", l->path);
            if (rc < 0) {
                close(l->fd);
                l->fd = -1;
                return rc;
            }
        }
        if (path_names(l->path, l->fd)) /* its last holder may have removed it after our open */
            break;
        close(l->fd);
    }
    if (ftruncate(l->fd, 0) == 0) /* the number is only for the message */
        (void)!dprintf(l->fd, "%ld\n", (long)getpid());
    return 0;
}

void set_lock_release(struct set_lock *l)
{
    if (l->fd < 0)
        return;
    unlink(l->path);
    close(l->fd);
    l->fd = -1;
}
