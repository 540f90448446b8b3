/* state.c - the training state to JSON and back; reals keep all 17 digits.
 * SPDX-License-Identifier: MIT */
#include "learn/state.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arch/imagenet.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/path.h"
#include "experiment/checkpoint.h"
#include "experiment/checkpoint_record.h"
#include "experiment/history.h"

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

/* The files that the state resumes from, as they are when it is written. */
static int hash_files(struct resume_record *r, char metrics[SHA256_HEX], char best[SHA256_HEX],
                      const struct state *st, const char *folder, struct err *err)
{
    char path[PATH_LEN];

    if (path_format(path, err, "%s/metrics.jsonl", folder) < 0)
        return -1;
    if (st->metrics_bytes > 0) {
        if (sha256_file(path, metrics, NULL, err) < 0)
            return -1;
        r->metrics_sha256 = metrics;
    }
    if (st->at.best_epoch >= 0) {
        if (checkpoint_sha256(best, folder, "best", err) < 0)
            return -1;
        r->best_sha256 = best;
    }
    return 0;
}

static int add_resume(json_t *out, const struct state *st, int ranks, const char *folder,
                      struct err *err)
{
    const bool has_best = st->at.best_epoch >= 0;
    json_t *curve = curve_json(&st->curve), *resume = NULL;
    char metrics[SHA256_HEX], best[SHA256_HEX];
    struct resume_record r = {
        .phase = st->at.phase,
        .phase_epoch = st->at.phase_epoch,
        .epoch = st->at.epoch,
        .step = (int64_t)st->step,
        .adam_step = st->adam_step,
        .smooth_loss = {st->smooth.value, (int64_t)st->smooth.count},
        .best_epoch = st->at.best_epoch,
        .best_phase = st->at.best_phase,
        .metrics_bytes = (int64_t)st->metrics_bytes,
        .curve = curve,
        .watch = {st->at.watch.best, st->at.watch.since, st->at.watch.since_drop,
                  st->at.watch.scale},
        .epoch_step = st->epoch_step,
        .ranks = ranks,
        .best_value = has_best ? st->at.best_value : NAN,
        .best = has_best ? st->best : NULL,
        .last = st->last,
    };
    const int rc = hash_files(&r, metrics, best, st, folder, err);

    if (rc == 0)
        resume = curve ? fields_json(resume_fields, &r) : NULL;
    json_decref(curve);
    if (rc < 0)
        return -1;
    return json_object_set_new(out, "resume", resume) < 0 ? err_set(err, ERR_NOMEM, "checkpoint")
                                                          : 0;
}

int state_json(json_t **out, const struct state *st, const struct session *s, int size,
               const char *weights_sha256, const char *folder, struct err *err)
{
    const struct augment_options *a = &s->e->augment; /* the record names no defaults */
    json_t *vocab = json_array();
    json_t *mean = json_pack("[f, f, f]", IMAGENET_MEAN_R, IMAGENET_MEAN_G, IMAGENET_MEAN_B);
    json_t *std = json_pack("[f, f, f]", IMAGENET_STD_R, IMAGENET_STD_G, IMAGENET_STD_B);
    const struct checkpoint_record r = {
        .version = CHECKPOINT_VERSION,
        .experiment = s->e->name,
        .arch = arch_name(s->e->model.arch),
        .precision = dtype_name(s->dtype),
        .size = size,
        .presize = (int)shard_set_size(s->shards),
        .max_aspect = s->max_aspect,
        .exif = s->exif ? "apply" : "ignore",
        .normalisation = {mean, std},
        .epochs = st->at.epoch,
        .steps = (int64_t)st->step,
        .weights_sha256 = weights_sha256,
        .parents = {s->config_sha256, s->tables_sha256, shard_set_index_sha256(s->shards),
                    shard_set_manifest_sha256(s->shards), st->initial_sha256},
        .augment = augment_mode_name(a->mode),
        .resize = a->resize == RESIZE_CROP ? NULL : augment_resize_name(a->resize),
        .pad = a->pad == PAD_REFLECTION ? NULL : augment_pad_name(a->pad),
        .vocab = vocab,
    };

    for (int i = 0; vocab && i < s->network->classes; i++)
        json_array_append_new(vocab, json_string(shard_set_label(s->shards, i)));
    *out = fields_json(checkpoint_fields, &r);
    json_decref(vocab);
    json_decref(mean);
    json_decref(std);
    if (!*out)
        return err_set(err, ERR_NOMEM, "checkpoint");
    if (folder && add_resume(*out, st, session_orders(s), folder, err) < 0) {
        json_decref(*out);
        *out = NULL;
        return -1;
    }
    return 0;
}

static int same_parent(const struct checkpoint_parents *parents, const char *name, const char *now,
                       const char *what, struct err *err)
{
    const char *then = field_text(field_find(checkpoint_parent_fields, name), parents);

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
static int same_ranks(const struct resume_record *r, const struct session *s, struct err *err)
{
    const int then = (int)r->ranks, now = session_orders(s);

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
static int check_counters(const struct resume_record *r, const struct history *h, struct err *err)
{
    const struct place *at = &h->at;
    const struct {
        const char *name;
        int64_t is;
        uint64_t due;
    } rows[] = {
        {"phase", r->phase, (uint64_t)at->phase},
        {"phase_epoch", r->phase_epoch, (uint64_t)at->phase_epoch},
        {"epoch", r->epoch, at->epoch},
        {"step", r->step, h->step},
        {"adam_step", r->adam_step, h->adam_step},
        {"smooth_loss.count", r->smooth_loss.count, h->smooth_count},
        {"best_epoch", r->best_epoch, (uint64_t)at->best_epoch},
        {"best_phase", r->best_phase, (uint64_t)at->best_phase},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if ((uint64_t)rows[i].is != rows[i].due)
            return wrong(rows[i].name, err);
    if (at->best_epoch >= 0 && !(r->best_value == at->best_value))
        return wrong("best_value", err);
    if (h->best && !json_equal(r->best, h->best))
        return wrong("best", err);
    if (h->last && !json_equal(r->last, h->last))
        return wrong("last", err);
    return 0;
}

static int check_watch(const struct resume_watch *is, const struct watch *due, struct err *err)
{
    if (same_number(is->best, due->best) && is->since == due->since &&
        is->since_drop == due->since_drop && is->scale == due->scale)
        return 0;
    return wrong("watch", err);
}

/* The part of metrics.jsonl that the state resumes from, followed through the recipe; older states have no hash. */
static int read_history(struct history *h, const struct resume_record *r, const struct session *s,
                        const char *folder, struct err *err)
{
    uint32_t steps[PHASES_MAX];
    const struct history_recipe recipe = {s->phases, s->n_phases, steps, &s->e->train.watch};
    const char *expected = r->metrics_sha256;
    const int64_t bytes = r->metrics_bytes;
    char path[PATH_LEN], hex[SHA256_HEX], *text;
    size_t size;
    int rc;

    for (int i = 0; i < s->n_phases; i++)
        steps[i] = session_steps(s, i);
    if (path_format(path, err, "%s/metrics.jsonl", folder) < 0 ||
        path_read(&text, &size, path, (size_t)1 << 28, err) < 0)
        return -1;
    if (bytes < 0 || (uint64_t)bytes > size) {
        free(text);
        return err_set(err, ERR_FORMAT,
                       "%s: %zu bytes, the checkpoint was written after %" PRId64
                       ": lines were lost",
                       path, size, bytes);
    }
    sha256_of(text, (size_t)bytes, hex);
    if (expected && strcmp(hex, expected) != 0)
        rc =
            err_set(err, ERR_CHECKSUM,
                    "%s: its first %" PRId64
                    " bytes have the SHA-256 %.12s..., last.json says %.12s...: a line was changed "
                    "since the run stopped",
                    path, bytes, hex, expected);
    else
        rc = history_read(h, &recipe, text, (size_t)bytes, path, err);
    free(text);
    if (rc < 0)
        return -1;
    if (r->epoch_step < 0 ||
        (h->at.phase < s->n_phases ? r->epoch_step >= steps[h->at.phase] : r->epoch_step > 0))
        return wrong("epoch_step", err);
    history_steps(h, &recipe, (uint32_t)r->epoch_step);
    return 0;
}

/* best.json is written before last.json: a process that was killed in between leaves that of one epoch more, which
 * is trained again. */
static int check_best(const struct resume_record *r, const char *folder, const struct place *at,
                      struct err *err)
{
    const char *expected = r->best_sha256;
    char hex[SHA256_HEX], weights[PATH_LEN];
    struct checkpoint_record record;
    json_t *best;
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
    checkpoint_record_read(&record, best);
    if (strcmp(hex, expected) != 0 && record.epochs != (int64_t)at->epoch + 1)
        rc = err_set(err, ERR_CHECKSUM,
                     "%s/checkpoints/best.json: its SHA-256 is %.12s..., last.json says %.12s...: "
                     "it was changed since the run stopped",
                     folder, hex, expected);
    else
        rc = checkpoint_weights(weights, folder, "best", best, err);
    json_decref(best);
    return rc;
}

static int take_state(struct state *st, const struct resume_record *r, struct history *h,
                      struct err *err)
{
    if (!isfinite(r->smooth_loss.value))
        return wrong("smooth_loss.value", err);
    if (check_watch(&r->watch, &h->at.watch, err) < 0)
        return -1;
    st->at = h->at;
    st->epoch_step = (uint32_t)r->epoch_step;
    st->step = h->step;
    st->adam_step = (uint32_t)h->adam_step;
    st->smooth = (struct smooth_loss){r->smooth_loss.value, h->smooth_count};
    st->metrics_bytes = (uint64_t)r->metrics_bytes;
    st->best = json_incref(h->best);
    st->last = json_incref(h->last);
    if (json_array_size(r->curve) > (st->at.epoch + 1) * (size_t)CURVE_POINTS)
        return wrong("curve", err);
    return read_curve(&st->curve, r->curve, err);
}

int state_read(struct state *st, const json_t *json, const struct session *s, const char *folder,
               struct err *err)
{
    struct checkpoint_record c;
    struct history h = {0};
    struct resume_record r;
    int rc;

    state_begin(st);
    checkpoint_record_read(&c, json);
    if (same_parent(&c.parents, "config", s->config_sha256, "the experiment", err) < 0 ||
        same_parent(&c.parents, "tables", s->tables_sha256, "a table that the experiment names",
                    err) < 0 ||
        same_parent(&c.parents, "index", shard_set_index_sha256(s->shards), "the set of shards",
                    err) < 0)
        return -1;
    if (!c.parents.initial_weights || !c.resume)
        return err_set(err, ERR_FORMAT, "checkpoint: nothing to resume from (resume)");
    if (fields_read(resume_fields, (int)c.version, &r, c.resume, err) < 0)
        return err_wrap(err, "checkpoints/last.json: resume");
    if (same_ranks(&r, s, err) < 0)
        return -1;
    snprintf(st->initial_sha256, sizeof st->initial_sha256, "%s", c.parents.initial_weights);
    rc = read_history(&h, &r, s, folder, err);
    if (rc == 0)
        rc = check_counters(&r, &h, err);
    if (rc == 0)
        rc = check_best(&r, folder, &h.at, err);
    if (rc == 0)
        rc = take_state(st, &r, &h, err);
    history_free(&h);
    return rc;
}
