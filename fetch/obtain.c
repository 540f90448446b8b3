/* obtain.c - lock, gather the archives, unpack beside, rename, manifest last.
 *
 * DATA/NAME/tree.part and manifest.jsonl.part are ours; tree comes to be by a rename once everything
 * is in it, and only manifest.jsonl, renamed after it, says that it is complete. A tree with neither
 * manifest nor manifest.jsonl.part beside it was made by somebody else and is never removed.
 * SPDX-License-Identifier: MIT */
#include "obtain.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "archives.h"
#include "base/log.h"
#include "base/remark.h"
#include "base/text.h"
#include "data/dataset.h"
#include "data/entry_path.h"
#include "data/manifest.h"
#include "obtain_private.h"
#include "set_lock.h"

bool obtain_name_is_valid(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    return *name && *name != '.' && *name != '-' && strlen(name) <= 100 &&
           strspn(name, allowed) == strlen(name) && strcmp(name, "archives") != 0 &&
           strcmp(name, "weights") != 0;
}

int obtain_find_places(struct obtain_places *p, const struct obtain *o, struct err *err)
{
    if (path_format(p->set, err, "%s/%s", o->data, o->name) < 0 ||
        path_format(p->tree, err, "%s/tree", p->set) < 0 ||
        path_format(p->tree_part, err, "%s/tree.part", p->set) < 0 ||
        path_format(p->manifest, err, "%s/manifest.jsonl", p->set) < 0 ||
        path_format(p->manifest_part, err, "%s/manifest.jsonl.part", p->set) < 0 ||
        path_format(p->archives, err, "%s/archives", o->data) < 0)
        return -1;
    return 0;
}

/* --- what is there already --- */

static int check_given(const struct manifest *m, const struct obtain *o, struct err *err)
{
    for (size_t i = 0; i < o->n_from; i++) {
        const char *what = o->from[i].what;
        char hex[SHA256_HEX];
        uint64_t size;
        bool known = false;

        if (archives_is_address(what))
            continue;
        if (sha256_file(what, hex, &size, err) < 0)
            return -1;
        for (size_t k = 0; k < m->n_archives; k++)
            known = known || strcmp(m->archives[k].sha256, hex) == 0;
        if (!known)
            return err_set(err, ERR_INPUT,
                           "%s is complete, but was made from %s (SHA-256 %s), not from %s (%s): "
                           "take another name for this one, or remove %s/%s first",
                           o->name, m->archives[0].file, m->archives[0].sha256, what, hex, o->data,
                           o->name);
    }
    return 0;
}

/* Sizes only: what --verify reads takes seconds, this milliseconds. */
static int check_sizes(const struct manifest *m, const struct obtain_places *p,
                       const struct obtain *o, struct err *err)
{
    const char *first = NULL;
    size_t wrong = 0;
    int tree = open(p->tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (size_t i = 0; i < m->n_files; i++) {
        const struct manifest_file *f = &m->files[i];
        struct stat st;

        if (tree >= 0 && fstatat(tree, f->path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && (uint64_t)st.st_size == f->size)
            continue;
        first = first ? first : f->path;
        wrong++;
    }
    if (tree >= 0)
        close(tree);
    if (wrong > 0)
        return err_set(err, ERR_CHECKSUM,
                       "%zu of the %zu files of %s are missing or have another size, the first is "
                       "%s; `fetch %s --verify` names them all, `fetch %s --repair` unpacks them "
                       "again",
                       wrong, m->n_files, o->name, first, o->name, o->name);
    for (size_t i = 0; i < m->n_archives; i++) {
        char path[PATH_LEN];
        struct stat st;

        if (path_format(path, err, "%s/%s", p->archives, m->archives[i].file) < 0)
            return -1;
        if (stat(path, &st) == 0 && (uint64_t)st.st_size != m->archives[i].size)
            log_warn("%s has %jd bytes, and had %" PRIu64 " when %s was made from it", path,
                     (intmax_t)st.st_size, m->archives[i].size, o->name);
    }
    return 0;
}

static int check_complete(const struct obtain_places *p, const struct obtain *o, struct err *err)
{
    struct manifest m = {0};
    int rc = -1;

    if (manifest_read(&m, p->manifest, err) == 0 && check_given(&m, o, err) == 0 &&
        check_sizes(&m, p, o, err) == 0) {
        log_info("%s is complete: %zu file%s, %.1f MB; nothing to do", o->name, m.n_files,
                 PLURAL(m.n_files), (double)manifest_bytes(&m) / 1e6);
        rc = 0;
    }
    manifest_free(&m);
    return rc;
}

/* --- what is to be made --- */

static int check_room(const struct manifest *m, const struct obtain_places *p, struct err *err)
{
    struct statvfs fs;
    uint64_t need = 0;

    for (size_t i = 0; i < m->n_archives; i++)
        need += m->archives[i].size; /* pictures are hardly smaller packed */
    if (statvfs(p->set, &fs) < 0 || (uint64_t)fs.f_bavail * fs.f_frsize >= need)
        return 0;
    return err_set(err, ERR_FULL,
                   "%s: unpacking needs about %.1f MB, %.1f MB are free: make room "
                   "or choose another --data DIR",
                   p->set, (double)need / 1e6, (double)fs.f_bavail * (double)fs.f_frsize / 1e6);
}

/* Takes the archive's one top folder off, where the source says so. ROOT: the folder to be renamed. */
int obtain_strip_top(char root[PATH_LEN], struct manifest *m, const struct obtain_places *p,
                     const struct obtain *o, struct err *err)
{
    enum source_top rule = o->source ? o->source->top : TOP_GUESS;
    char top[ENTRY_NAME_MAX + 1] = "";

    if (rule != TOP_KEEP)
        manifest_common_top(m, top);
    if (rule == TOP_GUESS && (strcmp(top, "images") == 0 || strcmp(top, "annotations") == 0))
        top[0] = '\0';
    if (!*top)
        return path_format(root, err, "%s", p->tree_part);
    log_debug("top folder %s/ taken off", top);
    manifest_strip(m, top);
    return path_format(root, err, "%s/%s", p->tree_part, top);
}

int obtain_unpack(struct manifest *m, const struct archives *a, const struct obtain *o,
                  const struct obtain_places *p, bool (*wanted)(void *ctx, const char *path),
                  void *ctx, struct err *err)
{
    struct remarks *remarks = calloc(1, sizeof *remarks);
    struct unpack_report report = {.remarks = remarks, .wanted = wanted, .ctx = ctx};
    int rc = remarks ? 0 : err_set(err, ERR_NOMEM, "no memory to unpack");

    for (size_t i = 0; rc == 0 && i < m->n_archives; i++) {
        log_info("unpack %s", a->path[i]);
        rc = unpack(m, &report, a->path[i], p->tree_part, o->charset, &o->limits, err);
        if (rc < 0 && a->doubtful[i] && (err->kind == ERR_UNSAFE || err->kind == ERR_FORMAT))
            remove(a->path[i]);
    }
    if (rc == 0 && m->n_files == 0)
        rc = err_set(err, ERR_FORMAT, "%s holds no files", a->path[0]);
    for (size_t i = 0; rc == 0 && i < m->n_files; i++)
        if (dataset_is_archive(m->files[i].path))
            remarks_add(remarks, REMARK_NESTED_ARCHIVES, "%s", m->files[i].path);
    if (rc == 0 && remarks->of[REMARK_NESTED_ARCHIVES].n > 0)
        remarks_advise(remarks, REMARK_NESTED_ARCHIVES,
                       "to have what is in it: `fetch OTHER-NAME --from %s/%s`", p->tree,
                       remarks->of[REMARK_NESTED_ARCHIVES].example[0]);
    if (rc == 0 && !wanted) /* else they were printed when the set was made */
        remarks_print(remarks);
    free(remarks);
    return rc;
}

/* One flush of everything instead of one per picture. */
int obtain_flush(const char *root, struct err *err)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

    if (fd < 0)
        return err_errno(err, "cannot open the folder %s", root);
    rc = syncfs(fd) < 0 ? err_errno(err, "cannot write to %s", root) : 0;
    close(fd);
    return rc;
}

/* The two renames that make the set complete. */
static int commit(const char *root, const struct obtain_places *p, struct err *err)
{
    if (obtain_flush(root, err) < 0)
        return -1;
    if (rename(root, p->tree) < 0)
        return err_errno(err, "cannot rename %s to %s", root, p->tree);
    if (rename(p->manifest_part, p->manifest) < 0) {
        err_errno(err, "cannot write %s", p->manifest);
        (void)!path_remove_tree(p->tree, NULL);
        return -1;
    }
    return path_sync_folder(p->set, err);
}

/* What archive I's hash was compared with. */
static const char *trust_text(const struct obtain *o, size_t i)
{
    const struct source *s = o->source;

    if (s && s->made)
        return "made here";
    if (s && i < source_archives(s))
        return s->archives[i].sha256 ? "as published" : "recorded; size and MD5 are as published";
    return o->from[i].sha256 ? "as asked for" : "recorded: no published hash is known for it";
}

static int make_tree(struct manifest *m, struct archives *a, const struct obtain *o,
                     const struct obtain_places *p, struct err *err)
{
    char root[PATH_LEN];

    snprintf(m->source, sizeof m->source, "%s", o->name);
    if (archives_gather(a, m, o, err) < 0 || check_room(m, p, err) < 0 ||
        path_make_dirs(p->tree_part, err) < 0 || obtain_unpack(m, a, o, p, NULL, NULL, err) < 0 ||
        obtain_strip_top(root, m, p, o, err) < 0 || manifest_sort(m, err) < 0 ||
        manifest_write(m, p->manifest_part, err) < 0 || commit(root, p, err) < 0)
        return -1;
    for (size_t i = 0; i < m->n_archives; i++)
        log_info("%s: SHA-256 %s, %s", m->archives[i].file, m->archives[i].sha256,
                 trust_text(o, i));
    log_info("%s: %zu file%s, %.1f MB", o->name, m->n_files, PLURAL(m->n_files),
             (double)manifest_bytes(m) / 1e6);
    return 0;
}

/* Removes what a killed fetch left; refuses a tree that is not ours. */
static int clear(const struct obtain_places *p, struct err *err)
{
    if (path_exists(p->tree) && !path_exists(p->manifest_part))
        return err_set(err, ERR_INPUT,
                       "%s is there without a manifest: fetch did not make it and will not replace "
                       "it; move it away, or point the key `root` of a data set at it",
                       p->tree);
    if (path_exists(p->manifest_part) && path_remove_tree(p->tree, err) < 0)
        return -1;
    if (path_remove_tree(p->tree_part, err) < 0 || path_remove_tree(p->manifest_part, err) < 0)
        return -1;
    return 0;
}

static int make_set(const struct obtain *o, const struct obtain_places *p, struct err *err)
{
    struct archives *a = calloc(1, sizeof *a);
    struct manifest m = {0};
    int rc;

    if (!a)
        return err_set(err, ERR_NOMEM, "no memory for a list of archives");
    rc = path_make_dirs(p->set, err);
    if (rc == 0)
        rc = clear(p, err);
    if (rc == 0)
        rc = make_tree(&m, a, o, p, err);
    /* after a success only an emptied top folder is left of it */
    if (rc == 0)
        rc = path_remove_tree(p->tree_part, err);
    else if (!path_exists(p->tree))
        (void)!clear(p, NULL);
    if (rc < 0) { /* empty folders go, others refuse */
        rmdir(p->set);
        rmdir(p->archives);
    }
    manifest_free(&m);
    free(a);
    return rc;
}

int obtain(const struct obtain *o, struct err *err)
{
    struct obtain_places p;
    struct set_lock lock;
    int rc;

    BUG_IF(!obtain_name_is_valid(o->name));
    if (obtain_find_places(&p, o, err) < 0 || path_make_dirs(o->data, err) < 0)
        return -1;
    /* a complete set may lie where we cannot write */
    if (set_lock_take(&lock, o->data, o->name, err) < 0 &&
        (err->kind == ERR_LOCKED || !path_exists(p.manifest)))
        return -1;
    if (path_exists(p.manifest))
        (void)!path_remove_tree(p.tree_part, NULL); /* of a repair that was killed */
    rc = path_exists(p.manifest) ? check_complete(&p, o, err) : make_set(o, &p, err);
    set_lock_release(&lock);
    return rc;
}
