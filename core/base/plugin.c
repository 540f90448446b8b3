/* plugin.c - finds a plug-in, opens it, and looks whether it fits. SPDX-License-Identifier: MIT */
#include "base/plugin.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"

static int plugin_path(char out[PATH_LEN], const struct plugin_place *place, struct err *err)
{
    const char *given = getenv(place->variable);

    if (given && *given)
        return path_format(out, err, "%s", given);
    return path_beside_program(out, place->file, err);
}

static int check(const struct plugin *p, const char *path, struct err *err)
{
    if (!p)
        return err_set(err, ERR_UNSUPPORTED, "%s is no plug-in of presize: it lacks %s", path,
                       PLUGIN_SYMBOL);
    if (p->abi != PLUGIN_ABI || strcmp(p->version, PRESIZE_VERSION) != 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s was built from another version (%s) than this program (" PRESIZE_VERSION
                       "): build both from one source, or install packages of one version",
                       path, p->abi == PLUGIN_ABI ? p->version : "other headers");
    return 0;
}

int plugin_open(const void **table, const struct plugin_place *place, struct err *err)
{
    const struct plugin *p;
    char path[PATH_LEN];
    void *library;

    *table = NULL;
    if (plugin_path(path, place, err) < 0)
        return -1;
    if (!path_exists(path))
        return err_set(err, ERR_UNSUPPORTED, "no %s plug-in: %s is not there: %s", place->name,
                       path, place->remedy);
    library = dlopen(path, RTLD_NOW | (place->global ? RTLD_GLOBAL : RTLD_LOCAL));
    if (!library)
        return err_set(err, ERR_UNSUPPORTED, "the %s plug-in cannot be loaded: %s", place->name,
                       dlerror());
    p = dlsym(library, PLUGIN_SYMBOL);
    if (check(p, path, err) < 0) {
        dlclose(library);
        return -1;
    }
    *table = p->table;
    return 0;
}
