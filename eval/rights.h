/* rights.h - which folders an action writes to; no others can be written from then on (base/sandbox.h).
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_RIGHTS_H
#define PRESIZE_EVAL_RIGHTS_H

#include "request.h"

struct writing {
    bool run, runs;     /* the run's folder; those of R->words */
    bool temporary;     /* tables are made once more, to compare them */
    const char *file;   /* one of the user's choice, too; NULL: none */
    const char *folder; /* a folder of the user's choice; NULL: none */
};

/* ERR_INPUT, ERR_NOMEM. */
int rights_give_up(const struct request *r, const struct writing *w, struct err *err) MUST_USE;

#endif
