/* path.c - files and folders; what is replaced is replaced whole.
 * SPDX-License-Identifier: MIT */
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fold.h"
#include "base/key.h"
#include "base/text.h"

int path_format(char out[PATH_LEN], struct err *err, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(out, PATH_LEN, format, args);
    va_end(args);
    if (n < 0 || n >= PATH_LEN)
        return err_set(err, ERR_INPUT, "a path longer than %d bytes: %.60s...", PATH_LEN - 1, out);
    return 0;
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

int path_folder(char out[PATH_LEN], const char *path, struct err *err)
{
    const size_t n = (size_t)(path_base(path) - path);

    if (n == 0)
        return path_format(out, err, ".");
    return path_format(out, err, "%.*s", n > 1 ? (int)n - 1 : 1, path);
}

bool path_exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

bool path_is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool path_is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int check_kind(const char *path, mode_t mode, struct err *err)
{
    if (S_ISREG(mode))
        return 0;
    return err_set(err, ERR_IO, "%s: is a %s, not a file", path,
                   S_ISDIR(mode)    ? "folder"
                   : S_ISFIFO(mode) ? "pipe"
                   : S_ISSOCK(mode) ? "socket"
                                    : "device");
}

int path_check_file(const char *path, struct err *err)
{
    struct stat st;

    return stat(path, &st) < 0 ? 0 : check_kind(path, st.st_mode, err);
}

int path_make_dirs(const char *path, struct err *err)
{
    char part[PATH_LEN];

    if (path_format(part, err, "%s", path) < 0)
        return -1;
    for (char *p = part + 1; part[0]; p++) {
        char c = *p;

        if (c != '/' && c != '\0')
            continue;
        *p = '\0';
        if (mkdir(part, 0777) < 0 && errno != EEXIST)
            return err_errno(err, "cannot make the folder %s", part);
        if (c == '\0')
            break;
        *p = c;
    }
    if (!path_is_dir(path))
        return err_set(err, ERR_IO, "%s: is in the way: it is no folder", path);
    return 0;
}

static int refuse_link(const char *path, struct err *err)
{
    struct stat st;

    if (lstat(path, &st) < 0 || !S_ISLNK(st.st_mode))
        return 0;
    return err_set(err, ERR_UNSAFE,
                   "%s: is a link: what is written there would land elsewhere; put what it points "
                   "to in its place",
                   path);
}

int path_make_dirs_below(const char *root, const char *part, struct err *err)
{
    char path[PATH_LEN];
    size_t at = strlen(root) + 1;

    if (path_format(path, err, "%s/%s", root, part) < 0)
        return -1;
    while (path[at]) {
        const size_t end = at + strcspn(path + at, "/");
        const char c = path[end];
        int rc;

        path[end] = 0;
        rc = refuse_link(path, err);
        path[end] = c;
        if (rc < 0)
            return -1;
        at = end + (c != 0);
    }
    return path_make_dirs(path, err);
}

FILE *path_append(const char *path, struct err *err)
{
    FILE *file;
    int fd;

    if (refuse_link(path, err) < 0 || path_check_file(path, err) < 0)
        return NULL;
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (fd < 0) {
        err_errno(err, "cannot open %s", path);
        return NULL;
    }
    file = fdopen(fd, "a");
    if (!file) {
        err_errno(err, "cannot open %s", path);
        close(fd);
    }
    return file;
}

int path_remove_tree(const char *path, struct err *err)
{
    char root[PATH_LEN];
    char *roots[] = {root, NULL};
    struct stat st;
    FTS *walk;
    FTSENT *entry;
    int rc = 0;

    if (path_format(root, err, "%s", path) < 0)
        return -1;
    if (lstat(root, &st) < 0 && errno == ENOENT)
        return 0;
    walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
    if (!walk)
        return err_errno(err, "cannot remove %s", path);
    while (rc == 0 && (errno = 0, entry = fts_read(walk)) != NULL) {
        switch (entry->fts_info) {
        case FTS_D: /* emptied first, removed as FTS_DP */
            break;
        case FTS_DNR:
        case FTS_ERR:
            errno = entry->fts_errno;
            rc = err_errno(err, "cannot remove %s", entry->fts_path);
            break;
        default: /* not remove(), which tries unlink() on a folder: that may be denied for another reason */
            if ((entry->fts_info == FTS_DP ? rmdir : unlink)(entry->fts_path) < 0 &&
                errno != ENOENT)
                rc = err_errno(err, "cannot remove %s", entry->fts_path);
        }
    }
    if (rc == 0 && errno != 0)
        rc = err_errno(err, "cannot remove %s", path);
    fts_close(walk);
    return rc;
}

/* Reads FD to its end, at most MAX + 1 bytes. */
static int read_all(int fd, char **data, size_t *size, size_t max, size_t guess)
{
    size_t room = guess, n = 0;
    char *buffer = malloc(room + 1);

    while (buffer) {
        ssize_t got = read(fd, buffer + n, room - n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        n += (size_t)got;
        if (got == 0 || n > max) {
            buffer[n] = '\0';
            *data = buffer;
            *size = n;
            return 0;
        }
        if (n == room) {
            char *more = realloc(buffer, 2 * room + 1);

            if (!more)
                break;
            buffer = more;
            room *= 2;
        }
    }
    free(buffer);
    return -1;
}

static const char *kind_of(mode_t mode)
{
    return S_ISDIR(mode) ? "a folder" : S_ISFIFO(mode) ? "a named pipe" : "a socket or device";
}

int path_open(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0)
        return err_errno(err, "%s", path);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    close(fd);
    return err_set(err, ERR_IO, "%s: is %s, not a file", path, kind_of(st.st_mode));
}

int path_read(char **data, size_t *size, const char *path, size_t max, struct err *err)
{
    struct stat st;
    size_t guess = 4096;
    int fd;

    *data = NULL;
    *size = 0;
    fd = path_open(path, err);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
        guess = (uint64_t)st.st_size < max ? (size_t)st.st_size + 1 : max + 1;
    errno = ENOMEM;
    if (read_all(fd, data, size, max, guess) < 0) {
        err_errno(err, "%s", path);
        close(fd);
        return -1;
    }
    close(fd);
    if (*size > max) {
        free(*data);
        *data = NULL;
        return err_set(err, ERR_FORMAT, "%s: larger than the %zu bytes that are read here", path,
                       max);
    }
    return 0;
}

int path_write(const char *path, const void *data, size_t size, struct err *err)
{
    struct new_file f;

    if (new_file_begin(&f, path, err) < 0)
        return -1;
    if (size > 0 && fwrite(data, 1, size, f.file) != size) {
        err_errno(err, "cannot write %s", path);
        new_file_abort(&f);
        return -1;
    }
    return new_file_finish(&f, err);
}

/* --- experiments and data sets ------------------------------------------------------------------ */

enum { NEAR_MAX = 256, NAME_LEN = 128 };

struct listing {
    char names[NEAR_MAX][NAME_LEN];
    const char *pointers[NEAR_MAX];
    size_t n;
};

/* Adds NAME for every NAME.yaml in FOLDER; a missing folder adds none. */
static void list_yaml(struct listing *l, const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    while (dir && l->n < NEAR_MAX && (entry = readdir(dir)) != NULL) {
        size_t size = strlen(entry->d_name);

        if (entry->d_name[0] == '.' || size < 6 || size - 5 >= NAME_LEN ||
            strcmp(entry->d_name + size - 5, ".yaml") != 0)
            continue;
        memcpy(l->names[l->n], entry->d_name, size - 5);
        l->names[l->n][size - 5] = '\0';
        l->pointers[l->n] = l->names[l->n];
        l->n++;
    }
    if (dir)
        closedir(dir);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int path_of_program(char out[PATH_LEN], struct err *err)
{
    const ssize_t n = readlink("/proc/self/exe", out, PATH_LEN - 1);

    if (n < 0)
        return err_errno(err, "/proc/self/exe");
    out[n] = '\0';
    return 0;
}

int path_beside_program(char out[PATH_LEN], const char *name, struct err *err)
{
    char program[PATH_LEN], folder[PATH_LEN];

    if (path_of_program(program, err) < 0 || path_folder(folder, program, err) < 0)
        return -1;
    return path_format(out, err, "%s/%s", folder, name);
}

/* Whether FOLDER has experiments and descriptions of data sets. */
static bool is_share_folder(const char *folder)
{
    char experiments[PATH_LEN], datasets[PATH_LEN];

    return path_format(experiments, NULL, "%s/" SHARE_EXPERIMENTS, folder) == 0 &&
           path_format(datasets, NULL, "%s/" SHARE_DATASETS, folder) == 0 &&
           path_is_dir(experiments) && path_is_dir(datasets);
}

static char share_of_program[PATH_LEN] = PRESIZE_SHARE_DIR;

/* An installed folder may have been moved, and a program in its build folder is run from anywhere. */
static void find_share_of_program(void)
{
    static const char *const from_prefix[] = {"share/presize", ""};
    char program[PATH_LEN], folder[PATH_LEN], prefix[PATH_LEN], share[PATH_LEN];

    if (path_of_program(program, NULL) < 0 || path_folder(folder, program, NULL) < 0 ||
        path_folder(prefix, folder, NULL) < 0 || path_folder(folder, prefix, NULL) < 0)
        return;
    for (size_t i = 0; i < sizeof from_prefix / sizeof from_prefix[0]; i++)
        if (path_format(share, NULL, "%s%s%s", folder, *from_prefix[i] ? "/" : "",
                        from_prefix[i]) == 0 &&
            is_share_folder(share)) {
            memcpy(share_of_program, share, sizeof share);
            return;
        }
}

static const char *share_folder(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *share = getenv("PRESIZE_SHARE");

    if (share && *share)
        return share;
    pthread_once(&once, find_share_of_program);
    return share_of_program;
}

/* All of KIND, here and in the share folder, each once; NULL: out of memory. */
static struct listing *list_kind(const char *kind)
{
    struct listing *l = calloc(1, sizeof *l);
    char there[PATH_LEN];
    size_t n = 0;

    if (!l)
        return NULL;
    list_yaml(l, kind);
    if (path_format(there, NULL, "%s/%s", share_folder(), kind) == 0)
        list_yaml(l, there);
    qsort(l->pointers, l->n, sizeof l->pointers[0], by_name);
    for (size_t i = 0; i < l->n; i++)
        if (n == 0 || strcmp(l->pointers[i], l->pointers[n - 1]) != 0)
            l->pointers[n++] = l->pointers[i];
    l->n = n;
    return l;
}

void path_list_share(FILE *file, const char *kind)
{
    struct listing *l = list_kind(kind);

    for (size_t i = 0; l && i < l->n; i++)
        fprintf(file, "%s\n", l->pointers[i]);
    free(l);
}

static int not_found(const char *kind, const char *name, const char *share, struct err *err)
{
    struct listing *l = list_kind(kind);
    const char *near;

    err_set(err, ERR_INPUT, "no %s/%s.yaml, neither here nor in %s", kind, name, share);
    if (!l)
        return -1;
    near = nearest_name(name, l->pointers, l->n);
    if (near)
        err_append(err, "; did you mean %s?", near);
    else if (l->n > 0)
        err_append(err, "; there are:");
    for (size_t i = 0; !near && i < l->n; i++)
        err_append(err, " %s", l->pointers[i]);
    free(l);
    return -1;
}

int path_share_name(char out[PATH_LEN], const char *kind, const char *name, struct err *err)
{
    if (!*name || *name == '.' || strchr(name, '/'))
        return err_set(err, ERR_INPUT,
                       "\"%s\" is not the name of a file %s/NAME.yaml (no slash, no leading dot)",
                       name, kind);
    return path_format(out, err, "%s/%s.yaml", kind, name);
}

int path_find_share(char out[PATH_LEN], const char *kind, const char *name, struct err *err)
{
    const char *share = share_folder();

    if (path_share_name(out, kind, name, err) < 0)
        return -1;
    if (path_is_file(out))
        return 0;
    if (path_format(out, err, "%s/%s/%s.yaml", share, kind, name) < 0)
        return -1;
    if (path_is_file(out))
        return 0;
    return not_found(kind, name, share, err);
}

/* NAME and the first comment of its file. */
static void describe(FILE *out, const char *kind, const char *name)
{
    char path[PATH_LEN], line[256] = "", shown[4 * sizeof line], quoted[4 * NAME_LEN];
    FILE *yaml;

    if (path_find_share(path, kind, name, NULL) < 0)
        return;
    yaml = fopen(path, "re");
    if (yaml && (!fgets(line, sizeof line, yaml) || line[0] != '#'))
        line[0] = 0;
    if (yaml)
        fclose(yaml);
    line[strcspn(line, "\n")] = 0;
    text_quote(quoted, sizeof quoted, name);
    text_quote(shown, sizeof shown, line[0] ? line + 1 + strspn(line + 1, " ") : "");
    fprintf(out, "  %-26s %s\n", quoted, shown);
}

void path_describe_share(FILE *out, const char *kind)
{
    struct listing *l = list_kind(kind);
    FILE *folded = fold_begin(out);

    for (size_t i = 0; l && i < l->n; i++)
        describe(folded, kind, l->pointers[i]);
    fold_end(folded, out);
    free(l);
}
