/* score.h - what a run was scored on besides its validation: RUN/scores/SET/PART/ with predictions and a
 * score.json, written last; and RUN/looks.jsonl, a line for each look at test pictures.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_RUN_SCORE_H
#define PRESIZE_RUN_SCORE_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"
#include "run/epoch.h"

enum { SCORE_VERSION = 1 };

/* score.json; a line of looks.jsonl is the same without figures. Texts and JSON are borrowed. */
struct score_tta {
    int64_t rounds;
    double beta;
};
struct score_record {
    int64_t version;
    const char *set, *part, *split;
    int64_t pictures;
    const char *weights, *weights_sha256, *index_sha256, *backend;
    struct score_tta tta;
    int64_t errors;
    double error_rate, loss;
    struct leaks_record without_leaks;
    const json_t *files;
};
extern const struct field score_fields[];
struct score_fault { /* a score that cannot be read */
    const char *why;
    /* a newer version wrote it, or it was never stored whole: it has no score.json */
    bool harmless;
};
extern const struct field score_fault_fields[];

/* Replaces FOLDER/score.json by the version, FACTS (an object, not taken over) and "files", those beside it
 * (run_files.h). */
int score_write(const char *folder, const json_t *facts, struct err *err) MUST_USE;
/* ERR_INPUT when there is none, ERR_FORMAT; ERR_UNSUPPORTED: of another version. */
int score_read(json_t **out, const char *folder, struct err *err) MUST_USE;
/* All scores of the run, each with its "folder" (where that is UTF-8), sorted by it. Of what cannot be read FAULTS, an
 * array, gets a struct score_fault; NULL: a warning says so, but of what was never whole. Owned by the caller.
 * ERR_NOMEM. */
int score_list(json_t **out, json_t *faults, const char *run, struct err *err) MUST_USE;
/* "test pictures of pets, official split (42), best weights, TTA of 4 rounds, beta 0.25" */
void score_text(char *out, size_t size, const struct score_record *s);

/* Appends LINE, fsynced. */
int look_note(const char *run, const json_t *line, struct err *err) MUST_USE;
/* Lines about SET so far; 0 where there is no file. */
unsigned look_count(const char *run, const char *set);

#endif
