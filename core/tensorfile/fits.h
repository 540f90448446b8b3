/* fits.h - whether a file's tensors are those of a network, and what does not fit.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TENSORFILE_FITS_H
#define PRESIZE_TENSORFILE_FITS_H

#include <stdbool.h>

#include "tensorfile/tensorfile.h"

enum { MISFITS_NAMED = 8 };
struct misfits { /* missing, extra or misshapen tensors, the first few named; {0} has none */
    char text[2048];
    int n;
};
void misfits_add(struct misfits *m, const char *what, const char *name, const char *detail);
/* F should have the tensor NAME, of real numbers in these dimensions. */
void misfits_compare(struct misfits *m, const struct tensorfile *f, const char *name, int n_dims,
                     const int *dims);
/* Appends the names to ERR's message. */
void misfits_list(const struct misfits *m, struct err *err);
/* How many tensors of FILE are left out, which are beside a ResNet; nothing where there is none. */
void misfits_log_left_out(const struct misfits *m, const char *file);

/* False: DETAIL is " (dims, expected dims)". */
bool tensor_shape_fits(const struct st_tensor *t, int n_dims, const int *dims, char detail[128]);

/* Which ResNet F has under torchvision's names, by the number, kind and width of its blocks: enum arch of
 * arch/resnet.h, -1: none. Its other tensors may be missing or misshapen. */
int tensorfile_arch(const struct tensorfile *f);

#endif
