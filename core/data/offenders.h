/* offenders.h - a list of names for an error message: the first twenty, and how many more.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_OFFENDERS_H
#define PRESIZE_DATA_OFFENDERS_H

#include <stdint.h>

#include "base/err.h"

enum { OFFENDERS_SHOWN = 20 };

struct offenders { /* all zero: none yet */
    uint32_t n;
    uint32_t used;
    char text[3000]; /* "a, b, c", cut at a name's end */
    uint32_t shown;
};

void offenders_add(struct offenders *o, const char *format, ...) PRINTF_LIKE(2, 3);
/* Appends ": a, b, c and 4 more" to the message of ERR. Returns -1. */
int offenders_append(struct err *err, const struct offenders *o);

#endif
