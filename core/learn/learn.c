/* learn.c - a learner: session, state and run of one training, one epoch at a time.
 * SPDX-License-Identifier: MIT */
#include "learn/learn.h"

#include <stdlib.h>

#include "learn/begin.h"
#include "learn/finish.h"
#include "learn/loop.h"
#include "nn/weights.h"

struct learner {
    struct session *s;
    struct state st;
    struct run *run; /* NULL: it is finished, or failed */
    struct verdict v;
    struct pace pace;
    char folder[PATH_LEN];
    bool finished, failed;
};

int learner_open(struct learner **out, const struct learner_options *o, struct err *err)
{
    const struct request r = {.experiment = o->experiment,
                              .name = o->name,
                              .data = o->data,
                              .results = o->results,
                              .words = o->words,
                              .n_words = o->n_words};
    struct learner *l = calloc(1, sizeof *l);

    *out = NULL;
    if (!l)
        return err_set(err, ERR_NOMEM, "learner");
    state_begin(&l->st);
    if (begin_open(&l->s, &l->st, &l->run, l->folder, &r, err) < 0) {
        run_fail(l->run, err);
        l->run = NULL;
        learner_close(l);
        return -1;
    }
    loop_begin(&l->pace, l->s, &l->st);
    *out = l;
    return 0;
}

/* The run has failed: WHY is in its record. */
static int fail(struct learner *l, const struct err *why)
{
    run_fail(l->run, why);
    l->run = NULL;
    l->failed = true;
    return -1;
}

int learner_epoch(struct learner *l, struct epoch_line *line, struct err *err)
{
    struct err why;

    BUG_IF(l->failed || l->finished);
    if (l->st.at.phase == l->s->n_phases)
        return 0;
    if (loop_epoch(l->s, l->run, &l->st, &l->v, &l->pace, &why) < 0) {
        err_set(err, why.kind, "%s", why.msg);
        return fail(l, &why);
    }
    if (line)
        fields_read(epoch_fields, 0, line, l->st.last, NULL);
    return 1;
}

int learner_finish(struct learner *l, struct err *err)
{
    struct err why;
    int rc;

    BUG_IF(l->failed || l->finished || l->st.at.phase < l->s->n_phases);
    if (finish_run(l->s, l->run, l->folder, &l->st, &l->v, &why) < 0) {
        err_set(err, why.kind, "%s", why.msg);
        return fail(l, &why);
    }
    rc = run_finish(l->run, err);
    l->run = NULL;
    l->finished = true;
    return rc;
}

int learner_score(struct learner *l, enum learner_part part, struct score *out, struct err *err)
{
    const struct split *split = l->s->split;
    const bool train = part == LEARN_TRAIN;
    struct verdict v = {0};
    int rc = 0;

    BUG_IF(l->failed || l->st.at.epoch == 0);
    /* A finished run's weights are in place; before, the averages stand beside those that are trained. */
    if (l->finished)
        rc = session_phase(l->s, finish_phase(l->s, &l->st), err);
    else
        rc = weights_swap_averages(&l->s->device, l->s->network, err);
    if (rc == 0)
        rc = loop_score(l->s, train ? split->train : split->valid,
                        train ? split->n_train : split->n_valid, train ? "Training" : "Validation",
                        &v, err);
    if (rc == 0 && !l->finished)
        rc = weights_swap_averages(&l->s->device, l->s->network, err);
    l->failed = rc < 0; /* the averages may stand where the weights were */
    *out = v.score;
    verdict_free(&v);
    return rc;
}

const char *learner_folder(const struct learner *l)
{
    return l->folder;
}

void learner_close(struct learner *l)
{
    struct err why;

    if (!l)
        return;
    if (l->run) {
        err_set(&why, ERR_STOPPED, "closed after %u epochs, before its end", l->st.at.epoch);
        run_fail(l->run, &why);
    }
    verdict_free(&l->v);
    state_free(&l->st);
    session_close(l->s);
    free(l);
}
