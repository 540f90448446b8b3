/* predict_page.h - the page of eval RUN --predict FILE... --report: each picture with its labels.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_PREDICT_PAGE_H
#define PRESIZE_EVAL_PREDICT_PAGE_H

#include <jansson.h>

#include "base/err.h"

enum { PREDICT_PICTURES = 700 }; /* on a page: under 5 MB with thumbnails of some 5 KB */

struct predict_page {
    /* what --json prints; the first PREDICT_PICTURES also have thumbnails (draw/thumb.h) */
    const json_t *list;
    const char *run; /* its name, or the checkpoint's file */
    int rounds;      /* of test-time augmentation, 0: without */
    int failed;      /* files that are no pictures */
};

/* Replaces PATH by the page. ERR_IO, ERR_FULL, ERR_NOMEM. */
int predict_page_write(const char *path, const struct predict_page *page, struct err *err) MUST_USE;

#endif
