/* fits.c - a file's tensors against names and shapes.
 * SPDX-License-Identifier: MIT */
#include "tensorfile/fits.h"

#include <inttypes.h>
#include <string.h>

#include "arch/resnet.h"
#include "base/log.h"
#include "base/text.h"

void misfits_add(struct misfits *m, const char *what, const char *name, const char *detail)
{
    size_t at = strlen(m->text);

    if (m->n++ < MISFITS_NAMED)
        snprintf(m->text + at, sizeof m->text - at, "%s%s%s%.100s%s", at ? "; " : "", what,
                 *what ? " " : "", name, detail);
}

bool tensor_shape_fits(const struct st_tensor *t, int n_dims, const int *dims, char detail[128])
{
    bool fits = t->n_dims == n_dims;
    int at;

    for (int i = 0; fits && i < n_dims; i++)
        fits = t->dims[i] == (uint64_t)dims[i];
    if (fits)
        return true;
    at = snprintf(detail, 128, " (");
    for (int i = 0; i < t->n_dims && at < 60; i++)
        at += snprintf(detail + at, 128 - (size_t)at, "%s%" PRIu64, i ? "x" : "", t->dims[i]);
    at += snprintf(detail + at, 128 - (size_t)at, ", expected ");
    for (int i = 0; i < n_dims && at < 115; i++)
        at += snprintf(detail + at, 128 - (size_t)at, "%s%d", i ? "x" : "", dims[i]);
    snprintf(detail + at, 128 - (size_t)at, ")");
    return false;
}

void misfits_compare(struct misfits *m, const struct tensorfile *f, const char *name, int n_dims,
                     const int *dims)
{
    const struct st_tensor *t = tensorfile_find(f, name);
    char detail[128];

    if (!t)
        misfits_add(m, "missing", name, "");
    else if (!st_is_real(t->dtype))
        misfits_add(m, "not " ST_REAL_TEXT ":", name, "");
    else if (!tensor_shape_fits(t, n_dims, dims, detail))
        misfits_add(m, "misshapen", name, detail);
}

void misfits_list(const struct misfits *m, struct err *err)
{
    err_append(err, "%s", m->text);
    if (m->n > MISFITS_NAMED)
        err_append(err, "; and %d more", m->n - MISFITS_NAMED);
}

void misfits_log_left_out(const struct misfits *m, const char *file)
{
    if (m->n > 0)
        log_info("%s: %d tensor%s of no ResNet %s left out: %s%s", file, m->n, PLURAL(m->n),
                 m->n == 1 ? "is" : "are", m->text, m->n > MISFITS_NAMED ? "; and more" : "");
}

/* --- which ResNet --------------------------------------------------------------------------------- */

static int count_blocks(const struct tensorfile *f, int layer)
{
    char name[RESNET_NAME];

    for (int n = 0;; n++) {
        snprintf(name, sizeof name, "layer%d.%d.conv1.weight", layer, n);
        if (!tensorfile_find(f, name))
            return n;
    }
}

/* Of each architecture: the number of blocks in each layer, and the convolutions of the first block. */
static bool has_blocks_of(const struct tensorfile *f, int arch)
{
    struct resnet_block first;
    struct misfits m = {0};

    for (int layer = 1; layer <= RESNET_LAYERS; layer++)
        if (count_blocks(f, layer) != resnet_of(arch)->blocks[layer - 1])
            return false;
    resnet_block(&first, arch, 1, 0);
    for (int i = 0; i < first.n_convs; i++) {
        const struct resnet_conv *c = &first.convs[i];
        const int dims[4] = {c->k, c->c / c->groups, c->side, c->side};
        char name[RESNET_NAME];

        snprintf(name, sizeof name, "%s.weight", c->name);
        misfits_compare(&m, f, name, 4, dims);
    }
    return m.n == 0;
}

int tensorfile_arch(const struct tensorfile *f)
{
    for (int arch = 0; arch < ARCHS; arch++)
        if (has_blocks_of(f, arch))
            return arch;
    return -1;
}
