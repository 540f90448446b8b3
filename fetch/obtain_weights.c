/* obtain_weights.c - lock, get the file, compare its hash with its name, store its tensors.
 *
 * What was downloaded lies in DATA/archives under its own name; a file given stays where it is.
 * SPDX-License-Identifier: MIT */
#include "obtain_weights.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "archives.h"
#include "base/log.h"
#include "download.h"
#include "set_lock.h"
#include "store_weights.h"

static const uint64_t download_max = (uint64_t)1 << 32;

struct places {
    char folder[PATH_LEN], stored[PATH_LEN], archives[PATH_LEN];
    char file[PATH_LEN]; /* what the weights are read from */
    bool fetched;        /* it was downloaded just now */
};

int obtain_weights_path(char out[PATH_LEN], const char *data, const struct pretrained *what,
                        struct err *err)
{
    return path_format(out, err, "%s/weights/%s.safetensors", data, what->name);
}

/* --- the file's hash ------------------------------------------------------------------------------ */

/* Compares HEX with what the user expects and with what the name NAME states. */
static int check_hash(const struct obtain_weights *o, const char *name, const char *hex,
                      struct err *err)
{
    const char *expected = o->from ? o->from->sha256 : NULL;
    const struct pretrained *is = pretrained_by_hash(hex);
    char stated[SHA256_HEX];

    sha256_stated(stated, name);
    if (expected && strcmp(expected, hex) != 0)
        return err_set(err, ERR_CHECKSUM, "%s: its SHA-256 is %s, expected %s", name, hex,
                       expected);
    if (strncmp(hex, stated, strlen(stated)) != 0)
        return err_set(err, ERR_CHECKSUM,
                       "%s: its SHA-256 is %s and should begin with %s, as its name says: it is "
                       "damaged, get it again (or rename it, if that is no hash)",
                       name, hex, stated);
    if (is && is != o->what)
        return err_set(err, ERR_CHECKSUM,
                       "%s is torchvision's %s, not %s: `fetch weights/%s --from FILE`", name,
                       is->name, o->what->name, is->name);
    return 0;
}

static void say_trust(const struct obtain_weights *o, const char *name, const char *hex)
{
    char stated[SHA256_HEX];

    sha256_stated(stated, name);
    if (pretrained_by_hash(hex) == o->what)
        log_info("%s: SHA-256 %s, begins as that of torchvision's %s", name, hex, o->what->file);
    else if (o->from->sha256)
        log_info("%s: SHA-256 %s, as asked for", name, hex);
    else
        log_info("%s: SHA-256 %s, recorded%s; it is not torchvision's %s", name, hex,
                 *stated ? ", begins as its name says" : ": nothing to check it by", o->what->file);
}

/* --- the file ------------------------------------------------------------------------------------- */

static int get(struct places *p, const char *url, const struct obtain_weights *o,
               char hex[SHA256_HEX], struct err *err)
{
    struct download d = {.url = url, .path = p->file, .max_bytes = download_max, .rules = o->rules};

    if (path_make_dirs(p->archives, err) < 0)
        return -1;
    if (o->from && !o->from->sha256 && strncasecmp(url, "https:", 6) != 0)
        log_warn("%s: plain http, and no whole hash to check it by: anyone on the way may have "
                 "changed it",
                 url);
    log_info("download %s", url);
    p->fetched = true;
    if (download(&d, hex, err) < 0)
        return -1;
    if (check_hash(o, path_base(p->file), hex, err) < 0) {
        remove(p->file);
        return err_append(err, "; what came from %s is not kept", url);
    }
    return 0;
}

static int published(struct places *p, const struct obtain_weights *o, char hex[SHA256_HEX],
                     struct err *err)
{
    const char *base = o->mirror ? o->mirror : pretrained_base, *file = o->what->file;
    char url[PATH_LEN];

    if (path_format(p->file, err, "%s/%s", p->archives, file) < 0 ||
        path_format(url, err, "%s%s%s", base, base[strlen(base) - 1] == '/' ? "" : "/", file) < 0)
        return -1;
    if (path_is_file(p->file)) {
        if (sha256_file(p->file, hex, NULL, err) < 0)
            return -1;
        if (check_hash(o, file, hex, NULL) == 0) {
            log_info("%s is there already", p->file);
            return 0;
        }
        log_warn("%s is damaged: it is downloaded again", p->file);
    }
    return get(p, url, o, hex, err);
}

static int given(struct places *p, const struct obtain_weights *o, char hex[SHA256_HEX],
                 struct err *err)
{
    const char *what = o->from->what, *base = path_base(what);
    size_t length = strcspn(base, "?#");

    if (!archives_is_address(what)) {
        if (path_format(p->file, err, "%s", what) < 0)
            return -1;
        if (path_is_dir(what))
            return err_set(err, ERR_INPUT, "%s: is not a file; --from takes a .pth", what);
        if (sha256_file(what, hex, NULL, err) < 0)
            return -1;
        return check_hash(o, base, hex, err);
    }
    if (length == 0 || length > 200 || base[0] == '.')
        return err_set(err, ERR_INPUT, "%s: the address does not end in the name of a file", what);
    if (path_format(p->file, err, "%s/%s-%.*s", p->archives, o->what->name, (int)length, base) < 0)
        return -1;
    return get(p, what, o, hex, err);
}

/* Whether W would be made from the file, and the network in it, that WAS was made from. */
static int check_same_source(const struct stored_weights *was, const struct stored_weights *w,
                             const char *stored, struct err *err)
{
    if (strcmp(was->source_sha256, w->source_sha256) != 0)
        return err_set(err, ERR_CHECKSUM,
                       "%s was made from %s (SHA-256 %s), not from %s (%s); give the former by "
                       "--from, or, for other weights, remove %s first",
                       stored, was->source, was->source_sha256, w->source, w->source_sha256,
                       stored);
    if (strcmp(was->key, w->key) != 0)
        return err_set(err, ERR_CHECKSUM,
                       "%s was made %s%s, not with --weights-key %s; for other weights, remove it "
                       "first",
                       stored, was->key[0] ? "with --weights-key " : "without --weights-key",
                       was->key, w->key);
    return 0;
}

/* WAS: what must come out again; NULL: anything. */
static int make(struct places *p, const struct obtain_weights *o, const struct stored_weights *was,
                struct err *err)
{
    struct stored_weights w = {0};
    const char *name;

    if ((o->from ? given(p, o, w.source_sha256, err) : published(p, o, w.source_sha256, err)) < 0)
        return -1;
    name = path_base(p->file);
    snprintf(w.arch, sizeof w.arch, "%s", arch_name(o->what->arch));
    snprintf(w.source, sizeof w.source, "%s", name);
    if (o->key && snprintf(w.key, sizeof w.key, "%s", o->key) >= (int)sizeof w.key)
        return err_set(err, ERR_INPUT, "--weights-key %.40s...: a name too long", o->key);
    if (was && check_same_source(was, &w, p->stored, err) < 0) {
        if (p->fetched)
            remove(p->file);
        return -1;
    }
    if (path_make_dirs(p->folder, err) < 0)
        return -1;
    if (store_weights(p->stored, p->file, &w, err) < 0) {
        if (p->fetched && err->kind == ERR_FORMAT && pretrained_by_hash(w.source_sha256) != o->what)
            remove(p->file);
        return -1;
    }
    say_trust(o, name, w.source_sha256);
    log_info("%s: %s, SHA-256 of the numbers %s", p->stored, w.arch, w.data_sha256);
    return 0;
}

/* --- what is there already ------------------------------------------------------------------------ */

static int read_stored(struct stored_weights *w, const char *path, const struct pretrained *what,
                       struct err *err)
{
    if (stored_weights_read(w, path, err) < 0)
        return err->kind == ERR_FORMAT
                   ? err_append(err, ". Remove it and fetch weights/%s again", what->name)
                   : -1;
    if (strcmp(w->arch, arch_name(what->arch)) != 0)
        return err_set(err, ERR_FORMAT, "%s: holds %s, not %s: remove it and fetch again", path,
                       w->arch, arch_name(what->arch));
    return 0;
}

static int check_complete(const struct places *p, const struct obtain_weights *o, struct err *err)
{
    struct stored_weights w;
    char hex[SHA256_HEX];

    if (read_stored(&w, p->stored, o->what, err) < 0)
        return -1;
    if (o->from && !archives_is_address(o->from->what)) {
        if (sha256_file(o->from->what, hex, NULL, err) < 0)
            return -1;
        if (strcmp(hex, w.source_sha256) != 0)
            return err_set(err, ERR_INPUT,
                           "%s is there, but was made from %s (SHA-256 %s), not from %s (%s): "
                           "remove it first, or name the other one by  model.weights=%s",
                           p->stored, w.source, w.source_sha256, o->from->what, hex, o->from->what);
    }
    if (o->key && strcmp(o->key, w.key) != 0)
        return err_set(err, ERR_INPUT,
                       "%s is there, but was made %s%s, not with --weights-key %s: remove it first",
                       p->stored, w.key[0] ? "with --weights-key " : "without --weights-key", w.key,
                       o->key);
    log_info("%s is complete, made from %s; nothing to do", p->stored, w.source);
    return 0;
}

/* Rebuilds what is damaged; WAS: what it says about itself, NULL where that cannot be read. */
static int rebuild(struct places *p, const struct obtain_weights *o,
                   const struct stored_weights *was, struct err *err)
{
    struct obtain_weights with = *o;
    struct stored_weights w;
    bool same = false;

    if (was && !o->from && pretrained_by_hash(was->source_sha256) != o->what)
        return err_set(err, ERR_INPUT,
                       "%s is damaged, and was made from %s (SHA-256 %s): give that file by  "
                       "fetch weights/%s --repair --from FILE",
                       p->stored, was->source, was->source_sha256, o->what->name);
    if (was && !with.key && was->key[0])
        with.key = was->key;
    log_info("%s is damaged and is rebuilt", p->stored);
    if (!was)
        log_warn("%s: its header cannot be read: nothing tells whether the new weights are those "
                 "that it had",
                 p->stored);
    if (make(p, &with, was, err) < 0 || read_stored(&w, p->stored, o->what, err) < 0 ||
        stored_weights_check(&same, &w, p->stored, err) < 0)
        return -1;
    return same ? 0
                : err_set(err, ERR_CHECKSUM, "%s was rebuilt and still differs; check the disk",
                          p->stored);
}

/* What is there is as it was made, or is rebuilt. */
static int mend(struct places *p, const struct obtain_weights *o, struct err *err)
{
    struct stored_weights was = {0};
    bool same = false, known;

    *err = (struct err){0};
    if (!path_exists(p->stored))
        return err_set(err, ERR_INPUT, "%s is not there; to get it: `fetch weights/%s`", p->stored,
                       o->what->name);
    known = read_stored(&was, p->stored, o->what, err) == 0;
    if (!known && err->kind != ERR_FORMAT)
        return -1;
    if (known && stored_weights_check(&same, &was, p->stored, err) < 0)
        return -1;
    if (same) {
        log_info("%s: nothing to repair: it is as it was made", p->stored);
        return 0;
    }
    *err = (struct err){0};
    return rebuild(p, o, known ? &was : NULL, err);
}

/* --- public --------------------------------------------------------------------------------------- */

int obtain_weights(const struct obtain_weights *o, struct err *err)
{
    struct places p = {0};
    struct set_lock lock;
    char name[64];
    int rc;

    BUG_IF(!o->what || (o->from && o->mirror));
    snprintf(name, sizeof name, "weights-%s", o->what->name);
    if (obtain_weights_path(p.stored, o->data, o->what, err) < 0 ||
        path_format(p.folder, err, "%s/weights", o->data) < 0 ||
        path_format(p.archives, err, "%s/archives", o->data) < 0 ||
        path_make_dirs(o->data, err) < 0)
        return -1;
    /* what is complete may lie where we cannot write */
    if (set_lock_take(&lock, o->data, name, err) < 0 &&
        (err->kind == ERR_LOCKED || !path_exists(p.stored)))
        return -1;
    if (o->repair)
        rc = mend(&p, o, err);
    else
        rc = path_exists(p.stored) ? check_complete(&p, o, err) : make(&p, o, NULL, err);
    if (rc < 0) { /* empty folders go, others refuse */
        rmdir(p.folder);
        rmdir(p.archives);
    }
    set_lock_release(&lock);
    return rc;
}

int recheck_weights(const char *data, const struct pretrained *what, FILE *out, size_t *differences,
                    struct err *err)
{
    char path[PATH_LEN], archive[PATH_LEN], hex[SHA256_HEX];
    struct stored_weights w;
    bool same;

    *differences = 0;
    if (obtain_weights_path(path, data, what, err) < 0)
        return -1;
    if (!path_exists(path))
        return err_set(err, ERR_INPUT, "%s is not there; to get it: `fetch weights/%s`", path,
                       what->name);
    if (read_stored(&w, path, what, err) < 0 || stored_weights_check(&same, &w, path, err) < 0 ||
        path_format(archive, err, "%s/archives/%s", data, w.source) < 0)
        return -1;
    if (!same) {
        fprintf(out, "changed %s\n", path_base(path));
        ++*differences;
    }
    if (archives_is_of(what->name, w.source) && path_is_file(archive)) {
        if (sha256_file(archive, hex, NULL, err) < 0)
            return -1;
        if (strcmp(hex, w.source_sha256) != 0) {
            fprintf(out, "archive %s\n", w.source);
            ++*differences;
        }
    }
    if (*differences == 0)
        log_info("%s is as it was made", path);
    return 0;
}
