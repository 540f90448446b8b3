/* state.c - the training state to JSON and back; reals keep all 17 digits.
 * SPDX-License-Identifier: MIT */
#include "state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "experiment/checkpoint.h"

void state_begin(struct state *st)
{
    *st = (struct state){.best_value = INFINITY, .best_epoch = -1};
    watch_begin(&st->watch);
}

void state_free(struct state *st)
{
    json_decref(st->best);
    json_decref(st->last);
    free(st->curve.x);
    free(st->curve.train_loss);
    free(st->curve.lr);
    free(st->curve.lr_first);
    state_begin(st);
}

static int grow(double **values, size_t capacity, struct err *err)
{
    double *more = realloc(*values, capacity * sizeof *more);

    if (!more)
        return err_set(err, ERR_NOMEM, "curve: %zu points", capacity);
    *values = more;
    return 0;
}

int curve_add(struct curve *c, double x, double train_loss, double lr, double lr_first,
              struct err *err)
{
    if (c->n == c->capacity) {
        size_t capacity = c->capacity ? 2 * c->capacity : 256;

        if (grow(&c->x, capacity, err) < 0 || grow(&c->train_loss, capacity, err) < 0 ||
            grow(&c->lr, capacity, err) < 0 || grow(&c->lr_first, capacity, err) < 0)
            return -1;
        c->capacity = capacity;
    }
    c->x[c->n] = x;
    c->train_loss[c->n] = train_loss;
    c->lr[c->n] = lr;
    c->lr_first[c->n] = lr_first;
    c->n++;
    return 0;
}

static json_t *curve_json(const struct curve *c)
{
    json_t *points = json_array();

    for (size_t i = 0; points && i < c->n; i++)
        json_array_append_new(
            points, json_pack("[f, f, f, f]", c->x[i], c->train_loss[i], c->lr[i], c->lr_first[i]));
    return points;
}

static json_t *watch_json(const struct watch *w)
{
    json_t *best = isnan(w->best) ? json_null() : json_real(w->best);

    return json_pack("{s:o, s:I, s:I, s:f}", "best", best, "since", (json_int_t)w->since,
                     "since_drop", (json_int_t)w->since_drop, "scale", w->scale);
}

static int read_watch(struct watch *w, const json_t *json, struct err *err)
{
    const json_t *best = json_object_get(json, "best"), *scale = json_object_get(json, "scale");
    json_int_t since, since_drop;

    if (!json_is_number(scale) || (!json_is_number(best) && !json_is_null(best)))
        return err_set(err, ERR_FORMAT, "checkpoint: watch: best and scale must be numbers");
    if (json_get_int(json, "since", &since, err) < 0 ||
        json_get_int(json, "since_drop", &since_drop, err) < 0)
        return err_wrap(err, "checkpoint: watch");
    *w = (struct watch){.best = json_is_null(best) ? NAN : json_number_value(best),
                        .since = since,
                        .since_drop = since_drop,
                        .scale = json_number_value(scale)};
    return 0;
}

static int add_resume(json_t *out, const struct state *st, int ranks, struct err *err)
{
    json_t *more;

    more = json_pack(
        "{s:{s:i, s:i, s:I, s:I, s:I, s:{s:f, s:I}, s:I, s:i, s:I, s:o, s:o, s:I, s:i}}", "resume",
        "phase", st->phase, "phase_epoch", st->phase_epoch, "epoch", (json_int_t)st->epoch, "step",
        (json_int_t)st->step, "adam_step", (json_int_t)st->adam_step, "smooth_loss", "value",
        st->smooth.value, "count", (json_int_t)st->smooth.count, "best_epoch",
        (json_int_t)st->best_epoch, "best_phase", st->best_phase, "metrics_bytes",
        (json_int_t)st->metrics_bytes, "curve", curve_json(&st->curve), "watch",
        watch_json(&st->watch), "epoch_step", (json_int_t)st->epoch_step, "ranks", ranks);
    if (!more || json_object_update(out, more) < 0) {
        json_decref(more);
        return err_set(err, ERR_NOMEM, "checkpoint");
    }
    json_decref(more);
    more = json_object_get(out, "resume");
    if (st->best_epoch >= 0 &&
        (json_object_set_new(more, "best_value", json_real(st->best_value)) < 0 ||
         json_object_set(more, "best", st->best) < 0))
        return err_set(err, ERR_NOMEM, "checkpoint");
    if (st->last && json_object_set(more, "last", st->last) < 0)
        return err_set(err, ERR_NOMEM, "checkpoint");
    return 0;
}

int state_json(json_t **out, const struct state *st, const struct session *s, int size,
               const char *weights_sha256, bool resume, struct err *err)
{
    json_t *vocab = json_array();

    for (int i = 0; vocab && i < s->network->classes; i++)
        json_array_append_new(vocab, json_string(shard_set_label(s->shards, i)));
    *out = json_pack(
        "{s:i, s:s, s:s, s:s, s:i, s:i, s:f, s:s, s:{s:[f, f, f], s:[f, f, f]}, s:I, s:I, s:s, "
        "s:{s:s, s:s, s:s, s:s, s:s}, s:o}",
        "version", CHECKPOINT_VERSION, "experiment", s->e->name, "arch",
        arch_name(s->e->model.arch), "precision", dtype_name(s->dtype), "size", size, "presize",
        (int)shard_set_size(s->shards), "max_aspect", s->max_aspect, "exif",
        s->exif ? "apply" : "ignore", "normalisation", "mean", 0.485, 0.456, 0.406, "std", 0.229,
        0.224, 0.225, "epochs", (json_int_t)st->epoch, "steps", (json_int_t)st->step,
        "weights_sha256", weights_sha256, "parents", "config", s->config_sha256, "tables",
        s->tables_sha256, "index", shard_set_index_sha256(s->shards), "manifest",
        shard_set_manifest_sha256(s->shards), "initial_weights", st->initial_sha256, "vocab",
        vocab);
    if (!*out)
        return err_set(err, ERR_NOMEM, "checkpoint");
    if (resume && add_resume(*out, st, session_ranks(s), err) < 0) {
        json_decref(*out);
        *out = NULL;
        return -1;
    }
    return 0;
}

static int same_parent(const json_t *json, const char *name, const char *now, const char *what,
                       struct err *err)
{
    const char *then = json_string_value(json_object_get(json_object_get(json, "parents"), name));

    if (!then)
        return err_set(err, ERR_FORMAT, "checkpoint: parents: no %s", name);
    if (strcmp(then, now) != 0)
        return err_set(err, ERR_INPUT,
                       "%s changed since this run was begun (SHA-256 %.12s..., then %.12s...): it "
                       "cannot go on; start a new one",
                       what, now, then);
    return 0;
}

/* Sums over pictures meet in another order on another number of devices. */
static int same_ranks(const json_t *resume, const struct session *s, struct err *err)
{
    const json_t *json = json_object_get(resume, "ranks");
    const int then = json ? (int)json_integer_value(json) : 1, now = session_ranks(s);

    if (then == now)
        return 0;
    return err_set(err, ERR_INPUT,
                   "this run computes in %d process%s and cannot go on in %d with the same bits: "
                   "train --gpus %d --resume",
                   then, then == 1 ? "" : "es", now, then);
}

static int read_curve(struct curve *c, const json_t *points, struct err *err)
{
    double v[4];

    for (size_t i = 0; i < json_array_size(points); i++) {
        const json_t *p = json_array_get(points, i);

        if (json_array_size(p) != 4)
            return err_set(err, ERR_FORMAT, "checkpoint: curve: point %zu", i);
        for (size_t k = 0; k < 4; k++)
            v[k] = json_number_value(json_array_get(p, k));
        if (curve_add(c, v[0], v[1], v[2], v[3], err) < 0)
            return -1;
    }
    return 0;
}

int state_read(struct state *st, const json_t *json, const struct session *s, struct err *err)
{
    const json_t *r = json_object_get(json, "resume"), *smooth;
    json_int_t epoch_step, phase, phase_epoch, epoch, step, adam_step, count, best_epoch,
        best_phase, bytes;
    const char *initial;

    state_begin(st);
    if (same_parent(json, "config", s->config_sha256, "the experiment", err) < 0 ||
        same_parent(json, "tables", s->tables_sha256, "a table that the experiment names", err) <
            0 ||
        same_parent(json, "index", shard_set_index_sha256(s->shards), "the set of shards", err) < 0)
        return -1;
    initial =
        json_string_value(json_object_get(json_object_get(json, "parents"), "initial_weights"));
    smooth = json_object_get(r, "smooth_loss");
    if (!initial || !r || !smooth)
        return err_set(err, ERR_FORMAT, "checkpoint: nothing to go on from (resume)");
    if (same_ranks(r, s, err) < 0)
        return -1;
    if (json_get_int(r, "phase", &phase, err) < 0 ||
        json_get_int(r, "phase_epoch", &phase_epoch, err) < 0 ||
        json_get_int(r, "epoch", &epoch, err) < 0 ||
        json_get_int(r, "epoch_step", &epoch_step, err) < 0 ||
        json_get_int(r, "step", &step, err) < 0 ||
        json_get_int(r, "adam_step", &adam_step, err) < 0 ||
        json_get_int(smooth, "count", &count, err) < 0 ||
        json_get_int(r, "best_epoch", &best_epoch, err) < 0 ||
        json_get_int(r, "best_phase", &best_phase, err) < 0 ||
        json_get_int(r, "metrics_bytes", &bytes, err) < 0)
        return err_wrap(err, "checkpoint");
    if (epoch_step < 0 || phase < 0 || phase > s->n_phases || phase_epoch < 0 || epoch < 0 ||
        step < 0 || adam_step < 0 || count < 0 || bytes < 0 || best_phase < 0 ||
        best_phase >= s->n_phases)
        return err_set(err, ERR_FORMAT, "checkpoint: counters out of range");
    if (phase < s->n_phases && epoch_step >= session_steps(s, (int)phase))
        return err_set(err, ERR_FORMAT, "checkpoint: epoch_step: more than an epoch has");
    st->phase = (int)phase;
    st->phase_epoch = (int)phase_epoch;
    st->epoch = (uint32_t)epoch;
    st->epoch_step = (uint32_t)epoch_step;
    st->step = (uint64_t)step;
    st->adam_step = (uint32_t)adam_step;
    st->smooth.value = json_number_value(json_object_get(smooth, "value"));
    st->smooth.count = (uint64_t)count;
    st->best_epoch = best_epoch;
    st->best_phase = (int)best_phase;
    st->metrics_bytes = (uint64_t)bytes;
    if (best_epoch >= 0)
        st->best_value = json_number_value(json_object_get(r, "best_value"));
    st->best = json_incref(json_object_get(r, "best"));
    st->last = json_incref(json_object_get(r, "last"));
    snprintf(st->initial_sha256, sizeof st->initial_sha256, "%s", initial);
    if (read_watch(&st->watch, json_object_get(r, "watch"), err) < 0)
        return -1;
    return read_curve(&st->curve, json_object_get(r, "curve"), err);
}
