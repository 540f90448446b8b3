/* partial.c - bytes into PATH.part, a line of hash for every 256 KiB into PATH.part.jsonl.
 *
 * The file's buffer is flushed before a line about it is written, so that a kill never leaves a line
 * that runs ahead. SPDX-License-Identifier: MIT */
#include "partial.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"

static const double bytes_max = 9e18; /* of what has no bound */

// clang-format off
const struct field partial_head_fields[] = {
    FIELD_TEXT(struct partial_head, address, "address", "of the file, without user and password"),
    FIELD_TEXT(struct partial_head, etag, "etag", "the server's, empty where there is none",
               .flags = FIELD_OPTIONAL),
    FIELD_TEXT(struct partial_head, modified, "last_modified", "likewise", .flags = FIELD_OPTIONAL),
    FIELD_INT(struct partial_head, size, "size", 0, bytes_max, "bytes",
              "of the whole file, as the server says; 0: not said", .implied = "0"),
    FIELD_END,
};

const struct field partial_line_fields[] = {
    FIELD_INT(struct partial_line, bytes, "bytes", 1, bytes_max, "bytes", "a length of `FILE.part`"),
    FIELD_TEXT(struct partial_line, sha256, "sha256", "of so many bytes"),
    FIELD_END,
};
// clang-format on

/* --- the record --- */

static int put_line(struct partial *p, json_t *line, struct err *err)
{
    char *text = line ? json_text(line, 0) : NULL;
    int rc = 0;

    json_decref(line);
    if (!text)
        return err_set(err, ERR_NOMEM, "%s: no memory for a line", p->lines);
    if (fprintf(p->record, "%s\n", text) < 0 || fflush(p->record) != 0)
        rc = err_errno(err, "cannot write %s", p->lines);
    free(text);
    return rc;
}

static int note(struct partial *p, struct err *err)
{
    char hex[SHA256_HEX];
    const struct partial_line line = {(int64_t)p->bytes, hex};

    if (fflush(p->file) != 0)
        return err_errno(err, "cannot write %s", p->part);
    if (sha256_so_far(p->hash, hex, err) < 0 ||
        put_line(p, fields_json(partial_line_fields, &line), err) < 0)
        return -1;
    p->noted = p->bytes;
    return 0;
}

/* The next line of the record, NULL at its end or at one that was torn. */
static json_t *next_line(struct partial *p, char **text, size_t *room)
{
    if (getline(text, room, p->record) < 0)
        return NULL;
    return json_loads(*text, JSON_REJECT_DUPLICATES, NULL);
}

/* Whether the first line is of our address; takes the version from it. */
static bool read_head(struct partial *p, const json_t *line)
{
    struct partial_head h;

    fields_read(partial_head_fields, 0, &h, line, NULL);
    snprintf(p->version.etag, PARTIAL_TAG, "%s", h.etag ? h.etag : "");
    snprintf(p->version.modified, PARTIAL_TAG, "%s", h.modified ? h.modified : "");
    p->version.size = (uint64_t)h.size;
    if (h.address && strcmp(h.address, p->address) != 0)
        log_warn("%s is of another address, %s: the download starts again", p->part, h.address);
    return h.address && strcmp(h.address, p->address) == 0;
}

/* --- what is there --- */

/* Hashes the file from p->bytes up to UNTIL; 1: done, 0: it is shorter, -1: error. */
static int hash_until(struct partial *p, uint64_t until, struct err *err)
{
    static const size_t block_size = 1 << 16;
    char *block = malloc(block_size);
    int rc = block ? 1 : err_set(err, ERR_NOMEM, "no memory to read %s", p->part);

    while (rc == 1 && p->bytes < until) {
        size_t want = until - p->bytes < block_size ? (size_t)(until - p->bytes) : block_size;
        size_t n = fread(block, 1, want, p->file);

        if (n == 0)
            rc = ferror(p->file) ? err_errno(err, "cannot read %s", p->part) : 0;
        sha256_update(p->hash, block, n);
        p->bytes += n;
    }
    free(block);
    return rc;
}

static int hash_anew(struct partial *p, struct err *err)
{
    sha256_free(p->hash);
    p->bytes = 0;
    return sha256_new(&p->hash, err);
}

/* Follows the record's lines as long as the file agrees; *GOOD is where that ends, *AT where in the record. */
static int follow(struct partial *p, uint64_t *good, off_t *at, struct err *err)
{
    size_t room = 0;
    char *text = NULL;
    json_t *line = next_line(p, &text, &room);
    int rc = line && read_head(p, line) ? 1 : 0;

    *good = 0;
    while (rc == 1) {
        struct partial_line recorded;
        char hex[SHA256_HEX];

        *at = ftello(p->record);
        json_decref(line);
        line = next_line(p, &text, &room);
        if (!line)
            break;
        fields_read(partial_line_fields, 0, &recorded, line, NULL);
        if (recorded.bytes == FIELD_NO_INT || recorded.bytes <= (int64_t)*good || !recorded.sha256)
            break;
        rc = hash_until(p, (uint64_t)recorded.bytes, err);
        if (rc == 1)
            rc = sha256_so_far(p->hash, hex, err) < 0 ? -1 : strcmp(hex, recorded.sha256) == 0;
        if (rc == 0)
            log_warn("%s was changed behind its first %" PRIu64 " bytes: the rest is downloaded "
                     "again",
                     p->part, *good);
        if (rc == 1)
            *good = (uint64_t)recorded.bytes;
    }
    json_decref(line);
    free(text);
    return rc < 0 ? -1 : 0;
}

static int take_over(struct partial *p, struct err *err)
{
    uint64_t good = 0;
    off_t at = 0;
    int rc;

    if (hash_anew(p, err) < 0 || follow(p, &good, &at, err) < 0)
        return -1;
    if (good != p->bytes) { /* hashed too far: once more up to what is good */
        rewind(p->file);
        if (hash_anew(p, err) < 0)
            return -1;
        rc = hash_until(p, good, err);
        if (rc <= 0)
            return rc < 0 ? -1 : err_set(err, ERR_IO, "%s: changes while it is read", p->part);
    }
    p->noted = good;
    if (good == 0)
        return 0;
    if (ftruncate(fileno(p->file), (off_t)good) < 0 || ftruncate(fileno(p->record), at) < 0 ||
        fseeko(p->file, 0, SEEK_END) < 0 || fseeko(p->record, 0, SEEK_END) < 0)
        return err_errno(err, "cannot write %s", p->part);
    return 0;
}

/* --- public --- */

/* The address without "user:password@", which is not for a file. */
static int strip_user(char out[PATH_LEN], const char *address, struct err *err)
{
    const char *authority = strstr(address, "://"), *at;
    int scheme;

    authority = authority ? authority + 3 : address;
    scheme = (int)(authority - address);
    at = memchr(authority, '@', strcspn(authority, "/?#"));
    return path_format(out, err, "%.*s%s", scheme, address, at ? at + 1 : authority);
}

static FILE *open_file(const char *path, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    FILE *file = NULL;

    if (fd >= 0 && path_check_file(path, err) < 0) {
        close(fd);
        return NULL;
    }
    if (fd >= 0)
        file = fdopen(fd, "r+b");
    if (!file)
        err_errno(err, "cannot write %s", path);
    if (!file && fd >= 0)
        close(fd);
    return file;
}

static void end(struct partial *p)
{
    if (p->file)
        fclose(p->file);
    if (p->record)
        fclose(p->record);
    sha256_free(p->hash);
    p->file = p->record = NULL;
    p->hash = NULL;
}

int partial_open(struct partial *p, const char *path, const char *address, struct err *err)
{
    memset(p, 0, sizeof *p);
    if (path_format(p->path, err, "%s", path) < 0 ||
        path_format(p->part, err, "%s.part", path) < 0 ||
        path_format(p->lines, err, "%s.part.jsonl", path) < 0 ||
        strip_user(p->address, address, err) < 0)
        return -1;
    p->file = open_file(p->part, err);
    p->record = p->file ? open_file(p->lines, err) : NULL;
    if (!p->record || take_over(p, err) < 0) {
        end(p);
        return -1;
    }
    return 0;
}

int partial_restart(struct partial *p, const struct partial_version *version, struct err *err)
{
    p->version = *version;
    p->noted = 0;
    rewind(p->file);
    rewind(p->record);
    if (ftruncate(fileno(p->file), 0) < 0 || ftruncate(fileno(p->record), 0) < 0)
        return err_errno(err, "cannot write %s", p->part);
    if (hash_anew(p, err) < 0)
        return -1;
    return put_line(p,
                    fields_json(partial_head_fields,
                                &(struct partial_head){p->address, version->etag, version->modified,
                                                       (int64_t)version->size}),
                    err);
}

int partial_write(struct partial *p, const void *data, size_t size, struct err *err)
{
    if (fwrite(data, 1, size, p->file) != size)
        return err_errno(err, "cannot write %s", p->part);
    sha256_update(p->hash, data, size);
    p->bytes += size;
    return p->bytes - p->noted >= PARTIAL_STEP ? note(p, err) : 0;
}

int partial_commit(struct partial *p, struct err *err)
{
    int ok = fflush(p->file) == 0 && fsync(fileno(p->file)) == 0;

    ok = fclose(p->file) == 0 && ok && rename(p->part, p->path) == 0;
    p->file = NULL;
    if (!ok)
        err_errno(err, "cannot write %s", p->path);
    else
        remove(p->lines);
    end(p);
    return ok ? 0 : -1;
}

void partial_close(struct partial *p)
{
    struct err why;

    if (p->file && p->record && p->bytes > p->noted && note(p, &why) < 0)
        log_debug("%s", why.msg);
    end(p);
}

void partial_discard(struct partial *p)
{
    end(p);
    remove(p->part);
    remove(p->lines);
}
