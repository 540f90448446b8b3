/* snapshot.h - a network's state in memory: weights, running statistics and the optimiser's moments
 * as the open backend holds them, to be put back bit for bit.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_NN_SNAPSHOT_H
#define PRESIZE_NN_SNAPSHOT_H

#include "backend/backend.h"
#include "nn/network.h"

struct snapshot; /* opaque; borrows the network */

/* Copies what the open backend has; a program with the tensors must be prepared. ERR_NOMEM. */
int snapshot_take(struct snapshot **out, const struct device *device, const struct network *n,
                  struct err *err) MUST_USE;
int snapshot_put(const struct snapshot *s, const struct device *device, struct err *err) MUST_USE;
void snapshot_free(struct snapshot *s); /* NULL is fine */

#endif
