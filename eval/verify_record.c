/* verify_record.c - what a run's records say, against one another and against what its recipe lets be.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "data/offenders.h"
#include "base/text.h"
#include "data/split.h"
#include "experiment/checkpoint.h"
#include "experiment/history.h"
#include "verify_private.h"

enum { PHASES_MAX = 2 * KEY_LIST_MAX };
static const size_t metrics_max = (size_t)1 << 28; /* bytes */

/* --- run.json ------------------------------------------------------------------------------------- */

static void check_record(struct chain *c)
{
    struct err err;

    switch (run_check_record(c->l->run.run, &err)) {
    case 1:
        chain_say(c, "run.json", RESULT_OK, "every member as it was written");
        break;
    case 0:
        chain_say(c, "run.json", RESULT_FAILED, "%s", err.msg);
        break;
    default:
        chain_say(c, "run.json", RESULT_UNCHECKED, "an older one, without a hash of itself");
    }
}

static void differ(struct offenders *o, const char *name, const json_t *is, const char *due)
{
    const char *text = json_string_value(is);

    if (strcmp(text ? text : "", due) != 0)
        offenders_add(o, "%s", name);
}

/* The folder that "shards" names must be that of the set and of the size in the checkpoint. */
static bool is_shards(const char *folder, const char *set, const json_t *state)
{
    const json_int_t size = json_integer_value(json_object_get(state, "presize"));
    char end[PATH_LEN];
    size_t n, m;

    if (path_format(end, NULL, "%s/shards-%" JSON_INTEGER_FORMAT, set, size) < 0)
        return false;
    n = strlen(folder);
    m = strlen(end);
    return n > m && folder[n - m - 1] == '/' && strcmp(folder + n - m, end) == 0;
}

/* What run.json says in words and numbers, against resolved.yaml and the last checkpoint. */
static void check_facts(struct chain *c)
{
    static const char *const precisions[] = {
        [PRECISION_FP32] = "fp32", [PRECISION_BF16] = "bf16", [PRECISION_FP16] = "fp16"};
    const json_t *run = c->l->run.run;
    struct offenders o = {0};
    json_t *state = NULL;
    char cut[1200];

    if (!c->e)
        return;
    if (checkpoint_state(&state, c->l->run.folder, "last", NULL) < 0)
        state = NULL;
    split_text(cut, sizeof cut, &c->e->data);
    differ(&o, "set", look_get(run, "set", NULL), c->e->data.set);
    differ(&o, "title", look_get(run, "title", NULL), c->e->title);
    differ(&o, "split", look_get(run, "split", NULL), cut);
    differ(&o, "precision.asked", look_get(run, "precision", "asked"),
           precisions[c->e->train.precision]);
    if (json_integer_value(look_get(run, "seed", NULL)) != c->e->seed)
        offenders_add(&o, "seed");
    if (state) {
        differ(&o, "experiment", look_get(run, "experiment", NULL),
               look_text(state, "experiment", NULL, ""));
        differ(&o, "precision.ran", look_get(run, "precision", "ran"),
               look_text(state, "precision", NULL, ""));
        if (json_integer_value(look_get(run, "classes", NULL)) !=
            (json_int_t)json_array_size(look_get(state, "vocab", NULL)))
            offenders_add(&o, "classes");
        if (!is_shards(look_text(run, "shards", NULL, ""), c->e->data.set, state))
            offenders_add(&o, "shards");
    }
    if (o.n == 0)
        chain_say(c, "facts", RESULT_OK, "run.json says what resolved.yaml and the checkpoint say");
    else
        chain_say(c, "facts", RESULT_FAILED,
                  "run.json has another %s than resolved.yaml and the checkpoint", o.text);
    json_decref(state);
}

/* --- metrics -------------------------------------------------------------------------------------- */

/* Of a run that was not finished: what its last checkpoint says of the lines. */
static bool check_cut(struct chain *c, const char *text, size_t size)
{
    const json_t *resume, *bytes;
    const char *expected;
    char hex[SHA256_HEX];
    json_t *state;
    bool same = true;

    if (checkpoint_state(&state, c->l->run.folder, "last", NULL) < 0)
        return true;
    resume = json_object_get(state, "resume");
    expected = json_string_value(json_object_get(resume, "metrics_sha256"));
    bytes = json_object_get(resume, "metrics_bytes");
    if (expected) {
        const json_int_t n = json_integer_value(bytes);

        same = n >= 0 && (size_t)n <= size;
        if (same) {
            sha256_of(text, (size_t)n, hex);
            same = strcmp(hex, expected) == 0;
        }
    }
    json_decref(state);
    if (!same)
        chain_say(c, "metrics", RESULT_FAILED,
                  "metrics.jsonl is not as it was when last.json was written");
    return same;
}

/* metrics.json repeats lines of metrics.jsonl. */
static bool check_metrics(struct chain *c, const struct history *h)
{
    const json_t *m = c->l->run.metrics;
    const json_t *final = c->e->train.watch.finish == FINISH_BEST ? h->best : h->last;

    if (!m || !h->last)
        return true;
    if (json_equal(json_object_get(m, "last"), h->last) &&
        json_equal(json_object_get(m, "best"), h->best) &&
        json_equal(json_object_get(m, "final"), final))
        return true;
    chain_say(c, "metrics", RESULT_FAILED, "metrics.json does not say what metrics.jsonl does");
    return false;
}

/* The epochs, followed through the recipe; steps where the number of training pictures is known. */
static void check_epochs(struct chain *c, const char *text, size_t size, const char *path)
{
    const struct train_options *t = &c->e->train;
    struct run_phase phases[PHASES_MAX];
    uint32_t steps[PHASES_MAX];
    struct history_recipe recipe = {.phases = phases, .watch = &t->watch};
    const bool done = strcmp(c->l->run.status, "done") == 0;
    struct history h = {0};
    struct err err;

    if (recipe_expand(phases, &recipe.n_phases, t, &c->e->optim, &err) < 0) {
        chain_say(c, "metrics", RESULT_FAILED, "%s", err.msg);
        return;
    }
    for (int i = 0; i < recipe.n_phases; i++)
        steps[i] = c->n_train / (uint32_t)phases[i].batch / (uint32_t)t->accumulate;
    recipe.steps = c->n_train ? steps : NULL;
    if (history_read(&h, &recipe, text, size, path, &err) < 0)
        chain_say(c, "metrics", RESULT_FAILED, "%s", err.msg);
    else if (done && h.at.phase < recipe.n_phases)
        chain_say(c, "metrics", RESULT_FAILED,
                  "%u epoch%s, but the recipe has more: the run is not done", h.at.epoch,
                  PLURAL(h.at.epoch));
    else if (!done && c->l->run.metrics && json_object_get(c->l->run.run, "files"))
        chain_say(c, "metrics", RESULT_FAILED, "the run is %s, but has what a finished run has",
                  c->l->run.status);
    else if (check_metrics(c, &h))
        chain_say(c, "metrics", RESULT_OK, "%u epoch%s, as the recipe has them%s", h.at.epoch,
                  PLURAL(h.at.epoch), done ? "" : " so far");
    history_free(&h);
}

void verify_record(struct chain *c)
{
    char path[PATH_LEN], *text;
    struct err err;
    size_t size;

    check_record(c);
    if (!c->e || look_get(c->l->run.run, "lr_find", NULL))
        return;
    check_facts(c);
    if (path_format(path, &err, "%s/metrics.jsonl", c->l->run.folder) < 0 ||
        path_read(&text, &size, path, metrics_max, &err) < 0) {
        chain_say(c, "metrics", RESULT_FAILED, "%s", err.msg);
        return;
    }
    if (strcmp(c->l->run.status, "running") == 0)
        chain_say(c, "metrics", RESULT_UNCHECKED, "the run is still in progress");
    else if (check_cut(c, text, size))
        check_epochs(c, text, size, path);
    free(text);
}
