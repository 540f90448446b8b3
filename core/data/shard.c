/* shard.c - all shards of a folder, and their pictures by offset.
 *
 * Invariants: a folder without index.json is what a crash left behind and is refused; descriptors stay
 * open until the set is closed, as many as the system allows; other shards are opened for each read.
 * Threads: HDF5 is called while opening only; reading is pread(), from any thread. Mapping the file
 * would save a copy and kill the process where a file is cut short.
 * SPDX-License-Identifier: MIT */
#include "data/shard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zstd.h>

#include "base/path.h"
#include "data/shard_open.h"
#include "image/decode.h"

enum { READ_PIECE = 1 << 17 }; /* bytes read and checked at a time, while they are in cache */

static int by_rank(const void *a, const void *b)
{
    uint32_t x = ((const struct shard_picture *)a)->rank;
    uint32_t y = ((const struct shard_picture *)b)->rank;

    return (x > y) - (x < y);
}

static int open_shards(struct shard_set *s, struct err *err)
{
    uint32_t at = 0;

    s->pictures = calloc(s->n, sizeof *s->pictures);
    if (!s->pictures)
        return err_set(err, ERR_NOMEM, "%u pictures: out of memory", s->n);
    for (uint32_t i = 0; i < s->n_shards; i++) {
        if (shard_table_open(s, i, s->pictures + at, err) < 0)
            return err_wrap(err, "%s", s->shards[i].file);
        at += s->shards[i].count;
    }
    qsort(s->pictures, s->n, sizeof *s->pictures, by_rank);
    for (uint32_t i = 1; i < s->n; i++)
        if (s->pictures[i].rank == s->pictures[i - 1].rank)
            return err_set(err, ERR_FORMAT, "%s and %s have the same rank", s->pictures[i].path,
                           s->pictures[i - 1].path);
    for (uint32_t i = 0; i < s->n; i++)
        s->pictures[i].rank = i; /* dense where some were skipped */
    for (uint32_t i = 0; i < s->n; i++)
        s->pictures[i].stored_label = s->pictures[i].label;
    return 0;
}

static int hash_labels(const struct shard_set *s, char hex[SHA256_HEX], struct err *err)
{
    struct sha256 *sha;

    if (sha256_new(&sha, err) < 0)
        return -1;
    for (uint32_t i = 0; i < s->n; i++)
        shard_hash_label(sha, s->pictures[i].path, s->vocab[s->pictures[i].stored_label],
                         s->pictures[i].official);
    sha256_hex(sha, hex);
    sha256_free(sha);
    return 0;
}

/* Rows that came from another machine: no checksum of HDF5 is over them, but index.json's over all labels is. */
static int check_remote(const struct shard_set *s, struct err *err)
{
    const char *stated = s->record.labels_sha256;
    char hex[SHA256_HEX];

    if (hash_labels(s, hex, err) < 0)
        return -1;
    if (!stated)
        return err_set(err, ERR_FORMAT,
                       SHARD_INDEX_FILE " has no labels_sha256, by which shards of another machine "
                                        "are checked: run prep again there");
    return strcmp(stated, hex) == 0
               ? 0
               : err_set(err, ERR_FORMAT,
                         "the rows of its shards are not those of " SHARD_INDEX_FILE
                         " (labels_sha256): remove the folder to fetch it again");
}

int shard_set_open(struct shard_set **out, const char *folder, struct err *err)
{
    static atomic_uint opened;
    struct shard_set *s;

    *out = NULL;
    if (shard_index_open(&s, folder, err) < 0)
        return err_wrap(err, "%s", folder);
    if (open_shards(s, err) < 0) {
        shard_set_close(s);
        return err_wrap(err, "%s", folder);
    }
    if (s->remote && check_remote(s, err) < 0) {
        shard_set_close(s);
        return err_wrap(err, "%s", folder);
    }
    s->number = atomic_fetch_add(&opened, 1) + 1;
    *out = s;
    return 0;
}

void shard_set_close(struct shard_set *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; s->shards && i < s->n_shards; i++) {
        if (s->shards[i].fd >= 0)
            close(s->shards[i].fd);
        free(s->shards[i].paths);
        remote_file_close(s->shards[i].remote);
    }
    remote_close(s->remote);
    free(s->shards);
    free(s->pictures);
    free(s->vocab);
    free(s->group);
    json_decref(s->index);
    free(s->folder);
    free(s);
}

/* --- asking and reading ------------------------------------------------------------------------- */

uint32_t shard_set_number(const struct shard_set *s)
{
    return s->number;
}

uint64_t shard_set_bytes(const struct shard_set *s)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < s->n; i++)
        bytes += (uint64_t)s->pictures[i].height * s->pictures[i].width * 3;
    return bytes;
}

uint32_t shard_set_count(const struct shard_set *s)
{
    return s->n;
}

const struct shard_picture *shard_set_picture(const struct shard_set *s, uint32_t rank)
{
    BUG_IF(rank >= s->n);
    return &s->pictures[rank];
}

/* Ranks are places in the listing sorted bytewise. */
int64_t shard_set_rank(const struct shard_set *s, const char *path)
{
    int64_t low = 0, high = (int64_t)shard_set_count(s) - 1;

    while (low <= high) {
        const int64_t middle = (low + high) / 2;
        const int order = strcmp(path, shard_set_picture(s, (uint32_t)middle)->path);

        if (order == 0)
            return middle;
        if (order < 0)
            high = middle - 1;
        else
            low = middle + 1;
    }
    return -1;
}

int32_t shard_set_classes(const struct shard_set *s)
{
    return s->n_classes;
}

const char *shard_set_label(const struct shard_set *s, int32_t label)
{
    BUG_IF(label < 0 || label >= s->n_classes);
    return s->vocab[label];
}

int32_t shard_set_find_label(const struct shard_set *s, const char *name)
{
    int32_t c = 0;

    while (c < s->n_classes && strcmp(s->vocab[c], name) != 0)
        c++;
    return c < s->n_classes ? c : -1;
}

void shard_set_relabel(struct shard_set *s, uint32_t rank, int32_t label)
{
    BUG_IF(rank >= s->n || label < 0 || label >= s->n_classes);
    s->pictures[rank].label = label;
}

int32_t shard_set_size(const struct shard_set *s)
{
    return s->size;
}

bool shard_set_is_remote(const struct shard_set *s)
{
    return s->remote != NULL;
}

int shard_set_storage(const struct shard_set *s)
{
    return s->storage;
}

uint64_t shard_set_stored_bytes(const struct shard_set *s)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < s->n; i++)
        bytes += s->pictures[i].stored;
    return bytes;
}

const char *shard_set_index_sha256(const struct shard_set *s)
{
    return s->sha256;
}

const char *shard_set_manifest_sha256(const struct shard_set *s)
{
    return s->record.manifest_sha256;
}

const struct index_record *shard_set_record(const struct shard_set *s)
{
    return &s->record;
}

const json_t *shard_set_remarks(const struct shard_set *s)
{
    return s->record.remarks;
}

int shard_set_labels_sha256(const struct shard_set *s, char hex[SHA256_HEX], struct err *err)
{
    const char *stated = s->record.labels_sha256;

    if (!stated || strlen(stated) != SHA256_HEX - 1)
        return hash_labels(s, hex, err);
    memcpy(hex, stated, SHA256_HEX);
    return 0;
}

const char *shard_set_group(const struct shard_set *s, int32_t label)
{
    BUG_IF(label < 0 || label >= s->n_classes);
    return s->group[label];
}

/* Reads SIZE bytes at OFFSET; *CRC (may be NULL) is continued over them. */
static int read_bytes(int fd, uint8_t *to, uint64_t size, uint64_t offset, uint32_t *crc,
                      struct err *err)
{
    while (size > 0) {
        size_t want = crc && size > READ_PIECE ? READ_PIECE : (size_t)size;
        ssize_t got = pread(fd, to, want, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, "cannot read");
        if (got == 0)
            return err_set(err, ERR_FORMAT, "the file ends early: cut short since it was opened");
        if (crc)
            *crc = crc32c(*crc, to, (size_t)got);
        to += got;
        size -= (uint64_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

/* The pixels out of what is stored. */
static int decode(const struct shard_set *s, const struct shard_picture *p, const uint8_t *stored,
                  uint8_t *pixels, size_t size, struct err *err)
{
    size_t n;

    if (s->storage == STORAGE_JPEG) {
        if (image_decode_jpeg(pixels, p->height, p->width, stored, p->stored, err) < 0)
            return err_wrap(err, err->kind == ERR_FORMAT ? "damaged: JPEG" : "JPEG");
        return 0;
    }
    n = ZSTD_decompress(pixels, size, stored, p->stored);
    if (ZSTD_isError(n))
        return err_set(err, ERR_FORMAT, "damaged: zstd: %s", ZSTD_getErrorName(n));
    if (n != size)
        return err_set(err, ERR_FORMAT, "damaged: %zu bytes of pixels instead of %zu", n, size);
    return 0;
}

static int read_coded(const struct shard_set *s, int fd, const struct shard_picture *p,
                      uint8_t *pixels, size_t size, struct err *err)
{
    uint8_t *stored = malloc(p->stored);
    int rc = -1;

    if (!stored)
        return err_set(err, ERR_NOMEM, "%llu bytes: out of memory", (unsigned long long)p->stored);
    if (read_bytes(fd, stored, p->stored, p->address, NULL, err) == 0)
        rc = decode(s, p, stored, pixels, size, err);
    free(stored);
    return rc;
}

/* What a JPEG holds depends on what decodes it, too. */
static int other_pixels(const struct shard_set *s, const struct shard_picture *p, uint32_t crc,
                        struct err *err)
{
    const char *decoder = s->record.decoder;

    if (s->storage != STORAGE_JPEG)
        return err_set(err, ERR_FORMAT,
                       "damaged: CRC-32C %08x instead of %08x; prep --repair makes it again", crc,
                       p->crc32c);
    return err_set(
        err, ERR_FORMAT,
        "its pixels have the CRC-32C %08x instead of %08x. Either the file is damaged: prep "
        "--repair rebuilds it. Or this program's %s decodes other pixels than prep's "
        "decoder did (%.200s): prep --force rebuilds the shards",
        crc, p->crc32c, image_jpeg_version(), decoder ? decoder : "not recorded");
}

static int open_again(const struct shard_set *s, const struct shard *sh, struct err *err)
{
    char path[PATH_LEN];
    int fd;

    if (path_format(path, err, "%s/%s", s->folder, sh->file) < 0)
        return -1;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? err_errno(err, "cannot open") : fd;
}

static int read_stored(const struct shard_set *s, const struct shard_picture *p, uint8_t *pixels,
                       bool verify, struct err *err)
{
    const struct shard *sh = &s->shards[p->shard];
    int fd, rc;
    size_t size = (size_t)p->height * p->width * 3;
    uint32_t crc = 0;

    if (sh->remote && remote_file_need(sh->remote, p->address, p->stored, err) < 0)
        return -1;
    fd = sh->fd >= 0 ? sh->fd : open_again(s, sh, err);
    if (fd < 0)
        return -1;
    if (s->storage == STORAGE_RAW)
        rc = read_bytes(fd, pixels, size, p->address, verify ? &crc : NULL, err);
    else
        rc = read_coded(s, fd, p, pixels, size, err);
    if (fd != sh->fd)
        close(fd);
    if (rc == 0 && s->storage != STORAGE_RAW && verify)
        crc = crc32c(0, pixels, size);
    if (rc == 0 && verify && crc != p->crc32c)
        rc = other_pixels(s, p, crc, err);
    return rc;
}

/* What came from another machine is always checked, and asked for a second time where it is wrong: the cache may have
 * lost it, or the network changed it. */
int shard_read_picture(const struct shard_set *s, const struct shard_picture *p, uint8_t *pixels,
                       bool verify, struct err *err)
{
    struct remote_file *remote = s->shards[p->shard].remote;
    int rc = read_stored(s, p, pixels, verify || remote, err);

    if (rc == 0 || !remote || err->kind != ERR_FORMAT)
        return rc;
    remote_file_forget(remote, p->address, p->stored);
    rc = read_stored(s, p, pixels, true, err);
    if (rc < 0 && err->kind == ERR_FORMAT)
        err_append(err, " (fetched twice: the server has these bytes)");
    return rc;
}

int shard_set_read(const struct shard_set *s, uint32_t rank, uint8_t *pixels, bool verify,
                   struct err *err)
{
    const struct shard_picture *p = shard_set_picture(s, rank);

    if (shard_read_picture(s, p, pixels, verify, err) < 0)
        return err_wrap(err, "%s/%s: %s", s->folder, s->shards[p->shard].file, p->path);
    return 0;
}
