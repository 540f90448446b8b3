/* state.c - the training state to JSON and back; reals keep all 17 digits.
 * SPDX-License-Identifier: MIT */
#include "state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arch/imagenet.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/path.h"
#include "experiment/checkpoint.h"
#include "nn/history.h"

void state_begin(struct state *st)
{
    *st = (struct state){0};
    place_begin(&st->at);
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

static int set(json_t *object, const char *name, json_t *value, struct err *err)
{
    return json_object_set_new(object, name, value) < 0 ? err_set(err, ERR_NOMEM, "checkpoint") : 0;
}

/* The files that the state resumes from, as they are when it is written. */
static int add_files(json_t *resume, const struct state *st, const char *folder, struct err *err)
{
    char path[PATH_LEN], hex[SHA256_HEX];

    if (path_format(path, err, "%s/metrics.jsonl", folder) < 0)
        return -1;
    if (st->metrics_bytes > 0 && (sha256_file(path, hex, NULL, err) < 0 ||
                                  set(resume, "metrics_sha256", json_string(hex), err) < 0))
        return -1;
    if (st->at.best_epoch < 0)
        return 0;
    if (checkpoint_sha256(hex, folder, "best", err) < 0)
        return -1;
    return set(resume, "best_sha256", json_string(hex), err);
}

static int add_resume(json_t *out, const struct state *st, int ranks, const char *folder,
                      struct err *err)
{
    json_t *resume;

    resume = json_pack(
        "{s:i, s:i, s:I, s:I, s:I, s:{s:f, s:I}, s:I, s:i, s:I, s:o, s:o, s:I, s:i}", "phase",
        st->at.phase, "phase_epoch", st->at.phase_epoch, "epoch", (json_int_t)st->at.epoch, "step",
        (json_int_t)st->step, "adam_step", (json_int_t)st->adam_step, "smooth_loss", "value",
        st->smooth.value, "count", (json_int_t)st->smooth.count, "best_epoch",
        (json_int_t)st->at.best_epoch, "best_phase", st->at.best_phase, "metrics_bytes",
        (json_int_t)st->metrics_bytes, "curve", curve_json(&st->curve), "watch",
        watch_json(&st->at.watch), "epoch_step", (json_int_t)st->epoch_step, "ranks", ranks);
    if (!resume || set(out, "resume", resume, err) < 0)
        return err_set(err, ERR_NOMEM, "checkpoint");
    if (st->at.best_epoch >= 0 &&
        (set(resume, "best_value", json_real(st->at.best_value), err) < 0 ||
         set(resume, "best", json_incref(st->best), err) < 0))
        return -1;
    if (st->last && set(resume, "last", json_incref(st->last), err) < 0)
        return -1;
    return add_files(resume, st, folder, err);
}

/* Where they are not the defaults, which no record names. */
static int add_resize(json_t *out, const struct augment_options *o, struct err *err)
{
    if (o->resize != RESIZE_CROP &&
        set(out, "resize", json_string(augment_resize_name(o->resize)), err) < 0)
        return -1;
    if (o->pad != PAD_REFLECTION && set(out, "pad", json_string(augment_pad_name(o->pad)), err) < 0)
        return -1;
    return 0;
}

int state_json(json_t **out, const struct state *st, const struct session *s, int size,
               const char *weights_sha256, const char *folder, struct err *err)
{
    json_t *vocab = json_array();

    for (int i = 0; vocab && i < s->network->classes; i++)
        json_array_append_new(vocab, json_string(shard_set_label(s->shards, i)));
    *out = json_pack(
        "{s:i, s:s, s:s, s:s, s:i, s:i, s:f, s:s, s:{s:[f, f, f], s:[f, f, f]}, s:I, s:I, s:s, "
        "s:{s:s, s:s, s:s, s:s, s:s}, s:s, s:o}",
        "version", CHECKPOINT_VERSION, "experiment", s->e->name, "arch",
        arch_name(s->e->model.arch), "precision", dtype_name(s->dtype), "size", size, "presize",
        (int)shard_set_size(s->shards), "max_aspect", s->max_aspect, "exif",
        s->exif ? "apply" : "ignore", "normalisation", "mean", IMAGENET_MEAN_R, IMAGENET_MEAN_G,
        IMAGENET_MEAN_B, "std", IMAGENET_STD_R, IMAGENET_STD_G, IMAGENET_STD_B, "epochs",
        (json_int_t)st->at.epoch, "steps", (json_int_t)st->step, "weights_sha256", weights_sha256,
        "parents", "config", s->config_sha256, "tables", s->tables_sha256, "index",
        shard_set_index_sha256(s->shards), "manifest", shard_set_manifest_sha256(s->shards),
        "initial_weights", st->initial_sha256, "augment", augment_mode_name(s->e->augment.mode),
        "vocab", vocab);
    if (!*out)
        return err_set(err, ERR_NOMEM, "checkpoint");
    if (add_resize(*out, &s->e->augment, err) < 0 ||
        (folder && add_resume(*out, st, session_orders(s), folder, err) < 0)) {
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
                       "cannot be resumed; start a new one",
                       what, now, then);
    return 0;
}

/* Sums over pictures meet in another order on another number of GPUs; on CPUs they never do. */
static int same_ranks(const json_t *resume, const struct session *s, struct err *err)
{
    const json_t *json = json_object_get(resume, "ranks");
    const int then = json ? (int)json_integer_value(json) : 1, now = session_orders(s);

    if (then == now)
        return 0;
    return err_set(
        err, ERR_INPUT,
        "this run computes in %d process%s and cannot resume in %d with bit-identical results: "
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
        for (size_t k = 0; k < 4; k++) {
            if (!json_is_number(json_array_get(p, k)))
                return err_set(err, ERR_FORMAT, "checkpoint: curve: point %zu", i);
            v[k] = json_number_value(json_array_get(p, k));
        }
        if (curve_add(c, v[0], v[1], v[2], v[3], err) < 0)
            return -1;
    }
    return 0;
}

/* The counters, still unbounded. */
struct counters {
    json_int_t phase, phase_epoch, epoch, epoch_step, step, adam_step, count, best_epoch,
        best_phase, bytes;
};

static int read_counters(struct counters *c, const json_t *r, struct err *err)
{
    if (json_get_int(r, "phase", &c->phase, err) < 0 ||
        json_get_int(r, "phase_epoch", &c->phase_epoch, err) < 0 ||
        json_get_int(r, "epoch", &c->epoch, err) < 0 ||
        json_get_int(r, "epoch_step", &c->epoch_step, err) < 0 ||
        json_get_int(r, "step", &c->step, err) < 0 ||
        json_get_int(r, "adam_step", &c->adam_step, err) < 0 ||
        json_get_int(json_object_get(r, "smooth_loss"), "count", &c->count, err) < 0 ||
        json_get_int(r, "best_epoch", &c->best_epoch, err) < 0 ||
        json_get_int(r, "best_phase", &c->best_phase, err) < 0 ||
        json_get_int(r, "metrics_bytes", &c->bytes, err) < 0)
        return err_wrap(err, "checkpoint");
    return 0;
}

/* NAN is null in JSON. */
static bool same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static int wrong(const char *what, struct err *err)
{
    return err_set(err, ERR_FORMAT,
                   "checkpoints/last.json: %s is not what the recipe and metrics.jsonl lead to: it "
                   "was changed or damaged",
                   what);
}

/* Everything that follows from the recipe and the epochs in metrics.jsonl must be what follows. */
static int check_counters(const struct counters *c, const struct history *h, const json_t *r,
                          struct err *err)
{
    const struct place *at = &h->at;
    const json_t *best = json_object_get(r, "best_value");
    const struct {
        const char *name;
        json_int_t is;
        uint64_t due;
    } rows[] = {
        {"phase", c->phase, (uint64_t)at->phase},
        {"phase_epoch", c->phase_epoch, (uint64_t)at->phase_epoch},
        {"epoch", c->epoch, at->epoch},
        {"step", c->step, h->step},
        {"adam_step", c->adam_step, h->adam_step},
        {"smooth_loss.count", c->count, h->smooth_count},
        {"best_epoch", c->best_epoch, (uint64_t)at->best_epoch},
        {"best_phase", c->best_phase, (uint64_t)at->best_phase},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if ((uint64_t)rows[i].is != rows[i].due)
            return wrong(rows[i].name, err);
    if (at->best_epoch >= 0 && (!json_is_number(best) || json_number_value(best) != at->best_value))
        return wrong("best_value", err);
    if (h->best && !json_equal(json_object_get(r, "best"), h->best))
        return wrong("best", err);
    if (h->last && !json_equal(json_object_get(r, "last"), h->last))
        return wrong("last", err);
    return 0;
}

static int check_watch(const struct watch *is, const struct watch *due, struct err *err)
{
    if (same_number(is->best, due->best) && is->since == due->since &&
        is->since_drop == due->since_drop && is->scale == due->scale)
        return 0;
    return wrong("watch", err);
}

/* The part of metrics.jsonl that the state resumes from, followed through the recipe; older states have no hash. */
static int read_history(struct history *h, const struct counters *c, const json_t *r,
                        const struct session *s, const char *folder, struct err *err)
{
    uint32_t steps[PHASES_MAX];
    const struct history_recipe recipe = {s->phases, s->n_phases, steps, &s->e->train.watch};
    const char *expected = json_string_value(json_object_get(r, "metrics_sha256"));
    char path[PATH_LEN], hex[SHA256_HEX], *text;
    size_t size;
    int rc;

    for (int i = 0; i < s->n_phases; i++)
        steps[i] = session_steps(s, i);
    if (path_format(path, err, "%s/metrics.jsonl", folder) < 0 ||
        path_read(&text, &size, path, (size_t)1 << 28, err) < 0)
        return -1;
    if (c->bytes < 0 || (uint64_t)c->bytes > size) {
        free(text);
        return err_set(err, ERR_FORMAT,
                       "%s: %zu bytes, the checkpoint was written after %" JSON_INTEGER_FORMAT
                       ": lines were lost",
                       path, size, c->bytes);
    }
    sha256_of(text, (size_t)c->bytes, hex);
    if (expected && strcmp(hex, expected) != 0)
        rc =
            err_set(err, ERR_CHECKSUM,
                    "%s: its first %" JSON_INTEGER_FORMAT
                    " bytes have the SHA-256 %.12s..., last.json says %.12s...: a line was changed "
                    "since the run stopped",
                    path, c->bytes, hex, expected);
    else
        rc = history_read(h, &recipe, text, (size_t)c->bytes, path, err);
    free(text);
    if (rc < 0)
        return -1;
    if (c->epoch_step < 0 ||
        (h->at.phase < s->n_phases ? c->epoch_step >= steps[h->at.phase] : c->epoch_step > 0))
        return wrong("epoch_step", err);
    history_steps(h, &recipe, (uint32_t)c->epoch_step);
    return 0;
}

/* best.json is written before last.json: a process that was killed in between leaves that of one epoch more, which
 * is trained again. */
static int check_best(const json_t *r, const char *folder, const struct place *at, struct err *err)
{
    const char *expected = json_string_value(json_object_get(r, "best_sha256"));
    char hex[SHA256_HEX], weights[PATH_LEN];
    json_t *best;
    json_int_t epochs;
    int rc = 0;

    if (!expected)
        return 0;
    if (!checkpoint_exists(folder, "best"))
        return err_set(
            err, ERR_INPUT,
            "%s/checkpoints/best.json is missing; last.json names it as the best epoch's", folder);
    if (checkpoint_state(&best, folder, "best", err) < 0 ||
        checkpoint_sha256(hex, folder, "best", err) < 0)
        return err_wrap(err, "what last.json names as the best epoch");
    epochs = json_integer_value(json_object_get(best, "epochs"));
    if (strcmp(hex, expected) != 0 && epochs != (json_int_t)at->epoch + 1)
        rc = err_set(err, ERR_CHECKSUM,
                     "%s/checkpoints/best.json: its SHA-256 is %.12s..., last.json says %.12s...: "
                     "it was changed since the run stopped",
                     folder, hex, expected);
    else
        rc = checkpoint_weights(weights, folder, "best", best, err);
    json_decref(best);
    return rc;
}

static int take_state(struct state *st, const struct counters *c, struct history *h,
                      const json_t *r, struct err *err)
{
    const json_t *smooth = json_object_get(json_object_get(r, "smooth_loss"), "value");
    struct watch watch = {0};

    if (!json_is_number(smooth) || !isfinite(json_number_value(smooth)))
        return wrong("smooth_loss.value", err);
    if (read_watch(&watch, json_object_get(r, "watch"), err) < 0 ||
        check_watch(&watch, &h->at.watch, err) < 0)
        return -1;
    st->at = h->at;
    st->epoch_step = (uint32_t)c->epoch_step;
    st->step = h->step;
    st->adam_step = (uint32_t)h->adam_step;
    st->smooth = (struct smooth_loss){json_number_value(smooth), h->smooth_count};
    st->metrics_bytes = (uint64_t)c->bytes;
    st->best = json_incref(h->best);
    st->last = json_incref(h->last);
    if (json_array_size(json_object_get(r, "curve")) > (st->at.epoch + 1) * (size_t)CURVE_POINTS)
        return wrong("curve", err);
    return read_curve(&st->curve, json_object_get(r, "curve"), err);
}

int state_read(struct state *st, const json_t *json, const struct session *s, const char *folder,
               struct err *err)
{
    const json_t *r = json_object_get(json, "resume");
    struct history h = {0};
    struct counters c;
    const char *initial;
    int rc;

    state_begin(st);
    if (same_parent(json, "config", s->config_sha256, "the experiment", err) < 0 ||
        same_parent(json, "tables", s->tables_sha256, "a table that the experiment names", err) <
            0 ||
        same_parent(json, "index", shard_set_index_sha256(s->shards), "the set of shards", err) < 0)
        return -1;
    initial =
        json_string_value(json_object_get(json_object_get(json, "parents"), "initial_weights"));
    if (!initial || !r || !json_object_get(r, "smooth_loss"))
        return err_set(err, ERR_FORMAT, "checkpoint: nothing to resume from (resume)");
    if (same_ranks(r, s, err) < 0 || read_counters(&c, r, err) < 0)
        return -1;
    snprintf(st->initial_sha256, sizeof st->initial_sha256, "%s", initial);
    rc = read_history(&h, &c, r, s, folder, err);
    if (rc == 0)
        rc = check_counters(&c, &h, r, err);
    if (rc == 0)
        rc = check_best(r, folder, &h.at, err);
    if (rc == 0)
        rc = take_state(st, &c, &h, r, err);
    history_free(&h);
    return rc;
}
