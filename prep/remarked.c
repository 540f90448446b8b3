/* remarked.c - what is known when all pictures are through: duplicates, small pictures, empty classes.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "data/duplicate.h"
#include "data/index_record.h"
#include "data/shard_write.h"
#include "prep.h"

enum { FILE_MAX = 1 << 30, SIZE_MIN = 8 };

struct found {
    const struct prep *p;
    uint32_t *exact, *near; /* first of each item's group */
};

/* Whether two files of equal size and CRC are equal. */
static int same_file(void *ctx, uint32_t a, uint32_t b, struct err *err)
{
    const struct dataset *d = ((const struct found *)ctx)->p->dataset;
    char path[2][PATH_LEN], *bytes[2] = {NULL, NULL};
    size_t size[2] = {0, 0};
    int rc = -1;

    if (path_format(path[0], err, "%s/%s", d->root, d->items[a].path) == 0 &&
        path_format(path[1], err, "%s/%s", d->root, d->items[b].path) == 0 &&
        path_read(&bytes[0], &size[0], path[0], FILE_MAX, err) == 0 &&
        path_read(&bytes[1], &size[1], path[1], FILE_MAX, err) == 0)
        rc = size[0] == size[1] && memcmp(bytes[0], bytes[1], size[0]) == 0;
    free(bytes[0]);
    free(bytes[1]);
    return rc;
}

static void note_duplicates(struct remarks *r, const struct found *f)
{
    const struct dataset *d = f->p->dataset;

    for (uint32_t i = 0; i < d->n; i++) {
        const struct dataset_item *item = &d->items[i];
        const struct dataset_item *copy = &d->items[f->exact[i]], *near = &d->items[f->near[i]];

        if (f->exact[i] != i)
            remarks_add(r, REMARK_COPIES, "%s of %s", item->path, copy->path);
        if (f->exact[i] != i && copy->label != item->label)
            remarks_add(r, REMARK_COPIES_OF_TWO_CLASSES, "%s (%s) and %s (%s)", copy->path,
                        d->vocab[copy->label], item->path, d->vocab[item->label]);
        if (f->exact[i] == i && f->near[i] != i)
            remarks_add(r, REMARK_NEAR_COPIES, "%s like %s", item->path, near->path);
    }
}

/* [{"exact": whether all are copies, "paths": [...]}], groups and paths in the order of the listing. */
static json_t *groups_json(const struct found *f)
{
    const struct dataset *d = f->p->dataset;
    json_t *list = json_array(), **of = calloc(d->n, sizeof *of); /* paths, by the first one */
    bool *differ = calloc(d->n, sizeof *differ), good = list && of && differ;

    for (uint32_t i = 0; good && i < d->n; i++)
        differ[f->near[i]] |= f->exact[i] != f->exact[f->near[i]];
    for (uint32_t i = 0; good && i < d->n; i++) {
        const uint32_t first = f->near[i];
        struct index_duplicates group;

        if (first == i)
            continue;
        if (!of[first]) {
            of[first] = json_pack("[s]", d->items[first].path);
            group = (struct index_duplicates){!differ[first], of[first]};
            good = json_array_append_new(list, fields_json(index_duplicate_fields, &group)) == 0;
            json_decref(of[first]); /* the list's, now */
        }
        good = good && json_array_append_new(of[first], json_string(d->items[i].path)) == 0;
    }
    free(of);
    free(differ);
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

static int find_duplicates(struct shard_writer *w, const struct prep *p, struct remarks *r,
                           const struct duplicate_item *ids, struct err *err)
{
    const uint32_t n = p->dataset->n;
    struct found f = {p, malloc(n * sizeof(uint32_t)), malloc(n * sizeof(uint32_t))};
    int rc = -1;

    if (!f.exact || !f.near) {
        err_set(err, ERR_NOMEM, "duplicates of %u pictures: out of memory", n);
    } else if (duplicate_find(f.exact, f.near, ids, n, same_file, &f, err) == 0) {
        note_duplicates(r, &f);
        rc = shard_writer_record(w, "duplicates", groups_json(&f), err);
    }
    free(f.exact);
    free(f.near);
    return rc;
}

static int by_number(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b;

    return (x > y) - (x < y);
}

int size_to_propose(const int *sides, uint32_t n)
{
    int *sorted = malloc((n + 1) * sizeof *sorted), size = SIZE_MIN;
    uint32_t m = 0;

    for (uint32_t i = 0; sorted && i < n; i++)
        if (sides[i] > 0)
            sorted[m++] = sides[i];
    if (m > 0) {
        qsort(sorted, m, sizeof *sorted, by_number);
        size = sorted[m / 10];
    }
    free(sorted);
    return size < SIZE_MIN ? SIZE_MIN : size;
}

int shardset_remark(struct shard_writer *w, const struct prep *p, struct remarks *r,
                    const struct duplicate_item *ids, const int *sides, const uint32_t *kept,
                    struct err *err)
{
    const struct dataset *d = p->dataset;
    const int reached = size_to_propose(sides, d->n);

    for (int32_t c = 0; c < d->n_classes; c++)
        if (kept[c] == 0)
            remarks_add(r, REMARK_EMPTY_CLASSES, "%s", d->vocab[c]);
    if (r->of[REMARK_ENLARGED].n > 0 && reached < p->options.size)
        remarks_advise(r, REMARK_ENLARGED,
                       "presize.size=%d is what nine in ten pictures reach, and takes less room",
                       reached);
    if (find_duplicates(w, p, r, ids, err) < 0)
        return -1;
    return shard_writer_record(w, "remarks", remarks_json(r), err);
}
