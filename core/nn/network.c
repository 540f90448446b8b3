/* network.c - the parameters of the five ResNets and of the head, and the keys model.*.
 *
 * Order and names are those of torchvision's state dict: block by block, each convolution followed by
 * its batch norm, the downsample branch last. He, Zhang, Ren, Sun 2016 (CVPR), table 1; stride on the
 * 3x3 of a bottleneck ("v1.5").
 * SPDX-License-Identifier: MIT */
#include "nn/network_private.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

enum { HIDDEN = 512 /* width of the head's inner layer, fastai */, CLASSES_MAX = 65536 };

static const char *const arch_names[] = {"resnet18",  "resnet34",  "resnet50",
                                         "resnet101", "resnet152", NULL};

static const struct arch_shape shapes[] = {
    [RESNET18] = {.blocks = {2, 2, 2, 2}, .bottleneck = false},
    [RESNET34] = {.blocks = {3, 4, 6, 3}, .bottleneck = false},
    [RESNET50] = {.blocks = {3, 4, 6, 3}, .bottleneck = true},
    [RESNET101] = {.blocks = {3, 4, 23, 3}, .bottleneck = true},
    [RESNET152] = {.blocks = {3, 8, 36, 3}, .bottleneck = true},
};

// clang-format off
const struct key model_keys[] = {
    KEY_CHOICE(struct model_options, arch, "model.arch", "resnet34", arch_names,
               "body of the network, torchvision's v1.5"),
    KEY_STR(struct model_options, weights, "model.weights", "imagenet",
            "where training starts: none, imagenet, imagenet-v2, a FILE, or run:NAME"),
    KEY_STR(struct model_options, weights_key, "model.weights_key", "",
            "which of several networks in the file of model.weights, by its name in the message that lists them",
            .since = 2, .implied = ""),
    KEY_F64(struct model_options, dropout, "model.head.dropout", "0.5", 0, 0.95, "1",
            "probability to drop before the last layer; half of it before the first"),
    KEY_END,
};
// clang-format on

const char *arch_name(int arch)
{
    BUG_IF(arch < RESNET18 || arch > RESNET152);
    return arch_names[arch];
}

const struct arch_shape *arch_shape(int arch)
{
    BUG_IF(arch < RESNET18 || arch > RESNET152);
    return &shapes[arch];
}

int arch_block_stride(int layer, int block)
{
    return layer > 1 && block == 0 ? 2 : 1;
}

bool arch_has_downsample(const struct arch_shape *a, int layer, int block)
{
    return block == 0 && (layer > 1 || a->bottleneck);
}

/* Appends one tensor; false when out of memory. */
static bool add(struct network *n, struct param p)
{
    if ((n->n_params & (n->n_params - 1)) == 0) { /* room doubles at every power of two */
        size_t room = n->n_params ? 2 * (size_t)n->n_params : 1;
        struct param *larger = realloc(n->params, room * sizeof *larger);

        if (!larger)
            return false;
        n->params = larger;
    }
    p.n = 1;
    for (int i = 0; i < p.n_dims; i++)
        p.n *= (size_t)p.dims[i];
    n->params[n->n_params++] = p;
    return true;
}

static struct param named(int group, const char *format, ...) PRINTF_LIKE(2, 3);
static struct param named(int group, const char *format, ...)
{
    struct param p = {.group = group};
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(p.name, sizeof p.name, format, args);
    va_end(args);
    BUG_IF(length < 0 || (size_t)length >= sizeof p.name);
    return p;
}

static bool add_conv(struct network *n, int group, const char *prefix, int k, int c, int r)
{
    struct param p = named(group, "%s.weight", prefix);

    p.n_dims = 4;
    p.dims[0] = k;
    p.dims[1] = c;
    p.dims[2] = p.dims[3] = r;
    p.trained = true;
    p.init = INIT_KAIMING_OUT;
    return add(n, p);
}

static bool add_linear(struct network *n, const char *prefix, int k, int c)
{
    struct param p = named(2, "%s.weight", prefix);

    p.n_dims = 2;
    p.dims[0] = k;
    p.dims[1] = c;
    p.trained = true;
    p.init = INIT_KAIMING_IN;
    return add(n, p);
}

static bool add_norm(struct network *n, int group, const char *prefix, int c)
{
    static const struct {
        const char *name;
        bool trained;
        enum param_init init;
    } parts[] = {{"weight", true, INIT_ONE},
                 {"bias", true, INIT_ZERO},
                 {"running_mean", false, INIT_ZERO},
                 {"running_var", false, INIT_ONE}};

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        struct param p = named(group, "%s.%s", prefix, parts[i].name);

        p.n_dims = 1;
        p.dims[0] = c;
        p.trained = p.norm = parts[i].trained;
        p.init = group == 2 && i == 1 ? INIT_BN_BIAS : parts[i].init;
        if (!add(n, p))
            return false;
    }
    return true;
}

/* One residual block: C channels in, K (before a bottleneck's widening) in its 3x3. */
static bool add_block(struct network *n, const struct arch_shape *a, int layer, int block, int c,
                      int k)
{
    int group = layer <= 2 ? 0 : 1, widest = a->bottleneck ? 4 * k : k;
    int convs = a->bottleneck ? 3 : 2, from = c;
    char conv[48], norm[48];

    for (int i = 0; i < convs; i++) {
        int to = i == convs - 1 ? widest : k;

        snprintf(conv, sizeof conv, "layer%d.%d.conv%d", layer, block, i + 1);
        snprintf(norm, sizeof norm, "layer%d.%d.bn%d", layer, block, i + 1);
        if (!add_conv(n, group, conv, to, from, a->bottleneck && i != 1 ? 1 : 3) ||
            !add_norm(n, group, norm, to))
            return false;
        from = to;
    }
    if (!arch_has_downsample(a, layer, block))
        return true;
    snprintf(conv, sizeof conv, "layer%d.%d.downsample.0", layer, block);
    snprintf(norm, sizeof norm, "layer%d.%d.downsample.1", layer, block);
    return add_conv(n, group, conv, widest, c, 1) && add_norm(n, group, norm, widest);
}

static bool add_all(struct network *n)
{
    const struct arch_shape *a = arch_shape(n->arch);
    int c = 64;

    if (!add_conv(n, 0, "conv1", 64, 3, 7) || !add_norm(n, 0, "bn1", 64))
        return false;
    for (int layer = 1; layer <= 4; layer++)
        for (int block = 0; block < a->blocks[layer - 1]; block++) {
            int k = 32 << layer;

            if (!add_block(n, a, layer, block, c, k))
                return false;
            c = a->bottleneck ? 4 * k : k;
        }
    n->features = c;
    return add_norm(n, 2, "head.0", 2 * c) && add_linear(n, "head.1", HIDDEN, 2 * c) &&
           add_norm(n, 2, "head.2", HIDDEN) && add_linear(n, "head.3", n->classes, HIDDEN);
}

int network_new(struct network **out, const struct model_options *o, int classes, struct err *err)
{
    struct network *n;

    *out = NULL;
    if (classes < 2 || classes > CLASSES_MAX)
        return err_set(err, ERR_INPUT, "%d classes: a classifier needs 2 to %d", classes,
                       CLASSES_MAX);
    n = calloc(1, sizeof *n);
    if (!n)
        return err_set(err, ERR_NOMEM, "network: %zu bytes", sizeof *n);
    n->arch = o->arch;
    n->classes = classes;
    if (!add_all(n)) {
        network_free(n);
        return err_set(err, ERR_NOMEM, "network: parameters of %s", arch_name(o->arch));
    }
    *out = n;
    return 0;
}

void network_free(struct network *n)
{
    if (!n)
        return;
    free(n->params);
    free(n);
}

const struct param *network_param(const struct network *n, const char *name)
{
    for (int i = 0; i < n->n_params; i++)
        if (strcmp(n->params[i].name, name) == 0)
            return &n->params[i];
    return NULL;
}
