/* trained.c - a finished run opened as a model: keys, vocabulary and weights of its checkpoint.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "experiment/checkpoint.h"
#include "experiment/infer.h"
#include "nn/weights.h"

static int read_vocab(struct trained *t, const json_t *state, struct err *err)
{
    json_t *vocab;
    const char *label;

    if (json_get_array(state, "vocab", &vocab, err) < 0)
        return -1;
    if (json_array_size(vocab) == 0 || json_array_size(vocab) > 1000000)
        return err_set(err, ERR_FORMAT, "vocab: %zu labels", json_array_size(vocab));
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
    json_int_t size, presize;
    json_t *aspect = json_object_get(state, "max_aspect");
    json_t *turned = json_object_get(state, "exif"); /* older: none, which is ignore */
    const char *exif = turned ? json_string_value(turned) : "ignore";

    if (read_vocab(t, state, err) < 0 || json_get_int(state, "size", &size, err) < 0 ||
        json_get_int(state, "presize", &presize, err) < 0)
        return -1;
    if (size < 1 || size > 8192 || presize < 1 || presize > 65500)
        return err_set(err, ERR_FORMAT, "size %d, presize %d: out of range", (int)size,
                       (int)presize);
    if (!json_is_number(aspect) || !(json_number_value(aspect) >= 1))
        return err_set(err, ERR_FORMAT, "max_aspect: expected a number of at least 1");
    t->size = (int)size;
    t->presize = (int)presize;
    t->max_aspect = json_number_value(aspect);
    if (!exif || (strcmp(exif, "apply") != 0 && strcmp(exif, "ignore") != 0))
        return err_set(err, ERR_FORMAT, "exif: expected apply or ignore");
    t->exif = strcmp(exif, "apply") == 0;
    return 0;
}

/* All but the weights. */
static int open_model(struct trained *t, struct err *err)
{
    const struct exec_options *exec = &t->experiment->exec;
    struct be_info info;
    const char *note;

    infer_exec(&t->experiment->exec);
    if (backend_open(&t->backend, &t->be, &info, exec, err) < 0)
        return -1;
    if (network_new(&t->network, &t->experiment->model, t->classes, err) < 0)
        return -1;
    if (infer_new(&t->infer, t->backend, t->be, t->network, t->size, infer_batch(exec, &info),
                  (int)exec->microbatch, experiment_dtype(t->experiment, &info, &note), err) < 0)
        return -1;
    infer_augment(t->infer, &t->experiment->augment);
    return 0;
}

int trained_open(struct trained **out, const char *folder, const char *which, char *const *words,
                 int n_words, struct err *err)
{
    struct trained *t = calloc(1, sizeof *t);
    json_t *state = NULL;

    *out = NULL;
    if (!t)
        return err_set(err, ERR_NOMEM, "%s", folder);
    if (experiment_reopen(&t->experiment, folder, words, n_words, err) < 0)
        goto fail;
    which = which ? which : experiment_final(t->experiment);
    if (checkpoint_state(&state, folder, which, err) < 0)
        goto fail;
    if (read_state(t, state, err) < 0) {
        err_wrap(err, "%s/checkpoints/%s.json", folder, which);
        goto fail;
    }
    if (open_model(t, err) < 0 ||
        checkpoint_load(folder, which, state, t->backend, t->be, t->network, false, NULL, err) < 0)
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
    int used = 0;

    for (int i = 0; i < MEMBERS; i++) {
        const char *value = json_string_value(json_object_get(state, members[i][0]));

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
        rc = weights_load(file, "", t->backend, t->be, t->network, false, NULL, err);
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
    if (t->be)
        t->backend->close(t->be);
    network_free(t->network);
    for (int i = 0; i < t->classes; i++)
        free(t->vocab[i]);
    free(t->vocab);
    experiment_free(t->experiment);
    free(t);
}
