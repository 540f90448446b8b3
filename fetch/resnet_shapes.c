/* resnet_shapes.c - the tensors of torchvision's ResNets, made from the numbers of their blocks.
 * SPDX-License-Identifier: MIT */
#include "resnet_shapes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STAGES = 4,
    SHAPES_MAX = 1000 /* resnet152 has 775 */,
    LISTED = 6,
    STEM_PX = 7,
    DIM_MAX = 1 << 24
};

struct kind {
    const char *arch;
    bool bottleneck; /* three convolutions to a block, not two, and four times as wide behind it */
    int blocks[STAGES];
};
static const struct kind kinds[] = {
    {"resnet18", false, {2, 2, 2, 2}},  {"resnet34", false, {3, 4, 6, 3}},
    {"resnet50", true, {3, 4, 6, 3}},   {"resnet101", true, {3, 4, 23, 3}},
    {"resnet152", true, {3, 8, 36, 3}},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

struct shape {
    char name[RESNET_NAME];
    int n_dims; /* 4: a convolution's weight, 1: of a batch norm */
    uint64_t dims[4];
};

struct shapes {
    struct shape at[SHAPES_MAX];
    size_t n;
};

/* --- what a ResNet has ---------------------------------------------------------------------------- */

static void conv(struct shapes *s, const char *block, const char *name, int k, int c, int px)
{
    struct shape *to = &s->at[s->n++];

    BUG_IF(s->n > SHAPES_MAX);
    snprintf(to->name, sizeof to->name, "%s%s.weight", block, name);
    to->n_dims = 4;
    to->dims[0] = (uint64_t)k;
    to->dims[1] = (uint64_t)c;
    to->dims[2] = to->dims[3] = (uint64_t)px;
}

static void norm(struct shapes *s, const char *block, const char *name, int c)
{
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};

    for (int i = 0; i < 4; i++) {
        struct shape *to = &s->at[s->n++];

        BUG_IF(s->n > SHAPES_MAX);
        snprintf(to->name, sizeof to->name, "%s%s.%s", block, name, parts[i]);
        to->n_dims = 1;
        to->dims[0] = (uint64_t)c;
    }
}

static void block(struct shapes *s, const struct kind *k, int stage, int number, int in)
{
    int width = 64 << stage, out = k->bottleneck ? 4 * width : width;
    char at[32];

    snprintf(at, sizeof at, "layer%d.%d.", stage + 1, number);
    conv(s, at, "conv1", width, in, k->bottleneck ? 1 : 3);
    norm(s, at, "bn1", width);
    conv(s, at, "conv2", width, width, 3);
    norm(s, at, "bn2", width);
    if (k->bottleneck) {
        conv(s, at, "conv3", out, width, 1);
        norm(s, at, "bn3", out);
    }
    if (number == 0 && in != out) {
        conv(s, at, "downsample.0", out, in, 1);
        norm(s, at, "downsample.1", out);
    }
}

static struct shapes *shapes_of(const struct kind *k)
{
    struct shapes *s = calloc(1, sizeof *s);
    int in = 64;

    if (!s)
        return NULL;
    conv(s, "", "conv1", 64, 3, STEM_PX);
    norm(s, "", "bn1", 64);
    for (int stage = 0; stage < STAGES; stage++)
        for (int i = 0; i < k->blocks[stage]; i++) {
            block(s, k, stage, i, in);
            in = (k->bottleneck ? 256 : 64) << stage;
        }
    return s;
}

/* --- what a file has ------------------------------------------------------------------------------ */

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0;
}

bool resnet_keeps(const char *name)
{
    static const char *const parts[] = {"conv1.",  "bn1.",    "layer1.", "layer2.",
                                        "layer3.", "layer4.", "fc."};

    if (strncmp(name, "fc.", 3) == 0 && strcmp(name, "fc.weight") != 0 &&
        strcmp(name, "fc.bias") != 0)
        return false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strncmp(name, parts[i], strlen(parts[i])) == 0)
            return true;
    return false;
}

static int count_blocks(const struct tensorfile *f, int stage)
{
    char name[RESNET_NAME];

    for (int n = 0;; n++) {
        snprintf(name, sizeof name, "layer%d.%d.conv1.weight", stage + 1, n);
        if (!tensorfile_find(f, name))
            return n;
    }
}

const char *resnet_looks_like(const struct tensorfile *f)
{
    bool bottleneck = tensorfile_find(f, "layer1.0.conv3.weight") != NULL;
    int blocks[STAGES];

    for (int i = 0; i < STAGES; i++)
        blocks[i] = count_blocks(f, i);
    for (size_t k = 0; k < KINDS; k++)
        if (kinds[k].bottleneck == bottleneck &&
            memcmp(kinds[k].blocks, blocks, sizeof blocks) == 0)
            return kinds[k].arch;
    return NULL;
}

/* --- the comparison ------------------------------------------------------------------------------- */

static void complain(struct err *err, int *n, const char *what, const char *name)
{
    if (++*n <= LISTED)
        err_append(err, "%s%s %.100s", *n > 1 ? "; " : "", what, name);
}

static bool shape_fits(const struct st_tensor *t, const struct shape *s)
{
    bool fits = t->n_dims == s->n_dims;

    for (int i = 0; fits && i < s->n_dims; i++)
        fits = t->dims[i] == s->dims[i];
    return fits;
}

static void complain_shape(struct err *err, int *n, const struct st_tensor *t,
                           const struct shape *s)
{
    complain(err, n, "misshapen", s->name);
    if (*n > LISTED)
        return;
    err_append(err, " (");
    for (int i = 0; i < t->n_dims; i++)
        err_append(err, "%s%" PRIu64, i ? "x" : "", t->dims[i]);
    err_append(err, ", expected ");
    for (int i = 0; i < s->n_dims; i++)
        err_append(err, "%s%" PRIu64, i ? "x" : "", s->dims[i]);
    err_append(err, ")");
}

static const char counter[] = ".num_batches_tracked";

bool resnet_is_counter(const char *name)
{
    return ends_in(name, counter);
}

static bool is_known(const struct shapes *s, const char *name)
{
    static const char mean[] = ".running_mean";
    bool counts = resnet_is_counter(name);
    size_t stem = strlen(name) - (counts ? sizeof counter - 1 : 0);

    for (size_t i = 0; i < s->n; i++)
        if (counts
                ? strncmp(s->at[i].name, name, stem) == 0 && strcmp(s->at[i].name + stem, mean) == 0
                : strcmp(s->at[i].name, name) == 0)
            return true;
    return strncmp(name, "fc.", 3) == 0;
}

/* The classifier may have any classes, but a shape whose size in bytes is a number. */
static bool is_sane(const struct st_tensor *t)
{
    bool sane = t->n_dims <= 2;

    for (int i = 0; sane && i < t->n_dims; i++)
        sane = t->dims[i] > 0 && t->dims[i] < DIM_MAX;
    return sane;
}

static bool is_one_number(const struct st_tensor *t)
{
    for (int i = 0; i < t->n_dims; i++)
        if (t->dims[i] != 1)
            return false;
    return t->dtype == ST_I64 || t->dtype == ST_I32 || st_is_real(t->dtype);
}

/* Appends what does not fit; how much of it. */
static int compare(const struct tensorfile *f, const struct shapes *s, struct err *err)
{
    int n = 0;

    for (size_t i = 0; i < s->n; i++) {
        const struct st_tensor *t = tensorfile_find(f, s->at[i].name);

        if (!t)
            complain(err, &n, "missing", s->at[i].name);
        else if (!st_is_real(t->dtype))
            complain(err, &n, "not " ST_REAL_TEXT ":", s->at[i].name);
        else if (!shape_fits(t, &s->at[i]))
            complain_shape(err, &n, t, &s->at[i]);
    }
    for (size_t i = 0; i < tensorfile_count(f); i++) {
        const struct st_tensor *t = tensorfile_tensor(f, i);

        if (!resnet_keeps(t->name)) /* beside the body: another's head, a queue */
            continue;
        if (!is_known(s, t->name))
            complain(err, &n, "extra", t->name);
        else if (resnet_is_counter(t->name) && !is_one_number(t))
            complain(err, &n, "not one number:", t->name);
        else if (strncmp(t->name, "fc.", 3) == 0 && (!is_sane(t) || !st_is_real(t->dtype)))
            complain(err, &n, "misshapen", t->name);
    }
    return n;
}

int resnet_check(const struct tensorfile *f, const char *arch, struct err *err)
{
    const char *looks = resnet_looks_like(f);
    struct shapes *s = NULL;
    int n;

    for (size_t k = 0; k < KINDS; k++)
        if (strcmp(kinds[k].arch, arch) == 0)
            s = shapes_of(&kinds[k]);
    if (!s)
        return err_set(err, ERR_NOMEM, "no memory for the shapes of %s", arch);
    if (looks && strcmp(looks, arch) != 0) {
        free(s);
        return err_set(err, ERR_FORMAT,
                       "does not hold %s: it looks like %s, so `fetch weights/%s --from FILE`",
                       arch, looks, looks);
    }
    err_set(err, ERR_FORMAT, "does not hold %s: ", arch);
    n = compare(f, s, err);
    free(s);
    if (n > LISTED)
        err_append(err, "; and %d more", n - LISTED);
    if (n == 0)
        *err = (struct err){0};
    return n > 0 ? -1 : 0;
}
