/* plugin.h - a part of presize in a library of its own, opened when it is asked for: CUDA's backend, MPI.
 *
 * The tools link neither CUDA's libraries nor MPI; the plug-ins, beside them, do. What crosses is a table of functions
 * and structs of core's headers: both sides must have been built from the same ones. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_PLUGIN_H
#define PRESIZE_BASE_PLUGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* What each plug-in exports under this name: a const struct plugin. */
#define PLUGIN_SYMBOL "presize_plugin"

struct plugin {
    /* The first word, whatever follows: PLUGIN_ABI, a hash of the headers on both sides (CMakeLists.txt). */
    uint64_t abi;
    const char *version;
    const void *table; /* struct backend, struct mpi_plugin */
};

struct plugin_place {
    const char *name;     /* "MPI" */
    const char *file;     /* beside the running program */
    const char *variable; /* of the environment: another path */
    const char *remedy;   /* what to do where the file is not there */
    bool global;          /* the library's symbols serve libraries that it opens itself */
};

/* Opens the plug-in; it stays for good. *TABLE is the plug-in's. ERR_UNSUPPORTED says which it was: no such file, a
 * library that it needs missing, no plug-in, built from another version. Called by one thread. */
int plugin_open(const void **table, const struct plugin_place *place, struct err *err) MUST_USE;

#endif
