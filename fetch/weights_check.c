/* weights_check.c - the tensors of arch/resnet.h, each once, and no others of a body.
 * SPDX-License-Identifier: MIT */
#include "weights_check.h"

#include <stdlib.h>
#include <string.h>

#include "arch/resnet.h"
#include "tensorfile/fits.h"

enum { DIM_MAX = 1 << 24 };

struct body {
    struct resnet_tensor *tensors;
    size_t n;
};

/* A tensor of B, or the counter of one of its norms. */
static bool is_of(const struct body *b, const char *name, bool *counts)
{
    static const char mean[] = ".running_mean";
    size_t stem = strlen(name);

    *counts = resnet_is_counter(name);
    if (*counts)
        stem -= strlen(resnet_counter);
    for (size_t i = 0; i < b->n; i++) {
        const char *known = b->tensors[i].name;

        if (*counts ? strncmp(known, name, stem) == 0 && strcmp(known + stem, mean) == 0
                    : strcmp(known, name) == 0)
            return true;
    }
    return false;
}

/* The classifier may have any classes, but a shape whose size in bytes is a number. */
static bool is_sane(const struct st_tensor *t)
{
    bool sane = t->n_dims <= 2 && st_is_real(t->dtype);

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

static void compare(struct misfits *m, const struct tensorfile *f, const struct body *b)
{
    bool counts;

    for (size_t i = 0; i < b->n; i++)
        misfits_compare(m, f, b->tensors[i].name, b->tensors[i].n_dims, b->tensors[i].dims);
    for (size_t i = 0; i < tensorfile_count(f); i++) {
        const struct st_tensor *t = tensorfile_tensor(f, i);
        const enum resnet_part part = resnet_part(t->name);

        if (part == RESNET_CLASSIFIER && !is_sane(t))
            misfits_add(m, "misshapen", t->name, "");
        if (part != RESNET_BODY) /* beside the body: another's head, a queue */
            continue;
        if (!is_of(b, t->name, &counts))
            misfits_add(m, "extra", t->name, "");
        else if (counts && !is_one_number(t))
            misfits_add(m, "not one number:", t->name, "");
    }
}

int weights_check(const struct tensorfile *f, int arch, struct err *err)
{
    const int looks = tensorfile_arch(f);
    struct misfits m = {0};
    struct body b;

    if (looks >= 0 && looks != arch)
        return err_set(err, ERR_FORMAT,
                       "does not hold %s: it looks like %s, so `fetch weights/%s --from FILE`",
                       arch_name(arch), arch_name(looks), arch_name(looks));
    b.tensors = resnet_tensors(arch, &b.n);
    if (!b.tensors)
        return err_set(err, ERR_NOMEM, "no memory for the shapes of %s", arch_name(arch));
    compare(&m, f, &b);
    free(b.tensors);
    if (m.n == 0)
        return 0;
    err_set(err, ERR_FORMAT, "does not hold %s: ", arch_name(arch));
    misfits_list(&m, err);
    return -1;
}
