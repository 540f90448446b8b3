/* snapshot.c - a network's state in memory.
 * SPDX-License-Identifier: MIT */
#include "nn/snapshot.h"

#include <stdlib.h>
#include <string.h>

enum { COPIES = 4, NAME_LEN = 96 };

/* A parameter, its moments, its average. */
static const char *const endings[COPIES] = {"", ".m", ".v", ".ema"};

struct snapshot {
    const struct network *network;
    float **copies; /* (n_params, COPIES); NULL: the backend has none */
};

static void copy_name(char out[NAME_LEN], const struct param *p, int which)
{
    snprintf(out, NAME_LEN, "%s%s", p->name, endings[which]);
}

/* What has no moments or average: the backend knows no tensor of that name. */
static int take_one(float **out, const struct device *device, const struct param *p, int which,
                    struct err *err)
{
    char name[NAME_LEN];
    struct err missing = {0};

    *out = malloc(p->n * sizeof **out);
    if (!*out)
        return err_set(err, ERR_NOMEM, "a copy of %s: %zu numbers", p->name, p->n);
    copy_name(name, p, which);
    if (device->kind->get(device->be, name, *out, which ? &missing : err) == 0)
        return 0;
    free(*out);
    *out = NULL;
    if (which && missing.kind == ERR_INPUT)
        return 0;
    if (which && err)
        *err = missing;
    return -1;
}

int snapshot_take(struct snapshot **out, const struct device *device, const struct network *n,
                  struct err *err)
{
    struct snapshot *s = calloc(1, sizeof *s);

    *out = NULL;
    if (!s)
        return err_set(err, ERR_NOMEM, "snapshot");
    s->network = n;
    s->copies = (float **)calloc((size_t)n->n_params * COPIES, sizeof *s->copies);
    if (!s->copies) {
        err_set(err, ERR_NOMEM, "snapshot of %d tensors", n->n_params);
        goto fail;
    }
    for (int i = 0; i < n->n_params; i++)
        for (int k = 0; k < COPIES; k++)
            if (take_one(&s->copies[i * COPIES + k], device, &n->params[i], k, err) < 0)
                goto fail;
    *out = s;
    return 0;
fail:
    snapshot_free(s);
    return -1;
}

int snapshot_put(const struct snapshot *s, const struct device *device, struct err *err)
{
    for (int i = 0; i < s->network->n_params * COPIES; i++) {
        char name[NAME_LEN];

        if (!s->copies[i])
            continue;
        copy_name(name, &s->network->params[i / COPIES], i % COPIES);
        if (device->kind->put(device->be, name, s->copies[i], err) < 0)
            return -1;
    }
    return 0;
}

void snapshot_free(struct snapshot *s)
{
    if (!s)
        return;
    for (int i = 0; s->copies && i < s->network->n_params * COPIES; i++)
        free(s->copies[i]);
    free((void *)s->copies);
    free(s);
}
