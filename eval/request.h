/* request.h - what the command line asked of eval.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_REQUEST_H
#define PRESIZE_EVAL_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "draw/page.h"
#include "tabular.h"

struct request {
    const char *data, *results;
    bool data_given; /* --data was: look nowhere else */
    enum form form;  /* of what is printed on stdout */
    const char *run; /* name or folder, NULL: the latest */
    char **words;    /* runs to compare, files to predict */
    int n_words;
    const char *how;     /* --list: sorted and filtered (arrange.h); NULL: all, by start */
    uint32_t min;        /* --most-confused */
    uint32_t count;      /* --top-losses, --issues */
    bool mlflow;         /* --export mlflow DIR: folder is a store of MLflow */
    const char *key;     /* --sign: file of a private key; NULL: nothing is signed */
    const char *folder;  /* --export: what is made; NULL: no folder */
    const char *model;   /* --export FILE.onnx: the file; NULL: none */
    const char *show;    /* --top-losses: the PNG to draw them on */
    const char *cam;     /* --predict: the PNG to draw class activation maps on; NULL: none */
    int top;             /* --top: labels of a prediction; 0: not given, INT_MAX: all */
    const char *which;   /* checkpoint: "best"; NULL: the one the run ends with */
    const char *backend; /* "exec.backend=NAME", NULL: as the run's */
    const char *set;     /* --set, NULL: the run's own */
    const char *split;   /* --split: train, valid, test; NULL: valid, or all of another set */
    int rounds;          /* --tta, 0: without */
    double beta;         /* share of the prediction without augmentation */
    bool fail_on_regression;
    const char *clean;          /* --compare: table whose labels count; NULL: the runs' */
    int port;                   /* --serve */
    struct page_served *served; /* --serve: the page is printed there; NULL: it is a file */
    bool verify;                /* --serve: the run's page with the verdict of --verify */
    bool report;                /* a page of what is asked for, not tables */
    const char *page_file; /* --issues, --predict: where; NULL: in the run's or study's folder */
    bool with_train;       /* --issues: training pictures, too */
    bool strict;           /* --verify: unchecked links have a status of their own */
    struct team *team;     /* processes that score together; NULL: alone */
};

/* Whether other predictions are meant than those the run was finished with. */
static inline bool request_is_scoring(const struct request *r)
{
    return r->set || r->split || r->rounds > 0 || r->which;
}

/* Whether the run is a checkpoint's file alone, "last.safetensors". */
static inline bool request_is_file(const struct request *r)
{
    return r->run && text_ends_in(r->run, ".safetensors");
}

#endif
