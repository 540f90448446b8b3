/* replay.h - a run computed again from its record, and held against what it recorded.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TRAIN_REPLAY_H
#define PRESIZE_TRAIN_REPLAY_H

#include <stdio.h>

#include "learn/begin.h"

/* Trains r->replay's epochs again, writing nothing, and prints on OUT that they are equal. ERR_CHECKSUM names the first
 * epoch that is not, its figures, and the first tensor that differs where a checkpoint of the run has it. */
int replay_run(FILE *out, const struct request *r, struct err *err) MUST_USE;

#endif
