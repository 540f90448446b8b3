/* weights_kept.c - what a resumed training needs besides the network: moments, averages.
 * SPDX-License-Identifier: MIT */
#include "nn/weights_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum { MOMENTS = 2, KEPT = 3 };

/* Endings of the names in the backend and in the file. */
static const char *const kept[KEPT] = {".m", ".v", ".ema"}, *const stored[KEPT] = {".m", ".v", ""};

/* Where there is one. */
static const struct param loss_scale = {.name = BACKEND_LOSS_SCALE,
                                        .dims = {BACKEND_SCALE_VALUES},
                                        .n_dims = 1,
                                        .n = BACKEND_SCALE_VALUES};

static void with_ending(char out[NAME_LEN], const struct param *p, const char *ending)
{
    snprintf(out, NAME_LEN, "%s%s", p->name, ending);
}

/* Whether the backend keeps it of P, then in BUFFER: it does once a list with that tensor was prepared. */
static bool keeps(const struct device *device, const struct param *p, int which, float *buffer)
{
    char name[NAME_LEN];
    struct err ignored = {0};

    with_ending(name, p, kept[which]);
    return device->kind->get(device->be, name, buffer, &ignored) == 0;
}

static int put_kept(const struct device *device, const struct param *p, int which,
                    const float *values, struct err *err)
{
    char name[NAME_LEN];

    with_ending(name, p, kept[which]);
    return device->kind->put(device->be, name, values, err);
}

int weights_compare(const char *path, const struct device *device, const struct network *n,
                    char first[96], int *differ, int *of, struct err *err)
{
    struct tensorfile *file = NULL;
    float *here = weights_buffer(n, err), *there = here ? weights_buffer(n, err) : NULL;
    int rc = there ? tensorfile_open(&file, path, err) : -1;

    *differ = *of = 0;
    for (int i = 0; i < n->n_params && rc == 0; i++) {
        const struct param *p = &n->params[i];
        const struct st_tensor *t = tensorfile_find(file, p->name);
        char detail[128];

        if (!t || !tensor_shape_fits(t, p->n_dims, p->dims, detail)) {
            rc = err_set(err, ERR_FORMAT, "%s: no tensor %s of this network", path, p->name);
            break;
        }
        rc = tensorfile_read_f32(file, t, there, err);
        if (rc == 0)
            rc = device->kind->get(device->be, p->name, here, err);
        ++*of;
        if (rc == 0 && memcmp(here, there, p->n * sizeof *here) != 0 && (*differ)++ == 0)
            snprintf(first, 96, "%s", p->name);
    }
    tensorfile_close(file);
    free(here);
    free(there);
    return rc;
}

int weights_save_optimiser(const char *path, const struct device *device, const struct network *n,
                           struct err *err)
{
    struct safetensors_writer *w = NULL;
    float *buffer = weights_buffer(n, err), scale[BACKEND_SCALE_VALUES];
    struct err ignored = {0};
    bool scaled = device->kind->get(device->be, loss_scale.name, scale, &ignored) == 0;
    char name[NAME_LEN];
    int rc = -1;

    if (!buffer || safetensors_create(&w, path, err) < 0 ||
        safetensors_note(w, "format", "pt", err) < 0)
        goto out;
    for (int i = 0; i < n->n_params * KEPT; i++) {
        with_ending(name, &n->params[i / KEPT], stored[i % KEPT]);
        if (keeps(device, &n->params[i / KEPT], i % KEPT, buffer) &&
            weights_declare(w, name, &n->params[i / KEPT], err) < 0)
            goto out;
    }
    if (scaled && weights_declare(w, loss_scale.name, &loss_scale, err) < 0)
        goto out;
    for (int i = 0; i < n->n_params * KEPT; i++)
        if (keeps(device, &n->params[i / KEPT], i % KEPT, buffer) &&
            safetensors_write(w, buffer, n->params[i / KEPT].n * sizeof *buffer, err) < 0)
            goto out;
    if ((scaled && safetensors_write(w, scale, sizeof scale, err) < 0) ||
        safetensors_finish(w, err) < 0)
        goto out;
    w = NULL;
    rc = 0;
out:
    safetensors_abort(w);
    free(buffer);
    return rc;
}

/* The parameter that the file's tensor NAME belongs to; NULL: none. */
static const struct param *owner_of(const struct network *n, const char *name)
{
    if (strcmp(name, loss_scale.name) == 0)
        return &loss_scale;
    for (int k = 0; k < KEPT; k++) {
        char prefix[NAME_LEN];
        size_t length = strlen(name);
        const struct param *p;

        if (length >= sizeof prefix || !text_ends_in(name, stored[k]))
            continue;
        snprintf(prefix, sizeof prefix, "%.*s", (int)(length - strlen(stored[k])), name);
        p = network_param(n, prefix);
        if (p && (p->trained || k >= MOMENTS))
            return p;
    }
    return NULL;
}

static int check_kept(const struct safetensors *s, const char *path, const struct network *n,
                      struct err *err)
{
    struct misfits m = {0};

    for (size_t i = 0; i < safetensors_count(s); i++) {
        const struct st_tensor *t = safetensors_tensor(s, i);
        const struct param *p = owner_of(n, t->name);
        char detail[128];

        if (!p || t->dtype != ST_F32)
            misfits_add(&m, "not the optimiser's:", t->name, "");
        else if (!tensor_shape_fits(t, p->n_dims, p->dims, detail))
            misfits_add(&m, "misshapen", t->name, detail);
    }
    return weights_misfit(&m, path, n, err);
}

/* Puts back the loss scale, where both the file and the backend have one. */
static int load_scale(const struct safetensors *s, const struct device *device, struct err *err)
{
    const struct st_tensor *t = safetensors_find(s, loss_scale.name);
    float scale[BACKEND_SCALE_VALUES];
    struct err ignored = {0};

    if (!t || device->kind->get(device->be, loss_scale.name, scale, &ignored) < 0)
        return 0;
    if (safetensors_read_f32(s, t, scale, err) < 0)
        return -1;
    if (!(scale[0] > 0 && scale[0] <= 0x1p127F) || !(scale[1] >= 0 && scale[1] < 1e6F) ||
        !(scale[2] >= 0 && scale[2] < 1e9F) || !(scale[3] >= 0 && scale[3] < 1e9F))
        return err_set(err, ERR_FORMAT, "%s is no valid state of a loss scale: %g %g %g %g",
                       loss_scale.name, (double)scale[0], (double)scale[1], (double)scale[2],
                       (double)scale[3]);
    return device->kind->put(device->be, loss_scale.name, scale, err);
}

int weights_load_optimiser(const char *path, const struct device *device, const struct network *n,
                           struct err *err)
{
    struct safetensors *s;
    float *buffer = NULL;
    int rc = -1;

    if (safetensors_open(&s, path, err) < 0)
        return -1;
    buffer = weights_buffer(n, err);
    if (!buffer || check_kept(s, path, n, err) < 0)
        goto out;
    for (int i = 0; i < n->n_params * KEPT; i++) {
        const struct param *p = &n->params[i / KEPT];
        char name[NAME_LEN];
        const struct st_tensor *t;

        if (!keeps(device, p, i % KEPT, buffer))
            continue;
        with_ending(name, p, stored[i % KEPT]);
        t = safetensors_find(s, name);
        memset(buffer, 0, p->n * sizeof *buffer); /* not in the file: never trained before it */
        if ((t && safetensors_read_f32(s, t, buffer, err) < 0) ||
            put_kept(device, p, i % KEPT, buffer, err) < 0)
            goto out;
    }
    rc = load_scale(s, device, err);
out:
    free(buffer);
    safetensors_close(s);
    return rc;
}

int weights_clear_optimiser(const struct device *device, const struct network *n, struct err *err)
{
    float *buffer = weights_buffer(n, err);
    int rc = buffer ? 0 : -1;

    for (int i = 0; i < n->n_params * MOMENTS && rc == 0; i++) {
        const struct param *p = &n->params[i / MOMENTS];

        if (!keeps(device, p, i % MOMENTS, buffer))
            continue;
        memset(buffer, 0, p->n * sizeof *buffer);
        rc = put_kept(device, p, i % MOMENTS, buffer, err);
    }
    free(buffer);
    return rc;
}

/* Gives every average the weights' values, and with SWAP the weights those of the average. */
static int move_averages(const struct device *device, const struct network *n, bool swap,
                         struct err *err)
{
    float *averages = weights_buffer(n, err), *weights = averages ? weights_buffer(n, err) : NULL;
    int rc = weights ? 0 : -1;

    for (int i = 0; i < n->n_params && rc == 0; i++) {
        const struct param *p = &n->params[i];

        if (!keeps(device, p, MOMENTS, averages))
            continue;
        if (device->kind->get(device->be, p->name, weights, err) < 0 ||
            put_kept(device, p, MOMENTS, weights, err) < 0 ||
            (swap && device->kind->put(device->be, p->name, averages, err) < 0))
            rc = -1;
    }
    free(averages);
    free(weights);
    return rc;
}

int weights_begin_averages(const struct device *device, const struct network *n, struct err *err)
{
    return move_averages(device, n, false, err);
}

int weights_swap_averages(const struct device *device, const struct network *n, struct err *err)
{
    return move_averages(device, n, true, err);
}
