/* serve_private.h - what the check of a question and its answer share.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_SERVE_PRIVATE_H
#define PRESIZE_EVAL_SERVE_PRIVATE_H

#include "serve_answer.h"

/* The value of an argument in Q's address, "" where it has none; NULL: it is not there. */
const char *ask_argument(const struct ask *q, const char *name);
/* GET for HEAD, too. */
const char *ask_method(const struct ask *q);

struct route {
    const char *method, *path, *type; /* type: what the body must be; NULL: there is no body */
    int body_max;
    int (*answer)(struct serve *, const struct ask *, struct answer *, struct err *);
};
/* What answers Q. NULL: nothing; *METHODS are those that its path would take, NULL where there is no such path. */
const struct route *route_find(const struct ask *q, const char **methods);

/* A page with a message; without words where there is no memory for them. */
void answer_message(struct answer *a, const struct serve *s, int status, const char *title,
                    const char *text);

#endif
