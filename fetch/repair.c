/* repair.c - check, unpack what is wanted beside the tree, compare with the manifest, move file by file.
 *
 * The archives are read to their end and every file in them is hashed: only archives that give the whole manifest again
 * are believed. SPDX-License-Identifier: MIT */
#include "repair.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "archives.h"
#include "base/log.h"
#include "data/manifest.h"
#include "obtain_private.h"
#include "set_lock.h"

struct job {
    const struct obtain *o;
    struct obtain_places p;
    struct manifest recorded, again;
    bool *bad; /* of each recorded file */
    size_t n_bad;
    struct repair_left left;
    bool archive_bad[MANIFEST_ARCHIVES_MAX], archive_kept[MANIFEST_ARCHIVES_MAX];
    struct archives archives;
    FILE *out;
};

/* --- what is wrong --- */

static void differs(void *ctx, const char *how, const char *path)
{
    struct job *j = ctx;
    const struct manifest_file *f = manifest_find(&j->recorded, path);

    if (!f || strcmp(how, "extra") == 0) {
        fprintf(j->out, "%s %s\n", how, path);
        j->left.extra++;
        return;
    }
    log_info("%s %s", how, path);
    j->bad[f - j->recorded.files] = true;
    j->n_bad++;
}

/* Which archives are in DATA/archives, and whether they are those of the set. */
static int check_archives(struct job *j, struct err *err)
{
    for (size_t i = 0; i < j->recorded.n_archives; i++) {
        const struct manifest_archive *k = &j->recorded.archives[i];
        char path[PATH_LEN], hex[SHA256_HEX];

        j->archive_kept[i] = j->archive_bad[i] = false;
        if (path_format(path, err, "%s/%s", j->p.archives, k->file) < 0)
            return -1;
        if (!path_exists(path))
            continue;
        if (sha256_file(path, hex, NULL, err) < 0)
            return -1;
        j->archive_kept[i] = strcmp(hex, k->sha256) == 0;
        j->archive_bad[i] = !j->archive_kept[i] && archives_is_of(j->o->name, k->file);
    }
    return 0;
}

/* --- the archives --- */

static bool all_kept(const struct job *j)
{
    for (size_t i = 0; i < j->recorded.n_archives; i++)
        if (!j->archive_kept[i])
            return false;
    return j->recorded.n_archives > 0;
}

static bool can_get(const struct obtain *o)
{
    return o->n_from > 0 || (o->source && o->source->archives[0].file && !o->source->how);
}

static int no_archive(const struct job *j, struct err *err)
{
    const struct manifest *m = &j->recorded;

    err_set(err, ERR_INPUT, "%s: %zu file%s to be unpacked again, and the archive is not in %s",
            j->o->name, j->n_bad, j->n_bad == 1 ? " is" : "s are", j->p.archives);
    for (size_t i = 0; i < m->n_archives; i++)
        if (!j->archive_kept[i])
            err_append(err, "%s %s (SHA-256 %s)", i ? "," : ":", m->archives[i].file,
                       m->archives[i].sha256);
    return err_append(err, "; give it: `fetch %s --repair --from FILE`", j->o->name);
}

/* The archives the set was made from, by whatever way. */
static int gather(struct job *j, struct err *err)
{
    const struct manifest *was = &j->recorded, *is = &j->again;
    bool bad[MANIFEST_ARCHIVES_MAX];

    if (j->o->n_from == 0 && all_kept(j)) {
        memcpy(j->again.archives, was->archives, sizeof j->again.archives);
        j->again.n_archives = was->n_archives;
        for (size_t i = 0; i < was->n_archives; i++)
            if (path_format(j->archives.path[i], err, "%s/%s", j->p.archives,
                            was->archives[i].file) < 0)
                return -1;
        return 0;
    }
    if (!can_get(j->o))
        return no_archive(j, err);
    if (archives_gather(&j->archives, &j->again, j->o, err) < 0)
        return -1;
    for (size_t i = 0; i < was->n_archives || i < is->n_archives; i++)
        if (i >= was->n_archives || i >= is->n_archives ||
            strcmp(was->archives[i].sha256, is->archives[i].sha256) != 0)
            return err_set(err, ERR_CHECKSUM,
                           "%s was made from other archives than these: number %zu is %s, SHA-256 "
                           "%s, and was %s, %s",
                           j->o->name, i + 1, i < is->n_archives ? is->archives[i].file : "none",
                           i < is->n_archives ? is->archives[i].sha256 : "-",
                           i < was->n_archives ? was->archives[i].file : "none",
                           i < was->n_archives ? was->archives[i].sha256 : "-");
    memcpy(bad, j->archive_bad, sizeof bad);
    if (check_archives(j, err) < 0)
        return -1;
    for (size_t i = 0; i < was->n_archives; i++)
        if (bad[i] && j->archive_kept[i])
            fprintf(j->out, "repaired archive %s\n", was->archives[i].file);
    return 0;
}

/* --- the files --- */

/* PATH is as in the archive: with or without a top folder. */
static bool is_wanted(void *ctx, const char *path)
{
    struct job *j = ctx;
    const char *below = strchr(path, '/');
    const struct manifest_file *whole = manifest_find(&j->recorded, path),
                               *rest = below ? manifest_find(&j->recorded, below + 1) : NULL;

    return (whole && j->bad[whole - j->recorded.files]) ||
           (rest && j->bad[rest - j->recorded.files]);
}

static int compare_manifests(const struct job *j, struct err *err)
{
    const struct manifest *a = &j->recorded, *b = &j->again;

    for (size_t i = 0; i < a->n_files || i < b->n_files; i++) {
        const struct manifest_file *x = i < a->n_files ? &a->files[i] : NULL;
        const struct manifest_file *y = i < b->n_files ? &b->files[i] : NULL;

        if (!x || !y || strcmp(x->path, y->path) != 0 || x->size != y->size ||
            strcmp(x->sha256, y->sha256) != 0)
            return err_set(err, ERR_CHECKSUM,
                           "%s does not list what its archives hold (%s): it was changed; remove "
                           "%s and fetch %s again",
                           j->p.manifest, x ? x->path : y->path, j->p.set, j->o->name);
    }
    return 0;
}

static int move_file(const struct job *j, const char *root, const struct manifest_file *f,
                     struct err *err)
{
    char from[PATH_LEN], to[PATH_LEN], folder[PATH_LEN], hex[SHA256_HEX];
    const char *base = path_base(f->path);

    if (path_format(from, err, "%s/%s", root, f->path) < 0 ||
        path_format(to, err, "%s/%s", j->p.tree, f->path) < 0 ||
        path_format(folder, err, "%.*s.", (int)(base - f->path), f->path) < 0 ||
        path_make_dirs_below(j->p.tree, folder, err) < 0)
        return -1;
    if (rename(from, to) < 0)
        return errno == EISDIR
                   ? err_set(err, ERR_INPUT, "%s: a folder is in its place: remove it", to)
                   : err_errno(err, "cannot write %s", to);
    if (sha256_file(to, hex, NULL, err) < 0)
        return -1;
    if (strcmp(hex, f->sha256) != 0)
        return err_set(err, ERR_CHECKSUM,
                       "%s was unpacked again and still differs: its SHA-256 is %s, expected %s; "
                       "check the disk",
                       to, hex, f->sha256);
    fprintf(j->out, "repaired %s\n", f->path);
    return 0;
}

static int unpack_bad(struct job *j, struct err *err)
{
    char root[PATH_LEN];

    if (path_remove_tree(j->p.tree_part, err) < 0 || path_make_dirs(j->p.tree_part, err) < 0 ||
        obtain_unpack(&j->again, &j->archives, j->o, &j->p, is_wanted, j, err) < 0 ||
        obtain_strip_top(root, &j->again, &j->p, j->o, err) < 0 ||
        manifest_sort(&j->again, err) < 0 || compare_manifests(j, err) < 0 ||
        obtain_flush(root, err) < 0)
        return -1;
    for (size_t i = 0; i < j->recorded.n_files; i++)
        if (j->bad[i] && move_file(j, root, &j->recorded.files[i], err) < 0)
            return -1;
    return obtain_flush(j->p.tree, err);
}

static int repair_locked(struct job *j, struct err *err)
{
    bool archives_bad = false;

    if (manifest_read(&j->recorded, j->p.manifest, err) < 0)
        return err_append(err, "; it cannot be repaired: remove %s and fetch %s again", j->p.set,
                          j->o->name);
    j->bad = calloc(j->recorded.n_files + 1, sizeof *j->bad);
    if (!j->bad)
        return err_set(err, ERR_NOMEM, "no memory for %zu files", j->recorded.n_files);
    if (manifest_check(&j->recorded, j->p.tree, NULL, differs, j, err) < 0 ||
        check_archives(j, err) < 0)
        return -1;
    for (size_t i = 0; i < j->recorded.n_archives; i++)
        archives_bad = archives_bad || j->archive_bad[i];
    if ((j->n_bad > 0 || (archives_bad && can_get(j->o))) && gather(j, err) < 0)
        return -1;
    if (j->n_bad > 0 && unpack_bad(j, err) < 0)
        return -1;
    for (size_t i = 0; i < j->recorded.n_archives; i++)
        if (j->archive_bad[i]) {
            fprintf(j->out, "archive %s\n", j->recorded.archives[i].file);
            j->left.archives++;
        }
    if (j->n_bad > 0)
        log_info("%s: %zu of %zu files repaired from %s", j->o->name, j->n_bad, j->recorded.n_files,
                 j->archives.path[0]);
    else
        log_info("%s: %s: all %zu files are as they were unpacked", j->o->name,
                 archives_bad ? "its pictures need no repair" : "nothing to repair",
                 j->recorded.n_files);
    return 0;
}

int repair(const struct obtain *o, FILE *out, struct repair_left *left, struct err *err)
{
    struct job *j = calloc(1, sizeof *j);
    struct set_lock lock = {.fd = -1};
    int rc = -1;

    *left = (struct repair_left){0};
    if (!j)
        return err_set(err, ERR_NOMEM, "no memory for a list of archives");
    j->o = o;
    j->out = out;
    if (obtain_find_places(&j->p, o, err) < 0)
        goto out;
    if (!path_exists(j->p.manifest)) {
        err_set(err, ERR_INPUT,
                "%s is not there, or not complete: %s is missing; `fetch %s` makes it", o->name,
                j->p.manifest, o->name);
        goto out;
    }
    if (set_lock_take(&lock, o->data, o->name, err) < 0)
        goto out;
    rc = repair_locked(j, err);
    if (path_remove_tree(j->p.tree_part, rc == 0 ? err : NULL) < 0)
        rc = -1;
    *left = j->left;
out:
    set_lock_release(&lock);
    manifest_free(&j->recorded);
    manifest_free(&j->again);
    free(j->bad);
    free(j);
    return rc;
}
