/* shard_check.c - go through a folder of shards byte by byte and name what is wrong.
 *
 * Threads: calls HDF5; one thread at a time. SPDX-License-Identifier: MIT */
#include "data/shard_check.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/path.h"
#include "data/offenders.h"
#include "data/shard_open.h"

struct check {
    struct shard_set *set;
    struct shard_check_report *report;
    struct offenders wrong;
    bool only_missing; /* every problem so far is a file that is not there */
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
    uint64_t done, total; /* each file's bytes count twice: hashed, then read picture by picture */
    uint8_t *pixels;
    size_t room;
};

static void note(struct check *c, const char *file, const char *what, const char *message)
{
    offenders_add(&c->wrong, "%s: %s%s%s", file, what, what[0] ? ": " : "", message);
    c->only_missing = false;
}

static void step(struct check *c, uint64_t bytes)
{
    c->done += bytes;
    if (c->progress)
        c->progress(c->ctx, c->done, c->total);
}

/* --- one file ----------------------------------------------------------------------------------- */

/* Whether the file is there; notes where its bytes are not those of index.json. */
static bool check_bytes(struct check *c, uint32_t number)
{
    const struct shard *sh = &c->set->shards[number];
    struct index_shard entry;
    char path[PATH_LEN], hex[SHA256_HEX], text[160];
    uint64_t size;
    struct err why;

    fields_read(index_shard_fields, SHARD_INDEX_VERSION, &entry,
                json_array_get(c->set->record.shards, number), NULL);
    if (path_format(path, &why, "%s/%s", c->set->folder, sh->file) < 0) {
        note(c, sh->file, "", why.msg);
        return false;
    }
    if (shard_complete(c->set, number, &why) < 0) {
        note(c, sh->file, "", why.msg);
        return false;
    }
    if (!path_exists(path)) {
        offenders_add(&c->wrong, "%s: missing", sh->file);
        return false;
    }
    if (sha256_file(path, hex, &size, &why) < 0) {
        note(c, sh->file, "", why.msg);
        return false;
    }
    c->report->bytes += size;
    if (strcmp(hex, entry.sha256) != 0) {
        snprintf(text, sizeof text,
                 "SHA-256 %.12s... of %llu bytes, " SHARD_INDEX_FILE " says %.12s... of %llu", hex,
                 (unsigned long long)size, entry.sha256, (unsigned long long)sh->bytes);
        note(c, sh->file, "", text);
    }
    return true;
}

static bool same_text(hid_t file, const char *name, const char *expected)
{
    struct err why;

    return expected && shard_same_text(file, name, expected, &why) > 0;
}

/* What opening the shard did not look at. */
static void check_attributes(struct check *c, const char *name, hid_t file)
{
    if (!same_text(file, SHARD_ATTR_DECODER, c->set->record.decoder))
        note(c, name, "decoder", "not that of " SHARD_INDEX_FILE);
}

/* Whether a dataset has P's shape: its pixels', or that of a JPEG file's bytes. */
static bool has_extent(hid_t space, int storage, const struct shard_picture *p)
{
    const bool jpeg = storage == STORAGE_JPEG;
    hsize_t dims[3] = {0, 0, 0};

    if (H5Sget_simple_extent_ndims(space) != (jpeg ? 1 : 3) ||
        H5Sget_simple_extent_dims(space, dims, NULL) < 0)
        return false;
    return jpeg ? dims[0] == p->stored
                : dims[0] == p->height && dims[1] == p->width && dims[2] == 3;
}

/* NULL, or what about the dataset is not as its row says. */
static const char *dataset_fault(const struct check *c, hid_t dataset,
                                 const struct shard_picture *p)
{
    static const hsize_t origin[3] = {0, 0, 0};
    hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    hid_t create = H5Dget_create_plist(dataset);
    hsize_t stored = 0;
    haddr_t address = HADDR_UNDEF;
    unsigned mask = 0;
    const char *fault = NULL;
    const bool zstd = c->set->storage == STORAGE_ZSTD;

    if (type < 0 || space < 0 || create < 0)
        fault = "the dataset cannot be read";
    else if (H5Tequal(type, H5T_STD_U8LE) <= 0)
        fault = "not 8-bit pixels";
    else if (!has_extent(space, c->set->storage, p))
        fault = "another size than in " SHARD_INDEX;
    else if (H5Pget_layout(create) != (zstd ? H5D_CHUNKED : H5D_CONTIGUOUS))
        fault = "another storage than in " SHARD_INDEX_FILE;
    else if (!zstd)
        address = H5Dget_offset(dataset), stored = H5Dget_storage_size(dataset);
    else if (H5Dget_chunk_info_by_coord(dataset, origin, &mask, &address, &stored) < 0 || mask != 0)
        fault = "its chunk cannot be read";
    if (!fault && (address != p->address || stored != p->stored))
        fault = "at another place than in " SHARD_INDEX;
    if (create >= 0)
        H5Pclose(create);
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    return fault;
}

static herr_t count_dataset(hid_t object, const char *name, const H5O_info_t *info, void *arg)
{
    (void)object;
    (void)name;
    *(uint64_t *)arg += info->type == H5O_TYPE_DATASET;
    return 0;
}

static void check_datasets(struct check *c, const struct shard *sh, hid_t file,
                           const struct shard_picture *pictures)
{
    hid_t images = H5Gopen2(file, SHARD_IMAGES, H5P_DEFAULT);
    uint64_t found = 0;

    if (images < 0 || H5Ovisit2(images, H5_INDEX_NAME, H5_ITER_NATIVE, count_dataset, &found,
                                H5O_INFO_BASIC) < 0) {
        note(c, sh->file, SHARD_IMAGES, "missing or damaged");
    } else {
        if (found != sh->count)
            note(c, sh->file, SHARD_IMAGES, "not as many pictures as rows in " SHARD_INDEX);
        for (uint32_t i = 0; i < sh->count; i++) {
            hid_t dataset = H5Dopen2(images, pictures[i].path, H5P_DEFAULT);
            const char *fault =
                dataset < 0 ? "no such dataset" : dataset_fault(c, dataset, &pictures[i]);

            if (fault)
                note(c, sh->file, pictures[i].path, fault);
            if (dataset >= 0)
                H5Dclose(dataset);
        }
    }
    if (images >= 0)
        H5Gclose(images);
}

static void check_structure(struct check *c, const struct shard *sh,
                            const struct shard_picture *pictures)
{
    char path[PATH_LEN];
    struct err why;
    hid_t access = shard_file_access(), file = -1;

    if (access >= 0 && path_format(path, &why, "%s/%s", c->set->folder, sh->file) == 0)
        file = H5Fopen(path, H5F_ACC_RDONLY, access);
    if (file < 0) {
        note(c, sh->file, "", "cannot be opened as HDF5");
    } else {
        check_attributes(c, sh->file, file);
        check_datasets(c, sh, file, pictures);
        H5Fclose(file);
    }
    if (access >= 0)
        H5Pclose(access);
    H5Eclear2(H5E_DEFAULT);
}

static int check_pixels(struct check *c, const struct shard *sh, const struct shard_picture *p,
                        struct err *err)
{
    size_t size = (size_t)p->height * p->width * 3;
    struct err why;

    if (size > c->room) {
        free(c->pixels);
        c->pixels = malloc(size);
        c->room = c->pixels ? size : 0;
        if (!c->pixels)
            return err_set(err, ERR_NOMEM, "%s: a picture of %zu bytes: out of memory", p->path,
                           size);
    }
    if (shard_read_picture(c->set, p, c->pixels, true, &why) < 0)
        note(c, sh->file, p->path, why.msg);
    else
        c->report->pictures++;
    step(c, p->stored);
    return 0;
}

/* Checks shard NUMBER; PICTURES gets its rows, *TAKEN how many of them can be trusted. */
static int check_shard(struct check *c, uint32_t number, struct shard_picture *pictures,
                       uint32_t *taken, struct err *err)
{
    const struct shard *sh = &c->set->shards[number];
    uint32_t before = c->wrong.n;
    uint64_t end = c->done + 2 * sh->bytes;
    struct err why;

    *taken = 0;
    if (check_bytes(c, number)) {
        step(c, sh->bytes);
        if (shard_table_open(c->set, number, pictures, &why) < 0) {
            note(c, sh->file, "", why.msg);
        } else {
            *taken = sh->count;
            check_structure(c, sh, pictures);
            for (uint32_t i = 0; i < sh->count; i++)
                if (check_pixels(c, sh, &pictures[i], err) < 0)
                    return -1;
        }
    }
    c->report->shards += c->wrong.n == before;
    if (c->done < end)
        step(c, end - c->done);
    return 0;
}

/* --- the whole ---------------------------------------------------------------------------------- */

static int by_rank(const void *a, const void *b)
{
    uint32_t x = ((const struct shard_picture *)a)->rank;
    uint32_t y = ((const struct shard_picture *)b)->rank;

    return (x > y) - (x < y);
}

/* Ranks number the sorted paths: both rise together, none comes twice. */
static void check_ranks(struct check *c, struct shard_picture *pictures, uint32_t n)
{
    qsort(pictures, n, sizeof *pictures, by_rank);
    for (uint32_t i = 1; i < n; i++)
        if (pictures[i].rank == pictures[i - 1].rank ||
            strcmp(pictures[i - 1].path, pictures[i].path) >= 0)
            note(c, c->set->shards[pictures[i].shard].file, pictures[i].path,
                 "its rank does not fit its path");
}

static int check_set(struct check *c, struct err *err)
{
    struct shard_set *s = c->set;
    struct shard_picture *pictures = calloc(s->n, sizeof *pictures);
    uint32_t n = 0;
    int rc = 0;

    if (!pictures)
        return err_set(err, ERR_NOMEM, "%u pictures: out of memory", s->n);
    for (uint32_t i = 0; i < s->n_shards; i++)
        c->total += 2 * s->shards[i].bytes;
    for (uint32_t i = 0; rc == 0 && i < s->n_shards; i++) {
        uint32_t taken;

        rc = check_shard(c, i, pictures + n, &taken, err);
        n += taken;
    }
    if (rc == 0)
        check_ranks(c, pictures, n);
    free(pictures);
    return rc;
}

int shard_check(struct shard_check_report *out, const char *folder,
                void (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                struct err *err)
{
    struct check c = {.report = out, .only_missing = true, .progress = progress, .ctx = ctx};
    int rc;

    memset(out, 0, sizeof *out);
    if (shard_index_open(&c.set, folder, err) < 0) {
        out->problems = 1;
        return err_wrap(err, "%s", folder);
    }
    rc = check_set(&c, err);
    if (rc == 0 && c.wrong.n > 0) {
        rc = err_set(err, c.only_missing ? ERR_IO : ERR_FORMAT, "%s: %u thing%s wrong", folder,
                     c.wrong.n, c.wrong.n == 1 ? " is" : "s are");
        offenders_append(err, &c.wrong);
    }
    out->problems = c.wrong.n;
    free(c.pixels);
    shard_set_close(c.set);
    return rc;
}

int shard_find_damaged(bool **damaged, uint32_t *n, json_t **index, const char *folder,
                       void (*differs)(const char *what), struct err *err)
{
    struct shard_check_report report = {0};
    struct check c = {.report = &report};

    if (shard_index_open(&c.set, folder, err) < 0)
        return err_wrap(err, "%s", folder);
    *n = c.set->n_shards;
    *damaged = calloc(*n, sizeof **damaged);
    for (uint32_t i = 0; *damaged && i < *n; i++) {
        c.wrong = (struct offenders){0};
        (*damaged)[i] = !check_bytes(&c, i) || c.wrong.n > 0;
        if ((*damaged)[i])
            differs(c.wrong.text);
    }
    *index = json_incref(c.set->index);
    shard_set_close(c.set);
    if (*damaged)
        return 0;
    json_decref(*index);
    return err_set(err, ERR_NOMEM, "%u shards: out of memory", *n);
}
