/* resnet_shapes.h - which of torchvision's five ResNets a file of tensors holds, by names and shapes.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_RESNET_SHAPES_H
#define PRESIZE_FETCH_RESNET_SHAPES_H

#include <stdbool.h>

#include "base/err.h"
#include "tensorfile/tensorfile.h"

enum { RESNET_NAME = 128 }; /* bytes of a tensor's name with its 0 */

/* F has one network (tensorfile_take_network()), so torchvision's names. */

/* Whether NAME is of the body or of the classifier; the rest is left out. */
bool resnet_keeps(const char *name);

/* The architecture whose blocks are there, by their kind and number, NULL: none. */
const char *resnet_looks_like(const struct tensorfile *f);

/* Compares the file with every name and shape of ARCH ("resnet18" to "resnet152"). fc.* may have any shape, the
 * counters num_batches_tracked may be missing. ERR_FORMAT lists missing, extra and misshapen tensors, or says which
 * architecture it looks like; ERR_NOMEM. */
int resnet_check(const struct tensorfile *f, const char *arch, struct err *err) MUST_USE;

#endif
