/* bench_load.c - reading shards with a warm page cache against copying the same bytes.
 *
 *   bench_load [REPEATS]
 *
 * 512 made-up pictures of 460 x 613 are written raw into a scratch folder; reading them (with and
 * without their CRC), copying them in memory and streaming them in batches run by turns, on two
 * threads. Medians and the ratio of each pair are printed. SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/path.h"
#include "data/shard.h"
#include "data/shard_write.h"
#include "data/stream.h"

enum { N = 512, HEIGHT = 460, WIDTH = 613, BYTES = HEIGHT * WIDTH * 3, THREADS = 2, MOST = 64 };

struct load {
    struct shard_set *set;
    uint8_t *memory; /* what copying copies */
    int kind;        /* 0 read, 1 read and check, 2 copy */
    int number;      /* of this thread */
};

static void check(int rc, const struct err *err)
{
    if (rc < 0) {
        fprintf(stderr, "bench_load: %s\n", err->msg);
        exit(1);
    }
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double edge(const double *v, int n, int place)
{
    double sorted[MOST];

    memcpy(sorted, v, (size_t)n * sizeof *v);
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    return sorted[place];
}

static double median(const double *v, int n)
{
    return (edge(v, n, n / 2) + edge(v, n, (n - 1) / 2)) / 2;
}

static void write_set(const char *folder)
{
    static struct dataset_item items[N];
    static char names[N][16];
    static char *vocab[] = {"one"};
    static int32_t group[] = {-1};
    struct dataset_options options = {
        .size = HEIGHT, .max_aspect = 2, .shard_pictures = N, .storage = STORAGE_RAW};
    struct dataset dataset = {
        .items = items, .n = N, .vocab = vocab, .n_classes = 1, .group = group};
    const struct shard_plan plan = {"bench", &options, &dataset, "none", "", false, 0, 1};
    uint8_t *pixels = malloc(BYTES);
    struct shard_pixels p = {.height = HEIGHT,
                             .width = WIDTH,
                             .original_height = HEIGHT,
                             .original_width = WIDTH,
                             .format = "none",
                             .bytes = pixels,
                             .size = BYTES};
    struct shard_writer *w;
    struct err err;
    double begin;

    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "p%04d", i);
        items[i].path = names[i];
    }
    for (size_t i = 0; pixels && i < BYTES; i++)
        pixels[i] = (uint8_t)(i * 7 + i / 1000);
    p.crc32c = crc32c(0, pixels, BYTES);
    begin = clock_seconds();
    check(shard_writer_open(&w, folder, &plan, &err), &err);
    for (int i = 0; i < N; i++)
        check(shard_writer_add(w, &p, &err), &err);
    check(shard_writer_finish(w, &err), &err);
    printf("write, hash, sync     %6.2f GB/s\n",
           N * (double)BYTES / 1e9 / (clock_seconds() - begin));
    free(pixels);
}

static void *run(void *arg)
{
    const struct load *l = arg;
    uint8_t *to = malloc(BYTES);
    struct err err;

    for (uint32_t i = (uint32_t)l->number; to && i < N; i += THREADS) {
        if (l->kind < 2)
            check(shard_set_read(l->set, i, to, l->kind == 1, &err), &err);
        else
            memcpy(to, l->memory + (size_t)i * BYTES, BYTES);
        __asm__ volatile("" ::"r"(to) : "memory");
    }
    free(to);
    return NULL;
}

static double gb_per_s(struct shard_set *set, uint8_t *memory, int kind)
{
    struct load l[THREADS];
    pthread_t threads[THREADS];
    double begin = clock_seconds();

    for (int i = 0; i < THREADS; i++) {
        l[i] = (struct load){set, memory, kind, i};
        if (pthread_create(&threads[i], NULL, run, &l[i]) != 0)
            exit(1);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return N * (double)BYTES / 1e9 / (clock_seconds() - begin);
}

static double stream_images_per_s(struct shard_set *set)
{
    static uint32_t ranks[N];
    struct augment_options augment;
    struct stream_options o = {.ranks = ranks,
                               .n = N,
                               .batch = 64,
                               .size = 224,
                               .train = true,
                               .augment = &augment,
                               .prefetch = 2,
                               .verify = true};
    const struct picture *pictures;
    const uint32_t *order;
    struct stream *s;
    struct err err;
    double begin = clock_seconds();
    int n, rc;

    keys_default(&(struct key_table){augment_keys, 0}, 1, KEYS_NEWEST, &augment);
    for (uint32_t i = 0; i < N; i++)
        ranks[i] = i;
    check(stream_open(&s, set, &o, &err), &err);
    while ((rc = stream_next(s, &pictures, &order, &n, &err)) == 1)
        ;
    check(rc, &err);
    stream_close(s);
    return N / (clock_seconds() - begin);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"read", "read and CRC", "memcpy"};
    double v[3][MOST], ratio[2][MOST], images[MOST];
    int repeats = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 7;
    char scratch[] = "/tmp/presize-bench-XXXXXX", folder[64];
    uint8_t *memory = malloc((size_t)N * BYTES);
    struct shard_set *set;
    struct err err;

    repeats = repeats < 1 ? 1 : repeats > MOST ? MOST : repeats;
    if (!memory || !mkdtemp(scratch))
        return 1;
    snprintf(folder, sizeof folder, "%s/shards", scratch);
    write_set(folder);
    check(shard_set_open(&set, folder, &err), &err);
    memset(memory, 1, (size_t)N * BYTES);
    for (int i = 0; i < repeats; i++) {
        for (int kind = 0; kind < 3; kind++)
            v[kind][i] = gb_per_s(set, memory, kind);
        for (int kind = 0; kind < 2; kind++)
            ratio[kind][i] = v[kind][i] / v[2][i];
        images[i] = stream_images_per_s(set);
    }
    for (int kind = 0; kind < 2; kind++)
        printf("%-20s  %6.2f GB/s, %.2f of memcpy (from %.2f to %.2f)\n", names[kind],
               median(v[kind], repeats), median(ratio[kind], repeats),
               edge(ratio[kind], repeats, 0), edge(ratio[kind], repeats, repeats - 1));
    printf("%-20s  %6.2f GB/s\n", names[2], median(v[2], repeats));
    printf("stream, one reader    %6.0f images/s\n", median(images, repeats));
    shard_set_close(set);
    free(memory);
    return path_remove_tree(scratch, &err) < 0;
}
