/* twins.c - groups of duplicates, from index.json or from the pixels' CRCs.
 * SPDX-License-Identifier: MIT */
#include "data/twins.h"

#include <stdlib.h>
#include <string.h>

#include "data/index_record.h"
#include "data/shard_open.h"

/* Rank of PATH; the ranks are in the bytewise order of paths. */
static int64_t rank_of(const struct shard_set *s, const char *path)
{
    uint32_t low = 0, high = shard_set_count(s);

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int order = strcmp(shard_set_picture(s, middle)->path, path);

        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static int from_index(uint32_t *twin, const struct shard_set *s, const json_t *groups,
                      struct err *err)
{
    const json_t *group, *path;
    size_t g, i;

    json_array_foreach(groups, g, group)
    {
        struct index_duplicates same;
        int64_t first = -1;

        fields_read(index_duplicate_fields, SHARD_INDEX_VERSION, &same, group, NULL);
        json_array_foreach(same.paths, i, path)
        {
            const int64_t rank = json_is_string(path) ? rank_of(s, json_string_value(path)) : -1;

            if (rank < 0)
                return err_set(err, ERR_FORMAT,
                               SHARD_INDEX_FILE ": duplicates: group %zu names no picture of the "
                                                "set; run prep again",
                               g);
            first = first < 0 ? rank : first;
            twin[rank] = (uint32_t)first;
        }
    }
    return 0;
}

static int by_pixels(const void *a, const void *b)
{
    const struct shard_picture *x = *(const struct shard_picture *const *)a;
    const struct shard_picture *y = *(const struct shard_picture *const *)b;

    if (x->crc32c != y->crc32c)
        return x->crc32c < y->crc32c ? -1 : 1;
    if (x->height != y->height)
        return x->height < y->height ? -1 : 1;
    if (x->width != y->width)
        return x->width < y->width ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static bool alike(const struct shard_picture *a, const struct shard_picture *b)
{
    return a->crc32c == b->crc32c && a->height == b->height && a->width == b->width;
}

static int same_pixels(const struct shard_set *s, const struct shard_picture *a,
                       const struct shard_picture *b, struct err *err)
{
    const size_t size = (size_t)a->height * a->width * 3;
    uint8_t *x = malloc(size), *y = malloc(size);
    int rc = -1;

    if (!x || !y)
        err_set(err, ERR_NOMEM, "duplicates: out of memory");
    else if (shard_set_read(s, a->rank, x, false, err) == 0 &&
             shard_set_read(s, b->rank, y, false, err) == 0)
        rc = memcmp(x, y, size) == 0;
    free(x);
    free(y);
    return rc;
}

static int from_pixels(uint32_t *twin, const struct shard_set *s, struct err *err)
{
    const uint32_t n = shard_set_count(s);
    const struct shard_picture **p = malloc(n * sizeof *p);
    int rc = 0;

    if (!p)
        return err_set(err, ERR_NOMEM, "duplicates: out of memory");
    for (uint32_t i = 0; i < n; i++)
        p[i] = shard_set_picture(s, i);
    qsort(p, n, sizeof *p, by_pixels);
    for (uint32_t i = 1; rc >= 0 && i < n; i++) {
        if (!alike(p[i - 1], p[i]))
            continue;
        rc = same_pixels(s, p[i - 1], p[i], err);
        if (rc > 0)
            twin[p[i]->rank] = twin[p[i - 1]->rank];
    }
    free(p);
    return rc < 0 ? -1 : 0;
}

int twins_find(uint32_t *twin, const struct shard_set *s, struct err *err)
{
    const json_t *groups = s->record.duplicates;

    for (uint32_t i = 0; i < shard_set_count(s); i++)
        twin[i] = i;
    return groups ? from_index(twin, s, groups, err) : from_pixels(twin, s, err);
}
