/* look.c - reads what every view of a run needs.
 * SPDX-License-Identifier: MIT */
#include "look.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/key.h"
#include "base/log.h"
#include "base/path.h"
#include "base/yaml.h"
#include "experiment/checkpoint.h"
#include "experiment/checkpoint_record.h"
#include "experiment/experiment.h"
#include "run/score.h"

static const char *or_text(const char *text, const char *fallback)
{
    return text ? text : fallback;
}

/* The run's keys as today's; as it wrote them where today's cannot be had, with the reason. */
static int read_params(struct look *l, struct err *err)
{
    char path[PATH_LEN];
    struct experiment *e = NULL;
    json_t *tree;
    int rc;

    if (path_format(path, err, "%s/resolved.yaml", l->run.folder) < 0)
        return -1;
    if (path_exists(path)) {
        struct err why = {0};

        rc = experiment_reopen(&e, l->run.folder, NULL, 0, &why);
        if (rc == 0)
            rc = experiment_params(&l->params, e, &why);
        experiment_free(e);
        if (rc == 0)
            return 0;
        log_warn("%s; its keys are shown as params.yaml has them", why.msg);
    }
    if (path_format(path, err, "%s/params.yaml", l->run.folder) < 0)
        return -1;
    if (path_exists(path)) {
        if (yaml_read(&l->params, path, err) < 0)
            return err_wrap(err, "%s", path);
        tree = l->params;
        l->params = json_is_object(tree) ? keys_flatten(tree) : NULL;
        json_decref(tree);
    }
    if (!l->params)
        l->params = json_object();
    return l->params ? 0 : err_set(err, ERR_NOMEM, "%s", path);
}

static int read_predictions(struct look *l, struct err *err)
{
    struct err why = {0};

    if (predictions_read(&l->own, l->run.folder, &why) < 0) {
        if (why.kind == ERR_INPUT)
            return 0;
        return err_set(err, why.kind, "%s", why.msg);
    }
    l->p = l->own;
    l->leaks = l->run.figures.without_leaks;
    l->folder = l->run.folder;
    for (uint32_t i = 0; i < l->p->n; i++)
        l->errors += l->p->predicted[i] != l->p->actual[i];
    snprintf(l->pictures, sizeof l->pictures, "validation pictures of %s, %s",
             or_text(l->run.facts.set, "?"), or_text(l->run.facts.split, "split unknown"));
    return 0;
}

static int score(struct look *l, const struct request *r, struct err *err)
{
    const struct scored *s = r->rounds > 0 ? &l->scoring.tta : &l->scoring.plain;

    if (scoring_get(&l->scoring, r, &l->run, err) < 0)
        return -1;
    l->p = s->p;
    l->errors = s->errors;
    l->leaks = s->record.without_leaks;
    l->folder = s->folder;
    score_text(l->pictures, sizeof l->pictures, &s->record);
    return 0;
}

int look_open(struct look *l, const struct request *r, const char *run, struct err *err)
{
    char folder[PATH_LEN];

    memset(l, 0, sizeof *l);
    fields_clear(leaks_fields, &l->leaks);
    if (run_find(folder, r->results, run, err) < 0)
        return -1;
    if (run_open(&l->run, folder, err) < 0)
        return -1;
    if (read_params(l, err) < 0 ||
        (request_is_scoring(r) ? score(l, r, err) : read_predictions(l, err)) < 0) {
        look_close(l);
        return -1;
    }
    return 0;
}

int look_add_facts(json_t *keys, const struct look *l, struct err *err)
{
    const struct run_facts *f = &l->run.facts;
    const char *const hashes[][2] = {{f->sha256.index, "sha256 of the shards' index"},
                                     {f->sha256.tables, "sha256 of the tables"}};

    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        if (hashes[i][0] &&
            json_object_set_new(keys, hashes[i][1], json_sprintf("%.12s", hashes[i][0])) < 0)
            return err_set(err, ERR_NOMEM, "%s", l->run.name);
    if (json_object_set_new(keys, LOOK_ARITHMETIC, json_integer(f->arithmetic)) < 0)
        return err_set(err, ERR_NOMEM, "%s", l->run.name);
    return 0;
}

bool look_is_range_test(const struct look *l)
{
    return l->run.facts.lr_find.steps != FIELD_NO_INT;
}

struct cleaning_record look_cleaning(const struct look *l)
{
    struct cleaning_record r;

    fields_read(cleaning_fields, 0, &r, l->run.facts.cleaning, NULL);
    return r;
}

double look_clean_rate(const struct look *l)
{
    return leaks_are(&l->leaks) ? l->leaks.error_rate : (double)l->errors / l->p->n;
}

void look_close(struct look *l)
{
    json_decref(l->params);
    json_decref(l->relabelled_leaks);
    predictions_free(l->own);
    scoring_free(&l->scoring);
    run_entry_free(&l->run);
    memset(l, 0, sizeof *l);
}

static void ended_early(const struct look *l, struct err *err)
{
    err_append(err, ": the run %s before its end",
               strcmp(l->run.status, "stopped") == 0  ? "was stopped"
               : strcmp(l->run.status, "killed") == 0 ? "was killed"
                                                      : "failed");
    if (checkpoint_exists(l->run.folder, "last"))
        err_append(err, "; `train --resume %s` resumes it", l->run.name);
    else
        err_append(err, ", with no checkpoint; `train --resume %s` begins it again", l->run.name);
}

int look_needs_predictions(const struct look *l, struct err *err)
{
    if (l->p && l->p->n > 0)
        return 0;
    if (l->p)
        return err_set(err, ERR_INPUT, "%s: predictions of no picture", l->run.folder);
    err_set(err, ERR_INPUT, "%s has no predictions.h5", l->run.folder);
    if (look_is_range_test(l))
        err_append(err, ": it looked for a learning rate; its curve is in plots/lr_find.svg");
    else if (strcmp(l->run.status, "running") == 0)
        err_append(err, ": the run is still in progress, they are written at its end");
    else if (strcmp(l->run.status, "done") == 0)
        err_append(err,
                   ", although the run is done: the file was removed; `eval %s --split valid` "
                   "predicts again",
                   l->run.name);
    else
        ended_early(l, err);
    return -1;
}

/* The last name of the shards' folder: by the checkpoint, else by run.json. */
static int name_shards(char out[PATH_LEN], const struct look *l)
{
    struct checkpoint_record r = {.presize = FIELD_NO_INT};
    json_t *state;

    if (checkpoint_state(&state, l->run.folder, "last", NULL) == 0) {
        checkpoint_record_read(&r, state);
        json_decref(state);
    }
    if (r.presize > 0)
        return path_format(out, NULL, "shards-%" PRId64, r.presize);
    return path_format(out, NULL, "%s", path_base(or_text(l->run.facts.shards, "")));
}

static bool has_index(const char *folder)
{
    char index[PATH_LEN];

    return path_format(index, NULL, "%s/index.json", folder) == 0 && path_is_file(index);
}

void look_find_shards(char out[PATH_LEN], const struct look *l, const struct request *r)
{
    const char *folder = or_text(l->run.facts.shards, "");
    const char *own = json_text_at(l->params, "data.set", NULL, or_text(l->run.facts.set, ""));
    const char *set = r->set ? r->set : own;
    char name[PATH_LEN];

    if (name_shards(name, l) == 0 && path_format(out, NULL, "%s/%s/%s", r->data, set, name) == 0 &&
        has_index(out))
        return;
    if (strcmp(set, own) == 0 && !r->data_given && path_format(out, NULL, "%s", folder) == 0 &&
        has_index(out))
        return;
    out[0] = 0;
}

struct shard_set *look_open_shards(const struct look *l, const struct request *r, struct err *why)
{
    const char *recorded = l->run.facts.sha256.index;
    struct shard_set *shards;
    char folder[PATH_LEN];

    look_find_shards(folder, l, r);
    if (!folder[0]) {
        err_set(why, ERR_INPUT, "the shards of %s are not there (--data)",
                r->set ? r->set : or_text(l->run.facts.set, "its set"));
        return NULL;
    }
    if (shard_set_open(&shards, folder, why) < 0)
        return NULL;
    if (r->set && strcmp(r->set, or_text(l->run.facts.set, "")) != 0)
        return shards;
    if (recorded && strcmp(recorded, shard_set_index_sha256(shards)) == 0)
        return shards;
    err_set(why, ERR_CHECKSUM, "%s was rebuilt after the run; its pictures may differ", folder);
    shard_set_close(shards);
    return NULL;
}
