/* shard_write.c - the folder of shards: order, one file after another, index.json, moving into place.
 *
 * Invariants: FOLDER.part is locked by its own descriptor while it is written; index.json is written
 * last inside it, and the folder gets its name after that, so whatever bears the name is whole.
 * SPDX-License-Identifier: MIT */
#include "data/shard_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zstd.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/path.h"
#include "base/rng.h"
#include "base/size.h"
#include "data/shard_write_private.h"

/* --- opening ------------------------------------------------------------------------------------ */

/* After flock() on FD failed: 0 where the file system has no locks and the folder was made just now, which nobody else
 * can have done; else FD is closed. */
static int lock_failed(const struct shard_writer *w, int fd, bool made, struct err *err)
{
    const int why = errno;

    if (why != EWOULDBLOCK && made) {
        log_warn("%s: this file system has no locks (%s): do not let two processes write here at "
                 "the same time",
                 w->folder, strerror(why));
        return 0;
    }
    close(fd);
    if (why == EWOULDBLOCK)
        return err_set(err, ERR_LOCKED,
                       "%s: another process is writing here; wait for it, or "
                       "stop it and try again",
                       w->part);
    return err_set(err, ERR_LOCKED,
                   "%s is there, and this file system has no locks (%s) to tell whether another "
                   "process writes in it; if none does, remove it",
                   w->part, strerror(why));
}

/* Makes FOLDER.part, empty and locked. */
static int take_part(struct shard_writer *w, struct err *err)
{
    char *slash = strrchr(w->folder, '/');

    if (slash && slash != w->folder) {
        char parent[PATH_LEN];

        if (path_format(parent, err, "%.*s", (int)(slash - w->folder), w->folder) < 0 ||
            path_make_dirs(parent, err) < 0)
            return -1;
    }
    for (int attempt = 0; attempt < 3; attempt++) {
        bool made = mkdir(w->part, 0777) == 0;
        int fd;

        if (!made && errno != EEXIST)
            return err_errno(err, "cannot make the folder %s", w->part);
        fd = open(w->part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return err_errno(err, "cannot make the folder %s", w->part);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0 && lock_failed(w, fd, made, err) < 0)
            return -1;
        if (made) {
            w->lock = fd;
            return w->plan.writers > 1 ? shard_writer_share_lock(w, err) : 0;
        }
        if (path_remove_tree(w->part, err) < 0) { /* what a killed process left */
            close(fd);
            return -1;
        }
        close(fd);
    }
    return err_set(err, ERR_LOCKED, "%s: another process is writing here", w->part);
}

static const char *const exif_names[] = {"ignore", "apply"};

/* What decides about the bytes beside the pictures themselves. */
static struct index_settings settings_of(const struct dataset_options *o)
{
    return (struct index_settings){o->size,
                                   o->max_aspect,
                                   o->shard_pictures,
                                   dataset_storage_names[o->storage],
                                   exif_names[o->exif],
                                   o->storage == STORAGE_JPEG ? o->quality : FIELD_NO_INT};
}

/* Classes as texts of equal width. */
static int pack_vocabulary(struct shard_writer *w)
{
    const struct dataset *d = w->plan.dataset;
    size_t width = 1;

    for (int32_t i = 0; i < d->n_classes; i++)
        if (strlen(d->vocab[i]) > width)
            width = strlen(d->vocab[i]);
    w->vocabulary = calloc((uint32_t)d->n_classes, width);
    for (int32_t i = 0; w->vocabulary && i < d->n_classes; i++)
        memcpy(w->vocabulary + (size_t)i * width, d->vocab[i], strlen(d->vocab[i]));
    w->about.vocabulary = w->vocabulary;
    w->about.vocabulary_width = width;
    w->about.n_classes = d->n_classes;
    return w->vocabulary ? 0 : -1;
}

static int prepare(struct shard_writer *w, struct err *err)
{
    const struct dataset *d = w->plan.dataset;
    const struct index_settings of = settings_of(w->plan.options);
    json_t *settings = fields_json(index_setting_fields, &of);
    size_t path_size = 1;

    for (uint32_t i = 0; i < d->n; i++)
        if (strlen(d->items[i].path) > path_size)
            path_size = strlen(d->items[i].path);
    BUG_IF(path_size >= SHARD_PATH_MAX);
    w->settings = settings ? json_text(settings, 0) : NULL;
    json_decref(settings);
    w->order = malloc((d->n ? d->n : 1) * sizeof *w->order);
    w->skipped = json_array();
    w->more = json_object();
    w->left_out = calloc(d->n ? d->n : 1, 1);
    if (!w->settings || !w->order || !w->skipped || !w->more || !w->left_out ||
        pack_vocabulary(w) < 0)
        return err_set(err, ERR_NOMEM, "shards of %u pictures: out of memory", d->n);
    rng_permutation(w->order, d->n, 0, RNG_SHARD, 0);
    w->about.settings = w->settings;
    w->about.decoder = w->plan.decoder;
    w->about.manifest_sha256 = w->plan.manifest_sha256;
    w->about.path_size = path_size;
    w->about.storage = w->plan.options->storage;
    return 0;
}

int shard_writer_open(struct shard_writer **out, const char *folder, const struct shard_plan *plan,
                      struct err *err)
{
    struct shard_writer *w = calloc(1, sizeof *w);
    size_t length;

    *out = NULL;
    BUG_IF(plan->options->shard_pictures < 1 || plan->dataset->n_classes < 1);
    BUG_IF(plan->writers > 1 && plan->writer >= plan->writers);
    if (!w)
        return err_set(err, ERR_NOMEM, "shards: out of memory");
    w->plan = *plan;
    w->lock = -1;
    if (path_format(w->folder, err, "%s", folder) < 0)
        goto fail;
    for (length = strlen(w->folder); length > 1 && w->folder[length - 1] == '/'; length--)
        w->folder[length - 1] = '\0';
    if (path_format(w->part, err, "%s.part", w->folder) < 0 || prepare(w, err) < 0 ||
        (plan->writer == 0 ? take_part(w, err) : shard_writer_join(w, err)) < 0)
        goto fail;
    *out = w;
    return 0;
fail:
    shard_writer_abort(w);
    return -1;
}

uint32_t shard_writer_order(const struct shard_writer *w, uint32_t i)
{
    BUG_IF(i >= w->plan.dataset->n);
    return w->order[i];
}

const char *shard_writer_part(const struct shard_writer *w)
{
    return w->part;
}

uint64_t shard_writer_bytes(const struct shard_writer *w)
{
    return w->bytes;
}

/* --- adding ------------------------------------------------------------------------------------- */

/* The file of shard NUMBER; while several writers fill up shards, another name of it. */
static int shard_path(const struct shard_writer *w, uint32_t number, char path[PATH_LEN],
                      struct err *err)
{
    return path_format(path, err, w->filling ? "%s/" SHARD_FULL_NAME : "%s/" SHARD_NAME, w->part,
                       number);
}

int shard_writer_begin_shard(struct shard_writer *w, uint32_t number, struct err *err)
{
    char path[PATH_LEN];

    if (shard_path(w, number, path, err) < 0 ||
        shard_file_create(&w->file, path, (uint32_t)w->plan.options->shard_pictures, &w->about,
                          err) < 0)
        return -1;
    w->number = number;
    w->open = true;
    return 0;
}

static int note_made(struct shard_writer *w, uint32_t count, uint64_t bytes, const char *sha256,
                     struct err *err)
{
    struct shard_made *grown = realloc(w->made, (w->n_made + 1) * sizeof *grown);

    if (!grown)
        return err_set(err, ERR_NOMEM, "%s: out of memory", w->part);
    w->made = grown;
    grown[w->n_made] = (struct shard_made){.number = w->number, .count = count, .bytes = bytes};
    memcpy(grown[w->n_made++].sha256, sha256, SHA256_HEX);
    return 0;
}

/* The shard's pages start on their way to the disk, finish() waits for them. */
int shard_writer_end_shard(struct shard_writer *w, struct err *err)
{
    const uint32_t count = w->file.n;
    char path[PATH_LEN], hex[SHA256_HEX];
    uint64_t size;
    int fd;

    if (!w->open)
        return 0;
    w->open = false;
    if (shard_path(w, w->number, path, err) < 0 || shard_file_close(&w->file, err) < 0)
        return -1;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
        close(fd);
    }
    return sha256_file(path, hex, &size, err) < 0 ? -1 : note_made(w, count, size, hex, err);
}

/* One more picture has its place in a shard, or among several writers would have it. */
static int count_place(struct shard_writer *w, struct err *err)
{
    w->next++;
    return ++w->places % w->plan.options->shard_pictures == 0 ? shard_writer_end_shard(w, err) : 0;
}

int shard_writer_add(struct shard_writer *w, const struct shard_pixels *p, struct err *err)
{
    const struct dataset *d = w->plan.dataset;
    uint32_t rank;

    BUG_IF(w->next >= d->n || p->height == 0 || p->width == 0 || p->size == 0);
    BUG_IF(w->about.storage == STORAGE_RAW && p->size != (size_t)p->height * p->width * 3);
    BUG_IF(w->plan.writers > 1 && !shard_writer_is_own(w, w->next));
    rank = w->order[w->next];
    if (!w->open &&
        shard_writer_begin_shard(w, w->places / (uint32_t)w->plan.options->shard_pictures, err) < 0)
        return -1;
    if (shard_file_add(&w->file, &d->items[rank], rank, p, err) < 0)
        return -1;
    w->added++;
    w->bytes += p->size;
    return count_place(w, err);
}

int shard_writer_note_skipped(struct shard_writer *w, uint32_t i, struct err *err)
{
    const char *path = w->plan.dataset->items[w->order[i]].path;
    json_t *text = json_stringn_nocheck(path, strlen(path));

    if (!text || json_array_append_new(w->skipped, text) < 0)
        return err_set(err, ERR_NOMEM, "a skipped picture: out of memory");
    w->left_out[w->order[i]] = 1;
    return 0;
}

int shard_writer_skip(struct shard_writer *w, struct err *err)
{
    BUG_IF(w->next >= w->plan.dataset->n);
    if (shard_writer_note_skipped(w, w->next, err) < 0)
        return -1;
    if (w->plan.writers > 1) /* whose shards may stay short, until shard_writer_fill() */
        return count_place(w, err);
    w->next++;
    return 0;
}

void shard_writer_pass(struct shard_writer *w)
{
    BUG_IF(w->next >= w->plan.dataset->n || w->open);
    w->next++;
    w->places++;
    w->added++;
}

int shard_writer_record(struct shard_writer *w, const char *key, json_t *value, struct err *err)
{
    if (!value || json_object_set_new(w->more, key, value) < 0)
        return err_set(err, ERR_NOMEM, SHARD_INDEX_FILE ": %s: out of memory", key);
    return 0;
}

/* --- the end ------------------------------------------------------------------------------------ */

static json_t *classes_json(const struct dataset *d)
{
    json_t *classes = json_array();

    for (int32_t i = 0; classes && i < d->n_classes; i++)
        if (json_array_append_new(classes, json_string(d->vocab[i])) < 0) {
            json_decref(classes);
            return NULL;
        }
    return classes;
}

static json_t *groups_json(const struct dataset *d, const struct dataset_options *o)
{
    json_t *groups = json_array();

    for (int g = 0; groups && g < o->groups_list.n; g++) {
        json_t *labels = json_array();
        bool good = labels != NULL;

        for (int32_t i = 0; good && i < d->n_classes; i++)
            if (d->group[i] == g)
                good = json_array_append_new(labels, json_string(d->vocab[i])) == 0;
        if (!good ||
            json_array_append_new(groups, json_pack("{s:s, s:O}", "name", o->groups[g].name,
                                                    "classes", labels)) < 0) {
            json_decref(groups);
            groups = NULL;
        }
        json_decref(labels);
    }
    return groups;
}

/* As shard_set_labels_sha256() of what is written. */
static int hash_labels(const struct shard_writer *w, char hex[SHA256_HEX], struct err *err)
{
    const struct dataset *d = w->plan.dataset;
    struct sha256 *sha;

    if (sha256_new(&sha, err) < 0)
        return -1;
    for (uint32_t i = 0; i < d->n; i++)
        if (!w->left_out[i])
            shard_hash_label(sha, d->items[i].path, d->vocab[d->items[i].label],
                             d->items[i].official);
    sha256_hex(sha, hex);
    sha256_free(sha);
    return 0;
}

static json_t *made_json(const struct shard_made *made)
{
    char name[SHARD_FILE_TEXT];

    snprintf(name, sizeof name, SHARD_NAME, made->number);
    return fields_json(index_shard_fields,
                       &(struct index_shard){name, made->count, (int64_t)made->bytes,
                                             (char *)(uintptr_t)made->sha256});
}

static json_t *shards_json(const struct shard_writer *w)
{
    json_t *shards = json_array();

    for (uint32_t i = 0; shards && i < w->n_made; i++)
        if (json_array_append_new(shards, made_json(&w->made[i])) < 0) {
            json_decref(shards);
            return NULL;
        }
    return shards;
}

static int write_index_json(struct shard_writer *w, struct err *err)
{
    char path[PATH_LEN], labels[SHA256_HEX], own[SHA256_HEX];
    json_t *index, *classes, *groups, *shards;
    struct index_record r;
    int rc;

    if (hash_labels(w, labels, err) < 0)
        return -1;
    shards = shards_json(w);
    classes = classes_json(w->plan.dataset);
    groups = groups_json(w->plan.dataset, w->plan.options);
    r = (struct index_record){.version = SHARD_INDEX_VERSION,
                              .sha256 = "",
                              .set = w->plan.set,
                              .count = w->added,
                              .size = w->plan.options->size,
                              .max_aspect = w->plan.options->max_aspect,
                              .classes = classes,
                              .groups = groups,
                              .settings = settings_of(w->plan.options),
                              .decoder = w->plan.decoder,
                              .manifest_sha256 = w->plan.manifest_sha256,
                              .labels_sha256 = labels,
                              .fetched = w->plan.fetched,
                              .skipped = w->skipped,
                              .shards = shards};
    index = fields_json(index_fields, &r);
    json_decref(shards);
    json_decref(classes);
    json_decref(groups);
    if (!index || json_object_update(index, w->more) < 0) {
        json_decref(index);
        return err_set(err, ERR_NOMEM, "%s: out of memory, or a name that is not UTF-8", w->folder);
    }
    rc = path_format(path, err, "%s/" SHARD_INDEX_FILE, w->part);
    if (rc == 0)
        rc = json_sha256_without(own, index, "sha256", err);
    if (rc == 0 && json_object_set_new(index, "sha256", json_string(own)) < 0)
        rc = err_set(err, ERR_NOMEM, "%s: out of memory", path);
    if (rc == 0)
        rc = json_write(path, index, err);
    json_decref(index);
    return rc;
}

int shard_writer_sync(const struct shard_writer *w, struct err *err)
{
    char path[PATH_LEN];

    for (uint32_t i = 0; i < w->n_made; i++) {
        int fd;

        if (shard_path(w, w->made[i].number, path, err) < 0)
            return -1;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0) {
            err_errno(err, "cannot write %s", path);
            if (fd >= 0)
                close(fd);
            return -1;
        }
        close(fd);
    }
    return 0;
}

/* FOLDER.part becomes FOLDER; where one is, the two change places at once and the old one goes. */
static int move_into_place(struct shard_writer *w, struct err *err)
{
    if (renameat2(AT_FDCWD, w->part, AT_FDCWD, w->folder, RENAME_NOREPLACE) < 0) {
        if (errno == EEXIST &&
            renameat2(AT_FDCWD, w->part, AT_FDCWD, w->folder, RENAME_EXCHANGE) == 0) {
            if (path_remove_tree(w->part, err) < 0)
                return -1;
        } else { /* a file system without these: for a moment there is neither */
            if (path_remove_tree(w->folder, err) < 0)
                return -1;
            if (rename(w->part, w->folder) < 0)
                return err_errno(err, "cannot move %s to %s", w->part, w->folder);
        }
    }
    return path_sync_folder_of(w->folder, err);
}

int shard_writer_finish(struct shard_writer *w, struct err *err)
{
    int rc = -1;

    BUG_IF(w->next < w->plan.dataset->n);
    if (w->added == 0)
        err_set(err, ERR_INPUT, "%s: not one picture is left to write", w->folder);
    else if (shard_writer_end_shard(w, err) == 0 && shard_writer_sync(w, err) == 0 &&
             write_index_json(w, err) == 0)
        rc = move_into_place(w, err);
    if (rc == 0) {
        close(w->lock); /* FOLDER.part may be another process's from here on */
        w->lock = -1;
    }
    shard_writer_abort(w);
    return rc;
}

/* --- mending ------------------------------------------------------------------------------------ */

/* Whether each shard that was written is, by name and hash, one of LISTED (those of index.json). */
static int compare_written(const struct shard_writer *w, const json_t *listed, struct err *err)
{
    for (uint32_t i = 0; i < w->n_made; i++) {
        json_t *is = made_json(&w->made[i]);
        const json_t *was;
        size_t k = 0;

        while (is && (was = json_array_get(listed, k)) != NULL && !json_equal(was, is))
            k++;
        json_decref(is);
        if (k == json_array_size(listed))
            return err_set(err, ERR_CHECKSUM,
                           SHARD_NAME " was rebuilt and differs from " SHARD_INDEX_FILE
                                      ": pictures, labels, lists or libraries have changed",
                           w->made[i].number);
    }
    return 0;
}

static int move_written(const struct shard_writer *w, struct err *err)
{
    char from[PATH_LEN], to[PATH_LEN];

    for (uint32_t i = 0; i < w->n_made; i++) {
        if (shard_path(w, w->made[i].number, from, err) < 0 ||
            path_format(to, err, "%s/" SHARD_NAME, w->folder, w->made[i].number) < 0)
            return -1;
        if (rename(from, to) < 0)
            return err_errno(err, "cannot move %s to %s", from, to);
    }
    return path_sync_folder(w->folder, err);
}

int shard_writer_mend(struct shard_writer *w, const json_t *listed, uint32_t *n, struct err *err)
{
    int rc = -1;

    BUG_IF(w->next < w->plan.dataset->n);
    if (shard_writer_end_shard(w, err) == 0 && shard_writer_sync(w, err) == 0 &&
        compare_written(w, listed, err) == 0)
        rc = move_written(w, err);
    *n = w->n_made;
    shard_writer_abort(w);
    return rc;
}

void shard_writer_abort(struct shard_writer *w)
{
    if (!w)
        return;
    shard_file_discard(&w->file);
    if (w->lock >= 0) {
        struct err why;

        if (w->plan.writer == 0 && path_remove_tree(w->part, &why) < 0)
            log_debug("%s", why.msg);
        close(w->lock);
    }
    free(w->made);
    json_decref(w->skipped);
    json_decref(w->more);
    free(w->left_out);
    free(w->settings);
    free(w->vocabulary);
    free(w->order);
    free(w);
}

/* --- compression -------------------------------------------------------------------------------- */

size_t shard_compress_bound(size_t size)
{
    return ZSTD_compressBound(size);
}

int shard_compress(uint8_t *out, size_t capacity, size_t *stored, const uint8_t *pixels,
                   size_t size, struct err *err)
{
    size_t n = ZSTD_compress(out, capacity, pixels, size, SHARD_ZSTD_LEVEL);

    if (ZSTD_isError(n))
        return err_set(err, ERR_NOMEM, "zstd: %s", ZSTD_getErrorName(n));
    *stored = n;
    return 0;
}
