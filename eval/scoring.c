/* scoring.c - finds stored predictions or makes them; an evaluation on test pictures is noted before it is
 * stored. SPDX-License-Identifier: MIT */
#include "scoring.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "experiment/checkpoint.h"
#include "experiment/checkpoint_record.h"
#include "experiment/infer.h"
#include "experiment/team.h"
#include "group/group.h"
#include "part.h"
#include "run/leaks.h"
#include "run/score.h"

struct job {
    const struct request *r;
    const struct run_entry *run;
    struct experiment *e; /* for its data and device; the trained network has its own */
    const struct backend *backend;
    const char *which;               /* checkpoint: "last" also when the best one is the same */
    json_t *state;                   /* of the checkpoint */
    struct checkpoint_record record; /* of state */
    struct part part;
    struct trained *t; /* NULL until something must be computed */
    bool noted;        /* this command's evaluation on test pictures is in looks.jsonl */
};

static void scored_free(struct scored *s)
{
    json_decref(s->facts);
    predictions_free(s->p);
    memset(s, 0, sizeof *s);
}

void scoring_free(struct scoring *s)
{
    scored_free(&s->plain);
    scored_free(&s->tta);
}

int scoring_check_tta(const struct augment_options *o, const char *run, struct err *err)
{
    if (o->mode != AUGMENT_NONE)
        return 0;
    return err_set(err, ERR_INPUT,
                   "--tta: %s was trained with augment.mode none, so there is nothing to average "
                   "over",
                   run);
}

static void job_close(struct job *j)
{
    trained_close(j->t);
    part_close(&j->part);
    json_decref(j->state);
    experiment_free(j->e);
}

/* Both there and equal. */
static bool same_text(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* Whether the checkpoint has the weights of the last one. */
static bool is_last(const struct job *j)
{
    struct checkpoint_record r;
    json_t *last;
    bool same;

    if (checkpoint_state(&last, j->run->folder, "last", NULL) < 0)
        return false;
    checkpoint_record_read(&r, last);
    same = same_text(r.weights_sha256, j->record.weights_sha256);
    json_decref(last);
    return same;
}

static int job_open(struct job *j, const struct request *r, const struct run_entry *run,
                    struct err *err)
{
    char backend[80];
    char *words[] = {backend};
    struct device device;

    *j = (struct job){.r = r, .run = run};
    snprintf(backend, sizeof backend, "%s", r->backend ? r->backend : "");
    if (experiment_reopen(&j->e, run->folder, words, r->backend ? 1 : 0, err) < 0)
        return -1;
    infer_exec(&j->e->exec);
    j->e->exec.ranks = team_ranks(r->team);
    if (device_open(&device, &j->e->exec, err) < 0)
        return -1;
    j->backend = device.kind;
    device_close(&device); /* its name is part of what a score says of itself; computed is later */
    j->which = r->which ? r->which : experiment_final(j->e);
    if (checkpoint_state(&j->state, run->folder, j->which, err) < 0)
        return -1;
    checkpoint_record_read(&j->record, j->state);
    if (is_last(j))
        j->which = "last";
    if (r->rounds > 0 && scoring_check_tta(&j->e->augment, run->name, err) < 0)
        return -1;
    return part_open(&j->part, r, run, j->e, &j->record, err);
}

/* --- what a score says of itself ------------------------------------------------------------------ */

/* What the predictions are a function of; the figures come later. NULL: out of memory. */
static json_t *describe(const struct job *j, bool tta)
{
    const struct part *p = &j->part;
    struct score_record r;

    fields_clear(score_fields, &r);
    r.set = p->set;
    r.part = p->name;
    r.split = p->split[0] ? p->split : NULL;
    r.pictures = p->n;
    r.weights = j->which;
    r.weights_sha256 = j->record.weights_sha256;
    r.index_sha256 = shard_set_index_sha256(p->shards);
    r.backend = j->backend->name;
    if (tta)
        r.tta = (struct score_tta){j->r->rounds, j->r->beta};
    return fields_json(score_fields, &r);
}

/* The path of the part's picture I where it has a duplicate in training. */
static const char *leak(const void *ctx, uint32_t i)
{
    const struct part *p = ctx;
    const uint32_t rank = p->ranks[i];

    return p->parts->leaks[rank] ? shard_set_picture(p->shards, rank)->path : NULL;
}

static int add_figures(struct scored *s, const struct part *part, struct err *err)
{
    const struct predictions *p = s->p;
    double loss = 0;
    struct score_record r;
    json_t *facts, *clean = NULL;

    if (part->own && part->parts &&
        leaks_find(&clean, p->n, p->actual, p->predicted, leak, part, err) < 0)
        return -1;
    s->errors = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        s->errors += p->predicted[i] != p->actual[i];
        loss += (double)p->loss[i];
    }
    fields_read(score_fields, SCORE_VERSION, &r, s->facts, NULL);
    r.errors = s->errors;
    r.error_rate = (double)s->errors / p->n;
    r.loss = loss / p->n;
    fields_read(leaks_fields, 0, &r.without_leaks, clean, NULL);
    facts = fields_json(score_fields, &r);
    json_decref(clean);
    if (!facts)
        return err_set(err, ERR_NOMEM, "score.json");
    json_decref(s->facts);
    s->facts = facts;
    fields_read(score_fields, SCORE_VERSION, &s->record, s->facts, NULL);
    return 0;
}

static int name_folder(struct scored *s, const struct job *j, bool tta, struct err *err)
{
    return path_format(s->folder, err, "%s/scores/%s/%s%s%s", j->run->folder, j->part.set,
                       j->part.name, strcmp(j->which, "last") ? "-best" : "", tta ? "-tta" : "");
}

/* --- what is there -------------------------------------------------------------------------------- */

/* Whether P are predictions of the part's pictures, in its order, under the same labels. */
static bool is_of_part(const struct predictions *p, const struct part *part)
{
    bool same = p->n == part->n;

    for (uint32_t i = 0; same && i < p->n; i++) {
        const struct shard_picture *picture = shard_set_picture(part->shards, part->ranks[i]);

        same =
            strcmp(p->ids[i], picture->path) == 0 && p->actual[i] == part->labels[picture->label];
    }
    return same;
}

static bool has_members(const json_t *of, const json_t *wanted)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)wanted, key, value)
    {
        if (!json_equal(json_object_get(of, key), value))
            return false;
    }
    return true;
}

/* Whether the run was finished with just these predictions: of the same weights, in its folder. */
static bool is_validation(const struct job *j, bool tta)
{
    return !tta && j->part.own && strcmp(j->part.name, "valid") == 0 &&
           strcmp(j->run->status, "done") == 0 &&
           same_text(j->run->facts.backend, j->backend->name) &&
           same_text(j->run->figures.final.weights_sha256, j->record.weights_sha256);
}

/* 1 when the predictions in S->folder are those that are asked for, 0 when not; damage counts as not. */
static int find_stored(struct scored *s, const struct job *j, bool tta, struct err *err)
{
    json_t *facts = NULL;
    struct err why;
    bool found;

    if (is_validation(j, tta)) {
        found = path_format(s->folder, NULL, "%s", j->run->folder) == 0;
    } else {
        if (name_folder(s, j, tta, err) < 0)
            return -1;
        found = score_read(&facts, s->folder, &why) == 0 && has_members(facts, s->facts);
        json_decref(facts);
    }
    if (found && predictions_read(&s->p, s->folder, &why) == 0) {
        if (is_of_part(s->p, &j->part))
            return add_figures(s, &j->part, err) < 0 ? -1 : 1;
        predictions_free(s->p);
        s->p = NULL;
    }
    return name_folder(s, j, tta, err);
}

/* find_stored() for all processes alike: where one finds nothing, nobody does. */
static int find_together(struct scored *s, const struct job *j, bool tta, struct err *err)
{
    struct group *g = team_group(j->r->team);
    const int found = find_stored(s, j, tta, err);

    if (found < 0 || !g || !group_any(g, found == 0) || found == 0)
        return found;
    predictions_free(s->p);
    s->p = NULL;
    return name_folder(s, j, tta, err);
}

/* --- what is made --------------------------------------------------------------------------------- */

static int open_network(struct job *j, struct err *err)
{
    char backend[80];
    char *words[] = {backend};

    if (j->t)
        return 0;
    snprintf(backend, sizeof backend, "%s", j->r->backend ? j->r->backend : "");
    if (trained_open(&j->t, j->run->folder, j->which, words, j->r->backend ? 1 : 0,
                     team_ranks(j->r->team), err) < 0)
        return err_wrap(err, "%s", j->run->folder);
    return 0;
}

/* Empty predictions with the part's ids and labels. */
static int begin_predictions(struct predictions **out, const struct job *j, struct err *err)
{
    const struct part *part = &j->part;
    struct predictions *p;

    if (predictions_new(&p, part->n, j->t->classes, err) < 0)
        return -1;
    for (uint32_t i = 0; i < p->n; i++) {
        const struct shard_picture *picture = shard_set_picture(part->shards, part->ranks[i]);

        p->actual[i] = part->labels[picture->label];
        p->ids[i] = strdup(picture->path);
        if (!p->ids[i])
            goto nomem;
    }
    for (int c = 0; c < p->classes; c++) {
        p->vocab[c] = strdup(j->t->vocab[c]);
        if (!p->vocab[c])
            goto nomem;
    }
    *out = p;
    return 0;
nomem:
    predictions_free(p);
    return err_set(err, ERR_NOMEM, "predictions");
}

/* PLAIN: the same pictures without augmentation, for TTA; NULL: without. */
static int infer(struct scored *s, struct job *j, const struct scored *plain, struct err *err)
{
    const struct infer_pictures pictures = {.set = j->part.shards,
                                            .ranks = j->part.ranks,
                                            .n = j->part.n,
                                            .verify = j->e->data.verify == VERIFY_CRC,
                                            .labels = j->part.labels};
    const struct tta tta = {.rounds = j->r->rounds,
                            .beta = j->r->beta,
                            .augment = &j->t->experiment->augment,
                            .seed = (uint64_t)j->t->experiment->seed};
    struct predictions *p = s->p;
    struct score unused;
    int rc;

    progress_begin(plain ? "Augmented pictures" : "Pictures",
                   (uint64_t)p->n * (plain ? (uint64_t)tta.rounds : 1));
    if (plain) {
        memcpy(p->prob, plain->p->prob, (size_t)p->n * (size_t)p->classes * sizeof *p->prob);
        rc = infer_tta(j->t->infer, &pictures, &tta, p->prob, p->loss, err);
    } else {
        rc = infer_pictures(j->t->infer, &pictures, p->prob, p->loss, err);
    }
    progress_end();
    if (rc == 0)
        infer_score(&unused, p->n, p->classes, p->prob, p->loss, p->actual, p->predicted);
    return rc;
}

/* Test pictures serve once, at the end. Each command that evaluates on them is one look, with TTA, too: the looks
 * count decisions, and both figures of a command are there before any decision. */
static int note_look(struct job *j, struct err *err)
{
    json_t *facts;
    unsigned n;
    int rc;

    if (j->noted || strcmp(j->part.name, "test") != 0)
        return 0;
    facts = describe(j, j->r->rounds > 0);
    if (!facts)
        return err_set(err, ERR_NOMEM, "looks.jsonl");
    rc = look_note(j->run->folder, facts, err);
    json_decref(facts);
    if (rc < 0)
        return -1;
    j->noted = true;
    n = look_count(j->run->folder, j->part.set);
    if (n == 1)
        log_info(
            "the first evaluation of %s on the test split of %s; evaluate there once, when every "
            "choice is made",
            j->run->name, j->part.set);
    else
        log_warn("evaluation %u of %s on the test split of %s: a choice made on test pictures "
                 "cannot be tested on them",
                 n, j->run->name, j->part.set);
    return 0;
}

static int store(struct scored *s, struct job *j, struct err *err)
{
    char path[PATH_LEN];

    if (note_look(j, err) < 0 ||
        path_make_dirs_below(j->run->folder, s->folder + strlen(j->run->folder) + 1, err) < 0 ||
        path_format(path, err, "%s/score.json", s->folder) < 0)
        return -1;
    /* The mark goes first and comes last: what lies there otherwise is never taken for whole. */
    if (path_remove_tree(path, err) < 0)
        return -1;
    if (predictions_write(s->p, s->folder, err) < 0 || add_figures(s, &j->part, err) < 0)
        return -1;
    return score_write(s->folder, s->facts, err);
}

static int get_one(struct scored *s, struct job *j, const struct scored *plain, struct err *err)
{
    int found;

    s->facts = describe(j, plain != NULL);
    if (!s->facts)
        return err_set(err, ERR_NOMEM, "score.json");
    found = find_together(s, j, plain != NULL, err);
    if (found != 0)
        return found < 0 ? -1 : 0;
    if (open_network(j, err) < 0 || begin_predictions(&s->p, j, err) < 0 ||
        infer(s, j, plain, err) < 0)
        return -1;
    return team_leads(j->r->team) ? store(s, j, err) : add_figures(s, &j->part, err);
}

/* Several processes score the same pictures with the same weights. */
static int check_team(const struct job *j, struct err *err)
{
    const struct part *p = &j->part;
    json_t *facts = describe(j, j->r->rounds > 0);
    char *text = facts ? json_text(facts, 0) : NULL, hex[SHA256_HEX];
    struct sha256 *sha = NULL;
    int rc = text ? sha256_new(&sha, err) : err_set(err, ERR_NOMEM, "score.json");

    if (rc == 0) {
        sha256_update(sha, text, strlen(text));
        sha256_update(sha, p->ranks, p->n * sizeof *p->ranks);
        sha256_hex(sha, hex);
        sha256_free(sha);
        rc = group_same(team_group(j->r->team), "weights, pictures or options", hex, err);
    }
    free(text);
    json_decref(facts);
    return rc;
}

int scoring_get(struct scoring *out, const struct request *r, const struct run_entry *run,
                struct err *err)
{
    struct job j;
    int rc;

    memset(out, 0, sizeof *out);
    rc = job_open(&j, r, run, err);
    if (rc == 0 && r->team)
        rc = check_team(&j, err);
    if (rc == 0)
        rc = get_one(&out->plain, &j, NULL, err);
    if (rc == 0 && r->rounds > 0)
        rc = get_one(&out->tta, &j, &out->plain, err);
    if (rc == 0 && strcmp(j.part.name, "test") == 0)
        out->looks = look_count(run->folder, j.part.set);
    job_close(&j);
    if (rc < 0)
        scoring_free(out);
    return rc;
}
