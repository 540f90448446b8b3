/* issues_page.h - the page of eval --issues: pictures to keep, drop or relabel, worst first.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_ISSUES_PAGE_H
#define PRESIZE_EVAL_ISSUES_PAGE_H

#include "suspects.h"

/* Writes FILE (NULL: issues.html where issues.csv lies); OUT is its path. Pictures come from the shards of the first
 * run; without them the page says so. */
int issues_page_write(char out[4096], const struct suspects *s, const struct request *r,
                      const char *file, struct err *err) MUST_USE;

#endif
