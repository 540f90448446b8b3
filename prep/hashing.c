/* hashing.c - from the files of a listing to its hash: that of the manifest, when all are as it says, or of the files.
 *
 * Several processes share the files where they see the very same ones. Else each hashes all, as copies on several
 * machines may differ. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "data/entry_path.h"
#include "data/manifest.h"
#include "data/offenders.h"
#include "group/group.h"
#include "prep.h"
#include "together.h"

/* --- in turns with other processes ------------------------------------------------------------------ */

struct turn {
    struct pace pace;
    struct group *group; /* NULL: alone */
};

static void turn_begin(struct turn *t, struct group *g)
{
    t->group = g;
    pace_begin(&t->pace);
}

/* After one file; false: another process has failed. */
static bool turn_next(struct turn *t)
{
    if (t->group && pace_step(&t->pace))
        pace_meet(&t->pace, t->group, false, false, false);
    return !t->pace.any_failed;
}

static int turn_end(struct turn *t, const struct prep *p, int rc, struct err *err)
{
    while (t->group && !t->pace.all_done && !t->pace.any_failed)
        pace_meet(&t->pace, t->group, rc == 0, rc < 0, false);
    return together_agree(p, rc, err);
}

/* What tells a file from a copy of it; devices have other numbers on other machines. */
static void hash_identity(struct sha256 *sha, const char *path)
{
    struct stat is = {0};
    uint64_t facts[6] = {0};

    if (stat(path, &is) == 0) {
        facts[0] = (uint64_t)is.st_ino;
        facts[1] = (uint64_t)is.st_size;
        facts[2] = (uint64_t)is.st_mtim.tv_sec;
        facts[3] = (uint64_t)is.st_mtim.tv_nsec;
        facts[4] = (uint64_t)is.st_ctim.tv_sec;
        facts[5] = (uint64_t)is.st_ctim.tv_nsec;
    }
    sha256_update(sha, facts, sizeof facts);
}

/* Whether all processes of a group have the same files before them. */
static bool see_same_files(const struct prep *p)
{
    char path[PATH_LEN], hex[SHA256_HEX] = "";
    struct sha256 *sha;

    if (!p->group)
        return false;
    if (sha256_new(&sha, NULL) == 0) {
        hash_identity(sha, p->tree);
        for (uint32_t i = 0; i < p->dataset->n; i++)
            if (path_format(path, NULL, "%s/%s", p->dataset->root, p->dataset->items[i].path) == 0)
                hash_identity(sha, path);
        sha256_hex(sha, hex);
        sha256_free(sha);
    }
    return group_same(p->group, "files", hex, NULL) == 0 && hex[0];
}

/* --- a folder of one's own ------------------------------------------------------------------------ */

struct hashed { /* of one file */
    uint64_t size;
    char sha256[SHA256_HEX];
};

/* The files PART, PART + PARTS, ... of the listing, in that order. */
static int hash_files(struct hashed *out, const struct prep *p, uint32_t part, uint32_t parts,
                      struct err *err)
{
    struct turn turn;
    int rc = 0;

    turn_begin(&turn, p->group);
    progress_begin("hash", p->dataset->n);
    for (uint32_t i = part; rc == 0 && i < p->dataset->n; i += parts) {
        char path[PATH_LEN];

        rc = path_format(path, err, "%s/%s", p->dataset->root, p->dataset->items[i].path);
        if (rc == 0)
            rc = sha256_file(path, out[i / parts].sha256, &out[i / parts].size, err);
        progress_set(i + 1, NULL);
        if (rc == 0 && !turn_next(&turn))
            break;
    }
    progress_end();
    return turn_end(&turn, p, rc, err);
}

/* One line for each picture, in the order of the listing: OF[r][k] is file k * PARTS + r. */
static int hash_lines(struct prep *p, struct hashed *const *of, uint32_t parts, struct err *err)
{
    struct sha256 *all;

    if (sha256_new(&all, err) < 0)
        return -1;
    for (uint32_t i = 0; i < p->dataset->n; i++) {
        const struct hashed *file = &of[i % parts][i / parts];
        char line[PATH_LEN + SHA256_HEX + 32];
        const int length = snprintf(line, sizeof line, "%s %ju %s\n", p->dataset->items[i].path,
                                    (uintmax_t)file->size, file->sha256);

        sha256_update(all, line, (size_t)length);
    }
    sha256_hex(all, p->manifest_sha256);
    sha256_free(all);
    return 0;
}

/* What each has hashed goes to all. */
static int join_lines(struct prep *p, const struct hashed *own, uint32_t n, struct err *err)
{
    char *all[GROUP_MAX] = {NULL};
    struct hashed *of[GROUP_MAX];
    size_t sizes[GROUP_MAX];
    int rc = group_collect(p->group, all, sizes, own, n * sizeof *own, true, err);

    rc = together_agree(p, rc, err);
    for (int i = 0; i < group_size(p->group); i++)
        of[i] = (struct hashed *)(void *)all[i];
    if (rc == 0)
        rc = hash_lines(p, of, (uint32_t)group_size(p->group), err);
    for (int i = 0; i < group_size(p->group); i++)
        free(all[i]);
    return rc;
}

static int hash_listing(struct prep *p, bool shared, struct err *err)
{
    const uint32_t parts = shared ? (uint32_t)group_size(p->group) : 1;
    const uint32_t part = shared ? (uint32_t)p->rank : 0, n = p->dataset->n;
    const uint32_t own = n > part ? (n - part + parts - 1) / parts : 0;
    struct hashed *files = calloc(own + 1, sizeof *files);
    int rc = files ? 0 : err_set(err, ERR_NOMEM, "hashes of %u pictures: out of memory", own);

    rc = together_agree(p, rc, err);
    if (rc == 0)
        rc = hash_files(files, p, part, parts, err);
    if (rc == 0)
        rc = shared ? join_lines(p, files, own, err) : hash_lines(p, &files, 1, err);
    free(files);
    return rc;
}

/* --- a fetched set -------------------------------------------------------------------------------- */

struct against { /* what of a set is not as it was fetched */
    const struct prep *p;
    /* folder of the pictures, as paths in a manifest are written */
    char images[ENTRY_PATH_MAX + 1];
    char tables[3][ENTRY_PATH_MAX + 1]; /* files that the description names */
    struct offenders offenders;
    struct turn turn;
};

static int name_parts(struct against *a, struct err *err)
{
    const struct dataset_options *o = &a->p->options;
    const struct {
        const char *key, *path;
        char *clean;
    } parts[] = {{"images", o->images, a->images},
                 {"label.csv", o->label_csv, a->tables[0]},
                 {"official.trainval", o->official_trainval, a->tables[1]},
                 {"official.test", o->official_test, a->tables[2]}};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (entry_path_clean(parts[i].clean, parts[i].path, err) < 0)
            return err_wrap(err, "%s: %s", a->p->name, parts[i].key);
    return 0;
}

/* Whether PATH is AT or, where a link was followed, below it. */
static bool is_within(const char *path, const char *at)
{
    const size_t n = strlen(at);

    return strncmp(path, at, n) == 0 && (path[n] == 0 || path[n] == '/');
}

/* Whether PATH, below the tree, has part in the set: a table or list, or a file where the pictures are; of those that
 * were not fetched, a picture. */
static bool has_part(const struct against *a, const char *how, const char *path)
{
    const struct dataset *d = a->p->dataset;
    const size_t n = strlen(a->images);
    const char *below = path;

    for (int i = 0; i < 3; i++)
        if (is_within(a->tables[i], path))
            return true;
    if (n > 0) {
        if (strncmp(path, a->images, n) != 0 || path[n] != '/')
            return false;
        below = path + n + 1;
    }
    if (strcmp(how, "extra") != 0)
        return true;
    for (uint32_t i = 0; i < d->n; i++)
        if (is_within(d->items[i].path, below))
            return true;
    return false;
}

static void note_difference(void *ctx, const char *how, const char *path)
{
    struct against *a = ctx;

    if (has_part(a, how, path))
        offenders_add(&a->offenders, "%s %s", how, path);
}

static bool next_file(void *ctx)
{
    return turn_next(&((struct against *)ctx)->turn);
}

/* Counts what is not as M has it; of several processes, each counts its own files where SHARED. */
static int check_files(struct against *a, const struct manifest *m, bool shared, struct err *err)
{
    const struct prep *p = a->p;
    struct manifest_part part = {.part = 0, .parts = 1, .next = next_file};
    int rc;

    a->offenders = (struct offenders){0};
    if (shared) {
        part.part = (size_t)p->rank;
        part.parts = (size_t)group_size(p->group);
    }
    turn_begin(&a->turn, p->group);
    rc = manifest_check(m, p->tree, &part, note_difference, a, err);
    return turn_end(&a->turn, p, rc, err);
}

static int compare_with_manifest(struct prep *p, bool shared, struct err *err)
{
    struct against a = {.p = p};
    struct manifest m = {0};
    int rc = name_parts(&a, err);

    if (rc == 0)
        rc = manifest_read(&m, p->manifest, err);
    rc = together_agree(p, rc, err);
    if (rc == 0)
        rc = check_files(&a, &m, shared, err);
    if (rc == 0 && shared && group_any(p->group, a.offenders.n > 0)) /* the same words of all */
        rc = check_files(&a, &m, false, err);
    memcpy(p->manifest_sha256, m.sha256, SHA256_HEX);
    manifest_free(&m);
    if (rc < 0 || a.offenders.n == 0)
        return rc;
    err_set(err, ERR_CHECKSUM, "%s: %u file%s not as fetched", p->tree, a.offenders.n,
            a.offenders.n == 1 ? " is" : "s are");
    offenders_append(err, &a.offenders);
    return err_append(err,
                      "; to have them back: `fetch %s --repair`; to take the folder as it is now, "
                      "give it as a set of your own: root=%s",
                      p->set, p->tree);
}

int prep_hash(struct prep *p, struct err *err)
{
    bool shared;
    int rc = 0;

    p->fetched = p->manifest[0] && path_is_file(p->manifest);
    if (p->manifest[0] && !p->fetched)
        log_warn("%s is missing: nothing says that %s is as it was fetched; it is taken as it is",
                 p->manifest, p->tree);
    if (p->group && group_any(p->group, p->fetched) && !p->fetched)
        rc = err_set(err, ERR_INPUT, "%s: other processes see it, and this one does not",
                     p->manifest);
    if (together_agree(p, rc, err) < 0)
        return -1;
    shared = see_same_files(p);
    if (p->group)
        log_debug(shared ? "the processes see the same files, and share the work of hashing them"
                         : "the processes see other files, or copies: each hashes all of its own");
    return p->fetched ? compare_with_manifest(p, shared, err) : hash_listing(p, shared, err);
}
