/* session.c - opens shards, device and network, and checks that they fit before anything is made.
 * SPDX-License-Identifier: MIT */
#include "learn/session.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "backend/op_traits.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "data/index_record.h"
#include "data/stream.h"
#include "data/weighting.h"
#include "experiment/checkpoint.h"
#include "experiment/checkpoint_record.h"
#include "experiment/initial.h"
#include "nn/weights.h"
#include "run/run.h"

/* Where model.weights points to: "" for none, else the file. */
static int weights_path(char out[PATH_LEN], const struct experiment *e, const char *data,
                        const char *results, struct err *err)
{
    const char *run = initial_run(e);
    char folder[PATH_LEN] = "";

    if (run && run_find(folder, results, run, err) < 0)
        return err_wrap(err, "model.weights=%s", e->model.weights);
    return initial_file(out, e, data, folder, err);
}

/* The key that gave a phase this size or batch: its own where it has one. */
static const char *phase_key(char out[40], const struct session *s, const char *what, int value)
{
    const struct train_options *t = &s->e->train;
    const bool size = strcmp(what, "size") == 0;

    snprintf(out, 40, "train.%s", what);
    for (int i = 0; i < t->phases_list.n; i++)
        if ((size ? t->phases[i].size : t->phases[i].batch) == value)
            snprintf(out, 40, "train.phases.%d.%s", i, what);
    return out;
}

static int check_size(const struct session *s, const char *key, int size, struct err *err)
{
    if (size <= shard_set_size(s->shards))
        return 0;
    return err_set(err, ERR_INPUT,
                   "%s: %d px is more than the shards hold (%d px, %s); run `prep %s "
                   "presize.size=%d` or choose a smaller size",
                   key, size, shard_set_size(s->shards), s->shards_folder, s->e->data.set, size);
}

static int check_phase(const struct session *s, int phase, struct err *err)
{
    const struct run_phase *p = &s->phases[phase];
    int64_t micro = s->e->exec.microbatch;
    char key[40];

    if ((uint32_t)p->batch > s->split->n_train) {
        phase_key(key, s, "batch", p->batch);
        return err_set(err, ERR_INPUT,
                       "%s: a batch of %d is larger than the training set (%u pictures of %s); "
                       "choose a smaller one: %s=%u",
                       key, p->batch, s->split->n_train, s->e->data.set, key,
                       s->split->n_train >= 8 ? s->split->n_train / 8 * 8 : s->split->n_train);
    }
    if (session_steps(s, phase) == 0)
        return err_set(
            err, ERR_INPUT,
            "train.accumulate: %d batches of %d pictures make one step, but there are only %u "
            "pictures to train with; at most train.accumulate=%u",
            (int)s->e->train.accumulate, p->batch, s->split->n_train,
            s->split->n_train / (uint32_t)p->batch);
    if (micro && p->batch / session_orders(s) % micro)
        return err_set(err, ERR_INPUT, "exec.microbatch: %d does not divide the batch of %d",
                       (int)micro, p->batch / session_orders(s));
    if (session_check_shares(s, phase, phase_key(key, s, "batch", p->batch), err) < 0)
        return -1;
    if (check_size(s, phase_key(key, s, "size", p->size), p->size, err) < 0)
        return -1;
    return check_size(s, "train.valid_size", p->valid_size, err);
}

/* How the shards' pictures were made, from their index.json. */
static void read_settings(struct session *s)
{
    const struct index_record *r = shard_set_record(s->shards);

    s->max_aspect = r->max_aspect;
    s->exif = strcmp(r->settings.exif, "apply") == 0;
}

/* The configuration names tables by path; their content decides bits, too. */
static int hash_tables(struct session *s, struct err *err)
{
    const struct experiment *e = s->e;
    const char *const tables[] = {e->data.split == SPLIT_CSV ? e->data.csv : "",
                                  e->train.loss.class_weights, e->data.sample_weights,
                                  split_clean_file(&e->data)};
    char all[4 * SHA256_HEX] = "", hex[SHA256_HEX];

    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (!weighting_is_on(tables[i]) || strcmp(tables[i], "balanced") == 0)
            continue;
        if (sha256_file(tables[i], hex, NULL, err) < 0)
            return -1;
        strncat(all, hex, sizeof all - strlen(all) - 1);
    }
    if (all[0])
        sha256_of(all, strlen(all), s->tables_sha256);
    return 0;
}

static int make_weights(struct session *s, struct err *err)
{
    const char *classes = s->e->train.loss.class_weights, *samples = s->e->data.sample_weights;
    const struct split *p = s->split;

    if (weighting_is_on(classes)) {
        s->class_weights = calloc((size_t)shard_set_classes(s->shards), sizeof *s->class_weights);
        if (!s->class_weights)
            return err_set(err, ERR_NOMEM, "class weights");
        if (weighting_classes(s->class_weights, classes, p->train, p->n_train, s->shards, err) < 0)
            return err_wrap(err, "train.loss.class_weights");
    }
    if (!weighting_is_on(samples))
        return 0;
    s->sample_sums = calloc(p->n_train, sizeof *s->sample_sums);
    if (!s->sample_sums)
        return err_set(err, ERR_NOMEM, "sample weights");
    if (weighting_pictures(s->sample_sums, samples, p->train, p->n_train, s->shards, err) < 0)
        return err_wrap(err, "data.sample_weights");
    return 0;
}

static int open_pictures(struct session *s, const char *data, struct err *err)
{
    if (experiment_shards(s->shards_folder, s->e, data, err) < 0)
        return -1;
    if (shard_set_open(&s->shards, s->shards_folder, err) < 0)
        return -1;
    read_settings(s);
    if (split_make(&s->split, &s->e->data, s->shards, err) < 0)
        return err_wrap(err, "%s", s->e->data.set);
    for (int i = 0; i < s->n_phases; i++)
        if (check_phase(s, i, err) < 0)
            return -1;
    if (stream_check_augment(&s->e->augment, err) < 0)
        return -1;
    return make_weights(s, err) < 0 ? -1 : hash_tables(s, err);
}

int session_open(struct session **out, struct experiment *e, const char *data, const char *results,
                 struct err *err)
{
    struct session *s = calloc(1, sizeof *s);
    char path[PATH_LEN];

    *out = NULL;
    if (!s) {
        experiment_free(e);
        return err_set(err, ERR_NOMEM, "session");
    }
    s->e = e;
    s->phase = -1;
    if (recipe_expand(s->phases, &s->n_phases, &e->train, &e->optim, err) < 0)
        goto fail;
    if (experiment_sha256(e, s->config_sha256, err) < 0)
        goto fail;
    if (device_open(&s->device, &e->exec, err) < 0)
        goto fail;
    if (session_ranks(s) > 1 && s->device.kind->shares == SHARES_NOTHING) {
        err_set(err, ERR_INPUT, "several processes need -B cpu or cuda, not %s",
                s->device.kind->name);
        goto fail;
    }
    if (open_pictures(s, data, err) < 0)
        goto fail;
    if (weights_path(path, e, data, results, err) < 0)
        goto fail;
    if (network_new(&s->network, &e->model, shard_set_classes(s->shards), err) < 0)
        goto fail;
    s->dtype = experiment_dtype(e, &s->device.info, &s->precision_note);
    *out = s;
    return 0;
fail:
    session_close(s);
    return -1;
}

static void release_phase(struct session *s)
{
    infer_free(s->infer);
    if (s->program)
        s->device.kind->release(s->program);
    op_list_free(s->list);
    free(s->losses);
    free(s->weights);
    s->infer = NULL;
    s->program = NULL;
    s->list = NULL;
    s->losses = s->weights = NULL;
    s->kept = false; /* lists to come may need the memory */
    s->phase = -1;
}

void session_release(struct session *s)
{
    release_phase(s);
}

void session_close(struct session *s)
{
    if (!s)
        return;
    release_phase(s);
    device_close(&s->device);
    network_free(s->network);
    split_free(s->split);
    free(s->class_weights);
    free(s->sample_sums);
    shard_set_close(s->shards);
    experiment_free(s->e);
    free(s);
}

int session_phase(struct session *s, int phase, struct err *err)
{
    const struct run_phase *p = &s->phases[phase];
    const struct train_options *t = &s->e->train;
    struct network_shape shape = {.batch = p->batch / session_ranks(s),
                                  .shared = session_ranks(s) > 1,
                                  .microbatch = session_microbatch(s, phase),
                                  .size = p->size,
                                  .dtype = s->dtype,
                                  .augment = true,
                                  .freeze_to = p->freeze_to,
                                  .dropout = s->e->model.dropout,
                                  .smoothing = t->loss.smoothing,
                                  .focal = t->loss.focal,
                                  .max_norm = t->max_norm,
                                  .sgd = s->e->optim.name == OPTIM_SGD,
                                  .nesterov = s->e->optim.nesterov,
                                  .parts = (int)t->accumulate,
                                  .averages = t->ema > 0};

    if (s->phase == phase)
        return 0;
    release_phase(s);
    s->losses = calloc((size_t)p->batch, sizeof *s->losses);
    s->weights = calloc((size_t)p->batch, sizeof *s->weights);
    if (!s->losses || !s->weights)
        return err_set(err, ERR_NOMEM, "phase %s", p->name);
    if (network_train_list(&s->list, s->network, &shape, err) < 0)
        goto fail;
    s->loss_tensor = op_list_find(s->list, "loss");
    BUG_IF(!s->loss_tensor);
    if (s->device.kind->prepare(&s->program, s->device.be, s->list, err) < 0)
        goto fail;
    if (infer_new(&s->infer, &s->device, s->network, p->valid_size,
                  infer_batch(&s->e->exec, &s->device.info), (int)s->e->exec.microbatch, s->dtype,
                  err) < 0)
        goto fail;
    infer_augment(s->infer, &s->e->augment);
    s->phase = phase;
    return 0;
fail:
    release_phase(s);
    return err_wrap(err, "phase %s, %d pictures of %d px", p->name, p->batch, p->size);
}

/* Looks at the checkpoint of an earlier run whose weights have the hash s->source_sha256. Its head
 * serves too when it tells the same classes apart. */
static int check_run(bool *same, const struct session *s, const char *folder, struct err *err)
{
    struct checkpoint_record r;
    const char *expected;
    json_t *state;

    if (checkpoint_state(&state, folder, "last", err) < 0)
        return -1;
    checkpoint_record_read(&r, state);
    if (json_get_string(r.files, "last.safetensors", &expected, NULL) < 0 ||
        strcmp(expected, s->source_sha256) != 0) {
        json_decref(state);
        return err_set(err, ERR_CHECKSUM,
                       "%s/checkpoints/last.safetensors is not the file that last.json was written "
                       "with: damaged, or the run is still in progress",
                       folder);
    }
    *same = json_array_size(r.vocab) == (size_t)s->network->classes;
    for (int i = 0; *same && i < s->network->classes; i++) {
        const char *label = json_string_value(json_array_get(r.vocab, (size_t)i));

        *same = label && strcmp(label, shard_set_label(s->shards, i)) == 0;
    }
    json_decref(state);
    return 0;
}

/* torchvision names a file after the first digits of its SHA-256: a file so named must have it. */
static int check_named_hash(const char *path, const char *sha256, struct err *err)
{
    char stated[SHA256_HEX];

    sha256_stated(stated, path_base(path));
    if (strncmp(stated, sha256, strlen(stated)) == 0)
        return 0;
    return err_set(
        err, ERR_CHECKSUM,
        "model.weights: %s: its SHA-256 is %.12s..., not as its name states: damaged, get it "
        "again (or rename it, if that is no hash)",
        path, sha256);
}

/* Draws are functions of seed and epoch: with that of the run whose weights these are, they come again. */
static void warn_of_seed(const struct session *s, const char *folder)
{
    struct run_entry run;
    struct err err;

    if (run_open(&run, folder, &err) < 0)
        return;
    if (run.facts.seed == s->e->seed)
        log_warn("seed %lld is also the seed of %s: the first epochs repeat pictures and crops "
                 "that its weights have seen; take another seed",
                 (long long)run.facts.seed, s->e->model.weights);
    run_entry_free(&run);
}

int session_weights(struct session *s, const char *data, const char *results, struct err *err)
{
    const char *w = s->e->model.weights;
    char path[PATH_LEN], folder[PATH_LEN];
    bool is_run = strncmp(w, "run:", 4) == 0, whole = false;

    if (weights_path(path, s->e, data, results, err) < 0)
        return -1;
    if (weights_init(&s->device, s->network, (uint64_t)s->e->seed, false, err) < 0)
        return -1;
    if (!*path)
        return weights_begin_averages(&s->device, s->network, err);
    if (sha256_file(path, s->source_sha256, NULL, err) < 0 ||
        check_named_hash(path, s->source_sha256, err) < 0)
        return -1;
    if (is_run &&
        (run_find(folder, results, w + 4, err) < 0 || check_run(&whole, s, folder, err) < 0))
        return err_wrap(err, "model.weights=%s", w);
    if (is_run)
        warn_of_seed(s, folder);
    if (weights_load(path, s->e->model.weights_key, &s->device, s->network, !whole, NULL, err) < 0)
        return strcmp(path, w) == 0 ? err_wrap(err, "model.weights")
                                    : err_wrap(err, "model.weights=%s", w);
    log_info("model.weights=%s: %s", w,
             whole    ? "body and head, the classes are the same"
             : is_run ? "the body; other classes, the head starts afresh"
                      : "the body; the head starts afresh");
    return weights_begin_averages(&s->device, s->network, err);
}

uint32_t session_steps(const struct session *s, int phase)
{
    return s->split->n_train / (uint32_t)s->phases[phase].batch / (uint32_t)s->e->train.accumulate;
}

const char *session_step_text(const struct session *s, int phase, char out[32])
{
    const int parts = (int)s->e->train.accumulate, batch = s->phases[phase].batch;

    if (parts > 1)
        snprintf(out, 32, "%d x %d", parts, batch);
    else
        snprintf(out, 32, "%d", batch);
    return out;
}

int session_run(struct session *s, struct step *step, double *loss_nat, struct err *err)
{
    const int n = step->n_pictures, share = n / session_ranks(s), first = session_rank(s) * share;
    double sum = 0;
    int rc;

    if (s->class_weights) {
        weighting_batch(s->weights, s->class_weights, step->pictures, step->mixes,
                        step->n_pictures);
        step->weights = s->weights;
    }
    if (session_group(s)) {
        step->first = first;
        step->n_pictures = share;
        step->n_batch = n;
    }
    rc = s->device.kind->run(s->program, step, err);
    step->n_pictures = n;
    if (rc < 0 || s->device.kind->read(s->program, s->loss_tensor, s->losses + first, err) < 0)
        return -1;
    if (session_group(s))
        group_share(session_group(s), s->losses, (size_t)share * sizeof *s->losses);
    for (int i = 0; i < n; i++)
        sum += (double)s->losses[i];
    *loss_nat = sum / n;
    return 0;
}

int session_step(struct session *s, struct stream *stream, struct step *step, double *loss_nat,
                 struct err *err)
{
    const uint32_t *ranks;
    double loss;

    *loss_nat = 0;
    step->parts = (int)s->e->train.accumulate;
    for (step->part = 0; step->part < step->parts; step->part++) {
        int more = stream_next(stream, &step->pictures, &ranks, &step->n_pictures, err);

        if (more < 0)
            return -1;
        BUG_IF(more == 0);
        step->mixes = stream_mixes(stream);
        stream_peek(stream, &step->next, &step->n_next);
        if (session_run(s, step, &loss, err) < 0)
            return -1;
        *loss_nat += loss / step->parts;
    }
    return 0;
}

/* Whether every number of tensor T is one; true of what is not kept to the end of a run. */
static bool is_finite(struct session *s, int t, float *buffer)
{
    const size_t n = tensor_elements(&s->list->tensors[t]);
    struct err ignored = {0};

    if ((s->list->tensors[t].role != TENSOR_STAT && t != s->loss_tensor) ||
        s->device.kind->read(s->program, t, buffer, &ignored) < 0)
        return true;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(buffer[i]))
            return false;
    return true;
}

void session_culprit(struct session *s, char *out, size_t size)
{
    size_t most = 0;
    float *buffer;

    for (int t = 1; t < s->list->n_tensors; t++)
        if (tensor_elements(&s->list->tensors[t]) > most)
            most = tensor_elements(&s->list->tensors[t]);
    out[0] = 0;
    buffer = malloc(most * sizeof *buffer);
    for (int i = 0; buffer && i < s->list->n_ops && !out[0]; i++)
        for (int k = 0; k < OP_MAX_OUT; k++) {
            const int t = s->list->ops[i].out[k];

            if (!t || is_finite(s, t, buffer))
                continue;
            snprintf(out, size, " The first such number is in %s, which op %d (%s) wrote.",
                     s->list->tensors[t].name, i, op_kind_name(s->list->ops[i].kind));
            break;
        }
    free(buffer);
}

void session_stream_options(struct stream_options *o, const struct session *s, int phase,
                            uint32_t epoch)
{
    const struct run_phase *p = &s->phases[phase];

    *o = (struct stream_options){.ranks = s->split->train,
                                 .n = s->split->n_train,
                                 .batch = p->batch,
                                 .size = p->size,
                                 .train = true,
                                 .augment = &s->e->augment,
                                 .sample_sums = s->sample_sums,
                                 .seed = (uint64_t)s->e->seed,
                                 .epoch = epoch,
                                 .slice = session_rank(s),
                                 .slices = session_ranks(s),
                                 .prefetch = (int)s->e->exec.prefetch,
                                 .readers = (int)s->e->exec.readers,
                                 .sharers = session_group(s) ? group_sharers(session_group(s)) : 1,
                                 .verify = s->e->data.verify == VERIFY_CRC};
}

struct sending { /* pictures on their way to the device */
    const struct session *s;
    atomic_bool begun; /* by any of several threads */
};

static size_t sending_bytes(void *ctx, uint32_t rank)
{
    const struct sending *k = ctx;
    const struct shard_picture *p = shard_set_picture(k->s->shards, rank);

    return (size_t)p->height * p->width * 3;
}

static int sending_read(void *ctx, uint32_t rank, uint8_t *pixels, struct err *err)
{
    struct sending *k = ctx;

    if (!atomic_exchange(&k->begun, true))
        log_info("sending the pictures, %llu MB, to the GPU's memory",
                 (unsigned long long)(shard_set_bytes(k->s->shards) >> 20));
    return shard_set_read(k->s->shards, rank, pixels, k->s->e->data.verify == VERIFY_CRC, err);
}

/* Lets the device keep the pictures, where it can. */
static int keep_pictures(struct session *s, struct err *err)
{
    struct sending k = {.s = s};
    const struct picture_set set = {.set = shard_set_number(s->shards),
                                    .n = shard_set_count(s->shards),
                                    .ctx = &k,
                                    .bytes = sending_bytes,
                                    .read = sending_read};
    const double start = clock_seconds();
    int kept;

    if (!s->device.kind->keep)
        return 0;
    kept = s->device.kind->keep(s->device.be, &set, err);
    if (kept > 0 && atomic_load(&k.begun))
        log_info("they stay in the GPU's memory; it took %.1f s", clock_seconds() - start);
    s->kept = kept > 0;
    return kept < 0 ? -1 : 0;
}

int session_stream(struct stream **out, struct session *s, int phase, uint32_t epoch,
                   uint32_t first, struct err *err)
{
    struct stream_options o;

    *out = NULL;
    session_stream_options(&o, s, phase, epoch);
    if (!stream_changes_pixels(&o) && keep_pictures(s, err) < 0)
        return -1;
    o.first_batch = first * (uint32_t)s->e->train.accumulate;
    o.kept = s->kept;
    return stream_open(out, s->shards, &o, err);
}
