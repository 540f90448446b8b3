/* shard_driver.h - HDF5 reads a shard of another machine: private to shard_open.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_SHARD_DRIVER_H
#define PRESIZE_DATA_SHARD_DRIVER_H

#include <hdf5.h>

#include "base/err.h"

struct remote_file;

/* What the library reads through ACCESS is first asked of F, then read from the file's own place. F outlives the open
 * file. When opening fails, the error of the last request that failed is in WHY (kind ERR_NONE: none did). Negative on
 * failure. */
int shard_driver_set(hid_t access, struct remote_file *f, struct err *why) MUST_USE;

#endif
