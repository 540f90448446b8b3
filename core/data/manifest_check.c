/* manifest_check.c - a manifest and the tree it is of, both sorted by path, walked side by side.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/path.h"
#include "data/manifest.h"

struct check {
    const struct manifest *recorded;
    const char *tree;
    struct manifest found; /* paths and sizes only, no hashes */
    void (*differs)(void *ctx, const char *how, const char *path);
    void *ctx;
    struct manifest_part part;
    size_t seen;   /* files that are there, so far */
    bool stopped;  /* by part.next */
    uint64_t done; /* bytes hashed */
};

/* --- the tree as it is --- */

static int walk(struct check *c, struct err *err)
{
    static const char no_hash[SHA256_HEX] = "";
    char root[PATH_LEN];
    char *roots[] = {root, NULL};
    size_t skip = strlen(c->tree) + 1;
    FTSENT *e;
    FTS *tree;
    int rc = 0;

    if (path_format(root, err, "%s", c->tree) < 0)
        return -1;
    tree = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
    if (!tree)
        return err_errno(err, "cannot read %s", root);
    while (rc == 0 && (errno = 0, e = fts_read(tree)) != NULL) {
        bool hidden = e->fts_level > 0 && e->fts_name[0] == '.';

        if (hidden) {
            fts_set(tree, e, FTS_SKIP);
        } else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS) {
            errno = e->fts_errno;
            if (errno != ENOENT) /* the whole tree may be missing: every file is, then */
                rc = err_errno(err, "cannot read %s", e->fts_path);
        } else if (e->fts_level > 0 && e->fts_info != FTS_D && e->fts_info != FTS_DP) {
            /* what is no regular file gets a size that none has */
            rc = manifest_add(&c->found, e->fts_path + skip,
                              e->fts_info == FTS_F ? (uint64_t)e->fts_statp->st_size : UINT64_MAX,
                              no_hash, err);
        }
    }
    if (rc == 0 && errno != 0)
        rc = err_errno(err, "cannot read %s", root);
    fts_close(tree);
    manifest_order(&c->found);
    return rc;
}

/* --- side by side --- */

static int compare_file(struct check *c, const struct manifest_file *f, uint64_t size,
                        struct err *err)
{
    char path[PATH_LEN], hex[SHA256_HEX];

    const bool own = c->seen++ % c->part.parts == c->part.part;

    if (size != f->size) {
        c->differs(c->ctx, "changed", f->path);
        return 0;
    }
    c->done += size;
    if (!own)
        return 0;
    if (path_format(path, err, "%s/%s", c->tree, f->path) < 0 ||
        sha256_file(path, hex, NULL, err) < 0)
        return -1;
    if (strcmp(hex, f->sha256) != 0)
        c->differs(c->ctx, "changed", f->path);
    progress_set(c->done, NULL);
    c->stopped = c->part.next && !c->part.next(c->ctx);
    return 0;
}

static int compare(struct check *c, struct err *err)
{
    const struct manifest *a = c->recorded, *b = &c->found;
    size_t i = 0, k = 0;

    while (!c->stopped && (i < a->n_files || k < b->n_files)) {
        int order = i == a->n_files   ? 1
                    : k == b->n_files ? -1
                                      : strcmp(a->files[i].path, b->files[k].path);

        if (order < 0) {
            c->differs(c->ctx, "missing", a->files[i++].path);
        } else if (order > 0) {
            c->differs(c->ctx, "extra", b->files[k++].path);
        } else {
            if (compare_file(c, &a->files[i], b->files[k].size, err) < 0)
                return -1;
            i++;
            k++;
        }
    }
    return 0;
}

int manifest_check(const struct manifest *m, const char *tree, const struct manifest_part *part,
                   void (*differs)(void *ctx, const char *how, const char *path), void *ctx,
                   struct err *err)
{
    struct check c = {.recorded = m,
                      .tree = tree,
                      .part = part ? *part : (struct manifest_part){0, 1, NULL},
                      .differs = differs,
                      .ctx = ctx};
    int rc = walk(&c, err);

    if (rc == 0) {
        progress_begin("verify", manifest_bytes(m));
        rc = compare(&c, err);
        progress_end();
    }
    manifest_free(&c.found);
    return rc;
}
