/* shard_driver.c - a virtual file driver of HDF5, read only: pread() after remote_file_need().
 *
 * Threads: as HDF5, one at a time. SPDX-License-Identifier: MIT */
#include "data/shard_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

#include "remote/remote.h"

struct source { /* what ACCESS carries */
    struct remote_file *file;
    struct err *why;
};

struct opened {
    H5FD_t pub; /* the library's part comes first */
    struct source source;
    int fd;
    haddr_t end_of_addresses, size;
};

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t most)
{
    const struct source *source = H5Pget_driver_info(access);
    struct opened *o = calloc(1, sizeof *o);
    struct stat st;

    (void)most;
    if (!source || !o || flags & (H5F_ACC_RDWR | H5F_ACC_TRUNC)) {
        free(o);
        return NULL;
    }
    o->source = *source;
    o->fd = open(name, O_RDONLY | O_CLOEXEC);
    if (o->fd < 0 || fstat(o->fd, &st) < 0) {
        if (o->fd >= 0)
            close(o->fd);
        free(o);
        return NULL;
    }
    o->size = (haddr_t)st.st_size;
    return &o->pub;
}

static herr_t driver_close(H5FD_t *file)
{
    struct opened *o = (struct opened *)file;

    close(o->fd);
    free(o);
    return 0;
}

static herr_t driver_query(const H5FD_t *file, unsigned long *flags)
{
    (void)file;
    *flags = 0;
    return 0;
}

static haddr_t driver_get_eoa(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const struct opened *)file)->end_of_addresses;
}

static herr_t driver_set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t at)
{
    (void)type;
    ((struct opened *)file)->end_of_addresses = at;
    return 0;
}

static haddr_t driver_get_eof(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const struct opened *)file)->size;
}

static herr_t driver_read(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t size,
                          void *out)
{
    struct opened *o = (struct opened *)file;
    uint8_t *to = out;
    struct err why;

    (void)type;
    (void)transfer;
    if (size > o->size || at > o->size - size)
        return -1;
    if (remote_file_need(o->source.file, at, size, &why) < 0) {
        *o->source.why = why;
        return -1;
    }
    while (size > 0) {
        const ssize_t n = pread(o->fd, to, size, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        to += n;
        at += (haddr_t)n;
        size -= (size_t)n;
    }
    return 0;
}

/* The library registers no driver without it. */
static herr_t driver_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t size,
                           const void *in)
{
    (void)file, (void)type, (void)transfer, (void)at, (void)size, (void)in;
    return -1;
}

static const H5FD_class_t class = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)600, /* from 512 on: for anyone */
#endif
    .name = "presize-remote",
    .maxaddr = INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(struct source),
    .open = driver_open,
    .close = driver_close,
    .query = driver_query,
    .get_eoa = driver_get_eoa,
    .set_eoa = driver_set_eoa,
    .get_eof = driver_get_eof,
    .read = driver_read,
    .write = driver_write,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

int shard_driver_set(hid_t access, struct remote_file *f, struct err *why)
{
    static hid_t driver = -1;
    const struct source source = {f, why};

    *why = (struct err){0};
    if (driver < 0)
        driver = H5FDregister(&class);
    return driver < 0 ? -1 : H5Pset_driver(access, driver, &source);
}
