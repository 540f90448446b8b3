/* shard_writers.c - several writers of one folder of shards, and the bytes of one.
 *
 * A writer's shards follow from their number alone, as long as every picture is there. Where pictures are left out,
 * those behind move up, across shards of all writers: so each writer first makes its shards short, and then full ones
 * from the short ones. A shard holds its pictures in the order in which they were added, so that a full shard from
 * short ones has the bytes of one writer's.
 * Locks: all writers share one on FOLDER.part, so that nobody else takes it while one of them lives.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/shard_write_private.h"

static uint32_t per_shard(const struct shard_writer *w)
{
    return (uint32_t)w->plan.options->shard_pictures;
}

static bool owns(const struct shard_writer *w, uint32_t number)
{
    return w->plan.writers < 2 || number % w->plan.writers == w->plan.writer;
}

bool shard_writer_is_own(const struct shard_writer *w, uint32_t i)
{
    return owns(w, i / per_shard(w));
}

/* For a moment there is no lock: who takes it then may have removed the folder. A file system without locks has warned
 * already. */
int shard_writer_share_lock(struct shard_writer *w, struct err *err)
{
    const bool held = flock(w->lock, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    struct stat is;

    if (held && fstat(w->lock, &is) == 0 && is.st_nlink > 0)
        return 0;
    close(w->lock);
    w->lock = -1;
    return err_set(err, ERR_LOCKED, "%s: another process is writing here", w->part);
}

int shard_writer_join(struct shard_writer *w, struct err *err)
{
    w->lock = open(w->part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->lock < 0)
        return err_errno(err,
                         "cannot open the folder %s, which the first process made: all write to "
                         "one folder of a file system that they share (--data)",
                         w->part);
    return shard_writer_share_lock(w, err);
}

int shard_writer_end(struct shard_writer *w, struct err *err)
{
    BUG_IF(w->next < w->plan.dataset->n);
    return shard_writer_end_shard(w, err) < 0 ? -1 : shard_writer_sync(w, err);
}

int shard_writer_leave_out(struct shard_writer *w, const uint32_t *places, uint32_t n,
                           struct err *err)
{
    json_array_clear(w->skipped);
    for (uint32_t i = 0; i < n; i++)
        if (shard_writer_note_skipped(w, places[i], err) < 0)
            return -1;
    w->added = w->plan.dataset->n - n;
    return 0;
}

/* --- filling up --------------------------------------------------------------------------------- */

struct source { /* a short shard that is read */
    char path[PATH_LEN];
    int fd; /* -1: none */
    uint8_t *rows;
    uint32_t n, number;
    uint8_t *bytes; /* of a picture */
    size_t room;
};

static void close_source(struct source *s)
{
    if (s->fd >= 0)
        close(s->fd);
    free(s->rows);
    s->rows = NULL;
    s->fd = -1;
}

static int open_source(struct source *s, const struct shard_writer *w, uint32_t number,
                       struct err *err)
{
    close_source(s);
    s->number = number;
    if (path_format(s->path, err, "%s/" SHARD_NAME, w->part, number) < 0 ||
        shard_file_rows(&s->rows, &s->n, s->path, w->about.path_size, err) < 0)
        return -1;
    s->fd = open(s->path, O_RDONLY | O_CLOEXEC);
    return s->fd < 0 ? err_errno(err, "cannot read %s", s->path) : 0;
}

/* SIZE bytes at ADDRESS, into ->bytes. */
static int read_source(struct source *s, uint64_t address, size_t size, struct err *err)
{
    uint8_t *grown = size > s->room ? realloc(s->bytes, size) : s->bytes;

    if (!grown)
        return err_set(err, ERR_NOMEM, "%s: out of memory", s->path);
    s->bytes = grown;
    s->room = size > s->room ? size : s->room;
    for (size_t done = 0; done < size;) {
        const ssize_t got =
            pread(s->fd, s->bytes + done, size - done, (off_t)(address + (uint64_t)done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, "cannot read %s", s->path);
        if (got == 0)
            return err_set(err, ERR_FORMAT, "%s: it became shorter", s->path);
        done += (size_t)got;
    }
    return 0;
}

/* Adds the I-th picture in the order, row AT of its short shard. */
static int copy(struct shard_writer *w, struct source *s, uint32_t i, uint32_t at, struct err *err)
{
    const uint32_t rank = w->order[i], number = i / per_shard(w);
    struct shard_row row;

    if ((s->fd < 0 || s->number != number) && open_source(s, w, number, err) < 0)
        return -1;
    if (at < s->n)
        memcpy(&row, s->rows + at * (sizeof row + w->about.path_size), sizeof row);
    if (at >= s->n || row.rank != rank)
        return err_set(err, ERR_FORMAT, "%s: it lacks the picture %s", s->path,
                       w->plan.dataset->items[rank].path);
    if (read_source(s, row.address, (size_t)row.stored, err) < 0)
        return -1;
    return shard_file_add(&w->file, &w->plan.dataset->items[rank], rank,
                          &(struct shard_pixels){.height = row.height,
                                                 .width = row.width,
                                                 .original_height = row.original_height,
                                                 .original_width = row.original_width,
                                                 .format = row.format,
                                                 .crc32c = row.crc32c,
                                                 .bytes = s->bytes,
                                                 .size = (size_t)row.stored},
                          err);
}

/* From PLACE in the order on, before which no picture was left out and a shard begins. */
static int fill_from(struct shard_writer *w, struct source *s, uint32_t place,
                     const volatile sig_atomic_t *stop, struct err *err)
{
    const uint32_t p = per_shard(w);
    uint32_t to = place, at = 0; /* place in the full shards; row in the short one */

    for (uint32_t i = place; i < w->plan.dataset->n; i++) {
        at = i % p == 0 ? 0 : at;
        if (*stop)
            return err_set(err, ERR_STOPPED, "stopped by a signal; nothing was kept");
        if (w->left_out[w->order[i]])
            continue;
        if (owns(w, to / p) && ((to % p == 0 && shard_writer_begin_shard(w, to / p, err) < 0) ||
                                copy(w, s, i, at, err) < 0))
            return -1;
        at++;
        if (++to % p == 0 && shard_writer_end_shard(w, err) < 0)
            return -1;
    }
    return shard_writer_end_shard(w, err);
}

static uint32_t first_short(const struct shard_writer *w)
{
    uint32_t i = 0;

    while (i < w->plan.dataset->n && !w->left_out[w->order[i]])
        i++;
    return i / per_shard(w);
}

int shard_writer_fill(struct shard_writer *w, const volatile sig_atomic_t *stop, struct err *err)
{
    const uint32_t first = first_short(w);
    struct source s = {.fd = -1};
    uint32_t kept = 0;
    int rc;

    while (kept < w->n_made && w->made[kept].number < first)
        kept++;
    w->n_made = kept;
    w->filling = true;
    rc = fill_from(w, &s, first * per_shard(w), stop, err);
    close_source(&s);
    free(s.bytes);
    return rc;
}

int shard_writer_replace(struct shard_writer *w, struct err *err)
{
    const uint32_t n = w->plan.dataset->n, p = per_shard(w);
    char full[PATH_LEN], name[PATH_LEN];

    w->filling = false;
    for (uint32_t number = first_short(w); number < (n + p - 1) / p; number++) {
        if (!owns(w, number))
            continue;
        if (path_format(full, err, "%s/" SHARD_FULL_NAME, w->part, number) < 0 ||
            path_format(name, err, "%s/" SHARD_NAME, w->part, number) < 0)
            return -1;
        if ((path_exists(full) ? rename(full, name) : unlink(name)) < 0 && errno != ENOENT)
            return err_errno(err, "cannot replace %s", name);
    }
    return shard_writer_sync(w, err);
}

/* --- together ----------------------------------------------------------------------------------- */

const struct shard_made *shard_writer_made(const struct shard_writer *w, uint32_t *n)
{
    *n = w->n_made;
    return w->made;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t x = ((const struct shard_made *)a)->number;
    const uint32_t y = ((const struct shard_made *)b)->number;

    return (x > y) - (x < y);
}

int shard_writer_take_over(struct shard_writer *w, const struct shard_made *made, uint32_t n,
                           uint64_t bytes, struct err *err)
{
    struct shard_made *all = malloc((n + 1) * sizeof *all);
    uint64_t count = 0;

    if (!all)
        return err_set(err, ERR_NOMEM, "%u shards: out of memory", n);
    if (n > 0)
        memcpy(all, made, n * sizeof *all);
    qsort(all, n, sizeof *all, by_number);
    free(w->made);
    w->made = all;
    w->n_made = n;
    w->bytes = bytes;
    for (uint32_t i = 0; i < n; i++) {
        count += all[i].count;
        if (all[i].number != i)
            return err_set(err, ERR_FORMAT, "%s: " SHARD_NAME " is missing", w->part, i);
    }
    return count == w->added ? 0
                             : err_set(err, ERR_FORMAT, "%s: shards of %u pictures hold %ju",
                                       w->part, w->added, (uintmax_t)count);
}
