/* groups.h - a study, or the runs of a folder, by recipe: figures over seeds and tests between recipes.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_GROUPS_H
#define PRESIZE_EVAL_GROUPS_H

#include "base/path.h"
#include "request.h"

/* Whether WORD is a study or a folder of runs, below R->results or as a path; FOLDER out. */
bool groups_find(char folder[PATH_LEN], const struct request *r, const char *word);
/* The runs of R->words (N_WORDS), each a run, a study or a folder of runs, by recipe. ERR_INPUT: no run at all, or a
 * word that is none of these. */
int groups_print(FILE *out, const struct request *r, struct err *err) MUST_USE;
/* --list: all runs and studies of R->results; of R->run, a study or a folder, its runs with their status. ERR_INPUT. */
int groups_runs(FILE *out, const struct request *r, struct err *err) MUST_USE;

#endif
