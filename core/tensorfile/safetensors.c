/* safetensors.c - read safetensors files within bounds, write them whole or not at all.
 *
 * Nothing in a header is believed: its size, every shape, and offsets that must cover the data exactly,
 * each byte once. What passes safetensors_open() can be read without further checks.
 * SPDX-License-Identifier: MIT */
#include "tensorfile/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/path.h"
#include "base/size.h"
#include "tensorfile/convert.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are stored little endian");

enum { HEADER_MAX = 100 * 1000 * 1000 /* the format's own bound */, DIMS_MAX = 8 };
enum { CHUNK = 16384 /* elements converted at a time */ };

struct safetensors {
    char *path;
    int fd;
    uint64_t data; /* offset of the data in the file */
    uint64_t size; /* of the file */
    struct st_tensor *tensors;
    size_t n;
    json_t *header;
};

static const struct {
    const char *name;
    enum st_dtype dtype;
    uint64_t size;
} dtypes[] = {
    {"F32", ST_F32, 4},   {"F16", ST_F16, 2},       {"BF16", ST_BF16, 2},     {"I64", ST_I64, 8},
    {"F64", ST_F64, 8},   {"U8", ST_U8, 1},         {"I32", ST_I32, 4},       {"BOOL", ST_OTHER, 1},
    {"I8", ST_OTHER, 1},  {"I16", ST_OTHER, 2},     {"U16", ST_OTHER, 2},     {"U32", ST_OTHER, 4},
    {"U64", ST_OTHER, 8}, {"F8_E4M3", ST_OTHER, 1}, {"F8_E5M2", ST_OTHER, 1},
};
enum { N_DTYPES = sizeof dtypes / sizeof dtypes[0] };

/* --- reading ---------------------------------------------------------------------------------- */

/* All SIZE bytes at OFFSET. */
static int read_at(const struct safetensors *s, void *dst, size_t size, uint64_t offset,
                   struct err *err)
{
    char *to = dst;

    while (size > 0) {
        ssize_t got = pread(s->fd, to, size, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, "%s: cannot read", s->path);
        if (got == 0)
            return err_set(err, ERR_FORMAT, "%s: became shorter while it was read", s->path);
        to += got;
        size -= (size_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

/* A whole number in [0, limit]. */
static int get_size(uint64_t *out, const json_t *value, uint64_t limit)
{
    json_int_t number = json_integer_value(value);

    if (!json_is_integer(value) || number < 0 || (uint64_t)number > limit)
        return -1;
    *out = (uint64_t)number;
    return 0;
}

static int parse_dtype(struct st_tensor *t, const json_t *entry, uint64_t *size, struct err *err)
{
    const char *name = json_string_value(json_object_get(entry, "dtype"));

    for (size_t i = 0; name && i < N_DTYPES; i++)
        if (strcmp(dtypes[i].name, name) == 0) {
            t->dtype = dtypes[i].dtype;
            *size = dtypes[i].size;
            return 0;
        }
    return err_set(err, ERR_FORMAT, "unknown dtype %.40s", name ? name : "(none)");
}

static int parse_shape(struct st_tensor *t, const json_t *entry, uint64_t *bytes, struct err *err)
{
    const json_t *shape = json_object_get(entry, "shape");
    size_t n = json_array_size(shape);

    if (!json_is_array(shape) || n > DIMS_MAX)
        return err_set(err, ERR_FORMAT, "shape must be a list of at most %d numbers", DIMS_MAX);
    t->n_dims = (int)n;
    for (size_t i = 0; i < n; i++) {
        if (get_size(&t->dims[i], json_array_get(shape, i), INT64_MAX) < 0 ||
            __builtin_mul_overflow(*bytes, t->dims[i], bytes))
            return err_set(err, ERR_FORMAT, "shape has a number that cannot be");
    }
    return 0;
}

static int parse_tensor(struct st_tensor *t, const struct safetensors *s, const char *name,
                        const json_t *entry, struct err *err)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    uint64_t bytes = 0, begin, end, room = s->size - s->data;

    if (!json_is_object(entry))
        return err_set(err, ERR_FORMAT, "expected an object");
    if (parse_dtype(t, entry, &bytes, err) < 0 || parse_shape(t, entry, &bytes, err) < 0)
        return -1;
    if (json_array_size(offsets) != 2 || get_size(&begin, json_array_get(offsets, 0), room) < 0 ||
        get_size(&end, json_array_get(offsets, 1), room) < 0 || begin > end)
        return err_set(err, ERR_FORMAT,
                       "data_offsets must be two rising numbers up to %" PRIu64
                       ", the bytes of data in the file (is it truncated?)",
                       room);
    if (end - begin != bytes)
        return err_set(err, ERR_FORMAT, "%" PRIu64 " bytes, but its shape and dtype need %" PRIu64,
                       end - begin, bytes);
    t->name = strdup(name);
    if (!t->name)
        return err_set(err, ERR_NOMEM, "tensor");
    t->offset = s->data + begin;
    t->bytes = bytes;
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct st_tensor *const *x = a, *const *y = b;

    if ((*x)->offset != (*y)->offset)
        return (*x)->offset < (*y)->offset ? -1 : 1;
    return ((*x)->bytes > (*y)->bytes) - ((*x)->bytes < (*y)->bytes); /* empty ones first */
}

/* The tensors must cover the data, each byte once. */
static int check_cover(const struct safetensors *s, struct err *err)
{
    const struct st_tensor **sorted = malloc((s->n + 1) * sizeof(*sorted));
    uint64_t at = s->data;
    int rc = 0;

    if (!sorted)
        return err_set(err, ERR_NOMEM, "%zu tensors", s->n);
    for (size_t i = 0; i < s->n; i++)
        sorted[i] = &s->tensors[i];
    qsort((void *)sorted, s->n, sizeof *sorted, by_offset);
    for (size_t i = 0; i < s->n && rc == 0; i++) {
        if (sorted[i]->offset != at)
            rc = err_set(err, ERR_FORMAT, "tensor %s %s", sorted[i]->name,
                         sorted[i]->offset < at ? "overlaps another" : "begins after a hole");
        at = sorted[i]->offset + sorted[i]->bytes;
    }
    if (rc == 0 && at != s->size)
        rc = err_set(err, ERR_FORMAT, "%" PRIu64 " bytes of the file belong to no tensor",
                     s->size - at);
    free((void *)sorted);
    return rc;
}

static int check_metadata(const json_t *metadata, struct err *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(metadata))
        return err_set(err, ERR_FORMAT, "__metadata__ must be an object");
    json_object_foreach(
        (json_t *)(uintptr_t)metadata, key,
        value) if (!json_is_string(value)) return err_set(err, ERR_FORMAT,
                                                          "__metadata__: %s must be a string", key);
    return 0;
}

static int parse_header(struct safetensors *s, const char *text, size_t size, struct err *err)
{
    json_error_t where;
    const char *name;
    json_t *entry;

    s->header = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (!s->header)
        return err_set(err, ERR_FORMAT, "header: %s at byte %d", where.text, where.position);
    if (!json_is_object(s->header))
        return err_set(err, ERR_FORMAT, "header: expected an object");
    s->tensors = calloc(json_object_size(s->header) + 1, sizeof *s->tensors);
    if (!s->tensors)
        return err_set(err, ERR_NOMEM, "%zu tensors", json_object_size(s->header));
    json_object_foreach(s->header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) {
            if (check_metadata(entry, err) < 0)
                return -1;
        } else if (parse_tensor(&s->tensors[s->n++], s, name, entry, err) < 0) {
            return err_wrap(err, "tensor %.200s", name);
        }
    }
    return check_cover(s, err);
}

static int read_header(struct safetensors *s, struct err *err)
{
    struct stat st;
    uint64_t size;
    char *text;
    int rc;

    if (fstat(s->fd, &st) < 0)
        return err_errno(err, "%s: cannot read", s->path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_FORMAT, "%s: not a file", s->path);
    s->size = (uint64_t)st.st_size;
    if (s->size < 8)
        return err_set(err, ERR_FORMAT, "%s: not a safetensors file: %" PRIu64 " bytes", s->path,
                       s->size);
    if (read_at(s, &size, sizeof size, 0, err) < 0)
        return -1;
    if (size < 2 || size > HEADER_MAX || size > s->size - 8)
        return err_set(err, ERR_FORMAT,
                       "%s: not a safetensors file, or truncated: its header would have %" PRIu64
                       " of %" PRIu64 " bytes",
                       s->path, size, s->size);
    s->data = 8 + size;
    text = malloc((size_t)size);
    if (!text)
        return err_set(err, ERR_NOMEM, "%s: header of %" PRIu64 " bytes", s->path, size);
    rc = read_at(s, text, (size_t)size, 8, err);
    if (rc == 0 && parse_header(s, text, (size_t)size, err) < 0)
        rc = err_wrap(err, "%s", s->path);
    free(text);
    return rc;
}

int safetensors_open(struct safetensors **out, const char *path, struct err *err)
{
    struct safetensors *s = calloc(1, sizeof *s);

    *out = NULL;
    if (!s)
        return err_set(err, ERR_NOMEM, "%s", path);
    s->fd = -1;
    s->path = strdup(path);
    if (!s->path) {
        err_set(err, ERR_NOMEM, "%s", path);
        goto fail;
    }
    if (path_check_file(path, err) < 0)
        goto fail;
    s->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0) {
        err_errno(err, "%s: cannot open", path);
        goto fail;
    }
    if (read_header(s, err) < 0)
        goto fail;
    *out = s;
    return 0;
fail:
    safetensors_close(s);
    return -1;
}

void safetensors_close(struct safetensors *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    for (size_t i = 0; i < s->n; i++)
        free(s->tensors[i].name);
    free(s->tensors);
    free(s->path);
    json_decref(s->header);
    free(s);
}

size_t safetensors_count(const struct safetensors *s)
{
    return s->n;
}

const struct st_tensor *safetensors_tensor(const struct safetensors *s, size_t i)
{
    BUG_IF(i >= s->n);
    return &s->tensors[i];
}

const struct st_tensor *safetensors_find(const struct safetensors *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->tensors[i].name, name) == 0)
            return &s->tensors[i];
    return NULL;
}

const char *safetensors_metadata(const struct safetensors *s, const char *key)
{
    return json_string_value(json_object_get(json_object_get(s->header, "__metadata__"), key));
}

int safetensors_read_f32(const struct safetensors *s, const struct st_tensor *t, float *dst,
                         struct err *err)
{
    union {
        uint16_t half[CHUNK];
        double wide[CHUNK];
    } chunk;
    const size_t size = t->dtype == ST_F64 ? sizeof(double) : sizeof(uint16_t);
    const size_t n = (size_t)(t->bytes / size);

    if (t->dtype == ST_F32)
        return read_at(s, dst, (size_t)t->bytes, t->offset, err);
    if (!st_is_real(t->dtype))
        return err_set(err, ERR_FORMAT, "%s: tensor %s holds no floating-point numbers", s->path,
                       t->name);
    for (size_t done = 0; done < n;) {
        size_t part = n - done < CHUNK ? n - done : CHUNK;

        if (read_at(s, &chunk, size * part, t->offset + size * done, err) < 0)
            return -1;
        for (size_t i = 0; i < part; i++)
            dst[done + i] = t->dtype == ST_F64   ? (float)chunk.wide[i]
                            : t->dtype == ST_F16 ? float_of_f16(chunk.half[i])
                                                 : float_of_bf16(chunk.half[i]);
        done += part;
    }
    return 0;
}

int safetensors_read_i64(const struct safetensors *s, const struct st_tensor *t, int64_t *dst,
                         struct err *err)
{
    if (t->dtype != ST_I64)
        return err_set(err, ERR_FORMAT, "%s: tensor %s holds no int64 numbers", s->path, t->name);
    return read_at(s, dst, (size_t)t->bytes, t->offset, err);
}

/* --- writing ---------------------------------------------------------------------------------- */

struct safetensors_writer {
    struct new_file file;
    json_t *metadata, *header;
    uint64_t declared, written; /* bytes of data */
    bool begun;
};

int safetensors_create(struct safetensors_writer **out, const char *path, struct err *err)
{
    struct safetensors_writer *w = calloc(1, sizeof *w);

    *out = NULL;
    if (!w)
        return err_set(err, ERR_NOMEM, "%s", path);
    w->header = json_object();
    w->metadata = json_object();
    if (!w->header || !w->metadata) {
        err_set(err, ERR_NOMEM, "%s", path);
        goto fail;
    }
    if (new_file_begin(&w->file, path, err) < 0) {
        w->file = (struct new_file){0};
        goto fail;
    }
    *out = w;
    return 0;
fail:
    safetensors_abort(w);
    return -1;
}

int safetensors_declare(struct safetensors_writer *w, const char *name, enum st_dtype dtype,
                        int n_dims, const uint64_t *dims, struct err *err)
{
    json_t *shape = json_array(), *entry;
    uint64_t bytes = 1;
    size_t row = 0;

    while (row < N_DTYPES && dtypes[row].dtype != dtype)
        row++;
    BUG_IF(w->begun || row == N_DTYPES || dtype == ST_OTHER || n_dims < 0 || n_dims > DIMS_MAX);
    BUG_IF(json_object_get(w->header, name) || strcmp(name, "__metadata__") == 0);
    bytes = dtypes[row].size;
    for (int i = 0; i < n_dims; i++) {
        BUG_IF(__builtin_mul_overflow(bytes, dims[i], &bytes));
        if (json_array_append_new(shape, json_integer((json_int_t)dims[i])) < 0)
            goto nomem;
    }
    entry = json_pack("{s:s, s:O, s:[I, I]}", "dtype", dtypes[row].name, "shape", shape,
                      "data_offsets", (json_int_t)w->declared, (json_int_t)(w->declared + bytes));
    if (!entry || json_object_set_new(w->header, name, entry) < 0)
        goto nomem;
    json_decref(shape);
    w->declared += bytes;
    return 0;
nomem:
    json_decref(shape);
    return err_set(err, ERR_NOMEM, "%s: tensor %s", w->file.path, name);
}

int safetensors_note(struct safetensors_writer *w, const char *key, const char *value,
                     struct err *err)
{
    BUG_IF(w->begun);
    if (json_object_set_new(w->metadata, key, json_string(value)) < 0)
        return err_set(err, ERR_NOMEM, "%s: metadata %s", w->file.path, key);
    return 0;
}

static int put(struct safetensors_writer *w, const void *data, size_t size, struct err *err)
{
    if (size > 0 && fwrite(data, 1, size, w->file.file) != size)
        return err_errno(err, "%s: cannot write", w->file.path);
    return 0;
}

/* The header: metadata first when there is any, padded with spaces to 8 bytes. */
static int begin_data(struct safetensors_writer *w, struct err *err)
{
    static const char spaces[] = "        ";
    json_t *all = json_object();
    char *text = NULL;
    uint64_t size;
    int rc = -1;

    w->begun = true;
    if (!all ||
        (json_object_size(w->metadata) > 0 &&
         json_object_set(all, "__metadata__", w->metadata) < 0) ||
        json_object_update(all, w->header) < 0 || !(text = json_text(all, 0))) {
        err_set(err, ERR_NOMEM, "%s: header", w->file.path);
        goto out;
    }
    size = align_up(strlen(text), 8);
    if (put(w, &size, sizeof size, err) < 0 || put(w, text, strlen(text), err) < 0 ||
        put(w, spaces, (size_t)size - strlen(text), err) < 0)
        goto out;
    rc = 0;
out:
    free(text);
    json_decref(all);
    return rc;
}

int safetensors_write(struct safetensors_writer *w, const void *data, size_t bytes, struct err *err)
{
    if (!w->begun && begin_data(w, err) < 0)
        return -1;
    BUG_IF(bytes > w->declared - w->written);
    w->written += bytes;
    return put(w, data, bytes, err);
}

int safetensors_finish(struct safetensors_writer *w, struct err *err)
{
    int rc;

    if (!w->begun && begin_data(w, err) < 0)
        return -1;
    BUG_IF(w->written != w->declared);
    rc = new_file_finish(&w->file, err);
    w->file = (struct new_file){0}; /* ended, one way or the other */
    if (rc == 0)
        safetensors_abort(w);
    return rc;
}

void safetensors_abort(struct safetensors_writer *w)
{
    if (!w)
        return;
    new_file_abort(&w->file);
    json_decref(w->header);
    json_decref(w->metadata);
    free(w);
}
