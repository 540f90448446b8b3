/* weights.c - a network's persistent tensors: fresh, from files, to files, hashed.
 *
 * The open backend holds the values; here they pass through one buffer, tensor by tensor.
 * SPDX-License-Identifier: MIT */
#include "nn/weights_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/real.h"
#include "base/rng.h"
#include "base/text.h"

float *weights_buffer(const struct network *n, struct err *err)
{
    size_t largest = 1;
    float *buffer;

    for (int i = 0; i < n->n_params; i++)
        if (n->params[i].n > largest)
            largest = n->params[i].n;
    buffer = malloc(largest * sizeof *buffer);
    if (!buffer)
        err_set(err, ERR_NOMEM, "weights: %zu numbers", largest);
    return buffer;
}

static bool in_head(const char *name)
{
    return strncmp(name, "head.", 5) == 0;
}

/* "bn1.running_var" -> "bn1.num_batches_tracked" */
static void batches_name(char out[NAME_LEN], const struct param *p)
{
    snprintf(out, NAME_LEN, "%.*s%s", (int)(strlen(p->name) - strlen(".running_var")), p->name,
             resnet_counter);
}

/* --- initial values --------------------------------------------------------------------------- */

/* N(0, std): words (0, 1) and (2, 3) of each draw give two numbers, Box and Muller 1958, in double. */
static void normal(float *v, size_t n, double std, uint64_t seed, int tensor)
{
    static const double two_pi = 6.283185307179586476925286766559, unit = 0x1p-32;

    for (size_t i = 0; i < n; i += 4) {
        struct rng_counter c = {
            .purpose = RNG_INIT, .position = (uint32_t)tensor, .draw = (uint32_t)(i / 4)};
        uint32_t words[4];

        rng_words(words, seed, c);
        for (size_t k = 0; k < 4 && i + k < n; k += 2) {
            double radius = std * sqrt(-2 * real_log((words[k] + 1.0) * unit));
            double angle = two_pi * unit * words[k + 1], sine, cosine;

            real_sincos(angle, &sine, &cosine);
            v[i + k] = (float)(radius * cosine);
            if (i + k + 1 < n)
                v[i + k + 1] = (float)(radius * sine);
        }
    }
}

static void fresh(float *v, const struct param *p, uint64_t seed, int tensor)
{
    size_t area = p->n_dims == 4 ? (size_t)p->dims[2] * (size_t)p->dims[3] : 1;
    float value = 0;

    switch (p->init) {
    case INIT_KAIMING_OUT: /* He, Zhang, Ren, Sun 2015 (ICCV), eq. 14 */
        normal(v, p->n, sqrt(2.0 / (double)((size_t)p->dims[0] * area)), seed, tensor);
        return;
    case INIT_KAIMING_IN: /* eq. 10 */
        normal(v, p->n, sqrt(2.0 / (double)((size_t)p->dims[1] * area)), seed, tensor);
        return;
    case INIT_ONE:
        value = 1;
        break;
    case INIT_ZERO:
        break;
    case INIT_BN_BIAS:
        value = 1e-3f;
        break;
    }
    for (size_t i = 0; i < p->n; i++)
        v[i] = value;
}

int weights_init(const struct device *device, const struct network *n, uint64_t seed,
                 bool head_only, struct err *err)
{
    float *buffer = weights_buffer(n, err);
    int rc = buffer ? 0 : -1;

    for (int i = 0; i < n->n_params && rc == 0; i++) {
        const struct param *p = &n->params[i];

        if (head_only && !in_head(p->name))
            continue;
        fresh(buffer, p, seed, i);
        rc = device->kind->put(device->be, p->name, buffer, err);
    }
    free(buffer);
    return rc;
}

/* --- saving ----------------------------------------------------------------------------------- */

int weights_declare(struct safetensors_writer *w, const char *name, const struct param *p,
                    struct err *err)
{
    uint64_t dims[4];

    for (int i = 0; i < p->n_dims; i++)
        dims[i] = (uint64_t)p->dims[i];
    return safetensors_declare(w, name, ST_F32, p->n_dims, dims, err);
}

/* int64 first, so that every tensor is aligned to its numbers. */
static int declare_all(struct safetensors_writer *w, const struct network *n, struct err *err)
{
    char name[NAME_LEN];

    for (int i = 0; i < n->n_params; i++)
        if (text_ends_in(n->params[i].name, ".running_var")) {
            batches_name(name, &n->params[i]);
            if (safetensors_declare(w, name, ST_I64, 0, NULL, err) < 0)
                return -1;
        }
    for (int i = 0; i < n->n_params; i++)
        if (weights_declare(w, n->params[i].name, &n->params[i], err) < 0)
            return -1;
    return safetensors_note(w, "format", "pt", err);
}

static int write_all(struct safetensors_writer *w, const struct device *device,
                     const struct network *n, uint64_t batches, float *buffer, struct err *err)
{
    for (int i = 0; i < n->n_params; i++)
        if (text_ends_in(n->params[i].name, ".running_var") &&
            safetensors_write(w, &batches, sizeof batches, err) < 0)
            return -1;
    for (int i = 0; i < n->n_params; i++)
        if (device->kind->get(device->be, n->params[i].name, buffer, err) < 0 ||
            safetensors_write(w, buffer, n->params[i].n * sizeof *buffer, err) < 0)
            return -1;
    return 0;
}

int weights_save(const char *path, const struct device *device, const struct network *n,
                 uint64_t batches_tracked, const char *about, struct err *err)
{
    struct safetensors_writer *w = NULL;
    float *buffer = weights_buffer(n, err);
    int rc = -1;

    if (!buffer || safetensors_create(&w, path, err) < 0 || declare_all(w, n, err) < 0 ||
        (about && safetensors_note(w, "presize", about, err) < 0) ||
        write_all(w, device, n, batches_tracked, buffer, err) < 0 || safetensors_finish(w, err) < 0)
        goto out;
    w = NULL;
    rc = 0;
out:
    safetensors_abort(w);
    free(buffer);
    return rc;
}

int weights_about(char **about, const char *path, struct err *err)
{
    struct safetensors *s;
    const char *text;

    *about = NULL;
    if (safetensors_open(&s, path, err) < 0)
        return -1;
    text = safetensors_metadata(s, "presize");
    *about = text ? strdup(text) : NULL;
    safetensors_close(s);
    return text && !*about ? err_set(err, ERR_NOMEM, "%s", path) : 0;
}

/* --- loading ---------------------------------------------------------------------------------- */

int weights_misfit(const struct misfits *m, const char *path, const struct network *n,
                   struct err *err)
{
    if (m->n == 0)
        return 0;
    err_set(err, ERR_FORMAT, "%s does not fit %s with %d classes: ", path, arch_name(n->arch),
            n->classes);
    misfits_list(m, err);
    return -1;
}

struct source { /* a file of weights, one network of it */
    const struct tensorfile *file;
    const char *path;
};

/* Everything that does not fit, before anything is loaded. */
static void compare(struct misfits *m, struct misfits *left_out, const struct source *s,
                    const struct network *n, bool body_only)
{
    for (int i = 0; i < n->n_params; i++) {
        const struct param *p = &n->params[i];

        if (!body_only || !in_head(p->name))
            misfits_compare(m, s->file, p->name, p->n_dims, p->dims);
    }
    for (size_t i = 0; i < tensorfile_count(s->file); i++) {
        const char *name = tensorfile_tensor(s->file, i)->name;
        const enum resnet_part part = resnet_part(name);

        if (network_param(n, name) || resnet_is_counter(name) ||
            (body_only && (in_head(name) || part == RESNET_CLASSIFIER)))
            continue;
        if (body_only && part == RESNET_BESIDE) /* another's head, a queue */
            misfits_add(left_out, "", name, "");
        else
            misfits_add(m, "extra", name, "");
    }
}

static int check_file(const struct source *s, const struct network *n, bool body_only,
                      struct err *err)
{
    struct misfits m = {0}, left_out = {0};
    int looks;

    compare(&m, &left_out, s, n, body_only);
    if (m.n == 0)
        misfits_log_left_out(&left_out, s->path);
    if (weights_misfit(&m, s->path, n, err) == 0)
        return 0;
    looks = tensorfile_arch(s->file);
    if (looks >= 0 && looks != n->arch)
        err_set(err, ERR_FORMAT, "%s: it looks like %s, not like %s: set model.arch=%s", s->path,
                arch_name(looks), arch_name(n->arch), arch_name(looks));
    return -1;
}

static int read_batches(const struct source *s, uint64_t *out, struct err *err)
{
    const struct st_tensor *t = tensorfile_find(s->file, "bn1.num_batches_tracked");
    int64_t value = 0;

    *out = 0;
    /* files older than PyTorch 0.4.1 have none; where all was made half or double, its value is not kept */
    if (!t || t->dtype != ST_I64)
        return 0;
    if (t->bytes != sizeof value)
        return err_set(err, ERR_FORMAT, "%s: %s is not one number", s->path, t->name);
    if (tensorfile_read_i64(s->file, t, &value, err) < 0)
        return -1;
    *out = value > 0 ? (uint64_t)value : 0;
    return 0;
}

static int check_finite(const struct source *s, const struct param *p, const float *v,
                        struct err *err)
{
    for (size_t i = 0; i < p->n; i++)
        if (!isfinite(v[i]))
            return err_set(err, ERR_FORMAT,
                           "%s: tensor %s has %s at number %zu of %zu: these weights are spoilt",
                           s->path, p->name, isnan(v[i]) ? "NaN" : "an infinite number", i, p->n);
    return 0;
}

static int load_params(const struct source *s, const struct device *device, const struct network *n,
                       bool body_only, struct err *err)
{
    float *buffer = weights_buffer(n, err);
    int rc = buffer ? 0 : -1;

    for (int i = 0; i < n->n_params && rc == 0; i++) {
        const struct param *p = &n->params[i];

        if (body_only && in_head(p->name))
            continue;
        rc = tensorfile_read_f32(s->file, tensorfile_find(s->file, p->name), buffer, err);
        if (rc == 0 && body_only) /* others' weights; our own were finite when they were stored */
            rc = check_finite(s, p, buffer, err);
        if (rc == 0)
            rc = device->kind->put(device->be, p->name, buffer, err);
    }
    free(buffer);
    return rc;
}

int weights_load(const char *path, const char *key, const struct device *device,
                 const struct network *n, bool body_only, uint64_t *batches_tracked,
                 struct err *err)
{
    struct tensorfile *file;
    struct source s = {.path = path};
    uint64_t batches = 0;
    int rc;

    if (tensorfile_open(&file, path, err) < 0)
        return -1;
    s.file = file;
    rc = tensorfile_take_network(file, key, "model.weights_key", err);
    if (rc == 0)
        rc = check_file(&s, n, body_only, err);
    if (rc == 0)
        rc = read_batches(&s, &batches, err);
    if (rc == 0)
        rc = load_params(&s, device, n, body_only, err);
    if (rc == 0 && batches_tracked)
        *batches_tracked = batches;
    tensorfile_close(file);
    return rc;
}

/* --- the hash --------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct param *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

int weights_sha256(char hex[SHA256_HEX], const struct device *device, const struct network *n,
                   struct err *err)
{
    const struct param **sorted = malloc((size_t)n->n_params * sizeof(*sorted));
    struct sha256 *hash = NULL;
    float *buffer = weights_buffer(n, err);
    int rc = -1;

    if (!buffer)
        goto out;
    if (!sorted) {
        err_set(err, ERR_NOMEM, "weights: %d names", n->n_params);
        goto out;
    }
    if (sha256_new(&hash, err) < 0)
        goto out;
    for (int i = 0; i < n->n_params; i++)
        sorted[i] = &n->params[i];
    qsort((void *)sorted, (size_t)n->n_params, sizeof *sorted, by_name);
    for (int i = 0; i < n->n_params; i++) {
        if (device->kind->get(device->be, sorted[i]->name, buffer, err) < 0)
            goto out;
        sha256_update(hash, buffer, sorted[i]->n * sizeof *buffer);
    }
    sha256_hex(hash, hex);
    rc = 0;
out:
    sha256_free(hash);
    free(buffer);
    free((void *)sorted);
    return rc;
}
