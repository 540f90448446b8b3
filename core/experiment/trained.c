/* trained.c - a finished run opened as a model: keys, vocabulary and weights of its checkpoint.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "experiment/checkpoint.h"
#include "experiment/infer.h"

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

static int open_model(struct trained *t, const char *folder, const char *which, const json_t *state,
                      struct err *err)
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
    infer_mode(t->infer, t->experiment->augment.mode);
    return checkpoint_load(folder, which, state, t->backend, t->be, t->network, false, NULL, err);
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
    if (open_model(t, folder, which, state, err) < 0)
        goto fail;
    json_decref(state);
    *out = t;
    return 0;
fail:
    json_decref(state);
    trained_close(t);
    return -1;
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
