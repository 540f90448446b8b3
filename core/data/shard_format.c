/* shard_format.c - the types and properties that writer, reader and check share.
 * SPDX-License-Identifier: MIT */
#include "data/shard_format.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

hid_t shard_text_type(size_t size)
{
    hid_t t = H5Tcopy(H5T_C_S1);

    if (t >= 0 && (H5Tset_size(t, size) < 0 || H5Tset_strpad(t, H5T_STR_NULLPAD) < 0 ||
                   H5Tset_cset(t, H5T_CSET_UTF8) < 0)) {
        H5Tclose(t);
        return -1;
    }
    return t;
}

hid_t shard_row_type(size_t path_size, bool in_file)
{
    hid_t u32 = in_file ? H5T_STD_U32LE : H5T_NATIVE_UINT32;
    hid_t i32 = in_file ? H5T_STD_I32LE : H5T_NATIVE_INT32;
    hid_t u64 = in_file ? H5T_STD_U64LE : H5T_NATIVE_UINT64;
    hid_t format = shard_text_type(SHARD_FORMAT_TEXT), path = shard_text_type(path_size);
    hid_t row = H5Tcreate(H5T_COMPOUND, sizeof(struct shard_row) + path_size);
    const struct {
        const char *name;
        size_t offset;
        hid_t type;
    } fields[] = {
        {"rank", offsetof(struct shard_row, rank), u32},
        {"label", offsetof(struct shard_row, label), i32},
        {"official", offsetof(struct shard_row, official), i32},
        {"height", offsetof(struct shard_row, height), u32},
        {"width", offsetof(struct shard_row, width), u32},
        {"original_height", offsetof(struct shard_row, original_height), u32},
        {"original_width", offsetof(struct shard_row, original_width), u32},
        {"crc32c", offsetof(struct shard_row, crc32c), u32},
        {"address", offsetof(struct shard_row, address), u64},
        {"stored", offsetof(struct shard_row, stored), u64},
        {"format", offsetof(struct shard_row, format), format},
        {"path", sizeof(struct shard_row), path},
    };
    bool good = row >= 0 && format >= 0 && path >= 0;

    for (size_t i = 0; good && i < sizeof fields / sizeof fields[0]; i++)
        good = H5Tinsert(row, fields[i].name, fields[i].offset, fields[i].type) >= 0;
    if (format >= 0)
        H5Tclose(format);
    if (path >= 0)
        H5Tclose(path);
    if (good)
        return row;
    if (row >= 0)
        H5Tclose(row);
    return -1;
}

/* Bounds: "1.8" both ends, so that the choice of structures does not move with the library's version
 * and every reader since 2008 understands them. Locks off: flock() fails on some network file systems,
 * and a shard is never read before it is whole. No work at exit: all is closed before that but what
 * could not be, and that the library would free a second time. */
hid_t shard_file_access(void)
{
    hid_t p;

    H5dont_atexit(); /* heeded only as the first call of all */
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    p = H5Pcreate(H5P_FILE_ACCESS);
    if (p >= 0 && (H5Pset_libver_bounds(p, H5F_LIBVER_V18, H5F_LIBVER_V18) < 0 ||
                   H5Pset_fclose_degree(p, H5F_CLOSE_STRONG) < 0 ||
                   H5Pset_file_locking(p, false, true) < 0)) {
        H5Pclose(p);
        return -1;
    }
    return p;
}

struct stack_text {
    char cause[512];
    bool full;
};

/* The innermost record that says something; called outermost first. What the library says about a
 * failed call to the system holds addresses and times: only the system's own words are kept. */
static herr_t keep_last(unsigned n, const H5E_error2_t *e, void *arg)
{
    static const char words[] = "error message = '";
    struct stack_text *s = arg;
    const char *found;

    (void)n;
    if (!e->desc || !e->desc[0])
        return 0;
    found = strstr(e->desc, words);
    if (found) {
        found += sizeof words - 1;
        snprintf(s->cause, sizeof s->cause, "%.*s", (int)strcspn(found, "'"), found);
        s->full = strcmp(s->cause, strerror(ENOSPC)) == 0 ||
                  strcmp(s->cause, strerror(EDQUOT)) == 0 || strcmp(s->cause, strerror(EFBIG)) == 0;
    } else {
        snprintf(s->cause, sizeof s->cause, "%s", e->desc);
    }
    return 0;
}

int shard_hdf5_error(struct err *err, enum err_kind kind, const char *format, ...)
{
    struct stack_text s = {.cause = "no reason given"};
    char context[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_last, &s);
    H5Eclear2(H5E_DEFAULT);
    return err_set(err, s.full ? ERR_FULL : kind, "%s: HDF5: %s", context, s.cause);
}

int shard_same_text(hid_t object, const char *name, const char *expected, struct err *err)
{
    hid_t a = H5Aexists(object, name) > 0 ? H5Aopen(object, name, H5P_DEFAULT) : -1;
    hid_t type = a >= 0 ? H5Aget_type(a) : -1;
    hid_t space = a >= 0 ? H5Aget_space(a) : -1;
    size_t length = strlen(expected), size = type >= 0 ? H5Tget_size(type) : 0;
    int rc = 0;

    if (space >= 0 && H5Sget_simple_extent_npoints(space) == 1 &&
        H5Tget_class(type) == H5T_STRING && !H5Tis_variable_str(type) &&
        size == (length ? length : 1)) {
        char *text = calloc(size + 1, 1);

        if (!text)
            rc = err_set(err, ERR_NOMEM, "%s: out of memory", name);
        else
            rc = H5Aread(a, type, text) >= 0 && strcmp(text, expected) == 0;
        free(text);
    }
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    if (a >= 0)
        H5Aclose(a);
    return rc;
}
