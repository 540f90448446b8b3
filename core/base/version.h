/* version.h - what a tool is made of: its version, the libraries it runs with, the processor's instruction sets.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_VERSION_H
#define PRESIZE_BASE_VERSION_H

#include <stdio.h>

extern const char presize_version[]; /* "0.1.0" */

/* What a layer knows of its libraries: a function that prints a line for each. */
struct version_layer {
    void (*say)(FILE *file); /* NULL ends an array */
};

/* One line: "  NAME VERSION". A version is that of the library that runs, of its header where it cannot be asked. */
void version_library(FILE *file, const char *name, const char *version);

/* "TOOL (presize) 0.1.0", then the compiler, the processor's instruction sets, and the libraries of core/base and of
 * LAYERS (or NULL). */
void version_print(FILE *file, const char *tool, const struct version_layer *layers);

#endif
