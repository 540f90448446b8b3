/* path_new.c - new_file of path.h: written beside the target as .NAME.tmp-DRAWN, then renamed.
 * SPDX-License-Identifier: MIT */
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DAY_S = 24 * 60 * 60 };

bool path_names(const char *path, int fd)
{
    struct stat ours, there;

    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino &&
           ours.st_dev == there.st_dev;
}

/* Removes a temporary file at PATH whose writer, which would hold its lock, is dead. A file system without locks cannot
 * tell: there a day without a change must do. */
static void remove_left(const char *path)
{
    const int fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK |
                                  O_CLOEXEC); /* NFS locks what may be written */
    struct stat st;
    bool left;

    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        left = true;
    else
        left = errno != EWOULDBLOCK && fstat(fd, &st) == 0 && time(NULL) - st.st_mtime > DAY_S;
    if (left && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && path_names(path, fd))
        unlink(path);
    close(fd);
}

/* Removes what killed processes left in FOLDER under names that begin with PREFIX. */
static void remove_all_left(const char *folder, const char *prefix)
{
    char path[PATH_LEN];
    const struct dirent *e;
    DIR *dir = opendir(folder);

    while (dir && (e = readdir(dir)))
        if (strncmp(e->d_name, prefix, strlen(prefix)) == 0 &&
            path_format(path, NULL, "%s/%s", folder, e->d_name) == 0)
            remove_left(path);
    if (dir)
        closedir(dir);
}

/* A new file of a name that no other process takes, on whatever machine, into F->tmp, locked; -1 with errno. */
static int open_new(struct new_file *f, const char *folder, const char *prefix, struct err *err)
{
    while (true) {
        uint32_t drawn;
        int fd, rc;

        if (getrandom(&drawn, sizeof drawn, 0) != (ssize_t)sizeof drawn)
            return err_errno(err, "cannot write %s", f->path);
        if (path_format(f->tmp, err, "%s/%s%08x", folder, prefix, drawn) < 0)
            return -1;
        fd = open(f->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno == EEXIST)
            continue;
        if (fd < 0)
            return err_errno(err, "cannot write %s", f->path);
        /* Another may have taken the file for one that was left, before its lock was ours: once more, then. */
        do {
            rc = flock(fd, LOCK_EX);
        } while (rc < 0 && errno == EINTR);
        if (rc < 0 || path_names(f->tmp, fd))
            return fd;
        close(fd);
    }
}

int new_file_begin(struct new_file *f, const char *path, struct err *err)
{
    char folder[PATH_LEN], prefix[PATH_LEN];
    int fd;

    f->file = NULL;
    f->tmp[0] = '\0';
    if (path_format(f->path, err, "%s", path) < 0 || path_folder(folder, path, err) < 0 ||
        path_format(prefix, err, ".%s.tmp-", path_base(path)) < 0)
        return -1;
    remove_all_left(folder, prefix);
    fd = open_new(f, folder, prefix, err);
    if (fd < 0) {
        f->tmp[0] = '\0';
        return -1;
    }
    f->file = fdopen(fd, "wb");
    if (f->file)
        return 0;
    err_errno(err, "cannot write %s", path);
    close(fd);
    new_file_abort(f);
    return -1;
}

int path_sync_folder(const char *folder, struct err *err)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

    if (fd < 0)
        return err_errno(err, "%s", folder);
    rc = fsync(fd);
    if (rc < 0 && (errno == EINVAL || errno == ENOTSUP)) /* a file system without it */
        rc = 0;
    if (rc < 0)
        err_errno(err, "%s", folder);
    close(fd);
    return rc;
}

int path_sync_folder_of(const char *path, struct err *err)
{
    char folder[PATH_LEN];

    return path_folder(folder, path, err) < 0 ? -1 : path_sync_folder(folder, err);
}

/* Sets errno to why an earlier write to FD failed: what stdio saw then is lost, so ask again. */
static void ask_why(int fd)
{
    static const char zeros[65536];

    errno = 0;
    if (write(fd, zeros, sizeof zeros) == (ssize_t)sizeof zeros || errno == 0)
        errno = EIO;
}

static int finish(struct new_file *f)
{
    if (ferror(f->file)) {
        ask_why(fileno(f->file));
        return -1;
    }
    if (fflush(f->file) != 0 || fsync(fileno(f->file)) < 0 || rename(f->tmp, f->path) < 0)
        return -1;
    f->tmp[0] = '\0';
    fclose(f->file); /* with its lock, which nobody may have before the rename; all was synced */
    f->file = NULL;
    return path_sync_folder_of(f->path, NULL);
}

int new_file_finish(struct new_file *f, struct err *err)
{
    BUG_IF(!f->tmp[0]);
    if (finish(f) < 0) {
        err_errno(err, "cannot write %s", f->path);
        new_file_abort(f);
        return -1;
    }
    return 0;
}

void new_file_abort(struct new_file *f)
{
    if (f->file)
        fclose(f->file);
    f->file = NULL;
    if (f->tmp[0])
        unlink(f->tmp);
    f->tmp[0] = '\0';
}
