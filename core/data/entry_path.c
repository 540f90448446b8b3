/* entry_path.c - the filter between names in an archive and names on the disk.
 *
 * What every unpacker must refuse: CVE-2007-4559 and the rules of Python's PEP 706.
 * SPDX-License-Identifier: MIT */
#include "data/entry_path.h"

#include <stdio.h>
#include <string.h>

/* Length of the well-formed UTF-8 sequence at S (RFC 3629: no surrogates, nothing overlong), 0 when
 * it is none. */
static int utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xC2 && s[0] <= 0xDF)
        return (s[1] & 0xC0) == 0x80 ? 2 : 0;
    if ((s[0] & 0xF0) == 0xE0) {
        if ((s[1] & 0xC0) != 0x80 || (s[2] & 0xC0) != 0x80)
            return 0;
        if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F))
            return 0;
        return 3;
    }
    if (s[0] >= 0xF0 && s[0] <= 0xF4) {
        if ((s[1] & 0xC0) != 0x80 || (s[2] & 0xC0) != 0x80 || (s[3] & 0xC0) != 0x80)
            return 0;
        if ((s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
            return 0;
        return 4;
    }
    return 0;
}

void entry_path_quote(char *out, int size, const char *name)
{
    int n = 0;

    for (const unsigned char *s = (const unsigned char *)name; *s;) {
        int length = utf8_length(s);
        bool plain = length > 1 ? !(s[0] == 0xC2 && s[1] < 0xA0) : *s >= 0x20 && *s < 0x7F;

        if (n + (plain && length > 0 ? length : 4) + 4 > size) { /* "..." still fits */
            memcpy(out + n, "...", 4);
            return;
        }
        if (plain && length > 0) {
            memcpy(out + n, s, (size_t)length);
            n += length;
            s += length;
        } else {
            n += snprintf(out + n, (size_t)(size - n), "\\x%02X", *s++);
        }
    }
    out[n] = '\0';
}

static int refuse(struct err *err, const char *name, const char *why)
{
    char quoted[400];

    entry_path_quote(quoted, sizeof quoted, name);
    return err_set(err, ERR_UNSAFE, "the entry \"%s\" %s", quoted, why);
}

static const char *bad_bytes(const char *name)
{
    for (const unsigned char *s = (const unsigned char *)name; *s;) {
        int length = utf8_length(s);

        if (length == 0)
            return "has a name that is not UTF-8";
        if (*s < 0x20 || *s == 0x7F || (s[0] == 0xC2 && s[1] < 0xA0))
            return "has a control character in its name";
        s += length;
    }
    return NULL;
}

int entry_path_clean(char out[ENTRY_PATH_MAX + 1], const char *name, struct err *err)
{
    const char *why = bad_bytes(name);
    size_t n = 0;
    int depth = 0;

    out[0] = '\0';
    if (why)
        return refuse(err, name, why);
    if (name[0] == '/')
        return refuse(err, name, "has an absolute path");
    for (const char *part = name; *part;) {
        size_t length = strcspn(part, "/");

        if (length == 2 && memcmp(part, "..", 2) == 0)
            return refuse(err, name, "leads out of its folder by \"..\"");
        if (length > ENTRY_NAME_MAX)
            return refuse(err, name, "has a name longer than 255 bytes");
        if (length > 0 && !(length == 1 && part[0] == '.')) {
            if (++depth > ENTRY_DEPTH_MAX)
                return refuse(err, name, "lies more than 32 folders deep");
            if (n + length + (n > 0) > ENTRY_PATH_MAX)
                return refuse(err, name, "has a path longer than 1023 bytes");
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
