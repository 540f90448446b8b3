/* unpacked.h - what the tests of unpack share: an archive FILE and a FOLDER in a scratch folder.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_UNIT_UNPACKED_H
#define PRESIZE_TESTS_UNIT_UNPACKED_H

#include "base/path.h"
#include "data/manifest.h"
#include "unpack.h"

static char work[PATH_LEN], file[PATH_LEN], folder[PATH_LEN];

/* Unpacks FILE into an emptied FOLDER. */
static int unpack_file(struct manifest *m, struct unpack_report *r, struct err *err)
{
    static struct remarks remarks;
    struct err ignored = {0};

    assert_int_equal(path_remove_tree(folder, &ignored), 0);
    assert_int_equal(path_make_dirs(folder, &ignored), 0);
    memset(&remarks, 0, sizeof remarks);
    *r = (struct unpack_report){.remarks = &remarks};
    return unpack(m, r, file, folder, NULL, &unpack_limits_default, err);
}

static int begin(void **state)
{
    (void)state;
    snprintf(work, sizeof work, "/tmp/test_unpack.XXXXXX");
    if (!mkdtemp(work))
        return -1;
    snprintf(file, sizeof file, "%.100s/archive", work);
    snprintf(folder, sizeof folder, "%.100s/tree", work);
    return 0;
}

static int end(void **state)
{
    struct err err = {0};

    (void)state;
    return path_remove_tree(work, &err);
}

static void append_file(const char *to, const char *from)
{
    char *bytes;
    size_t size;
    struct err err;
    FILE *out = fopen(to, "ab");

    assert_non_null(out);
    assert_int_equal(path_read(&bytes, &size, from, 1 << 24, &err), 0);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    fclose(out);
    free(bytes);
}

#endif
