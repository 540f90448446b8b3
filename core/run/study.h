/* study.h - a study: a folder of ordinary runs and study.json, which says which runs there are to be.
 *
 * What is done is not written down twice: a run's own run.json says it. Processes share the runs by locks on bytes of
 * the file .claims (one for each run, by its name, and byte 0 for study.json), which the system releases when their
 * last holder ends.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_RUN_STUDY_H
#define PRESIZE_RUN_STUDY_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/field.h"
#include "base/path.h"

enum { STUDY_VERSION = 1 };
#define STUDY_FILE "study.json"

struct study_run { /* a member of `runs`; borrowed */
    const char *name, *experiment;
    const json_t *words;
};
extern const struct field study_run_fields[];

struct study_record { /* study.json; borrowed */
    int64_t version;
    const char *title;
    const json_t *base, *recipes, *seeds, *split_seeds;
    int64_t folds;
    const json_t *runs;
};
extern const struct field study_fields[];

struct study {
    char folder[PATH_LEN];
    json_t *json;               /* study.json */
    struct study_record record; /* of it */
    const json_t *runs;         /* likewise; borrowed */
    size_t n;                   /* runs */
    int claims;                 /* fd of .claims, -1: not opened */
};

/* ERR_INPUT when FOLDER has no study.json, ERR_FORMAT when it cannot be used. */
int study_read(struct study *out, const char *folder, struct err *err) MUST_USE;
void study_free(struct study *s);
/* Whether WORD is a study: a folder below RESULTS, or else a path; FOLDER out. */
bool study_find(char folder[PATH_LEN], const char *results, const char *word);
/* Whether RESULTS itself has a study NAME (an entry of that folder); FOLDER out. */
bool study_below(char folder[PATH_LEN], const char *results, const char *name);
/* Names of the studies in RESULTS, "a, b" in rising order; "": none. */
void study_names(char *out, size_t size, const char *results);

struct study_run study_run_of(const json_t *run);            /* a member of `runs` */
struct study_run study_run(const struct study *s, size_t i); /* I < n */
const char *study_run_name(const struct study *s, size_t i); /* borrowed */
/* "due" (there is no such folder), done, running, failed, stopped, killed or unreadable, with the reason in FAULT (NULL
 * is fine). A run that is done costs one read of a few bytes. */
const char *study_status(const struct study *s, size_t i, char fault[512]);
/* How many runs have each status: {"done": 3, "due": 7}, in the order above; those that are 0 are left out but done.
 * Owned by the caller; NULL: out of memory. */
json_t *study_counts(const struct study *s);

/* Waits until no other process changes study.json, and keeps it so until study_unlock(). FOLDER is there. */
int study_lock(struct study *s, struct err *err) MUST_USE;
/* Replaces study.json in S's folder by JSON, whose version is set; S keeps the lock and is read again. */
int study_write(struct study *s, json_t *json, struct err *err) MUST_USE;
int study_reread(struct study *s, struct err *err) MUST_USE; /* as it is; S keeps the lock */
void study_unlock(struct study *s); /* study.json may change again; claims stay possible */
/* 1: run I is this process's, and its children's, until they have all ended or study_release(); 0: another one's. */
int study_claim(struct study *s, size_t i, struct err *err) MUST_USE;
void study_release(struct study *s, size_t i);

#endif
