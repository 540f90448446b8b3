/* store_weights.h - the safetensors file that train reads, made from torchvision's.
 *
 * Metadata: format "pt", presize "weights 1", arch, source (name of the file without folder),
 * source_sha256, weights_key (where it was given), data_sha256 (of all bytes behind the header). No time, no path.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_STORE_WEIGHTS_H
#define PRESIZE_FETCH_STORE_WEIGHTS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/hash.h"

struct stored_weights {
    char arch[32];
    char source[256]; /* name of the file that they were read from */
    char source_sha256[SHA256_HEX], data_sha256[SHA256_HEX];
    /* which network of several, as tensorfile_take_network() takes it; "": none was named */
    char key[256];
};

/* Reads FILE (.pth or safetensors), checks that it holds w->arch, and replaces PATH by its tensors:
 * names of torchvision without prefix, fp32, the counters int64. arch, source, source_sha256 and key are
 * given, data_sha256 is filled in. ERR_FORMAT, ERR_IO, ERR_FULL, ERR_NOMEM; PATH is as it was. */
int store_weights(const char *path, const char *file, struct stored_weights *w,
                  struct err *err) MUST_USE;

/* What PATH says about itself, names and shapes checked, the numbers not looked at. ERR_INPUT: not
 * written by store_weights(). ERR_FORMAT, ERR_IO, ERR_NOMEM. */
int stored_weights_read(struct stored_weights *w, const char *path, struct err *err) MUST_USE;

/* The deep check: *same is whether the numbers are those that were written. ERR_IO, ERR_FORMAT. */
int stored_weights_check(bool *same, const struct stored_weights *w, const char *path,
                         struct err *err) MUST_USE;

#endif
