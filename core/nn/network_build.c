/* network_build.c - tensors of a list under construction: named, shaped, each parameter once.
 *
 * When memory runs out the list remembers it (op.h) and building continues with tensor 0; op_list_check()
 * says so at the end. SPDX-License-Identifier: MIT */
#include "nn/network_private.h"

#include <string.h>

int build_tensor(struct build *b, const char *prefix, const char *suffix, enum tensor_role role,
                 enum dtype dtype, const int d[4])
{
    char name[64];
    int length = snprintf(name, sizeof name, "%s%s", prefix, suffix);

    BUG_IF(length < 0 || (size_t)length >= sizeof name);
    return op_list_tensor(b->l, name, role, dtype, d[0], d[1], d[2], d[3]);
}

void build_dims(const struct build *b, int t, int d[4])
{
    memcpy(d, b->l->tensors[t].dims, 4 * sizeof *d);
}

int build_like(struct build *b, const char *prefix, const char *suffix, int t)
{
    int d[4];

    build_dims(b, t, d);
    return build_tensor(b, prefix, suffix, TENSOR_ACT, b->l->tensors[t].dtype, d);
}

int build_vectors(struct build *b, const char *name, int c, enum dtype dtype)
{
    const int d[4] = {b->s->batch, c, 1, 1};

    return build_tensor(b, name, "", TENSOR_ACT, dtype, d);
}

int build_stat(struct build *b, const char *prefix, const char *suffix, int channels)
{
    const int d[4] = {2, channels, 1, 1};

    return build_tensor(b, prefix, suffix, TENSOR_STAT, DTYPE_F64, d);
}

int build_param(struct build *b, const char *prefix, const char *part)
{
    const struct param *p;
    char name[64];
    int d[4] = {1, 1, 1, 1}, t;

    snprintf(name, sizeof name, "%s.%s", prefix, part);
    p = network_param(b->n, name);
    BUG_IF(!p);
    t = op_list_find(b->l, name);
    if (t)
        return t;
    memcpy(d, p->dims, (size_t)p->n_dims * sizeof *d);
    return build_tensor(b, name, "", p->trained ? TENSOR_PARAM : TENSOR_STATE, DTYPE_F32, d);
}

int build_gradient(struct build *b, const char *prefix, const char *part)
{
    char name[64];
    int d[4];

    build_dims(b, build_param(b, prefix, part), d);
    snprintf(name, sizeof name, "%s.%s", prefix, part);
    return build_tensor(b, name, ".grad", TENSOR_GRAD, DTYPE_F32, d);
}

bool build_trains(const struct build *b, const struct param *p)
{
    return param_is_trained(p, b->s->freeze_to);
}

bool build_trains_weight(const struct build *b, const char *prefix)
{
    char name[64];

    snprintf(name, sizeof name, "%s.weight", prefix);
    return build_trains(b, network_param(b->n, name));
}

float build_dropout(const struct build *b, int layer)
{
    return b->infer ? 0.0f : (float)(layer == 0 ? b->s->dropout / 2 : b->s->dropout);
}
