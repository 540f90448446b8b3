/* conv_shape.c - what cuDNN would let pass and must not.
 *
 * A filter of fewer channels than the pictures is a grouped convolution to it, whether or not it was meant.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "backend/cuda/conv_graph.h"

static const char *const pass_names[CONV_PASSES] = {"forward", "data", "weight"};

void conv_shape_name(const struct conv_shape *s, char *out, size_t size)
{
    char groups[24] = "";

    if (s->groups != 1)
        snprintf(groups, sizeof groups, " groups=%d", s->groups);
    snprintf(out, size, "%s %s n=%d %dx%dx%d to %d by %dx%d /%d p%d%s%s%s%s", pass_names[s->pass],
             dtype_name((enum dtype)s->dtype), s->n, s->c, s->h, s->w, s->k, s->r, s->s, s->stride,
             s->pad, groups, s->bias ? " bias" : "", s->add ? " add" : "", s->relu ? " relu" : "");
}

static bool too_many(int a, int b, int c, int d)
{
    return (int64_t)a * b * c > INT32_MAX / d;
}

int conv_shape_check(const struct conv_shape *s, struct err *err)
{
    char name[160];

    BUG_IF(s->pass < 0 || s->pass >= CONV_PASSES);
    conv_shape_name(s, name, sizeof name);
    if (s->n < 1 || s->c < 1 || s->h < 1 || s->w < 1 || s->k < 1 || s->r < 1 || s->s < 1 ||
        s->stride < 1 || s->pad < 0)
        return err_set(err, ERR_UNSUPPORTED, "%s: a size below one", name);
    if (s->groups < 1 || s->c % s->groups || s->k % s->groups || s->filter_c != s->c / s->groups)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: a filter of %d channels, which is not %d channels over %d groups", name,
                       s->filter_c, s->c, s->groups);
    if (s->h + 2 * s->pad < s->r || s->w + 2 * s->pad < s->s ||
        s->p != (s->h + 2 * s->pad - s->r) / s->stride + 1 ||
        s->q != (s->w + 2 * s->pad - s->s) / s->stride + 1)
        return err_set(err, ERR_UNSUPPORTED, "%s: %dx%d is not the size of its output", name, s->p,
                       s->q);
    if (s->pass != CONV_FORWARD && (s->bias || s->add || s->relu))
        return err_set(err, ERR_UNSUPPORTED, "%s: only a forward pass has more steps", name);
    if (too_many(s->n, s->c, s->h, s->w) || too_many(s->n, s->k, s->p, s->q))
        return err_set(err, ERR_UNSUPPORTED, "%s: more than 2^31 elements; take a smaller batch",
                       name);
    return 0;
}
