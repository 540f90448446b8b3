/* stream.c - a ring of batches between reader threads and the caller.
 *
 * Invariants: what a batch holds is a function of its number alone, so neither prefetch nor timing nor the number of
 * readers can change it. Batch b lies in slot b % n_slots; batches below released + n_slots are begun, one after the
 * other, each by one reader, who says where every picture lies. Then all readers take its pictures in order. The
 * caller holds the batch before `taken`. After a picture that could not be read no batch is begun, and what is begun is
 * read to its end: so the error that is told is that of the first bad picture in order.
 * Threads: `lock` guards begun, beginning, ready, released, stop, broken, failed, err and a slot's claimed, left,
 * failed_at and err; the rest of a slot belongs to the reader that begins its batch, its pixels to those who claimed
 * them, until the batch is ready, and again once it is released.
 * SPDX-License-Identifier: MIT */
#include "data/stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "base/size.h"
#include "base/thread.h"
#include "data/dataset.h"
#include "data/mixing.h"
#include "data/policy.h"
#include "data/weighting.h"

enum {
    PICTURE_ALIGN = 64,
    TAIL = 64
}; /* bytes: cache lines; vector loads may look behind the end */
enum { READERS_MAX = 64, READERS_REMOTE = 16 }; /* remote: mostly waiting for a server */

struct unread { /* a picture whose pixels are to be read */
    int place;  /* in the batch */
    uint8_t *pixels;
};

struct slot {
    uint8_t *pixels;
    size_t room;
    struct picture *pictures;
    struct mix *mixes; /* NULL: this stream does not mix */
    uint32_t *ranks;
    bool *needed;
    int n;
    struct unread *todo;       /* the needed pictures, n_todo of them, in order */
    int n_todo, claimed, left; /* of todo: taken by readers, not read yet */
    int failed_at;             /* the first place that could not be read; -1: none */
    struct err err;            /* of failed_at */
};

struct stream {
    const struct shard_set *set;
    struct stream_options o;
    uint32_t batches; /* of the whole epoch */
    uint32_t *order;  /* train: order[position] is a place in o.ranks */
    struct slot *slots;
    uint32_t n_slots;
    pthread_t *threads;
    int n_threads; /* that were started */

    pthread_mutex_t lock;
    pthread_cond_t filled, freed;    /* for the caller; for readers */
    uint32_t begun, ready, released; /* batches, counted over the epoch */
    bool beginning, stop, broken;    /* one reader lays out batch `begun`; broken: begin no batch */
    bool failed;                     /* batch number `ready` could not be read */
    struct err err;

    uint32_t taken; /* this and the next: the caller's own */
    double wait_seconds;
};

bool stream_changes_pixels(const struct stream_options *o)
{
    return o->train && o->augment->mode != AUGMENT_NONE && o->augment->policy != POLICY_NONE;
}

/* --- the reader --------------------------------------------------------------------------------- */

static uint32_t rank_at(const struct stream *s, uint32_t position)
{
    return s->o.ranks[s->order ? s->order[position] : position];
}

/* CRC: of the pixels. FIRST: position of the batch's first picture. */
static void map_picture(const struct stream *s, struct picture *p, uint32_t crc, uint32_t first)
{
    const struct stream_options *o = &s->o;

    if (o->train)
        augment_training(&p->map, o->augment, p->height, p->width, o->size, o->seed, o->epoch,
                         p->position, first);
    else if (o->tta_round > 0)
        augment_tta(&p->map, o->augment, p->height, p->width, o->size, o->seed, o->tta_round - 1,
                    crc);
    else
        augment_validation(&p->map, o->augment, p->height, p->width, o->size);
}

/* The policy's operation on the PIXELS of P, where there is one. */
static int change_values(const struct stream *s, uint8_t *pixels, const struct picture *p,
                         struct err *err)
{
    struct policy policy;

    if (!stream_changes_pixels(&s->o))
        return 0;
    policy = policy_draw(s->o.seed, s->o.epoch, p->position);
    return policy_apply(pixels, p->height, p->width, &policy, err);
}

static int reserve(struct slot *slot, size_t bytes, struct err *err)
{
    size_t room = bytes + bytes / 8; /* so that batches a little larger do not ask again */

    if (slot->room >= bytes)
        return 0;
    free(slot->pixels);
    slot->room = 0;
    slot->pixels = aligned_alloc(PICTURE_ALIGN, align_up(room, PICTURE_ALIGN));
    if (!slot->pixels)
        return err_set(err, ERR_NOMEM, "a batch of %zu bytes: out of memory", bytes);
    slot->room = room;
    return 0;
}

/* Which pictures of the batch get pixels; behind the mixes. */
static void mark_needed(const struct stream *s, struct slot *slot)
{
    const int each = s->o.slices > 1 ? s->o.batch / s->o.slices : s->o.batch;
    const int first = s->o.slices > 1 ? s->o.slice * each : 0;

    for (int i = 0; i < slot->n; i++)
        slot->needed[i] = false;
    for (int i = first; !s->o.kept && i < first + each && i < slot->n; i++) {
        slot->needed[i] = true;
        if (slot->mixes)
            slot->needed[slot->mixes[i].partner] = true;
    }
}

static size_t room_of(const struct slot *slot, int i, const struct shard_picture *p)
{
    return slot->needed[i] ? align_up((size_t)p->height * p->width * 3, PICTURE_ALIGN) : 0;
}

/* Everything of BATCH but the pixels. */
static int lay_out(const struct stream *s, struct slot *slot, uint32_t batch, struct err *err)
{
    uint32_t first = batch * (uint32_t)s->o.batch, left = s->o.n - first;
    size_t at = 0;

    slot->n = left < (uint32_t)s->o.batch ? (int)left : s->o.batch;
    slot->n_todo = 0;
    if (slot->mixes)
        mixing_draw(slot->mixes, slot->n, s->o.augment, s->o.size, s->o.seed, s->o.epoch, first);
    mark_needed(s, slot);
    for (int i = 0; i < slot->n; i++) {
        slot->ranks[i] = rank_at(s, first + (uint32_t)i);
        at += room_of(slot, i, shard_set_picture(s->set, slot->ranks[i]));
    }
    if (!s->o.kept && reserve(slot, at + TAIL, err) < 0)
        return -1;
    at = 0;
    for (int i = 0; i < slot->n; i++) {
        const struct shard_picture *p = shard_set_picture(s->set, slot->ranks[i]);

        slot->pictures[i] = (struct picture){
            .pixels = slot->needed[i] ? slot->pixels + at : NULL,
            .height = (int32_t)p->height,
            .width = (int32_t)p->width,
            .label = s->o.labels ? s->o.labels[p->label] : p->label,
            .position = first + (uint32_t)i,
            .set = shard_set_number(s->set),
            .rank = slot->ranks[i],
        };
        map_picture(s, &slot->pictures[i], p->crc32c, first);
        if (slot->needed[i])
            slot->todo[slot->n_todo++] = (struct unread){i, slot->pixels + at};
        at += room_of(slot, i, p);
    }
    return 0;
}

/* A batch without unread pictures is ready in its turn, or ends the stream. With the lock, as all that follows. */
static void advance(struct stream *s)
{
    while (!s->failed && s->ready < s->begun) {
        const struct slot *slot = &s->slots[s->ready % s->n_slots];

        if (slot->left > 0)
            break;
        if (slot->failed_at < 0) {
            s->ready++;
        } else {
            s->err = slot->err;
            s->failed = true;
        }
        pthread_cond_signal(&s->filled);
    }
}

static void note_failure(struct stream *s, struct slot *slot, int place, const struct err *err)
{
    s->broken = true;
    if (slot->failed_at >= 0 && slot->failed_at < place)
        return;
    slot->failed_at = place;
    slot->err = *err;
}

/* Lays out the next batch, without the lock meanwhile. */
static void begin_batch(struct stream *s)
{
    struct slot *slot = &s->slots[s->begun % s->n_slots];
    const uint32_t batch = s->begun;
    struct err err;
    int rc;

    s->beginning = true;
    pthread_mutex_unlock(&s->lock);
    rc = lay_out(s, slot, batch, &err);
    pthread_mutex_lock(&s->lock);
    s->beginning = false;
    slot->failed_at = -1;
    if (rc < 0) {
        slot->n_todo = 0;
        note_failure(s, slot, 0, &err);
    }
    slot->claimed = 0;
    slot->left = slot->n_todo;
    s->begun++;
    advance(s);
    pthread_cond_broadcast(&s->freed);
}

/* The next picture to read, of the batch that was begun last, and its slot; NULL: there will be none. */
static struct slot *claim(struct stream *s, struct unread *u)
{
    while (!s->stop) {
        struct slot *slot = &s->slots[(s->begun + s->n_slots - 1) % s->n_slots];

        if (s->begun > s->o.first_batch && slot->claimed < slot->n_todo) {
            *u = slot->todo[slot->claimed++];
            return slot;
        }
        if (!s->beginning && (s->broken || s->begun == s->batches))
            return NULL;
        if (s->beginning || s->begun - s->released >= s->n_slots)
            pthread_cond_wait(&s->freed, &s->lock);
        else
            begin_batch(s);
    }
    return NULL;
}

static void *reader(void *arg)
{
    struct stream *s = arg;
    struct slot *slot;
    struct unread u;

    pthread_mutex_lock(&s->lock);
    while ((slot = claim(s, &u)) != NULL) {
        struct err err;
        int rc;

        pthread_mutex_unlock(&s->lock);
        rc = shard_set_read(s->set, slot->ranks[u.place], u.pixels, s->o.verify, &err);
        if (rc == 0)
            rc = change_values(s, u.pixels, &slot->pictures[u.place], &err);
        pthread_mutex_lock(&s->lock);
        if (rc < 0)
            note_failure(s, slot, u.place, &err);
        slot->left--;
        advance(s);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* --- the caller --------------------------------------------------------------------------------- */

int stream_check_augment(const struct augment_options *o, struct err *err)
{
    const struct {
        const char *key;
        double value;
    } idle[] = {
        {"augment.vflip", o->vflip},   {"augment.saturation", o->saturation},
        {"augment.hue", o->hue},       {"augment.erase", o->erase},
        {"augment.policy", o->policy}, {"augment.pad", o->resize == RESIZE_PAD ? 0 : o->pad}};

    if (o->mixup > 0 && o->cutmix > 0)
        return err_set(
            err, ERR_INPUT,
            "augment.mixup and augment.cutmix are both set: a picture is mixed in one way, set "
            "one of them to 0");
    if (o->mode != AUGMENT_NONE && o->min_zoom > o->max_zoom)
        return err_set(err, ERR_INPUT, "augment.min_zoom %g is larger than augment.max_zoom %g",
                       o->min_zoom, o->max_zoom);
    if (o->mode == AUGMENT_FASTAI && o->policy != POLICY_NONE)
        return err_set(
            err, ERR_INPUT,
            "augment.policy: goes with augment.mode=presize, not with fastai, whose crop "
            "comes after its interpolation");
    if (o->mode == AUGMENT_FASTAI && (o->resize != RESIZE_CROP || o->pad != PAD_REFLECTION))
        return err_set(err, ERR_INPUT,
                       "%s: goes with augment.mode=presize or none; fastai crops and reflects",
                       o->resize != RESIZE_CROP ? "augment.resize" : "augment.pad");
    for (size_t i = 0; o->mode == AUGMENT_NONE && i < sizeof idle / sizeof *idle; i++)
        if (idle[i].value != 0)
            return err_set(err, ERR_INPUT,
                           "%s has no effect with augment.mode=none, which draws nothing; choose "
                           "another mode or leave %s out",
                           idle[i].key, idle[i].key);
    return 0;
}

static int check_options(const struct stream_options *o, struct err *err)
{
    if (o->train && o->n < (uint32_t)o->batch)
        return err_set(err, ERR_INPUT,
                       "train.batch: %d pictures, but only %u to train with; make it "
                       "smaller",
                       o->batch, o->n);
    return o->train ? stream_check_augment(o->augment, err) : 0;
}

static int make_slots(struct stream *s, struct err *err)
{
    size_t batch = (size_t)s->o.batch;

    s->n_slots = (uint32_t)s->o.prefetch + 1;
    s->slots = calloc(s->n_slots, sizeof *s->slots);
    if (!s->slots)
        return err_set(err, ERR_NOMEM, "stream: out of memory");
    for (uint32_t i = 0; i < s->n_slots; i++) {
        s->slots[i].pictures = calloc(batch, sizeof *s->slots[i].pictures);
        s->slots[i].ranks = calloc(batch, sizeof *s->slots[i].ranks);
        s->slots[i].needed = calloc(batch, sizeof *s->slots[i].needed);
        s->slots[i].todo = calloc(batch, sizeof *s->slots[i].todo);
        if (s->o.train && mixing_is_on(s->o.augment))
            s->slots[i].mixes = calloc(batch, sizeof *s->slots[i].mixes);
        if (!s->slots[i].pictures || !s->slots[i].ranks || !s->slots[i].needed ||
            !s->slots[i].todo || (!s->slots[i].mixes && s->o.train && mixing_is_on(s->o.augment)))
            return err_set(err, ERR_NOMEM, "stream: out of memory");
    }
    if (!s->o.train)
        return 0;
    s->order = malloc(s->o.n * sizeof *s->order);
    if (!s->order)
        return err_set(err, ERR_NOMEM, "the order of %u pictures: out of memory", s->o.n);
    if (!s->o.sample_sums) {
        rng_permutation(s->order, s->o.n, s->o.seed, RNG_ORDER, s->o.epoch);
        return 0;
    }
    for (uint32_t i = 0; i < s->o.n; i++) {
        struct rng r = rng_begin(s->o.seed, RNG_DRAW, s->o.epoch, i);

        s->order[i] = weighting_pick(s->o.sample_sums, s->o.n, rng_uniform(&r, 0, 1));
    }
    return 0;
}

static int count_readers(const struct stream *s)
{
    const int own = cpu_count() / (s->o.sharers > 1 ? s->o.sharers : 1);
    int n = s->o.readers;

    if (n == 0 && shard_set_is_remote(s->set))
        n = READERS_REMOTE;
    if (n == 0 && (shard_set_storage(s->set) != STORAGE_RAW || stream_changes_pixels(&s->o)))
        n = own < READERS_MAX ? own : READERS_MAX;
    if (n == 0 || s->o.kept)
        n = 1;
    return (uint32_t)n < s->o.n ? n : (int)s->o.n;
}

/* Fewer readers than asked for do the same work. */
static int start(struct stream *s, struct err *err)
{
    const int n = count_readers(s);

    s->threads = calloc((size_t)n, sizeof *s->threads);
    if (!s->threads)
        return err_set(err, ERR_NOMEM, "stream: out of memory");
    while (s->n_threads < n) {
        errno = thread_start(&s->threads[s->n_threads], reader, s);
        if (errno != 0)
            break;
        s->n_threads++;
    }
    if (s->n_threads == 0)
        err_errno(err, "cannot start the reading thread");
    return s->n_threads > 0 ? 0 : -1;
}

int stream_open(struct stream **out, const struct shard_set *set, const struct stream_options *o,
                struct err *err)
{
    struct stream *s;

    *out = NULL;
    BUG_IF(o->n == 0 || o->batch < 1 || o->size < 1 || o->prefetch < 1);
    BUG_IF(o->kept && stream_changes_pixels(o));
    BUG_IF(o->slices > 1 && (o->batch % o->slices || o->slice < 0 || o->slice >= o->slices));
    if (check_options(o, err) < 0)
        return -1;
    s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ERR_NOMEM, "stream: out of memory");
    s->set = set;
    s->o = *o;
    s->batches = o->n / (uint32_t)o->batch;
    if (!o->train && o->n % (uint32_t)o->batch)
        s->batches++;
    BUG_IF(o->first_batch > s->batches);
    s->begun = s->ready = s->taken = s->released = o->first_batch;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->filled, NULL);
    pthread_cond_init(&s->freed, NULL);
    if (make_slots(s, err) < 0 || start(s, err) < 0) {
        stream_close(s);
        return -1;
    }
    *out = s;
    return 0;
}

void stream_close(struct stream *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->freed);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < s->n_threads; i++)
        pthread_join(s->threads[i], NULL);
    for (uint32_t i = 0; s->slots && i < s->n_slots; i++) {
        free(s->slots[i].pixels);
        free(s->slots[i].pictures);
        free(s->slots[i].mixes);
        free(s->slots[i].ranks);
        free(s->slots[i].needed);
        free(s->slots[i].todo);
    }
    pthread_cond_destroy(&s->freed);
    pthread_cond_destroy(&s->filled);
    pthread_mutex_destroy(&s->lock);
    free(s->threads);
    free(s->slots);
    free(s->order);
    free(s);
}

uint32_t stream_batches(const struct stream *s)
{
    return s->batches;
}

int stream_next(struct stream *s, const struct picture **pictures, const uint32_t **ranks, int *n,
                struct err *err)
{
    const struct slot *slot;
    bool failed;

    pthread_mutex_lock(&s->lock);
    s->released = s->taken; /* what was handed out before is the readers' again */
    pthread_cond_broadcast(&s->freed);
    if (s->taken < s->batches && s->ready == s->taken && !s->failed) {
        double begin = clock_seconds();

        while (s->ready == s->taken && !s->failed)
            pthread_cond_wait(&s->filled, &s->lock);
        s->wait_seconds += clock_seconds() - begin;
    }
    failed = s->taken < s->batches && s->ready == s->taken; /* only after the batches before it */
    if (failed)
        err_set(err, s->err.kind, "%s", s->err.msg);
    pthread_mutex_unlock(&s->lock);
    if (failed)
        return -1;
    *pictures = NULL;
    *ranks = NULL;
    *n = 0;
    if (s->taken == s->batches)
        return 0;
    slot = &s->slots[s->taken % s->n_slots];
    s->taken++; /* only this thread reads or writes it */
    *pictures = slot->pictures;
    *ranks = slot->ranks;
    *n = slot->n;
    return 1;
}

int stream_peek(struct stream *s, const struct picture **pictures, int *n)
{
    const struct slot *slot = &s->slots[s->taken % s->n_slots];
    bool there;

    pthread_mutex_lock(&s->lock);
    there = s->ready > s->taken;
    pthread_mutex_unlock(&s->lock);
    *pictures = there ? slot->pictures : NULL;
    *n = there ? slot->n : 0;
    return there;
}

const struct mix *stream_mixes(const struct stream *s)
{
    BUG_IF(s->taken == s->o.first_batch); /* none was given yet */
    return s->slots[(s->taken - 1) % s->n_slots].mixes;
}

double stream_wait_seconds(const struct stream *s)
{
    return s->wait_seconds;
}
