/* trials.h - runs as trials of recipes: who mistook which picture, under which seed, split and fold.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_TRIALS_H
#define PRESIZE_EVAL_TRIALS_H

#include "look.h"

struct trial {
    char name[256], experiment[256];
    /* flat keys that change what is computed, but for what repeats it; and the shards' hash */
    json_t *recipe;
    int64_t seed, split_seed, fold, folds; /* folds 0: none */
    uint32_t n, errors;
    /* n numbers of pictures in rising order; equal numbers are equal pictures with equal labels */
    uint32_t *pictures;
    uint8_t *wrong;    /* n, beside PICTURES */
    double clean_rate; /* the error rate without the pictures that leak */
    bool leaks;        /* whether there are such */
    bool relabelled;   /* by data.clean */
};

struct trials {
    struct trial *all;
    size_t n, capacity;
    json_t *numbers;  /* of pictures, by id and label */
    json_t *left_out; /* [[run, reason]] */
};

int trials_begin(struct trials *t, struct err *err) MUST_USE;
void trials_free(struct trials *t); /* all zero is fine */
/* L's run; one without predictions is left out, with the reason. ERR_NOMEM. */
int trials_add(struct trials *t, const struct look *l, struct err *err) MUST_USE;
/* The run in FOLDER, opened as R asks; one that cannot be read is left out. ERR_NOMEM. */
int trials_open(struct trials *t, const struct request *r, const char *folder,
                struct err *err) MUST_USE;

#endif
