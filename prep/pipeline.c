/* pipeline.c - see pipeline.h.
 *
 * Readers and workers claim the next picture; whoever takes them gets them in order out of a ring. So the bytes cannot
 * depend on the number of workers, and memory is the ring's, never the set's. Readers are threads of their own so that
 * workers, whose decoders meet what strangers made, need open no file and can be denied to.
 * SPDX-License-Identifier: MIT */
#include "pipeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "base/sandbox.h"

enum { MAKING_PER_WORKER = 4 };

static void lower(char out[8], const char *name)
{
    size_t i = 0;

    for (; i < 7 && name[i]; i++)
        out[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
    out[i] = 0;
}

/* What C made goes to S; the slot's old buffers become the worker's next ones. */
static void hand_over(struct making *s, struct picture *c, const struct prep *p)
{
    uint8_t *pixels = s->pixels, *packed = s->packed;
    size_t capacity = s->capacity, packed_capacity = s->packed_capacity;

    s->out =
        (struct shard_pixels){.height = (uint32_t)c->plan.height,
                              .width = (uint32_t)c->plan.width,
                              .original_height = (uint32_t)c->image.height,
                              .original_width = (uint32_t)c->image.width,
                              .format = s->format,
                              .crc32c = crc32c(0, c->pixels, picture_bytes(c)),
                              .bytes = p->options.storage == STORAGE_RAW ? c->pixels : c->packed,
                              .size = picture_stored(c, p)};
    s->pixels = c->pixels;
    s->capacity = c->capacity;
    s->packed = c->packed;
    s->packed_capacity = c->packed_capacity;
    c->pixels = pixels;
    c->capacity = capacity;
    c->packed = packed;
    c->packed_capacity = packed_capacity;
}

/* Fills S from its file's bytes; C keeps what is reused. */
static int make_picture(struct making *s, struct picture *c, const struct prep *p, uint32_t item,
                        bool check_only, struct err *err)
{
    free(c->bytes);
    c->bytes = s->file;
    c->size = s->file_size;
    s->file = NULL;
    if (picture_decode_bytes(c, p, item, err) < 0)
        return -1;
    if (check_only)
        return 0;
    if (picture_presize(c, err) < 0)
        return -1;
    s->note.id = (struct duplicate_item){.size = c->size, .crc32c = crc32c(0, c->bytes, c->size)};
    picture_hash(&s->note.id.hash, c->pixels, c->plan.height, c->plan.width);
    if (picture_pack(c, p, err) < 0)
        return err_wrap(err, "%s", p->dataset->items[item].path);
    s->note.cut = c->plan.box.width != c->image.width || c->plan.box.height != c->image.height;
    s->note.more = c->image.more;
    s->note.alpha = c->image.alpha;
    s->note.orientation = c->image.orientation;
    s->note.side = c->image.height < c->image.width ? c->image.height : c->image.width;
    memcpy(s->warning, c->image.warning, sizeof s->warning);
    lower(s->format, image_format_name(c->image.format));
    hand_over(s, c, p);
    return 0;
}

/* The item that is the I-th to be made. */
static uint32_t item_of(const struct pipeline *l, uint32_t i)
{
    return shard_writer_order(l->writer, l->make[i]);
}

/* Reads ahead of the workers, by one file each. */
static void *read_files(void *arg)
{
    struct pipeline *l = arg;

    for (;;) {
        struct making *s;
        uint32_t i;

        pthread_mutex_lock(&l->lock);
        while (!l->stop && l->to_read < l->n &&
               (l->to_read - l->taken >= l->n_slots ||
                l->to_read - l->next >= (uint32_t)l->p->workers))
            pthread_cond_wait(&l->room, &l->lock);
        if (l->stop || l->to_read >= l->n) {
            pthread_mutex_unlock(&l->lock);
            return NULL;
        }
        i = l->to_read++;
        pthread_mutex_unlock(&l->lock);

        s = &l->slots[i % l->n_slots];
        s->note = (struct note){.orientation = 1};
        s->warning[0] = 0;
        s->note.failed = picture_read(&s->file, &s->file_size, l->p, item_of(l, i), &s->err) < 0;
        pthread_mutex_lock(&l->lock);
        s->state = MAKING_READ;
        pthread_cond_broadcast(&l->read);
        pthread_mutex_unlock(&l->lock);
    }
}

static void *work(void *arg)
{
    struct pipeline *l = arg;
    struct picture c = {0};

    sandbox_seal_thread();
    for (;;) {
        struct making *s;
        uint32_t i;
        bool check_only;

        pthread_mutex_lock(&l->lock);
        while (!l->stop && l->next < l->n && l->slots[l->next % l->n_slots].state != MAKING_READ)
            pthread_cond_wait(&l->read, &l->lock);
        if (l->stop || l->next >= l->n) {
            pthread_mutex_unlock(&l->lock);
            break;
        }
        i = l->next++;
        s = &l->slots[i % l->n_slots];
        s->state = MAKING_CLAIMED;
        check_only = l->check_only;
        if (l->next == l->n)
            pthread_cond_broadcast(&l->read); /* nothing is left for the other workers */
        pthread_cond_broadcast(&l->room);
        pthread_mutex_unlock(&l->lock);

        s->note.failed =
            s->note.failed || make_picture(s, &c, l->p, item_of(l, i), check_only, &s->err) < 0;
        pthread_mutex_lock(&l->lock);
        s->state = MAKING_DONE;
        pthread_cond_signal(&l->ready);
        pthread_mutex_unlock(&l->lock);
    }
    picture_free(&c);
    return NULL;
}

/* How many of WISH threads could be started: fewer do the same work. */
static int start_threads(pthread_t *threads, int wish, void *(*run)(void *), struct pipeline *l,
                         int *started, struct err *err)
{
    for (*started = 0; *started < wish; ++*started) {
        errno = pthread_create(&threads[*started], NULL, run, l);
        if (errno)
            return *started > 0 ? 0 : err_errno(err, "cannot start a thread");
    }
    return 0;
}

int pipeline_start(struct pipeline *l, struct err *err)
{
    const int wish = l->p->workers < PIPELINE_WORKERS ? l->p->workers : PIPELINE_WORKERS;
    const uint32_t slots = (uint32_t)wish * MAKING_PER_WORKER;

    if (l->n == 0) /* other processes make all */
        return 0;
    l->n_slots = slots < l->n ? slots : l->n;
    l->slots = calloc(l->n_slots, sizeof *l->slots);
    if (!l->slots)
        return err_set(err, ERR_NOMEM, "out of memory");
    image_begin();
    return start_threads(l->threads, wish, work, l, &l->workers, err) < 0
               ? -1
               : start_threads(l->reading, wish, read_files, l, &l->readers, err);
}

void pipeline_finish(struct pipeline *l)
{
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->room);
    pthread_cond_broadcast(&l->read);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->readers; i++)
        pthread_join(l->reading[i], NULL);
    for (int i = 0; i < l->workers; i++)
        pthread_join(l->threads[i], NULL);
    for (uint32_t i = 0; l->slots && i < l->n_slots; i++) {
        free(l->slots[i].file);
        free(l->slots[i].pixels);
        free(l->slots[i].packed);
    }
    free(l->slots);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->room);
    pthread_cond_destroy(&l->read);
    pthread_cond_destroy(&l->ready);
}

struct making *pipeline_wait(struct pipeline *l, uint32_t i, const volatile sig_atomic_t *stop)
{
    struct making *s = &l->slots[i % l->n_slots];

    pthread_mutex_lock(&l->lock);
    while (s->state != MAKING_DONE && !*stop) { /* a signal wakes nobody */
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 100000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&l->ready, &l->lock, &until);
    }
    pthread_mutex_unlock(&l->lock);
    return *stop ? NULL : s;
}

void pipeline_release(struct pipeline *l, struct making *s)
{
    pthread_mutex_lock(&l->lock);
    s->state = MAKING_EMPTY;
    s->err = (struct err){0};
    l->taken++;
    pthread_cond_broadcast(&l->room);
    pthread_mutex_unlock(&l->lock);
}

void pipeline_only_check(struct pipeline *l)
{
    pthread_mutex_lock(&l->lock);
    l->check_only = true;
    pthread_mutex_unlock(&l->lock);
}
