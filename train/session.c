/* session.c - opens shards, device and network, and checks that they fit before anything is made.
 * SPDX-License-Identifier: MIT */
#include "session.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "data/stream.h"
#include "experiment/checkpoint.h"
#include "nn/weights.h"
#include "record/run.h"

/* Where model.weights points to: "" for none, else the file. */
static int weights_path(char out[PATH_LEN], const struct experiment *e, const char *data,
                        const char *results, struct err *err)
{
    const char *w = e->model.weights, *arch = arch_name(e->model.arch);
    char folder[PATH_LEN];

    out[0] = 0;
    if (strcmp(w, "none") == 0 || !*w)
        return 0;
    if (strncmp(w, "run:", 4) == 0) {
        if (run_find(folder, results, w + 4, err) < 0)
            return err_wrap(err, "model.weights=%s", w);
        if (path_format(out, err, "%s/checkpoints/last.safetensors", folder) < 0)
            return -1;
        if (!path_is_file(out))
            return err_set(err, ERR_INPUT,
                           "model.weights=%s: %s is missing: the run has no checkpoint", w, out);
        return 0;
    }
    if (strcmp(w, "imagenet") == 0 || strcmp(w, "imagenet-v2") == 0) {
        const char *version = w + strlen("imagenet");

        if (path_format(out, err, "%s/weights/%s%s.safetensors", data, arch, version) < 0)
            return -1;
        if (!path_is_file(out) && *version && e->model.arch < RESNET50)
            return err_set(err, ERR_INPUT,
                           "model.weights=%s: %s is missing, and torchvision has no second "
                           "weights for %s: use model.weights=imagenet",
                           w, out, arch);
        if (!path_is_file(out))
            return err_set(err, ERR_INPUT,
                           "model.weights=%s: %s is missing: run `fetch weights/%s%s` first, or "
                           "train from nothing with model.weights=none",
                           w, out, arch, version);
        return 0;
    }
    if (!path_is_file(w))
        return err_set(err, ERR_INPUT,
                       "model.weights=%s: no such file (none, imagenet, imagenet-v2, run:NAME or a "
                       ".safetensors or .pth file)",
                       w);
    return path_format(out, err, "%s", w);
}

static int check_phase(const struct session *s, int phase, struct err *err)
{
    const struct run_phase *p = &s->phases[phase];
    int64_t micro = s->e->exec.microbatch;

    if ((uint32_t)p->batch > s->split->n_train)
        return err_set(err, ERR_INPUT,
                       "train.batch: a batch of %d is larger than the training set (%u pictures of "
                       "%s); choose a smaller one: train.batch=%u",
                       p->batch, s->split->n_train, s->e->data.set,
                       s->split->n_train >= 8 ? s->split->n_train / 8 * 8 : s->split->n_train);
    if (micro && p->batch % micro)
        return err_set(err, ERR_INPUT, "exec.microbatch: %d does not divide the batch of %d",
                       (int)micro, p->batch);
    if (p->size > shard_set_size(s->shards))
        return err_set(err, ERR_INPUT,
                       "train.size: %d px is more than the shards hold (%d px, %s); run `prep %s "
                       "presize.size=%d` or choose a smaller size",
                       p->size, shard_set_size(s->shards), s->shards_folder, s->e->data.set,
                       p->size);
    return 0;
}

/* max_aspect of the shards, from their index.json. */
static int read_aspect(struct session *s, struct err *err)
{
    char path[PATH_LEN];
    json_t *index, *value;

    if (path_format(path, err, "%s/index.json", s->shards_folder) < 0)
        return -1;
    if (json_read(&index, path, err) < 0)
        return -1;
    value = json_object_get(index, "max_aspect");
    s->max_aspect = json_is_number(value) ? json_number_value(value) : 2.0;
    json_decref(index);
    return 0;
}

static int open_pictures(struct session *s, const char *data, struct err *err)
{
    if (experiment_shards(s->shards_folder, s->e, data, err) < 0)
        return -1;
    if (shard_set_open(&s->shards, s->shards_folder, err) < 0)
        return -1;
    if (read_aspect(s, err) < 0)
        return -1;
    if (split_make(&s->split, &s->e->data, s->shards, err) < 0)
        return err_wrap(err, "%s", s->e->data.set);
    for (int i = 0; i < s->n_phases; i++)
        if (check_phase(s, i, err) < 0)
            return -1;
    return 0;
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
    if (experiment_backend(&s->backend, e, err) < 0)
        goto fail;
    if (open_pictures(s, data, err) < 0)
        goto fail;
    if (weights_path(path, e, data, results, err) < 0)
        goto fail;
    if (network_new(&s->network, &e->model, shard_set_classes(s->shards), err) < 0)
        goto fail;
    if (s->backend->open(&s->be, &e->exec, err) < 0)
        goto fail;
    s->backend->info(s->be, &s->info);
    s->dtype = experiment_dtype(e, &s->info, &s->precision_note);
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
        s->backend->release(s->program);
    op_list_free(s->list);
    free(s->losses);
    s->infer = NULL;
    s->program = NULL;
    s->list = NULL;
    s->losses = NULL;
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
    if (s->be)
        s->backend->close(s->be);
    network_free(s->network);
    split_free(s->split);
    shard_set_close(s->shards);
    experiment_free(s->e);
    free(s);
}

int session_phase(struct session *s, int phase, struct err *err)
{
    const struct run_phase *p = &s->phases[phase];
    struct network_shape shape = {.batch = p->batch,
                                  .microbatch = (int)s->e->exec.microbatch,
                                  .size = p->size,
                                  .dtype = s->dtype,
                                  .augment = true,
                                  .freeze_to = p->freeze_to,
                                  .dropout = s->e->model.dropout};

    if (s->phase == phase)
        return 0;
    release_phase(s);
    s->losses = calloc((size_t)p->batch, sizeof *s->losses);
    if (!s->losses)
        return err_set(err, ERR_NOMEM, "phase %s", p->name);
    if (network_train_list(&s->list, s->network, &shape, err) < 0)
        goto fail;
    s->loss_tensor = op_list_find(s->list, "loss");
    BUG_IF(s->loss_tensor < 0);
    if (s->backend->prepare(&s->program, s->be, s->list, err) < 0)
        goto fail;
    if (infer_new(&s->infer, s->backend, s->be, s->network, p->size, infer_batch(&s->e->exec),
                  (int)s->e->exec.microbatch, s->dtype, err) < 0)
        goto fail;
    infer_mode(s->infer, s->e->augment.mode);
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
    json_t *state, *vocab;
    const char *expected;

    if (checkpoint_state(&state, folder, "last", err) < 0)
        return -1;
    expected =
        json_string_value(json_object_get(json_object_get(state, "files"), "last.safetensors"));
    if (!expected || strcmp(expected, s->source_sha256) != 0) {
        json_decref(state);
        return err_set(err, ERR_CHECKSUM,
                       "%s/checkpoints/last.safetensors is not the file that last.json was written "
                       "with: damaged, or the run still goes on",
                       folder);
    }
    vocab = json_object_get(state, "vocab");
    *same = json_array_size(vocab) == (size_t)s->network->classes;
    for (int i = 0; *same && i < s->network->classes; i++) {
        const char *label = json_string_value(json_array_get(vocab, (size_t)i));

        *same = label && strcmp(label, shard_set_label(s->shards, i)) == 0;
    }
    json_decref(state);
    return 0;
}

int session_weights(struct session *s, const char *data, const char *results, struct err *err)
{
    const char *w = s->e->model.weights;
    char path[PATH_LEN], folder[PATH_LEN];
    bool is_run = strncmp(w, "run:", 4) == 0, whole = false;

    if (weights_path(path, s->e, data, results, err) < 0)
        return -1;
    if (weights_init(s->backend, s->be, s->network, (uint64_t)s->e->seed, false, err) < 0)
        return -1;
    if (!*path)
        return 0;
    if (sha256_file(path, s->source_sha256, NULL, err) < 0)
        return -1;
    if (is_run &&
        (run_find(folder, results, w + 4, err) < 0 || check_run(&whole, s, folder, err) < 0))
        return err_wrap(err, "model.weights=%s", w);
    if (weights_load(path, s->backend, s->be, s->network, !whole, NULL, err) < 0)
        return err_wrap(err, "model.weights=%s", w);
    log_info("model.weights=%s: %s", w,
             whole    ? "body and head, the classes are the same"
             : is_run ? "the body; other classes, the head starts afresh"
                      : "the body; the head starts afresh");
    return 0;
}

uint32_t session_batches(const struct session *s, int phase)
{
    return s->split->n_train / (uint32_t)s->phases[phase].batch;
}

int session_step(struct session *s, const struct step *step, double *loss_nat, struct err *err)
{
    double sum = 0;

    if (s->backend->run(s->program, step, err) < 0)
        return -1;
    if (s->backend->read(s->program, s->loss_tensor, s->losses, err) < 0)
        return -1;
    for (int i = 0; i < step->n_pictures; i++)
        sum += (double)s->losses[i];
    *loss_nat = sum / step->n_pictures;
    return 0;
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
                                 .seed = (uint64_t)s->e->seed,
                                 .epoch = epoch,
                                 .prefetch = (int)s->e->exec.prefetch,
                                 .verify = s->e->data.verify == VERIFY_CRC};
}

int session_stream(struct stream **out, const struct session *s, int phase, uint32_t epoch,
                   struct err *err)
{
    struct stream_options o;

    session_stream_options(&o, s, phase, epoch);
    return stream_open(out, s->shards, &o, err);
}
