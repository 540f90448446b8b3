/* remote_file.c - a sparse file of the cache, and FILE.blocks, which says what of it came.
 *
 * FILE.blocks has a line "presize blocks 1 BYTES TAG", zeros up to BLOCKS_HEAD, then a bit for each block of BLOCK
 * bytes. TAG is the server's ETag, or its date. A block is written before its bit. Nothing is synced: after a power cut
 * a block may be zeros all the same, which its reader finds.
 * Threads: `lock` guards the bits and the tag. Two threads may fetch one block at the same time; they write the same.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remote/remote.h"
#include "remote/remote_private.h"

enum { BLOCK = 1 << 16, BLOCKS_HEAD = 512, RUN_MAX = 64 }; /* bytes; bytes; blocks of one request */

struct remote_file {
    struct remote *r;
    char name[PATH_LEN], path[PATH_LEN], blocks[PATH_LEN];
    uint64_t bytes, n; /* of the file; blocks */
    pthread_mutex_t lock;
    char tag[REQUEST_TAG]; /* "": not known yet */
    uint8_t *bits;         /* (n + 7) / 8 bytes */
};

static bool has(const struct remote_file *f, uint64_t block)
{
    return f->bits[block / 8] >> block % 8 & 1;
}

static int write_all(int fd, const void *bytes, size_t size, uint64_t at)
{
    const uint8_t *from = bytes;

    while (size > 0) {
        const ssize_t n = pwrite(fd, from, size, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        from += n;
        at += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

static int put(const char *path, const void *bytes, size_t size, uint64_t at, struct err *err)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    int rc = -1;

    if (fd < 0)
        return err_errno(err, "%s: cannot open", path);
    if (write_all(fd, bytes, size, at) < 0)
        err_errno(err, "%s: cannot write", path);
    else
        rc = 0;
    close(fd);
    return rc;
}

/* All of FILE.blocks. With the lock. */
static int put_blocks(const struct remote_file *f, struct err *err)
{
    char head[BLOCKS_HEAD] = "";

    snprintf(head, sizeof head, "presize blocks 1 %" PRIu64 " %s\n", f->bytes, f->tag);
    return put(f->blocks, head, sizeof head, 0, err) < 0
               ? -1
               : put(f->blocks, f->bits, (f->n + 7) / 8, BLOCKS_HEAD, err);
}

/* Whether the cache has F, of the right size, with its map; the map is read then. */
static bool find_earlier(struct remote_file *f)
{
    const size_t n = (f->n + 7) / 8;
    char *text = NULL, expected[64];
    size_t size = 0, length;
    struct stat st;
    bool good;

    snprintf(expected, sizeof expected, "presize blocks 1 %" PRIu64 " ", f->bytes);
    good = stat(f->path, &st) == 0 && (uint64_t)st.st_size == f->bytes &&
           path_read(&text, &size, f->blocks, BLOCKS_HEAD + n, NULL) == 0 &&
           size == BLOCKS_HEAD + n && strncmp(text, expected, strlen(expected)) == 0;
    if (good) {
        length = strcspn(text + strlen(expected), "\n");
        snprintf(f->tag, sizeof f->tag, "%.*s", (int)(length < REQUEST_TAG ? length : 0),
                 text + strlen(expected));
        memcpy(f->bits, text + BLOCKS_HEAD, n);
    }
    free(text);
    return good;
}

static int make(const struct remote_file *f, struct err *err)
{
    const int fd = open(f->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    int rc = fd < 0 || ftruncate(fd, (off_t)f->bytes) < 0
                 ? err_errno(err, "%s: cannot make", f->path)
                 : 0;

    if (fd >= 0)
        close(fd);
    return rc < 0 ? -1 : put_blocks(f, err);
}

int remote_file_open(struct remote_file **out, struct remote *r, const char *name, uint64_t bytes,
                     struct err *err)
{
    struct remote_file *f = calloc(1, sizeof *f);
    int lock;

    *out = NULL;
    if (!f)
        return err_set(err, ERR_NOMEM, "%s: out of memory", name);
    f->r = r;
    f->bytes = bytes;
    f->n = (bytes + BLOCK - 1) / BLOCK;
    pthread_mutex_init(&f->lock, NULL);
    f->bits = calloc((f->n + 7) / 8 + 1, 1);
    if (!f->bits)
        err_set(err, ERR_NOMEM, "%s: out of memory", name);
    else if (path_format(f->name, err, "%s", name) == 0 &&
             path_format(f->path, err, "%s/%s", r->folder, name) == 0 &&
             path_format(f->blocks, err, "%s/%s.blocks", r->folder, name) == 0 &&
             (lock = remote_lock(r->folder, err)) >= 0) {
        if (find_earlier(f) || make(f, err) == 0)
            *out = f;
        close(lock);
        if (*out)
            return 0;
    }
    remote_file_close(f);
    return -1;
}

void remote_file_close(struct remote_file *f)
{
    if (!f)
        return;
    pthread_mutex_destroy(&f->lock);
    free(f->bits);
    free(f);
}

/* Whether A is of the file that the other blocks are of. With the lock. */
static int check_version(struct remote_file *f, const struct answer *a, struct err *err)
{
    if (a->total != 0 && a->total != f->bytes)
        return err_set(err, ERR_NETWORK,
                       "%s: the server's file has %" PRIu64 " bytes, index.json says %" PRIu64
                       ": the folder there is not whole, or was changed",
                       f->name, a->total, f->bytes);
    if (f->tag[0] && a->tag[0] && strcmp(f->tag, a->tag) != 0)
        return err_set(
            err, ERR_NETWORK,
            "%s: the server's file was changed (%s, before %s) since its first blocks came; "
            "remove %s to fetch it again",
            f->name, a->tag, f->tag, f->r->folder);
    if (f->tag[0] || !a->tag[0])
        return 0;
    memcpy(f->tag, a->tag, sizeof f->tag);
    return put_blocks(f, err);
}

/* N blocks from FIRST on. */
static int fetch_run(struct remote_file *f, uint64_t first, uint64_t n, struct err *err)
{
    const uint64_t from = first * BLOCK;
    const uint64_t end = (first + n) * BLOCK < f->bytes ? (first + n) * BLOCK : f->bytes;
    struct answer a;
    int rc;

    if (requests_part(&a, f->r->requests, f->name, from, (size_t)(end - from), err) < 0)
        return -1;
    pthread_mutex_lock(&f->lock);
    rc = check_version(f, &a, err);
    if (rc == 0)
        rc = put(f->path, a.bytes, a.size, from, err);
    for (uint64_t b = first; rc == 0 && b < first + n; b++)
        f->bits[b / 8] = (uint8_t)(f->bits[b / 8] | 1u << b % 8);
    if (rc == 0)
        rc = put(f->blocks, f->bits + first / 8, (size_t)((first + n - 1) / 8 - first / 8 + 1),
                 BLOCKS_HEAD + first / 8, err);
    pthread_mutex_unlock(&f->lock);
    free(a.bytes);
    return rc;
}

int remote_file_need(struct remote_file *f, uint64_t at, uint64_t size, struct err *err)
{
    const uint64_t last = size ? (at + size - 1) / BLOCK : 0;

    BUG_IF(size > f->bytes || at > f->bytes - size);
    for (uint64_t b = at / BLOCK; size && b <= last;) {
        uint64_t n = 0;

        pthread_mutex_lock(&f->lock);
        while (b <= last && has(f, b))
            b++;
        while (b + n <= last && n < RUN_MAX && !has(f, b + n))
            n++;
        pthread_mutex_unlock(&f->lock);
        if (n > 0 && fetch_run(f, b, n, err) < 0)
            return -1;
        b += n;
    }
    return 0;
}

void remote_file_forget(struct remote_file *f, uint64_t at, uint64_t size)
{
    struct err ignored;

    pthread_mutex_lock(&f->lock);
    for (uint64_t b = at / BLOCK; size && b <= (at + size - 1) / BLOCK; b++)
        f->bits[b / 8] = (uint8_t)(f->bits[b / 8] & ~(1u << b % 8));
    if (put_blocks(f, &ignored) < 0)
        unlink(f->blocks);
    pthread_mutex_unlock(&f->lock);
}
