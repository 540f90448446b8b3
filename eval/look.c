/* look.c - reads what every view of a run needs.
 * SPDX-License-Identifier: MIT */
#include "look.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/path.h"
#include "base/yaml.h"
#include "experiment/checkpoint.h"
#include "experiment/experiment.h"
#include "record/score.h"

/* The run's keys as today's; as it wrote them where today's cannot be had, with the reason. */
static int read_params(struct look *l, struct err *err)
{
    char path[PATH_LEN];
    struct experiment *e = NULL;
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
        if (json_is_object(l->params))
            return 0;
        json_decref(l->params);
    }
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
    l->without_leaks = json_object_get(l->run.metrics, "without_leaks");
    l->folder = l->run.folder;
    for (uint32_t i = 0; i < l->p->n; i++)
        l->errors += l->p->predicted[i] != l->p->actual[i];
    snprintf(l->pictures, sizeof l->pictures, "validation pictures of %s, %s",
             look_text(l->run.run, "set", NULL, "?"),
             look_text(l->run.run, "split", NULL, "split unknown"));
    return 0;
}

static int score(struct look *l, const struct request *r, struct err *err)
{
    const struct scored *s = r->rounds > 0 ? &l->scoring.tta : &l->scoring.plain;

    if (scoring_get(&l->scoring, r, &l->run, err) < 0)
        return -1;
    l->p = s->p;
    l->errors = s->errors;
    l->without_leaks = json_object_get(s->facts, "without_leaks");
    l->folder = s->folder;
    score_text(l->pictures, sizeof l->pictures, s->facts);
    return 0;
}

int look_open(struct look *l, const struct request *r, const char *run, struct err *err)
{
    char folder[PATH_LEN];

    memset(l, 0, sizeof *l);
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
    static const char *const facts[][2] = {{"index", "sha256 of the shards' index"},
                                           {"tables", "sha256 of the tables"}};

    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        const char *hex = look_text(l->run.run, "sha256", facts[i][0], NULL);

        if (hex && json_object_set_new(keys, facts[i][1], json_sprintf("%.12s", hex)) < 0)
            return err_set(err, ERR_NOMEM, "%s", l->run.name);
    }
    if (json_object_set_new(keys, LOOK_ARITHMETIC, json_integer(run_arithmetic(l->run.run))) < 0)
        return err_set(err, ERR_NOMEM, "%s", l->run.name);
    return 0;
}

double look_clean_rate(const struct look *l)
{
    const json_t *rate = json_object_get(l->without_leaks, "error_rate");

    return rate ? json_number_value(rate) : (double)l->errors / l->p->n;
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
    if (json_object_get(l->run.run, "lr_find"))
        err_append(err, ": it looked for a learning rate; its curve is in plots/lr_find.svg");
    else if (strcmp(l->run.status, "running") == 0)
        err_append(err, ": the run is still in progress, they are written at its end");
    else if (strcmp(l->run.status, "done") == 0)
        err_append(err, ", although the run is done: the file was removed");
    else
        ended_early(l, err);
    return -1;
}

/* The last name of the shards' folder: by the checkpoint, else by run.json. */
static int name_shards(char out[PATH_LEN], const struct look *l)
{
    json_int_t size = 0;
    json_t *state;

    if (checkpoint_state(&state, l->run.folder, "last", NULL) == 0) {
        size = json_integer_value(json_object_get(state, "presize"));
        json_decref(state);
    }
    if (size > 0)
        return path_format(out, NULL, "shards-%" JSON_INTEGER_FORMAT, size);
    return path_format(out, NULL, "%s", path_base(look_text(l->run.run, "shards", NULL, "")));
}

static bool has_index(const char *folder)
{
    char index[PATH_LEN];

    return path_format(index, NULL, "%s/index.json", folder) == 0 && path_is_file(index);
}

void look_find_shards(char out[PATH_LEN], const struct look *l, const struct request *r)
{
    const char *folder = look_text(l->run.run, "shards", NULL, "");
    const char *own =
        look_text(l->params, "data.set", NULL, look_text(l->run.run, "set", NULL, ""));
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
    const char *recorded = look_text(l->run.run, "sha256", "index", NULL);
    struct shard_set *shards;
    char folder[PATH_LEN];

    look_find_shards(folder, l, r);
    if (!folder[0]) {
        err_set(why, ERR_INPUT, "the shards of %s are not there (--data)",
                r->set ? r->set : look_text(l->run.run, "set", NULL, "its set"));
        return NULL;
    }
    if (shard_set_open(&shards, folder, why) < 0)
        return NULL;
    if (r->set && strcmp(r->set, look_text(l->run.run, "set", NULL, "")) != 0)
        return shards;
    if (recorded && strcmp(recorded, shard_set_index_sha256(shards)) == 0)
        return shards;
    err_set(why, ERR_CHECKSUM, "%s was rebuilt after the run; its pictures may differ", folder);
    shard_set_close(shards);
    return NULL;
}

const json_t *look_get(const json_t *object, const char *a, const char *b)
{
    const json_t *found = json_object_get(object, a);

    return b ? json_object_get(found, b) : found;
}

const char *look_text(const json_t *object, const char *a, const char *b, const char *fallback)
{
    const char *text = json_string_value(look_get(object, a, b));

    return text ? text : fallback;
}
