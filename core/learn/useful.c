/* useful.c - keys against the phases that would use them.
 * SPDX-License-Identifier: MIT */
#include "learn/useful.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* What the phases take of the keys that are for all of them. */
struct uses {
    bool rate, size, batch; /* one has none of its own */
    bool cycle, flat;       /* kinds with optim.moms, and with optim.mom */
};

static struct uses uses_of(const struct train_options *t)
{
    struct uses u = {0};

    for (int i = 0; i < t->phases_list.n; i++) {
        const struct phase_options *p = &t->phases[i];
        const bool cycle = p->kind == PHASE_FINE_TUNE || p->kind == PHASE_ONE_CYCLE;

        u.rate |= p->kind != PHASE_FINE_TUNE && p->lr.n == 0;
        u.size |= p->size == 0;
        u.batch |= p->batch == 0;
        u.cycle |= cycle;
        u.flat |= !cycle;
    }
    return u;
}

/* Keys of E, all at their defaults; NULL: out of memory. */
static struct experiment *defaults(void)
{
    struct experiment *e = calloc(1, sizeof *e);
    const struct key_table tables[] = {{train_keys, offsetof(struct experiment, train)},
                                       {optim_keys, offsetof(struct experiment, optim)}};

    if (e)
        keys_default(tables, 2, KEYS_NEWEST, e);
    return e;
}

static int check(const struct experiment *e, const struct experiment *preset, struct err *err)
{
    const struct train_options *t = &e->train, *p = &preset->train;
    const struct uses u = uses_of(t);
    const bool sgd = e->optim.name == OPTIM_SGD;
    const bool watched = t->watch.early_stop > 0 || t->watch.plateau > 0;
    const struct {
        const char *key, *why;
        bool useless;
        /* else warned of: a file may give it, and the command line what makes it idle */
        bool refuse;
    } rows[] = {
        {"optim.lr", "every phase gives its own rate (train.phases.N.lr, of fine_tune base_lr)",
         e->optim.lr != preset->optim.lr && !u.rate, true},
        {"optim.mom", "no phase is flat_cos, constant or sgdr; optim.moms is the cycles'",
         e->optim.mom != preset->optim.mom && !u.flat, true},
        {"optim.moms", "no phase is one_cycle or fine_tune; the other kinds use optim.mom",
         memcmp(&e->optim.moms, &preset->optim.moms, sizeof e->optim.moms) != 0 && !u.cycle, true},
        {"optim.sqr_mom", "optim.name is sgd, which keeps no squared gradients",
         sgd && e->optim.sqr_mom != preset->optim.sqr_mom, true},
        {"optim.eps", "optim.name is sgd, which divides by nothing",
         sgd && e->optim.eps != preset->optim.eps, true},
        {"optim.nesterov", "optim.name is not sgd", !sgd && e->optim.nesterov, true},
        {"train.size", "every phase gives its own size (train.phases.N.size)",
         t->size != p->size && !u.size, false},
        {"train.batch", "every phase gives its own batch (train.phases.N.batch)",
         t->batch != p->batch && !u.batch, false},
        {"train.plateau_factor", "no rate falls without train.plateau",
         t->watch.plateau_factor != p->watch.plateau_factor && t->watch.plateau == 0, false},
        {"train.min_delta", "nothing is watched without train.early_stop or train.plateau",
         t->watch.min_delta != p->watch.min_delta && !watched, false},
        {"data.split_csv", "data.split is not csv; data.split=csv takes the split from the table",
         e->data.csv[0] && e->data.split != SPLIT_CSV, false},
        {"model.weights_key", "model.weights=none, so there is no file",
         e->model.weights_key[0] && strcmp(e->model.weights, "none") == 0, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows && t->phases_list.n > 0; i++) {
        if (rows[i].useless && rows[i].refuse)
            return err_set(err, ERR_INPUT, "%s has no effect: %s; leave it out", rows[i].key,
                           rows[i].why);
        if (rows[i].useless)
            log_warn("%s has no effect: %s", rows[i].key, rows[i].why);
    }
    return 0;
}

int useful_read(struct experiment **out, const char *name, char *const *words, int n,
                struct err *err)
{
    struct experiment *preset = NULL;
    int rc = experiment_read(out, name, words, n, err);

    if (rc == 0 && !(preset = defaults()))
        rc = err_set(err, ERR_NOMEM, "keys");
    if (rc == 0)
        rc = check(*out, preset, err);
    free(preset);
    if (rc == 0)
        return 0;
    if (*out)
        experiment_free(*out);
    *out = NULL;
    return -1;
}
