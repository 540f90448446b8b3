/* fuzz_entry_path.c - which names inside an archive may become files. What is let through is checked
 * again here, by other means. SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/text.h"
#include "data/entry_path.h"
#include "fuzz.h"

static void check_clean(const char *path)
{
    char copy[ENTRY_PATH_MAX + 1], *rest = copy, *part;
    int depth = 0;

    CHECK(strlen(path) <= ENTRY_PATH_MAX && path[0] != '/');
    for (const char *c = path; *c; c++)
        CHECK((unsigned char)*c >= 32 && *c != 127);
    memcpy(copy, path, strlen(path) + 1);
    while (path[0] && (part = strsep(&rest, "/")) != NULL) {
        CHECK(part[0] && strcmp(part, ".") != 0 && strcmp(part, "..") != 0);
        CHECK(strlen(part) <= ENTRY_NAME_MAX);
        depth++;
    }
    CHECK(depth <= ENTRY_DEPTH_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char out[ENTRY_PATH_MAX + 1], again[ENTRY_PATH_MAX + 1], quoted[40];
    char *name = malloc(size + 1);
    struct err err = {0};

    CHECK(name);
    if (size)
        memcpy(name, data, size);
    name[size] = '\0';
    if (entry_path_clean(out, name, &err) < 0) {
        CHECK(err.kind == ERR_UNSAFE);
        CHECK_REFUSED(err);
    } else {
        check_clean(out);
        CHECK(entry_path_clean(again, out, &err) == 0 && strcmp(again, out) == 0);
        entry_path_is_hidden(out);
    }
    text_quote(quoted, sizeof quoted, name);
    CHECK(strlen(quoted) < sizeof quoted);
    free(name);
    return 0;
}

uint8_t *fuzz_seed(int i, size_t *size)
{
    static const char *const names[] = {"images/Abyssinian_1.jpg",
                                        "./a//b/./c.jpg",
                                        "../../etc/passwd",
                                        "/absolute",
                                        "a/../../b",
                                        "gr\xc3\xbc\xc3\x9f/\xe2\x82\xac.jpg",
                                        "a/b/c/d/e/f/g/h/i/j/k/l/m",
                                        "\xf0\x9f\x90\xb1.jpg",
                                        ".hidden/x",
                                        "a\\..\\b",
                                        ""};

    if (i >= (int)(sizeof names / sizeof *names))
        return NULL;
    *size = strlen(names[i]);
    return (uint8_t *)strdup(names[i]);
}
