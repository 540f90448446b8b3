/* suspects.h - every picture that the runs have probabilities of, with the judgement of confident learning.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_SUSPECTS_H
#define PRESIZE_EVAL_SUSPECTS_H

#include "look.h"

struct suspect {
    const char *path;
    const char *part; /* valid, train */
    int32_t given, suggested;
    double score, probability; /* of the given and of the suggested label, in [0, 1] */
    bool likely;               /* beyond the cut */
    int32_t right;             /* where the given label is wrong on purpose; else -1 */
};

struct suspects {
    struct look *runs; /* owned; the first has the vocabulary of all */
    size_t n_runs;
    struct look train; /* predictions of the first run's training part, where they were asked for */
    struct suspect *list; /* the likely ones first, each by rising score */
    uint32_t n, n_likely;
    const char *split; /* part that the runs judge: valid, train, test */
    /* pictures that could be judged: of that part, or training and validation ones */
    uint32_t n_set;
    uint32_t n_planted; /* of the list, labels that are wrong on purpose */
    /* where what is found belongs: the run's, the study's, or the one beside the first run */
    char folder[4096];
};

/* R->words are runs or folders of runs (studies), none: the latest run. A picture's probabilities are the mean over the
 * runs that validated it. With R->with_train those of the training part follow, judged by themselves. ERR_INPUT: no
 * predictions, runs of different sets, classes or labels. */
int suspects_find(struct suspects *s, const struct request *r, struct err *err) MUST_USE;
/* "N of M pictures are judged by ...": which pictures were judged, and by whom. */
void suspects_text(char *out, size_t size, const struct suspects *s);
/* A warning where the networks have not learnt the classes: more than half are predicted otherwise; "" elsewhere. */
void suspects_doubt(char *out, size_t size, const struct suspects *s);
void suspects_free(struct suspects *s); /* all zero is fine */

#endif
