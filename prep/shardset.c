/* shardset.c - the default action: pictures come out of the pipeline in the writer's order, which is known from the
 * start, and go into shards. The calling thread is the only one that calls HDF5.
 *
 * One of several processes makes its own shards so; what it notes of its pictures is told by rank 0, when all are
 * through. SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/text.h"
#include "base/thread.h"
#include "data/index_record.h"
#include "data/shard_write.h"
#include "group/group.h"
#include "notes.h"
#include "pipeline.h"
#include "prep.h"
#include "together.h"

struct job {
    const struct prep *p;
    struct shard_writer *writer;
    struct pipeline line;
    uint32_t *make; /* where in the order the pictures are that are made here */
    uint8_t *of;    /* enum mend of each picture, in the order */
    const struct shard_mending *mending; /* NULL: all is made */
    struct notes notes;
    struct pace pace; /* of one of several processes */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* Takes the I-th that was to be made, which is at PLACE in the order. */
static int take_made(struct job *j, uint32_t place, struct making *s, struct err *err)
{
    const uint32_t item = shard_writer_order(j->writer, place);

    if (s->note.failed && (s->err.kind == ERR_NOMEM || s->err.kind == ERR_INPUT)) {
        *err = s->err; /* not the picture's fault */
        return -1;
    }
    s->note.text = s->note.failed ? s->err.msg : s->warning;
    if (j->p->group) {
        if (notes_keep(&j->notes, place, &s->note, err) < 0)
            return -1;
    } else if (s->note.failed || !j->line.check_only) {
        notes_tell(&j->notes, item, &s->note);
    }
    if (s->note.failed && j->notes.skips)
        return shard_writer_skip(j->writer, err);
    if (s->note.failed)
        pipeline_only_check(&j->line);
    if (j->line.check_only) /* nothing will be kept */
        return 0;
    if (shard_writer_add(j->writer, &s->out, err) < 0)
        return err_wrap(err, "%s", j->p->dataset->items[item].path);
    return 0;
}

/* All say how far they are. */
static void meet(struct job *j, bool done, bool failed)
{
    pace_meet(&j->pace, j->p->group, done, failed, j->notes.n_places > 0);
    progress_set(j->pace.taken, NULL);
    if (j->pace.any_bad && !j->notes.skips)
        pipeline_only_check(&j->line);
}

/* The picture at PLACE in the order; *MADE of those to be made were taken before. */
static int take(struct job *j, uint32_t place, uint32_t *made, struct err *err)
{
    struct making *s;
    int rc;

    if (j->of[place] == MEND_LEAVE_OUT)
        return j->line.check_only ? 0 : shard_writer_skip(j->writer, err);
    if (j->of[place] == MEND_PASS) {
        if (!j->line.check_only)
            shard_writer_pass(j->writer);
        return 0;
    }
    s = pipeline_wait(&j->line, *made, &interrupted);
    if (!s)
        return err_set(err, ERR_STOPPED, "stopped by a signal; nothing was kept");
    rc = take_made(j, place, s, err);
    pipeline_release(&j->line, s);
    ++*made;
    if (!j->p->group)
        progress_set(*made, NULL);
    else if (pace_step(&j->pace) && rc == 0)
        meet(j, false, false);
    return rc;
}

static int take_all(struct job *j, struct err *err)
{
    const uint32_t n = j->p->dataset->n;
    uint32_t made = 0;
    int rc = 0;

    progress_begin("prep", j->p->group ? n : j->line.n);
    pace_begin(&j->pace);
    for (uint32_t i = 0; rc == 0 && !j->pace.any_failed && i < n; i++)
        rc = take(j, i, &made, err);
    while (j->p->group && !j->pace.all_done && !j->pace.any_failed) { /* until all are through */
        if (rc == 0 && interrupted)
            rc = err_set(err, ERR_STOPPED, "stopped by a signal; nothing was kept");
        meet(j, rc == 0, rc < 0);
    }
    progress_end();
    return rc;
}

static int refuse_bad(const struct job *j, uint32_t bad, struct err *err)
{
    if (bad && j->mending)
        return err_set(err, ERR_FORMAT,
                       "%u pictures of damaged shards cannot be decoded now (all named above); "
                       "nothing was changed",
                       bad);
    if (bad && j->p->options.on_error == ON_ERROR_FAIL)
        return err_set(err, ERR_FORMAT,
                       "%u of %u pictures cannot be decoded (all named above); remove or replace "
                       "them, or leave them out with decode.on_error=skip; nothing was written",
                       bad, j->p->dataset->n);
    return 0;
}

static void report(const struct job *j, uint64_t bytes, double seconds)
{
    const struct prep *p = j->p;
    const struct remarks *r = j->notes.remarks;
    const uint32_t kept = p->dataset->n - j->notes.bad;
    const uintmax_t per_shard = (uintmax_t)p->options.shard_pictures;
    const uintmax_t shards = (kept + per_shard - 1) / per_shard;
    char processes[40] = "";

    remarks_print(r);
    log_info("%u pictures of %d class%s; %u left out, %u cut to %g x their short side, %u decoder "
             "warning%s, %u other file%s skipped",
             kept, p->dataset->n_classes, p->dataset->n_classes == 1 ? "" : "es", j->notes.bad,
             r->of[REMARK_CUT].n, p->options.max_aspect, r->of[REMARK_DECODER_WARNINGS].n,
             PLURAL(r->of[REMARK_DECODER_WARNINGS].n), p->dataset->n_skipped,
             PLURAL(p->dataset->n_skipped));
    if (p->group)
        snprintf(processes, sizeof processes, " in each of %d processes", group_size(p->group));
    log_info("%.1f s, %.0f images/s with %d worker%s%s, %.1f MB of pictures in %ju shard%s",
             seconds, seconds > 0 ? kept / seconds : 0, j->line.workers, PLURAL(j->line.workers),
             processes, (double)bytes / 1e6, shards, PLURAL(shards));
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

/* All own pictures go to the writer, which the caller aborts on failure. */
static int make(struct job *j, struct err *err)
{
    int rc = narrow(j, err);

    if (rc == 0)
        rc = pipeline_start(&j->line, err);
    if (j->p->group && rc < 0) /* the others are on their way to the first meeting */
        meet(j, false, true);
    if (rc == 0)
        rc = take_all(j, err);
    pipeline_finish(&j->line); /* workers ask the writer for the order */
    return rc;
}

/* The set is there, but for index.json. */
static int complete(struct job *j, double began, struct err *err)
{
    const uint64_t bytes = shard_writer_bytes(j->writer);
    struct shard_writer *w = j->writer;

    if (shardset_remark(w, j->p, j->notes.remarks, j->notes.ids, j->notes.sides, j->notes.kept,
                        err) < 0)
        return -1;
    j->writer = NULL; /* finish() ends it */
    if (shard_writer_finish(w, err) < 0)
        return -1;
    report(j, bytes, clock_seconds() - began);
    return 0;
}

static int run_alone(struct job *j, struct err *err)
{
    const double began = clock_seconds();
    struct shard_writer *w = j->writer;

    if (make(j, err) < 0 || refuse_bad(j, j->notes.bad, err) < 0)
        return -1;
    if (!j->mending)
        return complete(j, began, err);
    j->writer = NULL;
    return shard_writer_mend(w, j->mending->shards, j->mending->n_made, err);
}

/* Rank 0 tells the notes of all in the order of one process. */
static int tell_notes(struct job *j, char *const *all, const size_t *sizes, struct err *err)
{
    const uint32_t ranks = (uint32_t)group_size(j->p->group);
    const char *at[GROUP_MAX];
    struct note note;

    memcpy(at, all, ranks * sizeof *at);
    for (uint32_t i = 0; i < j->p->dataset->n; i++) {
        const uint32_t owner = i / (uint32_t)j->p->options.shard_pictures % ranks;

        if (notes_next(&note, &at[owner], all[owner] + sizes[owner], err) < 0)
            return err_wrap(err, "%s", group_name(j->p->group, (int)owner));
        notes_tell(&j->notes, shard_writer_order(j->writer, i), &note);
    }
    return 0;
}

static int share_notes(struct job *j, struct err *err)
{
    struct group *g = j->p->group;
    char *all[GROUP_MAX] = {NULL};
    size_t sizes[GROUP_MAX];
    int rc = group_collect(g, all, sizes, j->notes.packed, j->notes.size, j->p->rank == 0, err);

    rc = together_agree(j->p, rc, err);
    if (rc == 0 && j->p->rank == 0)
        rc = tell_notes(j, all, sizes, err);
    for (int i = 0; i < group_size(g); i++)
        free(all[i]);
    return together_agree(j->p, rc, err);
}

/* What all left out; short shards are filled up. */
static int leave_out(struct job *j, struct err *err)
{
    uint32_t *places, n;
    int rc = together_places(&places, &n, j->p, j->notes.places, j->notes.n_places, err);

    rc = together_agree(j->p, rc, err);
    if (rc == 0)
        rc = refuse_bad(j, n, err); /* alike in all */
    if (rc == 0)
        rc = together_agree(j->p, shard_writer_leave_out(j->writer, places, n, err), err);
    if (rc == 0 && n > 0)
        rc = together_agree(j->p, shard_writer_fill(j->writer, &interrupted, err), err);
    if (rc == 0 && n > 0)
        rc = together_agree(j->p, shard_writer_replace(j->writer, err), err);
    free(places);
    return rc;
}

/* Rank 0's writer takes over what all made. */
static int hand_in(struct job *j, struct err *err)
{
    struct group *g = j->p->group;
    uint64_t bytes[GROUP_MAX], sum = 0;
    char *all[GROUP_MAX] = {NULL};
    size_t sizes[GROUP_MAX], size = 0;
    struct shard_made *made;
    uint32_t n;
    const struct shard_made *own = shard_writer_made(j->writer, &n);
    int rc = group_collect(g, all, sizes, own, n * sizeof *own, j->p->rank == 0, err);

    bytes[group_rank(g)] = shard_writer_bytes(j->writer);
    group_share(g, bytes, sizeof *bytes);
    for (int i = 0; i < group_size(g); i++) {
        size += sizes[i];
        sum += bytes[i];
    }
    made = malloc(size + 1);
    if (rc == 0 && !made)
        rc = err_set(err, ERR_NOMEM, "out of memory");
    size = 0;
    for (int i = 0; i < group_size(g); i++) {
        if (rc == 0 && all[i])
            memcpy((char *)made + size, all[i], sizes[i]);
        size += sizes[i];
        free(all[i]);
    }
    if (rc == 0 && j->p->rank == 0)
        rc = shard_writer_take_over(j->writer, made, (uint32_t)(size / sizeof *made), sum, err);
    free(made);
    return together_agree(j->p, rc, err);
}

static int run_together(struct job *j, struct err *err)
{
    const double began = clock_seconds();
    int rc = make(j, err);

    /* where another failed, this one has pictures left */
    if (rc == 0 && !j->pace.any_failed && !j->line.check_only)
        rc = shard_writer_end(j->writer, err);
    rc = together_agree(j->p, rc, err);
    if (rc < 0 || share_notes(j, err) < 0 || leave_out(j, err) < 0 || hand_in(j, err) < 0)
        return -1;
    if (j->p->rank == 0)
        rc = complete(j, began, err);
    return together_agree(j->p, rc, err);
}

/* On failure nothing is left; that is done by rank 0, when the others have closed their files. */
static int run(struct job *j, struct err *err)
{
    int rc = j->p->group ? run_together(j, err) : run_alone(j, err);

    if (j->p->rank > 0)
        shard_writer_abort(j->writer);
    if (j->p->group)
        group_meet(j->p->group);
    if (j->p->rank == 0)
        shard_writer_abort(j->writer);
    return rc;
}

/* Signals stop the work, and nothing is kept. SIGUSR1 is what mpirun passes on to all. */
static int run_caught(struct job *j, struct err *err)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
    enum { N = sizeof numbers / sizeof *numbers };
    struct sigaction stop = {.sa_handler = on_signal}, old[N];
    int rc;

    sigemptyset(&stop.sa_mask);
    for (int i = 0; i < N; i++)
        sigaction(numbers[i], &stop, &old[i]);
    rc = run(j, err);
    for (int i = 0; i < N; i++)
        sigaction(numbers[i], &old[i], NULL);
    if (rc == 0) { /* the shards are in place: a request to stop comes too late */
        signal(SIGUSR1, SIG_IGN);
        signal(SIGUSR2, SIG_IGN);
    }
    return rc;
}

/* What was remarked when the shards were made is still so. */
static int repeat_remarks(const struct prep *p, struct err *err)
{
    char path[PATH_LEN];
    struct index_record r;
    json_t *index;

    if (path_format(path, err, "%s/index.json", p->folder) < 0 || json_read(&index, path, err) < 0)
        return -1;
    fields_read(index_fields, SHARD_INDEX_VERSION, &r, index, NULL);
    if (r.remarks)
        remarks_print_json(r.remarks);
    else /* by an older prep, which recorded none: at least what the listing shows */
        remarks_print(&p->dataset->remarks);
    json_decref(index);
    return 0;
}

/* What of the order is to be made here. */
static int choose(struct job *j, struct shard_mending *mending, struct err *err)
{
    const uint32_t n = j->p->dataset->n;

    j->of = calloc(n, 1);
    j->make = malloc(n * sizeof *j->make);
    if (!j->of || !j->make)
        return err_set(err, ERR_NOMEM, "out of memory");
    if (mending && mend_fill(mending, j->of, j->p, j->writer, err) < 0)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        if (!shard_writer_is_own(j->writer, i))
            j->of[i] = MEND_PASS;
        if (j->of[i] == MEND_MAKE)
            j->make[j->line.n++] = i;
    }
    j->line.p = j->p;
    j->line.writer = j->writer;
    j->line.make = j->make;
    return 0;
}

/* Rank 0 makes the folder, in which the others then write, too. */
static int open_writer(struct job *j, struct err *err)
{
    const struct prep *p = j->p;
    const struct shard_plan plan = {
        .set = p->set,
        .options = &p->options,
        .dataset = p->dataset,
        .decoder = prep_decoder(p),
        .manifest_sha256 = p->manifest_sha256,
        .fetched = p->fetched,
        .writer = (uint32_t)p->rank,
        .writers = p->group ? (uint32_t)group_size(p->group) : 1,
    };
    int rc = 0;

    if (p->rank == 0)
        rc = shard_writer_open(&j->writer, p->folder, &plan, err);
    rc = together_agree(p, rc, err);
    if (rc == 0 && p->rank > 0)
        rc = shard_writer_open(&j->writer, p->folder, &plan, err);
    rc = together_agree(p, rc, err);
    return rc < 0 ? -1 : together_see(p, j->writer, err);
}

int shardset_make(struct prep *p, struct shard_mending *mending, struct err *err)
{
    struct job j = {.p = p,
                    .mending = mending,
                    .line = {.lock = PTHREAD_MUTEX_INITIALIZER,
                             .room = PTHREAD_COND_INITIALIZER,
                             .read = PTHREAD_COND_INITIALIZER,
                             .ready = PTHREAD_COND_INITIALIZER}};
    /* when shards are mended, what was left out then is known, and all others were readable */
    const bool skips = p->options.on_error == ON_ERROR_SKIP && !mending;
    int rc = together_agree(p, notes_begin(&j.notes, p, skips, err), err);

    if (rc == 0)
        rc = open_writer(&j, err);
    if (rc == 0)
        rc = together_agree(p, choose(&j, mending, err), err);
    if (rc == 0)
        rc = run_caught(&j, err);
    else
        shard_writer_abort(j.writer);
    notes_free(&j.notes);
    free(j.of);
    free(j.make);
    return rc;
}

/* Rank 0's word. */
static bool all_current(const struct prep *p, char why[256])
{
    bool current[GROUP_MAX] = {false};

    if (p->rank == 0)
        current[0] = !p->force && prep_is_current(p, why);
    if (p->group)
        group_share(p->group, current, sizeof *current);
    return current[0];
}

int prep_write(struct prep *p, struct err *err)
{
    char why[256] = "";

    if (together_agree(p, prep_list(p, err), err) < 0 ||
        together_agree(p, prep_hash(p, err), err) < 0 || together_same(p, err) < 0)
        return -1;
    if (all_current(p, why)) {
        log_info("%s: complete and up to date; nothing to do (--force rebuilds it)", p->folder);
        return together_agree(p, p->rank == 0 ? repeat_remarks(p, err) : 0, err);
    }
    if (why[0])
        log_info("%s is rebuilt: %s", p->folder, why);
    return shardset_make(p, NULL, err);
}
