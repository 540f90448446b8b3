/* torchfile_private.h - shared by torchfile.c (bytes) and torchfile_find.c (names).
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TENSORFILE_TORCHFILE_PRIVATE_H
#define PRESIZE_TENSORFILE_TORCHFILE_PRIVATE_H

#include "tensorfile/pickle.h"
#include "tensorfile/torchfile.h"

#define TORCHSCRIPT "a TorchScript program (torch.jit.save): save model.state_dict() instead"

struct view { /* a tensor; st first: torchfile_tensor() hands it out */
    struct st_tensor st;
    const struct node *node;
};

struct torchfile {
    char *path;
    char *bytes; /* zip: of data.pkl; plain: of the whole file */
    size_t size;
    struct pickle *pickle;
    const char **storages; /* where the bytes of each lie; NULL: not found yet */
    char **owned;          /* zip: the same, to be freed */
    struct view *views;
    size_t n;
};

/* Of the tensor NODE. */
static inline uint64_t torchfile_element_bytes(const struct torchfile *f, const struct node *tensor)
{
    return f->pickle->storages[tensor->integer].bytes;
}

/* Fills F's views from its pickle, and makes room for its storages. ERR_FORMAT, ERR_NOMEM. */
int torchfile_find(struct torchfile *f, struct err *err) MUST_USE;

#endif
