/* recheck.c - the manifest and the tree, both sorted by path, walked side by side.
 * SPDX-License-Identifier: MIT */
#include "recheck.h"

#include <errno.h>
#include <fts.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/path.h"
#include "manifest.h"
#include "set_lock.h"

struct job {
    const char *data, *name;
    char tree[PATH_LEN];
    struct manifest recorded, found; /* found: paths and sizes only, no hashes */
    FILE *out;
    size_t differences;
    uint64_t done; /* bytes hashed */
};

static void differs(struct job *j, const char *how, const char *path)
{
    fprintf(j->out, "%s %s\n", how, path);
    j->differences++;
}

/* --- the tree as it is --- */

static int by_path(const void *a, const void *b)
{
    const struct manifest_file *x = a, *y = b;

    return strcmp(x->path, y->path);
}

static int walk(struct job *j, struct err *err)
{
    static const char no_hash[SHA256_HEX] = "";
    char *roots[] = {j->tree, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    size_t skip = strlen(j->tree) + 1;
    FTSENT *e;
    int rc = 0;

    if (!tree)
        return err_errno(err, "cannot read %s", j->tree);
    while (rc == 0 && (errno = 0, e = fts_read(tree)) != NULL) {
        bool hidden = e->fts_level > 0 && e->fts_name[0] == '.';

        if (hidden) {
            fts_set(tree, e, FTS_SKIP);
        } else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS) {
            errno = e->fts_errno;
            if (errno != ENOENT) /* the whole tree may be missing: every file is, then */
                rc = err_errno(err, "cannot read %s", e->fts_path);
        } else if (e->fts_info != FTS_D && e->fts_info != FTS_DP) {
            /* what is no regular file gets a size that none has */
            rc = manifest_add(&j->found, e->fts_path + skip,
                              e->fts_info == FTS_F ? (uint64_t)e->fts_statp->st_size : UINT64_MAX,
                              no_hash, err);
        }
    }
    if (rc == 0 && errno != 0)
        rc = err_errno(err, "cannot read %s", j->tree);
    fts_close(tree);
    if (j->found.n_files > 0)
        qsort(j->found.files, j->found.n_files, sizeof j->found.files[0], by_path);
    return rc;
}

/* --- side by side --- */

static int compare_file(struct job *j, const struct manifest_file *f, uint64_t size,
                        struct err *err)
{
    char path[PATH_LEN], hex[SHA256_HEX];

    if (size != f->size) {
        differs(j, "changed", f->path);
        return 0;
    }
    if (path_format(path, err, "%s/%s", j->tree, f->path) < 0 ||
        sha256_file(path, hex, NULL, err) < 0)
        return -1;
    if (strcmp(hex, f->sha256) != 0)
        differs(j, "changed", f->path);
    j->done += size;
    progress_set(j->done, NULL);
    return 0;
}

static int compare(struct job *j, struct err *err)
{
    const struct manifest *a = &j->recorded, *b = &j->found;
    size_t i = 0, k = 0;

    while (i < a->n_files || k < b->n_files) {
        int order = i == a->n_files   ? 1
                    : k == b->n_files ? -1
                                      : strcmp(a->files[i].path, b->files[k].path);

        if (order < 0) {
            differs(j, "missing", a->files[i++].path);
        } else if (order > 0) {
            differs(j, "extra", b->files[k++].path);
        } else {
            if (compare_file(j, &a->files[i], b->files[k].size, err) < 0)
                return -1;
            i++;
            k++;
        }
    }
    return 0;
}

static int compare_archives(struct job *j, struct err *err)
{
    for (size_t i = 0; i < j->recorded.n_archives; i++) {
        const struct manifest_archive *a = &j->recorded.archives[i];
        char path[PATH_LEN], hex[SHA256_HEX];

        if (path_format(path, err, "%s/archives/%s", j->data, a->file) < 0)
            return -1;
        if (!path_exists(path)) /* given by --from, or removed to save room: no fault */
            continue;
        if (sha256_file(path, hex, NULL, err) < 0)
            return -1;
        if (strcmp(hex, a->sha256) != 0)
            differs(j, "archive", a->file);
    }
    return 0;
}

static int recheck_locked(struct job *j, struct err *err)
{
    char manifest[PATH_LEN];
    int rc;

    if (path_format(j->tree, err, "%s/%s/tree", j->data, j->name) < 0 ||
        path_format(manifest, err, "%s/%s/manifest.jsonl", j->data, j->name) < 0 ||
        manifest_read(&j->recorded, manifest, err) < 0 || walk(j, err) < 0)
        return -1;
    progress_begin("verify", manifest_bytes(&j->recorded));
    rc = compare(j, err);
    progress_end();
    if (rc < 0 || compare_archives(j, err) < 0)
        return -1;
    if (j->differences == 0)
        log_info("%s: all %zu files are as they were unpacked, %.1f MB", j->name,
                 j->recorded.n_files, (double)manifest_bytes(&j->recorded) / 1e6);
    return 0;
}

int recheck(const char *data, const char *name, FILE *out, size_t *differences, struct err *err)
{
    struct job j = {.data = data, .name = name, .out = out};
    char manifest[PATH_LEN];
    struct set_lock lock;
    int rc;

    *differences = 0;
    if (path_format(manifest, err, "%s/%s/manifest.jsonl", data, name) < 0)
        return -1;
    if (!path_exists(manifest))
        return err_set(err, ERR_INPUT,
                       "%s is not there, or not complete: %s is missing;  fetch %s  makes it", name,
                       manifest, name);
    /* it may lie where we cannot write; then nobody changes it either */
    if (set_lock_take(&lock, data, name, err) < 0 && err->kind == ERR_LOCKED)
        return -1;
    rc = recheck_locked(&j, err);
    set_lock_release(&lock);
    *differences = j.differences;
    manifest_free(&j.recorded);
    manifest_free(&j.found);
    return rc;
}
