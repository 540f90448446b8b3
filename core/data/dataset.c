/* dataset.c - describe a set by its YAML file and list its pictures.
 * SPDX-License-Identifier: MIT */
#include "data/dataset.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/path.h"
#include "base/text.h"
#include "base/yaml.h"
#include "data/alike.h"
#include "data/entry_path.h"
#include "data/label.h"
#include "data/offenders.h"
#include "data/pattern.h"

int dataset_read(struct dataset_options *o, const char *name, char *const *overrides, int n,
                 struct err *err)
{
    const struct key_table tables[] = {{dataset_keys, 0}};
    const size_t length = strlen(name);
    char path[PATH_LEN];
    json_t *tree = NULL;
    int rc = -1;

    memset(o, 0, sizeof *o);
    if (length > 5 && strcmp(name + length - 5, ".yaml") == 0) {
        if (path_format(path, err, "%s", name) < 0)
            return -1;
    } else if (path_find_share(path, SHARE_DATASETS, name, err) < 0) {
        return -1;
    }
    if (yaml_read(&tree, path, err) < 0)
        return -1;
    if (!json_is_object(tree)) {
        err_set(err, ERR_FORMAT, "%s: not a map of keys", path);
        goto out;
    }
    keys_default(tables, 1, KEYS_NEWEST, o);
    if (keys_apply(tables, 1, KEYS_NEWEST, o, tree, path, err) < 0)
        goto out;
    for (int i = 0; i < n; i++)
        if (keys_set_word(tree, tables, 1, overrides[i], err) < 0) {
            err_usage(err);
            goto out;
        }
    keys_default(tables, 1, KEYS_NEWEST, o);
    if (keys_apply(tables, 1, KEYS_NEWEST, o, tree, NULL, err) < 0)
        goto out;
    if (o->label_from == LABEL_REGEX && !o->label_regex[0])
        err_set(err, ERR_INPUT, "%s: label.from is regex, so label.regex must be given", path);
    else if (o->label_from == LABEL_CSV && !o->label_csv[0])
        err_set(err, ERR_INPUT, "%s: label.from is csv, so label.csv must be given", path);
    else
        rc = 0;
out:
    json_decref(tree);
    return rc;
}

/* --- listing ------------------------------------------------------------------------------------ */

struct listing {
    struct dataset *d;
    const char *tree;
    const struct dataset_options *o;
    uint32_t room;
    size_t root_length;     /* of the root with its '/' */
    struct pattern *skip;   /* NULL: none */
    struct pattern *system; /* folders of the system */
    bool skip_bad;          /* decode.on_error is skip */
    bool by_folder;         /* folders are labels */
    int (*is_picture)(const char *path);
    struct offenders unreadable;
};

static int add_item(struct listing *l, const char *path, struct err *err)
{
    const char *fault = text_fault(path);
    struct dataset *d = l->d;
    char quoted[400];

    if (fault && l->skip_bad) {
        remarks_add(&d->remarks, REMARK_BAD_NAMES, "%s", path);
        return 0;
    }
    if (fault) {
        text_quote(quoted, sizeof quoted, path);
        return err_set(
            err, ERR_INPUT,
            "%s: %s: its name has %s; rename the file, or leave it out with the key skip "
            "or with decode.on_error=skip",
            d->root, quoted, fault);
    }
    if (d->n == l->room) {
        uint32_t room = l->room ? 2 * l->room : 1024;
        struct dataset_item *more = room > l->room ? realloc(d->items, room * sizeof *more) : NULL;

        if (!more)
            return err_set(err, ERR_NOMEM, "%u pictures: out of memory", d->n);
        d->items = more;
        l->room = room;
    }
    d->items[d->n] = (struct dataset_item){.path = strdup(path), .official = -1};
    if (!d->items[d->n].path)
        return err_set(err, ERR_NOMEM, "%u pictures: out of memory", d->n);
    d->n++;
    return 0;
}

bool dataset_is_archive(const char *path)
{
    static const char *const endings[] = {".zip", ".tar",  ".tgz", ".gz", ".bz2", ".xz",
                                          ".zst", ".tbz2", ".txz", ".7z", ".rar"};
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(dot, endings[i]) == 0)
            return true;
    return false;
}

/* PATH as a pattern can be searched in: each byte that is not UTF-8 as U+FFFD. */
static void searchable(char out[PATH_LEN], const char *path)
{
    size_t n = 0;

    for (const char *p = path; *p && n + 5 < PATH_LEN;) {
        const int length = text_character(p);

        memcpy(out + n, length ? p : "\xEF\xBF\xBD", length ? (size_t)length : 3);
        n += length ? (size_t)length : 3;
        p += length ? length : 1;
    }
    out[n] = '\0';
}

static int matches(struct pattern *p, const char *path, struct err *err)
{
    char text[PATH_LEN];

    searchable(text, path);
    return p ? pattern_search(p, text, NULL, NULL, err) : 0;
}

/* Whether labels or parts are read from it, so that it is not left out. */
static bool is_table(const struct listing *l, const char *full)
{
    const char *const tables[] = {l->o->label_from == LABEL_CSV ? l->o->label_csv : "",
                                  l->o->official_trainval, l->o->official_test};
    const size_t n = strlen(l->tree);
    char path[ENTRY_PATH_MAX + 1], table[ENTRY_PATH_MAX + 1];

    if (strncmp(full, l->tree, n) != 0 || full[n] != '/' ||
        entry_path_clean(path, full + n + 1, NULL) < 0)
        return false;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (entry_path_clean(table, tables[i], NULL) == 0 && strcmp(path, table) == 0)
            return true;
    return false;
}

static int visit_file(struct listing *l, const char *full, struct err *err)
{
    const char *path = full + l->root_length;
    struct remarks *r = &l->d->remarks;
    int found = matches(l->skip, path, err), picture;

    if (found != 0) {
        l->d->n_skipped++;
        remarks_add(r, REMARK_SKIPPED, "%s", path);
        return found < 0 ? -1 : 0;
    }
    picture = l->is_picture(full);
    if (picture < 0)
        offenders_add(&l->unreadable, "%s", path);
    if (picture > 0) {
        found = matches(l->system, path, err);
        if (found > 0)
            remarks_add(r, REMARK_SYSTEM_FOLDERS, "%s", path);
        return found < 0 ? -1 : add_item(l, path, err);
    }
    if (picture == 0 && !is_table(l, full)) {
        l->d->n_skipped++;
        remarks_add(r, dataset_is_archive(path) ? REMARK_NESTED_ARCHIVES : REMARK_OTHER_FILES, "%s",
                    path);
    }
    return 0;
}

/* A folder that cannot be read is no matter where its files would be left out anyhow. */
static int visit_unreadable(struct listing *l, const FTSENT *entry, struct err *err)
{
    char inside[PATH_LEN];
    int found;

    if (entry->fts_level > 0) {
        if (path_format(inside, err, "%s/x", entry->fts_path + l->root_length) < 0)
            return -1;
        found = matches(l->skip, inside, err);
        if (found == 0)
            found = matches(l->system, inside, err);
        if (found > 0)
            remarks_add(&l->d->remarks, REMARK_SKIPPED, "%s/", entry->fts_path + l->root_length);
        if (found != 0)
            return found < 0 ? -1 : 0;
    }
    errno = entry->fts_errno;
    return err_errno(err, "cannot list %s", entry->fts_path);
}

/* At the end of a folder that began when there were as many pictures as now. */
static int note_empty(struct listing *l, const FTSENT *entry, struct err *err)
{
    const char *path = entry->fts_path + l->root_length;
    char inside[PATH_LEN];
    int found;

    if (path_format(inside, err, "%s/x", path) < 0)
        return -1;
    found = matches(l->skip, inside, err);
    if (found == 0)
        found = matches(l->system, inside, err);
    if (found == 0)
        remarks_add(&l->d->remarks, REMARK_EMPTY_FOLDERS, "%s/", path);
    return found < 0 ? -1 : 0;
}

static int visit(struct listing *l, FTS *walk, FTSENT *entry, struct err *err)
{
    bool hidden = entry->fts_level > 0 && entry->fts_name[0] == '.';

    if (hidden && entry->fts_info != FTS_DP)
        remarks_add(&l->d->remarks, REMARK_HIDDEN_FILES, "%s", entry->fts_path + l->root_length);
    switch (entry->fts_info) {
    case FTS_D:
        if (hidden)
            fts_set(walk, entry, FTS_SKIP);
        entry->fts_number = (long)l->d->n;
        return 0;
    case FTS_DP:
        if (l->by_folder && !hidden && entry->fts_level > 0 && entry->fts_number == (long)l->d->n)
            return note_empty(l, entry, err);
        return 0;
    case FTS_F:
        return hidden ? 0 : visit_file(l, entry->fts_path, err);
    case FTS_DC:
        return err_set(err, ERR_INPUT, "%s: a link to a folder it lies in", entry->fts_path);
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return hidden ? 0 : visit_unreadable(l, entry, err);
    case FTS_SLNONE:
        if (!hidden)
            offenders_add(&l->unreadable, "%s", entry->fts_path + l->root_length);
        return 0;
    case FTS_DEFAULT: /* never opened: to read a pipe may take for ever */
        if (!hidden)
            remarks_add(&l->d->remarks, REMARK_SPECIAL_FILES, "%s",
                        entry->fts_path + l->root_length);
        return 0;
    default:
        return 0;
    }
}

/* Not as the system happens to list them: remarks name the first few, and are recorded. */
static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int walk_tree(struct listing *l, struct err *err)
{
    char *roots[] = {l->d->root, NULL};
    FTS *walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    FTSENT *entry;
    int rc = 0;

    if (!walk)
        return err_errno(err, "cannot list %s", l->d->root);
    while (rc == 0 && (errno = 0, entry = fts_read(walk)) != NULL)
        rc = visit(l, walk, entry, err);
    if (rc == 0 && errno != 0)
        rc = err_errno(err, "cannot list %s", l->d->root);
    fts_close(walk);
    if (rc == 0 && l->unreadable.n > 0) {
        err_set(err, ERR_IO, "%s: %u file%s cannot be read", l->d->root, l->unreadable.n,
                PLURAL(l->unreadable.n));
        rc = offenders_append(err, &l->unreadable);
    }
    return rc;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct dataset_item *)a)->path, ((const struct dataset_item *)b)->path);
}

static void note_alike(void *ctx, const char *a, const char *b)
{
    remarks_add(&((struct dataset *)ctx)->remarks, REMARK_ALIKE_PATHS, "%s and %s", a, b);
}

static int find_alike(struct dataset *d, struct err *err)
{
    const char **paths = malloc(d->n * sizeof *paths);
    int rc;

    if (!paths)
        return err_set(err, ERR_NOMEM, "%u pictures: out of memory", d->n);
    for (uint32_t i = 0; i < d->n; i++)
        paths[i] = d->items[i].path;
    rc = alike_find(paths, d->n, false, note_alike, d, err);
    free(paths);
    return rc;
}

static int no_pictures(const struct dataset *d, struct err *err)
{
    char text[1200];

    err_set(err, ERR_INPUT, "%s: no pictures here (%u other file%s)", d->root, d->n_skipped,
            PLURAL(d->n_skipped));
    for (int k = REMARK_OTHER_FILES; k <= REMARK_SPECIAL_FILES; k++) {
        remarks_text(&d->remarks, (enum remark_kind)k, text, sizeof text);
        if (text[0])
            err_append(err, "; %s", text);
    }
    if (d->remarks.of[REMARK_NESTED_ARCHIVES].n > 0)
        err_append(err, "; unpack such an archive as a set: `fetch NAME --from %s/%s`", d->root,
                   d->remarks.of[REMARK_NESTED_ARCHIVES].example[0]);
    return -1;
}

static int list(struct dataset *d, const struct dataset_options *o, const char *tree,
                int (*is_picture)(const char *path), struct err *err)
{
    struct listing l = {.d = d,
                        .tree = tree,
                        .o = o,
                        .is_picture = is_picture,
                        .root_length = strlen(d->root) + 1,
                        .skip_bad = o->on_error == ON_ERROR_SKIP,
                        .by_folder = o->label_from == LABEL_FOLDER};
    int rc;

    if (!path_is_dir(d->root))
        return err_set(err, ERR_IO,
                       "%s: no such folder; fetch the set first, or set the keys images "
                       "and root",
                       d->root);
    if (o->skip[0] && pattern_new(&l.skip, "skip", o->skip, false, err) < 0)
        return -1;
    rc = pattern_new(&l.system, "folders of the system", DATASET_SYSTEM_FOLDERS, false, err);
    if (rc == 0)
        rc = walk_tree(&l, err);
    pattern_free(l.skip);
    pattern_free(l.system);
    if (rc < 0)
        return -1;
    if (d->n == 0)
        return no_pictures(d, err);
    qsort(d->items, d->n, sizeof *d->items, by_path);
    return find_alike(d, err);
}

int dataset_list(struct dataset **out, const struct dataset_options *o, const char *tree,
                 int (*is_picture)(const char *path), struct err *err)
{
    struct dataset *d = calloc(1, sizeof *d);
    size_t length;

    *out = NULL;
    if (!d)
        return err_set(err, ERR_NOMEM, "data set: out of memory");
    if ((size_t)snprintf(d->root, sizeof d->root, "%s%s%s", tree, o->images[0] ? "/" : "",
                         o->images) >= sizeof d->root) {
        err_set(err, ERR_INPUT, "%s: the path is too long", tree);
        goto fail;
    }
    for (length = strlen(d->root); length > 1 && d->root[length - 1] == '/'; length--)
        d->root[length - 1] = '\0';
    if (list(d, o, tree, is_picture, err) < 0 || label_items(d, o, tree, err) < 0 ||
        label_official(d, o, tree, err) < 0)
        goto fail;
    *out = d;
    return 0;
fail:
    dataset_free(d);
    return -1;
}

void dataset_free(struct dataset *d)
{
    if (!d)
        return;
    for (uint32_t i = 0; i < d->n; i++)
        free(d->items[i].path);
    for (int32_t i = 0; i < d->n_classes; i++)
        free(d->vocab[i]);
    free(d->items);
    free(d->vocab);
    free(d->group);
    free(d);
}

static const char *const label_from_names[] = {"regex", "folder", "csv", NULL};
static const char *const missing_names[] = {"fail", "skip", NULL};
static const char *const exif_names[] = {"ignore", "apply", NULL};
static const char *const on_error_names[] = {"fail", "skip", NULL};
const char *const dataset_storage_names[] = {"raw", "zstd", "jpeg", NULL};

static const struct key group_keys[] = {
    KEY_STR(struct dataset_group, name, "name", "", "name of the group"),
    KEY_STR(struct dataset_group, regex, "regex", "", "PCRE2 on the label: classes of the group"),
    KEY_END,
};

#define S struct dataset_options
const struct key dataset_keys[] = {
    KEY_STR(S, title, "title", "", "the set's name for readers"),
    KEY_STR(S, source, "source", "", "where fetch gets the set from"),
    KEY_STR(S, licence, "licence", "", "licence of the pictures"),
    KEY_STR(S, images, "images", "", "folder of the pictures below the tree"),
    KEY_STR(S, root, "root", "", "a folder of your own, in place of the fetched tree"),
    KEY_CHOICE(S, label_from, "label.from", "folder", label_from_names,
               "where a picture's label is found"),
    KEY_STR(S, label_regex, "label.regex", "",
            "PCRE2 searched in the file name; group 1 is the label"),
    KEY_STR(S, label_csv, "label.csv", "", "table below the tree with the columns path and label"),
    KEY_STR(
        S, label_path_column, "label.path_column", "",
        "the table's column of paths, where it has none of the usual names (path, file, filename, "
        "image, id, ...)"),
    KEY_STR(S, label_column, "label.column", "",
            "the table's column of labels, where it has none of the usual names (label, class, "
            "category, breed, ...)"),
    KEY_CHOICE(S, label_missing, "label.missing", "fail", missing_names,
               "what to do with a picture without a label"),
    KEY_STR(S, skip, "skip", "", "PCRE2 on the path: files that are not pictures of the set"),
    KEY_STR(S, official_trainval, "official.trainval", "",
            "list below the tree: pictures to train with"),
    KEY_STR(S, official_test, "official.test", "", "list below the tree: pictures to test with"),
    KEY_CHOICE(S, exif, "decode.exif", "ignore", exif_names,
               "what to do with the orientation that a camera noted"),
    KEY_CHOICE(S, on_error, "decode.on_error", "fail", on_error_names,
               "what to do with a picture that cannot be decoded"),
    KEY_INT(S, size, "presize.size", "460", 8, 8192, "px", "short side after presizing"),
    KEY_F64(S, max_aspect, "presize.max_aspect", "2.0", 1, 100, "1",
            "longer pictures are cut to this ratio, centred"),
    KEY_INT(S, shard_pictures, "shard.pictures", "512", 1, 65536, "pictures", "per shard"),
    KEY_CHOICE(S, storage, "shard.storage", "raw", dataset_storage_names,
               "raw: uncompressed pixels; zstd: compressed without loss; jpeg: about a seventh of "
               "raw, pixels move by 1 of 255 on average"),
    KEY_INT(S, quality, "shard.quality", "95", 1, 100, "", "of storage jpeg: libjpeg's quality"),
    KEY_LIST(S, groups_list, groups, "groups", group_keys,
             "classes that belong together, for confusions between groups"),
    KEY_END,
};
#undef S
