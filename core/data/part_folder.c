/* part_folder.c - the names that people give to the parts of a set.
 * SPDX-License-Identifier: MIT */
#include "data/part_folder.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    enum part_folder part;
} names[] = {
    {"training", PART_TRAIN}, {"train", PART_TRAIN}, {"validation", PART_VALID},
    {"valid", PART_VALID},    {"val", PART_VALID},   {"dev", PART_VALID},
    {"testing", PART_TEST},   {"test", PART_TEST},
};

/* What may follow: a number (train2017), "set", "images" and the like. */
static int is_suffix(const char *text, size_t length)
{
    static const char *const words[] = {"set", "images", "imgs", "img", "data", "jpg"};
    const size_t lead = length > 0 && (text[0] == '_' || text[0] == '-' || text[0] == ' ');

    if (length == 0)
        return 1;
    text += lead;
    length -= lead;
    if (length > 0 && strspn(text, "0123456789") >= length)
        return 1;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (length == strlen(words[i]) && strncasecmp(text, words[i], length) == 0)
            return 1;
    return 0;
}

enum part_folder part_folder_of_name(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t n = strlen(names[i].name);

        if (length >= n && strncasecmp(name, names[i].name, n) == 0 &&
            is_suffix(name + n, length - n))
            return names[i].part;
    }
    return PART_NONE;
}

enum part_folder part_folder_of_path(const char *path, const char **folder, size_t *length)
{
    for (const char *slash; (slash = strchr(path, '/')) != NULL; path = slash + 1) {
        const enum part_folder part = part_folder_of_name(path, (size_t)(slash - path));

        if (part != PART_NONE) {
            if (folder)
                *folder = path;
            if (length)
                *length = (size_t)(slash - path);
            return part;
        }
    }
    return PART_NONE;
}
