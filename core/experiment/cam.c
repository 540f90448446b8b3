/* cam.c - see cam.h. SPDX-License-Identifier: MIT */
#include "experiment/cam.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HIDDEN = NETWORK_HIDDEN };

/* A batch norm of the head with its running statistics: y = scale x + shift. */
struct affine {
    double *scale, *shift;
};

struct cam_head {
    int features, classes;
    struct affine norms[2]; /* of 2 features, of HIDDEN */
    float *first, *last;    /* (HIDDEN, 2 features), (classes, HIDDEN) */
};

/* Parameter NAME, owned by the caller; NULL: ERR says why. */
static float *get(const struct device *device, const struct network *n, const char *name,
                  struct err *err)
{
    const struct param *p = network_param(n, name);
    float *values;

    BUG_IF(!p);
    values = malloc(p->n * sizeof *values);
    if (!values) {
        err_set(err, ERR_NOMEM, "%s", name);
        return NULL;
    }
    if (device->kind->get(device->be, name, values, err) < 0) {
        free(values);
        return NULL;
    }
    return values;
}

static int get_norm(struct affine *a, const struct device *device, const struct network *n,
                    const char *name, int channels, struct err *err)
{
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    float *values[4] = {NULL};
    int rc = 0;

    a->scale = malloc((size_t)channels * sizeof *a->scale);
    a->shift = malloc((size_t)channels * sizeof *a->shift);
    if (!a->scale || !a->shift)
        rc = err_set(err, ERR_NOMEM, "%s", name);
    for (int i = 0; i < 4 && rc == 0; i++) {
        char full[64];

        snprintf(full, sizeof full, "%s.%s", name, parts[i]);
        values[i] = get(device, n, full, err);
        rc = values[i] ? 0 : -1;
    }
    for (int k = 0; k < channels && rc == 0; k++) {
        a->scale[k] = (double)values[0][k] / sqrt((double)values[3][k] + BN_EPS);
        a->shift[k] = (double)values[1][k] - a->scale[k] * (double)values[2][k];
    }
    for (int i = 0; i < 4; i++)
        free(values[i]);
    return rc;
}

int cam_head_new(struct cam_head **out, const struct device *device, const struct network *n,
                 struct err *err)
{
    struct cam_head *h = calloc(1, sizeof *h);

    *out = NULL;
    if (!h)
        return err_set(err, ERR_NOMEM, "head");
    h->features = n->features;
    h->classes = n->classes;
    if (get_norm(&h->norms[0], device, n, "head.0", 2 * n->features, err) < 0 ||
        get_norm(&h->norms[1], device, n, "head.2", HIDDEN, err) < 0 ||
        !(h->first = get(device, n, "head.1.weight", err)) ||
        !(h->last = get(device, n, "head.3.weight", err))) {
        cam_head_free(h);
        return -1;
    }
    *out = h;
    return 0;
}

void cam_head_free(struct cam_head *h)
{
    if (!h)
        return;
    for (int i = 0; i < 2; i++) {
        free(h->norms[i].scale);
        free(h->norms[i].shift);
    }
    free(h->first);
    free(h->last);
    free(h);
}

/* POOLED: the maximum of each channel, then its mean. */
static void pool(double *pooled, const float *features, int channels, int pixels)
{
    for (int k = 0; k < channels; k++) {
        const float *x = features + (size_t)k * (size_t)pixels;
        double sum = 0, most = (double)x[0];

        for (int i = 0; i < pixels; i++) {
            sum += (double)x[i];
            most = fmax(most, (double)x[i]);
        }
        pooled[k] = most;
        pooled[channels + k] = sum / pixels;
    }
}

/* DPOOLED: gradient of CLASS's logit with respect to POOLED, through norm, linear, ReLU, norm, linear. */
static void backward(double *dpooled, const struct cam_head *h, const double *pooled, int class)
{
    const size_t n = 2 * (size_t)h->features;
    const float *to_class = h->last + (size_t) class * HIDDEN;

    memset(dpooled, 0, n * sizeof *dpooled);
    for (size_t j = 0; j < HIDDEN; j++) {
        const float *row = h->first + j * n;
        double hidden = 0;

        for (size_t k = 0; k < n; k++)
            hidden += (double)row[k] * (h->norms[0].scale[k] * pooled[k] + h->norms[0].shift[k]);
        if (!(hidden > 0)) /* ReLU */
            continue;
        for (size_t k = 0; k < n; k++)
            dpooled[k] += (double)row[k] * h->norms[1].scale[j] * (double)to_class[j];
    }
    for (size_t k = 0; k < n; k++)
        dpooled[k] *= h->norms[0].scale[k];
}

/* pytorch-grad-cam's scale: the least becomes 0, the most 1. */
static void scale(float *map, const double *sum, int pixels)
{
    double least = INFINITY, most = -INFINITY;

    for (int i = 0; i < pixels; i++) {
        least = fmin(least, fmax(sum[i], 0));
        most = fmax(most, fmax(sum[i], 0));
    }
    for (int i = 0; i < pixels; i++)
        map[i] = (float)((fmax(sum[i], 0) - least) / (1e-7 + most - least));
}

int cam_of_features(float *map, const struct cam_head *head, const float *features, int h, int w,
                    int class, struct err *err)
{
    const int pixels = h * w, channels = head->features;
    double *room = calloc((size_t)(4 * channels + pixels), sizeof *room);
    double *pooled = room, *dpooled, *sum;

    if (!room)
        return err_set(err, ERR_NOMEM, "class activation map");
    dpooled = room + 2 * channels;
    sum = room + 4 * channels;
    pool(pooled, features, channels, pixels);
    backward(dpooled, head, pooled, class);
    for (int k = 0; k < channels; k++) {
        /* The mean over the positions: the maximum's gradient is at one of them, the mean's at each. */
        const double weight = (dpooled[k] + dpooled[channels + k]) / pixels;

        for (int i = 0; i < pixels; i++)
            sum[i] += weight * (double)features[(size_t)k * (size_t)pixels + (size_t)i];
    }
    scale(map, sum, pixels);
    free(room);
    return 0;
}

/* --- a run's ---------------------------------------------------------------------------------------- */

struct cam {
    const struct trained *t;
    struct be_program *program;
    struct cam_head *head;
    int batch, side, tensor;
    float *features; /* (batch, channels, side, side) */
};

int cam_new(struct cam **out, const struct trained *t, struct err *err)
{
    const struct exec_options *exec = &t->experiment->exec;
    struct network_shape shape = {.size = t->size, .augment = true, .features = true};
    struct op_list *list = NULL;
    struct cam *c = calloc(1, sizeof *c);
    struct be_info info;
    const char *note;

    *out = NULL;
    if (!c)
        return err_set(err, ERR_NOMEM, "class activation maps");
    t->device.kind->info(t->device.be, &info);
    shape.batch = infer_batch(exec, &info);
    shape.microbatch = (int)exec->microbatch;
    shape.dtype = experiment_dtype(t->experiment, &info, &note);
    c->t = t;
    c->batch = shape.batch;
    if (cam_head_new(&c->head, &t->device, t->network, err) < 0 ||
        network_infer_list(&list, t->network, &shape, err) < 0)
        goto fail;
    c->tensor = network_features(t->network, list);
    c->side = list->tensors[c->tensor].dims[2];
    c->features = malloc((size_t)c->batch * (size_t)t->network->features * (size_t)c->side *
                         (size_t)c->side * sizeof *c->features);
    if (!c->features)
        err_set(err, ERR_NOMEM, "class activation maps");
    if (!c->features || t->device.kind->prepare(&c->program, t->device.be, list, err) < 0)
        goto fail;
    op_list_free(list);
    *out = c;
    return 0;
fail:
    op_list_free(list);
    cam_free(c);
    return -1;
}

void cam_free(struct cam *c)
{
    if (!c)
        return;
    c->t->device.kind->release(c->program);
    cam_head_free(c->head);
    free(c->features);
    free(c);
}

int cam_side(const struct cam *c)
{
    return c->side;
}

int cam_run(struct cam *c, const struct picture *pictures, int n, const int *classes, float *maps,
            struct err *err)
{
    const size_t pixels = (size_t)c->side * (size_t)c->side;
    const size_t values = (size_t)c->t->network->features * pixels;

    for (int first = 0; first < n; first += c->batch) {
        const int count = n - first < c->batch ? n - first : c->batch;
        const struct step step = {.pictures = pictures + first, .n_pictures = count};

        if (c->t->device.kind->run(c->program, &step, err) < 0 ||
            c->t->device.kind->read(c->program, c->tensor, c->features, err) < 0)
            return err_wrap(err, "class activation maps");
        for (int i = 0; i < count; i++)
            if (cam_of_features(maps + (size_t)(first + i) * pixels, c->head,
                                c->features + (size_t)i * values, c->side, c->side,
                                classes[first + i], err) < 0)
                return -1;
    }
    return 0;
}
