/* demo_archive.h - the demo set's archive, in the layout of Oxford-IIIT Pet.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_DEMO_ARCHIVE_H
#define PRESIZE_FETCH_DEMO_ARCHIVE_H

#include <stdio.h>

#include "base/err.h"

/* Draws the set and replaces PATH by a plain tar of it: images/KIND_N.jpg, annotations/list.txt,
 * trainval.txt (half of each kind), test.txt. The same bytes at each call and at any number of
 * processors; another version of libjpeg may give others. ERR_IO, ERR_FULL, ERR_NOMEM. */
int demo_archive_write(const char *path, struct err *err) MUST_USE;

void demo_archive_libraries(FILE *file); /* for base/version.h */

#endif
