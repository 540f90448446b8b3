/* plugin.c - finds the plug-in, opens it, and looks whether it fits.
 * SPDX-License-Identifier: MIT */
#include "backend/plugin.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"

static int plugin_path(char out[PATH_LEN], struct err *err)
{
    const char *given = getenv("PRESIZE_PLUGIN");
    char program[PATH_LEN];
    ssize_t n;

    if (given && *given)
        return path_format(out, err, "%s", given);
    n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n < 0)
        return err_errno(err, "/proc/self/exe");
    program[n] = 0;
    *(strrchr(program, '/') + 1) = 0;
    return path_format(out, err, "%s" PLUGIN_FILE, program);
}

static int check(const struct plugin *p, const char *path, struct err *err)
{
    if (!p)
        return err_set(err, ERR_UNSUPPORTED, "%s is no plug-in of presize: it lacks %s", path,
                       PLUGIN_SYMBOL);
    if (p->abi != PLUGIN_ABI || strcmp(p->version, PRESIZE_VERSION) != 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s was built from another version (%s) than this program (" PRESIZE_VERSION
                       "): build both from one source, with `make` and `make cuda`, or install "
                       "presize and presize-cuda of one version",
                       path, p->abi == PLUGIN_ABI ? p->version : "other headers");
    return 0;
}

int plugin_open(const struct backend **out, struct err *err)
{
    static const struct backend *opened;
    char path[PATH_LEN];
    void *library;

    *out = opened;
    if (opened)
        return 0;
    if (plugin_path(path, err) < 0)
        return -1;
    if (!path_exists(path))
        return err_set(err, ERR_UNSUPPORTED,
                       "no CUDA plug-in: %s is not there (`make cuda` builds it where nvcc is, the "
                       "package presize-cuda has it)",
                       path);
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return err_set(err, ERR_UNSUPPORTED, "the CUDA plug-in cannot be loaded: %s", dlerror());
    if (check(dlsym(library, PLUGIN_SYMBOL), path, err) < 0) {
        dlclose(library);
        return -1;
    }
    *out = opened = ((const struct plugin *)dlsym(library, PLUGIN_SYMBOL))->backend;
    return 0;
}
