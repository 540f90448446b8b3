/* survey.c - a listing without labels, and what a sample of the pictures shows.
 * SPDX-License-Identifier: MIT */
#include "survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "data/dataset.h"
#include "data/part_folder.h"
#include "image/decode.h"
#include "prep.h"

enum { SAMPLE = 64, HEADS = 1000, PICTURE_MAX = 1 << 30, FORMATS = 64 };

int survey_is_picture(const char *path)
{
    return image_is_picture(path, NULL);
}

/* --- formats ------------------------------------------------------------------------------------ */

struct tally {
    const char *name[FORMATS];
    uint32_t n[FORMATS];
    int used;
};

static void count_format(struct tally *t, const char *name)
{
    int i = 0;

    while (i < t->used && strcmp(t->name[i], name) != 0)
        i++;
    if (i == FORMATS)
        return;
    t->name[i] = name;
    t->used += i == t->used;
    t->n[i]++;
}

static void count_formats(struct survey *s, const struct dataset *d)
{
    struct tally t = {.used = 0};
    size_t used = 0;

    for (uint32_t i = 0; i < d->n; i++) {
        const char *kind;
        char path[PATH_LEN];

        if (path_format(path, NULL, "%s/%s", d->root, d->items[i].path) < 0)
            continue;
        kind = image_kind_of_file(path);
        count_format(&t, kind ? kind : "other");
    }
    for (int i = 0; i < t.used && used < sizeof s->formats; i++)
        used += (size_t)snprintf(s->formats + used, sizeof s->formats - used, "%s%u %s",
                                 i ? ", " : "", t.n[i], t.name[i]);
}

/* --- a sample of the pictures ------------------------------------------------------------------- */

/* Orientations of up to HEADS pictures; of SAMPLE of them the sizes, and whether they can be decoded. */
static int look_inside(struct survey *s, const struct dataset *d, int preset, struct err *err)
{
    const uint32_t heads = d->n < HEADS ? d->n : HEADS, step = heads / SAMPLE ? heads / SAMPLE : 1;
    int *sides = calloc(heads, sizeof *sides);
    struct image img = {0};

    if (!sides)
        return err_set(err, ERR_NOMEM, "out of memory");
    for (uint32_t i = 0; i < heads; i++) {
        const char *name = d->items[(uint64_t)i * d->n / heads].path;
        char path[PATH_LEN], *bytes = NULL;
        struct err why = {0};
        size_t size;
        int orientation;

        if (path_format(path, &why, "%s/%s", d->root, name) < 0 ||
            path_read(&bytes, &size, path, PICTURE_MAX, &why) < 0)
            continue;
        orientation = image_orientation((const uint8_t *)bytes, size);
        if (orientation != 1)
            remarks_add(&s->remarks, REMARK_ORIENTATION_APPLIED, "%s (%d)", name, orientation);
        if (i % step == 0) {
            if (image_decode(&img, (const uint8_t *)bytes, size, false, &why) < 0)
                remarks_add(&s->remarks, REMARK_UNDECODABLE, "%s: %s", name, why.msg);
            else
                sides[i] = img.height < img.width ? img.height : img.width;
        }
        free(bytes);
    }
    image_free(&img);
    s->size = size_to_propose(sides, heads);
    for (uint32_t i = 0; i < heads; i++)
        if (sides[i] > 0 && sides[i] < preset)
            remarks_add(&s->remarks, REMARK_ENLARGED, "%s (%d px)",
                        d->items[(uint64_t)i * d->n / heads].path, sides[i]);
    if (s->size > preset || s->remarks.of[REMARK_ENLARGED].n == 0)
        s->size = preset;
    free(sides);
    return 0;
}

/* --- folders ------------------------------------------------------------------------------------ */

static void add_skip(struct survey *s, const char *pattern)
{
    const size_t used = strlen(s->skip);

    if (used + strlen(pattern) + 2 < sizeof s->skip)
        snprintf(s->skip + used, sizeof s->skip - used, "%s%s", used ? "|" : "", pattern);
}

/* A pattern for what lies directly in FOLDER, a name of LENGTH bytes. */
static void skip_folder(struct survey *s, const char *folder, size_t length)
{
    char pattern[300] = "(^|/)";
    size_t n = strlen(pattern);

    for (size_t i = 0; i < length && n + 16 < sizeof pattern; i++) {
        if (strchr("\\^$.|?*+()[]{}-", folder[i]))
            pattern[n++] = '\\';
        pattern[n++] = folder[i];
    }
    snprintf(pattern + n, sizeof pattern - n, "/[^/]+$");
    if (!strstr(s->skip, pattern))
        add_skip(s, pattern);
}

/* Test pictures have no labels where the others lie in folders of classes and they do not, or where no name of theirs
 * has a letter before its number (1.jpg beside cat.1.jpg). */
static bool is_unlabelled(const struct dataset *d, const uint32_t deep[4])
{
    uint32_t named = 0, n = 0;

    if (deep[PART_TEST] > 0)
        return false;
    if (deep[PART_TRAIN] > 0)
        return true;
    for (uint32_t i = 0; i < d->n; i++)
        if (part_folder_of_path(d->items[i].path, NULL, NULL) == PART_TEST) {
            const char *base = path_base(d->items[i].path);

            n++;
            named += strspn(base, "0123456789._- ") < strcspn(base, ".") ||
                     strspn(base, "0123456789") == 0;
        }
    return n > 0 && named == 0;
}

static void look_at_folders(struct survey *s, const struct dataset *d)
{
    uint32_t deep[4] = {0}; /* those that have a folder between them and that of the part */

    for (uint32_t i = 0; i < d->n; i++) {
        const char *folder = NULL;
        size_t length = 0;
        const enum part_folder part = part_folder_of_path(d->items[i].path, &folder, &length);

        s->parts[part]++;
        deep[part] += folder && strchr(folder + length + 1, '/') != NULL;
    }
    if (s->remarks.of[REMARK_SYSTEM_FOLDERS].n > 0)
        add_skip(s, DATASET_SYSTEM_FOLDERS);
    s->unlabelled_test =
        s->parts[PART_TRAIN] > 0 && s->parts[PART_TEST] > 0 && is_unlabelled(d, deep);
    for (uint32_t i = 0; s->unlabelled_test && i < d->n; i++) {
        const char *folder;
        size_t length;

        if (part_folder_of_path(d->items[i].path, &folder, &length) == PART_TEST)
            skip_folder(s, folder, length);
    }
}

int survey_make(struct survey *s, const char *folder, struct err *err)
{
    const struct key_table table = {dataset_keys, 0};
    struct dataset_options o;
    struct dataset *d;
    int rc;

    memset(&o, 0, sizeof o);
    keys_default(&table, 1, KEYS_NEWEST, &o);
    o.label_from = LABEL_REGEX;
    o.on_error = ON_ERROR_SKIP;
    snprintf(o.label_regex, sizeof o.label_regex, "(.)"); /* any label will do */
    if (dataset_list(&d, &o, folder, survey_is_picture, err) < 0)
        return -1;
    s->n = d->n;
    s->remarks = d->remarks;
    memset(&s->remarks.of[REMARK_ALIKE_LABELS], 0, sizeof(struct remark));
    count_formats(s, d);
    look_at_folders(s, d);
    rc = look_inside(s, d, (int)o.size, err);
    dataset_free(d);
    return rc;
}
