/* part_folder.h - folders that are named like a part of a set: train, valid, test.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_PART_FOLDER_H
#define PRESIZE_DATA_PART_FOLDER_H

#include <stddef.h>

enum part_folder { PART_NONE, PART_TRAIN, PART_VALID, PART_TEST };

/* The part that a folder's NAME of LENGTH bytes stands for: "train", "Training", "train2017", "train_images", "val",
 * "test1", ... */
enum part_folder part_folder_of_name(const char *name, size_t length);

/* The first folder of PATH that stands for a part; *FOLDER and *LENGTH (may be NULL) get its name, borrowed. The last
 * name of PATH is a file's. */
enum part_folder part_folder_of_path(const char *path, const char **folder, size_t *length);

#endif
