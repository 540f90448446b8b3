/* request.h - what the command line asked of eval.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_REQUEST_H
#define PRESIZE_EVAL_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "tabular.h"

struct request {
    const char *data, *results;
    enum form form;  /* of what is printed on stdout */
    const char *run; /* name or folder, NULL: the latest */
    char **words;    /* runs to compare, files to predict */
    int n_words;
    uint32_t min;        /* --most-confused */
    uint32_t count;      /* --top-losses */
    const char *which;   /* checkpoint: "last", "best" */
    const char *backend; /* "exec.backend=NAME", NULL: as the run's */
    bool fail_on_regression;
};

#endif
