/* serve_pages.h - the pages that exist only while they are served: the list of runs, and a message.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_SERVE_PAGES_H
#define PRESIZE_EVAL_SERVE_PAGES_H

#include "serve_answer.h"

/* All runs of S, newest first. ERR_NOMEM. */
int serve_runs_page(const struct serve *s, struct page_served *served, struct err *err) MUST_USE;
/* TITLE and TEXT. ERR_NOMEM. */
int serve_message_page(struct page_served *served, const char *title, const char *text,
                       struct err *err) MUST_USE;

#endif
