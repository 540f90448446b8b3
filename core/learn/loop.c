/* loop.c - the training loop.
 *
 * Invariants: nothing that goes into metrics.jsonl or a checkpoint depends on time, threads or the
 * run having been interrupted; the state is advanced before the checkpoint that holds it is
 * written. SPDX-License-Identifier: MIT */
#include "learn/loop.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/real.h"
#include "base/text.h"
#include "data/stream.h"
#include "experiment/checkpoint.h"
#include "experiment/team.h"
#include "group/launch.h"
#include "learn/monitored.h"
#include "learn/table.h"
#include "learn/timing.h"
#include "nn/weights.h"

static volatile sig_atomic_t caught; /* number of the signal; 0: none */

static void on_signal(int number)
{
    caught = number;
}

static const struct {
    int number;
    const char *name;
    bool once; /* a second one ends the process at once, as it comes from someone who waits */
} signals[] = {
    {SIGINT, "SIGINT", true},    {SIGTERM, "SIGTERM", true},  {SIGHUP, "SIGHUP", true},
    {SIGUSR1, "SIGUSR1", false}, {SIGUSR2, "SIGUSR2", false}, /* a scheduler's word before it ends a job */
};
enum { N_SIGNALS = sizeof signals / sizeof *signals };

void loop_catch_signals(void)
{
    struct sigaction before;

    for (size_t i = 0; i < N_SIGNALS; i++) {
        const struct sigaction action = {.sa_handler = on_signal,
                                         .sa_flags = SA_RESTART |
                                                     (signals[i].once ? (int)SA_RESETHAND : 0)};

        if (signals[i].number == SIGHUP && sigaction(SIGHUP, NULL, &before) == 0 &&
            before.sa_handler == SIG_IGN) /* nohup */
            continue;
        sigaction(signals[i].number, &action, NULL);
    }
}

const char *loop_signal(void)
{
    for (size_t i = 0; i < N_SIGNALS; i++)
        if (caught == signals[i].number)
            return signals[i].name;
    return NULL;
}

/* By any process, where there are several. */
static bool is_asked_to_stop(const struct session *s)
{
    return session_group(s) ? group_any(session_group(s), caught != 0) : caught != 0;
}

void verdict_free(struct verdict *v)
{
    free(v->prob);
    free(v->loss);
    free(v->labels);
    free(v->predicted);
    *v = (struct verdict){0};
}

static int verdict_alloc(struct verdict *v, uint32_t n, int classes, struct err *err)
{
    size_t count = n ? n : 1;

    v->prob = calloc(count, (size_t)classes * sizeof *v->prob);
    v->loss = calloc(count, sizeof *v->loss);
    v->labels = calloc(count, sizeof *v->labels);
    v->predicted = calloc(count, sizeof *v->predicted);
    if (!v->prob || !v->loss || !v->labels || !v->predicted)
        return err_set(err, ERR_NOMEM, "predictions of %u pictures", n);
    return 0;
}

int loop_score(struct session *s, const uint32_t *ranks, uint32_t n, const char *label,
               struct verdict *v, struct err *err)
{
    const struct infer_pictures p = {.set = s->shards,
                                     .ranks = ranks,
                                     .n = n,
                                     .verify = s->e->data.verify == VERIFY_CRC,
                                     .kept = s->kept};
    int classes = s->network->classes, rc;

    if (!v->prob && verdict_alloc(v, n, classes, err) < 0)
        return -1;
    for (uint32_t i = 0; i < n; i++)
        v->labels[i] = shard_set_picture(s->shards, ranks[i])->label;
    progress_begin(label, n);
    rc = infer_pictures(s->infer, &p, v->prob, v->loss, err);
    progress_end();
    if (rc < 0)
        return -1;
    infer_score(&v->score, n, classes, v->prob, v->loss, v->labels, v->predicted);
    v->fresh = true;
    return 0;
}

/* The options that name RUN and its data again, those that are the default left out; "" where they are too long. */
static void resume_options(char out[PATH_LEN], const struct session *s, const struct run *run)
{
    const char *folder = run_folder(run), *data = s->shards_folder, *usual = getenv("PRESIZE_DATA");
    const int results = (int)(path_base(folder) - folder) - 1;
    const char *several = session_orders(s) > 1 ? "gpus" : launch_by_ranks() ? "ranks" : NULL;
    char above[PATH_LEN], ranks[32] = "", results_option[PATH_LEN] = "", data_option[PATH_LEN] = "";

    if (several && session_ranks(s) > 1)
        snprintf(ranks, sizeof ranks, "--%s %d ", several, session_ranks(s));
    snprintf(above, sizeof above, "%.*s", (int)(path_base(data) - data) - 1, data);
    /* DATA of DATA/SET/shards-SIZE */
    above[path_base(above) > above ? path_base(above) - above - 1 : 0] = 0;
    out[0] = 0;
    if (strcmp(above, usual && *usual ? usual : "data") != 0 &&
        path_format(data_option, NULL, "--data %s ", above) < 0)
        return;
    if (results <= 0)
        snprintf(results_option, sizeof results_option, "--results . ");
    else if ((results != 7 || strncmp(folder, "results", 7) != 0) &&
             path_format(results_option, NULL, "--results %.*s ", results, folder) < 0)
        return;
    if (path_format(out, NULL, "%s%s%s", ranks, data_option, results_option) < 0)
        out[0] = 0;
}

static int stopped(const struct session *s, const struct run *run, const struct state *st,
                   const char *why, struct err *err)
{
    char options[PATH_LEN] = "";

    if (run)
        resume_options(options, s, run);
    return err_set(
        err, ERR_STOPPED,
        "stopped by %s; %u epoch%s and %u step%s of the next are kept, resume with `train "
        "%s--resume %s`",
        why ? why : "a signal to another process", st->at.epoch, PLURAL(st->at.epoch),
        st->epoch_step, PLURAL(st->epoch_step), options, run ? path_base(run_folder(run)) : "");
}

/* CULPRIT: a sentence, or empty. */
static int not_a_number(const struct session *s, const struct state *st, const char *which,
                        uint32_t k, const struct step *step, double loss, const char *culprit,
                        struct err *err)
{
    const struct run_phase *p = &s->phases[st->at.phase];

    return err_set(
        err, ERR_NUMERIC,
        "the %s loss is %s at phase %s, epoch %d, step %u of %u (%llu of the run), learning "
        "rate %g: the training diverged.%s Try a lower rate (the phase's lr or base_lr, a "
        "tenth of it), a longer warm-up (pct_start), train.clip=1, or train.precision=fp32",
        which, isnan(loss) ? "NaN" : "infinite", p->name, st->at.phase_epoch, k,
        session_steps(s, st->at.phase), (unsigned long long)st->step, step->lr[2], culprit);
}

/* What an epoch of PHASE costs, in pixels that pass through the network: forward and each of the two gradients count
 * one, a frozen body needs no gradient of its weights, validation the forward pass alone. STEPS of its training. */
static double work_of(const struct session *s, int phase, double steps, bool validation)
{
    const struct run_phase *p = &s->phases[phase];
    const double pixels = (double)p->size * p->size;
    const double valid_pixels = (double)p->valid_size * p->valid_size;

    return pixels * (steps * (double)s->e->train.accumulate * p->batch * (p->freeze_to ? 2 : 3)) +
           valid_pixels * (validation ? (double)s->split->n_valid : 0);
}

/* Of all that follows after DONE steps of the epoch in progress. */
static double work_left(const struct session *s, const struct state *st, uint32_t done)
{
    const int phase = st->at.phase;
    double work = work_of(s, phase, session_steps(s, phase) - done, true);

    for (int i = phase; i < s->n_phases; i++) {
        const int epochs = s->phases[i].epochs - (i == phase ? st->at.phase_epoch + 1 : 0);

        work += epochs * work_of(s, i, session_steps(s, i), true);
    }
    return work;
}

/* "0.1234, all done in 12:34"; the time once there is a pace. */
static void step_note(char out[64], const struct session *s, const struct state *st,
                      const struct pace *pace, double shown)
{
    const double left = work_left(s, st, st->epoch_step), done = pace->work_then - left;
    char text[32];

    snprintf(out, 64, "%.4f", shown);
    if (done <= 0)
        return;
    clock_duration((clock_seconds() - pace->began) * left / done, text, sizeof text);
    snprintf(out, 64, "%.4f, all done in %s", shown, text);
}

static int note_step(struct run *run, struct state *st, uint32_t k, uint32_t steps,
                     const struct step *step, double shown, struct err *err)
{
    uint32_t every = (steps + CURVE_POINTS - 1) / CURVE_POINTS;
    double x = st->at.epoch + (double)(k + 1) / steps;

    if ((k + 1) % every)
        return 0;
    if (curve_add(&st->curve, x, shown, step->lr[2], step->lr[0], err) < 0)
        return -1;
    if (run_scalar(run, "train/loss", st->step, shown, err) < 0 ||
        run_scalar(run, "train/lr", st->step, step->lr[2], err) < 0 ||
        run_scalar(run, "train/lr_first", st->step, step->lr[0], err) < 0)
        return -1;
    return run_scalar(run, "train/momentum", st->step, step->mom, err);
}

/* The hyper-parameters of step K of the phase's epoch in progress. */
static void set_step(struct step *step, const struct session *s, struct state *st, uint32_t k)
{
    const struct run_phase *p = &s->phases[st->at.phase];
    const uint64_t steps = session_steps(s, st->at.phase);

    *step = (struct step){.seed = (uint64_t)s->e->seed, .epoch = st->at.epoch};
    recipe_step(step, p, &s->e->optim, (uint64_t)st->at.phase_epoch * steps + k,
                steps * (uint64_t)p->epochs);
    for (size_t g = 0; g < sizeof step->lr / sizeof *step->lr; g++)
        step->lr[g] *= st->at.watch.scale;
    step->adam_step = ++st->adam_step;
    step->ema_decay = recipe_ema_decay(s->e->train.ema, st->step);
}

static int write_checkpoint(struct session *s, struct run *run, struct state *st, bool last,
                            const char *sha256, int size, struct err *err)
{
    const uint64_t batches = st->step * (uint64_t)s->e->train.accumulate;
    json_t *json;
    int rc;

    if (!run)
        return 0;
    if (state_json(&json, st, s, size, sha256, last ? run_folder(run) : NULL, err) < 0)
        return -1;
    rc = checkpoint_save(run_folder(run), last ? "last" : "best", &s->device, s->network, batches,
                         last, json, err);
    json_decref(json);
    return rc;
}

/* Inside an epoch: a checkpoint where one is due or a signal asks to stop; that it stops is an error, too.
 * KEPT: when the last one was made. */
static int keep_step(struct session *s, struct run *run, struct state *st, double *kept,
                     struct err *err)
{
    const double every = 60 * s->e->train.checkpoint_minutes;
    const bool stops = is_asked_to_stop(s);
    char sha256[SHA256_HEX];

    if (!stops && (every == 0 || clock_seconds() - *kept < every))
        return 0;
    if (weights_swap_averages(&s->device, s->network, err) < 0 ||
        weights_sha256(sha256, &s->device, s->network, err) < 0 ||
        write_checkpoint(s, run, st, true, sha256, s->phases[st->at.phase].valid_size, err) < 0 ||
        weights_swap_averages(&s->device, s->network, err) < 0)
        return -1;
    *kept = clock_seconds();
    return stops ? stopped(s, run, st, loop_signal(), err) : 0;
}

static int train_epoch(struct session *s, struct run *run, struct state *st, double *shown,
                       struct step *step, const struct pace *pace, struct epoch_times *times,
                       struct err *err)
{
    const struct run_phase *p = &s->phases[st->at.phase];
    uint32_t steps = session_steps(s, st->at.phase);
    struct stream *stream;
    double start = clock_seconds(), kept = start, loss;
    char label[32], note[64], culprit[256];
    int rc = -1;

    if (session_stream(&stream, s, st->at.phase, st->at.epoch, st->epoch_step, err) < 0)
        return -1;
    times->steps = steps - st->epoch_step;
    timing_begin(times, s);
    snprintf(label, sizeof label, "Epoch %d/%d", st->at.phase_epoch + 1, p->epochs);
    progress_begin(label, steps);
    for (uint32_t k = st->epoch_step; k < steps; k++) {
        set_step(step, s, st, k);
        if (session_step(s, stream, step, &loss, err) < 0)
            goto out;
        if (!isfinite(loss)) {
            session_culprit(s, culprit, sizeof culprit);
            not_a_number(s, st, "training", k, step, loss, culprit, err);
            goto out;
        }
        st->step++;
        st->epoch_step++;
        *shown = smooth_loss_add(&st->smooth, loss);
        if (note_step(run, st, k, steps, step, *shown, err) < 0)
            goto out;
        step_note(note, s, st, pace, *shown);
        progress_set(k + 1, note);
        if (k + 1 < steps && keep_step(s, run, st, &kept, err) < 0)
            goto out;
    }
    rc = 0;
out:
    progress_end();
    timing_end(times, s);
    times->train_seconds = clock_seconds() - start;
    times->wait_seconds = stream_wait_seconds(stream);
    stream_close(stream);
    step->pictures = NULL; /* they went with the stream */
    return rc;
}

static int write_scalars(const struct session *s, struct run *run, const struct state *st,
                         const struct score *score, const struct monitored *m,
                         const struct epoch_times *times, struct err *err)
{
    uint64_t at = st->step;
    char tag[64];

    snprintf(tag, sizeof tag, "valid/%s", m->row->key);
    if (!m->row->always && run_scalar(run, tag, at, m->value, err) < 0)
        return -1;

    if (run_scalar(run, "valid/loss", at, score->loss, err) < 0 ||
        run_scalar(run, "valid/error_rate", at, score->error_rate, err) < 0 ||
        run_scalar(run, "valid/accuracy", at, score->accuracy, err) < 0)
        return -1;
    if (run_scalar(run, "time/images_per_s", at, timing_rate(s, st, times), err) < 0)
        return -1;
    return run_scalar(run, "time/epoch_seconds", at, times->seconds, err);
}

static int write_metrics(const struct session *s, struct run *run, struct state *st, double shown,
                         const double metric[MONITORS], const struct step *step, const char *sha256,
                         struct err *err)
{
    struct epoch_line line = {.epoch = st->at.epoch,
                              .phase = s->phases[st->at.phase].name,
                              .split = "valid",
                              .train_loss = shown,
                              .lr = step->lr[2],
                              .lr_first = step->lr[0],
                              .steps = (int64_t)st->step,
                              .weights_sha256 = sha256};
    json_t *json;

    memcpy(line.metric, metric, sizeof line.metric);
    json = fields_json(epoch_fields, &line);
    if (!json)
        return err_set(err, ERR_NOMEM, "metrics");
    json_decref(st->last);
    st->last = json;
    return run_metric(run, json, err);
}

/* Says and records how the device ran the steps, when that is another way than was said before. */
static int note_steps(struct session *s, struct run *run, struct err *err)
{
    struct be_info now;
    json_t *note;
    int rc;

    s->device.kind->info(s->device.be, &now);
    if (strcmp(now.steps, s->device.info.steps) == 0)
        return 0;
    memcpy(s->device.info.steps, now.steps, sizeof now.steps);
    log_info("steps ran as %s", now.steps);
    note = json_pack("{s:s}", "steps", now.steps);
    if (!note)
        return err_set(err, ERR_NOMEM, "run.json");
    rc = run_note(run, note, err);
    json_decref(note);
    return rc;
}

/* The state one epoch further. */
static void advance(const struct session *s, struct state *st, double value, bool *best)
{
    const struct run_phase *p = &s->phases[st->at.phase];
    const struct watch_options *o = &s->e->train.watch;
    const int phase = st->at.phase, epochs = st->at.phase_epoch + 1;
    const enum watch_event event = place_epoch(&st->at, best, s->phases, o, value);

    st->epoch_step = 0;
    if (event == WATCH_RATE_FELL && st->at.phase == phase)
        log_info("no better for %d epoch%s: the rate falls to %g", (int)o->plateau,
                 PLURAL(o->plateau), p->lr[2] * st->at.watch.scale);
    if (event == WATCH_STOP && epochs < p->epochs)
        log_info("no better for %d epoch%s: phase %s ends after %d of %d", (int)o->early_stop,
                 PLURAL(o->early_stop), p->name, epochs, p->epochs);
}

/* The epoch is over: its numbers, then the state one further, then the checkpoints that hold it. */
static int end_epoch(struct session *s, struct run *run, struct state *st, double shown,
                     const struct verdict *v, const struct step *step,
                     const struct epoch_times *times, struct err *err)
{
    const struct run_phase *p = &s->phases[st->at.phase];
    const struct score *score = &v->score;
    struct monitored m;
    struct table_row row = {.epoch = st->at.phase_epoch,
                            .train_loss = shown,
                            .valid_loss = score->loss,
                            .error_rate = score->error_rate,
                            .seconds = times->seconds};
    char sha256[SHA256_HEX];
    int size = p->valid_size;
    bool best;

    if (weights_sha256(sha256, &s->device, s->network, err) < 0 ||
        group_same(session_group(s), "weights", sha256, err) < 0 ||
        monitored_find(&m, s, v, err) < 0)
        return -1;
    row.monitored = m.row->always ? NULL : m.row->key;
    row.value = m.value;
    if (st->table)
        table_print(st->table, &row);
    if (note_steps(s, run, err) < 0 ||
        write_metrics(s, run, st, shown, m.metric, step, sha256, err) < 0 ||
        timing_write(run, s, st, times, err) < 0 ||
        write_scalars(s, run, st, score, &m, times, err) < 0)
        return -1;
    if (st->each_epoch && st->each_epoch(st->each_ctx, s, st, err) < 0)
        return -1;
    st->metrics_bytes = run_metrics_bytes(run);
    advance(s, st, m.value, &best);
    if (best) {
        json_decref(st->best);
        st->best = json_incref(st->last);
    }
    if (best && write_checkpoint(s, run, st, false, sha256, size, err) < 0)
        return -1;
    return write_checkpoint(s, run, st, true, sha256, size, err);
}

static int begin_phase(struct session *s, struct state *st, struct err *err)
{
    const struct run_phase *p = &s->phases[st->at.phase];
    const struct monitor_row *row = &monitor_rows[s->e->train.watch.monitor];
    char pictures[32];

    if (session_phase(s, st->at.phase, err) < 0)
        return -1;
    if (st->at.phase_epoch == 0 && st->epoch_step == 0) {
        st->smooth = (struct smooth_loss){0};
        if (p->clears) {
            if (weights_clear_optimiser(&s->device, s->network, err) < 0)
                return -1;
            st->adam_step = 0;
        }
    }
    log_info("phase %s: %d epoch%s of %u step%s of %s pictures at %d px, rate %g%s", p->name,
             p->epochs, PLURAL(p->epochs), session_steps(s, st->at.phase),
             PLURAL(session_steps(s, st->at.phase)), session_step_text(s, st->at.phase, pictures),
             p->size, p->lr[2], p->freeze_to ? ", body frozen" : "");
    if (p->valid_size != p->size)
        log_info("            validation at %d px (train.valid_size)", p->valid_size);
    if (st->table)
        table_header(st->table, row->always ? NULL : row->key);
    return 0;
}

/* Says it when a phase ends with a network no better than guessing. */
static void notice_divergence(const struct session *s, const struct run_phase *p,
                              const struct score *score)
{
    double chance = real_log(s->network->classes);

    if (score->loss > chance)
        log_warn("phase %s ended with a validation loss of %.2f, worse than guessing (%.2f): it "
                 "diverged or hardly began to learn; try a lower rate than %g, or more epochs",
                 p->name, score->loss, chance, p->lr[2]);
}

/* Trains, validates and records one epoch. While the averages stand in the weights' place, what is
 * scored, hashed and stored is theirs. */
static int run_epoch(struct session *s, struct run *run, struct state *st, struct verdict *v,
                     const struct pace *pace, struct err *err)
{
    struct epoch_times times = {0};
    double start = clock_seconds(), shown = 0;
    struct step step = {0};

    if (train_epoch(s, run, st, &shown, &step, pace, &times, err) < 0)
        return -1;
    v->fresh = false;
    if (weights_swap_averages(&s->device, s->network, err) < 0 ||
        loop_score(s, s->split->valid, s->split->n_valid, "Validation", v, err) < 0)
        return -1;
    times.seconds = clock_seconds() - start;
    if (!isfinite(v->score.loss))
        return not_a_number(s, st, "validation", session_steps(s, st->at.phase), &step,
                            v->score.loss, "", err);
    if (end_epoch(s, run, st, shown, v, &step, &times, err) < 0)
        return -1;
    return weights_swap_averages(&s->device, s->network, err);
}

void loop_begin(struct pace *pace, const struct session *s, const struct state *st)
{
    *pace = (struct pace){.began = clock_seconds()};
    if (st->at.phase < s->n_phases)
        pace->work_then = work_left(s, st, st->epoch_step);
}

int loop_epoch(struct session *s, struct run *run, struct state *st, struct verdict *v,
               const struct pace *pace, struct err *err)
{
    const int phase = st->at.phase;

    BUG_IF(phase >= s->n_phases);
    if (!st->in_phase && begin_phase(s, st, err) < 0)
        return -1;
    st->in_phase = true;
    if (run_epoch(s, run, st, v, pace, err) < 0)
        return -1;
    if (st->at.phase != phase) {
        st->in_phase = false;
        notice_divergence(s, &s->phases[phase], &v->score);
    }
    return 0;
}

int loop_run(struct session *s, struct run *run, struct state *st, struct verdict *v,
             int64_t stop_after, struct err *err)
{
    struct pace pace;

    loop_begin(&pace, s, st);
    while (st->at.phase < s->n_phases) {
        if (loop_epoch(s, run, st, v, &pace, err) < 0)
            return -1;
        if (st->at.phase == s->n_phases)
            break;
        if (is_asked_to_stop(s))
            return stopped(s, run, st, loop_signal(), err);
        if (stop_after > 0 && st->at.epoch >= stop_after)
            return stopped(s, run, st, "--stop-after", err);
    }
    return 0;
}
