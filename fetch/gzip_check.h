/* gzip_check.h - gzip's own checksum, which libarchive does not look at.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_GZIP_CHECK_H
#define PRESIZE_FETCH_GZIP_CHECK_H

#include "base/err.h"

/* Reads PATH to its end and compares CRC-32 and length of each gzip member (RFC 1952, 2.3.1). A file
 * that does not begin as gzip passes. ERR_IO, ERR_FORMAT, ERR_NOMEM. */
int gzip_check(const char *path, struct err *err) MUST_USE;

#endif
