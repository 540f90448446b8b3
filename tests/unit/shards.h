/* shards.h - a small set of shards on disk for the tests of what reads them.
 *
 * Pictures are made from their number, so a test knows every byte without a file.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_SHARDS_H
#define PRESIZE_TESTS_SHARDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/path.h"
#include "data/dataset.h"
#include "data/shard_write.h"
#include "image/decode.h"
#include "image/encode_jpeg.h"

enum { SHARDS_CLASSES = 3, SHARDS_MAX = 64 };

struct shards {
    char scratch[64], folder[128]; /* folder: of the shards, in scratch */
    struct dataset_options options;
    struct dataset dataset;
    struct dataset_item items[SHARDS_MAX];
    char names[SHARDS_MAX][64];
    char *vocab[SHARDS_CLASSES];
    int32_t group[SHARDS_CLASSES];
    struct shard_plan plan;
    uint32_t skip;  /* this item is left out; SHARDS_MAX: none */
    uint64_t skips; /* these items, too: bits */
};

static inline uint32_t shards_height(uint32_t item)
{
    return 40 + item % 3;
}

static inline uint32_t shards_width(uint32_t item)
{
    return 48 + 7 * (item % 5);
}

static inline size_t shards_size(uint32_t item)
{
    return (size_t)shards_height(item) * shards_width(item) * 3;
}

static inline void shards_drawn(uint32_t item, uint8_t *out)
{
    for (size_t i = 0; i < shards_size(item); i++)
        out[i] = (uint8_t)(i * (item + 3) + i / 97);
}

enum { SHARDS_QUALITY = 90 };

/* What a shard stores of PIXELS (height, width, 3), released with free(). With storage jpeg they become what a reader
 * decodes. */
static inline uint8_t *shards_pack(int storage, uint8_t *pixels, uint32_t height, uint32_t width,
                                   size_t *stored)
{
    const size_t size = (size_t)height * width * 3, bound = shard_compress_bound(size);
    uint8_t *packed;
    struct err err;

    if (storage == STORAGE_JPEG) {
        assert_int_equal(encode_jpeg(&packed, stored, pixels, (int)height, (int)width,
                                     SHARDS_QUALITY, JPEG_444, &err),
                         0);
        assert_int_equal(image_decode_jpeg(pixels, height, width, packed, *stored, &err), 0);
        return packed;
    }
    packed = malloc(bound);
    assert_non_null(packed);
    *stored = size;
    if (storage == STORAGE_ZSTD)
        assert_int_equal(shard_compress(packed, bound, stored, pixels, size, &err), 0);
    else
        memcpy(packed, pixels, size);
    return packed;
}

/* The pixels of ITEM as they are read back. */
static inline void shards_pixels(const struct shards *t, uint32_t item, uint8_t *out)
{
    size_t stored;

    shards_drawn(item, out);
    free(shards_pack(t->options.storage, out, shards_height(item), shards_width(item), &stored));
}

/* N items, a third of them in folders, labels round about; nothing is written yet. */
static inline void shards_describe(struct shards *t, uint32_t n)
{
    static char *const labels[SHARDS_CLASSES] = {"Cat_A", "dog b", "dog\xc3\xa9"};

    memset(t, 0, sizeof *t);
    assert_true(n <= SHARDS_MAX);
    memcpy(t->scratch, "/tmp/presize-test-XXXXXX", 25);
    assert_non_null(mkdtemp(t->scratch));
    snprintf(t->folder, sizeof t->folder, "%s/set/shards-40", t->scratch);
    for (uint32_t i = 0; i < n; i++) {
        snprintf(t->names[i], sizeof t->names[i], i % 3 ? "n%03u.jpg" : "a/%u/n%03u.jpg",
                 i % 3 ? i : i / 20, i);
        t->items[i] = (struct dataset_item){.path = t->names[i],
                                            .label = (int32_t)(i % SHARDS_CLASSES),
                                            .official = (int)(i % 4) - 1};
        if (t->items[i].official == 2)
            t->items[i].official = 0;
    }
    /* sorted bytewise by path, as dataset_list() does: those in folders come first */
    for (uint32_t i = 1; i < n; i++)
        for (uint32_t j = i; j > 0 && strcmp(t->items[j - 1].path, t->items[j].path) > 0; j--) {
            struct dataset_item swap = t->items[j];

            t->items[j] = t->items[j - 1];
            t->items[j - 1] = swap;
        }
    for (int i = 0; i < SHARDS_CLASSES; i++) {
        t->vocab[i] = labels[i];
        t->group[i] = i == 0 ? 0 : 1;
    }
    t->dataset = (struct dataset){.items = t->items,
                                  .n = n,
                                  .vocab = t->vocab,
                                  .n_classes = SHARDS_CLASSES,
                                  .group = t->group};
    t->options = (struct dataset_options){.size = 40,
                                          .max_aspect = 2.0,
                                          .shard_pictures = 10,
                                          .storage = STORAGE_RAW,
                                          .quality = SHARDS_QUALITY};
    t->options.groups_list.n = 2;
    memcpy(t->options.groups[0].name, "cat", 4);
    memcpy(t->options.groups[1].name, "dog", 4);
    t->plan = (struct shard_plan){.set = "test",
                                  .options = &t->options,
                                  .dataset = &t->dataset,
                                  .decoder = "test decoder 1.0",
                                  .manifest_sha256 = "0123456789abcdef"};
    t->skip = SHARDS_MAX;
}

/* Whether ITEM is left out. */
static inline bool shards_skips(const struct shards *t, uint32_t item)
{
    return item == t->skip || (t->skips >> item & 1);
}

/* Adds everything to W, or its share of several writers' work; -1 with the writer's error. */
static inline int shards_add_all(struct shards *t, struct shard_writer *w, struct err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < t->dataset.n; i++) {
        if (!shard_writer_is_own(w, i)) {
            shard_writer_pass(w);
            continue;
        }
        uint32_t item = shard_writer_order(w, i);
        size_t size = shards_size(item);
        uint8_t *pixels = malloc(size), *packed;
        struct shard_pixels p = {.height = shards_height(item),
                                 .width = shards_width(item),
                                 .original_height = 2 * shards_height(item),
                                 .original_width = 2 * shards_width(item),
                                 .format = "jpeg"};

        assert_non_null(pixels);
        shards_drawn(item, pixels);
        packed = shards_pack(t->options.storage, pixels, p.height, p.width, &p.size);
        p.crc32c = crc32c(0, pixels, size);
        p.bytes = packed;
        rc = shards_skips(t, item) ? shard_writer_skip(w, err) : shard_writer_add(w, &p, err);
        free(pixels);
        free(packed);
    }
    return rc;
}

static inline int shards_write(struct shards *t, struct err *err)
{
    struct shard_writer *w;

    if (shard_writer_open(&w, t->folder, &t->plan, err) < 0)
        return -1;
    if (shards_add_all(t, w, err) < 0) {
        shard_writer_abort(w);
        return -1;
    }
    return shard_writer_finish(w, err);
}

static inline void shards_end(struct shards *t)
{
    assert_int_equal(path_remove_tree(t->scratch, NULL), 0);
}

/* Path of a file in the folder of shards; valid until the next call. */
static inline const char *shards_file(const struct shards *t, const char *name)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", t->folder, name);
    return path;
}

#endif
