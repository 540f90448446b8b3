/* tar_names.h - the names in a tar as they are stored, before libarchive composes them (NFC).
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_TAR_NAMES_H
#define PRESIZE_FETCH_TAR_NAMES_H

#include "base/err.h"

/* Compares the `path` records of the tar in FD (plain, or compressed), whose entries were all read already. Two folders
 * whose names differ only in Unicode form, which libarchive makes one, are ERR_UNSAFE. ERR_NOMEM, ERR_FORMAT. Names
 * behind a header that this walk does not know, though libarchive does, are not compared. The place in FD is left
 * anywhere. */
int tar_names_check(int fd, struct err *err) MUST_USE;

#endif
