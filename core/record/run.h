/* run.h - a run folder: one experiment's results as plain files (docs/formats.md).
 *
 * run.json is written at begin with status "running" and replaced at finish; a lock on it is held in
 * between, so a run whose lock is free and that still says running was killed.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_RECORD_RUN_H
#define PRESIZE_RECORD_RUN_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"

struct run; /* owned by whoever began or resumed it */

/* Makes RESULTS/NAME (ERR_INPUT when it exists) with checkpoints/ and plots/, writes run.json = FACTS (an object, not
 * taken over) plus version, status, start; tees the log into log.txt. */
int run_begin(struct run **out, const char *results, const char *name, const json_t *facts,
              struct err *err) MUST_USE;
/* Opens an unfinished or failed run to go on; ERR_LOCKED when another process holds it; metrics.jsonl is cut to METRICS_BYTES
 * (and timing.jsonl to whole lines). */
int run_resume(struct run **out, const char *folder, uint64_t metrics_bytes, struct err *err) MUST_USE;
const char *run_folder(const struct run *r); /* path, borrowed */

/* Appends LINE to metrics.jsonl (nothing that differs between equal runs) or timing.jsonl; fsynced. */
int run_metric(struct run *r, const json_t *line, struct err *err) MUST_USE;
int run_timing(struct run *r, const json_t *line, struct err *err) MUST_USE;
uint64_t run_metrics_bytes(const struct run *r); /* length of metrics.jsonl */
/* A scalar for TensorBoard's events file. */
int run_scalar(struct run *r, const char *tag, uint64_t step, double value, struct err *err) MUST_USE;
/* Adds facts to run.json (atomically). */
int run_note(struct run *r, const json_t *facts, struct err *err) MUST_USE;

/* status "done" or "failed" (+ "error": message); releases the lock and frees R. */
int run_finish(struct run *r, struct err *err) MUST_USE;
void run_fail(struct run *r, const struct err *why);

/* The results folder, read. */
struct run_entry {
    char name[256], folder[4096];
    json_t *run;      /* run.json */
    json_t *metrics;  /* metrics.json, NULL until there is one */
    const char *status; /* running, done, failed, killed (running without a lock) */
};
/* All runs below RESULTS sorted by start, newest last; others are skipped. */
int run_list(struct run_entry **out, size_t *n, const char *results, struct err *err) MUST_USE;
void run_list_free(struct run_entry *entries, size_t n);
/* Folder of RUN (a path or a name below RESULTS; NULL: the latest). ERR_INPUT: none, with near names. */
int run_find(char folder[4096], const char *results, const char *run, struct err *err) MUST_USE;

#endif
