/* verify_record.c - what a run's records say, against one another and against what its recipe lets be.
 * SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "data/offenders.h"
#include "data/split.h"
#include "experiment/checkpoint.h"
#include "experiment/checkpoint_record.h"
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

static void differ(struct offenders *o, const char *name, const char *is, const char *due)
{
    if (strcmp(is ? is : "", due ? due : "") != 0)
        offenders_add(o, "%s", name);
}

/* The folder that "shards" names must be that of the set and of the size in the checkpoint. */
static bool is_shards(const char *folder, const char *set, int64_t size)
{
    char end[PATH_LEN];
    size_t n, m;

    if (!folder || path_format(end, NULL, "%s/shards-%" PRId64, set, size) < 0)
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
    const struct run_facts *run = &c->l->run.facts;
    struct offenders o = {0};
    struct checkpoint_record r;
    json_t *state = NULL;
    char cut[1200];

    if (!c->e)
        return;
    if (checkpoint_state(&state, c->l->run.folder, "last", NULL) < 0)
        state = NULL;
    split_text(cut, sizeof cut, &c->e->data);
    differ(&o, "set", run->set, c->e->data.set);
    differ(&o, "title", run->title, c->e->title);
    differ(&o, "split", run->split, cut);
    differ(&o, "precision.asked", run->precision.asked, precisions[c->e->train.precision]);
    if (run->seed != c->e->seed)
        offenders_add(&o, "seed");
    if (state) {
        checkpoint_record_read(&r, state);
        differ(&o, "experiment", run->experiment, r.experiment);
        differ(&o, "precision.ran", run->precision.ran, r.precision);
        if (run->classes != (int64_t)json_array_size(r.vocab))
            offenders_add(&o, "classes");
        if (!is_shards(run->shards, c->e->data.set, r.presize))
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
    struct resume_record resume;
    struct checkpoint_record r;
    char hex[SHA256_HEX];
    json_t *state;
    bool same = true;

    if (checkpoint_state(&state, c->l->run.folder, "last", NULL) < 0)
        return true;
    checkpoint_record_read(&r, state);
    fields_read(resume_fields, 0, &resume, r.resume, NULL);
    if (resume.metrics_sha256) {
        const int64_t n = resume.metrics_bytes;

        same = n >= 0 && (size_t)n <= size;
        if (same) {
            sha256_of(text, (size_t)n, hex);
            same = strcmp(hex, resume.metrics_sha256) == 0;
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
    if (json_equal(json_at(m, "last", NULL), h->last) &&
        json_equal(json_at(m, "best", NULL), h->best) &&
        json_equal(json_at(m, "final", NULL), final))
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
    else if (!done && c->l->run.metrics && c->l->run.facts.files)
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
    if (!c->e || look_is_range_test(c->l))
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
