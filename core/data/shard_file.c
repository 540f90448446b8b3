/* shard_file.c - one HDF5 file of pictures, each a dataset of its own, and its table /index.
 *
 * The bytes depend on nothing but what is put in: no object keeps times (creation lists of the file,
 * of every group and of every dataset), groups are made explicitly (those the library makes on the way
 * keep times), strings have a fixed length, rows are zeroed first, structures are those of one version
 * of the library, and no filter plug-in is looked for (a found one would put its name in the file).
 * Threads: one at a time; the library may be built without locks.
 * SPDX-License-Identifier: MIT */
#include "data/shard_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/size.h"
#include "data/shard_format.h"

enum { COMPACT_ATTRIBUTE_MAX = 60000 }; /* the format allows 64 KiB in an object's header */

/* Keeps the library's error stack, which every other call of it clears: a failure is told last. */
static void close_id(hid_t id)
{
    hid_t stack;

    if (id <= 0)
        return;
    stack = H5Eget_current_stack();
    if (H5Iis_valid(id) > 0)
        H5Idec_ref(id);
    H5Eset_current_stack(stack);
}

/* After a failed write the library still wants to write what it holds, when an object is closed, when
 * the file is, and at exit; and an object whose closing fails is freed and keeps its number, which ends
 * the process at exit. The file is lost anyway: so let all that go into a sparse file in memory, before
 * anything is closed. A limit on file sizes holds there too; then into /dev/null, which takes all
 * writes, though no sizes. */
static void let_go(struct shard_file *f)
{
    struct rlimit limit;
    int nowhere = -1;

    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY)
        nowhere = memfd_create("discarded", MFD_CLOEXEC);
    if (nowhere < 0)
        nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nowhere < 0)
        return;
    if (f->fd >= 0)
        dup3(nowhere, f->fd, O_CLOEXEC);
    close(nowhere);
}

void shard_file_discard(struct shard_file *f)
{
    if (f->file > 0) {
        if (H5Fflush(f->file, H5F_SCOPE_GLOBAL) < 0)
            let_go(f);
        close_id(f->images);
        H5Fclose(f->file);
        H5Eclear2(H5E_DEFAULT);
        unlink(f->path);
    }
    free(f->rows);
    memset(f, 0, sizeof *f);
    f->fd = -1;
}

static int failed(struct shard_file *f, struct err *err, const char *what)
{
    return shard_hdf5_error(err, ERR_IO, "%s: cannot write %s", f->path, what);
}

static hid_t creation_without_times(hid_t class)
{
    hid_t p = H5Pcreate(class);

    if (p >= 0 && H5Pset_obj_track_times(p, false) < 0) {
        H5Pclose(p);
        return -1;
    }
    return p;
}

static hid_t make_group(hid_t parent, const char *name)
{
    hid_t create = creation_without_times(H5P_GROUP_CREATE);
    hid_t group = create < 0 ? -1 : H5Gcreate2(parent, name, H5P_DEFAULT, create, H5P_DEFAULT);

    close_id(create);
    return group;
}

static hid_t create_file(const char *path, const struct shard_about *about)
{
    hid_t access = shard_file_access();
    hid_t create = creation_without_times(H5P_FILE_CREATE);
    hid_t file = -1;
    size_t bytes = about->vocabulary_width * (size_t)about->n_classes;

    if (access >= 0 && create >= 0 && H5PLset_loading_state(0) >= 0 &&
        (bytes <= COMPACT_ATTRIBUTE_MAX || H5Pset_attr_phase_change(create, 0, 0) >= 0))
        file = H5Fcreate(path, H5F_ACC_TRUNC, create, access);
    close_id(access);
    close_id(create);
    return file;
}

int shard_file_create(struct shard_file *f, const char *path, uint32_t capacity,
                      const struct shard_about *about, struct err *err)
{
    void *handle = NULL;
    size_t bytes;

    memset(f, 0, sizeof *f);
    f->fd = -1;
    if (path_format(f->path, err, "%s", path) < 0)
        return -1;
    f->about = about;
    f->capacity = capacity;
    f->row_size = sizeof(struct shard_row) + about->path_size;
    if (!mul_size(&bytes, capacity, f->row_size) || !(f->rows = calloc(bytes, 1)))
        return err_set(err, ERR_NOMEM, "%s: no memory for the index", path);
    f->file = create_file(path, about);
    if (f->file < 0) {
        f->file = 0;
        shard_hdf5_error(err, ERR_IO, "cannot create %s", path);
        shard_file_discard(f);
        return -1;
    }
    if (H5Fget_vfd_handle(f->file, H5P_DEFAULT, &handle) >= 0 && handle)
        f->fd = *(const int *)handle;
    f->images = make_group(f->file, SHARD_IMAGES);
    if (f->images < 0) {
        failed(f, err, SHARD_IMAGES);
        shard_file_discard(f);
        return -1;
    }
    return 0;
}

/* --- pictures ----------------------------------------------------------------------------------- */

/* Makes the groups above PATH in the images group. */
static int make_parents(hid_t images, const char *path)
{
    char part[SHARD_PATH_MAX];
    size_t length = strlen(path);
    hid_t group;

    memcpy(part, path, length + 1);
    for (size_t i = 1; i < length; i++) {
        if (path[i] != '/')
            continue;
        part[i] = '\0';
        if (H5Lexists(images, part, H5P_DEFAULT) <= 0) {
            group = make_group(images, part);
            if (group < 0)
                return -1;
            close_id(group);
        }
        part[i] = '/';
    }
    return 0;
}

/* TEXTS is N strings of exactly SIZE bytes each. N 0: a scalar. */
static int put_text(hid_t object, const char *name, const char *texts, size_t size, hsize_t n)
{
    hid_t type = shard_text_type(size), attribute = -1;
    hid_t space = n ? H5Screate_simple(1, &n, NULL) : H5Screate(H5S_SCALAR);
    int rc = -1;

    if (type >= 0 && space >= 0)
        attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0 && H5Awrite(attribute, type, texts) >= 0)
        rc = 0;
    close_id(attribute);
    close_id(space);
    close_id(type);
    return rc;
}

static int put_line(hid_t object, const char *name, const char *text)
{
    return put_text(object, name, text, text[0] ? strlen(text) : 1, 0);
}

/* HDF5 Image and Palette Specification 1.2: how a viewer knows that this is a picture. */
static int put_image_attributes(hid_t dataset)
{
    static const char *const attributes[][2] = {
        {"CLASS", "IMAGE"},
        {"IMAGE_VERSION", "1.2"},
        {"IMAGE_SUBCLASS", "IMAGE_TRUECOLOR"},
        {"INTERLACE_MODE", "INTERLACE_PIXEL"},
        {"DISPLAY_ORIGIN", "UL"},
    };

    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++)
        if (put_text(dataset, attributes[i][0], attributes[i][1], strlen(attributes[i][1]) + 1, 0) <
            0)
            return -1;
    return 0;
}

static hid_t picture_creation(int storage, const hsize_t dims[3])
{
    static const unsigned level = SHARD_ZSTD_LEVEL;
    hid_t p = creation_without_times(H5P_DATASET_CREATE);
    bool good = p >= 0 && H5Pset_alloc_time(p, H5D_ALLOC_TIME_EARLY) >= 0 &&
                H5Pset_fill_time(p, H5D_FILL_TIME_NEVER) >= 0;

    /* "optional": the library then takes our frames without having the filter itself */
    if (good && storage == STORAGE_ZSTD)
        good = H5Pset_alloc_time(p, H5D_ALLOC_TIME_INCR) >= 0 && H5Pset_chunk(p, 3, dims) >= 0 &&
               H5Pset_filter(p, SHARD_ZSTD_FILTER, H5Z_FLAG_OPTIONAL, 1, &level) >= 0;
    if (good)
        return p;
    close_id(p);
    return -1;
}

static int write_pixels(hid_t dataset, int storage, const struct shard_pixels *p,
                        struct shard_row *row)
{
    static const hsize_t origin[3] = {0, 0, 0};
    haddr_t address = HADDR_UNDEF;
    unsigned mask = 0;
    hsize_t stored = p->size;

    if (storage == STORAGE_ZSTD) {
        if (H5Dwrite_chunk(dataset, H5P_DEFAULT, 0, origin, p->size, p->bytes) < 0 ||
            H5Dget_chunk_info_by_coord(dataset, origin, &mask, &address, &stored) < 0)
            return -1;
    } else {
        if (H5Dwrite(dataset, H5T_STD_U8LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, p->bytes) < 0)
            return -1;
        address = H5Dget_offset(dataset);
    }
    if (address == HADDR_UNDEF)
        return -1;
    row->address = address;
    row->stored = stored;
    return 0;
}

/* A picture is a dataset of its pixels; a JPEG file is no image to HDF5, but a row of bytes. */
static int put_picture(struct shard_file *f, const char *path, const struct shard_pixels *p,
                       struct shard_row *row)
{
    const bool jpeg = f->about->storage == STORAGE_JPEG;
    const hsize_t dims[3] = {p->height, p->width, 3}, size = p->size;
    hid_t create = picture_creation(f->about->storage, dims);
    hid_t space = jpeg ? H5Screate_simple(1, &size, NULL) : H5Screate_simple(3, dims, NULL);
    hid_t dataset = -1;
    int rc = -1;

    if (create >= 0 && space >= 0 && make_parents(f->images, path) >= 0)
        dataset =
            H5Dcreate2(f->images, path, H5T_STD_U8LE, space, H5P_DEFAULT, create, H5P_DEFAULT);
    if (dataset >= 0 && (jpeg || put_image_attributes(dataset) >= 0) &&
        write_pixels(dataset, f->about->storage, p, row) >= 0 && H5Dflush(dataset) >= 0)
        rc = 0;
    if (rc < 0)
        let_go(f);
    close_id(dataset);
    close_id(space);
    close_id(create);
    return rc;
}

int shard_file_add(struct shard_file *f, const struct dataset_item *item, uint32_t rank,
                   const struct shard_pixels *p, struct err *err)
{
    struct shard_row row;
    uint8_t *to = f->rows + (size_t)f->n * f->row_size;
    size_t length = strlen(item->path);

    BUG_IF(f->n >= f->capacity || length > f->about->path_size || length >= SHARD_PATH_MAX);
    memset(&row, 0, sizeof row);
    row.rank = rank;
    row.label = item->label;
    row.official = item->official;
    row.height = p->height;
    row.width = p->width;
    row.original_height = p->original_height;
    row.original_width = p->original_width;
    row.crc32c = p->crc32c;
    strncpy(row.format, p->format, sizeof row.format - 1);
    if (put_picture(f, item->path, p, &row) < 0)
        return shard_hdf5_error(err, ERR_IO, "%s: cannot write the picture %s", f->path,
                                item->path);
    memcpy(to, &row, sizeof row);
    memcpy(to + sizeof row, item->path, length); /* the rest is zero */
    f->n++;
    return 0;
}

/* --- the index and the end ---------------------------------------------------------------------- */

static int write_index(struct shard_file *f)
{
    const hsize_t n = f->n;
    hid_t in_memory = shard_row_type(f->about->path_size, false);
    hid_t in_file = shard_row_type(f->about->path_size, true);
    hid_t create = creation_without_times(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(1, &n, NULL), dataset = -1;
    int rc = -1;

    if (in_memory >= 0 && in_file >= 0 && create >= 0 && space >= 0)
        dataset =
            H5Dcreate2(f->file, SHARD_INDEX, in_file, space, H5P_DEFAULT, create, H5P_DEFAULT);
    if (dataset >= 0 && H5Dwrite(dataset, in_memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, f->rows) >= 0)
        rc = 0;
    close_id(dataset);
    close_id(space);
    close_id(create);
    close_id(in_file);
    close_id(in_memory);
    return rc;
}

static int put_version(hid_t file)
{
    static const int32_t version = SHARD_VERSION;
    hid_t space = H5Screate(H5S_SCALAR), attribute = -1;
    int rc = -1;

    if (space >= 0)
        attribute =
            H5Acreate2(file, SHARD_ATTR_VERSION, H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_INT32, &version) >= 0)
        rc = 0;
    close_id(attribute);
    close_id(space);
    return rc;
}

int shard_file_close(struct shard_file *f, struct err *err)
{
    const struct shard_about *about = f->about;
    const char *what = "the index";
    herr_t closed;

    if (write_index(f) < 0)
        goto fail;
    what = "the attributes";
    if (put_version(f->file) < 0 ||
        put_text(f->file, SHARD_ATTR_VOCABULARY, about->vocabulary, about->vocabulary_width,
                 (hsize_t)about->n_classes) < 0 ||
        put_line(f->file, SHARD_ATTR_SETTINGS, about->settings) < 0 ||
        put_line(f->file, SHARD_ATTR_DECODER, about->decoder) < 0 ||
        put_line(f->file, SHARD_ATTR_MANIFEST, about->manifest_sha256) < 0)
        goto fail;
    what = "what the library held back";
    if (H5Fflush(f->file, H5F_SCOPE_GLOBAL) < 0)
        goto fail;
    close_id(f->images);
    closed = H5Fclose(f->file);
    if (closed < 0) {
        if (H5Iis_valid(f->file) <= 0)
            f->fd = -1; /* closed already: the number may be another file's by now */
        goto fail;
    }
    free(f->rows);
    memset(f, 0, sizeof *f);
    f->fd = -1;
    return 0;
fail:
    failed(f, err, what);
    shard_file_discard(f);
    return -1;
}

/* --- reading it again --------------------------------------------------------------------------- */

int shard_file_rows(uint8_t **rows, uint32_t *n, const char *path, size_t path_size,
                    struct err *err)
{
    const hid_t access = shard_file_access(), type = shard_row_type(path_size, false);
    hid_t file = -1, dataset = -1, space = -1;
    hssize_t count = -1;
    int rc = -1;

    *rows = NULL;
    if (access >= 0 && type >= 0)
        file = H5Fopen(path, H5F_ACC_RDONLY, access);
    if (file >= 0)
        dataset = H5Dopen2(file, SHARD_INDEX, H5P_DEFAULT);
    if (dataset >= 0)
        space = H5Dget_space(dataset);
    if (space >= 0)
        count = H5Sget_simple_extent_npoints(space);
    if (count > 0 && count <= UINT32_MAX)
        *rows = calloc((size_t)count, sizeof(struct shard_row) + path_size);
    if (*rows && H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, *rows) >= 0)
        rc = 0;
    else
        shard_hdf5_error(err, ERR_FORMAT, "cannot read %s", path);
    *n = rc == 0 ? (uint32_t)count : 0;
    close_id(space);
    close_id(dataset);
    close_id(file);
    close_id(type);
    close_id(access);
    return rc;
}
