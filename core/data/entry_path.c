/* entry_path.c - the filter between names in an archive and names on the disk.
 *
 * What every unpacker must refuse: CVE-2007-4559 and the rules of Python's PEP 706.
 * SPDX-License-Identifier: MIT */
#include "data/entry_path.h"

#include <string.h>

#include "base/text.h"

static int refuse(struct err *err, const char *name, const char *why)
{
    char quoted[400];

    text_quote(quoted, sizeof quoted, name);
    return err_set(err, ERR_UNSAFE, "the entry \"%s\" has %s", quoted, why);
}

int entry_path_clean(char out[ENTRY_PATH_MAX + 1], const char *name, struct err *err)
{
    const char *why = text_fault(name);
    size_t n = 0;
    int depth = 0;

    out[0] = '\0';
    if (why)
        return refuse(err, name, why);
    if (name[0] == '/')
        return refuse(err, name, "an absolute path");
    for (const char *part = name; *part;) {
        size_t length = strcspn(part, "/");

        if (length == 2 && memcmp(part, "..", 2) == 0)
            return refuse(err, name, "a path that leads out of its folder by \"..\"");
        if (length > ENTRY_NAME_MAX)
            return refuse(err, name, "a name longer than 255 bytes");
        if (length > 0 && !(length == 1 && part[0] == '.')) {
            if (++depth > ENTRY_DEPTH_MAX)
                return refuse(err, name, "a path more than 32 folders deep");
            if (n + length + (n > 0) > ENTRY_PATH_MAX)
                return refuse(err, name, "a path longer than 1023 bytes");
            if (n > 0)
                out[n++] = '/';
            memcpy(out + n, part, length);
            n += length;
        }
        part += length + (part[length] == '/');
    }
    out[n] = '\0';
    return 0;
}

bool entry_path_is_hidden(const char *path)
{
    return path[0] == '.' || strstr(path, "/.") != NULL;
}
