/* verify_weights.c - checkpoints, and the weights that a run began with.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "experiment/checkpoint.h"
#include "experiment/checkpoint_record.h"
#include "experiment/infer.h"
#include "experiment/initial.h"
#include "nn/weights.h"
#include "verify_private.h"

/* What a checkpoint says of its origin, and its files' hashes (checkpoint_load does those). */
static void check_parents(struct chain *c, const char *which, const struct checkpoint_record *r)
{
    static const char *const names[] = {"config", "index", "manifest", "initial_weights", "tables"};
    char link[64];

    snprintf(link, sizeof link, "%s.json", which);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *parent =
            field_text(field_find(checkpoint_parent_fields, names[i]), &r->parents);

        if (strcmp(names[i], "tables") == 0 && parent && !*parent && !chain_recorded(c, names[i]))
            continue; /* no key names one */
        if (!parent || !chain_recorded(c, names[i]) ||
            strcmp(parent, chain_recorded(c, names[i])) != 0) {
            chain_say(c, link, RESULT_FAILED, "parents.%s is %.12s, run.json says %.12s", names[i],
                      parent ? parent : "missing",
                      chain_recorded(c, names[i]) ? chain_recorded(c, names[i]) : "nothing");
            return;
        }
    }
    chain_say(c, link, RESULT_OK,
              "names the run's configuration, shards, manifest and first weights");
}

/* Whether the run in FOLDER, whose weights the chain's run began with, told STATE's classes apart: its head serves,
 * too. */
static bool same_classes(const struct checkpoint_record *r, const char *folder)
{
    struct checkpoint_record of;
    json_t *parent;
    bool same;

    if (checkpoint_state(&parent, folder, "last", NULL) < 0)
        return false;
    checkpoint_record_read(&of, parent);
    same = r->vocab && of.vocab && json_equal(of.vocab, r->vocab);
    json_decref(parent);
    return same;
}

/* The first weights made again: drawn from the seed, the file that model.weights means in their place. */
static void check_initial(struct chain *c, struct trained *t, const struct checkpoint_record *r)
{
    const struct experiment *e = t->experiment;
    const char *run = initial_run(e);
    char folder[PATH_LEN] = "", file[PATH_LEN], hex[SHA256_HEX];
    struct err err;

    if ((run && run_find(folder, c->r->results, run, &err) < 0) ||
        initial_file(file, e, c->r->data, folder, &err) < 0) {
        chain_say(c, "first weights", RESULT_UNCHECKED, "%s", err.msg);
        return;
    }
    if (file[0])
        chain_compare_file(c, "weights file", "weights_file", file);
    if (weights_init(&t->device, t->network, (uint64_t)e->seed, false, &err) < 0 ||
        (file[0] && weights_load(file, e->model.weights_key, &t->device, t->network,
                                 !run || !same_classes(r, folder), NULL, &err) < 0) ||
        weights_sha256(hex, &t->device, t->network, &err) < 0)
        chain_say(c, "first weights", RESULT_FAILED, "%s", err.msg);
    else
        chain_compare(c, "first weights", "initial_weights", hex,
                      file[0] ? "taken again from that file" : "drawn again from the seed");
}

/* The tensors against what LINE of metrics.json, or of a run that is not done the checkpoint itself, says of them. */
static void check_checkpoint(struct chain *c, const char *which, const struct epoch_line *line)
{
    const char *expected = line->weights_sha256;
    const char *source = expected ? "metrics.json" : "the checkpoint";
    char hex[SHA256_HEX], link[64], no_words[1] = "";
    char *words[] = {no_words};
    struct checkpoint_record r;
    struct trained *t = NULL;
    json_t *state;
    struct err err;

    snprintf(link, sizeof link, "%s.safetensors", which);
    if (checkpoint_state(&state, c->l->run.folder, which, &err) < 0) {
        chain_say(c, link, err.kind == ERR_INPUT ? RESULT_UNCHECKED : RESULT_FAILED, "%s", err.msg);
        return;
    }
    checkpoint_record_read(&r, state);
    check_parents(c, which, &r);
    if (!expected)
        expected = r.weights_sha256 ? r.weights_sha256 : "nothing";
    if (trained_open(&t, c->l->run.folder, which, words, 0, NULL, &err) < 0 ||
        weights_sha256(hex, &t->device, t->network, &err) < 0)
        chain_say(c, link, RESULT_FAILED, "%s", err.msg);
    else if (strcmp(hex, expected) == 0)
        chain_say(c, link, RESULT_OK, "the tensors of %s, %.12s", source, hex);
    else
        chain_say(c, link, RESULT_FAILED, "the tensors are %.12s, %s says %.12s", hex, source,
                  expected);
    if (t && strcmp(which, "last") == 0)
        check_initial(c, t, &r);
    trained_close(t);
    json_decref(state);
}

void verify_weights(struct chain *c)
{
    check_checkpoint(c, "last", &c->l->run.figures.last);
    check_checkpoint(c, "best", &c->l->run.figures.best);
}
