/* recheck.c - a set against its manifest, and its archives where they are kept.
 * SPDX-License-Identifier: MIT */
#include "recheck.h"

#include <string.h>

#include "archives.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/path.h"
#include "data/manifest.h"
#include "set_lock.h"

struct job {
    const char *data, *name;
    struct manifest recorded;
    FILE *out;
    size_t differences;
};

static void differs(void *ctx, const char *how, const char *path)
{
    struct job *j = ctx;

    fprintf(j->out, "%s %s\n", how, path);
    j->differences++;
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
        if (strcmp(hex, a->sha256) == 0)
            continue;
        if (archives_is_of(j->name, a->file))
            differs(j, "archive", a->file);
        else
            log_warn("%s is not the archive that %s was unpacked from: it is damaged, or another "
                     "of its name",
                     path, j->name);
    }
    return 0;
}

static int recheck_locked(struct job *j, const char *manifest, struct err *err)
{
    char tree[PATH_LEN];

    if (path_format(tree, err, "%s/%s/tree", j->data, j->name) < 0 ||
        manifest_read(&j->recorded, manifest, err) < 0 ||
        manifest_check(&j->recorded, tree, NULL, differs, j, err) < 0 ||
        compare_archives(j, err) < 0)
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
                       "%s is not there, or not complete: %s is missing; `fetch %s` makes it", name,
                       manifest, name);
    /* it may lie where we cannot write; then nobody changes it either */
    if (set_lock_take(&lock, data, name, err) < 0 && err->kind == ERR_LOCKED)
        return -1;
    rc = recheck_locked(&j, manifest, err);
    set_lock_release(&lock);
    *differences = j.differences;
    manifest_free(&j.recorded);
    return rc;
}
