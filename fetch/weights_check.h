/* weights_check.h - whether a file of tensors is one of torchvision's ResNets, to the last name and shape.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_WEIGHTS_CHECK_H
#define PRESIZE_FETCH_WEIGHTS_CHECK_H

#include "tensorfile/tensorfile.h"

/* Compares F, which has one network (tensorfile_take_network()), so torchvision's names, with every name and shape of
 * ARCH. fc.* may be for any number of classes, the counters num_batches_tracked may be missing. ERR_FORMAT lists
 * missing, extra and misshapen tensors, or says which architecture it looks like; ERR_NOMEM. */
int weights_check(const struct tensorfile *f, int arch, struct err *err) MUST_USE;

#endif
