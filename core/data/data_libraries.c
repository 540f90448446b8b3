/* data_libraries.c - the versions of the shards' libraries and of the patterns' one.
 * SPDX-License-Identifier: MIT */
#include <hdf5.h>
#include <stdio.h>
#include <string.h>
#include <zstd.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/version.h"
#include "data/dataset.h"

void data_libraries(FILE *file)
{
    unsigned major = 0, minor = 0, patch = 0;
    char text[64];

    H5get_libversion(&major, &minor, &patch);
    snprintf(text, sizeof text, "%u.%u.%u", major, minor, patch);
    version_library(file, "hdf5", text);
    if (pcre2_config(PCRE2_CONFIG_VERSION, NULL) >= (int)sizeof text ||
        pcre2_config(PCRE2_CONFIG_VERSION, text) < 0)
        snprintf(text, sizeof text, "?");
    text[strcspn(text, " ")] = '\0'; /* the date follows */
    version_library(file, "pcre2", text);
    version_library(file, "zstd", ZSTD_versionString());
}
