/* archives.c - every way to an archive ends in one check of its bytes.
 * SPDX-License-Identifier: MIT */
#include "archives.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/log.h"
#include "demo_archive.h"
#include "download.h"
#include "data/entry_path.h"

static const uint64_t mib = 1 << 20;
static const uint64_t download_max = (uint64_t)1 << 40;

bool archives_is_of(const char *name, const char *file)
{
    const struct source *s = source_find(name);
    const size_t n = strlen(name);

    for (size_t k = 0; s && k < source_archives(s); k++)
        if (strcmp(s->archives[k].file, file) == 0)
            return true;
    return strncmp(file, name, n) == 0 && file[n] == '-';
}

bool archives_is_address(const char *what)
{
    return strncasecmp(what, "https://", 8) == 0 || strncasecmp(what, "http://", 7) == 0;
}

static int size_of(const char *path, uint64_t *size, struct err *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return err_errno(err, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INPUT, "%s: is not a file; --from takes an archive", path);
    *size = (uint64_t)st.st_size;
    return 0;
}

static int record(struct manifest *m, size_t i, const char *file, uint64_t size, const char *sha256,
                  struct err *err)
{
    char clean[ENTRY_PATH_MAX + 1];

    if (entry_path_clean(clean, file, NULL) < 0 || strlen(file) > MANIFEST_NAME_MAX)
        return err_set(err, ERR_INPUT, "%s: such a file name cannot go into a manifest; rename it",
                       file);
    snprintf(m->archives[i].file, sizeof m->archives[i].file, "%s", file);
    m->archives[i].size = size;
    memcpy(m->archives[i].sha256, sha256, SHA256_HEX);
    return 0;
}

/* --- what a source says about its archives --- */

/* 1: the file at PATH (of SIZE bytes, hash HEX) is archive A, 0: it is not, -1: error. */
static int is_archive(const struct source_archive *a, const char *path, uint64_t size,
                      const char *hex, struct err *err)
{
    char md5[MD5_HEX];

    if (a->size != size)
        return 0;
    if (a->sha256)
        return strcmp(a->sha256, hex) == 0;
    if (md5_file(path, mib, md5, err) < 0)
        return -1;
    return strcmp(a->md5_first_mib, md5) == 0;
}

static bool has_published(const struct source *s)
{
    return s && s->archives[0].file && !s->made;
}

static int not_of_source(const struct source *s, const char *path, uint64_t size, const char *hex,
                         struct err *err)
{
    err_set(err, ERR_CHECKSUM, "%s: %" PRIu64 " bytes", path, size);
    if (hex)
        err_append(err, ", SHA-256 %s,", hex);
    err_append(err, " is no archive of %s; expected", s->name);
    for (size_t i = 0; i < source_archives(s); i++)
        err_append(err, "%s %s (%" PRIu64 " bytes, %s)", i ? " and" : "", s->archives[i].file,
                   s->archives[i].size, source_hash_text(&s->archives[i]));
    return err_append(err, ". The file is damaged, or of another set: give that set another name, "
                           "as in `fetch my-set --from FILE`");
}

static int gather_given(struct archives *a, struct manifest *m, const struct obtain *o, size_t i,
                        struct err *err);

/* Which of the source's archives the file at PATH is. */
static int match(const struct source *s, const char *path, uint64_t size, const char *hex,
                 struct err *err)
{
    for (size_t k = 0; k < source_archives(s); k++) {
        int is = is_archive(&s->archives[k], path, size, hex, err);

        if (is != 0)
            return is < 0 ? -1 : (int)k;
    }
    return not_of_source(s, path, size, hex, err);
}

/* All of the source's archives out of the files given by --from, in the source's order. */
static int gather_published(struct archives *a, struct manifest *m, const struct obtain *o,
                            struct err *err)
{
    const struct source *s = o->source;
    bool have[SOURCE_ARCHIVES_MAX] = {false};

    for (size_t i = 0; i < o->n_from; i++) {
        struct archives one;
        struct manifest given = {0};
        const struct manifest_archive *g = &given.archives[0];
        struct obtain just = *o;
        int k;

        just.from = &o->from[i];
        if (gather_given(&one, &given, &just, 0, err) < 0)
            return -1;
        k = match(s, one.path[0], g->size, g->sha256, err);
        if (k < 0)
            return -1;
        if (have[k])
            return err_set(err, ERR_INPUT, "%s is given twice", s->archives[k].file);
        have[k] = true;
        memcpy(a->path[k], one.path[0], PATH_LEN);
        a->doubtful[k] = false;
        if (record(m, (size_t)k, s->archives[k].file, g->size, g->sha256, err) < 0)
            return -1;
    }
    m->n_archives = source_archives(s);
    for (size_t k = 0; k < m->n_archives; k++)
        if (!have[k])
            return err_set(err, ERR_INPUT,
                           "%s needs %s as well: give it by another --from, or let `fetch %s` "
                           "download both",
                           s->name, s->archives[k].file, s->name);
    return 0;
}

/* --- given by --from --- */

static int download_given(struct archives *a, const struct obtain *o, size_t i, struct err *err)
{
    const struct obtain_from *f = &o->from[i];
    const char *base = path_base(f->what);
    char hex[SHA256_HEX], file[MANIFEST_NAME_MAX + 1];
    struct download d = {.url = f->what,
                         .path = a->path[i],
                         .max_bytes = download_max,
                         .sha256 = f->sha256,
                         .rules = o->rules};
    size_t length = strcspn(base, "?#");

    if (length == 0 || base[0] == '.' || length + strlen(o->name) + 2 > sizeof file)
        return err_set(err, ERR_INPUT, "%s: the address does not end in the name of a file",
                       f->what);
    snprintf(file, sizeof file, "%s-%.*s", o->name, (int)length, base);
    if (path_format(a->path[i], err, "%s/archives", o->data) < 0 ||
        path_make_dirs(a->path[i], err) < 0 ||
        path_format(a->path[i], err, "%s/archives/%s", o->data, file) < 0)
        return -1;
    if (!f->sha256 && strncasecmp(f->what, "https:", 6) != 0)
        log_warn("%s: plain http, and no hash to check it by: anyone on the way may have changed "
                 "it",
                 f->what);
    log_info("download %s", f->what);
    a->doubtful[i] = !f->sha256;
    return download(&d, hex, err);
}

/* Archive I as the user gave it; its own SHA-256 is recorded. */
static int gather_given(struct archives *a, struct manifest *m, const struct obtain *o, size_t i,
                        struct err *err)
{
    const struct obtain_from *f = &o->from[i];
    char hex[SHA256_HEX];
    uint64_t size = 0;

    a->doubtful[i] = false;
    if (archives_is_address(f->what)) {
        if (download_given(a, o, i, err) < 0)
            return -1;
    } else if (path_format(a->path[i], err, "%s", f->what) < 0) {
        return -1;
    }
    if (size_of(a->path[i], &size, err) < 0 || sha256_file(a->path[i], hex, NULL, err) < 0)
        return -1;
    if (f->sha256 && strcmp(f->sha256, hex) != 0)
        return err_set(err, ERR_CHECKSUM, "%s: its SHA-256 is %s, expected %s", f->what, hex,
                       f->sha256);
    if (record(m, i, path_base(a->path[i]), size, hex, err) < 0)
        return -1;
    m->n_archives = i + 1;
    return 0;
}

/* --- from the network, or made --- */

/* 1: a whole archive lies at PATH already, 0: it does not. */
static int is_there(const struct source_archive *k, const char *path, char hex[SHA256_HEX],
                    struct err *err)
{
    uint64_t size = 0;
    int is = 0;

    if (!path_exists(path))
        return 0;
    if (size_of(path, &size, err) < 0)
        return -1;
    if (size == k->size) {
        log_info("check %s, which is there already", path);
        if (sha256_file(path, hex, NULL, err) < 0)
            return -1;
        is = is_archive(k, path, size, hex, err);
    }
    if (is == 0)
        log_warn("%s is damaged: it is downloaded again", path);
    return is;
}

static int check_room(const struct obtain *o, struct err *err)
{
    uint64_t need = 0, room;
    struct statvfs fs;

    for (size_t i = 0; i < source_archives(o->source); i++)
        need += o->source->archives[i].size;
    need += need + need / 20; /* the archives and what they unpack to */
    if (statvfs(o->data, &fs) < 0)
        return 0;
    room = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (room >= need)
        return 0;
    return err_set(err, ERR_FULL,
                   "%s needs %.1f GB, archives and pictures together, and %s has %.1f GB free: "
                   "make room or choose another --data DIR",
                   o->name, (double)need / 1e9, o->data, (double)room / 1e9);
}

static int download_one(struct archives *a, struct manifest *m, const struct obtain *o, size_t i,
                        struct err *err)
{
    const struct source_archive *k = &o->source->archives[i];
    char hex[SHA256_HEX], url[PATH_LEN];
    struct download d = {.url = url,
                         .path = a->path[i],
                         .size = k->size,
                         .max_bytes = k->size,
                         .sha256 = k->sha256,
                         .rules = o->rules};
    int there = is_there(k, a->path[i], hex, err);

    if (there < 0)
        return -1;
    if (there == 0) {
        if (check_room(o, err) < 0 ||
            (o->mirror ? path_format(url, err, "%s%s%s", o->mirror,
                                     o->mirror[strlen(o->mirror) - 1] == '/' ? "" : "/", k->file)
                       : path_format(url, err, "%s", k->url)) < 0)
            return -1;
        log_info("download %s, %.1f MB", url, (double)k->size / 1e6);
        if (download(&d, hex, err) < 0)
            return -1;
        there = is_archive(k, a->path[i], k->size, hex, err);
        if (there <= 0) {
            remove(a->path[i]);
            return there < 0 ? -1
                             : err_set(err, ERR_CHECKSUM,
                                       "%s: the MD5 of its first MiB is not %s: it is not the "
                                       "published file, and is not kept",
                                       url, k->md5_first_mib);
        }
    }
    a->doubtful[i] = false;
    return record(m, i, k->file, k->size, hex, err);
}

static int make(struct archives *a, struct manifest *m, const struct obtain *o, struct err *err)
{
    char hex[SHA256_HEX];
    uint64_t size = 0;

    log_info("draw the pictures of %s", o->name);
    a->doubtful[0] = false;
    if (demo_archive_write(a->path[0], err) < 0 || sha256_file(a->path[0], hex, &size, err) < 0)
        return -1;
    return record(m, 0, o->source->archives[0].file, size, hex, err);
}

static int gather_source(struct archives *a, struct manifest *m, const struct obtain *o,
                         struct err *err)
{
    const struct source *s = o->source;
    char folder[PATH_LEN];

    BUG_IF(!s || !s->archives[0].file); /* the tool refuses these: nothing to fetch from */
    if (path_format(folder, err, "%s/archives", o->data) < 0 || path_make_dirs(folder, err) < 0)
        return -1;
    for (size_t i = 0; i < source_archives(s); i++) {
        if (path_format(a->path[i], err, "%s/%s", folder, s->archives[i].file) < 0 ||
            (s->made ? make(a, m, o, err) : download_one(a, m, o, i, err)) < 0)
            return -1;
        m->n_archives = i + 1;
    }
    return 0;
}

int archives_gather(struct archives *a, struct manifest *m, const struct obtain *o, struct err *err)
{
    if (o->n_from == 0)
        return gather_source(a, m, o, err);
    if (has_published(o->source))
        return gather_published(a, m, o, err);
    for (size_t i = 0; i < o->n_from; i++)
        if (gather_given(a, m, o, i, err) < 0)
            return -1;
    return 0;
}
