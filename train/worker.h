/* worker.h - trains the runs of a study, one after the other, each in a process of its own.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TRAIN_WORKER_H
#define PRESIZE_TRAIN_WORKER_H

#include "axes.h"
#include "base/path.h"

struct worker {
    /* --study: a FILE.yaml, or the folder of a study that is there; NULL: options alone */
    const char *study;
    const char *name;         /* --name of the study; NULL: of its file, or made */
    struct axes_request axes; /* ->file is set from STUDY */
    long task;                /* --task I: run number I alone; 0: all that are due */
    const char *data, *results;
    const char *program;   /* argv[0] */
    const char *passed[8]; /* options that every run is trained with, too; ends with NULL */
};

/* The plan of W as axes_plan() makes it, or of the study that is there; NAME out. Makes nothing. ERR_INPUT. */
int worker_plan(json_t **plan, char name[256], const struct worker *w, struct err *err) MUST_USE;

/* Makes or continues the study, and trains what is due and not another process's. Each run that is not
 * done is tried once: begun, or resumed. FOLDER out. ERR_INPUT: another study, or no study, has the name; its file
 * changed. ERR_STOPPED: a signal. ERR_IO: a run failed (its own reason is told before). */
int worker_train(const struct worker *w, char folder[PATH_LEN], struct err *err) MUST_USE;

/* In the process of a run: a checkpoint and an end when the study's process WORKER ends, as for SIGTERM. ERR_STOPPED
 * when that has ended already. */
int worker_follow(long worker, struct err *err) MUST_USE;

#endif
