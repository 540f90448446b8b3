/* zip_directory.h - what a zip says about itself at its end.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_ZIP_DIRECTORY_H
#define PRESIZE_FETCH_ZIP_DIRECTORY_H

#include <stdint.h>

#include "base/err.h"

/* *ENTRIES: how many entries the directory of the zip in FD lists, by walking it. ERR_FORMAT: no directory, one that
 * its own end does not fit, something behind the end, or entries in front that the directory does not list (two zips
 * joined). ERR_UNSAFE: two names that would be taken for one another. ERR_IO, ERR_NOMEM. The place in FD is left
 * anywhere. */
int zip_directory(uint64_t *entries, int fd, struct err *err) MUST_USE;

#endif
