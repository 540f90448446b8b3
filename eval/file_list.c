/* file_list.c - words into paths of files.
 * SPDX-License-Identifier: MIT */
#include "file_list.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "base/text.h"
#include "image/decode.h"

static int add(struct file_list *l, const char *path, struct err *err)
{
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        char **more = realloc(l->files, room * sizeof *more);

        if (!more)
            return err_set(err, ERR_NOMEM, "%s", path);
        l->files = more;
        l->room = room;
    }
    l->files[l->n] = strdup(path);
    if (!l->files[l->n])
        return err_set(err, ERR_NOMEM, "%s", path);
    l->n++;
    return 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* What of a folder was left out, with the first of it. */
struct left_out {
    unsigned n;
    char first[PATH_LEN];
};

static int add_entry(struct file_list *l, FTS *walk, FTSENT *e, struct left_out *out,
                     struct err *err)
{
    switch (e->fts_info) {
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        errno = e->fts_errno;
        return err_errno(err, "cannot read %s", e->fts_path);
    case FTS_DP:
        return 0;
    default:
        break;
    }
    if (e->fts_level > 0 && e->fts_name[0] == '.') {
        fts_set(walk, e, FTS_SKIP);
        return 0;
    }
    if (e->fts_info == FTS_D)
        return 0;
    if (image_is_picture(e->fts_path, NULL) > 0)
        return add(l, e->fts_path, err);
    if (out->n++ == 0)
        snprintf(out->first, sizeof out->first, "%s", e->fts_path);
    return 0;
}

static int add_folder(struct file_list *l, const char *folder, struct err *err)
{
    char root[PATH_LEN];
    char *roots[] = {root, NULL};
    struct left_out out = {0};
    const size_t before = l->n;
    FTSENT *e;
    FTS *walk;
    int rc = 0;

    if (path_format(root, err, "%s", folder) < 0)
        return -1;
    for (size_t n = strlen(root); n > 1 && root[n - 1] == '/';)
        root[--n] = 0;
    walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    if (!walk)
        return err_errno(err, "cannot read %s", folder);
    while (rc == 0 && (errno = 0, e = fts_read(walk)) != NULL)
        rc = add_entry(l, walk, e, &out, err);
    if (rc == 0 && errno != 0)
        rc = err_errno(err, "cannot read %s", folder);
    fts_close(walk);
    if (rc == 0 && l->n == before)
        return err_set(err, ERR_INPUT, "%s: no picture in this folder", folder);
    if (rc == 0 && out.n > 0)
        log_info("%s: %u file%s left out as no picture: %s%s", folder, out.n, PLURAL(out.n),
                 out.first, out.n > 1 ? ", ..." : "");
    return rc;
}

/* A path a line. */
static int add_stdin(struct file_list *l, struct err *err)
{
    const size_t before = l->n;
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int rc = 0;

    while (rc == 0 && (n = getline(&line, &room, stdin)) >= 0) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            line[--n] = 0;
        if (n > 0)
            rc = add(l, line, err);
    }
    if (rc == 0 && ferror(stdin))
        rc = err_errno(err, "the list on stdin cannot be read");
    free(line);
    if (rc == 0 && l->n == before)
        rc = err_set(err, ERR_INPUT,
                     "--predict -: stdin names no file; one path a line is expected");
    return rc;
}

int file_list_read(struct file_list *l, const struct request *r, struct err *err)
{
    for (int i = 0; i < r->n_words; i++) {
        const char *word = r->words[i];
        struct err why = {0};
        const int rc = strcmp(word, "-") == 0 ? add_stdin(l, &why)
                       : path_is_dir(word)    ? add_folder(l, word, &why)
                                              : add(l, word, &why);

        if (rc < 0 && why.kind == ERR_NOMEM)
            return err_set(err, why.kind, "%s", why.msg);
        if (rc < 0) {
            log_error("%s", why.msg);
            l->failed++;
        }
    }
    return 0;
}

void file_list_free(struct file_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->files[i]);
    free(l->files);
    *l = (struct file_list){0};
}
