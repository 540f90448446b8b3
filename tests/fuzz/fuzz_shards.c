/* fuzz_shards.c - the deep check of shards and their reader on a damaged folder.
 *
 * The first byte of the input says which file of a small good folder is replaced by the rest: index.json
 * or a shard, of pixels as they are or of JPEG files. SPDX-License-Identifier: MIT */
#include <string.h>

#include "../unit/shards.h"
#include "data/shard.h"
#include "data/shard_check.h"
#include "fuzz.h"

enum { PICTURES = 5, SETS = 2, FILES = 2 * SETS }; /* a set's two files are 2 i and 2 i + 1 */

static struct shards good[SETS];
static const char *const names[2] = {"index.json", "shard-00000.h5"};
static uint8_t *whole[FILES];
static size_t sizes[FILES];

static void remove_good(void)
{
    for (int i = 0; i < SETS; i++)
        if (path_remove_tree(good[i].scratch, NULL) < 0)
            fprintf(stderr, "%s stays behind\n", good[i].scratch);
    for (int i = 0; i < FILES; i++)
        free(whole[i]);
}

static void make_good(void)
{
    static const int storages[SETS] = {STORAGE_RAW, STORAGE_JPEG};
    struct err err = {0};

    for (int i = 0; i < SETS; i++) {
        shards_describe(&good[i], PICTURES);
        good[i].options.storage = storages[i];
        CHECK(shards_write(&good[i], &err) == 0);
    }
    for (int i = 0; i < FILES; i++)
        whole[i] = fuzz_read(shards_file(&good[i / 2], names[i % 2]), &sizes[i]);
    atexit(remove_good);
}

static void put(int which, const uint8_t *bytes, size_t size)
{
    FILE *file = fopen(shards_file(&good[which / 2], names[which % 2]), "wb");

    CHECK(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

static void read_all(const struct shards *from)
{
    struct shard_set *set;
    struct err err = {0};

    if (shard_set_open(&set, from->folder, &err) < 0) {
        CHECK_REFUSED(err);
        return;
    }
    for (uint32_t i = 0; i < shard_set_count(set); i++) {
        const struct shard_picture *p = shard_set_picture(set, i);
        size_t size = (size_t)p->height * p->width * 3;
        uint8_t *pixels = malloc(size + 1);

        if (pixels && shard_set_read(set, i, pixels, true, &err) < 0)
            CHECK_REFUSED(err);
        free(pixels);
    }
    shard_set_close(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct shard_check_report report;
    struct err err = {0};
    int which;

    if (size == 0)
        return 0;
    if (!whole[0])
        make_good();
    which = data[0] % FILES;
    put(which, data + 1, size - 1);
    if (shard_check(&report, good[which / 2].folder, NULL, NULL, &err) < 0) {
        CHECK(report.problems > 0);
        CHECK_REFUSED(err);
    } else {
        CHECK(report.problems == 0 && report.pictures == PICTURES);
    }
    read_all(&good[which / 2]);
    put(which, whole[which], sizes[which]);
    return 0;
}

uint8_t *fuzz_seed(int i, size_t *size)
{
    uint8_t *bytes;

    if (i >= FILES)
        return NULL;
    if (!whole[0])
        make_good();
    *size = sizes[i] + 1;
    bytes = malloc(*size);
    CHECK(bytes);
    bytes[0] = (uint8_t)i;
    memcpy(bytes + 1, whole[i], sizes[i]);
    return bytes;
}
