/* initial.c - model.weights as a file.
 * SPDX-License-Identifier: MIT */
#include "experiment/initial.h"

#include <string.h>

#include "arch/pretrained.h"

const char *initial_run(const struct experiment *e)
{
    return strncmp(e->model.weights, "run:", 4) == 0 ? e->model.weights + 4 : NULL;
}

int initial_file(char out[PATH_LEN], const struct experiment *e, const char *data, const char *run,
                 struct err *err)
{
    const char *w = e->model.weights, *arch = arch_name(e->model.arch);

    out[0] = 0;
    if (strcmp(w, "none") == 0)
        return 0;
    if (initial_run(e)) {
        if (path_format(out, err, "%s/checkpoints/last.safetensors", run) < 0)
            return -1;
        if (!path_is_file(out))
            return err_set(err, ERR_INPUT,
                           "model.weights=%s: %s is missing: the run has no checkpoint", w, out);
        return 0;
    }
    if (strcmp(w, "imagenet") == 0 || strcmp(w, "imagenet-v2") == 0) {
        const char *version = w + strlen("imagenet");
        char name[64];

        if (path_format(out, err, "%s/weights/%s%s.safetensors", data, arch, version) < 0)
            return -1;
        if (path_is_file(out))
            return 0;
        if (!pretrained_find(arch))
            return err_set(
                err, ERR_INPUT,
                "model.weights=%s: torchvision has no weights for %s: train from nothing "
                "with model.weights=none, or name a file",
                w, arch);
        snprintf(name, sizeof name, "%s%s", arch, version);
        if (!pretrained_find(name))
            return err_set(err, ERR_INPUT,
                           "model.weights=%s: %s is missing, and torchvision has no second "
                           "weights for %s: use model.weights=imagenet",
                           w, out, arch);
        return err_set(err, ERR_INPUT,
                       "model.weights=%s: %s is missing: run `fetch weights/%s%s` first, or "
                       "train from nothing with model.weights=none",
                       w, out, arch, version);
    }
    if (!path_is_file(w))
        return err_set(err, ERR_INPUT,
                       "model.weights=%s: no such file (none, imagenet, imagenet-v2, run:NAME or a "
                       ".safetensors or .pth file)",
                       w);
    return path_format(out, err, "%s", w);
}
