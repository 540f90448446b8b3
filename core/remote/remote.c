/* remote.c - folders of the cache: which address each stands for, and the index that decides whether it is still valid.
 * SPDX-License-Identifier: MIT */
#include "remote/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/version.h"
#include "remote/remote_private.h"
#include "remote/transport.h"

#define MARK "remote.json"

enum { INDEX_MAX = 1 << 28, HASH_SHOWN = 16 };

static bool is_address(const char *data)
{
    return strncmp(data, "https://", 8) == 0 || strncmp(data, "http://", 7) == 0 ||
           strncmp(data, "s3://", 5) == 0;
}

/* A user's name would end up in records; what follows a question mark cannot have a path behind it. */
static int check_address(const char *address, struct err *err)
{
    const char *host = strstr(address, "://") + 3;
    const size_t length = strcspn(host, "/");

    if (memchr(host, '@', length)) /* never printed */
        return err_set(err, ERR_INPUT, "--data: an address without a user's name was expected");
    if (length == 0)
        return err_set(err, ERR_INPUT, "--data %s: no host", address);
    if (strpbrk(address, "?#"))
        return err_set(err, ERR_INPUT, "--data %s: an address without ? and # was expected",
                       address);
    return 0;
}

static int cache_folder(char out[PATH_LEN], struct err *err)
{
    const char *own = getenv("PRESIZE_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");

    if (own && *own)
        return path_format(out, err, "%s", own);
    if (xdg && *xdg)
        return path_format(out, err, "%s/presize", xdg);
    if (home && *home)
        return path_format(out, err, "%s/.cache/presize", home);
    return err_set(err, ERR_INPUT, "where to keep what is fetched? set PRESIZE_CACHE to a folder");
}

static int write_mark(const char *folder, const char *address, struct err *err)
{
    char path[PATH_LEN];
    json_t *mark;
    int rc;

    if (path_make_dirs(folder, err) < 0 || path_format(path, err, "%s/" MARK, folder) < 0)
        return -1;
    if (path_exists(path)) /* the folder's name follows from the address */
        return 0;
    mark = json_pack("{s:s}", "address", address);
    rc = mark ? json_write(path, mark, err) : err_set(err, ERR_NOMEM, "%s: out of memory", path);
    json_decref(mark);
    return rc;
}

int remote_data(const char **data, char folder[PATH_LEN], struct err *err)
{
    char cache[PATH_LEN], address[PATH_LEN], hex[SHA256_HEX];
    size_t length;

    if (!is_address(*data) && strstr(*data, "://"))
        return err_set(err, ERR_USAGE,
                       "--data %s: expected a folder, or an address that begins with https://, "
                       "http:// or s3://",
                       *data);
    if (!is_address(*data)) {
        if (cache_folder(cache, NULL) == 0)
            sandbox_always(cache); /* a run may have been trained on what is there */
        return 0;
    }
    if (check_address(*data, err) < 0 || cache_folder(cache, err) < 0 ||
        path_format(address, err, "%s", *data) < 0)
        return -1;
    for (length = strlen(address); address[length - 1] == '/'; length--)
        address[length - 1] = 0;
    sha256_of(address, length, hex);
    if (path_format(folder, err, "%s/%.*s", cache, HASH_SHOWN, hex) < 0 ||
        write_mark(folder, address, err) < 0)
        return err_wrap(err, "the cache");
    sandbox_always(cache);
    log_debug("%s is kept in %s", address, folder);
    *data = folder;
    return 0;
}

/* The address that FOLDER stands for, as JSON that owns it; NULL: none. */
static json_t *read_mark(const char **address, const char *folder, struct err *err)
{
    char path[PATH_LEN];
    json_t *mark = NULL;

    if (path_format(path, err, "%s/" MARK, folder) < 0 || json_read(&mark, path, err) < 0)
        return NULL;
    if (json_get_string(mark, "address", address, err) == 0 && is_address(*address))
        return mark;
    json_decref(mark);
    err_set(err, ERR_FORMAT, "%s: no address; remove the folder", path);
    return NULL;
}

bool remote_is(const char *data)
{
    char path[PATH_LEN];

    return path_format(path, NULL, "%s/" MARK, data) == 0 && path_exists(path);
}

int remote_lock(const char *folder, struct err *err)
{
    char path[PATH_LEN];
    int fd;

    if (path_format(path, err, "%s.lock", folder) < 0 || path_make_dirs(folder, err) < 0)
        return -1;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_errno(err, "%s: cannot open", path);
    while (flock(fd, LOCK_EX) < 0 && errno == EINTR)
        ; /* a file system without locks: what is there is checked anyway */
    return fd;
}

/* INDEX is the server's index.json of FOLDER. What was fetched under another one goes. With the lock. */
static int take_index(const char *folder, const char *address, const struct answer *index,
                      struct err *err)
{
    char path[PATH_LEN], was[SHA256_HEX], is[SHA256_HEX];

    if (path_format(path, err, "%s/index.json", folder) < 0)
        return -1;
    sha256_of(index->bytes, index->size, is);
    if (path_exists(path)) {
        if (sha256_file(path, was, NULL, err) == 0 && strcmp(was, is) == 0)
            return 0;
        log_warn("%s/index.json is another one than when %s was filled: all of it is fetched again",
                 address, folder);
        if (path_remove_tree(folder, err) < 0)
            return -1;
    }
    return write_mark(folder, address, err) < 0 ? -1
                                                : path_write(path, index->bytes, index->size, err);
}

int remote_index(const char *data, const char *sub, struct err *err)
{
    char folder[PATH_LEN], own[PATH_LEN], path[PATH_LEN], name[PATH_LEN];
    struct requests *requests = NULL;
    struct answer answer = {0};
    const char *address;
    int lock;
    json_t *mark = read_mark(&address, data, err);
    int rc = -1;

    if (!mark)
        return -1;
    if (path_format(folder, err, "%s/%s", data, sub) == 0 &&
        path_format(own, err, "%s/%s", address, sub) == 0 &&
        path_format(path, err, "%s/index.json", folder) == 0 &&
        path_format(name, err, "%s/index.json", sub) == 0 &&
        requests_open(&requests, address, err) == 0) {
        rc = requests_whole(&answer, requests, name, INDEX_MAX, err);
        if (rc == 0) {
            lock = remote_lock(folder, err);
            rc = lock < 0 ? -1 : take_index(folder, own, &answer, err);
            if (lock >= 0)
                close(lock);
        } else if (err->kind == ERR_NETWORK && path_exists(path)) {
            log_warn("%s; what is in %s already is used", err->msg, folder);
            rc = 0;
        } else if (err->kind == ERR_INPUT) {
            err_append(err, "; `prep` makes such a folder, and data.size names it");
        }
    }
    free(answer.bytes);
    requests_close(requests);
    json_decref(mark);
    return rc;
}

int remote_open(struct remote **out, const char *folder, struct err *err)
{
    struct remote *r;
    const char *address;
    json_t *mark;
    int rc = 0;

    *out = NULL;
    if (!remote_is(folder))
        return 0;
    mark = read_mark(&address, folder, err);
    r = mark ? calloc(1, sizeof *r) : NULL;
    if (!mark)
        return -1;
    if (!r)
        rc = err_set(err, ERR_NOMEM, "%s: out of memory", folder);
    if (rc == 0)
        rc = path_format(r->folder, err, "%s", folder);
    if (rc == 0)
        rc = requests_open(&r->requests, address, err);
    json_decref(mark);
    if (rc < 0)
        remote_close(r);
    else
        *out = r;
    return rc;
}

void remote_close(struct remote *r)
{
    if (!r)
        return;
    requests_close(r->requests);
    free(r);
}

void remote_libraries(FILE *file)
{
    version_library(file, "libcurl", curl_version_info(CURLVERSION_NOW)->version);
}
