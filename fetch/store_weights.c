/* store_weights.c - every tensor is read twice: for the hash in the header, then for the file.
 * SPDX-License-Identifier: MIT */
#include "store_weights.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/resnet.h"
#include "tensorfile/fits.h"
#include "weights_check.h"

enum { BLOCK = 1 << 16 };
static const char mark[] = "weights 1";

struct job {
    struct tensorfile *file;
    void *numbers; /* room for the largest tensor */
    struct sha256 *hash;
    struct safetensors_writer *writer; /* NULL: only hashed yet */
};

static size_t elements(const struct st_tensor *t)
{
    size_t n = 1;

    for (int i = 0; i < t->n_dims; i++)
        n *= (size_t)t->dims[i];
    return n;
}

/* Of the body or of the classifier. */
static bool is_kept(const struct st_tensor *t)
{
    return resnet_part(t->name) != RESNET_BESIDE;
}

/* int64 counters come first, so that all numbers are aligned to their size. */
static const struct st_tensor *in_order(const struct job *j, size_t i)
{
    size_t count = tensorfile_count(j->file);
    const struct st_tensor *t = tensorfile_tensor(j->file, i % count);

    if (!is_kept(t) || (resnet_is_counter(t->name) && t->dtype != ST_I64))
        return NULL;
    return (t->dtype == ST_I64) == (i < count) ? t : NULL;
}

static int declare(const struct job *j, struct err *err)
{
    for (size_t i = 0; i < 2 * tensorfile_count(j->file); i++) {
        const struct st_tensor *t = in_order(j, i);

        if (t && safetensors_declare(j->writer, t->name, t->dtype == ST_I64 ? ST_I64 : ST_F32,
                                     t->n_dims, t->dims, err) < 0)
            return -1;
    }
    return 0;
}

static int check_finite(const struct st_tensor *t, const float *v, struct err *err)
{
    for (size_t i = 0; i < elements(t); i++)
        if (!isfinite(v[i]))
            return err_set(err, ERR_FORMAT,
                           "tensor %s has %s at number %zu of %zu: these weights are spoilt",
                           t->name, isnan(v[i]) ? "NaN" : "an infinite number", i, elements(t));
    return 0;
}

/* What is left out, in a line. */
static void say_left_out(const struct tensorfile *f, const char *file)
{
    struct misfits left_out = {0};

    for (size_t i = 0; i < tensorfile_count(f); i++)
        if (!is_kept(tensorfile_tensor(f, i)))
            misfits_add(&left_out, "", tensorfile_tensor(f, i)->name, "");
    misfits_log_left_out(&left_out, file);
}

/* All numbers in order, to the hash or to the file. */
static int pass(const struct job *j, struct err *err)
{
    for (size_t i = 0; i < 2 * tensorfile_count(j->file); i++) {
        const struct st_tensor *t = in_order(j, i);
        bool counter;
        size_t bytes;

        if (!t)
            continue;
        counter = t->dtype == ST_I64;
        bytes = elements(t) * (counter ? sizeof(int64_t) : sizeof(float));
        if ((counter ? tensorfile_read_i64(j->file, t, j->numbers, err)
                     : tensorfile_read_f32(j->file, t, j->numbers, err)) < 0)
            return -1;
        if (!counter && check_finite(t, j->numbers, err) < 0)
            return -1;
        if (!j->writer)
            sha256_update(j->hash, j->numbers, bytes);
        else if (safetensors_write(j->writer, j->numbers, bytes, err) < 0)
            return -1;
    }
    return 0;
}

static int make_room(struct job *j, struct err *err)
{
    size_t most = 1;

    for (size_t i = 0; i < tensorfile_count(j->file); i++) {
        size_t n = elements(tensorfile_tensor(j->file, i));

        most = n > most ? n : most;
    }
    j->numbers = calloc(most, sizeof(int64_t));
    return j->numbers ? 0 : err_set(err, ERR_NOMEM, "no memory for %zu numbers", most);
}

static int note(const struct job *j, const struct stored_weights *w, struct err *err)
{
    const char *const notes[][2] = {
        {"format", "pt"}, /* what other readers of safetensors ask for */
        {"presize", mark},       {"arch", w->arch},
        {"source", w->source},   {"source_sha256", w->source_sha256},
        {"weights_key", w->key}, {"data_sha256", w->data_sha256},
    };

    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++)
        if (notes[i][1][0] && /* no key is no note */
            safetensors_note(j->writer, notes[i][0], notes[i][1], err) < 0)
            return -1;
    return 0;
}

static int convert(struct job *j, const char *path, struct stored_weights *w, struct err *err)
{
    if (make_room(j, err) < 0 || sha256_new(&j->hash, err) < 0 || pass(j, err) < 0)
        return -1;
    sha256_hex(j->hash, w->data_sha256);
    if (safetensors_create(&j->writer, path, err) < 0 || declare(j, err) < 0 ||
        note(j, w, err) < 0 || pass(j, err) < 0 || safetensors_finish(j->writer, err) < 0)
        return -1;
    j->writer = NULL;
    return 0;
}

int store_weights(const char *path, const char *file, struct stored_weights *w, struct err *err)
{
    struct job j = {0};
    int rc;

    if (tensorfile_open(&j.file, file, err) < 0) {
        if (err->kind == ERR_FORMAT)
            err_append(err,
                       ". It takes the weights of a %s: a .pth of torch.save, whole, with "
                       "tensors and nothing else, or safetensors",
                       w->arch);
        return -1;
    }
    rc = tensorfile_take_network(j.file, w->key, "--weights-key", err);
    if (rc == 0)
        rc = weights_check(j.file, arch_find(w->arch), err);
    if (rc == 0) {
        say_left_out(j.file, file);
        rc = convert(&j, path, w, err);
    }
    if (rc < 0 && err->kind == ERR_FORMAT && !strstr(err->msg, file))
        err_wrap(err, "%s", file);
    safetensors_abort(j.writer);
    sha256_free(j.hash);
    free(j.numbers);
    tensorfile_close(j.file);
    return rc;
}

static void copy_note(char *to, size_t size, const struct safetensors *s, const char *key)
{
    const char *value = safetensors_metadata(s, key);

    snprintf(to, size, "%s", value ? value : "");
}

int stored_weights_read(struct stored_weights *w, const char *path, struct err *err)
{
    struct safetensors *s;
    struct tensorfile *f;
    const char *version;
    int arch;
    int rc = -1;

    if (safetensors_open(&s, path, err) < 0)
        return -1;
    version = safetensors_metadata(s, "presize");
    copy_note(w->arch, sizeof w->arch, s, "arch");
    copy_note(w->source, sizeof w->source, s, "source");
    copy_note(w->source_sha256, sizeof w->source_sha256, s, "source_sha256");
    copy_note(w->key, sizeof w->key, s, "weights_key");
    copy_note(w->data_sha256, sizeof w->data_sha256, s, "data_sha256");
    if (version && strcmp(version, mark) == 0)
        rc = 0;
    safetensors_close(s);
    if (rc < 0)
        return err_set(err, ERR_INPUT,
                       "%s: fetch did not make it and will not replace it; move it away, or name "
                       "it by  model.weights=FILE",
                       path);
    if (tensorfile_open(&f, path, err) < 0)
        return -1;
    arch = tensorfile_arch(f);
    rc = arch >= 0 && arch == arch_find(w->arch)
             ? weights_check(f, arch, err)
             : err_set(err, ERR_FORMAT, "does not hold what its metadata says");
    tensorfile_close(f);
    return rc < 0 ? err_wrap(err, "%s", path) : 0;
}

/* SHA-256 of what follows the header: eight bytes of its size, and that many. */
static int hash_data(struct sha256 *hash, FILE *file, const char *path, struct err *err)
{
    unsigned char block[BLOCK];
    uint64_t header;
    size_t n;

    if (fread(&header, sizeof header, 1, file) != 1 || header > INT32_MAX ||
        fseeko(file, (off_t)header, SEEK_CUR) < 0)
        return err_set(err, ERR_FORMAT, "%s: ends too early", path);
    while ((n = fread(block, 1, sizeof block, file)) > 0)
        sha256_update(hash, block, n);
    return ferror(file) ? err_errno(err, "%s: cannot read", path) : 0;
}

int stored_weights_check(bool *same, const struct stored_weights *w, const char *path,
                         struct err *err)
{
    struct sha256 *hash;
    char hex[SHA256_HEX];
    FILE *file;
    int rc;

    *same = false;
    if (sha256_new(&hash, err) < 0)
        return -1;
    file = fopen(path, "rbe");
    rc = file ? hash_data(hash, file, path, err) : err_errno(err, "%s", path);
    if (rc == 0) {
        sha256_hex(hash, hex);
        *same = strcmp(hex, w->data_sha256) == 0;
    }
    if (file)
        fclose(file);
    sha256_free(hash);
    return rc;
}
