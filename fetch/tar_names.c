/* tar_names.c - walks the headers of a tar; by POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block".
 *
 * libarchive has taken every entry already, so a header that this walk does not understand is no fault: the walk ends.
 * SPDX-License-Identifier: MIT */
#include "tar_names.h"

#include <archive.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/manifest.h"
#include "unpack.h"

enum { BLOCK = 512, READ = 1 << 16, RECORDS_MAX = 1 << 20 /* bytes of one entry's pax records */ };

struct walk {
    struct archive *stream; /* the decompressed tar */
    char *records;          /* of one entry, RECORDS_MAX + 1 bytes */
    char **names;
    size_t n, room;
    uint64_t size; /* that the last records give the entry behind them */
    bool has_size;
};

/* N bytes to TO, or past them where TO is NULL; false: the stream ends before. */
static bool take(const struct walk *w, void *to, uint64_t n)
{
    char passed[READ];

    while (n > 0) {
        const size_t most = to || n < READ ? (size_t)n : READ;
        const la_ssize_t got = archive_read_data(w->stream, to ? to : passed, most);

        if (got <= 0)
            return false;
        n -= (uint64_t)got;
        to = to ? (char *)to + got : NULL;
    }
    return true;
}

static uint64_t padded(uint64_t size)
{
    return (size + BLOCK - 1) / BLOCK * BLOCK;
}

/* The field of N bytes at TEXT: octal, or big-endian behind a set high bit. */
static uint64_t number(const unsigned char *text, size_t n)
{
    const bool binary = text[0] & 0x80;
    uint64_t value = binary ? text[0] & 0x3f : 0;

    for (size_t i = binary ? 1 : 0; i < n; i++) {
        if (binary)
            value = value << 8 | text[i];
        else if (text[i] >= '0' && text[i] <= '7')
            value = value << 3 | (uint64_t)(text[i] - '0');
    }
    return value;
}

static bool is_header(const unsigned char *block)
{
    int64_t sum = 0, of_signed = 0; /* some old programs added signed bytes */

    for (size_t i = 0; i < BLOCK; i++) {
        const unsigned char byte = i >= 148 && i < 156 ? ' ' : block[i];

        sum += byte;
        of_signed += (signed char)byte;
    }
    return number(block + 148, 8) == (uint64_t)sum || number(block + 148, 8) == (uint64_t)of_signed;
}

static int keep_name(struct walk *w, const char *name, size_t n, struct err *err)
{
    if (w->n == w->room) {
        const size_t room = w->room ? 2 * w->room : 64;
        char **names = realloc(w->names, room * sizeof *names);

        if (!names)
            return err_set(err, ERR_NOMEM, "no memory for a tar's names");
        w->names = names;
        w->room = room;
    }
    w->names[w->n] = strndup(name, n);
    if (!w->names[w->n])
        return err_set(err, ERR_NOMEM, "no memory for a tar's names");
    w->n++;
    return 0;
}

/* N bytes of records "LENGTH KEY=VALUE\n"; LENGTH counts the whole record. */
static int read_records(struct walk *w, size_t n, struct err *err)
{
    static const char *const keys[] = {"path=", "GNU.sparse.name="};
    const char *r = w->records, *end = r + n;

    while (r < end) {
        char *key;
        const unsigned long length = strtoul(r, &key, 10);
        const size_t head = (size_t)(key - r) + 1;

        if (key == r || *key != ' ' || length <= head || length > (unsigned long)(end - r))
            return 0;
        key++;
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
            const size_t n_key = strlen(keys[k]);
            size_t name = length - head - 1;

            if (strncmp(key, keys[k], n_key) != 0 || name <= n_key)
                continue;
            name -= n_key + (key[name - 1] == '/'); /* a folder's own entry */
            if (keep_name(w, key + n_key, name, err) < 0)
                return -1;
        }
        if (strncmp(key, "size=", 5) == 0) {
            w->size = strtoull(key + 5, NULL, 10);
            w->has_size = true;
        }
        r += length;
    }
    return 0;
}

/* Reads the headers to the end of the stream, or to a block that is no header. */
static int read_headers(struct walk *w, struct err *err)
{
    unsigned char block[BLOCK];

    while (take(w, block, BLOCK)) {
        static const unsigned char zeros[BLOCK];
        uint64_t size = number(block + 124, 12);

        if (memcmp(block, zeros, BLOCK) == 0) /* an end mark; another tar may follow */
            continue;
        if (!is_header(block))
            return 0;
        if (block[156] == 'x' && size <= RECORDS_MAX) {
            if (!take(w, w->records, size) || !take(w, NULL, padded(size) - size))
                return 0;
            w->records[size] = '\0';
            w->has_size = false;
            if (read_records(w, (size_t)size, err) < 0)
                return -1;
            continue;
        }
        if (block[156] == '5')
            size = 0; /* a folder's size is a hint, and nothing follows */
        else if (w->has_size)
            size = w->size;
        w->has_size = false;
        /* more of the map of an old GNU sparse file, as long as its last byte but seven says so */
        for (bool more = block[156] == 'S' && block[482]; more; more = block[504])
            if (!take(w, block, BLOCK))
                return 0;
        if (!take(w, NULL, padded(size)))
            return 0;
    }
    return 0;
}

int tar_names_check(int fd, struct err *err)
{
    struct walk w = {.stream = archive_read_new(), .records = malloc(RECORDS_MAX + 1)};
    struct archive_entry *e;
    int rc = -1;

    if (!w.stream || !w.records)
        err_set(err, ERR_NOMEM, "no memory to read a tar's names");
    else if (lseek(fd, 0, SEEK_SET) < 0 || !unpack_filters(w.stream) ||
             archive_read_support_format_raw(w.stream) < ARCHIVE_WARN ||
             archive_read_open_fd(w.stream, fd, READ) != ARCHIVE_OK ||
             archive_read_next_header(w.stream, &e) < ARCHIVE_WARN)
        err_set(err, ERR_FORMAT, "cannot be read a second time");
    else if (read_headers(&w, err) == 0)
        rc = manifest_refuse_alike((const char *const *)w.names, w.n, err);
    for (size_t i = 0; i < w.n; i++)
        free(w.names[i]);
    free(w.names);
    free(w.records);
    archive_read_free(w.stream);
    return rc;
}
