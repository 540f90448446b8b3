/* torchfile.c - .pth files: find the pickles and the bytes of the storages, in either form.
 *
 * zip:   NAME/data.pkl, and NAME/data/KEY per storage, never compressed.
 * plain: pickles of a magic number, the version 1001, facts of the machine, the dictionary and the
 *        list of storage keys; then per key the number of elements (int64) and their bytes.
 * (PyTorch's torch/serialization.py.) No more memory is asked for than the file has bytes.
 * SPDX-License-Identifier: MIT */
#include "tensorfile/torchfile.h"

#include <archive.h>
#include <archive_entry.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path.h"
#include "base/text.h"
#include "base/version.h"
#include "tensorfile/convert.h"
#include "tensorfile/tensorfile.h"
#include "tensorfile/torchfile_private.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are stored little endian");

enum { PLAIN_VERSION = 1001 };
#define FILE_MAX ((size_t)1 << 33) /* bytes; resnet152 has 2.4e8 */

/* The storage of this key; -1: none. */
static int find_storage(const struct torchfile *f, const char *key, size_t size)
{
    for (int s = 0; s < f->pickle->n_storages; s++) {
        const struct storage *have = &f->pickle->storages[s];

        if (have->key_size == size && memcmp(have->key, key, size) == 0)
            return s;
    }
    return -1;
}

static int check_storages(const struct torchfile *f, struct err *err)
{
    for (int s = 0; s < f->pickle->n_storages; s++)
        if (!f->storages[s])
            return err_set(err, ERR_FORMAT, "the bytes of storage %.*s are missing",
                           (int)(f->pickle->storages[s].key_size & 63), f->pickle->storages[s].key);
    return 0;
}

/* --- zip ------------------------------------------------------------------------------------------ */

static int archive_failed(struct archive *a, struct err *err)
{
    const char *why = archive_error_string(a);

    return err_set(err, ERR_FORMAT, "damaged or incomplete zip: %s", why ? why : "unknown");
}

static struct archive *zip_open(const char *path, struct err *err)
{
    struct archive *a = archive_read_new();

    if (!a) {
        err_set(err, ERR_NOMEM, "zip");
        return NULL;
    }
    if (archive_read_support_format_zip_seekable(a) != ARCHIVE_OK ||
        archive_read_open_filename(a, path, 1 << 16) != ARCHIVE_OK) {
        archive_failed(a, err);
        archive_read_free(a);
        return NULL;
    }
    return a;
}

/* Exactly SIZE bytes of the entry, in new memory, 0-terminated; NULL when it has less or more. */
static char *zip_bytes(struct archive *a, size_t size, struct err *err)
{
    char *bytes = malloc(size + 1), more;
    size_t done = 0;

    if (!bytes) {
        err_set(err, ERR_NOMEM, "%zu bytes", size);
        return NULL;
    }
    while (done < size) {
        la_ssize_t got = archive_read_data(a, bytes + done, size - done);

        if (got <= 0) {
            if (got < 0)
                archive_failed(a, err);
            else
                err_set(err, ERR_FORMAT, "%zu bytes, expected %zu", done, size);
            goto fail;
        }
        done += (size_t)got;
    }
    if (archive_read_data(a, &more, 1) != 0) { /* and this checks the CRC */
        err_set(err, ERR_FORMAT, "damaged, or more than its %zu bytes", size);
        goto fail;
    }
    bytes[size] = '\0';
    return bytes;
fail:
    free(bytes);
    return NULL;
}

/* "NAME/data/KEY" -> KEY; "NAME/data.pkl" -> "" with *is_pickle; NULL for the rest. */
static const char *zip_part(const char *path, bool *is_pickle)
{
    const char *rest = path ? strchr(path, '/') : NULL;

    *is_pickle = rest && strcmp(rest, "/data.pkl") == 0;
    if (*is_pickle)
        return rest + strlen(rest);
    return rest && strncmp(rest, "/data/", 6) == 0 ? rest + 6 : NULL;
}

static int zip_pickle(struct torchfile *f, struct archive *a, struct archive_entry *e,
                      struct err *err)
{
    la_int64_t size = archive_entry_size(e);
    size_t used;

    if (f->bytes)
        return err_set(err, ERR_FORMAT, "two data.pkl");
    if (size < 1 || size > PICKLE_MAX || (size_t)size > f->size)
        return err_set(err, ERR_FORMAT, "data.pkl would have %" PRId64 " bytes", (int64_t)size);
    f->bytes = zip_bytes(a, (size_t)size, err);
    if (!f->bytes ||
        pickle_load(&f->pickle, (const uint8_t *)f->bytes, (size_t)size, &used, err) < 0)
        return err_wrap(err, "data.pkl");
    return torchfile_find(f, err);
}

static int zip_storage(struct torchfile *f, struct archive *a, struct archive_entry *e,
                       const char *key, size_t *room, struct err *err)
{
    int s = find_storage(f, key, strlen(key));
    uint64_t bytes;

    if (s < 0)
        return 0; /* of something that is no tensor of the dictionary */
    if (f->storages[s])
        return err_set(err, ERR_FORMAT, "storage %.60s: twice", key);
    if (__builtin_mul_overflow(f->pickle->storages[s].n, (uint64_t)f->pickle->storages[s].bytes,
                               &bytes) ||
        !archive_entry_size_is_set(e) || (uint64_t)archive_entry_size(e) != bytes)
        return err_set(err, ERR_FORMAT,
                       "storage %.60s: %" PRId64 " bytes, but data.pkl says %" PRIu64 " numbers",
                       key, (int64_t)archive_entry_size(e), f->pickle->storages[s].n);
    if (bytes > *room)
        return err_set(err, ERR_FORMAT,
                       "storage %.60s: more bytes than the file has left for it; torch.save() does "
                       "not compress",
                       key);
    f->owned[s] = zip_bytes(a, (size_t)bytes, err);
    f->storages[s] = f->owned[s];
    *room -= (size_t)bytes;
    return f->owned[s] ? 0 : err_wrap(err, "storage %.60s", key);
}

/* What a zip that torch.save did not write may be; NULL: no idea. */
static const char *zip_kind(const char *path)
{
    const char *rest = path ? strchr(path, '/') : NULL;

    if (rest && (strncmp(rest, "/code/", 6) == 0 || strcmp(rest, "/constants.pkl") == 0))
        return TORCHSCRIPT;
    if (path && (strstr(path, "serialized_exported_program") || strstr(path, "archive_format") ||
                 strstr(path, "serialized_state_dict")))
        return "an exported program (torch.export): save model.state_dict() instead";
    if (path && text_ends_in(path, ".npy"))
        return "NumPy's arrays (.npz), not weights of PyTorch";
    if (path && text_ends_in(path, ".pth"))
        return "a zip with a .pth in it: unpack it first";
    return NULL;
}

/* One pass over the entries: the pickle (which comes first, but need not), or the storages. */
static int zip_pass(struct torchfile *f, bool want_pickle, struct err *err)
{
    struct archive *a = zip_open(f->path, err);
    const char *kind = NULL;
    size_t room = f->size;
    int rc = 0, status = ARCHIVE_OK;

    if (!a)
        return -1;
    while (rc == 0) {
        struct archive_entry *e;
        const char *key;
        bool is_pickle;

        status = archive_read_next_header(a, &e);
        if (status == ARCHIVE_EOF)
            break;
        if (status != ARCHIVE_OK && status != ARCHIVE_WARN) {
            rc = archive_failed(a, err);
            break;
        }
        key = zip_part(archive_entry_pathname(e), &is_pickle);
        kind = kind ? kind : zip_kind(archive_entry_pathname(e));
        if (want_pickle && kind)
            rc = err_set(err, ERR_FORMAT, "%s", kind);
        else if (want_pickle && is_pickle)
            rc = zip_pickle(f, a, e, err);
        else if (!want_pickle && key && !is_pickle)
            rc = zip_storage(f, a, e, key, &room, err);
    }
    archive_read_free(a);
    if (rc == 0 && want_pickle && !f->pickle)
        return err_set(err, ERR_FORMAT, "a zip without data.pkl: not written by torch.save");
    return rc;
}

/* --- plain ---------------------------------------------------------------------------------------- */

/* Runs the pickle at *AT and moves AT behind it. */
static int plain_pickle(const struct torchfile *f, struct pickle **out, size_t *at, struct err *err)
{
    size_t used;

    if (pickle_load(out, (const uint8_t *)f->bytes + *at, f->size - *at, &used, err) < 0)
        return err_wrap(err, "at byte %zu", *at);
    *at += used;
    return 0;
}

/* Magic number, version, machine. */
static int plain_head(const struct torchfile *f, size_t *at, struct err *err)
{
    static const char magic[10] = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    struct pickle *p;

    for (int i = 0; i < 3; i++) {
        const struct node *n;
        bool fits;

        if (plain_pickle(f, &p, at, err) < 0)
            return -1;
        n = &p->nodes[p->root];
        if (i == 0)
            fits = n->kind == NODE_BIG && n->size == sizeof magic &&
                   memcmp(n->text, magic, sizeof magic) == 0;
        else if (i == 1)
            fits = n->kind == NODE_INT && n->integer == PLAIN_VERSION;
        else {
            int little = pickle_get(p, p->root, "little_endian");

            fits = little >= 0 && p->nodes[little].kind == NODE_BOOL && p->nodes[little].integer;
        }
        pickle_free(p);
        if (!fits)
            return err_set(err, ERR_FORMAT, "%s",
                           i == 0   ? "not written by torch.save"
                           : i == 1 ? "an unknown version of torch.save"
                                    : "not little endian");
    }
    return 0;
}

/* The storages in the order of their keys: a count and the numbers each. */
static int plain_storages(struct torchfile *f, size_t at, struct err *err)
{
    const struct node *list;
    struct pickle *keys;
    int rc = 0;

    if (plain_pickle(f, &keys, &at, err) < 0)
        return -1;
    list = &keys->nodes[keys->root];
    if (list->kind != NODE_LIST)
        rc = err_set(err, ERR_FORMAT, "no list of storages");
    for (int i = 0; i < list->n_items && rc == 0; i++) {
        const struct node *key = &keys->nodes[list->items[i]];
        int s = key->kind == NODE_STRING ? find_storage(f, key->text, key->size) : -1;
        uint64_t n = 0, bytes;

        if (s < 0 || f->storages[s]) {
            rc = err_set(err, ERR_FORMAT, "a storage that no tensor has, or one twice");
            break;
        }
        if (f->size - at >= 8)
            memcpy(&n, f->bytes + at, 8);
        if (f->size - at < 8 || n != f->pickle->storages[s].n ||
            __builtin_mul_overflow(n, (uint64_t)f->pickle->storages[s].bytes, &bytes) ||
            bytes > f->size - at - 8) {
            rc = err_set(err, ERR_FORMAT, "storage %d: truncated, or not of the size it says", i);
            break;
        }
        f->storages[s] = f->bytes + at + 8;
        at += 8 + (size_t)bytes;
    }
    pickle_free(keys);
    return rc;
}

static int plain_read(struct torchfile *f, struct err *err)
{
    size_t at = 0;

    if (path_read(&f->bytes, &f->size, f->path, FILE_MAX, err) < 0)
        return -1;
    if (plain_head(f, &at, err) < 0 || plain_pickle(f, &f->pickle, &at, err) < 0 ||
        torchfile_find(f, err) < 0)
        return -1;
    return plain_storages(f, at, err);
}

/* --- public --------------------------------------------------------------------------------------- */

static int read_file(struct torchfile *f, struct err *err)
{
    unsigned char first[4] = {0};
    struct stat st;
    FILE *file = fopen(f->path, "rb");
    size_t got;

    if (!file)
        return err_errno(err, "cannot open");
    got = fread(first, 1, sizeof first, file);
    if (fstat(fileno(file), &st) < 0 || ferror(file)) {
        err_errno(err, "cannot read");
        fclose(file);
        return -1;
    }
    fclose(file);
    f->size = (size_t)st.st_size;
    if (!S_ISREG(st.st_mode) || f->size > FILE_MAX)
        return err_set(err, ERR_FORMAT, "no file of weights");
    if (got == 4 && memcmp(first, "PK\3\4", 4) == 0) {
        if (zip_pass(f, true, err) < 0 || zip_pass(f, false, err) < 0)
            return -1;
    } else if (first[0] == 0x80) {
        if (plain_read(f, err) < 0)
            return -1;
    } else {
        return err_set(err, ERR_FORMAT, "not written by torch.save");
    }
    return check_storages(f, err);
}

int torchfile_open(struct torchfile **out, const char *path, struct err *err)
{
    struct torchfile *f = calloc(1, sizeof *f);

    *out = NULL;
    if (!f)
        return err_set(err, ERR_NOMEM, "%s", path);
    f->path = strdup(path);
    if (!f->path) {
        err_set(err, ERR_NOMEM, "weights");
        goto fail;
    }
    if (read_file(f, err) < 0)
        goto fail;
    *out = f;
    return 0;
fail:
    torchfile_close(f);
    return err_wrap(err, "%s", path);
}

void torchfile_close(struct torchfile *f)
{
    if (!f)
        return;
    for (int s = 0; f->owned && s < f->pickle->n_storages; s++)
        free(f->owned[s]);
    for (size_t i = 0; i < f->n; i++)
        free(f->views[i].st.name);
    free(f->views);
    free((void *)f->storages);
    free((void *)f->owned);
    pickle_free(f->pickle);
    free(f->bytes);
    free(f->path);
    free(f);
}

size_t torchfile_count(const struct torchfile *f)
{
    return f->n;
}

const struct st_tensor *torchfile_tensor(const struct torchfile *f, size_t i)
{
    BUG_IF(i >= f->n);
    return &f->views[i].st;
}

/* One number at FROM to TO: integers as they are, others to float. Returns its bytes. */
static size_t put_number(char *to, const char *from, enum st_dtype dtype)
{
    uint16_t half;
    double wide;
    float value;

    switch (dtype) {
    case ST_F16:
    case ST_BF16:
        memcpy(&half, from, 2);
        value = dtype == ST_F16 ? float_of_f16(half) : float_of_bf16(half);
        break;
    case ST_F64:
        memcpy(&wide, from, 8);
        value = (float)wide;
        break;
    case ST_F32:
        memcpy(&value, from, 4);
        break;
    default: /* ST_I64 */
        memcpy(to, from, 8);
        return 8;
    }
    memcpy(to, &value, sizeof value);
    return sizeof value;
}

/* Element numbers in the storage, row by row of the tensor. */
static void gather(const struct torchfile *f, const struct st_tensor *t, void *dst)
{
    const struct node *n = ((const struct view *)t)->node;
    const char *from = f->storages[n->integer];
    uint64_t size = torchfile_element_bytes(f, n), index[PICKLE_DIMS] = {0}, at = n->offset;
    char *to = dst;

    for (uint64_t left = t->bytes / size; left > 0; left--) {
        to += put_number(to, from + size * at, t->dtype);
        for (int i = n->n_dims - 1; i >= 0; i--) { /* the next index, as an odometer turns */
            at += n->strides[i];
            if (++index[i] < n->dims[i])
                break;
            at -= n->strides[i] * n->dims[i];
            index[i] = 0;
        }
    }
}

int torchfile_read_f32(const struct torchfile *f, const struct st_tensor *t, float *dst,
                       struct err *err)
{
    if (!st_is_real(t->dtype))
        return err_set(err, ERR_FORMAT, "%s: tensor %s holds no floating-point numbers", f->path,
                       t->name);
    gather(f, t, dst);
    return 0;
}

int torchfile_read_i64(const struct torchfile *f, const struct st_tensor *t, int64_t *dst,
                       struct err *err)
{
    if (t->dtype != ST_I64)
        return err_set(err, ERR_FORMAT, "%s: tensor %s holds no int64 numbers", f->path, t->name);
    gather(f, t, dst);
    return 0;
}

void tensorfile_libraries(FILE *file)
{
    version_library(file, "libarchive",
                    archive_version_string() + strcspn(archive_version_string(), " ") + 1);
}
