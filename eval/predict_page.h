/* predict_page.h - the page of eval RUN --predict FILE... --report: each picture with its labels.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_PREDICT_PAGE_H
#define PRESIZE_EVAL_PREDICT_PAGE_H

#include <jansson.h>

#include "base/err.h"
#include "base/field.h"

enum { PREDICT_PICTURES = 700 }; /* on a page: under 5 MB with thumbnails of some 5 KB */

struct predicted { /* a picture; borrowed */
    const char *file, *label;
    double probability;
    const json_t *best; /* struct predicted_label, falling */
    const char *next;   /* the labels behind the first in words, of tables for people */
};
struct predicted_label {
    const char *label;
    double probability;
};
extern const struct field predicted_fields[], predicted_label_fields[];

struct predict_page {
    /* what --json prints: struct predicted; the first PREDICT_PICTURES also have thumbnails (draw/thumb.h) */
    const json_t *list;
    int labels;      /* of each picture */
    const char *run; /* its name, or the checkpoint's file */
    int rounds;      /* of test-time augmentation, 0: without */
    int failed;      /* files that are no pictures */
};

/* Replaces PATH by the page. ERR_IO, ERR_FULL, ERR_NOMEM. */
int predict_page_write(const char *path, const struct predict_page *page, struct err *err) MUST_USE;

#endif
