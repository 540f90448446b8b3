/* scratch.c - files of the fuzz targets. SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <string.h>

#include "base/path.h"

static char folder[PATH_LEN];

static void remove_folder(void)
{
    if (path_remove_tree(folder, NULL) < 0)
        fprintf(stderr, "%s stays behind\n", folder);
}

static void make_folder(void)
{
    const char *base = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%s/presize-fuzz-XXXXXX", base && *base ? base : "/tmp");
    CHECK(mkdtemp(folder));
    atexit(remove_folder);
}

const char *fuzz_file(const uint8_t *data, size_t size, const char *suffix)
{
    static char path[PATH_LEN];
    FILE *file;

    if (!folder[0])
        make_folder();
    CHECK(snprintf(path, sizeof path, "%s/input%s", folder, suffix) < (int)sizeof path);
    file = fopen(path, "wb");
    CHECK(file && fwrite(data, 1, size, file) == size && fclose(file) == 0);
    return path;
}

uint8_t *fuzz_read(const char *path, size_t *size)
{
    struct err err = {0};
    char *bytes;

    if (path_read(&bytes, size, path, (size_t)1 << 24, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    return (uint8_t *)bytes;
}
