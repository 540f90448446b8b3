/* network.c - the parameters of a body and of the head, and the keys model.*.
 *
 * Order and names are those of torchvision's state dict (arch/resnet.h), the head last.
 * SPDX-License-Identifier: MIT */
#include "nn/network_private.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

enum { HIDDEN = NETWORK_HIDDEN, CLASSES_MAX = 65536 };

// clang-format off
const struct key model_keys[] = {
    KEY_CHOICE(struct model_options, arch, "model.arch", "resnet34", arch_names,
               "body of the network: torchvision's v1.5; resnet20 to resnet56: for pictures of 32 px"),
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

/* A batch norm of the head. */
static bool add_norm(struct network *n, const char *prefix, int c)
{
    static const struct {
        const char *name;
        bool trained;
        enum param_init init;
    } parts[] = {{"weight", true, INIT_ONE},
                 {"bias", true, INIT_BN_BIAS},
                 {"running_mean", false, INIT_ZERO},
                 {"running_var", false, INIT_ONE}};

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        struct param p = named(2, "%s.%s", prefix, parts[i].name);

        p.n_dims = 1;
        p.dims[0] = c;
        p.trained = p.norm = parts[i].trained;
        p.init = parts[i].init;
        if (!add(n, p))
            return false;
    }
    return true;
}

static bool add_body(struct network *n)
{
    static const enum param_init inits[] = {[RESNET_FILTER] = INIT_KAIMING_OUT,
                                            [RESNET_GAMMA] = INIT_ONE,
                                            [RESNET_BETA] = INIT_ZERO,
                                            [RESNET_MEAN] = INIT_ZERO,
                                            [RESNET_VARIANCE] = INIT_ONE};
    size_t n_tensors;
    struct resnet_tensor *all = resnet_tensors(n->arch, &n_tensors);
    bool done = all != NULL;

    for (size_t i = 0; i < n_tensors && done; i++) {
        const struct resnet_tensor *t = &all[i];
        struct param p = named(t->layer <= 2 ? 0 : 1, "%s", t->name);

        p.n_dims = t->n_dims;
        memcpy(p.dims, t->dims, sizeof p.dims);
        p.norm = t->role == RESNET_GAMMA || t->role == RESNET_BETA;
        p.trained = p.norm || t->role == RESNET_FILTER;
        p.init = inits[t->role];
        done = add(n, p);
    }
    free(all);
    return done;
}

static bool add_all(struct network *n)
{
    const int c = n->features = resnet_features(n->arch);

    return add_body(n) && add_norm(n, "head.0", 2 * c) && add_linear(n, "head.1", HIDDEN, 2 * c) &&
           add_norm(n, "head.2", HIDDEN) && add_linear(n, "head.3", n->classes, HIDDEN);
}

int network_new(struct network **out, const struct model_options *o, int classes, struct err *err)
{
    struct network *n;

    *out = NULL;
    if (classes < 2 || classes > CLASSES_MAX)
        return err_set(err, ERR_INPUT, "%d class%s: a classifier needs 2 to %d", classes,
                       classes == 1 ? "" : "es", CLASSES_MAX);
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
