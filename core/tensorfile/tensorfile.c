/* tensorfile.c - one face for both formats.
 * SPDX-License-Identifier: MIT */
#include "tensorfile/tensorfile.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "tensorfile/torchfile.h"

struct tensorfile { /* one of the two */
    struct safetensors *safe;
    struct torchfile *torch;
};

/* A zip, or a pickle of protocol 2 or later: 0x80 begins no safetensors header of sane size, as its
 * next bytes would have to be zeros. */
static int is_torch(bool *torch, const char *path, struct err *err)
{
    unsigned char first[4] = {0};
    FILE *file;
    size_t got;

    if (path_check_file(path, err) < 0)
        return -1;
    file = fopen(path, "rb");
    if (!file)
        return err_errno(err, "%s: cannot open", path);
    got = fread(first, 1, sizeof first, file);
    if (ferror(file)) {
        err_errno(err, "%s: cannot read", path);
        fclose(file);
        return -1;
    }
    fclose(file);
    *torch = got == sizeof first && (memcmp(first, "PK\3\4", 4) == 0 ||
                                     (first[0] == 0x80 && first[1] <= 5 && first[2] == 0x8a));
    return 0;
}

int tensorfile_open(struct tensorfile **out, const char *path, struct err *err)
{
    struct tensorfile *f;
    bool torch = false;

    *out = NULL;
    if (is_torch(&torch, path, err) < 0)
        return -1;
    f = calloc(1, sizeof *f);
    if (!f)
        return err_set(err, ERR_NOMEM, "%s", path);
    if ((torch ? torchfile_open(&f->torch, path, err) : safetensors_open(&f->safe, path, err)) <
        0) {
        free(f);
        return -1;
    }
    *out = f;
    return 0;
}

void tensorfile_close(struct tensorfile *f)
{
    if (!f)
        return;
    safetensors_close(f->safe);
    torchfile_close(f->torch);
    free(f);
}

size_t tensorfile_count(const struct tensorfile *f)
{
    return f->torch ? torchfile_count(f->torch) : safetensors_count(f->safe);
}

const struct st_tensor *tensorfile_tensor(const struct tensorfile *f, size_t i)
{
    return f->torch ? torchfile_tensor(f->torch, i) : safetensors_tensor(f->safe, i);
}

const struct st_tensor *tensorfile_find(const struct tensorfile *f, const char *name)
{
    for (size_t i = 0; i < tensorfile_count(f); i++)
        if (strcmp(tensorfile_tensor(f, i)->name, name) == 0)
            return tensorfile_tensor(f, i);
    return NULL;
}

int tensorfile_read_f32(const struct tensorfile *f, const struct st_tensor *t, float *dst,
                        struct err *err)
{
    return f->torch ? torchfile_read_f32(f->torch, t, dst, err)
                    : safetensors_read_f32(f->safe, t, dst, err);
}

int tensorfile_read_i64(const struct tensorfile *f, const struct st_tensor *t, int64_t *dst,
                        struct err *err)
{
    return f->torch ? torchfile_read_i64(f->torch, t, dst, err)
                    : safetensors_read_i64(f->safe, t, dst, err);
}
