/* plugin.h - a backend in a library of its own, opened when it is asked for.
 *
 * The tools link none of CUDA's libraries; libpresize_cuda.so, beside them, does. What crosses is
 * backend.h's table: both sides must have been built from the same headers.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_PLUGIN_H
#define PRESIZE_BACKEND_PLUGIN_H

#include "backend/backend.h"

/* What the library exports under this name: a const struct plugin. */
#define PLUGIN_SYMBOL "presize_plugin"
#define PLUGIN_FILE "libpresize_cuda.so"

struct plugin {
    /* The first word, whatever follows: PLUGIN_ABI, a hash of the headers on both sides (CMakeLists.txt). */
    uint64_t abi;
    const char *version;
    const struct backend *backend;
};

/* Opens $PRESIZE_PLUGIN, else PLUGIN_FILE beside the running program; once, it stays for good.
 * ERR_UNSUPPORTED says which of it was: none there, a library that it needs missing, built from
 * another version. Called by one thread. */
int plugin_open(const struct backend **out, struct err *err) MUST_USE;

#endif
