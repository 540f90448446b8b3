/* shardset.c - the default action: readers read files, workers decode and presize, one writer puts the pictures into
 * shards.
 *
 * The order of the pictures is the writer's and known from the start; readers and workers claim the next number, the
 * writer (the calling thread, the only one that calls HDF5) takes them in order out of a ring. So the
 * bytes cannot depend on the number of workers, and memory is the ring's, never the set's. Readers are threads of their
 * own so that workers, whose decoders meet what strangers made, need open no file and can be denied to.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/text.h"
#include "base/thread.h"
#include "data/duplicate.h"
#include "data/shard_write.h"
#include "prep.h"

enum { SLOTS_PER_WORKER = 4, WORKERS_MAX = 256 };

enum slot_state { SLOT_EMPTY, SLOT_READ, SLOT_CLAIMED, SLOT_FULL };

struct slot { /* one picture on its way from a reader through a worker to the writer */
    enum slot_state state;
    char *file; /* its bytes, from reader to worker */
    size_t file_size;
    bool failed, cut, more, alpha;
    int orientation, side; /* side: the short one, as decoded */
    struct duplicate_item id;
    struct err err;
    uint8_t *pixels, *packed; /* packed: but with storage raw */
    size_t capacity, packed_capacity;
    struct shard_pixels out;
    char format[8], warning[200];
};

struct job {
    const struct prep *p;
    struct shard_writer *writer;
    struct slot *slots;
    uint32_t n, n_slots;
    int workers, readers;
    pthread_t threads[WORKERS_MAX], reading[WORKERS_MAX];

    pthread_mutex_t lock; /* guards what follows and slots[].state */
    pthread_cond_t room, read, ready;
    uint32_t to_read, next, taken; /* claimed by readers, by workers; taken out by the writer */
    bool stop;
    bool check_only; /* a picture was bad: only look for the others */

    const struct shard_mending *mending; /* NULL: everything is made */

    uint32_t bad;
    uint32_t *kept;             /* of each class */
    int *sides;                 /* of each item: short side as decoded, 0: left out */
    struct duplicate_item *ids; /* of each item */
    struct remarks *remarks;    /* the listing's, to which those about pixels come */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static void lower(char out[8], const char *name)
{
    size_t i = 0;

    for (; i < 7 && name[i]; i++)
        out[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
    out[i] = 0;
}

/* What C made goes to S; the slot's old buffers become the worker's next ones. */
static void hand_over(struct slot *s, struct picture *c, const struct prep *p)
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
static int make_picture(struct slot *s, struct picture *c, const struct prep *p, uint32_t item,
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
    s->id = (struct duplicate_item){.size = c->size, .crc32c = crc32c(0, c->bytes, c->size)};
    picture_hash(&s->id.hash, c->pixels, c->plan.height, c->plan.width);
    if (picture_pack(c, p, err) < 0)
        return err_wrap(err, "%s", p->dataset->items[item].path);
    s->cut = c->plan.box.width != c->image.width || c->plan.box.height != c->image.height;
    s->more = c->image.more;
    s->alpha = c->image.alpha;
    s->orientation = c->image.orientation;
    s->side = c->image.height < c->image.width ? c->image.height : c->image.width;
    memcpy(s->warning, c->image.warning, sizeof s->warning);
    lower(s->format, image_format_name(c->image.format));
    hand_over(s, c, p);
    return 0;
}

/* Whether a sound shard has picture I already. */
static bool passed_over(const struct job *j, uint32_t i)
{
    return j->mending && j->mending->of[i] != MEND_MAKE;
}

/* Reads ahead of the workers, by one file each. */
static void *read_files(void *arg)
{
    struct job *j = arg;

    for (;;) {
        struct slot *s;
        uint32_t i;

        pthread_mutex_lock(&j->lock);
        while (!j->stop && j->to_read < j->n &&
               (j->to_read - j->taken >= j->n_slots ||
                j->to_read - j->next >= (uint32_t)j->p->workers))
            pthread_cond_wait(&j->room, &j->lock);
        if (j->stop || j->to_read >= j->n) {
            pthread_mutex_unlock(&j->lock);
            return NULL;
        }
        i = j->to_read++;
        pthread_mutex_unlock(&j->lock);

        s = &j->slots[i % j->n_slots];
        s->failed =
            !passed_over(j, i) && picture_read(&s->file, &s->file_size, j->p,
                                               shard_writer_order(j->writer, i), &s->err) < 0;
        pthread_mutex_lock(&j->lock);
        s->state = SLOT_READ;
        pthread_cond_broadcast(&j->read);
        pthread_mutex_unlock(&j->lock);
    }
}

static void *work(void *arg)
{
    struct job *j = arg;
    struct picture c = {0};

    sandbox_seal_thread();
    for (;;) {
        struct slot *s;
        uint32_t i;
        bool check_only;

        pthread_mutex_lock(&j->lock);
        while (!j->stop && j->next < j->n && j->slots[j->next % j->n_slots].state != SLOT_READ)
            pthread_cond_wait(&j->read, &j->lock);
        if (j->stop || j->next >= j->n) {
            pthread_mutex_unlock(&j->lock);
            break;
        }
        i = j->next++;
        s = &j->slots[i % j->n_slots];
        s->state = SLOT_CLAIMED;
        check_only = j->check_only;
        if (j->next == j->n)
            pthread_cond_broadcast(&j->read); /* nothing is left for the other workers */
        pthread_cond_broadcast(&j->room);
        pthread_mutex_unlock(&j->lock);

        s->failed = s->failed || (!passed_over(j, i) &&
                                  make_picture(s, &c, j->p, shard_writer_order(j->writer, i),
                                               check_only, &s->err) < 0);
        pthread_mutex_lock(&j->lock);
        s->state = SLOT_FULL;
        pthread_cond_signal(&j->ready);
        pthread_mutex_unlock(&j->lock);
    }
    picture_free(&c);
    return NULL;
}

/* How many of WISH threads could be started: fewer do the same work. */
static int start_threads(pthread_t *threads, int wish, void *(*run)(void *), struct job *j,
                         int *started, struct err *err)
{
    for (*started = 0; *started < wish; ++*started) {
        errno = pthread_create(&threads[*started], NULL, run, j);
        if (errno)
            return *started > 0 ? 0 : err_errno(err, "cannot start a thread");
    }
    return 0;
}

static int start(struct job *j, struct err *err)
{
    const int wish = j->p->workers < WORKERS_MAX ? j->p->workers : WORKERS_MAX;
    const uint32_t slots = (uint32_t)wish * SLOTS_PER_WORKER;

    j->n_slots = slots < j->n ? slots : j->n;
    j->slots = calloc(j->n_slots, sizeof *j->slots);
    if (!j->slots)
        return err_set(err, ERR_NOMEM, "out of memory");
    image_begin();
    return start_threads(j->threads, wish, work, j, &j->workers, err) < 0
               ? -1
               : start_threads(j->reading, wish, read_files, j, &j->readers, err);
}

static void finish(struct job *j)
{
    pthread_mutex_lock(&j->lock);
    j->stop = true;
    pthread_cond_broadcast(&j->room);
    pthread_cond_broadcast(&j->read);
    pthread_mutex_unlock(&j->lock);
    for (int i = 0; i < j->readers; i++)
        pthread_join(j->reading[i], NULL);
    for (int i = 0; i < j->workers; i++)
        pthread_join(j->threads[i], NULL);
    for (uint32_t i = 0; j->slots && i < j->n_slots; i++) {
        free(j->slots[i].file);
        free(j->slots[i].pixels);
        free(j->slots[i].packed);
    }
    free(j->slots);
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->room);
    pthread_cond_destroy(&j->read);
    pthread_cond_destroy(&j->ready);
}

/* Waits for picture I; wakes up now and then to see whether a signal came. */
static struct slot *wait_slot(struct job *j, uint32_t i)
{
    struct slot *s = &j->slots[i % j->n_slots];

    pthread_mutex_lock(&j->lock);
    while (s->state != SLOT_FULL && !interrupted) {
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 100000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&j->ready, &j->lock, &until);
    }
    pthread_mutex_unlock(&j->lock);
    return interrupted ? NULL : s;
}

static void release_slot(struct job *j, struct slot *s)
{
    pthread_mutex_lock(&j->lock);
    s->state = SLOT_EMPTY;
    s->err = (struct err){0};
    j->taken++;
    pthread_cond_broadcast(&j->room);
    pthread_mutex_unlock(&j->lock);
}

static int take_bad(struct job *j, uint32_t item, const struct slot *s, struct err *err)
{
    /* when shards are mended, what was left out then is known, and all others were readable */
    const bool skip = j->p->options.on_error == ON_ERROR_SKIP && !j->mending;

    if (s->err.kind == ERR_NOMEM || s->err.kind == ERR_INPUT) { /* not the picture's fault */
        *err = s->err;
        return -1;
    }
    if (skip)
        log_warn("left out: %s", s->err.msg);
    else
        log_error("%s", s->err.msg);
    j->bad++;
    j->ids[item].left_out = true;
    remarks_add(j->remarks, REMARK_UNDECODABLE, "%s", s->err.msg);
    if (skip)
        return shard_writer_skip(j->writer, err);
    pthread_mutex_lock(&j->lock);
    j->check_only = true;
    pthread_mutex_unlock(&j->lock);
    return 0;
}

static void note_picture(struct job *j, const struct slot *s, const char *path)
{
    const struct dataset_options *o = &j->p->options;

    if (s->warning[0])
        remarks_add(j->remarks, REMARK_DECODER_WARNINGS, "%s: %s", path, s->warning);
    if (s->cut)
        remarks_add(j->remarks, REMARK_CUT, "%s", path);
    if (s->more)
        remarks_add(j->remarks, REMARK_FIRST_FRAME, "%s", path);
    if (s->alpha)
        remarks_add(j->remarks, REMARK_ALPHA, "%s", path);
    if (s->orientation != 1)
        remarks_add(j->remarks,
                    o->exif == EXIF_APPLY ? REMARK_ORIENTATION_APPLIED : REMARK_ORIENTATION_IGNORED,
                    "%s (%d)", path, s->orientation);
    if (s->side < o->size)
        remarks_add(j->remarks, REMARK_ENLARGED, "%s (%d px)", path, s->side);
}

static int take(struct job *j, uint32_t i, struct slot *s, struct err *err)
{
    const uint32_t item = shard_writer_order(j->writer, i);
    const char *path = j->p->dataset->items[item].path;

    if (j->mending && j->mending->of[i] == MEND_LEAVE_OUT)
        return j->check_only ? 0 : shard_writer_skip(j->writer, err);
    if (j->mending && j->mending->of[i] == MEND_PASS) {
        if (!j->check_only)
            shard_writer_pass(j->writer);
        return 0;
    }
    if (s->failed)
        return take_bad(j, item, s, err);
    if (j->check_only)
        return 0; /* nothing will be kept */
    note_picture(j, s, path);
    j->sides[item] = s->side;
    j->ids[item] = s->id;
    if (shard_writer_add(j->writer, &s->out, err) < 0)
        return err_wrap(err, "%s", path);
    j->kept[j->p->dataset->items[item].label]++;
    return 0;
}

static int take_all(struct job *j, struct err *err)
{
    progress_begin("prep", j->n);
    for (uint32_t i = 0; i < j->n; i++) {
        struct slot *s = wait_slot(j, i);
        int rc;

        if (!s) {
            progress_end();
            return err_set(err, ERR_STOPPED, "stopped by a signal; nothing was kept");
        }
        rc = take(j, i, s, err);
        release_slot(j, s);
        if (rc < 0) {
            progress_end();
            return -1;
        }
        progress_set(i + 1, NULL);
    }
    progress_end();
    if (j->bad && j->mending)
        return err_set(err, ERR_FORMAT,
                       "%u pictures of damaged shards cannot be decoded now (all named above); "
                       "nothing was changed",
                       j->bad);
    if (j->bad && j->p->options.on_error == ON_ERROR_FAIL)
        return err_set(err, ERR_FORMAT,
                       "%u of %u pictures cannot be decoded (all named above); remove or replace "
                       "them, or leave them out with decode.on_error=skip; nothing was written",
                       j->bad, j->n);
    return 0;
}

static void report(const struct job *j, uint64_t bytes, double seconds)
{
    const struct prep *p = j->p;
    const uint32_t kept = j->n - j->bad;
    const uintmax_t per_shard = (uintmax_t)p->options.shard_pictures;
    const uintmax_t shards = (kept + per_shard - 1) / per_shard;

    remarks_print(j->remarks);
    log_info("%u pictures of %d classes; %u left out, %u cut to %g x their short side, %u decoder "
             "warning%s, %u other file%s skipped",
             kept, p->dataset->n_classes, j->bad, j->remarks->of[REMARK_CUT].n,
             p->options.max_aspect, j->remarks->of[REMARK_DECODER_WARNINGS].n,
             PLURAL(j->remarks->of[REMARK_DECODER_WARNINGS].n), p->dataset->n_skipped,
             PLURAL(p->dataset->n_skipped));
    log_info("%.1f s, %.0f images/s with %d worker%s, %.1f MB of pictures in %ju shard%s", seconds,
             seconds > 0 ? kept / seconds : 0, j->workers, PLURAL(j->workers), (double)bytes / 1e6,
             shards, PLURAL(shards));
}

/* Only the new shards are written from here on and the folder that they replace, and nothing of the pictures. */
static int narrow(const struct job *j, struct err *err)
{
    const struct prep *p = j->p;
    struct sandbox_place places[3] = {
        {shard_writer_part(j->writer), j->mending ? SANDBOX_MOVE : SANDBOX_WRITE}};
    char parent[PATH_LEN];

    if (path_folder(parent, p->folder, err) < 0)
        return -1;
    places[1] = (struct sandbox_place){parent, SANDBOX_FOLDERS};
    places[2] = (struct sandbox_place){p->folder, places[0].kind};
    sandbox_enter(places, path_exists(p->folder) ? 3 : 2);
    return 0;
}

static int run(struct job *j, struct err *err)
{
    const double began = clock_seconds();
    uint64_t bytes;
    int rc;

    rc = narrow(j, err);
    if (rc == 0)
        rc = start(j, err);
    if (rc == 0)
        rc = take_all(j, err);
    bytes = rc == 0 ? shard_writer_bytes(j->writer) : 0;
    if (rc < 0) {
        finish(j); /* workers ask the writer for the order */
        shard_writer_abort(j->writer);
        return -1;
    }
    finish(j);
    if (j->mending)
        return shard_writer_mend(j->writer, j->mending->shards, j->mending->n_made, err);
    if (shardset_remark(j->writer, j->p, j->remarks, j->ids, j->sides, j->kept, err) < 0) {
        shard_writer_abort(j->writer);
        return -1;
    }
    if (shard_writer_finish(j->writer, err) < 0)
        return -1;
    report(j, bytes, clock_seconds() - began);
    return 0;
}

/* Signals stop the work, and nothing is kept. */
static int run_caught(struct job *j, struct err *err)
{
    struct sigaction stop = {.sa_handler = on_signal}, old_int, old_term;
    int rc;

    sigemptyset(&stop.sa_mask);
    sigaction(SIGINT, &stop, &old_int);
    sigaction(SIGTERM, &stop, &old_term);
    rc = run(j, err);
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGTERM, &old_term, NULL);
    return rc;
}

/* What was remarked when the shards were made is still so. */
static int repeat_remarks(const struct prep *p, struct err *err)
{
    char path[PATH_LEN];
    json_t *index;

    if (path_format(path, err, "%s/index.json", p->folder) < 0 || json_read(&index, path, err) < 0)
        return -1;
    if (json_object_get(index, "remarks"))
        remarks_print_json(json_object_get(index, "remarks"));
    else /* by an older prep, which recorded none: at least what the listing shows */
        remarks_print(&p->dataset->remarks);
    json_decref(index);
    return 0;
}

int shardset_make(struct prep *p, struct shard_mending *mending, struct err *err)
{
    struct job j = {.p = p,
                    .lock = PTHREAD_MUTEX_INITIALIZER,
                    .room = PTHREAD_COND_INITIALIZER,
                    .read = PTHREAD_COND_INITIALIZER,
                    .ready = PTHREAD_COND_INITIALIZER,
                    .mending = mending};
    const struct shard_plan plan = {.set = p->set,
                                    .options = &p->options,
                                    .dataset = p->dataset,
                                    .decoder = prep_decoder(p),
                                    .manifest_sha256 = p->manifest_sha256,
                                    .fetched = p->fetched};
    int rc;

    j.n = p->dataset->n;
    j.remarks = &p->dataset->remarks;
    j.kept = calloc((size_t)p->dataset->n_classes, sizeof *j.kept);
    j.sides = calloc(j.n, sizeof *j.sides);
    j.ids = calloc(j.n, sizeof *j.ids);
    if (!j.kept || !j.sides || !j.ids)
        rc = err_set(err, ERR_NOMEM, "out of memory");
    else
        rc = shard_writer_open(&j.writer, p->folder, &plan, err);
    if (rc == 0 && mending && (rc = mend_fill(mending, p, j.writer, err)) < 0)
        shard_writer_abort(j.writer);
    if (rc == 0)
        rc = run_caught(&j, err);
    free(j.kept);
    free(j.sides);
    free(j.ids);
    return rc;
}

int prep_write(struct prep *p, struct err *err)
{
    char why[256] = "";

    if (prep_list(p, err) < 0 || prep_hash(p, err) < 0)
        return -1;
    if (!p->force && prep_is_current(p, why)) {
        log_info("%s: complete and up to date; nothing to do (--force rebuilds it)", p->folder);
        return repeat_remarks(p, err);
    }
    if (why[0])
        log_info("%s is rebuilt: %s", p->folder, why);
    return shardset_make(p, NULL, err);
}
