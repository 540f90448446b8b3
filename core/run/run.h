/* run.h - a run folder: one experiment's results as plain files (docs/formats.md).
 *
 * run.json is written at begin with status "running" and replaced at the end. In between a lock is
 * held (flock on the folder's file .lock, which goes with the lock's holder), so a run whose lock is
 * free and that still says running was killed.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_RUN_RUN_H
#define PRESIZE_RUN_RUN_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"
#include "run/epoch.h"
#include "run/run_facts.h"

enum {
    RUN_VERSION = 2
}; /* of run.json and the folder; 2 has the SHA-256 of itself, 1 is read, too */

struct
    run; /* owned by whoever began or resumed it. Where NULL is fine, nothing is recorded then. */

/* Makes RESULTS/NAME (ERR_INPUT when it exists) with checkpoints/ and plots/, writes run.json = FACTS
 * (an object, not taken over) after version, status, start; tees the log into log.txt. When anything
 * fails, what was made is removed. */
int run_begin(struct run **out, const char *results, const char *name, const json_t *facts,
              struct err *err) MUST_USE;
/* Opens a run that is not done, to resume it; ERR_LOCKED when another process holds it, ERR_INPUT when
 * it is done, ERR_CHECKSUM when its run.json was changed; metrics.jsonl is cut to METRICS_BYTES
 * (ERR_FORMAT when it is shorter), timing.jsonl to EPOCHS lines. TensorBoard is told to forget what
 * comes after the first scalar's step. */
int run_resume(struct run **out, const char *folder, uint64_t metrics_bytes, uint32_t epochs,
               struct err *err) MUST_USE;
const char *run_folder(const struct run *r); /* path, borrowed */

/* Appends LINE to metrics.jsonl (nothing that differs between equal runs) or timing.jsonl; fsynced. R: NULL is
 * fine. */
int run_metric(struct run *r, const json_t *line, struct err *err) MUST_USE;
int run_timing(struct run *r, const json_t *line, struct err *err) MUST_USE;
uint64_t run_metrics_bytes(const struct run *r); /* length of metrics.jsonl */
/* KEYS, an object of texts, for TensorBoard's page of hyper-parameters. R is not NULL. ERR_IO, ERR_NOMEM. */
int run_hparams(struct run *r, const json_t *keys, struct err *err) MUST_USE;
/* A scalar for TensorBoard's events file; stored as float32. R: NULL is fine. */
int run_scalar(struct run *r, const char *tag, uint64_t step, double value,
               struct err *err) MUST_USE;
/* A picture likewise: PNG of SIZE bytes, WIDTH x HEIGHT pixels, RGB. R: NULL is fine. */
int run_image(struct run *r, const char *tag, uint64_t step, const void *png, size_t size,
              int width, int height, struct err *err) MUST_USE;
/* Adds FACTS to run.json (atomically), replacing members of the same name. */
int run_note(struct run *r, const json_t *facts, struct err *err) MUST_USE;

/* Either ends the run, releases the lock and frees R, whatever it returns.
 * finish: status "done", and "files" (run_files.h). fail: status "failed", or "stopped" when WHY is ERR_STOPPED,
 * and "error": WHY's message. Both add "stop", the time; a run that cannot be finished has failed.
 * NULL is fine. */
int run_finish(struct run *r, struct err *err) MUST_USE;
void run_fail(struct run *r, const struct err *why);

/* The results folder, read. */
struct run_entry {
    char name[256], folder[4096];
    json_t *run;     /* run.json; NULL where it cannot be read (status "unreadable") */
    json_t *metrics; /* metrics.json, NULL until there is one */
    /* what both say; what is not there is missing (base/field.h) */
    struct run_facts facts;
    struct metrics_record figures;
    /* running, done, failed, stopped, killed (running without a lock), unreadable */
    const char *status;
    char fault[512]; /* why it is unreadable */
};
/* Whether run.json is what was written: 1; 0: it is not, ERR says so; -1: an older one, which does not say. */
int run_check_record(const json_t *run, struct err *err) MUST_USE;
/* One run folder, read. ERR_INPUT when FOLDER has no run.json, ERR_FORMAT when it cannot be used. */
int run_open(struct run_entry *out, const char *folder, struct err *err) MUST_USE;
void run_entry_free(struct run_entry *e); /* what it points to; all zero is fine */
/* All runs below RESULTS sorted by start, newest last; first those whose start cannot be read. What is unreadable
 * (damaged, of a later version, without its run.json) is an entry, too; what is no run is skipped. A missing folder has
 * none. */
int run_list(struct run_entry **out, size_t *n, const char *results, struct err *err) MUST_USE;
void run_list_free(struct run_entry *entries, size_t n);
/* Folder of RUN (a path or a name below RESULTS; NULL: the latest, with a warning of those that may be later but are
 * unreadable). ERR_INPUT: none, with near names. */
int run_find(char folder[4096], const char *results, const char *run, struct err *err) MUST_USE;

#endif
