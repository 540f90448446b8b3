/* axes_file.h - the study file and the options, read and checked member by member.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TRAIN_AXES_FILE_H
#define PRESIZE_TRAIN_AXES_FILE_H

#include "axes.h"

struct axes_file {
    char title[256];
    json_t *experiments;         /* names or paths */
    json_t *words;               /* KEY=VALUE, in all runs */
    json_t *grid;                /* {KEY: [VALUE]}, values as words have them */
    json_t *list;                /* [{KEY: VALUE}] */
    json_t *seeds, *split_seeds; /* integers; NULL: no such axis */
    int folds;                   /* 0: no such axis */
};

/* ERR_INPUT, ERR_FORMAT, ... */
int axes_file_read(struct axes_file *f, const struct axes_request *r, struct err *err) MUST_USE;
void axes_file_free(struct axes_file *f); /* all zero is fine */
double axes_file_runs(const struct axes_file *f);

/* The file's name without folder and ".yaml", a JSON string. */
json_t *axes_experiment_name(const char *path);

#endif
