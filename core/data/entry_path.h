/* entry_path.h - which names inside an archive may become files, and where.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_ENTRY_PATH_H
#define PRESIZE_DATA_ENTRY_PATH_H

#include <stdbool.h>

#include "base/err.h"

/* Bytes of a path below the tree, bytes of one name in it, names in it. A picture's path becomes
 * the name of a dataset in a shard, so these are tighter than the file system's. */
enum { ENTRY_PATH_MAX = 1023, ENTRY_NAME_MAX = 255, ENTRY_DEPTH_MAX = 32 };

/* OUT = NAME without "." parts, doubled and trailing slashes: "" when nothing is left (the entry
 * "./"). ERR_UNSAFE for what must not be written: an absolute path, "..", control characters, bytes
 * that are not UTF-8, too long, too deep. The message quotes NAME with odd bytes as \xNN. */
int entry_path_clean(char out[ENTRY_PATH_MAX + 1], const char *name, struct err *err) MUST_USE;

/* True when a part of the (clean) path begins with a dot: AppleDouble files, .DS_Store, .git. */
bool entry_path_is_hidden(const char *path);

#endif
