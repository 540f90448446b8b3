/* zip_directory.c - see zip_directory.h; by PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.4.
 * SPDX-License-Identifier: MIT */
#include "zip_directory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/manifest.h"

enum {
    END_BYTES = 22, /* end of central directory, without its comment */
    COMMENT_MAX = 65535,
    LOCATOR_BYTES = 20, /* zip64's, in front of the end */
    END64_BYTES = 56,
    ENTRY_BYTES = 46, /* of an entry, without name, extra field and comment */
};
static const uint64_t directory_max = (uint64_t)2 << 30;

struct zip {
    int fd;
    uint64_t size;   /* of the file */
    uint64_t end;    /* where the directory ends */
    uint64_t start;  /* where it begins, counted in the file */
    uint64_t length; /* of it */
    /* where it says that it begins: less, where something was put in front of the zip */
    uint64_t stated;
    uint64_t entries;
};

static uint64_t le(const uint8_t *p, int bytes)
{
    uint64_t v = 0;

    for (int i = bytes; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static int read_at(int fd, uint8_t *out, size_t n, uint64_t at, struct err *err)
{
    while (n > 0) {
        ssize_t got = pread(fd, out, n, (off_t)at);

        if (got < 0)
            return err_errno(err, "cannot read");
        if (got == 0)
            return err_set(err, ERR_FORMAT, "the zip ends too early; get it again");
        out += got;
        n -= (size_t)got;
        at += (uint64_t)got;
    }
    return 0;
}

static bool is_zero(const uint8_t *p, size_t n)
{
    while (n > 0 && p[n - 1] == 0)
        n--;
    return n == 0;
}

/* The last end record whose comment fits in front of the file's end. */
static int find_end(struct zip *z, uint8_t end[END_BYTES], struct err *err)
{
    const size_t n = z->size < END_BYTES + COMMENT_MAX ? (size_t)z->size : END_BYTES + COMMENT_MAX;
    uint8_t *tail = malloc(n + 1);
    int rc =
        tail ? read_at(z->fd, tail, n, z->size - n, err) : err_set(err, ERR_NOMEM, "no memory");
    bool found = false;

    for (size_t at = n; rc == 0 && !found && at-- >= 1;) {
        size_t after;

        if (at + END_BYTES > n || memcmp(tail + at, "PK\5\6", 4) != 0)
            continue;
        after = at + END_BYTES + (size_t)le(tail + at + 20, 2);
        if (after > n)
            continue;
        if (!is_zero(tail + after, n - after)) {
            rc = err_set(err, ERR_FORMAT,
                         "%zu bytes follow the end of the zip, which are no part of it: remove "
                         "them, or get the file again",
                         n - after);
            break;
        }
        memcpy(end, tail + at, END_BYTES);
        z->end = z->size - n + at;
        found = true;
    }
    free(tail);
    if (rc == 0 && !found)
        rc = err_set(err, ERR_FORMAT,
                     "the zip has no directory at its end: it is incomplete, get "
                     "it again");
    return rc;
}

/* Where a number of the end record does not fit its field, zip64's end record has it. */
static int read_end64(struct zip *z, struct err *err)
{
    uint8_t locator[LOCATOR_BYTES], end[END64_BYTES];
    uint64_t at;

    if (z->end < LOCATOR_BYTES ||
        read_at(z->fd, locator, sizeof locator, z->end - LOCATOR_BYTES, NULL) < 0 ||
        memcmp(locator, "PK\6\7", 4) != 0)
        return 0; /* an old zip with just that many */
    at = le(locator + 8, 8);
    if (at > z->size || read_at(z->fd, end, sizeof end, at, NULL) < 0 ||
        memcmp(end, "PK\6\6", 4) != 0)
        return err_set(err, ERR_FORMAT, "the zip's end record is damaged; get it again");
    z->entries = le(end + 32, 8);
    z->length = le(end + 40, 8);
    z->stated = le(end + 48, 8);
    z->end = at;
    return 0;
}

/* Names as the zip has them, in one block of text.
 * libarchive gives them composed, so that two folders may become one. */
struct names {
    char *text;
    const char **at;
    size_t n;
};

/* The UTF-8 name of *N bytes of the entry at P: its own (bit 11), or that of an Info-ZIP Unicode Path Extra Field
 * (APPNOTE 4.6.9). NULL: the name is in a code page, or ASCII. */
static const uint8_t *utf8_name(const uint8_t *p, size_t *n)
{
    const size_t own = (size_t)le(p + 28, 2);
    const uint8_t *at = p + ENTRY_BYTES + own, *end = at + le(p + 30, 2);

    *n = own;
    if (le(p + 8, 2) & 0x800)
        return p + ENTRY_BYTES;
    while (end - at >= 4 && (size_t)(end - at) - 4 >= le(at + 2, 2)) {
        if (le(at, 2) == 0x7075 && le(at + 2, 2) > 5) { /* a version and a CRC first */
            *n = (size_t)le(at + 2, 2) - 5;
            return at + 9;
        }
        at += 4 + le(at + 2, 2);
    }
    return NULL;
}

/* Keeps the name of the entry at P where libarchive composes it: where it is UTF-8 and not plain ASCII. */
static void keep_name(struct names *k, const uint8_t *p)
{
    size_t n;
    const uint8_t *name = utf8_name(p, &n);
    bool ascii = true;

    for (size_t i = 0; name && i < n; i++)
        ascii = ascii && name[i] > 0 && name[i] < 0x80;
    if (ascii)
        return;
    memcpy(k->text, name, n);
    k->text[n] = '\0';
    k->at[k->n++] = k->text;
    k->text += n + 1;
}

/* Walks the directory D of LENGTH bytes once more, whose COUNT entries were seen to be whole. */
static int check_names(const uint8_t *d, uint64_t length, uint64_t count, struct err *err)
{
    char *text = malloc((size_t)length + 1);
    struct names k = {.text = text, .at = calloc((size_t)count + 1, sizeof *k.at)};
    int rc = text && k.at ? 0 : err_set(err, ERR_NOMEM, "no memory for a zip's names");

    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        keep_name(&k, d);
        d += ENTRY_BYTES + le(d + 28, 2) + le(d + 30, 2) + le(d + 32, 2);
    }
    if (rc == 0)
        rc = manifest_refuse_alike(k.at, k.n, err);
    free(k.at);
    free(text);
    return rc;
}

/* Walks the directory: *COUNT entries, *FIRST the place of the one that lies first in the file. */
static int walk(const struct zip *z, uint64_t *count, uint64_t *first, struct err *err)
{
    uint8_t *d = z->length <= directory_max ? malloc((size_t)z->length + 1) : NULL;
    const uint8_t *p = d;
    uint64_t left = z->length;
    int rc = d ? read_at(z->fd, d, (size_t)left, z->start, err)
               : err_set(err, ERR_NOMEM, "no memory for a zip's directory");

    *count = 0;
    *first = UINT64_MAX;
    while (rc == 0 && left >= ENTRY_BYTES && memcmp(p, "PK\1\2", 4) == 0) {
        const uint64_t n = ENTRY_BYTES + le(p + 28, 2) + le(p + 30, 2) + le(p + 32, 2);
        const uint64_t at = le(p + 42, 4);

        if (n > left)
            break;
        *first = at < *first ? at : *first;
        ++*count;
        p += n;
        left -= n;
    }
    if (rc == 0)
        rc = check_names(d, z->length, *count, err);
    free(d);
    return rc;
}

int zip_directory(uint64_t *entries, int fd, struct err *err)
{
    struct zip z = {.fd = fd};
    uint8_t end[END_BYTES], head[4] = {0};
    uint64_t first;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_errno(err, "cannot read");
    z.size = (uint64_t)st.st_size;
    if (find_end(&z, end, err) < 0)
        return -1;
    z.entries = le(end + 10, 2);
    z.length = le(end + 12, 4);
    z.stated = le(end + 16, 4);
    if ((z.entries == 0xffff || z.length == 0xffffffff || le(end + 16, 4) == 0xffffffff) &&
        read_end64(&z, err) < 0)
        return -1;
    if (z.length > z.end)
        return err_set(err, ERR_FORMAT, "the zip's directory is damaged; get it again");
    z.start = z.end - z.length;
    if (walk(&z, entries, &first, err) < 0)
        return -1;
    if (*entries % 65536 != z.entries % 65536)
        return err_set(err, ERR_FORMAT,
                       "the zip's directory has %" PRIu64 " entries, its end says %" PRIu64
                       ": it is damaged, get it again",
                       *entries, z.entries);
    if (first < 0xffffffff && z.stated < z.start)
        first += z.start - z.stated;
    if (*entries > 0 && first > 0 && first < 0xffffffff && read_at(fd, head, 4, 0, err) == 0 &&
        memcmp(head, "PK\3\4", 4) == 0)
        return err_set(err, ERR_FORMAT,
                       "in front of the first of its %" PRIu64
                       " entries the zip has others that its directory does not list: two zips "
                       "joined, perhaps; take them apart, or pack them again",
                       *entries);
    return 0;
}
