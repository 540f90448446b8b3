/* train_demo.c - trains on the demo set with the library that `train` is made of.
 *
 *   fetch demo && prep demo       pictures and shards, below data/
 *   train_demo [KEY=VALUE...]     trains what experiments/smoke.yaml says, into results/
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "learn/learn.h"

static const char *folder_of(const char *variable, const char *usual)
{
    const char *given = getenv(variable);

    return given ? given : usual;
}

/* Trains to the end; the table of epochs goes to stdout. */
static int train(struct learner *l, struct err *err)
{
    struct epoch_line line;
    struct score train, valid;
    int more;

    while ((more = learner_epoch(l, &line, err)) > 0)
        printf("epoch %lld of %s: training loss %.4f, validation loss %.4f, error rate %.4f\n",
               (long long)line.epoch, line.phase, line.train_loss, line.metric[MONITOR_VALID_LOSS],
               line.metric[MONITOR_ERROR_RATE]);
    if (more < 0 || learner_finish(l, err) < 0)
        return -1;
    if (learner_score(l, LEARN_TRAIN, &train, err) < 0 ||
        learner_score(l, LEARN_VALID, &valid, err) < 0)
        return -1;
    printf("error rate %.4f on training pictures, %.4f on validation pictures\n%s\n",
           train.error_rate, valid.error_rate, learner_folder(l));
    return 0;
}

int main(int argc, char **argv)
{
    const struct learner_options options = {.experiment = "smoke",
                                            .words = argv + 1,
                                            .n_words = argc - 1,
                                            .data = folder_of("PRESIZE_DATA", "data"),
                                            .results = folder_of("PRESIZE_RESULTS", "results")};
    struct learner *l = NULL;
    struct err err;
    int rc = learner_open(&l, &options, &err);

    if (rc == 0)
        rc = train(l, &err);
    if (rc < 0)
        fprintf(stderr, "train_demo: %s\n", err.msg);
    learner_close(l);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
