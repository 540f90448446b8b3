/* run.c - one run's folder, from begin or resume to finish or fail.
 * SPDX-License-Identifier: MIT */
#include "run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/path.h"
#include "run/events.h"
#include "run/run_files.h"

enum { LOCK_TRIES = 20, LOCK_PAUSE_MS = 10 };

struct run {
    char folder[PATH_LEN];
    int lock; /* fd of .lock, -1: not held */
    json_t *json;
    FILE *log, *metrics, *timing;
    uint64_t metrics_bytes;
    struct events *events;
};

/* As clock_utc() with microseconds: runs are sorted by it. */
static void start_time(char *out, size_t size)
{
    struct timespec now;
    struct tm utc;
    char whole[32];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(whole, sizeof whole, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out, size, "%s.%06ldZ", whole, now.tv_nsec / 1000);
}

static FILE *append_to(const struct run *r, const char *name, struct err *err)
{
    char path[PATH_LEN];

    return path_format(path, err, "%s/%s", r->folder, name) < 0 ? NULL : path_append(path, err);
}

static const char record_hash[] = "record_sha256";

int run_check_record(const json_t *run, struct err *err)
{
    struct run_facts facts;
    const char *expected;
    char hex[SHA256_HEX];

    fields_read(run_fields, RUN_VERSION, &facts, run, NULL);
    expected = facts.record_sha256;
    if (!expected && facts.version < 2)
        return -1;
    if (!expected)
        err_set(err, ERR_CHECKSUM, "run.json has no %s: it was changed", record_hash);
    else if (json_sha256_without(hex, run, record_hash, err) == 0 && strcmp(hex, expected) == 0)
        return 1;
    else
        err_set(err, ERR_CHECKSUM, "run.json is %.12s..., it says %.12s...: it was changed", hex,
                expected);
    return 0;
}

static int write_json(const struct run *r, struct err *err)
{
    char path[PATH_LEN], hex[SHA256_HEX];

    if (json_sha256_without(hex, r->json, record_hash, err) < 0)
        return -1;
    if (json_object_set_new(r->json, record_hash, json_string(hex)) < 0)
        return err_set(err, ERR_NOMEM, "run.json");

    if (path_format(path, err, "%s/run.json", r->folder) < 0)
        return -1;
    return json_write(path, r->json, err);
}

/* --- the lock ------------------------------------------------------------------------------------- */

/* 1 locked, 0 held by another process or gone meanwhile, -1. */
static int try_lock(int *fd, const char *path, struct err *err)
{
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (*fd < 0)
        return err_errno(err, "cannot open %s", path);
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0) {
        /* The holder before may have removed the file between our two calls. */
        if (path_names(path, *fd))
            return 1;
    } else if (errno == ENOLCK || errno == ENOSYS || errno == EOPNOTSUPP) {
        log_warn("%s: this file system has no locks (%s): do not let two processes work on one run",
                 path, strerror(errno));
        return 1;
    } else if (errno != EWOULDBLOCK) {
        err_errno(err, "cannot lock %s", path);
        close(*fd);
        return -1;
    }
    close(*fd);
    return 0;
}

static int take_lock(struct run *r, struct err *err)
{
    const struct timespec pause = {0, LOCK_PAUSE_MS * 1000000L};
    char path[PATH_LEN];
    int got = 0, fd = -1;

    if (path_format(path, err, "%s/.lock", r->folder) < 0)
        return -1;
    /* Whoever only looks (run_list) holds a shared lock for a moment: try for a while. */
    for (int i = 0; i < LOCK_TRIES && got == 0; i++) {
        if (i > 0)
            nanosleep(&pause, NULL);
        got = try_lock(&fd, path, err);
    }
    if (got < 0)
        return -1;
    if (got == 0)
        return err_set(err, ERR_LOCKED, "%s: another process is at work on this run", r->folder);
    r->lock = fd;
    return 0;
}

static void drop_lock(struct run *r)
{
    char path[PATH_LEN];

    if (r->lock < 0)
        return;
    if (path_format(path, NULL, "%s/.lock", r->folder) == 0)
        unlink(path);
    close(r->lock);
    r->lock = -1;
}

/* --- open and close ------------------------------------------------------------------------------- */

static struct run *run_new(struct err *err)
{
    struct run *r = calloc(1, sizeof *r);

    if (!r)
        err_set(err, ERR_NOMEM, "run: %zu bytes", sizeof *r);
    else
        r->lock = -1;
    return r;
}

/* Of metrics, timing and events. 0, or -1 with the first that could not be written. */
static int close_records(struct run *r, struct err *err)
{
    int rc = 0;

    if (r->metrics && fclose(r->metrics) != 0)
        rc = err_errno(err, "%s/metrics.jsonl", r->folder);
    if (r->timing && fclose(r->timing) != 0 && rc == 0)
        rc = err_errno(err, "%s/timing.jsonl", r->folder);
    if (r->events && events_close(r->events, rc == 0 ? err : NULL) < 0)
        rc = -1;
    r->metrics = r->timing = NULL;
    r->events = NULL;
    return rc;
}

/* Everything but run.json's last words. */
static void run_close(struct run *r)
{
    if (!r)
        return;
    if (r->log) {
        log_tee(NULL);
        fclose(r->log); /* a log that is cut short is no reason to fail */
    }
    (void)close_records(r, NULL);
    drop_lock(r);
    json_decref(r->json);
    free(r);
}

static int open_files(struct run *r, bool again, struct err *err)
{
    r->log = append_to(r, "log.txt", err);
    if (!r->log)
        return -1;
    setvbuf(r->log, NULL, _IOLBF, 0);
    log_tee(r->log);
    r->metrics = append_to(r, "metrics.jsonl", err);
    if (!r->metrics)
        return -1;
    r->timing = append_to(r, "timing.jsonl", err);
    if (!r->timing)
        return -1;
    return events_open(&r->events, r->folder, again, err);
}

static int first_json(struct run *r, const json_t *facts, struct err *err)
{
    char now[64];

    start_time(now, sizeof now);
    r->json =
        json_pack("{s:i, s:s, s:s}", "version", RUN_VERSION, "status", "running", "start", now);
    if (!r->json || json_object_update_missing(r->json, (json_t *)(uintptr_t)facts) < 0)
        return err_set(err, ERR_NOMEM, "run.json");
    return write_json(r, err);
}

static int make_folders(const struct run *r, struct err *err)
{
    return path_make_dirs_below(r->folder, "checkpoints", err) < 0
               ? -1
               : path_make_dirs_below(r->folder, "plots", err);
}

int run_begin(struct run **out, const char *results, const char *name, const json_t *facts,
              struct err *err)
{
    char folder[PATH_LEN];
    struct run *r;

    *out = NULL;
    BUG_IF(!json_is_object(facts));
    r = run_new(err);
    if (!r)
        return -1;
    if (path_format(r->folder, err, "%s/%s", results, name) < 0 || path_make_dirs(results, err) < 0)
        goto fail;
    if (mkdir(r->folder, 0777) < 0) {
        if (errno == EEXIST)
            err_set(err, ERR_INPUT, "%s exists: a run is never overwritten; choose another name",
                    r->folder);
        else
            err_errno(err, "cannot make the folder %s", r->folder);
        goto fail;
    }
    if (take_lock(r, err) < 0 || make_folders(r, err) < 0 || open_files(r, false, err) < 0 ||
        first_json(r, facts, err) < 0)
        goto remove;
    *out = r;
    return 0;
remove:
    snprintf(folder, sizeof folder, "%s", r->folder);
    run_close(r);
    if (path_remove_tree(folder, NULL) < 0)
        log_debug("%s: left behind", folder);
    return -1;
fail:
    run_close(r);
    return -1;
}

static int cut_metrics(struct run *r, uint64_t bytes, struct err *err)
{
    struct stat st;

    if (fstat(fileno(r->metrics), &st) < 0)
        return err_errno(err, "%s/metrics.jsonl", r->folder);
    if ((uint64_t)st.st_size < bytes)
        return err_set(err, ERR_FORMAT,
                       "%s/metrics.jsonl: %llu bytes, the checkpoint was written after %llu: lines "
                       "were lost",
                       r->folder, (unsigned long long)st.st_size, (unsigned long long)bytes);
    if (ftruncate(fileno(r->metrics), (off_t)bytes) < 0)
        return err_errno(err, "cannot cut %s/metrics.jsonl", r->folder);
    r->metrics_bytes = bytes;
    return 0;
}

/* What a killed process wrote of a line goes, and so do lines of epochs that are run again. */
static int cut_timing(struct run *r, uint32_t epochs, struct err *err)
{
    char path[PATH_LEN], *text;
    size_t size, kept = 0;
    const char *end;
    int rc = 0;

    if (path_format(path, err, "%s/timing.jsonl", r->folder) < 0 ||
        path_read(&text, &size, path, (size_t)1 << 28, err) < 0)
        return -1;
    for (; epochs > 0 && (end = memchr(text + kept, '\n', size - kept)); epochs--)
        kept = (size_t)(end - text) + 1;
    free(text);
    if (ftruncate(fileno(r->timing), (off_t)kept) < 0)
        rc = err_errno(err, "cannot cut %s", path);
    return rc;
}

static int reopen_json(struct run *r, struct err *err)
{
    char path[PATH_LEN];
    const char *status;

    if (path_format(path, err, "%s/run.json", r->folder) < 0)
        return -1;
    if (!path_exists(path))
        return err_set(err, ERR_INPUT, "%s: no run folder: it has no run.json", r->folder);
    if (json_read(&r->json, path, err) < 0)
        return -1;
    if (json_get_string(r->json, "status", &status, err) < 0)
        return err_wrap(err, "%s", path);
    if (strcmp(status, "done") == 0)
        return err_set(err, ERR_INPUT, "%s: the run is done; nothing is left to resume", r->folder);
    return run_check_record(r->json, err) == 0 ? err_wrap(err, "%s", r->folder) : 0;
}

int run_resume(struct run **out, const char *folder, uint64_t metrics_bytes, uint32_t epochs,
               struct err *err)
{
    struct run *r = run_new(err);

    *out = NULL;
    if (!r)
        return -1;
    if (path_format(r->folder, err, "%s", folder) < 0 || reopen_json(r, err) < 0 ||
        take_lock(r, err) < 0)
        goto fail;
    json_decref(r->json); /* it may have changed before the lock was ours */
    r->json = NULL;
    if (reopen_json(r, err) < 0 || make_folders(r, err) < 0 || open_files(r, true, err) < 0 ||
        cut_metrics(r, metrics_bytes, err) < 0 || cut_timing(r, epochs, err) < 0)
        goto fail;
    if (json_object_set_new(r->json, "version", json_integer(RUN_VERSION)) < 0) {
        err_set(err, ERR_NOMEM, "run.json");
        goto fail;
    }
    json_object_del(r->json, "stop");
    json_object_del(r->json, "error");
    if (json_object_set_new(r->json, "status", json_string("running")) < 0) {
        err_set(err, ERR_NOMEM, "run.json");
        goto fail;
    }
    if (write_json(r, err) < 0)
        goto fail;
    *out = r;
    return 0;
fail:
    run_close(r);
    return -1;
}

/* --- while it runs -------------------------------------------------------------------------------- */

const char *run_folder(const struct run *r)
{
    return r->folder;
}

int run_metric(struct run *r, const json_t *line, struct err *err)
{
    long at;

    if (!r)
        return 0;
    if (json_append_line(r->metrics, line, err) < 0)
        return err_wrap(err, "%s/metrics.jsonl", r->folder);
    at = ftell(r->metrics);
    if (at < 0)
        return err_errno(err, "%s/metrics.jsonl", r->folder);
    r->metrics_bytes = (uint64_t)at;
    return 0;
}

int run_timing(struct run *r, const json_t *line, struct err *err)
{
    if (r && json_append_line(r->timing, line, err) < 0)
        return err_wrap(err, "%s/timing.jsonl", r->folder);
    return 0;
}

uint64_t run_metrics_bytes(const struct run *r)
{
    return r ? r->metrics_bytes : 0;
}

int run_hparams(struct run *r, const json_t *keys, struct err *err)
{
    return events_hparams(r->events, path_base(r->folder), keys, err);
}

int run_scalar(struct run *r, const char *tag, uint64_t step, double value, struct err *err)
{
    return r ? events_scalar(r->events, tag, step, value, err) : 0;
}

int run_image(struct run *r, const char *tag, uint64_t step, const void *png, size_t size,
              int width, int height, struct err *err)
{
    return r ? events_image(r->events, tag, step, png, size, width, height, err) : 0;
}

int run_note(struct run *r, const json_t *facts, struct err *err)
{
    if (json_object_update(r->json, (json_t *)(uintptr_t)facts) < 0)
        return err_set(err, ERR_NOMEM, "run.json");
    return write_json(r, err);
}

/* --- the end -------------------------------------------------------------------------------------- */

static int last_json(struct run *r, const char *status, const char *why, struct err *err)
{
    char now[32];

    clock_utc(now, sizeof now);
    if (json_object_set_new(r->json, "status", json_string(status)) < 0 ||
        json_object_set_new(r->json, "stop", json_string(now)) < 0)
        return err_set(err, ERR_NOMEM, "run.json");
    /* NULL from json_string is a message that is not UTF-8 (a file's name): it is in the log. */
    if (why && json_object_set_new(r->json, "error", json_string(why)) < 0)
        json_object_set_new(r->json, "error", json_string("see log.txt"));
    return write_json(r, err);
}

/* A file that cannot be listed, which need not be ours, is no reason to lose a run. */
static int list_files(struct run *r, struct err *err)
{
    json_t *files;
    struct err why;

    if (run_files(&files, r->folder, &why) < 0) {
        log_warn("the run's files are not listed in run.json: %s", why.msg);
        return 0;
    }
    return json_object_set_new(r->json, "files", files) < 0 ? err_set(err, ERR_NOMEM, "run.json")
                                                            : 0;
}

int run_finish(struct run *r, struct err *err)
{
    int rc = -1;

    if (!r)
        return 0;
    if (close_records(r, err) == 0 && list_files(r, err) == 0)
        rc = last_json(r, "done", NULL, err);
    if (rc < 0)
        (void)last_json(r, "failed", err ? err->msg : "", NULL);
    run_close(r);
    return rc;
}

void run_fail(struct run *r, const struct err *why)
{
    struct err err;
    bool stopped = why && why->kind == ERR_STOPPED;

    if (!r)
        return;
    fprintf(r->log, "run %s: %s\n", stopped ? "stopped" : "failed", why ? why->msg : "");
    if (last_json(r, stopped ? "stopped" : "failed", why ? why->msg : "", &err) < 0)
        log_error("%s", err.msg);
    run_close(r);
}
