/* resnet.c - the table, and what follows from a row of it.
 * SPDX-License-Identifier: MIT */
#include "arch/resnet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"

const char *const arch_names[ARCHS + 1] = {
    [RESNET18] = "resnet18",
    [RESNET34] = "resnet34",
    [RESNET50] = "resnet50",
    [RESNET101] = "resnet101",
    [RESNET152] = "resnet152",
    [WIDE_RESNET50_2] = "wide_resnet50_2",
    [RESNEXT50_32X4D] = "resnext50_32x4d",
    [RESNET20] = "resnet20",
    [RESNET32] = "resnet32",
    [RESNET44] = "resnet44",
    [RESNET56] = "resnet56",
};

/* groups and width are torchvision's groups and width_per_group */
static const struct resnet rows[ARCHS] = {
    [RESNET18] = {{2, 2, 2, 2}, false, 1, 64, 7, 64},
    [RESNET34] = {{3, 4, 6, 3}, false, 1, 64, 7, 64},
    [RESNET50] = {{3, 4, 6, 3}, true, 1, 64, 7, 64},
    [RESNET101] = {{3, 4, 23, 3}, true, 1, 64, 7, 64},
    [RESNET152] = {{3, 8, 36, 3}, true, 1, 64, 7, 64},
    [WIDE_RESNET50_2] = {{3, 4, 6, 3}, true, 1, 128, 7, 64},
    [RESNEXT50_32X4D] = {{3, 4, 6, 3}, true, 32, 4, 7, 64},
    [RESNET20] = {{3, 3, 3, 0}, false, 1, 64, 3, 16},
    [RESNET32] = {{5, 5, 5, 0}, false, 1, 64, 3, 16},
    [RESNET44] = {{7, 7, 7, 0}, false, 1, 64, 3, 16},
    [RESNET56] = {{9, 9, 9, 0}, false, 1, 64, 3, 16},
};
enum { WIDENING = 4 /* of a bottleneck's last convolution */ };

const char *arch_name(int arch)
{
    BUG_IF(arch < 0 || arch >= ARCHS);
    return arch_names[arch];
}

int arch_find(const char *name)
{
    for (int arch = 0; arch < ARCHS; arch++)
        if (strcmp(arch_names[arch], name) == 0)
            return arch;
    return -1;
}

const struct resnet *resnet_of(int arch)
{
    BUG_IF(arch < 0 || arch >= ARCHS);
    return &rows[arch];
}

/* --- blocks --------------------------------------------------------------------------------------- */

/* What torchvision calls planes: 64, 128, 256, 512. */
static int planes(const struct resnet *r, int layer)
{
    return r->planes << (layer - 1);
}

static int layer_out(const struct resnet *r, int layer)
{
    if (layer == 0)
        return r->planes; /* the stem */
    return (r->bottleneck ? WIDENING : 1) * planes(r, layer);
}

int resnet_last_layer(int arch)
{
    int layer = RESNET_LAYERS;

    while (resnet_of(arch)->blocks[layer - 1] == 0)
        layer--;
    return layer;
}

int resnet_features(int arch)
{
    return layer_out(resnet_of(arch), resnet_last_layer(arch));
}

static struct resnet_conv conv(int c, int k, int side, int stride, int groups)
{
    return (struct resnet_conv){
        .c = c, .k = k, .side = side, .stride = stride, .pad = side / 2, .groups = groups};
}

bool resnet_stem(struct resnet_conv *out, int arch)
{
    const struct resnet *r = resnet_of(arch);
    const bool pooled = r->stem_side == 7;

    *out = conv(3, r->planes, r->stem_side, pooled ? 2 : 1, 1);
    snprintf(out->name, sizeof out->name, "conv1");
    snprintf(out->norm, sizeof out->norm, "bn1");
    return pooled;
}

void resnet_block(struct resnet_block *out, int arch, int layer, int block)
{
    const struct resnet *r = resnet_of(arch);
    const int stride = layer > 1 && block == 0 ? 2 : 1, to = layer_out(r, layer),
              from = block == 0 ? layer_out(r, layer - 1) : to,
              width = planes(r, layer) * r->width / 64 * r->groups;

    BUG_IF(layer < 1 || layer > RESNET_LAYERS || block < 0 || block >= r->blocks[layer - 1]);
    *out = (struct resnet_block){.n_convs = r->bottleneck ? 3 : 2,
                                 .has_down = block == 0 && (layer > 1 || r->bottleneck),
                                 .down = conv(from, to, 1, stride, 1)};
    if (r->bottleneck) {
        out->convs[0] = conv(from, width, 1, 1, 1);
        out->convs[1] = conv(width, width, 3, stride, r->groups);
        out->convs[2] = conv(width, to, 1, 1, 1);
    } else {
        out->convs[0] = conv(from, to, 3, stride, 1);
        out->convs[1] = conv(to, to, 3, 1, 1);
    }
    for (int i = 0; i < out->n_convs; i++) {
        struct resnet_conv *c = &out->convs[i];

        snprintf(c->name, sizeof c->name, "layer%d.%d.conv%d", layer, block, i + 1);
        snprintf(c->norm, sizeof c->norm, "layer%d.%d.bn%d", layer, block, i + 1);
    }
    snprintf(out->down.name, sizeof out->down.name, "layer%d.%d.downsample.0", layer, block);
    snprintf(out->down.norm, sizeof out->down.norm, "layer%d.%d.downsample.1", layer, block);
}

/* --- tensors -------------------------------------------------------------------------------------- */

static const char *const role_names[] = {"weight", "weight", "bias", "running_mean", "running_var"};
enum { EACH = RESNET_VARIANCE + 1 /* tensors of a convolution and its norm */ };

/* The tensors of C at AT[0] to AT[EACH - 1]. */
static void put_tensors(struct resnet_tensor *at, const struct resnet_conv *c, int layer)
{
    for (int role = RESNET_FILTER; role < EACH; role++) {
        struct resnet_tensor *t = &at[role];

        *t = (struct resnet_tensor){
            .role = (enum resnet_role)role, .layer = layer, .n_dims = 1, .dims = {c->k}};
        snprintf(t->name, sizeof t->name, "%s.%s", role == RESNET_FILTER ? c->name : c->norm,
                 role_names[role]);
        if (role == RESNET_FILTER) {
            t->n_dims = 4;
            t->dims[1] = c->c / c->groups;
            t->dims[2] = t->dims[3] = c->side;
        }
    }
}

struct resnet_tensor *resnet_tensors(int arch, size_t *n)
{
    const struct resnet *r = resnet_of(arch);
    struct resnet_tensor *all;
    struct resnet_conv stem;
    struct resnet_block b;
    size_t blocks = 0;

    *n = 0;
    for (int i = 0; i < RESNET_LAYERS; i++)
        blocks += (size_t)r->blocks[i];
    all = calloc(EACH * (1 + blocks * (RESNET_CONVS + 1)), sizeof *all);
    if (!all)
        return NULL;
    resnet_stem(&stem, arch);
    put_tensors(all, &stem, 0);
    *n = EACH;
    for (int layer = 1; layer <= RESNET_LAYERS; layer++)
        for (int i = 0; i < r->blocks[layer - 1]; i++) {
            resnet_block(&b, arch, layer, i);
            for (int k = 0; k < b.n_convs; k++, *n += EACH)
                put_tensors(all + *n, &b.convs[k], layer);
            if (b.has_down) {
                put_tensors(all + *n, &b.down, layer);
                *n += EACH;
            }
        }
    return all;
}

/* K filters, and the weight and bias of their norm. */
static size_t conv_parameters(const struct resnet_conv *c)
{
    return (size_t)c->k * ((size_t)(c->c / c->groups * c->side * c->side) + 2);
}

size_t resnet_parameters(int arch, int classes)
{
    const struct resnet *r = resnet_of(arch);
    struct resnet_conv stem;
    struct resnet_block b;
    size_t n = (size_t)classes * ((size_t)resnet_features(arch) + 1);

    resnet_stem(&stem, arch);
    n += conv_parameters(&stem);
    for (int layer = 1; layer <= RESNET_LAYERS; layer++)
        for (int i = 0; i < r->blocks[layer - 1]; i++) {
            resnet_block(&b, arch, layer, i);
            for (int k = 0; k < b.n_convs; k++)
                n += conv_parameters(&b.convs[k]);
            n += b.has_down ? conv_parameters(&b.down) : 0;
        }
    return n;
}

const char resnet_counter[] = ".num_batches_tracked";

bool resnet_is_counter(const char *name)
{
    return text_ends_in(name, resnet_counter);
}

enum resnet_part resnet_part(const char *name)
{
    static const char *const body[] = {"conv1.",  "bn1.",    "layer1.",
                                       "layer2.", "layer3.", "layer4."};

    for (size_t i = 0; i < sizeof body / sizeof *body; i++)
        if (strncmp(name, body[i], strlen(body[i])) == 0)
            return RESNET_BODY;
    return strcmp(name, "fc.weight") == 0 || strcmp(name, "fc.bias") == 0 ? RESNET_CLASSIFIER
                                                                          : RESNET_BESIDE;
}
