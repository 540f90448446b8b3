/* shard_choice.c - compare the indexes of a set's folders of shards.
 * SPDX-License-Identifier: MIT */
#include "data/shard_choice.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "data/manifest.h"
#include "data/shard_open.h"

enum { CANDIDATES_MAX = 64 };

struct candidate {
    int64_t size;
    char folder[PATH_LEN];
    json_t *index;
    struct index_record record; /* of index */
    char labels[SHA256_HEX];    /* "" until asked for */
};

static int by_size(const void *a, const void *b) /* the largest first */
{
    const struct candidate *x = a, *y = b;

    return (x->size < y->size) - (x->size > y->size);
}

static int list(struct candidate *c, const char *folder, struct err *err)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    int n = 0;

    while (dir && n < CANDIDATES_MAX && (entry = readdir(dir)) != NULL) {
        char path[PATH_LEN], *end;

        if (strncmp(entry->d_name, "shards-", 7) != 0)
            continue;
        c[n].size = strtol(entry->d_name + 7, &end, 10);
        if (*end || c[n].size < 1 ||
            path_format(c[n].folder, err, "%s/%s", folder, entry->d_name) < 0 ||
            path_format(path, err, "%s/" SHARD_INDEX_FILE, c[n].folder) < 0 || !path_exists(path))
            continue;
        n++;
    }
    if (dir)
        closedir(dir);
    if (n > 0)
        qsort(c, (size_t)n, sizeof *c, by_size);
    return n;
}

static int read_index(struct candidate *c, struct err *err)
{
    char path[PATH_LEN];

    if (path_format(path, err, "%s/" SHARD_INDEX_FILE, c->folder) < 0)
        return -1;
    if (json_read(&c->index, path, err) < 0)
        return -1;
    fields_read(index_fields, SHARD_INDEX_VERSION, &c->record, c->index, NULL);
    return 0;
}

/* Whether the index names another manifest than that of HEX; a set of one's own has none. */
static bool names_other(const struct index_record *r, const char *hex)
{
    return hex[0] && r->fetched && r->manifest_sha256 && strcmp(r->manifest_sha256, hex) != 0;
}

/* The hash of FOLDER's manifest; "": it has none. ERR_FORMAT: it is damaged. */
static int present_manifest(const char *folder, char hex[SHA256_HEX], struct err *err)
{
    char path[PATH_LEN];

    hex[0] = 0;
    if (path_format(path, err, "%s/manifest.jsonl", folder) < 0)
        return -1;
    if (!path_is_file(path))
        return 0;
    if (manifest_sha256(path, hex, err) == 0)
        return 0;
    hex[0] = 0;
    return err_append(err, "; to check the set: `fetch %s --verify`", path_base(folder));
}

bool shard_is_stale(const char *shards)
{
    struct candidate c = {.size = 0};
    char folder[PATH_LEN], hex[SHA256_HEX];
    bool stale;

    if (path_format(c.folder, NULL, "%s", shards) < 0 ||
        path_format(folder, NULL, "%.*s", (int)(path_base(shards) - shards), shards) < 0 ||
        read_index(&c, NULL) < 0)
        return false;
    stale = present_manifest(folder, hex, NULL) < 0 || names_other(&c.record, hex);
    json_decref(c.index);
    return stale;
}

static int find_labels(struct candidate *c, struct err *err)
{
    const char *stated = c->record.labels_sha256;
    struct shard_set *s;
    int rc;

    if (stated && strlen(stated) == SHA256_HEX - 1) {
        memcpy(c->labels, stated, SHA256_HEX);
        return 0;
    }
    if (shard_set_open(&s, c->folder, err) < 0)
        return -1;
    rc = shard_set_labels_sha256(s, c->labels, err);
    shard_set_close(s);
    return rc;
}

static bool same_member(const struct candidate *a, const struct candidate *b, const char *name)
{
    const struct field *row = field_find(index_fields, name);
    json_t *x = field_json(row, &a->record), *y = field_json(row, &b->record);
    const bool same = json_equal(x, y);

    json_decref(x);
    json_decref(y);
    return same;
}

/* *WHAT: the first thing that A and B disagree about; NULL: nothing. */
static int compare(const char **what, struct candidate *a, struct candidate *b, struct err *err)
{
    static const char *const keys[][2] = {{"manifest_sha256", "pictures"},
                                          {"classes", "classes"},
                                          {"groups", "groups"},
                                          {"max_aspect", "presize.max_aspect"}};

    *what = NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!same_member(a, b, keys[i][0])) {
            *what = keys[i][1];
            return 0;
        }
    if (strcmp(a->record.settings.exif, b->record.settings.exif) != 0)
        *what = "decode.exif";
    if (*what)
        return 0;
    if (find_labels(a, err) < 0 || find_labels(b, err) < 0)
        return -1;
    if (strcmp(a->labels, b->labels) != 0)
        *what = "labels or lists";
    return 0;
}

static int disagree(const struct candidate *a, const struct candidate *b, const char *what,
                    struct err *err)
{
    return err_set(
        err, ERR_INPUT,
        "%s and %s disagree about %s: the pictures or the description changed after one of "
        "them was written. Run prep again with presize.size=%jd and with "
        "presize.size=%jd, or remove the older one, or choose one by data.size",
        a->folder, path_base(b->folder), what, (intmax_t)a->size, (intmax_t)b->size);
}

/* The largest of N, after those that are not of the present pictures were passed over. */
static int choose(int64_t *size, struct candidate *c, int n, const char *manifest, struct err *err)
{
    struct candidate *best = NULL;

    for (int i = 0; i < n; i++) {
        const char *what;

        if (read_index(&c[i], err) < 0)
            return err_append(err, "; remove the folder, or choose another by data.size");
        if (names_other(&c[i].record, manifest)) {
            if (n > 1)
                log_warn("%s is of other pictures than manifest.jsonl names, and is passed over",
                         c[i].folder);
            continue;
        }
        if (!best) {
            best = &c[i];
            continue;
        }
        if (compare(&what, best, &c[i], err) < 0)
            return -1;
        if (what)
            return disagree(best, &c[i], what, err);
    }
    if (!best)
        return err_set(err, ERR_INPUT,
                       "%s was made from other pictures than are there now (manifest.jsonl): run "
                       "prep again, or read it all the same by data.size=%jd",
                       c[0].folder, (intmax_t)c[0].size);
    *size = best->size;
    return 0;
}

int shard_choose(int64_t *size, const char *folder, struct err *err)
{
    struct candidate *c = calloc(CANDIDATES_MAX, sizeof *c);
    char manifest[SHA256_HEX];
    int n, rc = 0;

    *size = 0;
    if (!c)
        return err_set(err, ERR_NOMEM, "out of memory");
    n = list(c, folder, err);
    if (n > 0)
        rc = present_manifest(folder, manifest, err);
    if (rc == 0 && n == 1 && !manifest[0])
        *size = c[0].size; /* whatever is wrong with it, its reader says */
    else if (rc == 0 && n > 0)
        rc = choose(size, c, n, manifest, err);
    for (int i = 0; i < n; i++)
        json_decref(c[i].index);
    free(c);
    return rc;
}
