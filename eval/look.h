/* look.h - a run opened to be looked at: its facts, keys and predictions.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_LOOK_H
#define PRESIZE_EVAL_LOOK_H

#include <jansson.h>

#include "base/err.h"
#include "data/cleaning_record.h"
#include "data/shard.h"
#include "request.h"
#include "run/leaks.h"
#include "run/predictions.h"
#include "run/run.h"
#include "scoring.h"

struct look {
    struct run_entry run;
    /* Today's keys with the run's values, flat; where they cannot be had, its params.yaml, or {}. */
    json_t *params;
    const struct predictions *p; /* NULL: none */
    uint32_t errors;             /* of p */
    struct leaks_record leaks;   /* of p; leaks_are() not: none of its pictures leaks */
    const char *folder;          /* that p lies in */
    char pictures[1200];         /* of p: "validation pictures of pets, random split (42)" */
    struct predictions *own;     /* p, when it is what the run was finished with */
    struct scoring scoring;      /* else p is of this */
    bool relabelled;             /* p has other labels than the run: relabel.h */
    /* Some leak, but an older program's record does not say which, so they cannot be counted again. */
    bool leaks_unnamed;
    json_t *relabelled_leaks; /* then leaks are of this; owned */
};

/* RUN as in run_find. The predictions are those the run was finished with, read where they are, or
 * those that R asks for (request_is_scoring), made where they are not there. ERR_INPUT, ERR_FORMAT,
 * ... */
int look_open(struct look *l, const struct request *r, const char *run, struct err *err) MUST_USE;
bool look_is_range_test(const struct look *l); /* made by train --lr-find */
/* The error rate of p, whose n is not 0, without the pictures that leak. */
double look_clean_rate(const struct look *l);
void look_close(struct look *l); /* all zero is fine */
/* Adds to KEYS (flat) what is no key, but as good as keys: hashes of the shards' index and of the tables that keys name
 * (data.clean, data.csv, ...), and the arithmetic. ERR_NOMEM. */
int look_add_facts(json_t *keys, const struct look *l, struct err *err) MUST_USE;
#define LOOK_ARITHMETIC "arithmetic"
/* What run.json says of data.clean and data.plant. */
struct cleaning_record look_cleaning(const struct look *l);
/* ERR_INPUT when the run has no predictions, saying why and what to do. */
int look_needs_predictions(const struct look *l, struct err *err) MUST_USE;

/* The folder of the run's shards: below the data folder, or where none was given also where run.json says. Set and size
 * are those of resolved.yaml and the checkpoint: a record that names others does not make them unfindable. With --set
 * that set's, presized alike. "": they are not there. */
void look_find_shards(char out[4096], const struct look *l, const struct request *r);
/* Those, opened. NULL with the reason in WHY where they are not there, cannot be read, or were rebuilt since. */
struct shard_set *look_open_shards(const struct look *l, const struct request *r, struct err *why);

#endif
