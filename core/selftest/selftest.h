/* selftest.h - what a device computes, compared with another backend on this machine (train --selftest).
 *
 * For the first day with a new card, driver or processor. Needs no pictures. Leaves two files in the
 * results folder: selftest-BACKEND.json and a page to read, selftest-BACKEND.txt.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_SELFTEST_SELFTEST_H
#define PRESIZE_SELFTEST_SELFTEST_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"

struct selftest_options {
    char *const *words; /* KEY=VALUE, of exec.* alone */
    int n_words;
    const char *results; /* folder */
    bool quick;          /* smaller pictures, fewer steps and networks */
};

/* Prints the page to OUT as it goes. ERR_NUMERIC when a check failed (the files are there then, too);
 * ERR_INPUT for words, ERR_UNSUPPORTED for a device that cannot be opened. */
int selftest_run(FILE *out, const struct selftest_options *o, struct err *err) MUST_USE;

#endif
