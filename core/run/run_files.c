/* run_files.c - a walk through a run folder. SPDX-License-Identifier: MIT */
#include "run/run_files.h"

#include <errno.h>
#include <fts.h>
#include <stdbool.h>
#include <string.h>

#include "base/hash.h"
#include "base/path.h"

static bool changes_later(const char *path)
{
    static const char *const names[] = {"run.json",    "score.json", "log.txt", "report.html",
                                        "looks.jsonl", "scores",     "plots"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(path, names[i]) == 0)
            return true;
    return false;
}

static int add(json_t *files, const char *full, const char *path, struct err *err)
{
    char hex[SHA256_HEX];

    if (sha256_file(full, hex, NULL, err) < 0)
        return -1;
    if (json_object_set_new(files, path, json_string(hex)) < 0)
        return err_set(err, ERR_NOMEM, "%s: out of memory, or a name that is not UTF-8", full);
    return 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

int run_files(json_t **out, const char *folder, struct err *err)
{
    char root[PATH_LEN];
    char *roots[] = {root, NULL};
    json_t *files = json_object();
    FTS *walk = NULL;
    FTSENT *e;
    int rc = 0;

    *out = NULL;
    if (!files)
        return err_set(err, ERR_NOMEM, "%s", folder);
    if (path_format(root, err, "%s", folder) < 0)
        rc = -1;
    else if (!(walk = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name)))
        rc = err_errno(err, "cannot read %s", folder);
    while (rc == 0 && (errno = 0, e = fts_read(walk)) != NULL) {
        const char *path = e->fts_path + strlen(root) + (e->fts_level > 0);

        if (e->fts_level > 0 && (e->fts_name[0] == '.' || changes_later(path))) {
            fts_set(walk, e, FTS_SKIP);
        } else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS) {
            errno = e->fts_errno;
            rc = err_errno(err, "cannot read %s", e->fts_path);
        } else if (e->fts_info == FTS_F) {
            rc = add(files, e->fts_path, path, err);
        }
    }
    if (rc == 0 && errno != 0)
        rc = err_errno(err, "cannot read %s", folder);
    if (walk)
        fts_close(walk);
    if (rc < 0)
        json_decref(files);
    else
        *out = files;
    return rc;
}
