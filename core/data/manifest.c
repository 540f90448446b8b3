/* manifest.c - JSON Lines: a header, then one line per file.
 * SPDX-License-Identifier: MIT */
#include "data/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/path.h"
#include "data/alike.h"
#include "data/entry_path.h"
#include "data/manifest_record.h"

static const char what[] = "presize manifest"; /* the header's "format" */

int manifest_add(struct manifest *m, const char *path, uint64_t size, const char *sha256,
                 struct err *err)
{
    struct manifest_file *f;

    if (m->n_files == m->capacity) {
        size_t room = m->capacity ? 2 * m->capacity : 1024;
        struct manifest_file *more = reallocarray(m->files, room, sizeof *more);

        if (!more)
            return err_set(err, ERR_NOMEM, "no memory for a manifest of %zu files", room);
        m->files = more;
        m->capacity = room;
    }
    f = &m->files[m->n_files];
    f->path = strdup(path);
    if (!f->path)
        return err_set(err, ERR_NOMEM, "no memory for a manifest of %zu files", m->n_files);
    f->size = size;
    memcpy(f->sha256, sha256, SHA256_HEX);
    m->n_files++;
    return 0;
}

void manifest_free(struct manifest *m)
{
    for (size_t i = 0; i < m->n_files; i++)
        free(m->files[i].path);
    free(m->files);
    *m = (struct manifest){0};
}

static int by_path(const void *a, const void *b)
{
    const struct manifest_file *x = a, *y = b;

    return strcmp(x->path, y->path);
}

static int is_path(const void *path, const void *file)
{
    return strcmp(path, ((const struct manifest_file *)file)->path);
}

const struct manifest_file *manifest_find(const struct manifest *m, const char *path)
{
    return m->n_files ? bsearch(path, m->files, m->n_files, sizeof *m->files, is_path) : NULL;
}

static void refuse_alike(void *ctx, const char *a, const char *b)
{
    struct err *err = ctx;

    if (err->kind == ERR_NONE)
        err_set(
            err, ERR_UNSAFE,
            "the entries \"%s\" and \"%s\" differ only in the case of letters, in Unicode form or "
            "in invisible characters. On some file systems one would replace the other: "
            "rename one of them and pack the archive again",
            a, b);
}

int manifest_refuse_alike(const char *const *paths, size_t n, struct err *err)
{
    struct err found = {0};

    if (alike_find(paths, n, false, refuse_alike, &found, err) < 0)
        return -1;
    return found.kind == ERR_NONE ? 0 : err_set(err, found.kind, "%s", found.msg);
}

static int check_case(const struct manifest *m, struct err *err)
{
    const char **paths = calloc(m->n_files + 1, sizeof *paths);
    int rc;

    if (!paths)
        return err_set(err, ERR_NOMEM, "no memory for a list of %zu files", m->n_files);
    for (size_t i = 0; i < m->n_files; i++)
        paths[i] = m->files[i].path;
    rc = manifest_refuse_alike(paths, m->n_files, err);
    free(paths);
    return rc;
}

void manifest_order(struct manifest *m)
{
    if (m->n_files > 0)
        qsort(m->files, m->n_files, sizeof m->files[0], by_path);
}

int manifest_sort(struct manifest *m, struct err *err)
{
    manifest_order(m);
    return check_case(m, err);
}

void manifest_common_top(const struct manifest *m, char *top)
{
    size_t length = m->n_files ? strcspn(m->files[0].path, "/") : 0;

    top[0] = '\0';
    for (size_t i = 0; i < m->n_files; i++)
        if (strncmp(m->files[i].path, m->files[0].path, length) != 0 ||
            m->files[i].path[length] != '/')
            return;
    if (length == 0 || length > ENTRY_NAME_MAX)
        return;
    memcpy(top, m->files[0].path, length);
    top[length] = '\0';
}

void manifest_strip(struct manifest *m, const char *top)
{
    size_t n = strlen(top) + 1;

    for (size_t i = 0; i < m->n_files; i++) {
        char *path = m->files[i].path;

        BUG_IF(strncmp(path, top, n - 1) != 0 || path[n - 1] != '/');
        memmove(path, path + n, strlen(path + n) + 1);
    }
}

uint64_t manifest_bytes(const struct manifest *m)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < m->n_files; i++)
        bytes += m->files[i].size;
    return bytes;
}

/* --- writing --- */

static int put_line(FILE *file, json_t *line, struct err *err)
{
    char *text = line ? json_text(line, 0) : NULL;
    int rc = 0;

    json_decref(line);
    if (!text)
        return err_set(err, ERR_NOMEM, "no memory for a line of the manifest");
    if (fprintf(file, "%s\n", text) < 0)
        rc = err_errno(err, "cannot write");
    free(text);
    return rc;
}

/* With the hash HEX of all lines, or NULL. NULL: out of memory. */
static json_t *header_line(const struct manifest *m, const char *hex)
{
    json_t *archives = json_array(), *out;

    for (size_t i = 0; archives && i < m->n_archives; i++) {
        const struct manifest_archive *a = &m->archives[i];
        const struct manifest_archive_line line = {a->file, (int64_t)a->size, a->sha256};

        if (json_array_append_new(archives, fields_json(manifest_archive_fields, &line)) < 0) {
            json_decref(archives);
            return NULL;
        }
    }
    out = fields_json(manifest_header_fields,
                      &(struct manifest_header){.format = what,
                                                .version = MANIFEST_VERSION,
                                                .source = m->source,
                                                .archives = archives,
                                                .files = (int64_t)m->n_files,
                                                .bytes = (int64_t)manifest_bytes(m),
                                                .sha256 = hex});
    json_decref(archives);
    return out;
}

/* The header line, then every file's, to FILE. */
static int put_lines(FILE *file, const struct manifest *m, json_t *header, struct err *err)
{
    if (put_line(file, header, err) < 0)
        return -1;
    for (size_t i = 0; i < m->n_files; i++) {
        const struct manifest_file *x = &m->files[i];
        const struct manifest_file_line line = {x->path, (int64_t)x->size, x->sha256};

        BUG_IF(i > 0 && strcmp(m->files[i - 1].path, x->path) >= 0);
        if (put_line(file, fields_json(manifest_file_fields, &line), err) < 0)
            return -1;
    }
    return 0;
}

/* SHA-256 of the whole text, with a header that has no hash yet. */
static int hash_lines(const struct manifest *m, char hex[SHA256_HEX], struct err *err)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    int rc = file ? put_lines(file, m, header_line(m, NULL), err) : -1;

    if (!file || (fclose(file) != 0 && rc == 0))
        rc = err_set(err, ERR_NOMEM, "no memory for a manifest");
    if (rc == 0)
        sha256_of(text, size, hex);
    free(text);
    return rc;
}

int manifest_write(const struct manifest *m, const char *path, struct err *err)
{
    char hex[SHA256_HEX];
    struct new_file f;

    if (hash_lines(m, hex, err) < 0 || new_file_begin(&f, path, err) < 0)
        return err_wrap(err, "%s", path);
    if (put_lines(f.file, m, header_line(m, hex), err) == 0)
        return new_file_finish(&f, err);
    new_file_abort(&f);
    return err_wrap(err, "%s", path);
}

/* --- reading --- */

static int copy_sha256(char out[SHA256_HEX], const char *hash, struct err *err)
{
    if (strlen(hash) != SHA256_HEX - 1 || strspn(hash, "0123456789abcdef") != SHA256_HEX - 1)
        return err_set(err, ERR_FORMAT, "sha256 is not 64 lower-case hexadecimal digits");
    memcpy(out, hash, SHA256_HEX);
    return 0;
}

static int copy_name(char out[MANIFEST_NAME_MAX + 1], const char *key, const char *name,
                     struct err *err)
{
    if (!*name || strlen(name) > MANIFEST_NAME_MAX || strchr(name, '/'))
        return err_set(err, ERR_FORMAT, "%s is not the name of a file", key);
    snprintf(out, MANIFEST_NAME_MAX + 1, "%s", name);
    return 0;
}

static int read_archives(struct manifest *m, const json_t *archives, struct err *err)
{
    const json_t *item;
    size_t i;

    if (json_array_size(archives) > MANIFEST_ARCHIVES_MAX)
        return err_set(err, ERR_FORMAT, "more than %d archives", MANIFEST_ARCHIVES_MAX);
    json_array_foreach(archives, i, item)
    {
        struct manifest_archive *a = &m->archives[i];
        struct manifest_archive_line line;

        if (fields_read(manifest_archive_fields, MANIFEST_VERSION, &line, item, err) < 0 ||
            copy_name(a->file, "file", line.file, err) < 0 ||
            copy_sha256(a->sha256, line.sha256, err) < 0)
            return -1;
        a->size = (uint64_t)line.size;
    }
    m->n_archives = json_array_size(archives);
    return 0;
}

/* OWN: the SHA-256 that the manifest says of itself; "": it says none. */
static int read_header(struct manifest *m, const json_t *line, uint64_t *files,
                       char own[SHA256_HEX], struct err *err)
{
    struct manifest_header h;
    char names[256];

    fields_read(manifest_header_fields, 0, &h, line, NULL);
    if (h.format && strcmp(h.format, what) != 0)
        return err_set(err, ERR_FORMAT, "format is \"%s\", expected \"%s\"", h.format, what);
    if (h.version != FIELD_NO_INT && h.version != MANIFEST_VERSION)
        return err_set(err, ERR_FORMAT, "version %" PRId64 ", this program reads version %d",
                       h.version, MANIFEST_VERSION);
    if (fields_read(manifest_header_fields, MANIFEST_VERSION, &h, line, err) < 0 ||
        (h.sha256 && copy_sha256(own, h.sha256, err) < 0))
        return -1;
    if (!*own && fields_unknown(names, sizeof names, manifest_header_fields, line) > 0)
        return err_set(err, ERR_FORMAT, /* the hash's name may be what was damaged */
                       "a member of the header has an unknown name: %s", names);
    *files = (uint64_t)h.files;
    return copy_name(m->source, "source", h.source, err) < 0 ? -1
                                                             : read_archives(m, h.archives, err);
}

static int read_file_line(struct manifest *m, const json_t *json, struct err *err)
{
    char clean[ENTRY_PATH_MAX + 1], sha256[SHA256_HEX];
    struct manifest_file_line line;

    if (fields_read(manifest_file_fields, MANIFEST_VERSION, &line, json, err) < 0 ||
        copy_sha256(sha256, line.sha256, err) < 0)
        return -1;
    if (entry_path_clean(clean, line.path, NULL) < 0 || !*clean || strcmp(clean, line.path) != 0)
        return err_set(err, ERR_FORMAT, "the path is not a plain one below the tree");
    if (m->n_files > 0 && strcmp(m->files[m->n_files - 1].path, line.path) >= 0)
        return err_set(err, ERR_FORMAT, "%s is out of order", line.path);
    return manifest_add(m, line.path, (uint64_t)line.size, sha256, err);
}

/* One line into HASH as hash_lines() saw it: the header without its hash. */
static int hash_line(struct sha256 *hash, json_t *header, const char *text, struct err *err)
{
    char *plain;

    if (!header || json_object_del(header, "sha256") < 0) {
        sha256_update(hash, text, strlen(text));
        return 0;
    }
    plain = json_text(header, 0);
    if (!plain)
        return err_set(err, ERR_NOMEM, "no memory for a line");
    sha256_update(hash, plain, strlen(plain));
    sha256_update(hash, "\n", 1);
    free(plain);
    return 0;
}

/* HEX, of the lines, is what the header says; OWN "": it says nothing. */
static int check_own(const char *own, const char *hex, struct err *err)
{
    return !*own || strcmp(own, hex) == 0
               ? 0
               : err_set(err, ERR_FORMAT,
                         "the SHA-256 of its lines is %.12s..., it says %.12s...: it was changed "
                         "or damaged",
                         hex, own);
}

static int read_lines(struct manifest *m, FILE *file, const char *path, struct sha256 *hash,
                      struct err *err)
{
    uint64_t expected = 0, number = 0;
    char own[SHA256_HEX] = "";
    char *text = NULL;
    size_t room = 0;
    int rc = -1;

    while (getline(&text, &room, file) >= 0) {
        json_error_t at;
        json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, &at);

        number++;
        rc = !line         ? err_set(err, ERR_FORMAT, "column %d: %s", at.column, at.text)
             : number == 1 ? read_header(m, line, &expected, own, err)
                           : read_file_line(m, line, err);
        if (rc == 0)
            fields_warn_unknown(number == 1 ? manifest_header_fields : manifest_file_fields, line,
                                path, NULL);
        if (rc == 0)
            rc = hash_line(hash, number == 1 ? line : NULL, text, err);
        json_decref(line);
        if (rc < 0) {
            err_wrap(err, "line %" PRIu64, number);
            goto out;
        }
    }
    rc = 0;
    sha256_hex(hash, m->sha256);
    if (ferror(file))
        rc = err_errno(err, "cannot read");
    else if (number == 0)
        rc = err_set(err, ERR_FORMAT, "the manifest is empty");
    else if (m->n_files != expected)
        rc = err_set(err, ERR_FORMAT,
                     "the manifest ends too early: %zu files of %" PRIu64 " that it announces",
                     m->n_files, expected);
    else
        rc = check_own(own, m->sha256, err);
out:
    free(text);
    return rc;
}

static FILE *open_manifest(const char *path, struct err *err)
{
    const int fd = path_open(path, err);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "rb");

    if (fd >= 0 && !file) {
        err_errno(err, "%s", path);
        close(fd);
    }
    return file;
}

int manifest_read(struct manifest *m, const char *path, struct err *err)
{
    FILE *file = open_manifest(path, err);
    struct sha256 *hash = NULL;
    int rc;

    if (!file)
        return -1;
    rc = sha256_new(&hash, err);
    if (rc == 0)
        rc = read_lines(m, file, path, hash, err);
    sha256_free(hash);
    fclose(file);
    return rc < 0 ? err_wrap(err, "%s", path) : 0;
}

/* The header is parsed; of the lines behind it only the bytes are taken. */
static int hash_file(char hex[SHA256_HEX], FILE *file, struct sha256 *hash, struct err *err)
{
    struct manifest m = {0};
    uint64_t files;
    char own[SHA256_HEX] = "";
    char *text = NULL;
    size_t room = 0;
    ssize_t text_size;
    json_error_t at;
    json_t *header = NULL;
    int rc = -1;

    if (getline(&text, &room, file) < 0) {
        err_set(err, ERR_FORMAT, "the manifest is empty");
        goto out;
    }
    header = json_loads(text, JSON_REJECT_DUPLICATES, &at);
    rc = header ? read_header(&m, header, &files, own, err)
                : err_set(err, ERR_FORMAT, "column %d: %s", at.column, at.text);
    if (rc == 0)
        rc = hash_line(hash, header, text, err);
    if (rc < 0) {
        err_wrap(err, "line 1");
        goto out;
    }
    while ((text_size = getline(&text, &room, file)) >= 0)
        sha256_update(hash, text, (size_t)text_size);
    sha256_hex(hash, hex);
    rc = ferror(file) ? err_errno(err, "cannot read") : check_own(own, hex, err);
out:
    json_decref(header);
    free(text);
    return rc;
}

int manifest_sha256(const char *path, char hex[SHA256_HEX], struct err *err)
{
    struct sha256 *hash = NULL;
    FILE *file = open_manifest(path, err);
    int rc;

    if (!file)
        return -1;
    rc = sha256_new(&hash, err);
    if (rc == 0)
        rc = hash_file(hex, file, hash, err);
    sha256_free(hash);
    fclose(file);
    return rc < 0 ? err_wrap(err, "%s", path) : 0;
}
