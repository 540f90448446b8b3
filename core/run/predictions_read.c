/* predictions_read.c - predictions.h5 back into memory, with everything checked that is indexed by.
 * SPDX-License-Identifier: MIT */
#include <hdf5.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/size.h"
#include "run/predictions.h"

enum { FORMAT_VERSION = 1, TEXT_MAX = 4096, CLASSES_MAX = 10000000 };

static int damaged(struct err *err, const char *name, const char *what)
{
    return err_set(err, ERR_FORMAT, "dataset \"%s\": %s", name, what);
}

/* Opens NAME and checks its rank and, where they are not 0, its extents; the rest are filled in. */
static int open_dataset(hid_t *out, hid_t file, const char *name, int rank, hsize_t *dims,
                        struct err *err)
{
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT), space = -1;
    hsize_t found[2] = {0, 0};
    int rc = -1;

    *out = -1;
    if (set < 0)
        return damaged(err, name, "is missing or damaged");
    space = H5Dget_space(set);
    if (space < 0 || H5Sget_simple_extent_ndims(space) != rank ||
        H5Sget_simple_extent_dims(space, found, NULL) != rank) {
        damaged(err, name, "has another shape than it should");
        goto out;
    }
    for (int i = 0; i < rank; i++) {
        if (dims[i] != 0 && dims[i] != found[i]) {
            damaged(err, name, "has another length than the others");
            goto out;
        }
        dims[i] = found[i];
    }
    *out = set;
    rc = 0;
out:
    if (space >= 0)
        H5Sclose(space);
    if (rc < 0)
        H5Dclose(set);
    return rc;
}

/* The bytes must be there: a damaged length would ask for memory without end. */
static int get_numbers(hid_t file, const char *name, int rank, hsize_t *dims, hid_t memory,
                       void *data, struct err *err)
{
    size_t cells = (size_t)dims[0] * (rank > 1 ? (size_t)dims[1] : 1);
    hid_t set;
    int rc = 0;

    if (cells == 0)
        return 0;
    if (open_dataset(&set, file, name, rank, dims, err) < 0)
        return -1;
    if (H5Dget_storage_size(set) != cells * 4 ||
        H5Dread(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
        rc = damaged(err, name, "cannot be read");
    H5Dclose(set);
    return rc;
}

static int unpack(char **texts, size_t n, const char *packed, size_t width)
{
    for (size_t i = 0; i < n; i++) {
        texts[i] = strndup(packed + i * width, width);
        if (!texts[i])
            return -1;
    }
    return 0;
}

static int get_texts(hid_t file, const char *name, size_t n, char **texts, struct err *err)
{
    hsize_t dims[1] = {n};
    hid_t set, type = -1;
    char *packed = NULL;
    size_t width = 0, bytes;
    int rc = -1;

    if (n == 0)
        return 0;
    if (open_dataset(&set, file, name, 1, dims, err) < 0)
        return -1;
    type = H5Dget_type(set);
    if (type >= 0 && H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0)
        width = H5Tget_size(type);
    if (width == 0 || width > TEXT_MAX || !mul_size(&bytes, width, n) ||
        H5Dget_storage_size(set) != bytes) {
        damaged(err, name, "is no list of texts");
        goto out;
    }
    packed = malloc(bytes);
    if (packed && H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, packed) < 0) {
        damaged(err, name, "cannot be read");
        goto out;
    }
    if (!packed || unpack(texts, n, packed, width) < 0) {
        err_set(err, ERR_NOMEM, "%s", name);
        goto out;
    }
    rc = 0;
out:
    free(packed);
    if (type >= 0)
        H5Tclose(type);
    H5Dclose(set);
    return rc;
}

static int check_version(hid_t file, struct err *err)
{
    hid_t attribute = H5Aopen(file, "presize_version", H5P_DEFAULT);
    int32_t version = 0;
    herr_t rc = -1;

    if (attribute >= 0) {
        rc = H5Aread(attribute, H5T_NATIVE_INT32, &version);
        H5Aclose(attribute);
    }
    if (rc < 0)
        return err_set(err, ERR_FORMAT, "no presize_version: not a file of predictions");
    if (version != FORMAT_VERSION)
        return err_set(err, ERR_FORMAT, "version %d; this program reads version %d", version,
                       FORMAT_VERSION);
    return 0;
}

static int check_values(const struct predictions *p, struct err *err)
{
    size_t cells = (size_t)p->n * (size_t)p->classes;

    for (uint32_t i = 0; i < p->n; i++)
        if (p->actual[i] < 0 || p->actual[i] >= p->classes || p->predicted[i] < 0 ||
            p->predicted[i] >= p->classes || isnan(p->loss[i]))
            return err_set(err, ERR_FORMAT, "picture %u: a label or loss that cannot be", i);
    for (size_t i = 0; i < cells; i++)
        if (!(p->prob[i] >= 0 && p->prob[i] <= 1.001F))
            return err_set(err, ERR_FORMAT, "picture %zu: a probability that cannot be",
                           i / (size_t)p->classes);
    return 0;
}

static int get_all(struct predictions **out, hid_t file, struct err *err)
{
    hsize_t cells[2] = {0, 0}, n[1], stored;
    struct predictions *p;
    hid_t set;

    if (check_version(file, err) < 0 || open_dataset(&set, file, "prob", 2, cells, err) < 0)
        return -1;
    stored = H5Dget_storage_size(set);
    H5Dclose(set);
    if (cells[1] < 1 || cells[1] > CLASSES_MAX || cells[0] > UINT32_MAX ||
        stored != cells[0] * cells[1] * sizeof(float))
        return damaged(err, "prob", "has an impossible shape");
    n[0] = cells[0];
    if (predictions_new(&p, (uint32_t)cells[0], (int32_t)cells[1], err) < 0)
        return -1;
    if (get_numbers(file, "prob", 2, cells, H5T_NATIVE_FLOAT, p->prob, err) < 0 ||
        get_numbers(file, "actual", 1, n, H5T_NATIVE_INT32, p->actual, err) < 0 ||
        get_numbers(file, "predicted", 1, n, H5T_NATIVE_INT32, p->predicted, err) < 0 ||
        get_numbers(file, "loss", 1, n, H5T_NATIVE_FLOAT, p->loss, err) < 0 ||
        get_texts(file, "ids", p->n, p->ids, err) < 0 ||
        get_texts(file, "vocab", (size_t)p->classes, p->vocab, err) < 0 ||
        check_values(p, err) < 0) {
        predictions_free(p);
        return -1;
    }
    p->zero_absent = H5Aexists(file, "absent_blank") <= 0;
    *out = p;
    return 0;
}

int predictions_read(struct predictions **out, const char *folder, struct err *err)
{
    char path[PATH_LEN];
    hid_t file;
    int rc;

    *out = NULL;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    if (path_format(path, err, "%s/predictions.h5", folder) < 0)
        return -1;
    if (!path_exists(path))
        return err_set(err, ERR_INPUT, "%s is missing: predictions are written when a run is done",
                       path);
    if (path_check_file(path, err) < 0)
        return -1;
    file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0)
        return err_set(err, ERR_FORMAT, "%s: cannot be opened as HDF5: truncated or damaged?",
                       path);
    rc = get_all(out, file, err);
    H5Fclose(file);
    return rc < 0 ? err_wrap(err, "%s", path) : 0;
}
