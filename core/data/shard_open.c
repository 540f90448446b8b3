/* shard_open.c - read index.json and the tables of the shards, trusting nothing.
 *
 * Every row is checked against its file's size before a byte is read by it.
 * Threads: HDF5 is called here, by one thread at a time (the library may be built without locks).
 * SPDX-License-Identifier: MIT */
#include "data/shard_open.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/path.h"
#include "base/size.h"
#include "data/shard_driver.h"

enum {
    SIDE_MAX = 1 << 20,       /* pixels; more is damage */
    INDEX_JSON_MAX = 1 << 28, /* bytes */
};

/* --- index.json --------------------------------------------------------------------------------- */

/* One descriptor a shard stays open, more than the usual 1024 of them in a very large set: asks for as many, and says
 * how many can stay. Some are left for all else that a program opens. */
static uint32_t allow_descriptors(uint32_t n)
{
    const rlim_t others = 256;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    if (limit.rlim_cur < n + others && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max < n + others ? limit.rlim_max : n + others;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0 && getrlimit(RLIMIT_NOFILE, &limit) < 0)
            return 0;
    }
    if (limit.rlim_cur >= n + others)
        return n;
    return limit.rlim_cur > others ? (uint32_t)(limit.rlim_cur - others) : 0;
}

static bool has_shards(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    bool found = false;

    while (dir && !found && (entry = readdir(dir)) != NULL)
        found = strncmp(entry->d_name, "shard-", 6) == 0;
    if (dir)
        closedir(dir);
    return found;
}

static int read_index_json(struct shard_set *s, struct err *err)
{
    char path[PATH_LEN], *text;
    size_t size;
    json_error_t why;

    if (path_format(path, err, "%s/" SHARD_INDEX_FILE, s->folder) < 0)
        return -1;
    if (!path_exists(path)) {
        if (!path_is_dir(s->folder))
            return err_set(err, ERR_IO, "no such folder of shards; make it with prep");
        if (has_shards(s->folder))
            return err_set(err, ERR_FORMAT,
                           "shards without " SHARD_INDEX_FILE ", which is written "
                           "last: they are not finished; run prep again");
        return err_set(err, ERR_IO, "no " SHARD_INDEX_FILE " and no shards here");
    }
    if (path_read(&text, &size, path, INDEX_JSON_MAX, err) < 0)
        return -1;
    sha256_of(text, size, s->sha256);
    s->index = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    free(text);
    if (!s->index && why.line < 0) /* not about the text: jansson ran out of memory */
        return err_set(err, ERR_NOMEM, SHARD_INDEX_FILE ": out of memory");
    if (!s->index)
        return err_set(err, ERR_FORMAT, SHARD_INDEX_FILE ": line %d, column %d: %s", why.line,
                       why.column, why.text);
    return 0;
}

static int read_classes(struct shard_set *s, struct err *err)
{
    const json_t *classes = s->record.classes;

    if (json_array_size(classes) < 1 || json_array_size(classes) > INT32_MAX)
        return err_set(err, ERR_FORMAT, "no classes");
    s->n_classes = (int32_t)json_array_size(classes);
    s->vocab = calloc((size_t)s->n_classes, sizeof *s->vocab);
    s->group = calloc((size_t)s->n_classes, sizeof *s->group);
    if (!s->vocab || !s->group)
        return err_set(err, ERR_NOMEM, "%d classes: out of memory", s->n_classes);
    for (int32_t i = 0; i < s->n_classes; i++) {
        s->vocab[i] = json_string_value(json_array_get(classes, (size_t)i));
        if (!s->vocab[i] || (i > 0 && strcmp(s->vocab[i - 1], s->vocab[i]) >= 0))
            return err_set(err, ERR_FORMAT, "classes: not sorted texts at number %d", i);
    }
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int read_groups(struct shard_set *s, struct err *err)
{
    const json_t *group, *label;
    size_t i, j;

    json_array_foreach(s->record.groups, i, group)
    {
        struct index_group g;

        if (fields_read(index_group_fields, SHARD_INDEX_VERSION, &g, group, err) < 0)
            return err_wrap(err, "groups: number %zu", i);
        json_array_foreach(g.classes, j, label)
        {
            const char *text = json_string_value(label);
            const char **at =
                text ? bsearch(&text, s->vocab, (size_t)s->n_classes, sizeof *s->vocab, by_text)
                     : NULL;

            if (!at)
                return err_set(err, ERR_FORMAT, "group %s has a class that is not in classes",
                               g.name);
            s->group[at - s->vocab] = g.name;
        }
    }
    return 0;
}

static int read_shard_list(struct shard_set *s, struct err *err)
{
    const json_t *shards = s->record.shards, *entry;
    int64_t total = 0;
    size_t i;

    if (json_array_size(shards) < 1 || json_array_size(shards) > UINT32_MAX)
        return err_set(err, ERR_FORMAT, "no shards");
    s->n_shards = (uint32_t)json_array_size(shards);
    s->shards = calloc(s->n_shards, sizeof *s->shards);
    if (!s->shards)
        return err_set(err, ERR_NOMEM, "%u shards: out of memory", s->n_shards);
    for (i = 0; i < s->n_shards; i++)
        s->shards[i].fd = -1;
    json_array_foreach(shards, i, entry)
    {
        struct index_shard sh;

        if (fields_read(index_shard_fields, SHARD_INDEX_VERSION, &sh, entry, err) < 0)
            return err_wrap(err, "shards: number %zu", i);
        if (strchr(sh.file, '/') || strlen(sh.file) >= SHARD_FILE_TEXT || !sh.file[0])
            return err_set(err, ERR_FORMAT, "shards: number %zu: no file's name: %s", i, sh.file);
        if (sh.count > sh.bytes || (total += sh.count) > UINT32_MAX)
            return err_set(err, ERR_FORMAT, "shards: %s: impossible count or size", sh.file);
        memcpy(s->shards[i].file, sh.file, strlen(sh.file) + 1);
        s->shards[i].count = (uint32_t)sh.count;
        s->shards[i].bytes = (uint64_t)sh.bytes;
    }
    s->n = (uint32_t)total;
    s->keep_open = allow_descriptors(s->n_shards);
    return 0;
}

/* Its version is one of ours, and it is as it was written. */
static int check_index(struct shard_set *s, struct err *err)
{
    char hex[SHA256_HEX];

    fields_read(index_fields, SHARD_INDEX_VERSION, &s->record, s->index, NULL);
    if (s->record.version > SHARD_INDEX_VERSION)
        return err_set(err, ERR_FORMAT,
                       "version %lld, this program reads versions up to %d; run prep again",
                       (long long)s->record.version, SHARD_INDEX_VERSION);
    if (fields_read(index_fields, (int)s->record.version, &s->record, s->index, err) < 0)
        return -1;
    if (s->record.version == 1)
        return 0;
    if (json_sha256_without(hex, s->index, "sha256", err) < 0)
        return -1;
    if (strcmp(hex, s->record.sha256) == 0)
        return 0;
    return err_set(err, ERR_FORMAT,
                   "the SHA-256 of its members is %.12s..., it says %.12s...: it was changed or "
                   "damaged; prep --repair makes the shards again",
                   hex, s->record.sha256);
}

static int read_index(struct shard_set *s, struct err *err)
{
    const struct index_record *r = &s->record;
    const char *storage;

    if (check_index(s, err) < 0 || read_classes(s, err) < 0 || read_groups(s, err) < 0 ||
        read_shard_list(s, err) < 0)
        return -1;
    storage = r->settings.storage;
    while (dataset_storage_names[s->storage] &&
           strcmp(storage, dataset_storage_names[s->storage]) != 0)
        s->storage++;
    if (!dataset_storage_names[s->storage])
        return err_set(err, ERR_FORMAT, "unknown storage %s: a newer presize may read it", storage);
    if ((int64_t)s->n != r->count)
        return err_set(err, ERR_FORMAT,
                       "count %lld and %u pictures in its shards do not go together",
                       (long long)r->count, s->n);
    s->size = (int32_t)r->size;
    return 0;
}

/* --- the tables of the shards ------------------------------------------------------------------- */

static int check_row(const struct shard_set *s, const struct shard *sh, const struct shard_row *r,
                     size_t path_length, struct err *err)
{
    uint64_t pixels = (uint64_t)r->height * r->width * 3;

    if (path_length == 0)
        return err_set(err, ERR_FORMAT, "a picture without a path");
    if (r->height < 1 || r->width < 1 || r->height > SIDE_MAX || r->width > SIDE_MAX)
        return err_set(err, ERR_FORMAT, "impossible size %u x %u", r->width, r->height);
    if (r->label < 0 || r->label >= s->n_classes || r->official < -1 || r->official > 1)
        return err_set(err, ERR_FORMAT, "label %d of %d classes, official %d", r->label,
                       s->n_classes, r->official);
    if (r->stored < 1 || r->stored > sh->bytes || r->address > sh->bytes - r->stored ||
        (s->storage == STORAGE_RAW && r->stored != pixels))
        return err_set(err, ERR_FORMAT, "%llu bytes at %llu of a file of %llu",
                       (unsigned long long)r->stored, (unsigned long long)r->address,
                       (unsigned long long)sh->bytes);
    return 0;
}

/* ROWS is the file's /index: COUNT rows, each with PATH_SIZE bytes of path. */
static int take_rows(struct shard_set *s, uint32_t number, const uint8_t *rows, size_t path_size,
                     struct shard_picture *out, struct err *err)
{
    struct shard *sh = &s->shards[number];
    size_t row_size = sizeof(struct shard_row) + path_size, room;
    char *to;

    if (!mul_size(&room, sh->count, path_size + 1) || !(sh->paths = malloc(room)))
        return err_set(err, ERR_NOMEM, "out of memory");
    to = sh->paths;
    for (uint32_t i = 0; i < sh->count; i++) {
        const char *path = (const char *)rows + i * row_size + sizeof(struct shard_row);
        size_t length = strnlen(path, path_size);
        struct shard_row r;

        memcpy(&r, rows + i * row_size, sizeof r);
        memcpy(to, path, length);
        to[length] = '\0';
        if (check_row(s, sh, &r, length, err) < 0)
            return err_wrap(err, SHARD_INDEX ": row %u (%s)", i, to);
        out[i] = (struct shard_picture){
            .path = to,
            .rank = r.rank,
            .label = r.label,
            .official = r.official,
            .height = r.height,
            .width = r.width,
            .original_height = r.original_height,
            .original_width = r.original_width,
            .crc32c = r.crc32c,
            .shard = number,
            .address = r.address,
            .stored = r.stored,
        };
        to += length + 1;
    }
    return 0;
}

static int check_version(hid_t file, struct err *err)
{
    int32_t version = 0;
    hid_t a = H5Aexists(file, SHARD_ATTR_VERSION) > 0
                  ? H5Aopen(file, SHARD_ATTR_VERSION, H5P_DEFAULT)
                  : -1;
    bool read = a >= 0 && H5Aread(a, H5T_NATIVE_INT32, &version) >= 0;

    if (a >= 0)
        H5Aclose(a);
    if (!read)
        return err_set(err, ERR_FORMAT,
                       "no shard: the attribute " SHARD_ATTR_VERSION " is missing");
    if (version != SHARD_VERSION)
        return err_set(err, ERR_FORMAT, "version %d, this program reads version %d; run prep again",
                       version, SHARD_VERSION);
    return 0;
}

static int check_vocabulary(const struct shard_set *s, hid_t file, struct err *err)
{
    hid_t a = H5Aexists(file, SHARD_ATTR_VOCABULARY) > 0
                  ? H5Aopen(file, SHARD_ATTR_VOCABULARY, H5P_DEFAULT)
                  : -1;
    hid_t type = a >= 0 ? H5Aget_type(a) : -1, space = a >= 0 ? H5Aget_space(a) : -1;
    size_t width = type >= 0 && H5Tget_class(type) == H5T_STRING && !H5Tis_variable_str(type)
                       ? H5Tget_size(type)
                       : 0,
           size;
    bool same = false, room = true;

    if (width > 0 && space >= 0 && H5Sget_simple_extent_npoints(space) == s->n_classes &&
        mul_size(&size, (size_t)s->n_classes, width)) {
        char *texts = malloc(size);

        room = texts != NULL;
        same = room && H5Aread(a, type, texts) >= 0;
        for (int32_t i = 0; same && i < s->n_classes; i++) {
            const char *text = texts + (size_t)i * width;

            same = strnlen(text, width) == strlen(s->vocab[i]) &&
                   memcmp(text, s->vocab[i], strlen(s->vocab[i])) == 0;
        }
        free(texts);
    }
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    if (a >= 0)
        H5Aclose(a);
    if (!room)
        return err_set(err, ERR_NOMEM, "out of memory");
    return same ? 0
                : err_set(err, ERR_FORMAT,
                          "its vocabulary is not the classes of " SHARD_INDEX_FILE
                          ": one of the two was changed; run prep again");
}

static int check_settings(const struct shard_set *s, hid_t file, struct err *err)
{
    char *settings = json_text(json_object_get(s->index, "settings"), 0);
    int same = settings ? shard_same_text(file, SHARD_ATTR_SETTINGS, settings, err)
                        : err_set(err, ERR_NOMEM, "out of memory");

    free(settings);
    if (same != 0)
        return same > 0 ? 0 : -1;
    return err_set(err, ERR_FORMAT,
                   "its settings are not those of " SHARD_INDEX_FILE
                   ": one of the two was changed; run prep again");
}

static int check_manifest(const struct shard_set *s, hid_t file, struct err *err)
{
    int same = shard_same_text(file, SHARD_ATTR_MANIFEST, s->record.manifest_sha256, err);

    if (same < 0)
        return -1;
    if (!same)
        return err_set(err, ERR_FORMAT,
                       "made from another manifest than " SHARD_INDEX_FILE " says; run prep again");
    return 0;
}

/* Reads /index; its type must be ours but for the length of the path. */
static int read_rows(struct shard_set *s, uint32_t number, hid_t file, struct shard_picture *out,
                     struct err *err)
{
    const uint32_t count = s->shards[number].count;
    hid_t dataset = H5Dopen2(file, SHARD_INDEX, H5P_DEFAULT);
    hid_t type = dataset >= 0 ? H5Dget_type(dataset) : -1;
    hid_t space = dataset >= 0 ? H5Dget_space(dataset) : -1;
    size_t size = type >= 0 ? H5Tget_size(type) : 0, bytes, path_size = 0;
    hid_t expected = -1, memory = -1;
    uint8_t *rows = NULL;
    int rc = -1;

    if (size > sizeof(struct shard_row) && size < sizeof(struct shard_row) + SHARD_PATH_MAX) {
        path_size = size - sizeof(struct shard_row);
        expected = shard_row_type(path_size, true);
        memory = shard_row_type(path_size, false);
    }
    if (space < 0 || expected < 0 || memory < 0 || H5Tequal(type, expected) <= 0)
        err_set(err, ERR_FORMAT, SHARD_INDEX " is missing or not the table it should be");
    else if (H5Sget_simple_extent_ndims(space) != 1 || H5Sget_simple_extent_npoints(space) != count)
        err_set(err, ERR_FORMAT, SHARD_INDEX " has %lld rows, " SHARD_INDEX_FILE " says %u",
                (long long)H5Sget_simple_extent_npoints(space), count);
    else if (!mul_size(&bytes, size, count) || !(rows = malloc(bytes)))
        err_set(err, ERR_NOMEM, SHARD_INDEX ": out of memory");
    else if (H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows) < 0)
        shard_hdf5_error(err, ERR_FORMAT, "cannot read " SHARD_INDEX);
    else
        rc = take_rows(s, number, rows, path_size, out, err);
    free(rows);
    if (memory >= 0)
        H5Tclose(memory);
    if (expected >= 0)
        H5Tclose(expected);
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    if (dataset >= 0)
        H5Dclose(dataset);
    H5Eclear2(H5E_DEFAULT);
    return rc;
}

/* Makes the place of a shard of another machine. */
static int open_remote(const struct shard_set *s, struct shard *sh, struct err *err)
{
    if (!s->remote || sh->remote)
        return 0;
    return remote_file_open(&sh->remote, s->remote, sh->file, sh->bytes, err);
}

int shard_complete(struct shard_set *s, uint32_t number, struct err *err)
{
    struct shard *sh = &s->shards[number];

    if (!s->remote)
        return 0;
    return open_remote(s, sh, err) < 0 ? -1 : remote_file_need(sh->remote, 0, sh->bytes, err);
}

static int open_checked(struct shard *sh, const char *path, struct err *err)
{
    struct stat st;

    if (sh->fd >= 0)
        return 0;
    sh->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is not waited for */
    if (sh->fd < 0 || fstat(sh->fd, &st) < 0)
        return errno == ENOENT
                   ? err_set(err, ERR_IO,
                             "missing, though " SHARD_INDEX_FILE " lists it; run prep again")
                   : err_errno(err, "cannot open");
    if ((uint64_t)st.st_size != sh->bytes)
        return err_set(err, ERR_FORMAT,
                       "%lld bytes, " SHARD_INDEX_FILE " says %llu: cut short or "
                       "changed; run prep again",
                       (long long)st.st_size, (unsigned long long)sh->bytes);
    return 0;
}

static int read_table(struct shard_set *s, uint32_t number, const char *path,
                      struct shard_picture *out, struct err *err)
{
    struct shard *sh = &s->shards[number];
    struct err why = {0};
    hid_t access = shard_file_access(), file;
    int rc = -1;

    if (access >= 0 && sh->remote && shard_driver_set(access, sh->remote, &why) < 0) {
        H5Pclose(access);
        access = -1;
    }
    file = access < 0 ? -1 : H5Fopen(path, H5F_ACC_RDONLY, access);
    if (file < 0)
        shard_hdf5_error(err, ERR_FORMAT, "cannot open as HDF5");
    else if (check_version(file, err) == 0 && check_manifest(s, file, err) == 0 &&
             check_vocabulary(s, file, err) == 0 && check_settings(s, file, err) == 0)
        rc = read_rows(s, number, file, out, err);
    if (file >= 0)
        H5Fclose(file);
    if (access >= 0)
        H5Pclose(access);
    if (rc < 0 && why.kind != ERR_NONE)
        *err = why;
    return rc;
}

int shard_table_open(struct shard_set *s, uint32_t number, struct shard_picture *out,
                     struct err *err)
{
    struct shard *sh = &s->shards[number];
    char path[PATH_LEN];
    int rc;

    if (path_format(path, err, "%s/%s", s->folder, sh->file) < 0 || open_remote(s, sh, err) < 0 ||
        open_checked(sh, path, err) < 0)
        return -1;
    rc = read_table(s, number, path, out, err);
    if (rc < 0 && sh->remote && err->kind == ERR_FORMAT) { /* a cache that lost what it had? */
        free(sh->paths);
        sh->paths = NULL;
        remote_file_forget(sh->remote, 0, sh->bytes);
        rc = read_table(s, number, path, out, err);
    }
    if (number >= s->keep_open) {
        close(sh->fd);
        sh->fd = -1;
    }
    return rc;
}

int shard_index_open(struct shard_set **out, const char *folder, struct err *err)
{
    struct shard_set *s = calloc(1, sizeof *s);
    char path[PATH_LEN];

    *out = NULL;
    if (!s || !(s->folder = strdup(folder))) {
        err_set(err, ERR_NOMEM, "shards: out of memory");
        goto fail;
    }
    if (remote_open(&s->remote, folder, err) < 0 || read_index_json(s, err) < 0)
        goto fail;
    if (read_index(s, err) < 0) {
        err_wrap(err, SHARD_INDEX_FILE);
        goto fail;
    }
    if (path_format(path, NULL, "%s/" SHARD_INDEX_FILE, folder) == 0)
        fields_warn_unknown(index_fields, s->index, path, NULL);
    *out = s;
    return 0;
fail:
    shard_set_close(s);
    return -1;
}
