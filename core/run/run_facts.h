/* run_facts.h - run.json: what a run records of itself, every member with a row.
 *
 * train fills a struct before the first step (run_facts_json()), run.h adds what comes later, and whoever opens a run
 * (run_open()) gets the struct. An old or damaged record is no reason not to show a run: a member that is not right
 * counts as missing. Whether run.json was changed is for run_check_record().
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_RUN_RUN_FACTS_H
#define PRESIZE_RUN_RUN_FACTS_H

#include "base/field.h"

struct run_machine {
    const char *host, *system, *release, *machine, *device;
    int64_t threads;
    const char *isa, *sandbox;
};
struct run_libraries {
    const char *presize, *backend, *jansson;
};
struct run_hashes {
    const char *binary, *manifest, *index, *split, *initial_weights, *weights_file, *config,
        *tables, *clean;
};
struct run_precision {
    const char *asked, *ran, *note;
};
struct run_pictures {
    int64_t train, valid, test, left_out;
};
struct run_resumed {
    const char *at;
    int64_t epoch;
    const json_t *argv;
};
struct run_rates { /* of lr_find */
    int64_t steps;
    double valley, slide, minimum, steep;
};

/* Texts and JSON are borrowed: of whom fills it, or of the run.json it was read from. */
struct run_facts {
    int64_t version;
    const char *status, *start;
    const char *experiment, *title;
    const json_t *argv;
    struct run_machine machine;
    struct run_libraries libraries;
    const json_t *git;
    struct run_hashes sha256;
    const char *set, *shards, *split;
    int64_t seed;
    struct run_precision precision;
    const char *backend;
    int64_t microbatch, classes;
    struct run_pictures pictures;
    const char *backend_note, *steps;
    const json_t *plans, *ranks, *remarks;
    int64_t arithmetic;
    const char *ran;
    const json_t *cleaning;
    struct run_resumed resumed;
    struct run_rates lr_find;
    const json_t *files;
    const char *stop, *error, *record_sha256;
};
extern const struct field run_fields[];
extern const struct field run_hash_fields[]; /* of struct run_hashes */
extern const struct field run_rate_fields[]; /* of struct run_rates */

/* What is known before the first step: the members behind `start`. Owned by the caller; ERR_NOMEM. */
int run_facts_json(json_t **out, const struct run_facts *f, struct err *err) MUST_USE;
/* The hash NAME ("config"), which must be a row's, of H; NULL: not recorded. */
const char *run_hash(const struct run_hashes *h, const char *name);

#endif
