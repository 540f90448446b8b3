/* tensorfile.c - one face for both formats.
 * SPDX-License-Identifier: MIT */
#include "tensorfile/tensorfile.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "tensorfile/networks.h"
#include "tensorfile/torchfile.h"

struct
    taken { /* a tensor of the network that was taken; st first: tensorfile_tensor() hands it out */
    struct st_tensor st;          /* under torchvision's name */
    const struct st_tensor *from; /* as in the file */
};

struct tensorfile { /* one of the two */
    struct safetensors *safe;
    struct torchfile *torch;
    char *path;
    struct taken *taken; /* NULL: all tensors, as the file has them */
    size_t n_taken;
};

/* What people give in place of weights, by its first bytes. */
static const struct {
    const char *bytes, *is;
    size_t n;
} others[] = {
    {"\x1f\x8b", "compressed by gzip: gunzip it first", 2},
    {"BZh", "compressed by bzip2: bunzip2 it first", 3},
    {"\xfd"
     "7zXZ",
     "compressed by xz: unxz it first", 5},
    {"\x28\xb5\x2f\xfd", "compressed by zstd: unzstd it first", 4},
    {"7z\xbc\xaf", "a 7z archive: unpack it first", 4},
    {"Rar!", "a RAR archive: unpack it first", 4},
    {"\x89HDF", "HDF5 (Keras, or TensorFlow), not weights of PyTorch", 4},
    {"GGUF", "GGUF, not weights of PyTorch", 4},
    {"version https://git-lfs", "a pointer of Git LFS, not the file itself: git lfs pull", 23},
    {"<!DOCTYPE", "a web page: the download did not give the file", 9},
    {"<!doctype", "a web page: the download did not give the file", 9},
    {"<html", "a web page: the download did not give the file", 5},
    {"\x93NUMPY", "a NumPy array, not weights of PyTorch", 6},
};

/* ONNX begins with its version of the format, then names who made it. */
static bool is_onnx(const unsigned char *b, size_t n)
{
    return n > 4 && b[0] == 0x08 && b[1] < 0x20 && (b[2] == 0x12 || b[2] == 0x3a || b[2] == 0x42) &&
           b[3] != 0;
}

/* Whether it is a zip, or a pickle of protocol 2 or later: 0x80 begins no safetensors header of sane size, as its next
 * bytes would have to be zeros. ERR_FORMAT says what else a file plainly is. */
static int is_torch(bool *torch, const char *path, struct err *err)
{
    unsigned char first[32] = {0};
    FILE *file;
    size_t got;

    if (path_check_file(path, err) < 0)
        return -1;
    file = fopen(path, "rb");
    if (!file)
        return err_errno(err, "%s: cannot open", path);
    got = fread(first, 1, sizeof first - 1, file);
    if (ferror(file)) {
        err_errno(err, "%s: cannot read", path);
        fclose(file);
        return -1;
    }
    fclose(file);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (got >= others[i].n && memcmp(first, others[i].bytes, others[i].n) == 0)
            return err_set(err, ERR_FORMAT, "%s: is %s", path, others[i].is);
    if (is_onnx(first, got))
        return err_set(err, ERR_FORMAT,
                       "%s: is an ONNX model: take the .pth or .safetensors that it was made from",
                       path);
    *torch = got >= 4 && (memcmp(first, "PK\3\4", 4) == 0 ||
                          (first[0] == 0x80 && first[1] <= 5 &&
                           (first[2] == 0x8a || first[2] == 0x95 || first[1] >= 2) && first[3]));
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
    f->path = strdup(path);
    if (!f->path || (torch ? torchfile_open(&f->torch, path, err)
                           : safetensors_open(&f->safe, path, err)) < 0) {
        if (!f->path)
            err_set(err, ERR_NOMEM, "%s", path);
        tensorfile_close(f);
        return -1;
    }
    *out = f;
    return 0;
}

void tensorfile_close(struct tensorfile *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n_taken; i++)
        free(f->taken[i].st.name);
    free(f->taken);
    safetensors_close(f->safe);
    torchfile_close(f->torch);
    free(f->path);
    free(f);
}

static size_t count_all(const struct tensorfile *f)
{
    return f->torch ? torchfile_count(f->torch) : safetensors_count(f->safe);
}

static const struct st_tensor *tensor_at(const struct tensorfile *f, size_t i)
{
    return f->torch ? torchfile_tensor(f->torch, i) : safetensors_tensor(f->safe, i);
}

size_t tensorfile_count(const struct tensorfile *f)
{
    return f->taken ? f->n_taken : count_all(f);
}

const struct st_tensor *tensorfile_tensor(const struct tensorfile *f, size_t i)
{
    return f->taken ? &f->taken[i].st : tensor_at(f, i);
}

const struct st_tensor *tensorfile_find(const struct tensorfile *f, const char *name)
{
    for (size_t i = 0; i < tensorfile_count(f); i++)
        if (strcmp(tensorfile_tensor(f, i)->name, name) == 0)
            return tensorfile_tensor(f, i);
    return NULL;
}

/* As the file has it. */
static const struct st_tensor *original(const struct tensorfile *f, const struct st_tensor *t)
{
    return f->taken ? ((const struct taken *)t)->from : t;
}

int tensorfile_read_f32(const struct tensorfile *f, const struct st_tensor *t, float *dst,
                        struct err *err)
{
    t = original(f, t);
    return f->torch ? torchfile_read_f32(f->torch, t, dst, err)
                    : safetensors_read_f32(f->safe, t, dst, err);
}

int tensorfile_read_i64(const struct tensorfile *f, const struct st_tensor *t, int64_t *dst,
                        struct err *err)
{
    t = original(f, t);
    return f->torch ? torchfile_read_i64(f->torch, t, dst, err)
                    : safetensors_read_i64(f->safe, t, dst, err);
}

/* --- one network of it ---------------------------------------------------------------------------- */

/* Averages of another network come last, then "state_dict" and "model" come first, as they always did. */
static int preference(const struct found_network *n)
{
    static const char *const averages[] = {"ema",       "swa",      "teacher",
                                           "encoder_k", "momentum", "target"};

    for (size_t i = 0; i < sizeof averages / sizeof *averages; i++)
        if (strstr(n->prefix, averages[i]))
            return 3;
    if (n->prefix[0] == 0 || strncmp(n->prefix, "state_dict.", 11) == 0)
        return 0;
    return strncmp(n->prefix, "model.", 6) == 0 ? 1 : 2;
}

/* "state_dict.module.encoder_q" without its dot. */
static int shown(const struct found_network *n)
{
    return (int)strlen(n->prefix) - (n->prefix[0] != 0);
}

static bool is_meant(const struct found_network *n, const char *key)
{
    const size_t length = (size_t)shown(n), size = strlen(key);

    if (length == size && strncmp(n->prefix, key, size) == 0)
        return true;
    /* the beginning of it, or its end: "state_dict_ema", "encoder_q" */
    return (length > size && strncmp(n->prefix, key, size) == 0 && n->prefix[size] == '.') ||
           (length > size && strncmp(n->prefix + length - size, key, size) == 0 &&
            n->prefix[length - size - 1] == '.');
}

static int find_networks(struct found_network found[NETWORKS_MAX], const struct tensorfile *f)
{
    int n = 0;

    for (size_t i = 0; i < count_all(f) && n < NETWORKS_MAX; i++)
        n += network_stem(&found[n], tensor_at(f, i));
    return n;
}

/* The one that KEY means, or that is taken without; -1: KEY fits none. */
static int choose(const struct found_network *found, int n, const char *key)
{
    int best = -1;

    for (int i = 0; i < n; i++)
        if ((!*key || is_meant(&found[i], key)) &&
            (best < 0 || preference(&found[i]) < preference(&found[best])))
            best = i;
    return best;
}

static void list_networks(struct err *text, const struct found_network *found, int n)
{
    for (int i = 0; i < n; i++)
        err_append(text, "%s%.*s", i ? ", " : "", found[i].prefix[0] ? shown(&found[i]) : 6,
                   found[i].prefix[0] ? found[i].prefix : "(none)");
}

static int take(struct tensorfile *f, const struct found_network *n, struct err *err)
{
    struct taken *taken = calloc(count_all(f) + 1, sizeof *taken);
    char name[NETWORK_NAME];
    size_t count = 0;

    if (!taken)
        return err_set(err, ERR_NOMEM, "%s", f->path);
    for (size_t i = 0; i < count_all(f); i++) {
        const struct st_tensor *t = tensor_at(f, i);

        if (!network_translate(name, n, t->name))
            continue;
        taken[count] = (struct taken){.st = *t, .from = t};
        taken[count].st.name = strdup(name);
        if (!taken[count].st.name) {
            while (count > 0)
                free(taken[--count].st.name);
            free(taken);
            return err_set(err, ERR_NOMEM, "%s", f->path);
        }
        count++;
    }
    f->taken = taken;
    f->n_taken = count;
    return 0;
}

int tensorfile_take_network(struct tensorfile *f, const char *key, const char *option,
                            struct err *err)
{
    struct found_network found[NETWORKS_MAX];
    const int n = find_networks(found, f), chosen = choose(found, n, key);
    struct err names = {0};

    BUG_IF(f->taken);
    list_networks(&names, found, n);
    if (n == 0 && !*key)
        return 0;
    if (chosen < 0)
        return err_set(err, ERR_FORMAT, "%s: %s=%s: there is no such network in it; there %s %s",
                       f->path, option, key, n == 1 ? "is" : "are", n ? names.msg : "none");
    if (n > 1 && !*key)
        log_warn("%s holds %d networks: %s; taken is %.*s, %s=NAME takes another", f->path, n,
                 names.msg, found[chosen].prefix[0] ? shown(&found[chosen]) : 6,
                 found[chosen].prefix[0] ? found[chosen].prefix : "(none)", option);
    if (found[chosen].naming != NAMING_TORCHVISION)
        log_info("%s: a ResNet under %s", f->path, naming_text(found[chosen].naming));
    return take(f, &found[chosen], err);
}
