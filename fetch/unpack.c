/* unpack.c - libarchive reads, we decide what is written and write it.
 *
 * FOLDER is fresh and nothing but our own regular files and folders is ever made in it, so that no
 * link can lead a later entry out of it.
 * SPDX-License-Identifier: MIT */
#include "unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/path.h"
#include "base/text.h"
#include "data/entry_path.h"
#include "gzip_check.h"
#include "tar_names.h"
#include "zip_directory.h"

enum { BLOCK = 1 << 18 };

/* ImageNet has 1.3 million pictures in 150 GB; photographs do not compress, annotations 10 to 30
 * times; a zip bomb 1000 times and more. */
const struct unpack_limits unpack_limits_default = {
    .entries = 8000000,
    .file_bytes = (uint64_t)4 << 30,
    .total_bytes = (uint64_t)4 << 40,
    .ratio = 100,
};
static const uint64_t ratio_free_bytes = (uint64_t)64 << 20;

struct job {
    struct archive *archive;
    int folder;                    /* descriptor */
    uint64_t archive_bytes;        /* size of the archive file */
    char made[ENTRY_PATH_MAX + 1]; /* the folder made last, so that it is not made again */
    uint8_t *block;
    const struct unpack_limits *limits;
    struct unpack_report *report;
    struct manifest *manifest;
    const char *charset;
    bool beyond_ascii; /* a name has a character that has several forms in Unicode, perhaps */
};

static int archive_err(struct err *err, struct archive *a)
{
    const char *text = archive_error_string(a);

    if (archive_errno(a) == ENOMEM)
        return err_set(err, ERR_NOMEM, "%s", text ? text : "no memory");
    if (!text)
        text = "cannot be read as an archive";
    if (strncmp(text, "Unrecognized archive format", strlen("Unrecognized archive format")) == 0)
        return err_set(err, ERR_FORMAT,
                       "not an archive: expected a tar (plain, or in gzip, bzip2, xz or zstd) or a "
                       "zip; an error page saved under its name, perhaps, or a file that is "
                       "damaged or incomplete");
    return err_set(err, ERR_FORMAT, "%.*s; the file is damaged or incomplete, get it again",
                   (int)strcspn(text, "\n"), text);
}

bool unpack_filters(struct archive *a)
{
    return archive_read_support_filter_gzip(a) >= ARCHIVE_WARN &&
           archive_read_support_filter_bzip2(a) >= ARCHIVE_WARN &&
           archive_read_support_filter_xz(a) >= ARCHIVE_WARN &&
           archive_read_support_filter_zstd(a) >= ARCHIVE_WARN;
}

static int open_archive(struct job *j, int fd, struct err *err)
{
    struct archive *a = archive_read_new();

    j->archive = a;
    if (!a)
        return err_set(err, ERR_NOMEM, "no memory to read an archive");
    if (!unpack_filters(a) || archive_read_support_format_tar(a) < ARCHIVE_WARN ||
        archive_read_support_format_zip_seekable(a) < ARCHIVE_WARN)
        return archive_err(err, a);
    if (archive_read_set_format_option(a, "tar", "read_concatenated_archives", "1") < ARCHIVE_WARN)
        return archive_err(err, a);
    if (j->charset &&
        (archive_read_set_format_option(a, "tar", "hdrcharset", j->charset) != ARCHIVE_OK ||
         archive_read_set_format_option(a, "zip", "hdrcharset", j->charset) != ARCHIVE_OK))
        return err_set(err, ERR_INPUT,
                       "--names %s: no encoding of that name; try CP437, CP850, CP932, SHIFT_JIS, "
                       "GB18030 or ISO-8859-1",
                       j->charset);
    if (archive_read_open_fd(a, fd, BLOCK) != ARCHIVE_OK)
        return archive_err(err, a);
    return 0;
}

/* --- one entry --- */

static const char *forbidden_type(struct archive_entry *e)
{
    if (archive_entry_hardlink(e))
        return "is a hard link";
    switch (archive_entry_filetype(e)) {
    case AE_IFREG:
    case AE_IFDIR:
        return NULL;
    case AE_IFLNK:
        return "is a symbolic link";
    case AE_IFCHR:
    case AE_IFBLK:
        return "is a device";
    case AE_IFIFO:
        return "is a named pipe";
    case AE_IFSOCK:
        return "is a socket";
    default:
        return "is neither a file nor a folder";
    }
}

/* PATH is there already: from this archive, or from one before it. */
static int collides(const struct job *j, struct err *err, const char *path)
{
    const struct unpack_report *r = j->report;
    const struct manifest *m = j->manifest;

    for (size_t k = 0; k + 1 < r->n_starts; k++)
        for (size_t i = r->starts[k]; i < r->starts[k + 1]; i++)
            if (strcmp(m->files[i].path, path) == 0)
                return err_set(err, ERR_INPUT,
                               "both archives have a file %s, this one and %s; make a set of its "
                               "own of each, or pack the files of one of them in a folder",
                               path, m->archives[k].file);
    return err_set(err, ERR_UNSAFE, "the entry \"%s\" is there twice, or is both file and folder",
                   path);
}

/* Makes the folders above PATH. */
static int make_parents(struct job *j, const char *path, struct err *err)
{
    const char *last = strrchr(path, '/');
    char part[ENTRY_PATH_MAX + 1];
    struct stat st;
    size_t length = last ? (size_t)(last - path) : 0;

    if (length == 0 || (strncmp(j->made, path, length) == 0 && j->made[length] == '\0'))
        return 0;
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdirat(j->folder, part, 0777) == 0)
            continue;
        if (errno != EEXIST)
            return err_errno(err, "cannot make the folder %s", part);
        if (fstatat(j->folder, part, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
            return collides(j, err, part);
    }
    memcpy(j->made, path, length);
    j->made[length] = '\0';
    return 0;
}

static int write_all(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static int check_limits(const struct job *j, uint64_t file_bytes, struct err *err)
{
    uint64_t by_ratio = ratio_free_bytes;

    if (file_bytes > j->limits->file_bytes)
        return err_set(err, ERR_UNSAFE,
                       "unpacks to more than the %" PRIu64 " bytes allowed for one file",
                       j->limits->file_bytes);
    if (j->report->bytes > j->limits->total_bytes)
        return err_set(err, ERR_UNSAFE,
                       "the archive unpacks to more than the %" PRIu64 " bytes allowed",
                       j->limits->total_bytes);
    if (__builtin_mul_overflow(j->archive_bytes, j->limits->ratio, &by_ratio) ||
        __builtin_add_overflow(by_ratio, ratio_free_bytes, &by_ratio))
        by_ratio = UINT64_MAX;
    if (j->report->bytes > by_ratio)
        return err_set(err, ERR_UNSAFE,
                       "the archive unpacks to more than %" PRIu64
                       " times its own size: it looks like a trap, not like pictures",
                       j->limits->ratio);
    return 0;
}

/* The entry's data go to FD (-1: nowhere) and into HASH (NULL: nowhere), and are counted. */
static int copy_data(struct job *j, int fd, struct sha256 *hash, uint64_t *size, struct err *err)
{
    *size = 0;
    for (;;) {
        la_ssize_t n = archive_read_data(j->archive, j->block, BLOCK);

        if (n == 0)
            return 0;
        if (n < 0)
            return archive_err(err, j->archive);
        *size += (uint64_t)n;
        j->report->bytes += (uint64_t)n;
        if (check_limits(j, *size, err) < 0)
            return -1;
        if (hash)
            sha256_update(hash, j->block, (size_t)n);
        if (fd >= 0 && write_all(fd, j->block, (size_t)n) < 0)
            return err_errno(err, "cannot write");
    }
}

static int check_size(struct archive_entry *e, uint64_t size, struct err *err)
{
    if (!archive_entry_size_is_set(e) || (uint64_t)archive_entry_size(e) == size)
        return 0;
    return err_set(err, ERR_FORMAT,
                   "%" PRIu64 " bytes could be unpacked, the archive says %jd: it is damaged, get "
                   "it again",
                   size, (intmax_t)archive_entry_size(e));
}

static int unpack_file(struct job *j, struct archive_entry *e, const char *path, struct err *err)
{
    const bool wanted = !j->report->wanted || j->report->wanted(j->report->ctx, path);
    struct sha256 *hash = NULL;
    char hex[SHA256_HEX];
    uint64_t size = 0;
    int fd = -1, rc = -1;

    if (wanted && make_parents(j, path, err) < 0)
        return -1;
    if (wanted)
        fd = openat(j->folder, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (wanted && fd < 0)
        return errno == EEXIST || errno == EISDIR ? collides(j, err, path)
                                                  : err_errno(err, "cannot write %s", path);
    if (sha256_new(&hash, err) < 0)
        goto out;
    if (copy_data(j, fd, hash, &size, err) < 0 || check_size(e, size, err) < 0) {
        err_wrap(err, "%s", path);
        goto out;
    }
    sha256_hex(hash, hex);
    rc = wanted ? close(fd) : 0;
    fd = -1;
    if (rc < 0)
        err_errno(err, "cannot write %s", path);
    else
        rc = manifest_add(j->manifest, path, size, hex, err);
out:
    if (fd >= 0)
        close(fd);
    sha256_free(hash);
    return rc;
}

static int unpack_entry(struct job *j, struct archive_entry *e, struct err *err)
{
    const char *name = archive_entry_pathname(e), *why = forbidden_type(e);
    char path[ENTRY_PATH_MAX + 1], quoted[400];

    if (!name)
        return err_set(err, ERR_UNSAFE,
                       "an entry has a name that cannot be read as %s; --names CHARSET says what "
                       "it is in (CP437, SHIFT_JIS, ...)",
                       j->charset ? j->charset : "UTF-8");
    if (entry_path_clean(path, name, err) < 0) {
        if (text_fault(name) && strstr(text_fault(name), "UTF-8"))
            err_append(err,
                       "; if its names are in a code page, say which:  --names CP437  (Western "
                       "Windows), SHIFT_JIS, GB18030, ...; or unpack it and pack it again with "
                       "UTF-8 names");
        return -1;
    }
    if (why) {
        text_quote(quoted, sizeof quoted, name);
        return err_set(err, ERR_UNSAFE, "the entry \"%s\" %s; only files and folders are unpacked",
                       quoted, why);
    }
    for (const char *c = path; *c; c++)
        j->beyond_ascii |= (unsigned char)*c >= 0x80;
    if (archive_entry_is_encrypted(e))
        return err_set(err, ERR_FORMAT, "the entry \"%s\" is encrypted", path);
    if (archive_entry_filetype(e) == AE_IFDIR)
        return 0; /* made when a file needs it: the manifest knows files only */
    if (!*path)
        return err_set(err, ERR_UNSAFE, "an entry is a file without a name");
    if (entry_path_is_hidden(path)) {
        uint64_t size;

        remarks_add(j->report->remarks, REMARK_HIDDEN_ENTRIES, "%s", path);
        return copy_data(j, -1, NULL, &size, err) < 0 ? err_wrap(err, "%s", path) : 0;
    }
    return unpack_file(j, e, path, err);
}

/* --- all entries --- */

static bool is_format(struct archive *a, int format)
{
    return (archive_format(a) & ARCHIVE_FORMAT_BASE_MASK) == format;
}

/* Bytes of the tar that were read behind the padding of the last entry, which ended at AFTER. */
static int64_t behind(struct archive *a, int64_t after)
{
    return archive_filter_bytes(a, 0) - (after + 511) / 512 * 512;
}

/* Why no further header could be read. */
static int bad_header(struct job *j, uint64_t n, int64_t after, struct err *err)
{
    if (n > 0 && is_format(j->archive, ARCHIVE_FORMAT_TAR) && behind(j->archive, after) >= 1024)
        return err_set(err, ERR_FORMAT,
                       "behind the end mark, after %" PRIu64
                       " entries, is something that is no further tar: remove it, or get the file "
                       "again",
                       n);
    return archive_err(err, j->archive);
}

/* What a compressed file has behind its compressed data, which libarchive passes over: only zeros may be there. */
static int check_rest(struct job *j, int fd, struct err *err)
{
    uint64_t at = (uint64_t)archive_filter_bytes(j->archive, -1);

    for (ssize_t n; at < j->archive_bytes; at += (uint64_t)n) {
        n = pread(fd, j->block, BLOCK, (off_t)at);
        if (n <= 0)
            return n < 0 ? err_errno(err, "cannot read") : 0;
        for (ssize_t i = 0; i < n; i++)
            if (j->block[i] != 0)
                return err_set(err, ERR_FORMAT,
                               "%" PRIu64 " bytes follow the compressed data, which are no part of "
                               "them: remove them, or get the file again",
                               j->archive_bytes - at);
    }
    return 0;
}

/* All N entries are through, the last of which ended at AFTER: is that all there is? libarchive takes a tar that stops
 * between two entries for whole, and of a zip's entries that share a place in the file it gives one. */
static int check_end(struct job *j, int fd, uint64_t n, int64_t after, struct err *err)
{
    uint64_t listed = 0;

    if (is_format(j->archive, ARCHIVE_FORMAT_ZIP)) {
        if (zip_directory(&listed, fd, err) < 0)
            return -1;
        if (listed != n)
            return err_set(err, ERR_FORMAT,
                           "the zip's directory lists %" PRIu64 " entries, %" PRIu64
                           " could be read: several share one place in the file, or it is damaged; "
                           "pack it again, or get it again",
                           listed, n);
        return 0;
    }
    if (n == 0)
        return err_set(err, ERR_FORMAT, "not an archive, or an empty one");
    if (behind(j->archive, after) < 512)
        return err_set(err, ERR_FORMAT,
                       "the archive ends too early, after %" PRIu64
                       " entries: it has no end mark; get it again",
                       n);
    if (check_rest(j, fd, err) < 0)
        return -1;
    return j->beyond_ascii ? tar_names_check(fd, err) : 0;
}

static int unpack_entries(struct job *j, int fd, struct err *err)
{
    struct archive_entry *e;
    int64_t after = 0;
    uint64_t n = 0;
    int rc;

    progress_begin("unpack", j->archive_bytes);
    while ((rc = archive_read_next_header(j->archive, &e)) != ARCHIVE_EOF) {
        if (rc < ARCHIVE_WARN || rc == ARCHIVE_RETRY)
            return bad_header(j, n, after, err);
        if (++n > j->limits->entries)
            return err_set(err, ERR_UNSAFE, "more than the %" PRIu64 " entries allowed",
                           j->limits->entries);
        if (unpack_entry(j, e, err) < 0)
            return -1;
        if (archive_read_data_skip(j->archive) < ARCHIVE_WARN)
            return archive_err(err, j->archive);
        after = archive_filter_bytes(j->archive, 0);
        progress_set((uint64_t)archive_filter_bytes(j->archive, -1), NULL);
    }
    return check_end(j, fd, n, after, err);
}

static int unpack_from(struct job *j, int fd, const char *folder, struct err *err)
{
    struct stat st;
    int rc = -1;

    if (fstat(fd, &st) < 0)
        return err_errno(err, "cannot read");
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_FORMAT, "is not a file");
    j->archive_bytes = (uint64_t)st.st_size;
    j->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (j->folder < 0)
        return err_errno(err, "cannot open the folder %s", folder);
    j->block = malloc(BLOCK);
    if (!j->block)
        err_set(err, ERR_NOMEM, "%d bytes", BLOCK);
    else if (open_archive(j, fd, err) == 0)
        rc = unpack_entries(j, fd, err);
    progress_end();
    archive_read_free(j->archive);
    free(j->block);
    close(j->folder);
    return rc;
}

int unpack(struct manifest *m, struct unpack_report *report, const char *archive,
           const char *folder, const char *charset, const struct unpack_limits *limits,
           struct err *err)
{
    struct job j = {.limits = limits, .report = report, .manifest = m, .charset = charset};
    int fd = path_open(archive, err), rc;
    locale_t utf8, before = (locale_t)0;

    report->bytes = 0;
    BUG_IF(report->n_starts == MANIFEST_ARCHIVES_MAX);
    report->starts[report->n_starts++] = m->n_files;
    if (fd < 0)
        return -1;
    /* libarchive gives names in the locale's encoding: UTF-8 here, whatever the user's is */
    utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (utf8)
        before = uselocale(utf8);
    rc = unpack_from(&j, fd, folder, err);
    if (rc == 0)
        rc = gzip_check(archive, err);
    if (utf8) {
        uselocale(before);
        freelocale(utf8);
    }
    close(fd);
    return rc < 0 ? err_wrap(err, "%s", archive) : 0;
}
