/* begin.h - starts a run, or resumes one.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_LEARN_BEGIN_H
#define PRESIZE_LEARN_BEGIN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "base/err.h"
#include "base/path.h"

struct run;
struct session;
struct state;
struct team;

struct request {
    const char *experiment; /* --exp */
    const char *name;       /* --name; NULL: made from time, experiment and config */
    const char *resume;     /* --resume RUN; NULL */
    const char *replay;     /* --replay RUN; NULL */
    const char *data, *results;
    const char *in;     /* --in: the folder that the run is made in; NULL: RESULTS */
    char *const *words; /* KEY=VALUE */
    int n_words;
    int64_t stop_after; /* epochs; 0: all */
    /* Where set: what is done with the session and the run instead of a training; SUFFIX is part of a made name. */
    int (*instead)(struct session *s, struct run *run, struct err *err);
    const char *suffix;
    FILE *table;       /* where the table of epochs goes; NULL: nowhere */
    bool signals;      /* a signal stops the training at its next step */
    struct team *team; /* processes that train together; NULL: this one alone */
    bool gpus;         /* they are those of --gpus */
    int argc;
    char *const *argv; /* for the record */
    json_t *git;       /* facts_git(), for the record; NULL where no run is begun */
};

/* Whether a run's folder may have this name; ERR_INPUT says what one may be. */
int begin_check_name(const char *name, struct err *err) MUST_USE;

/* Trains. A team that fails is ended before these return.
 * FOLDER out: the run folder, "" when none was made. A run that was begun and fails stays
 * and is marked so. */
int begin_run(const struct request *r, char folder[PATH_LEN], struct err *err) MUST_USE;
int begin_resume(const struct request *r, char folder[PATH_LEN], struct err *err) MUST_USE;

/* A run that is begun, for whoever trains it (learn.h): *S with its first weights, ST, and *RUN in FOLDER. All are the
 * caller's, also after an error. ERR_INPUT: experiment, shards or name; ERR_IO, ERR_FULL, ERR_NOMEM. */
int begin_open(struct session **s, struct state *st, struct run **run, char folder[PATH_LEN],
               const struct request *r, struct err *err) MUST_USE;

/* The run in FOLDER as its run.json and resolved.yaml began it: *S with its first weights, whose hash is then in ST.
 * ERR_INPUT when experiment, shards, tables or first weights are not those that it was begun with. *S is the caller's,
 * also after an error. */
int begin_recorded(struct session **s, struct state *st, const struct request *r,
                   const char *folder, struct err *err) MUST_USE;

#endif
