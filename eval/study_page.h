/* study_page.h - a study as a page: recipes with their seeds, what the tests say, curves, the runs and their status.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_STUDY_PAGE_H
#define PRESIZE_EVAL_STUDY_PAGE_H

#include <stdio.h>

#include "base/err.h"
#include "request.h"

/* Writes report.html into FOLDER, a study's, and prints its path on OUT; or, where R->served is not NULL, prints the
 * page there. ERR_INPUT, ERR_FORMAT, ERR_IO, ERR_FULL, ERR_NOMEM. */
int study_page_write(FILE *out, const struct request *r, const char *folder,
                     struct err *err) MUST_USE;

#endif
