/* begin.c - from a request to a run folder: checks first, the folder only when training can start.
 * SPDX-License-Identifier: MIT */
#include "learn/begin.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/text.h"
#include "experiment/checkpoint.h"
#include "experiment/checkpoint_record.h"
#include "experiment/team.h"
#include "learn/cleaned.h"
#include "learn/facts.h"
#include "learn/finish.h"
#include "learn/fit.h"
#include "learn/loop.h"
#include "learn/useful.h"
#include "nn/weights.h"

/* Trains and finishes; RUN (NULL in all processes but the first) is finished or failed, and freed, in any case. */
static int train_through(struct session *s, struct run *run, const char *folder, struct state *st,
                         const struct request *r, struct err *err)
{
    struct verdict v = {0};
    int rc;

    st->table = r->table;
    rc = loop_run(s, run, st, &v, r->stop_after, err);
    if (rc == 0)
        rc = finish_run(s, run, folder, st, &v, err);
    verdict_free(&v);
    team_watch(r->team, NULL);
    if (rc < 0) {
        run_fail(run, err);
        return -1;
    }
    return run_finish(run, err);
}

/* What the caller does with the session in place of a training. */
static int other_through(struct session *s, struct run *run, const struct request *r,
                         struct err *err)
{
    if (r->instead(s, run, err) < 0) {
        run_fail(run, err);
        return -1;
    }
    return run_finish(run, err);
}

int begin_check_name(const char *name, struct err *err)
{
    char quoted[400];

    if (*name && *name != '.' && strlen(name) <= 255 && !strchr(name, '/') && !text_fault(name))
        return 0;
    text_quote(quoted, sizeof quoted, name);
    return err_set(err, ERR_INPUT,
                   "--name '%s': a run's name is 1 to 255 printable characters without '/', not "
                   "starting with '.'",
                   quoted);
}

/* The folder that the run is made in: of all runs, or of a study's. */
static const char *place_of(const struct request *r)
{
    return r->in ? r->in : r->results;
}

/* --name, or one made from time, experiment and configuration that no run has yet. */
static int run_name(char out[256], const struct request *r, const struct session *s,
                    struct err *err)
{
    char now[32], path[PATH_LEN];
    int n, used;

    if (r->name) {
        snprintf(out, 256, "%s", r->name);
        return begin_check_name(out, err);
    }
    clock_utc_compact(now, sizeof now);
    used = snprintf(out, 256, "%s-%s%s-%.8s", now, s->e->name, r->instead ? r->suffix : "",
                    s->config_sha256);
    for (n = 2; n < 1000 && used > 0 && used < 240; n++) {
        if (path_format(path, err, "%s/%s", place_of(r), out) < 0)
            return -1;
        if (!path_exists(path))
            break;
        snprintf(out + used, 256 - (size_t)used, "-%d", n);
    }
    return begin_check_name(out, err);
}

static int name_is_free(const struct request *r, struct err *err)
{
    char path[PATH_LEN];

    if (!r->name)
        return 0;
    if (path_format(path, err, "%s/%s", place_of(r), r->name) < 0)
        return -1;
    if (!path_exists(path))
        return 0;
    err_set(err, ERR_INPUT, "%s exists: a run is never overwritten; choose another --name", path);
    if (path_format(path, err, "%s/%s/resolved.yaml", place_of(r), r->name) == 0 &&
        path_exists(path))
        err_append(err, ", or resume it: `train --resume %s`", r->name);
    else
        err_append(err, ", or remove that one, which has no record to resume from");
    return -1;
}

static void say_what_runs(const struct session *s)
{
    char split[PATH_LEN], rest[64] = "";

    split_text(split, sizeof split, &s->e->data);
    if (s->e->data.split != SPLIT_RANDOM && s->e->data.split != SPLIT_HASH)
        snprintf(rest, sizeof rest, " %u to test, %u left out,", s->split->n_test,
                 s->split->n_left_out);
    log_info("%s: %s on %u pictures of %s, %u to validate,%s %s, %d classes; %s on %s (%s), %d "
             "thread%s",
             s->e->name, arch_name(s->e->model.arch), s->split->n_train, s->e->data.set,
             s->split->n_valid, rest, split, s->network->classes, dtype_name(s->dtype),
             s->device.kind->name, s->device.info.library, s->device.info.threads,
             PLURAL(s->device.info.threads));
    remarks_print(&s->split->remarks);
    if (s->precision_note)
        log_warn("train.precision: %s", s->precision_note);
    if (s->device.info.slow[0])
        log_warn("%s", s->device.info.slow);
}

/* The one experiment E, by all processes. */
static int open_session(struct session **s, struct experiment *e, const struct request *r,
                        struct err *err)
{
    struct group *g = team_group(r->team);
    char text[160], backend[SHA256_HEX] = "";

    e->exec.ranks = team_ranks(r->team);
    if (session_open(s, e, r->data, r->results, err) < 0)
        return -1;
    if (!g)
        return 0;
    if (r->gpus && (*s)->device.kind->shares != SHARES_PICTURES)
        return err_set(err, ERR_INPUT,
                       "--gpus N trains on GPUs (-B cuda), and this is %s%s%s: --ranks N trains in "
                       "N processes on the CPU",
                       (*s)->device.kind->name, (*s)->device.info.note[0] ? ": " : "",
                       (*s)->device.info.note);
    if ((*s)->device.kind->shares == SHARES_MICROBATCHES)
        snprintf(text, sizeof text, "%d thread%s, %.120s", (*s)->device.info.threads,
                 PLURAL((*s)->device.info.threads), (*s)->device.info.device);
    else
        snprintf(text, sizeof text, "device %d, %.120s", (*s)->device.info.number,
                 (*s)->device.info.device);
    if (group_introduce(g, text, err) < 0)
        return -1;
    snprintf(backend, sizeof backend, "%s", (*s)->device.kind->name);
    if (group_same(g, "backend", backend, err) < 0 ||
        group_same(g, "keys", (*s)->config_sha256, err) < 0 ||
        group_same(g, "shards", shard_set_index_sha256((*s)->shards), err) < 0)
        return -1;
    return group_same(g, "tables", (*s)->tables_sha256, err);
}

/* Rank 0's to all, who wait for it. */
static int share_folder(const struct request *r, char folder[PATH_LEN], struct err *err)
{
    struct group *g = team_group(r->team);
    char(*all)[PATH_LEN];

    if (!g)
        return 0;
    all = calloc((size_t)group_size(g), sizeof *all);
    if (!all)
        return err_set(err, ERR_NOMEM, "%d processes", group_size(g));
    memcpy(all[group_rank(g)], folder, sizeof *all);
    group_share(g, all, sizeof *all);
    memcpy(folder, all[0], sizeof *all);
    free(all);
    return 0;
}

static int open_run(struct run **run, const struct request *r, struct session *s, struct state *st,
                    char folder[PATH_LEN], struct err *err)
{
    char name[256];
    json_t *facts;
    int rc, tries = 0;

    if (fit_check(s, NULL, err) < 0 || session_phase(s, 0, err) < 0 ||
        session_weights(s, r->data, r->results, err) < 0)
        return -1;
    if (weights_sha256(st->initial_sha256, &s->device, s->network, err) < 0)
        return -1;
    if (group_same(team_group(r->team), "initial weights", st->initial_sha256, err) < 0)
        return -1;
    if (r->signals)
        loop_catch_signals(); /* from here on there is something to keep */
    if (!team_leads(r->team))
        return 0;
    if (facts_collect(&facts, s, r->argc, r->argv, r->git, st->initial_sha256, err) < 0)
        return -1;
    do { /* another run that begins in the same second may take a made name first */
        rc = run_name(name, r, s, err);
        if (rc == 0)
            rc = run_begin(run, place_of(r), name, facts, err);
    } while (rc < 0 && !r->name && err->kind == ERR_INPUT && ++tries < 8);
    json_decref(facts);
    if (rc < 0)
        return -1;
    return path_format(folder, err, "%s", run_folder(*run));
}

/* Before anything is closed that the others may still need. */
static void end_team(const struct request *r, int rc, const struct err *err)
{
    if (r->team && rc < 0)
        team_fail(r->team, err);
    team_leave(r->team);
}

/* What the run was begun with, as files in its folder and for TensorBoard. */
static int write_inputs(const struct session *s, struct run *run, struct err *err)
{
    const char *folder = run_folder(run);
    json_t *keys;
    int rc;

    if (cleaned_write(s, folder, err) < 0 || experiment_write(s->e, folder, err) < 0 ||
        experiment_params(&keys, s->e, err) < 0)
        return -1;
    rc = run_hparams(run, keys, err);
    json_decref(keys);
    return rc;
}

int begin_open(struct session **s, struct state *st, struct run **run, char folder[PATH_LEN],
               const struct request *r, struct err *err)
{
    struct experiment *e;

    if (name_is_free(r, err) < 0 || useful_read(&e, r->experiment, r->words, r->n_words, err) < 0 ||
        open_session(s, e, r, err) < 0 || open_run(run, r, *s, st, folder, err) < 0)
        return -1;
    say_what_runs(*s);
    return write_inputs(*s, *run, err);
}

int begin_run(const struct request *r, char folder[PATH_LEN], struct err *err)
{
    struct experiment *e;
    struct session *s = NULL;
    struct state st;
    struct run *run = NULL;
    int rc = -1;

    folder[0] = 0;
    state_begin(&st);
    if (team_leads(r->team) && name_is_free(r, err) < 0)
        goto out;
    if (useful_read(&e, r->experiment, r->words, r->n_words, err) < 0 ||
        open_session(&s, e, r, err) < 0 || open_run(&run, r, s, &st, folder, err) < 0)
        goto out;
    if (share_folder(r, folder, err) < 0) {
        if (run)
            run_fail(run, err);
        goto out;
    }
    sandbox_enter(&(struct sandbox_place){folder, SANDBOX_WRITE}, run ? 1 : 0);
    say_what_runs(s);
    team_watch(r->team, run);
    if (run && write_inputs(s, run, err) < 0) {
        team_watch(r->team, NULL);
        run_fail(run, err);
        goto out;
    }
    if (r->instead)
        rc = other_through(s, run, r, err);
    else
        rc = train_through(s, run, folder, &st, r, err);
out:
    end_team(r, rc, err);
    state_free(&st);
    session_close(s);
    return rc;
}

/* Keys that --resume may set are those that change no bit. */
static int check_words(const struct request *r, const char *folder, const struct session *s,
                       struct err *err)
{
    struct experiment *before;
    char hex[SHA256_HEX];
    int rc;

    if (r->n_words == 0)
        return 0;
    if (experiment_reopen(&before, folder, NULL, 0, err) < 0)
        return -1;
    rc = experiment_sha256(before, hex, err);
    experiment_free(before);
    if (rc < 0)
        return -1;
    if (strcmp(hex, s->config_sha256) == 0)
        return 0;
    for (int i = 0; i < r->n_words; i++) {
        char key[256];

        snprintf(key, sizeof key, "%.*s", (int)strcspn(r->words[i], "="), r->words[i]);
        if (!experiment_is_harmless(key))
            return err_in(err, NULL,
                          "%s: --resume keeps the experiment, and %s changes the result; "
                          "a new run takes it: `train --exp %s/resolved.yaml %s`",
                          r->words[i], key, folder, r->words[i]);
    }
    return err_set(err, ERR_FORMAT, "%s: resolved.yaml is of another experiment than before",
                   folder);
}

static int stops_later(const struct request *r, const char *folder, const struct state *st,
                       struct err *err)
{
    if (r->stop_after == 0 || st->at.epoch < r->stop_after)
        return 0;
    return err_set(err, ERR_INPUT, "--stop-after %jd: %s has %u epoch%s behind it already",
                   (intmax_t)r->stop_after, folder, st->at.epoch, PLURAL(st->at.epoch));
}

static int note_resume(struct run *run, const struct request *r, const struct session *s,
                       const struct state *st, struct err *err)
{
    char now[32];
    json_t *argv = json_array(), *note;
    int rc;

    clock_utc(now, sizeof now);
    for (int i = 0; argv && i < r->argc; i++)
        json_array_append_new(argv, json_string(r->argv[i]));
    note = json_pack("{s:{s:s, s:I, s:o}, s:o}", "resumed", "at", now, "epoch",
                     (json_int_t)st->at.epoch, "argv", argv, "ranks", facts_ranks(s));
    if (!note)
        return err_set(err, ERR_NOMEM, "run.json");
    rc = run_note(run, note, err);
    json_decref(note);
    return rc;
}

/* Rank 0 puts the files in order, once all have read their state. */
static int settle(const struct request *r, const char *folder, struct err *err)
{
    if (r->team)
        group_meet(team_group(r->team));
    if (team_leads(r->team) &&
        (checkpoint_settle(folder, "best", err) < 0 || checkpoint_settle(folder, "last", err) < 0))
        return -1;
    if (r->team)
        group_meet(team_group(r->team));
    return 0;
}

static int load_last(const struct request *r, struct session *s, const char *folder,
                     const json_t *json, const struct state *st, struct err *err)
{
    int phase = st->at.phase < s->n_phases ? st->at.phase : s->n_phases - 1;

    if (settle(r, folder, err) < 0)
        return -1;
    if (session_phase(s, phase, err) < 0)
        return -1;
    if (checkpoint_load(folder, "last", json, &s->device, s->network, true, NULL, err) < 0)
        return -1;
    return weights_swap_averages(&s->device, s->network, err); /* the averages were stored */
}

/* FOLDER's last checkpoint as JSON; NULL where the run has none yet and begins again from its record. */
static int find_checkpoint(json_t **json, const char *folder, struct err *err)
{
    char path[PATH_LEN];

    *json = NULL;
    if (path_format(path, err, "%s/lr_find.csv", folder) < 0)
        return -1;
    if (path_exists(path))
        return err_set(err, ERR_INPUT, "%s is a range test (--lr-find): there is nothing to resume",
                       folder);
    if (checkpoint_exists(folder, "last"))
        return checkpoint_state(json, folder, "last", err) < 0 ? err_wrap(err, "cannot resume") : 0;
    if (path_format(path, err, "%s/resolved.yaml", folder) < 0)
        return -1;
    if (path_is_file(path))
        return 0;
    return err_set(err, ERR_INPUT,
                   "%s has neither a checkpoint to resume from nor resolved.yaml to begin again "
                   "from: it was ended while it was made; remove it and train again",
                   folder);
}

/* A run's bits are those of one arithmetic from its first step to its last. */
static int check_arithmetic(const char *folder, struct err *err)
{
    struct run_entry run;
    int then, rc = 0;

    if (run_open(&run, folder, err) < 0)
        return -1;
    then = (int)run.facts.arithmetic;
    if (then != ARITHMETIC && strcmp(run.status, "done") != 0) /* run_resume() tells a done one */
        rc = err_set(err, ERR_INPUT,
                     "%s was begun with arithmetic %d and this presize computes with arithmetic "
                     "%d: it cannot resume with bit-identical results. Resume it with the presize "
                     "that began "
                     "it (%s), or train again: `train --exp %s/resolved.yaml exec.conv=own`",
                     folder, then, ARITHMETIC,
                     run.facts.libraries.presize ? run.facts.libraries.presize : "?", folder);
    run_entry_free(&run);
    return rc;
}

/* The experiment in FOLDER, NAME in its checkpoint or its run.json (NULL: it does not say). */
static int reopen(struct session **s, const struct request *r, const char *folder, const char *name,
                  int64_t presize, struct err *err)
{
    struct experiment *e;

    if (check_arithmetic(folder, err) < 0 ||
        experiment_reopen(&e, folder, r->words, r->n_words, err) < 0)
        return -1;
    snprintf(e->name, sizeof e->name, "%s", name ? name : "");
    e->presize = presize; /* whatever else was prepared since */
    if (open_session(s, e, r, err) < 0)
        return -1;
    return check_words(r, folder, *s, err);
}

/* Where its last checkpoint JSON left the run. */
static int reopen_checkpoint(struct session **s, struct state *st, const struct request *r,
                             const char *folder, const json_t *json, struct err *err)
{
    struct checkpoint_record record;
    const struct experiment *e;

    checkpoint_record_read(&record, json);
    if (reopen(s, r, folder, record.experiment, record.presize == FIELD_NO_INT ? 0 : record.presize,
               err) < 0 ||
        state_read(st, json, *s, folder, err) < 0 || stops_later(r, folder, st, err) < 0)
        return -1;
    e = (*s)->e;
    if (e->train.watch.finish == FINISH_BEST && st->at.best_epoch >= 0 &&
        !checkpoint_exists(folder, "best"))
        return err_set(
            err, ERR_INPUT,
            "%s/checkpoints/best.json is missing; train.finish=best may need its weights", folder);
    return fit_check(*s, NULL, err);
}

/* A parent of the run, a SHA-256 of run.json, as it is NOW. */
static int same_as_recorded(const struct run_entry *run, const char *name, const char *now,
                            const char *what, struct err *err)
{
    const char *then = run_hash(&run->facts.sha256, name);

    if (strcmp(then ? then : "", now) == 0)
        return 0;
    return err_set(err, ERR_INPUT,
                   "%s changed since this run was begun (SHA-256 %.12s..., then %.12s...): it "
                   "cannot begin again; start a new one",
                   what, now, then ? then : "none");
}

int begin_recorded(struct session **s, struct state *st, const struct request *r,
                   const char *folder, struct err *err)
{
    const char *shards;
    struct run_entry run;
    int rc;

    if (run_open(&run, folder, err) < 0)
        return -1;
    shards = run.facts.shards;
    shards = shards ? strrchr(shards, '-') : NULL; /* DATA/SET/shards-SIZE */
    rc = reopen(s, r, folder, run.facts.experiment, shards ? strtol(shards + 1, NULL, 10) : 0, err);
    if (rc == 0)
        rc = same_as_recorded(&run, "config", (*s)->config_sha256, "the experiment", err);
    if (rc == 0)
        rc = same_as_recorded(&run, "index", shard_set_index_sha256((*s)->shards),
                              "the set of shards", err);
    if (rc == 0)
        rc = same_as_recorded(&run, "tables", (*s)->tables_sha256,
                              "a table that the experiment names", err);
    if (rc == 0 && (fit_check(*s, NULL, err) < 0 || session_phase(*s, 0, err) < 0 ||
                    session_weights(*s, r->data, r->results, err) < 0 ||
                    weights_sha256(st->initial_sha256, &(*s)->device, (*s)->network, err) < 0))
        rc = -1;
    if (rc == 0)
        rc = same_as_recorded(&run, "initial_weights", st->initial_sha256,
                              "what gives the first weights", err);
    run_entry_free(&run);
    return rc;
}

int begin_resume(const struct request *r, char folder[PATH_LEN], struct err *err)
{
    struct session *s = NULL;
    struct state st;
    struct run *run = NULL;
    char path[PATH_LEN];
    json_t *json = NULL;
    int rc = -1;

    state_begin(&st);
    folder[0] = 0;
    if (run_find(path, r->results, r->resume, err) < 0 ||
        path_format(folder, err, "%s", path) < 0 || find_checkpoint(&json, folder, err) < 0 ||
        (json ? reopen_checkpoint(&s, &st, r, folder, json, err)
              : begin_recorded(&s, &st, r, folder, err)) < 0)
        goto out;
    loop_catch_signals();
    if (team_leads(r->team) && run_resume(&run, folder, st.metrics_bytes, st.at.epoch, err) < 0)
        goto out;
    say_what_runs(s);
    team_watch(r->team, run);
    if (json)
        log_info("resuming after %u epoch%s and %u step%s", st.at.epoch, PLURAL(st.at.epoch),
                 st.epoch_step, PLURAL(st.epoch_step));
    else
        log_info("it was ended before its first checkpoint: it begins again from its record");
    if ((run && note_resume(run, r, s, &st, err) < 0) ||
        (json ? load_last(r, s, folder, json, &st, err) : settle(r, folder, err)) < 0) {
        team_watch(r->team, NULL);
        run_fail(run, err);
        goto out;
    }
    rc = train_through(s, run, folder, &st, r, err);
out:
    end_team(r, rc, err);
    json_decref(json);
    state_free(&st);
    session_close(s);
    return rc;
}
