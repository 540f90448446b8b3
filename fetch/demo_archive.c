/* demo_archive.c - draw in all processors, write in one order.
 * SPDX-License-Identifier: MIT */
#include "demo_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "base/log.h"
#include "base/path.h"
#include "base/rng.h"
#include "base/thread.h"
#include "base/version.h"
#include "demo_draw.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

enum { TOTAL = DEMO_KINDS * DEMO_PICTURES, LIST_TRAINVAL = 1, LIST_TEST = 2, PATH_ROOM = 128 };

struct jpeg {
    unsigned char *bytes; /* malloc of libjpeg */
    unsigned long size;
};

struct job {
    struct jpeg pictures[TOTAL]; /* kind by kind, number by number */
    struct err err;              /* of the first that failed */
    atomic_flag failed;
    atomic_int done;
};

/* --- JPEG --- */

struct jpeg_failure {
    struct jpeg_error_mgr base;
    jmp_buf back;
    char text[JMSG_LENGTH_MAX];
};

static void on_jpeg_error(j_common_ptr info)
{
    struct jpeg_failure *f = (struct jpeg_failure *)info->err;

    info->err->format_message(info, f->text);
    longjmp(f->back, 1);
}

static int encode(struct jpeg *out, const struct demo_picture *p, int quality, struct err *err)
{
    struct jpeg_compress_struct info;
    struct jpeg_failure failure;

    info.err = jpeg_std_error(&failure.base);
    failure.base.error_exit = on_jpeg_error;
    if (setjmp(failure.back)) {
        jpeg_destroy_compress(&info);
        return err_set(err, ERR_NOMEM, "cannot write a JPEG: %s", failure.text);
    }
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &out->bytes, &out->size);
    info.image_width = (JDIMENSION)p->width;
    info.image_height = (JDIMENSION)p->height;
    info.input_components = 3;
    info.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, quality, TRUE);
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
        JSAMPROW row = p->rgb + (size_t)info.next_scanline * (size_t)p->width * 3;

        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    return 0;
}

static void draw_one(void *ctx, int i, int worker)
{
    struct job *j = ctx;
    struct demo_picture p = {0};
    struct err err = {0};
    int kind = i / DEMO_PICTURES, number = i % DEMO_PICTURES + 1;

    (void)worker;
    if (demo_draw(&p, kind, number, &err) < 0 ||
        encode(&j->pictures[i], &p, 75 + (i * 7) % 20, &err) < 0)
        if (!atomic_flag_test_and_set(&j->failed))
            j->err = err;
    free(p.rgb);
    progress_set((uint64_t)atomic_fetch_add(&j->done, 1) + 1, NULL);
}

static int draw_all(struct job *j, struct err *err)
{
    int threads = cpu_count();
    struct pool *pool;

    if (pool_new(&pool, threads < 16 ? threads : 16, NULL, NULL, err) < 0)
        return -1;
    progress_begin("draw", TOTAL);
    pool_run(pool, TOTAL, draw_one, j);
    progress_end();
    pool_free(pool);
    if (j->err.kind == ERR_NONE)
        return 0;
    *err = j->err;
    return -1;
}

/* --- tar --- */

static int tar_err(struct err *err, struct archive *a)
{
    const char *text = archive_error_string(a);

    return err_set(err, archive_errno(a) == ENOSPC ? ERR_FULL : ERR_IO,
                   "cannot write the archive: %s", text ? text : "no reason given");
}

static int put_file(struct archive *a, const char *path, const void *data, size_t size,
                    struct err *err)
{
    struct archive_entry *e = archive_entry_new();
    int rc = 0;

    if (!e)
        return err_set(err, ERR_NOMEM, "no memory for an archive's entry");
    archive_entry_set_pathname(e, path);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_mtime(e, 0, 0);
    archive_entry_set_size(e, (la_int64_t)size);
    if (archive_write_header(a, e) != ARCHIVE_OK ||
        archive_write_data(a, data, size) != (la_ssize_t)size)
        rc = tar_err(err, a);
    archive_entry_free(e);
    return rc;
}

/* Half of each kind is trainval, the other half test. */
static void split(uint8_t part[TOTAL])
{
    for (int kind = 0; kind < DEMO_KINDS; kind++) {
        uint32_t order[DEMO_PICTURES];

        rng_permutation(order, DEMO_PICTURES, 2, RNG_DEMO, (uint32_t)kind);
        for (int i = 0; i < DEMO_PICTURES; i++)
            part[kind * DEMO_PICTURES + (int)order[i]] =
                i < DEMO_PICTURES / 2 ? LIST_TRAINVAL : LIST_TEST;
    }
}

/* Lines "KIND_N CLASS SPECIES BREED" of the parts in WHICH, as Oxford's lists have them. */
static int put_list(struct archive *a, const char *path, const uint8_t part[TOTAL], int which,
                    struct err *err)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    int breeds[DEMO_DOG + 1] = {0}, rc = -1;

    if (!file)
        return err_errno(err, "cannot write a list");
    if (which == (LIST_TRAINVAL | LIST_TEST))
        fputs("#Image CLASS-ID SPECIES BREED ID\n#SPECIES: 1:Cat 2:Dog\n", file);
    for (int kind = 0; kind < DEMO_KINDS; kind++) {
        int species = (int)demo_kinds[kind].species, breed = ++breeds[species];

        for (int n = 0; n < DEMO_PICTURES; n++)
            if (part[kind * DEMO_PICTURES + n] & which)
                fprintf(file, "%s_%d %d %d %d\n", demo_kinds[kind].name, n + 1, kind + 1, species,
                        breed);
    }
    if (fclose(file) != 0)
        err_errno(err, "cannot write a list");
    else
        rc = put_file(a, path, text, size, err);
    free(text);
    return rc;
}

static int put_all(struct archive *a, const struct job *j, struct err *err)
{
    uint8_t part[TOTAL];
    char path[PATH_ROOM];

    split(part);
    if (put_list(a, "annotations/list.txt", part, LIST_TRAINVAL | LIST_TEST, err) < 0 ||
        put_list(a, "annotations/test.txt", part, LIST_TEST, err) < 0 ||
        put_list(a, "annotations/trainval.txt", part, LIST_TRAINVAL, err) < 0)
        return -1;
    for (int i = 0; i < TOTAL; i++) {
        snprintf(path, sizeof path, "images/%s_%d.jpg", demo_kinds[i / DEMO_PICTURES].name,
                 i % DEMO_PICTURES + 1);
        if (put_file(a, path, j->pictures[i].bytes, j->pictures[i].size, err) < 0)
            return -1;
    }
    return 0;
}

static int write_tar(const struct job *j, const char *path, struct err *err)
{
    struct archive *a = archive_write_new();
    struct new_file f = {0};
    int rc = -1;

    if (!a)
        return err_set(err, ERR_NOMEM, "no memory to write an archive");
    if (new_file_begin(&f, path, err) < 0)
        goto out;
    if (archive_write_set_format_ustar(a) != ARCHIVE_OK ||
        archive_write_open_FILE(a, f.file) != ARCHIVE_OK) {
        tar_err(err, a);
        goto out;
    }
    if (put_all(a, j, err) < 0)
        goto out;
    rc = archive_write_close(a) == ARCHIVE_OK ? 0 : tar_err(err, a);
out:
    archive_write_free(a);
    if (rc == 0)
        return new_file_finish(&f, err);
    new_file_abort(&f);
    return -1;
}

int demo_archive_write(const char *path, struct err *err)
{
    struct job *j = calloc(1, sizeof *j);
    int rc = -1;

    if (!j)
        return err_set(err, ERR_NOMEM, "no memory for %d pictures", TOTAL);
    if (draw_all(j, err) == 0)
        rc = write_tar(j, path, err);
    for (int i = 0; i < TOTAL; i++)
        free(j->pictures[i].bytes);
    free(j);
    return rc < 0 ? err_wrap(err, "%s", path) : 0;
}

void demo_archive_libraries(FILE *file)
{
    version_library(file, "libjpeg-turbo", TEXT(LIBJPEG_TURBO_VERSION));
}
