/* run_page.h - the page of a run with the verdict of --verify.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_RUN_PAGE_H
#define PRESIZE_EVAL_RUN_PAGE_H

#include "base/err.h"
#include "request.h"

/* Writes RUN/report.html again and prints its path; or prints the page that is served, with the verdict where R->verify
 * asks for it. ERR_INPUT, ERR_FORMAT, ... */
int run_page_write(const struct request *r, struct err *err) MUST_USE;

#endif
