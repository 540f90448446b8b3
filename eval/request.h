/* request.h - what the command line asked of eval.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_REQUEST_H
#define PRESIZE_EVAL_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tabular.h"

struct request {
    const char *data, *results;
    bool data_given; /* --data was: look nowhere else */
    enum form form;  /* of what is printed on stdout */
    const char *run; /* name or folder, NULL: the latest */
    char **words;    /* runs to compare, files to predict */
    int n_words;
    uint32_t min;        /* --most-confused */
    uint32_t count;      /* --top-losses */
    const char *show;    /* with it: the PNG to draw them on */
    const char *which;   /* checkpoint: "best"; NULL: the one the run ends with */
    const char *backend; /* "exec.backend=NAME", NULL: as the run's */
    const char *set;     /* --set, NULL: the run's own */
    const char *split;   /* --split: train, valid, test; NULL: valid, or all of another set */
    int rounds;          /* --tta, 0: without */
    double beta;         /* share of the prediction without augmentation */
    bool fail_on_regression;
    bool report; /* a page of the comparison, not tables */
    bool strict; /* --verify: unchecked links have a status of their own */
};

/* Whether other predictions are meant than those the run was finished with. */
static inline bool request_is_scoring(const struct request *r)
{
    return r->set || r->split || r->rounds > 0 || r->which;
}

#endif
