/* run_list.c - runs that are there: one, all, or the one that is meant.
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/key.h"
#include "base/log.h"
#include "base/path.h"
#include "run/run.h"
#include "run/study.h"

enum { NEAR_MAX = 5 };

/* Whether a process holds the run's lock. */
static bool is_locked(const char *folder)
{
    char path[PATH_LEN];
    bool locked;
    int fd;

    if (path_format(path, NULL, "%s/.lock", folder) < 0)
        return false;
    if (!path_is_file(path))
        return false;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    locked = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    close(fd);
    return locked;
}

static const char *status_of(const struct run_facts *facts, const char *folder)
{
    static const char *const known[] = {"done", "failed", "stopped"};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(facts->status, known[i]) == 0)
            return known[i];
    return is_locked(folder) ? "running" : "killed";
}

/* Without these, it is the record of no run. */
static int check_version(const struct run_facts *facts, const json_t *run, struct err *err)
{
    static const char *const needed[] = {"version", "status", "start"};

    if (!json_is_object(run))
        return err_set(err, ERR_FORMAT, "not a JSON object");
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (field_is_missing(field_find(run_fields, needed[i]), facts))
            return err_set(err, ERR_FORMAT, "\"%s\" is missing or of another type", needed[i]);
    if (facts->version > RUN_VERSION)
        return err_set(err, ERR_FORMAT, "version %lld; this program reads versions 1 to %d",
                       (long long)facts->version, RUN_VERSION);
    return 0;
}

static int name_entry(struct run_entry *out, const char *folder, struct err *err)
{
    size_t length;

    memset(out, 0, sizeof *out);
    fields_clear(run_fields, &out->facts);
    fields_clear(metrics_fields, &out->figures);
    if (path_format(out->folder, err, "%s", folder) < 0)
        return -1;
    for (length = strlen(out->folder); length > 1 && out->folder[length - 1] == '/';)
        out->folder[--length] = 0; /* as the shell completes it */
    if (snprintf(out->name, sizeof out->name, "%s", path_base(out->folder)) >=
        (int)sizeof out->name)
        return err_set(err, ERR_INPUT, "%s: a name of more than 255 bytes", folder);
    return 0;
}

/* The files of a named entry. After an error it holds what could be read. */
static int read_entry(struct run_entry *out, struct err *err)
{
    char path[PATH_LEN];
    json_t *run;

    if (path_format(path, err, "%s/run.json", out->folder) < 0)
        return -1;
    if (!path_exists(path))
        return err_set(err, ERR_INPUT, "%s: no run folder: it has no run.json", out->folder);
    /* Before run.json is read: a run that ends in between is then not taken for a killed one. */
    out->status = is_locked(out->folder) ? "running" : "";
    if (json_read(&run, path, err) < 0)
        return -1;
    fields_read(run_fields, RUN_VERSION, &out->facts, run, NULL);
    if (check_version(&out->facts, run, err) < 0) {
        json_decref(run);
        fields_clear(run_fields, &out->facts);
        return err_wrap(err, "%s", path);
    }
    out->run = run;
    if (!out->status[0] || strcmp(out->facts.status, "running") != 0)
        out->status = status_of(&out->facts, out->folder);
    if (path_format(path, err, "%s/metrics.json", out->folder) < 0)
        return -1;
    if (path_exists(path) && json_read(&out->metrics, path, err) < 0)
        return -1;
    fields_read(metrics_fields, 0, &out->figures, out->metrics, NULL);
    return 0;
}

static void warn_unknown(const struct run_entry *e)
{
    const char *writer = e->facts.libraries.presize;
    char path[PATH_LEN];

    if (path_format(path, NULL, "%s/run.json", e->folder) == 0)
        fields_warn_unknown(run_fields, e->run, path, writer);
    if (path_format(path, NULL, "%s/metrics.json", e->folder) == 0)
        fields_warn_unknown(metrics_fields, e->metrics, path, writer);
}

int run_open(struct run_entry *out, const char *folder, struct err *err)
{
    if (name_entry(out, folder, err) == 0 && read_entry(out, err) == 0) {
        warn_unknown(out);
        return 0;
    }
    run_entry_free(out);
    return -1;
}

/* Whether there is something of a run in FOLDER. */
static bool is_run(const char *folder)
{
    static const char *const parts[] = {"run.json", "resolved.yaml", "metrics.jsonl",
                                        "checkpoints"};
    char path[PATH_LEN];
    struct stat st;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (path_format(path, NULL, "%s/%s", folder, parts[i]) == 0 && lstat(path, &st) == 0)
            return true;
    return false;
}

/* 1: an entry; 0: FOLDER is no run, or one that is just being made. */
static int list_one(struct run_entry *out, const char *folder, struct err *err)
{
    struct err why = {0};

    if (name_entry(out, folder, err) < 0)
        return -1;
    if (read_entry(out, &why) == 0)
        return 1;
    if (why.kind == ERR_NOMEM || !is_run(folder) ||
        (why.kind == ERR_INPUT && is_locked(out->folder))) {
        run_entry_free(out);
        return why.kind == ERR_NOMEM ? err_set(err, why.kind, "%s", why.msg) : 0;
    }
    out->status = "unreadable";
    snprintf(out->fault, sizeof out->fault, "%.*s", (int)sizeof out->fault - 1, why.msg);
    return 1;
}

void run_entry_free(struct run_entry *e)
{
    json_decref(e->run);
    json_decref(e->metrics);
    e->run = e->metrics = NULL;
    fields_clear(run_fields, &e->facts);
    fields_clear(metrics_fields, &e->figures);
}

static int by_start(const void *a, const void *b)
{
    const struct run_entry *x = a, *y = b;
    const char *a_start = x->facts.start, *b_start = y->facts.start;
    int order = strcmp(a_start ? a_start : "", b_start ? b_start : "");

    return order ? order : strcmp(x->name, y->name);
}

/* Doubles the array when it is full. */
static int grow(struct run_entry **entries, size_t n, size_t *capacity, struct err *err)
{
    struct run_entry *more;

    if (n < *capacity)
        return 0;
    *capacity = *capacity ? 2 * *capacity : 16;
    more = realloc(*entries, *capacity * sizeof **entries);
    if (!more)
        return err_set(err, ERR_NOMEM, "%zu runs", *capacity);
    *entries = more;
    return 0;
}

/* As run_list(), but for the warnings. */
static int list_runs(struct run_entry **out, size_t *n, const char *results, struct err *err)
{
    DIR *dir = opendir(results);
    size_t capacity = 0;
    struct dirent *item;
    char folder[PATH_LEN];
    int added;

    *out = NULL;
    *n = 0;
    if (!dir)
        return errno == ENOENT ? 0
               : errno == ENOTDIR
                   ? err_set(err, ERR_INPUT, "%s: is a file; --results takes the folder of runs",
                             results)
                   : err_errno(err, "cannot list %s", results);
    while ((errno = 0, item = readdir(dir)) != NULL) {
        if (item->d_name[0] == '.')
            continue;
        if (path_format(folder, NULL, "%s/%s", results, item->d_name) < 0)
            continue;
        if (grow(out, *n, &capacity, err) < 0)
            goto fail;
        added = list_one(&(*out)[*n], folder, err);
        if (added < 0)
            goto fail;
        *n += (size_t)added;
    }
    if (errno != 0) {
        err_errno(err, "cannot list %s", results);
        goto fail;
    }
    closedir(dir);
    if (*n > 0)
        qsort(*out, *n, sizeof **out, by_start);
    return 0;
fail:
    closedir(dir);
    run_list_free(*out, *n);
    *out = NULL;
    *n = 0;
    return -1;
}

int run_list(struct run_entry **out, size_t *n, const char *results, struct err *err)
{
    if (list_runs(out, n, results, err) < 0)
        return -1;
    for (size_t i = 0; i < *n; i++) /* in the order of the list, not of the folder */
        warn_unknown(&(*out)[i]);
    return 0;
}

void run_list_free(struct run_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++)
        run_entry_free(&entries[i]);
    free(entries);
}

static bool has_run(const char *folder)
{
    char path[PATH_LEN];

    return path_format(path, NULL, "%s/run.json", folder) == 0 && path_exists(path);
}

/* "; did you mean X?", or the newest names that hold WORD, or the newest of all. */
static int unknown_run(const char *results, const char *word, struct err *err)
{
    struct run_entry *entries;
    const char **names;
    char studies[512];
    const char *near;
    size_t n, shown = 0;
    int rc;

    if (list_runs(&entries, &n, results, err) < 0)
        return -1;
    rc = err_set(err, ERR_INPUT, "no run %s in %s", word, results);
    names = n ? calloc(n, sizeof *names) : NULL;
    for (size_t i = 0; names && i < n; i++)
        names[i] = entries[i].name;
    near = names ? nearest_name(word, names, n) : NULL;
    if (near)
        err_append(err, "; did you mean %s?", near);
    for (size_t i = n; !near && i-- > 0 && shown < NEAR_MAX;)
        if (strstr(entries[i].name, word))
            err_append(err, "%s%s", shown++ ? ", " : "; did you mean one of: ", entries[i].name);
    if (!near && shown == 0 && n > 0)
        err_append(err, "; the latest is %s (`eval --list` shows all)", entries[n - 1].name);
    study_names(studies, sizeof studies, results);
    if (studies[0])
        err_append(err, "; studies: %s", studies);
    else if (n == 0)
        err_append(err, ": there is none yet; `train --exp NAME` makes one");
    free(names);
    run_list_free(entries, n);
    return rc;
}

/* Why there is no run in RESULTS. */
static int no_run(const char *results, struct err *err)
{
    char studies[512];

    study_names(studies, sizeof studies, results);
    if (studies[0])
        return err_set(err, ERR_INPUT, "no run in %s; studies: %s", results, studies);
    return err_set(err, ERR_INPUT, "no run in %s yet; `train --exp NAME` makes one", results);
}

static int find_latest(char folder[PATH_LEN], const char *results, struct err *err)
{
    struct run_entry *entries;
    size_t n;
    int rc;

    if (list_runs(&entries, &n, results, err) < 0)
        return -1;
    for (size_t i = 0; i < n && !entries[i].run; i++)
        log_warn("%s: passed over: %s", entries[i].name, entries[i].fault);
    if (n == 0)
        rc = no_run(results, err);
    else if (!entries[n - 1].run)
        rc = err_set(err, ERR_INPUT, "no run in %s can be read", results);
    else
        rc = path_format(folder, err, "%s", entries[n - 1].folder);
    run_list_free(entries, n);
    return rc;
}

int run_find(char folder[PATH_LEN], const char *results, const char *run, struct err *err)
{
    size_t length;

    if (!run)
        return find_latest(folder, results, err);
    /* A name below RESULTS first, so that a folder of the same name elsewhere does not win. */
    if (run[0] != '/') {
        if (path_format(folder, err, "%s/%s", results, run) < 0)
            return -1;
        if (has_run(folder))
            goto found;
    }
    if (has_run(run)) {
        if (path_format(folder, err, "%s", run) < 0)
            return -1;
        goto found;
    }
    if (path_is_dir(folder) && run[0] != '/')
        return err_set(err, ERR_INPUT, "%s: no run folder: it has no run.json", folder);
    if (path_is_dir(run))
        return err_set(err, ERR_INPUT, "%s: no run folder: it has no run.json", run);
    return unknown_run(results, run, err);
found:
    for (length = strlen(folder); length > 1 && folder[length - 1] == '/';)
        folder[--length] = 0;
    return 0;
}
