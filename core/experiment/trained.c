/* trained.c - a finished run opened as a model: keys, vocabulary and weights of its checkpoint.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "experiment/checkpoint.h"
#include "experiment/checkpoint_record.h"
#include "experiment/infer.h"
#include "nn/weights.h"

static int read_vocab(struct trained *t, const json_t *vocab, struct err *err)
{
    const char *label;

    t->vocab = calloc(json_array_size(vocab), sizeof *t->vocab);
    if (!t->vocab)
        return err_set(err, ERR_NOMEM, "vocab");
    for (size_t i = 0; i < json_array_size(vocab); i++) {
        label = json_string_value(json_array_get(vocab, i));
        if (!label)
            return err_set(err, ERR_FORMAT, "vocab: entry %zu is not a string", i);
        t->vocab[i] = strdup(label);
        if (!t->vocab[i])
            return err_set(err, ERR_NOMEM, "vocab");
        t->classes++;
    }
    return 0;
}

static int read_state(struct trained *t, const json_t *state, struct err *err)
{
    struct checkpoint_record r;

    checkpoint_record_read(&r, state);
    if (checkpoint_record_predicts(&r, err) < 0 || read_vocab(t, r.vocab, err) < 0)
        return -1;
    t->size = (int)r.size;
    t->presize = (int)r.presize;
    t->max_aspect = r.max_aspect;
    t->exif = strcmp(r.exif, "apply") == 0;
    return 0;
}

/* All but the weights. */
static int open_model(struct trained *t, struct err *err)
{
    const struct exec_options *exec = &t->experiment->exec;
    const char *note;

    infer_exec(&t->experiment->exec);
    if (device_open(&t->device, exec, err) < 0)
        return -1;
    if (network_new(&t->network, &t->experiment->model, t->classes, err) < 0)
        return -1;
    if (infer_new(&t->infer, &t->device, t->network, t->size, infer_batch(exec, &t->device.info),
                  (int)exec->microbatch, experiment_dtype(t->experiment, &t->device.info, &note),
                  err) < 0)
        return -1;
    infer_augment(t->infer, &t->experiment->augment);
    return 0;
}

int trained_open(struct trained **out, const char *folder, const char *which, char *const *words,
                 int n_words, const struct be_ranks *ranks, struct err *err)
{
    struct trained *t = calloc(1, sizeof *t);
    json_t *state = NULL;

    *out = NULL;
    if (!t)
        return err_set(err, ERR_NOMEM, "%s", folder);
    if (experiment_reopen(&t->experiment, folder, words, n_words, err) < 0)
        goto fail;
    t->experiment->exec.ranks = ranks;
    which = which ? which : experiment_final(t->experiment);
    if (checkpoint_state(&state, folder, which, err) < 0)
        goto fail;
    if (read_state(t, state, err) < 0) {
        err_wrap(err, "%s/checkpoints/%s.json", folder, which);
        goto fail;
    }
    if (open_model(t, err) < 0 ||
        checkpoint_load(folder, which, state, &t->device, t->network, false, NULL, err) < 0)
        goto fail;
    json_decref(state);
    *out = t;
    return 0;
fail:
    json_decref(state);
    trained_close(t);
    return -1;
}

/* FILE's metadata; an older one's is that of the .json beside it, which does not say how pictures were shrunk. */
static int file_state(json_t **state, const char *file, struct err *err)
{
    const int stem = (int)(strlen(file) - strlen(".safetensors"));
    char path[PATH_LEN], *about;

    *state = NULL;
    if (weights_about(&about, file, err) < 0)
        return -1;
    if (about) {
        *state = json_loads(about, JSON_REJECT_DUPLICATES, NULL);
        free(about);
        return json_is_object(*state)
                   ? 0
                   : err_set(err, ERR_FORMAT, "the metadata \"presize\" is no JSON object");
    }
    if (path_format(path, err, "%.*s.json", stem, file) < 0)
        return -1;
    if (path_is_file(path))
        return json_read(state, path, err);
    return err_set(err, ERR_INPUT,
                   "it lacks the names of its classes and its sizes, which newer checkpoints have; "
                   "put its %s beside it, or name its run folder",
                   path_base(path));
}

/* The experiment as far as prediction needs it. */
static int file_experiment(struct trained *t, const json_t *state, char *const *words, int n,
                           struct err *err)
{
    /* the first SAID are always there but in older files, the rest only where not the default */
    enum { MEMBERS = 5, WORD = 96, MOST = MEMBERS + 4, SAID = 3 };
    static const char *const members[MEMBERS][2] = {{"arch", "model.arch"},
                                                    {"precision", "train.precision"},
                                                    {"augment", "augment.mode"},
                                                    {"resize", "augment.resize"},
                                                    {"pad", "augment.pad"}};
    char texts[MEMBERS][WORD], *all[MOST];
    struct checkpoint_record r;
    int used = 0;

    checkpoint_record_read(&r, state);
    for (int i = 0; i < MEMBERS; i++) {
        const char *value = field_text(field_find(checkpoint_fields, members[i][0]), &r);

        if (!value && i == 0)
            return err_set(err, ERR_FORMAT, "arch: missing");
        if (!value && i >= SAID)
            continue;
        if (!value) {
            log_warn("this older checkpoint has no %s: %s has its default", members[i][0],
                     members[i][1]);
            continue;
        }
        snprintf(texts[i], WORD, "%s=%s", members[i][1], value);
        all[used++] = texts[i];
    }
    for (int i = 0; i < n && used < MOST; i++)
        all[used++] = words[i];
    return experiment_default(&t->experiment, all, used, err);
}

int trained_open_file(struct trained **out, const char *file, char *const *words, int n_words,
                      struct err *err)
{
    struct trained *t = calloc(1, sizeof *t);
    json_t *state = NULL;
    int rc = -1;

    *out = NULL;
    if (!t)
        return err_set(err, ERR_NOMEM, "%s", file);
    if (file_state(&state, file, err) == 0 && file_experiment(t, state, words, n_words, err) == 0 &&
        read_state(t, state, err) == 0 && open_model(t, err) == 0)
        rc = weights_load(file, "", &t->device, t->network, false, NULL, err);
    json_decref(state);
    if (rc < 0)
        trained_close(t);
    else
        *out = t;
    return rc;
}

void trained_close(struct trained *t)
{
    if (!t)
        return;
    infer_free(t->infer);
    device_close(&t->device);
    network_free(t->network);
    for (int i = 0; i < t->classes; i++)
        free(t->vocab[i]);
    free(t->vocab);
    experiment_free(t->experiment);
    free(t);
}
