/* predictions.c - predictions as CSV for people and as HDF5 for programs.
 *
 * The HDF5 file is built in memory (core driver) and then written as bytes: a full disk is then an
 * ordinary failed write. SPDX-License-Identifier: MIT */
#include "base/markup.h"
#include "run/predictions.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/size.h"

enum {
    FORMAT_VERSION = 1,
    FLOAT_TEXT = 32,
    IMAGE_STEP = 1 << 20, /* by which the file in memory grows, bytes */
    TEXT_MAX = 4096,      /* of the library's reasons, bytes */
};

int predictions_new(struct predictions **out, uint32_t n, int32_t classes, struct err *err)
{
    struct predictions *p = calloc(1, sizeof *p);
    size_t cells;

    BUG_IF(classes < 1);
    *out = NULL;
    if (!p || !mul_size(&cells, n, (size_t)classes))
        goto fail;
    p->n = n;
    p->classes = classes;
    /* One more of each: calloc(0) may be NULL. */
    p->ids = calloc((size_t)n + 1, sizeof *p->ids);
    p->actual = calloc((size_t)n + 1, sizeof *p->actual);
    p->predicted = calloc((size_t)n + 1, sizeof *p->predicted);
    p->loss = calloc((size_t)n + 1, sizeof *p->loss);
    p->prob = calloc(cells + 1, sizeof *p->prob);
    p->vocab = calloc((size_t)classes, sizeof *p->vocab);
    if (!p->ids || !p->actual || !p->predicted || !p->loss || !p->prob || !p->vocab)
        goto fail;
    *out = p;
    return 0;
fail:
    predictions_free(p);
    return err_set(err, ERR_NOMEM, "predictions of %u pictures, %d classes", n, classes);
}

int32_t predictions_class(const struct predictions *p, const char *name)
{
    int32_t c = 0;

    while (c < p->classes && strcmp(p->vocab[c], name) != 0)
        c++;
    return c < p->classes ? c : -1;
}

void predictions_free(struct predictions *p)
{
    if (!p)
        return;
    for (uint32_t i = 0; p->ids && i < p->n; i++)
        free(p->ids[i]);
    for (int32_t c = 0; p->vocab && c < p->classes; c++)
        free(p->vocab[c]);
    free(p->ids);
    free(p->vocab);
    free(p->actual);
    free(p->predicted);
    free(p->prob);
    free(p->loss);
    free(p);
}

/* --- CSV ------------------------------------------------------------------------------------------ */

static void put_cell(FILE *out, const struct predictions *p, const char *text)
{
    if (p->plain_csv)
        markup_csv_as_it_is(out, text);
    else
        markup_csv(out, text);
}

/* The shortest decimal that reads back equal. */
static void put_float(FILE *out, float x)
{
    char text[FLOAT_TEXT];

    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x)
            break;
    }
    fputs(text, out);
}

static int write_table(const struct predictions *p, const char *folder, struct err *err)
{
    struct new_file f;
    char path[PATH_LEN];

    if (path_format(path, err, "%s/predictions.csv", folder) < 0 ||
        new_file_begin(&f, path, err) < 0)
        return -1;
    fputs("id,actual,predicted,p_actual,p_predicted,loss\n", f.file);
    for (uint32_t i = 0; i < p->n; i++) {
        const float *row = p->prob + (size_t)i * (size_t)p->classes;

        put_cell(f.file, p, p->ids[i]);
        fputc(',', f.file);
        put_cell(f.file, p, p->vocab[p->actual[i]]);
        fputc(',', f.file);
        put_cell(f.file, p, p->vocab[p->predicted[i]]);
        fputc(',', f.file);
        put_float(f.file, row[p->actual[i]]);
        fputc(',', f.file);
        put_float(f.file, row[p->predicted[i]]);
        fputc(',', f.file);
        put_float(f.file, p->loss[i]);
        fputc('\n', f.file);
    }
    return new_file_finish(&f, err);
}

static int write_classes(const struct predictions *p, const uint32_t *counts, const char *folder,
                         struct err *err)
{
    struct class_score *scores = calloc((size_t)p->classes, sizeof *scores);
    struct new_file f;
    char path[PATH_LEN];
    int rc = -1;

    if (!scores)
        return err_set(err, ERR_NOMEM, "per_class.csv");
    confusion_scores(scores, counts, p->classes);
    if (path_format(path, err, "%s/per_class.csv", folder) < 0 || new_file_begin(&f, path, err) < 0)
        goto out;
    fputs("class,precision,recall,f1,support,predicted,correct,recall_low,recall_high\n", f.file);
    for (int32_t c = 0; c < p->classes; c++) {
        const struct class_score *s = &scores[c];

        put_cell(f.file, p, p->vocab[c]);
        if (s->support == 0 && !p->zero_absent) /* nothing to recall: no figure is better than 0 */
            fprintf(f.file, ",,,,0,%u,0,,\n", s->predicted);
        else
            fprintf(f.file, ",%.6f,%.6f,%.6f,%u,%u,%u,%.6f,%.6f\n", s->precision, s->recall, s->f1,
                    s->support, s->predicted, s->correct, s->low, s->high);
    }
    rc = new_file_finish(&f, err);
out:
    free(scores);
    return rc;
}

/* --- HDF5 ----------------------------------------------------------------------------------------- */

/* What the library says of the innermost failure; its own printing is off. */
static herr_t innermost(unsigned n, const H5E_error2_t *error, void *text)
{
    if (n == 0)
        snprintf(text, TEXT_MAX, "%s", error->desc ? error->desc : "");
    return 0;
}

static int hdf5_error(struct err *err, const char *what)
{
    char text[TEXT_MAX] = "";

    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, text);
    return err_set(err, ERR_FORMAT, "%s: %s", what, text[0] ? text : "HDF5 gives no reason");
}

static size_t longest(char *const *texts, size_t n)
{
    size_t most = 1;

    for (size_t i = 0; i < n; i++)
        if (strlen(texts[i]) > most)
            most = strlen(texts[i]);
    return most;
}

static hid_t text_type(size_t size)
{
    hid_t type = H5Tcopy(H5T_C_S1);

    if (type >= 0 && (H5Tset_size(type, size) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0 ||
                      H5Tset_strpad(type, H5T_STR_NULLPAD) < 0)) {
        H5Tclose(type);
        return -1;
    }
    return type;
}

static int put_dataset(hid_t file, const char *name, int rank, const hsize_t *dims, hid_t stored,
                       hid_t memory, const void *data, struct err *err)
{
    hid_t space = H5Screate_simple(rank, dims, NULL), set = -1;
    hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    int rc = -1;

    if (space >= 0 && create >= 0 && H5Pset_obj_track_times(create, false) >= 0)
        set = H5Dcreate2(file, name, stored, space, H5P_DEFAULT, create, H5P_DEFAULT);
    if (set >= 0 &&
        (dims[0] == 0 || H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0))
        rc = 0;
    if (rc < 0)
        hdf5_error(err, name);
    if (set >= 0 && H5Dclose(set) < 0 && rc == 0)
        rc = hdf5_error(err, name);
    if (create >= 0)
        H5Pclose(create);
    if (space >= 0)
        H5Sclose(space);
    return rc;
}

static int put_texts(hid_t file, const char *name, char *const *texts, size_t n, struct err *err)
{
    size_t width = longest(texts, n), bytes;
    const hsize_t dims[1] = {n};
    char *packed = NULL;
    hid_t type = -1;
    int rc = -1;

    if (mul_size(&bytes, width, n))
        packed = calloc(bytes + 1, 1);
    if (!packed)
        return err_set(err, ERR_NOMEM, "%s", name);
    for (size_t i = 0; i < n; i++)
        memcpy(packed + i * width, texts[i], strlen(texts[i]));
    type = text_type(width);
    if (type < 0)
        hdf5_error(err, name);
    else
        rc = put_dataset(file, name, 1, dims, type, type, packed, err);
    if (type >= 0)
        H5Tclose(type);
    free(packed);
    return rc;
}

static int put_number(hid_t file, const char *name, int32_t value, struct err *err)
{
    hid_t space = H5Screate(H5S_SCALAR), attribute = -1;
    int rc = -1;

    if (space >= 0)
        attribute = H5Acreate2(file, name, H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_INT32, &value) >= 0)
        rc = 0;
    if (rc < 0)
        hdf5_error(err, name);
    if (attribute >= 0)
        H5Aclose(attribute);
    if (space >= 0)
        H5Sclose(space);
    return rc;
}

/* Whether a class has no picture among these. */
static bool has_absent(const struct predictions *p)
{
    for (int32_t c = 0; c < p->classes; c++) {
        uint32_t i = 0;

        while (i < p->n && p->actual[i] != c)
            i++;
        if (i == p->n)
            return true;
    }
    return false;
}

static int put_all(hid_t file, const struct predictions *p, struct err *err)
{
    const hsize_t n[1] = {p->n}, cells[2] = {p->n, (hsize_t)p->classes};

    if (put_number(file, "presize_version", FORMAT_VERSION, err) < 0 ||
        (has_absent(p) && !p->zero_absent && put_number(file, "absent_blank", 1, err) < 0) ||
        put_texts(file, "ids", p->ids, p->n, err) < 0 ||
        put_texts(file, "vocab", p->vocab, (size_t)p->classes, err) < 0)
        return -1;
    if (put_dataset(file, "actual", 1, n, H5T_STD_I32LE, H5T_NATIVE_INT32, p->actual, err) < 0 ||
        put_dataset(file, "predicted", 1, n, H5T_STD_I32LE, H5T_NATIVE_INT32, p->predicted, err) <
            0)
        return -1;
    if (put_dataset(file, "prob", 2, cells, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, p->prob, err) < 0)
        return -1;
    return put_dataset(file, "loss", 1, n, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, p->loss, err);
}

/* A file in memory whose bytes depend on nothing but what is put into it: no times, fixed bounds (the
 * lower one because HDF5 1.10 gives images of files with newer superblocks a wrong checksum). */
static hid_t memory_file(void)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), create = H5Pcreate(H5P_FILE_CREATE), file = -1;

    if (access >= 0 && create >= 0 && H5Pset_fapl_core(access, IMAGE_STEP, false) >= 0 &&
        H5Pset_libver_bounds(access, H5F_LIBVER_EARLIEST, H5F_LIBVER_V18) >= 0 &&
        H5Pset_obj_track_times(create, false) >= 0)
        file = H5Fcreate("predictions", H5F_ACC_TRUNC, create, access);
    if (access >= 0)
        H5Pclose(access);
    if (create >= 0)
        H5Pclose(create);
    return file;
}

static int write_hdf5(const struct predictions *p, const char *folder, struct err *err)
{
    char path[PATH_LEN];
    void *image = NULL;
    ssize_t size;
    hid_t file;
    int rc = -1;

    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    if (path_format(path, err, "%s/predictions.h5", folder) < 0)
        return -1;
    file = memory_file();
    if (file < 0)
        return hdf5_error(err, path);
    if (put_all(file, p, err) < 0) {
        err_wrap(err, "%s", path);
        goto out;
    }
    if (H5Fflush(file, H5F_SCOPE_LOCAL) < 0 || (size = H5Fget_file_image(file, NULL, 0)) < 0) {
        hdf5_error(err, path);
        goto out;
    }
    image = malloc((size_t)size);
    if (!image || H5Fget_file_image(file, image, (size_t)size) != size) {
        err_set(err, ERR_NOMEM, "%s: %zd bytes", path, size);
        goto out;
    }
    rc = path_write(path, image, (size_t)size, err);
out:
    free(image);
    if (H5Fclose(file) < 0 && rc == 0)
        rc = hdf5_error(err, path);
    return rc;
}

static int check_whole(const struct predictions *p, struct err *err)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (p->actual[i] < 0 || p->actual[i] >= p->classes || p->predicted[i] < 0 ||
            p->predicted[i] >= p->classes)
            return err_set(err, ERR_FORMAT, "picture %u: a label out of 0..%d", i, p->classes - 1);
    return 0;
}

int predictions_write(const struct predictions *p, const char *folder, struct err *err)
{
    uint32_t *counts;
    int rc = -1;

    BUG_IF(check_whole(p, NULL) < 0);
    if (confusion_count(&counts, p, err) < 0)
        return -1;
    if (write_table(p, folder, err) == 0 &&
        predictions_write_confusion(p, counts, folder, err) == 0 &&
        write_classes(p, counts, folder, err) == 0)
        rc = write_hdf5(p, folder, err);
    free(counts);
    return rc;
}

int predictions_write_confusion(const struct predictions *p, const uint32_t *counts,
                                const char *folder, struct err *err)
{
    struct new_file f;
    char path[PATH_LEN];

    if (path_format(path, err, "%s/confusion.csv", folder) < 0 || new_file_begin(&f, path, err) < 0)
        return -1;
    fputs("actual", f.file);
    for (int32_t c = 0; c < p->classes; c++) {
        fputc(',', f.file);
        put_cell(f.file, p, p->vocab[c]);
    }
    fputc('\n', f.file);
    for (int32_t a = 0; a < p->classes; a++) {
        put_cell(f.file, p, p->vocab[a]);
        for (int32_t c = 0; c < p->classes; c++)
            fprintf(f.file, ",%u", counts[(size_t)a * (size_t)p->classes + (size_t)c]);
        fputc('\n', f.file);
    }
    return new_file_finish(&f, err);
}
