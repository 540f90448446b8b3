/* learn.h - trains a network as an experiment says, for any program.
 *
 * Order of calls; each returns -1 with the reason in ERR:
 *
 *   struct learner *l;
 *   struct epoch_line line;
 *   int more;
 *
 *   learner_open(&l, &(struct learner_options){.experiment = "smoke", .data = "data", .results = "results"}, &err);
 *   while ((more = learner_epoch(l, &line, &err)) > 0)   // trains, validates, records, writes checkpoints
 *       printf("%s %.4f\n", line.phase, line.metric[MONITOR_ERROR_RATE]);
 *   learner_finish(l, &err);                             // predictions, plots, report: the run is done
 *   learner_score(l, LEARN_VALID, &score, &err);         // with the weights as they are now
 *   learner_close(l);                                    // also after an error
 *
 * The run folder is what `train` makes of the same experiment, bit by bit: `eval RUN`, `train --resume RUN` and `eval
 * RUN --verify` take it. One thread makes these calls; the steps run on as many as exec.threads says.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_LEARN_LEARN_H
#define PRESIZE_LEARN_LEARN_H

#include "base/err.h"
#include "experiment/infer.h"
#include "run/epoch.h"

struct learner;

struct learner_options {
    const char *experiment; /* a name below experiments/, or a file NAME.yaml */
    char *const *words;     /* KEY=VALUE, n_words of them */
    int n_words;
    const char *data,
        *results;     /* folders: where the shards are, and where the run folder is made */
    const char *name; /* of the run; NULL: made from time, experiment and configuration */
};

/* Reads the experiment, opens device and shards, makes the first weights and begins the run. *OUT is NULL after an
 * error. ERR_INPUT: what is wrong with experiment, shards or name. */
int learner_open(struct learner **out, const struct learner_options *o, struct err *err) MUST_USE;
/* The next epoch. 1: LINE (NULL is fine) is its line of metrics.jsonl, whose texts stay until the next call; 0: the
 * recipe is over. ERR_NUMERIC: the loss is no number; ERR_FULL, ERR_IO. After an error only learner_close() is left. */
int learner_epoch(struct learner *l, struct epoch_line *line, struct err *err) MUST_USE;
/* After the last epoch: the files of a finished run, by the weights that the run ends with (train.finish).
 * ERR_IO, ERR_FULL, ERR_NOMEM; only learner_close() is left then. */
int learner_finish(struct learner *l, struct err *err) MUST_USE;

enum learner_part { LEARN_TRAIN, LEARN_VALID };
/* Loss, error rate and accuracy on PART, without augmentation, by the weights after the last epoch (with train.ema the
 * EMA weights). An epoch was trained. Test pictures are for `eval RUN --split test`, which counts evaluations.
 * ERR_FORMAT: a damaged picture; ERR_IO, ERR_NOMEM. After an error only learner_close() is left. */
int learner_score(struct learner *l, enum learner_part part, struct score *out,
                  struct err *err) MUST_USE;
const char *learner_folder(const struct learner *l); /* of the run; borrowed */
/* A run that is not finished stays, and `train --resume` trains on from its last epoch. NULL is fine. */
void learner_close(struct learner *l);

#endif
