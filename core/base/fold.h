/* fold.h - text for a screen of a certain width: longer lines continue below, indented.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_FOLD_H
#define PRESIZE_BASE_FOLD_H

#include <stdio.h>

/* Columns that lines on OUT may have: $COLUMNS where it is set, else those of the terminal; 0: any number, as OUT is a
 * file or a pipe, where a row stays a line. */
int fold_columns(FILE *out);

/* A stream whose lines are written to OUT as they are completed, folded at blanks to fold_columns(OUT): what
 * follows is indented to where the second column of the line begins, or by 2. OUT itself where nothing is folded,
 * or without memory. fold_end() writes what is left and closes it, not OUT. */
FILE *fold_begin(FILE *out);
void fold_end(FILE *folded, FILE *out);

#endif
