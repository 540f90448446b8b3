/* study.c - study.json, the status of its runs, and who trains which.
 * SPDX-License-Identifier: MIT */
#include "run/study.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "run/run.h"

// clang-format off
const struct field study_run_fields[] = {
    FIELD_TEXT(struct study_run, name, "name", "the folder"),
    FIELD_TEXT(struct study_run, experiment, "experiment", "as `--exp` names it"),
    FIELD_LIST(struct study_run, words, "words", "KEY=VALUE for `train`"),
    FIELD_END,
};

const struct field study_fields[] = {
    FIELD_INT(struct study_record, version, "version", 1, INT32_MAX, "", "1"),
    FIELD_TEXT(struct study_record, title, "title", "of the study file", .flags = FIELD_OPTIONAL),
    FIELD_OBJECT(struct study_record, base, "base",
                 "by experiment (as `--exp` names it): every key that changes a result, with its value when the "
                 "study began. Where a key has another value now, the study is not continued",
                 .flags = FIELD_OPTIONAL),
    FIELD_LIST(struct study_record, recipes, "recipes", "names of the recipes: the keys in which they differ",
               .flags = FIELD_OPTIONAL),
    FIELD_LIST(struct study_record, seeds, "seeds", "whole numbers, where they are an axis", .flags = FIELD_OPTIONAL),
    FIELD_LIST(struct study_record, split_seeds, "split_seeds", "likewise", .flags = FIELD_OPTIONAL),
    FIELD_INT(struct study_record, folds, "folds", 0, INT32_MAX, "", "how many; 0: no axis", .flags = FIELD_OPTIONAL),
    FIELD_LIST(struct study_record, runs, "runs", "objects with the members of the next table",
               .fields = study_run_fields),
    FIELD_END,
};
// clang-format on

static int check_runs(const struct study *s, struct err *err)
{
    const json_t *run, *word;
    size_t i, k;

    json_array_foreach(s->runs, i, run)
    {
        struct study_run r;
        bool usable = fields_read(study_run_fields, STUDY_VERSION, &r, run, err) == 0 && *r.name &&
                      *r.name != '.' && !strchr(r.name, '/');

        json_array_foreach(usable ? r.words : NULL, k, word)
        {
            usable &= json_is_string(word);
        }
        if (!usable)
            return err_set(err, ERR_FORMAT,
                           "run %zu has no name, experiment or words that can be used", i + 1);
    }
    return 0;
}

int study_read(struct study *out, const char *folder, struct err *err)
{
    char path[PATH_LEN];

    *out = (struct study){.claims = -1};
    if (path_format(out->folder, err, "%s", folder) < 0 ||
        path_format(path, err, "%s/" STUDY_FILE, folder) < 0)
        return -1;
    if (!path_exists(path))
        return err_set(err, ERR_INPUT, "%s is no study: it has no " STUDY_FILE, folder);
    if (json_read(&out->json, path, err) < 0)
        return -1;
    if (fields_read(study_fields, STUDY_VERSION, &out->record, out->json, err) < 0)
        goto fail;
    if (out->record.version > STUDY_VERSION) {
        err_set(err, ERR_FORMAT, "version %lld; this program reads versions 1 to %d",
                (long long)out->record.version, STUDY_VERSION);
        goto fail;
    }
    out->runs = out->record.runs;
    out->n = json_array_size(out->runs);
    if (check_runs(out, err) == 0) {
        fields_warn_unknown(study_fields, out->json, path, NULL);
        return 0;
    }
fail:
    err_wrap(err, "%s", path);
    study_free(out);
    return -1;
}

void study_free(struct study *s)
{
    json_decref(s->json);
    if (s->claims >= 0)
        close(s->claims);
    *s = (struct study){.claims = -1};
}

static bool has_study(const char *folder)
{
    char path[PATH_LEN];

    return path_format(path, NULL, "%s/" STUDY_FILE, folder) == 0 && path_is_file(path);
}

bool study_find(char folder[PATH_LEN], const char *results, const char *word)
{
    for (int as_path = word[0] == '/'; as_path < 2; as_path++) {
        if ((as_path ? path_format(folder, NULL, "%s", word)
                     : path_format(folder, NULL, "%s/%s", results, word)) < 0)
            continue;
        for (size_t n = strlen(folder); n > 1 && folder[n - 1] == '/';)
            folder[--n] = 0;
        if (has_study(folder))
            return true;
    }
    return false;
}

bool study_below(char folder[PATH_LEN], const char *results, const char *name)
{
    return name[0] != '.' && path_format(folder, NULL, "%s/%s", results, name) == 0 &&
           has_study(folder);
}

void study_names(char *out, size_t size, const char *results)
{
    struct dirent **entries;
    const int n = scandir(results, &entries, NULL, alphasort);
    size_t used = 0;

    out[0] = 0;
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        char folder[PATH_LEN];

        if (used < size && study_below(folder, results, name))
            used += (size_t)snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", name);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

struct study_run study_run_of(const json_t *run)
{
    struct study_run out;

    fields_read(study_run_fields, STUDY_VERSION, &out, run, NULL);
    return out;
}

struct study_run study_run(const struct study *s, size_t i)
{
    return study_run_of(json_array_get(s->runs, i));
}

const char *study_run_name(const struct study *s, size_t i)
{
    return study_run(s, i).name;
}

/* --- status --------------------------------------------------------------------------------------- */

/* Whether run.json begins as a run's that is done; it is replaced as a whole, its first members are these. */
static bool begins_done(const char *path)
{
    static const char done[] = "\"status\": \"done\"";
    char text[64] = "";
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    ssize_t n = -1;

    if (fd >= 0) {
        n = read(fd, text, sizeof text - 1);
        close(fd);
    }
    return n > 0 && strncmp(text, "{\n  \"version\": ", 15) == 0 && strstr(text, done);
}

const char *study_status(const struct study *s, size_t i, char fault[512])
{
    const char *status, *name = study_run_name(s, i);
    struct run_entry run;
    struct err err = {0};
    char path[PATH_LEN];
    struct stat st;

    if (fault)
        fault[0] = 0;
    if (path_format(path, &err, "%s/%s/run.json", s->folder, name) == 0 && begins_done(path))
        return "done";
    if (path_format(path, &err, "%s/%s", s->folder, name) == 0 && lstat(path, &st) < 0 &&
        errno == ENOENT)
        return "due";
    if (run_open(&run, path, &err) == 0) {
        status = run.status;
        if (fault && run.facts.error)
            snprintf(fault, 512, "%.511s", run.facts.error);
        run_entry_free(&run);
        return status;
    }
    if (fault)
        snprintf(fault, 512, "%.511s", err.msg);
    return "unreadable";
}

json_t *study_counts(const struct study *s)
{
    static const char *const known[] = {"done",    "due",    "running",   "failed",
                                        "stopped", "killed", "unreadable"};
    enum { KNOWN = sizeof known / sizeof *known };
    json_t *counts = json_object();
    size_t n[KNOWN] = {0};

    for (size_t i = 0; i < s->n; i++) {
        const char *status = study_status(s, i, NULL);

        for (size_t k = 0; k < KNOWN; k++)
            n[k] += strcmp(status, known[k]) == 0;
    }
    for (size_t k = 0; k < KNOWN; k++)
        if (n[k] > 0 || k == 0)
            json_object_set_new(counts, known[k], json_integer((json_int_t)n[k]));
    return counts;
}

/* --- claims --------------------------------------------------------------------------------------- */

static int open_claims(struct study *s, struct err *err)
{
    char path[PATH_LEN];

    if (s->claims >= 0)
        return 0;
    if (path_format(path, err, "%s/.claims", s->folder) < 0)
        return -1;
    /* not O_CLOEXEC: a run that outlives who started it stays claimed */
    s->claims = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0666);
    return s->claims < 0 ? err_errno(err, "cannot open %s", path) : 0;
}

/* Locks of the open file, not of the process: a child that inherits it holds them, too. */
static int lock_byte(const struct study *s, short kind, int command, off_t byte)
{
    struct flock lock = {.l_type = kind, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int rc;

    do
        rc = fcntl(s->claims, command, &lock);
    while (rc < 0 && errno == EINTR);
    return rc;
}

/* 1, 0: another process holds it, -1. */
static int take_byte(struct study *s, int command, off_t byte, struct err *err)
{
    static bool told;

    if (open_claims(s, err) < 0)
        return -1;
    if (lock_byte(s, F_WRLCK, command, byte) == 0)
        return 1;
    if (errno == EAGAIN || errno == EACCES)
        return 0;
    if (errno != ENOLCK && errno != ENOSYS && errno != EOPNOTSUPP && errno != EINVAL)
        return err_errno(err, "cannot lock %s/.claims", s->folder);
    if (!told)
        log_warn("%s: this file system has no locks (%s): do not let two processes work on one "
                 "study",
                 s->folder, strerror(errno));
    told = true;
    return 1;
}

int study_lock(struct study *s, struct err *err)
{
    return take_byte(s, F_OFD_SETLKW, 0, err) < 0 ? -1 : 0;
}

void study_unlock(struct study *s)
{
    if (s->claims >= 0)
        (void)lock_byte(s, F_UNLCK, F_OFD_SETLK, 0);
}

int study_reread(struct study *s, struct err *err)
{
    const int claims = s->claims;
    char folder[PATH_LEN];
    int rc;

    memcpy(folder, s->folder, sizeof folder);
    json_decref(s->json);
    rc = study_read(s, folder, err);
    s->claims = claims;
    return rc;
}

int study_write(struct study *s, json_t *json, struct err *err)
{
    char path[PATH_LEN];

    if (json_object_set_new(json, "version", json_integer(STUDY_VERSION)) < 0)
        return err_set(err, ERR_NOMEM, "study");
    if (path_format(path, err, "%s/" STUDY_FILE, s->folder) < 0 || json_write(path, json, err) < 0)
        return -1;
    return study_reread(s, err);
}

/* By its name, as its number may change while another process is at work: 60 bits of the SHA-256, and not 0. */
static off_t byte_of(const struct study *s, size_t i)
{
    const char *name = study_run_name(s, i);
    char hex[SHA256_HEX];

    sha256_of(name, strlen(name), hex);
    hex[15] = 0;
    return (off_t)strtoull(hex, NULL, 16) + 1;
}

int study_claim(struct study *s, size_t i, struct err *err)
{
    return take_byte(s, F_OFD_SETLK, byte_of(s, i), err);
}

void study_release(struct study *s, size_t i)
{
    if (s->claims >= 0)
        (void)lock_byte(s, F_UNLCK, F_OFD_SETLK, byte_of(s, i));
}
