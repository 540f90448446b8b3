/* survey.h - what kind of folder of pictures it is, before it has a description.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_PREP_SURVEY_H
#define PRESIZE_PREP_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/remark.h"

struct survey {
    uint32_t n; /* pictures */
    struct remarks remarks;
    /* a value for the key skip: folders of the system, test pictures without labels; "" */
    char skip[512];
    char formats[400];    /* "5 JPEG, 3 TIFF" */
    uint32_t parts[4];    /* pictures in folders that are named like parts, by enum part_folder */
    bool unlabelled_test; /* those of the test folder lie in no folder of a class */
    int size; /* a value for presize.size: the preset, or less where most pictures are smaller */
};

/* Lists FOLDER, whatever its labels, and decodes a sample. ERR_INPUT: no pictures. */
int survey_make(struct survey *s, const char *folder, struct err *err) MUST_USE;

int survey_is_picture(const char *path); /* for dataset_list() */

#endif
