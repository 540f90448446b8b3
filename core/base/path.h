/* path.h - files and folders: joining, reading whole, and replacing without ever leaving half.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_PATH_H
#define PRESIZE_BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum { PATH_LEN = 4096 }; /* bytes of a path with its 0, as PATH_MAX on Linux */

/* out = printf(format...). ERR_INPUT when it does not fit. */
int path_format(char out[PATH_LEN], struct err *err, const char *format, ...) MUST_USE
    PRINTF_LIKE(3, 4);
/* What stands before path_base(), without the '/': the folder of PATH, "." where PATH names none. ERR_INPUT. */
int path_folder(char out[PATH_LEN], const char *path, struct err *err) MUST_USE;
const char *path_base(const char *path); /* what follows the last '/', borrowed from PATH */

bool path_exists(const char *path);
bool path_is_dir(const char *path);
bool path_is_file(const char *path); /* a regular file, links followed */

/* ERR_IO when PATH is there and no regular file (links followed): a pipe or a device is not even opened. */
int path_check_file(const char *path, struct err *err) MUST_USE;

/* Makes PATH and the folders above it; no error when it is there. */
int path_make_dirs(const char *path, struct err *err) MUST_USE;
/* The same for ROOT/PART, where nothing below ROOT may be a link: what is written there stays below ROOT.
 * ERR_UNSAFE. */
int path_make_dirs_below(const char *root, const char *part, struct err *err) MUST_USE;
/* PATH to append to, made when it is not there. ERR_UNSAFE when it is a link, ERR_IO when no regular file;
 * NULL then. */
FILE *path_append(const char *path, struct err *err);

/* Removes PATH with everything in it, without following links. No error when it is missing. */
int path_remove_tree(const char *path, struct err *err) MUST_USE;

/* Whether PATH still names the file that FD has open. */
bool path_names(const char *path, int fd);

/* Opens a regular file (links are followed) for reading: a descriptor, or -1 with ERR_IO, also where PATH is a folder,
 * a named pipe, a socket or a device, none of which is waited for. */
int path_open(const char *path, struct err *err) MUST_USE;

/* Reads a whole file of at most MAX bytes. *data is 0-terminated (the 0 not counted in *size),
 * owned by the caller, released with free(). ERR_IO, ERR_FORMAT (larger than MAX), ERR_NOMEM. */
int path_read(char **data, size_t *size, const char *path, size_t max, struct err *err) MUST_USE;

/* Replaces PATH by exactly these bytes: temporary name beside it, fsync, rename, fsync of the
 * folder. On an error PATH is as it was and the temporary file is gone. */
int path_write(const char *path, const void *data, size_t size, struct err *err) MUST_USE;

/* The names in FOLDER reach the disk (fsync); a file system that cannot do so is passed over. The other: those in the
 * folder of PATH. */
int path_sync_folder(const char *folder, struct err *err) MUST_USE;
int path_sync_folder_of(const char *path, struct err *err) MUST_USE;

/* The same for what is written piece by piece. Between begin and finish write to ->file; finish commits, abort removes.
 * Exactly one of the two ends it. A lock on the temporary file says that its writer lives: begin removes what killed
 * processes left of the same target (on a file system without locks: what is older than a day). */
struct new_file {
    FILE *file;
    char tmp[PATH_LEN], path[PATH_LEN];
};
int new_file_begin(struct new_file *f, const char *path, struct err *err) MUST_USE;
int new_file_finish(struct new_file *f, struct err *err) MUST_USE;
void new_file_abort(struct new_file *f); /* nothing begun (all zero) is fine */

/* The file of the running program, without links. ERR_IO. */
int path_of_program(char out[PATH_LEN], struct err *err) MUST_USE;
/* The file NAME in the folder of that. ERR_IO, ERR_INPUT. */
int path_beside_program(char out[PATH_LEN], const char *name, struct err *err) MUST_USE;

/* The kinds of files below, as folders of the share folder and of the working folder. */
#define SHARE_DATASETS "prep/datasets"
#define SHARE_EXPERIMENTS "experiments"

/* Where "KIND/NAME.yaml" is: in the working folder, else in the share folder. That is $PRESIZE_SHARE, else where the
 * program was installed (../../share/presize from its folder) or built (../.. of its folder), else PREFIX/share/presize
 * with the PREFIX of the build. ERR_INPUT names both places and the near misses there. */
int path_find_share(char out[PATH_LEN], const char *kind, const char *name,
                    struct err *err) MUST_USE;
/* out = "KIND/NAME.yaml". ERR_INPUT: NAME has a slash, or a dot first. */
int path_share_name(char out[PATH_LEN], const char *kind, const char *name,
                    struct err *err) MUST_USE;
/* A line for each NAME of KIND that path_find_share() finds, sorted; with the first comment of the file, which says
 * what it is. */
void path_list_share(FILE *file, const char *kind);
void path_describe_share(FILE *out, const char *kind);

#endif
