/* recipes.h - trials grouped by recipe: figures over seeds, and tests of each recipe against the first.
 *
 * A unit is one score of all its pictures: a run, or with folds the K runs of one seed and split together. Units are
 * what is counted ("seeds"): pictures of a unit share networks.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_RECIPES_H
#define PRESIZE_EVAL_RECIPES_H

#include "trials.h"

struct unit {
    int64_t seed, split_seed;
    uint32_t n, errors;
    double clean_rate;  /* without pictures that leak: the mean over the runs */
    uint32_t *pictures; /* n, rising; borrowed from its trial where OWNED is false */
    uint8_t *wrong;
    bool owned;
};

struct recipe_group {
    /* "smoothing=0.1": keys that differ between groups; of one group, its experiment */
    char label[400];
    json_t *recipe; /* borrowed from a trial */
    json_t *runs;   /* names of those that count */
    struct unit *units;
    int n; /* units */
    /* error rates of the units; Student's t, 95 %; low > high where n < 2 */
    double mean, deviation, low, high;
    double clean_mean; /* without the pictures that leak */
    bool leaks;        /* whether there are such */
    bool relabelled;   /* some of the runs are cleaned by data.clean */
};

enum seed_verdict { SEEDS_UNTESTED, SEEDS_FEW, SEEDS_SAME, SEEDS_BETTER, SEEDS_WORSE };
struct contrast { /* of a group with the first */
    enum seed_verdict verdict;
    char why_not[400]; /* SEEDS_UNTESTED */
    int n;             /* seeds that both have, on the same pictures */
    uint32_t pictures; /* of one of them */
    double difference; /* mean over seeds and pictures */
    double low, high;  /* 95 % */
    /* the interval is for new pictures, too: all seeds were scored on the same ones */
    bool new_pictures;
    double p, adjusted; /* sign flips over seeds; by Holm over the contrasts */
    int needed;         /* the fewest seeds that could decide, among so many tests; 0: no number */
    /* a smaller difference is missed in more than 1 of 5 such studies; INFINITY: any is */
    double missed;
};

struct recipe_groups {
    struct recipe_group *all;
    struct contrast *contrasts; /* n, the first unused */
    size_t n, n_tests;
};

/* From T, whose runs are named in T->left_out where they do not count (the same seed again, folds that lack others).
 * G borrows from T. ERR_NOMEM. */
int recipe_groups_make(struct recipe_groups *g, struct trials *t, struct err *err) MUST_USE;
void recipe_groups_free(struct recipe_groups *g);
const char *contrast_word(const struct contrast *c);

#endif
