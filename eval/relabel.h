/* relabel.h - predictions of runs that were trained before a cleaning, judged by the labels after it.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_RELABEL_H
#define PRESIZE_EVAL_RELABEL_H

#include "look.h"

struct relabelled {
    char file[4096]; /* table whose labels count; "": those of each run */
    json_t *rows;    /* [run, dropped, relabelled]: of runs whose labels were others; owned */
    bool several;    /* the runs have different tables and none was chosen */
};

/* Gives the predictions of N runs the same labels, where a table of data.clean makes them differ: FILE (--clean), or
 * the one table that some of the runs were cleaned by. Pictures that it drops leave the predictions, others get its
 * label, and loss and errors are counted again. ERR_INPUT names file and row. */
int relabel_runs(struct relabelled *out, struct look *runs, size_t n, const char *file,
                 struct err *err) MUST_USE;

#endif
