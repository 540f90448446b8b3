/* bench_large.c - a set of ImageNet's size: opened, split, and the order of an epoch.
 *
 *   bench_large [FOLDER [PICTURES [no-duplicates]]]
 *
 * Writes shards that are all index: rows of made-up pictures of 1 x 1, whose three bytes are the first of the file.
 * That is the least that a reader of shards needs. Opens them, splits them in each way and reads the first batches of
 * an epoch. Prints processor time, the memory that each step added and the peak. FOLDER stays; where it is left out, a
 * scratch folder is used and removed. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/path.h"
#include "base/rng.h"
#include "data/duplicate.h"
#include "data/shard.h"
#include "data/shard_file.h"
#include "data/shard_format.h"
#include "data/split.h"
#include "data/stream.h"

enum { IMAGENET = 1281167, CLASSES = 1000, PER_SHARD = 512, GROUPS = 10000, BATCHES = 64 };
enum {
    CLASS_LENGTH = 9,
    SIDE = 32
}; /* side: what the set says of itself, so that train takes it */

static char classes[CLASSES][CLASS_LENGTH + 1]; /* n00000000, ... */

static void check(int rc, const struct err *err)
{
    if (rc < 0) {
        fprintf(stderr, "bench_large: %s\n", err->msg);
        exit(1);
    }
}

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Resident memory now, in MB. */
static double resident(void)
{
    long pages = 0, unused;
    FILE *f = fopen("/proc/self/statm", "r");

    if (f && fscanf(f, "%ld %ld", &unused, &pages) != 2)
        pages = 0;
    if (f)
        fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static double cpu_before, memory_before;

static void begin(void)
{
    cpu_before = cpu_seconds();
    memory_before = resident();
}

static void end(const char *what)
{
    printf("%-44s %7.2f s  %+8.1f MB\n", what, cpu_seconds() - cpu_before,
           resident() - memory_before);
    fflush(stdout);
}

/* --- the set ------------------------------------------------------------------------------------ */

static int32_t label_of(uint32_t rank, uint32_t n)
{
    return (int32_t)((uint64_t)rank * CLASSES / n);
}

/* Rises with the rank, bytewise: as long for all. */
static void path_of(char out[64], uint32_t rank, uint32_t n)
{
    const char *class = classes[label_of(rank, n)];

    snprintf(out, 64, "%s/%s_%07u.JPEG", class, class, rank);
}

static void add_row(struct shard_file *f, uint32_t rank, uint32_t n)
{
    const struct shard_row row = {.rank = rank,
                                  .label = label_of(rank, n),
                                  .official = -1,
                                  .height = 1,
                                  .width = 1,
                                  .original_height = 375,
                                  .original_width = 500,
                                  .crc32c = crc32c(0, "\x89HD", 3), /* HDF5's signature */
                                  .stored = 3,
                                  .format = "jpeg"};
    uint8_t *to = f->rows + (size_t)f->n++ * f->row_size;
    char path[64];

    path_of(path, rank, n);
    memcpy(to, &row, sizeof row);
    memcpy(to + sizeof row, path, strlen(path));
}

/* Some groups of two, so that duplicates are looked up. */
static json_t *duplicates_json(uint32_t n)
{
    json_t *groups = json_array();

    for (uint32_t i = 0; i < GROUPS; i++) {
        const uint32_t first = (uint32_t)((uint64_t)i * (n - 1) / GROUPS);
        char a[64], b[64];

        path_of(a, first, n);
        path_of(b, first + 1, n);
        json_array_append_new(groups, json_pack("{s:b, s:[s, s]}", "exact", 1, "paths", a, b));
    }
    return groups;
}

static void write_index(const char *folder, json_t *shards, json_t *settings, uint32_t n)
{
    json_t *names = json_array(), *index;
    char path[PATH_LEN], hex[SHA256_HEX];
    struct err err;

    for (int c = 0; c < CLASSES; c++)
        json_array_append_new(names, json_string(classes[c]));
    index = json_pack("{s:i, s:s, s:s, s:I, s:i, s:f, s:o, s:[], s:o, s:s, s:s, s:[], s:o, s:o}",
                      "version", SHARD_INDEX_VERSION, "sha256", "", "set", "large", "count",
                      (json_int_t)n, "size", SIDE, "max_aspect", 2.0, "classes", names, "groups",
                      "settings", settings, "decoder", "none", "manifest_sha256", "0", "skipped",
                      "duplicates", duplicates_json(n), "shards", shards);
    check(json_sha256_without(hex, index, "sha256", &err), &err);
    json_object_set_new(index, "sha256", json_string(hex));
    check(path_format(path, &err, "%s/" SHARD_INDEX_FILE, folder), &err);
    check(json_write(path, index, &err), &err);
    json_decref(index);
}

static void write_set(const char *folder, uint32_t n)
{
    json_t *settings = json_pack("{s:i, s:f, s:i, s:s, s:s}", "size", SIDE, "max_aspect", 2.0,
                                 "pictures", PER_SHARD, "storage", "raw", "exif", "ignore");
    char *text = json_text(settings, 0);
    const struct shard_about about = {.vocabulary = classes[0],
                                      .vocabulary_width = sizeof classes[0],
                                      .n_classes = CLASSES,
                                      .settings = text,
                                      .decoder = "none",
                                      .manifest_sha256 = "0",
                                      .path_size = 32};
    uint32_t *order = malloc(n * sizeof *order);
    json_t *shards = json_array();
    struct err err;

    check(order ? path_make_dirs(folder, &err) : -1, &err);
    rng_permutation(order, n, 0, RNG_SHARD, 0);
    for (uint32_t at = 0, number = 0; at < n; number++) {
        const uint32_t count = n - at < PER_SHARD ? n - at : PER_SHARD;
        struct shard_file f;
        char path[PATH_LEN], name[SHARD_FILE_TEXT], hex[SHA256_HEX];
        uint64_t size;

        snprintf(name, sizeof name, "shard-%05u.h5", number);
        check(path_format(path, &err, "%s/%s", folder, name), &err);
        check(shard_file_create(&f, path, count, &about, &err), &err);
        for (uint32_t i = 0; i < count; i++)
            add_row(&f, order[at++], n);
        check(shard_file_close(&f, &err), &err);
        check(sha256_file(path, hex, &size, &err), &err);
        json_array_append_new(shards, json_pack("{s:s, s:I, s:I, s:s}", "file", name, "count",
                                                (json_int_t)count, "bytes", (json_int_t)size,
                                                "sha256", hex));
    }
    write_index(folder, shards, settings, n);
    free(order);
    free(text);
}

/* --- what is done with it ----------------------------------------------------------------------- */

static void split_each_way(struct shard_set *set)
{
    static const struct {
        const char *name;
        int kind;
        bool stratify;
        int64_t folds;
    } ways[] = {{"random split", SPLIT_RANDOM, false, 0},
                {"random split, stratified", SPLIT_RANDOM, true, 0},
                {"random split, 5 folds", SPLIT_RANDOM, false, 5},
                {"split by hash", SPLIT_HASH, false, 0}};

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct data_options o;
        struct split *split;
        struct err err;
        char hex[SHA256_HEX];

        keys_default(&(struct key_table){data_keys, 0}, 1, KEYS_NEWEST, &o);
        o.split = ways[i].kind;
        o.stratify = ways[i].stratify;
        o.folds = ways[i].folds;
        begin();
        check(split_make(&split, &o, set, &err), &err);
        end(ways[i].name);
        begin();
        check(split_sha256(hex, split, set, &err), &err);
        end("  its hash");
        if (split->n_train + split->n_valid + split->n_left_out + split->n_test !=
            shard_set_count(set))
            exit(1);
        split_free(split);
    }
}

static int never_same(void *ctx, uint32_t a, uint32_t b, struct err *err)
{
    (void)ctx;
    (void)a;
    (void)b;
    (void)err;
    return 0;
}

/* What prep does with the hashes of all pictures. Their 16 pieces are drawn from VALUES values: two pieces of the mini
 * set's hashes are then equal as often as they are there (7.7e-5). */
static void find_duplicates(uint32_t n)
{
    enum { VALUES = 13000 };
    struct duplicate_item *items = calloc(n, sizeof *items);
    uint32_t *exact = malloc(n * sizeof *exact), *near = malloc(n * sizeof *near), groups = 0;
    struct err err;

    if (!items || !exact || !near)
        exit(1);
    for (uint32_t i = 0; i < n; i++) {
        struct rng r = rng_begin(1, RNG_SHARD, 0, i);

        items[i].size = 100000 + rng_u32(&r) % 50000;
        items[i].crc32c = rng_u32(&r);
        for (int k = 0; k < 32; k++) {
            const uint32_t value = rng_u32(&r) % VALUES;

            items[i].hash.bits[k / 16][k % 16 / 4] |= (uint64_t)(value * 40503u & 0xffff)
                                                      << 16 * (k % 4);
        }
    }
    begin();
    check(duplicate_find(exact, near, items, n, never_same, NULL, &err), &err);
    end("duplicates by their hashes");
    for (uint32_t i = 0; i < n; i++)
        groups += near[i] != i;
    printf("  %u pictures near another\n", groups);
    free(items);
    free(exact);
    free(near);
}

static void stream_some(struct shard_set *set)
{
    const uint32_t n = shard_set_count(set);
    uint32_t *ranks = malloc(n * sizeof *ranks);
    struct augment_options augment;
    struct stream_options o = {.ranks = ranks,
                               .n = n,
                               .batch = 256,
                               .size = 1,
                               .train = true,
                               .augment = &augment,
                               .prefetch = 4,
                               .verify = true};
    const struct picture *pictures;
    const uint32_t *order;
    struct stream *s;
    struct err err;
    int count;

    for (uint32_t i = 0; ranks && i < n; i++)
        ranks[i] = i;
    keys_default(&(struct key_table){augment_keys, 0}, 1, KEYS_NEWEST, &augment);
    begin();
    check(ranks ? stream_open(&s, set, &o, &err) : -1, &err);
    end("order of an epoch");
    begin();
    for (int i = 0; i < BATCHES; i++)
        check(stream_next(s, &pictures, &order, &count, &err), &err);
    end("64 batches of 256");
    stream_close(s);
    free(ranks);
}

int main(int argc, char **argv)
{
    const uint32_t n = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : IMAGENET;
    char scratch[] = "/tmp/presize-large-XXXXXX", folder[PATH_LEN];
    struct rusage peak;
    struct shard_set *set;
    struct err err;

    for (int c = 0; c < CLASSES; c++)
        snprintf(classes[c], sizeof classes[c], "n%08d", c * 7);
    check(argc > 1 ? 0 : mkdtemp(scratch) ? 0 : -1, &err);
    check(path_format(folder, &err, "%s/large/shards-32", argc > 1 ? argv[1] : scratch), &err);
    if (!path_exists(folder)) {
        begin();
        write_set(folder, n);
        end("write");
    }
    begin();
    check(shard_set_open(&set, folder, &err), &err);
    printf("%u pictures in %u shards\n", shard_set_count(set), (n + PER_SHARD - 1) / PER_SHARD);
    end("open");
    begin();
    for (uint32_t i = 0; i < shard_set_count(set); i++)
        if (shard_set_rank(set, shard_set_picture(set, i)->path) != i)
            return 1;
    end("find each path");
    split_each_way(set);
    stream_some(set);
    shard_set_close(set);
    if (argc < 4) /* a word more leaves out what takes minutes */
        find_duplicates(n);
    getrusage(RUSAGE_SELF, &peak);
    printf("peak %.1f MB\n", (double)peak.ru_maxrss * 1024 / 1e6);
    return argc > 1 ? 0 : path_remove_tree(scratch, &err) < 0;
}
