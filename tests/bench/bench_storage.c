/* bench_storage.c - what each way of storing pixels costs: bytes, processor time, and how far pixels move.
 *
 *   bench_storage [FOLDER [QUALITY ...]]
 *
 * FOLDER holds shards of storage raw; where it is left out, those of the mini set, if they are there. Each of the first
 * PICTURES pictures is packed and unpacked in memory, by zstd and as JPEG of each QUALITY, on one thread. Rates are by
 * the thread's processor time, so that other programs disturb little.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <zstd.h>

#include "data/dataset.h"
#include "data/shard.h"
#include "data/shard_write.h"
#include "image/decode.h"
#include "image/encode_jpeg.h"

enum { PICTURES = 800, ZSTD = 0 }; /* quality 0: zstd */

struct sum {
    uint64_t pixels, stored, off, squares; /* bytes; of the differences */
    int largest;
    double pack_s, unpack_s;
};

static void check(int rc, const struct err *err)
{
    if (rc < 0) {
        fprintf(stderr, "bench_storage: %s\n", err->msg);
        exit(1);
    }
}

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void compare(struct sum *s, const uint8_t *a, const uint8_t *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const int d = abs(a[i] - b[i]);

        s->off += (uint64_t)d;
        s->squares += (uint64_t)(d * d);
        s->largest = d > s->largest ? d : s->largest;
    }
    s->pixels += size;
}

static void add(struct sum *s, const uint8_t *pixels, const struct shard_picture *p, int quality)
{
    const size_t size = (size_t)p->height * p->width * 3, bound = shard_compress_bound(size);
    uint8_t *packed = NULL, *back = malloc(size);
    size_t stored = 0;
    struct err err;
    double begin = cpu_seconds(), middle;

    if (quality == ZSTD) {
        packed = malloc(bound);
        check(packed ? shard_compress(packed, bound, &stored, pixels, size, &err) : -1, &err);
    } else {
        check(encode_jpeg(&packed, &stored, pixels, (int)p->height, (int)p->width, quality,
                          JPEG_444, &err),
              &err);
    }
    middle = cpu_seconds();
    s->pack_s += middle - begin;
    if (quality == ZSTD)
        check(ZSTD_isError(ZSTD_decompress(back, size, packed, stored)) ? -1 : 0, &err);
    else
        check(image_decode_jpeg(back, p->height, p->width, packed, stored, &err), &err);
    s->unpack_s += cpu_seconds() - middle;
    s->stored += stored;
    compare(s, pixels, back, size);
    free(packed);
    free(back);
}

int main(int argc, char **argv)
{
    struct shard_set *set;
    struct err err = {0};
    uint32_t n;

    const char *folder = argc > 1 ? argv[1] : "data/pets-mini/shards-460";

    if (argc < 2 && access(folder, R_OK) < 0) {
        printf("skipped: no %s\n", folder);
        return 0;
    }
    check(shard_set_open(&set, folder, &err), &err);
    if (shard_set_storage(set) != STORAGE_RAW) {
        fprintf(stderr, "bench_storage: %s: its storage is not raw\n", folder);
        return 1;
    }
    n = shard_set_count(set) < PICTURES ? shard_set_count(set) : PICTURES;
    printf(
        "%u pictures of %s, short side %d\n"
        "storage     MB      of raw  KB each  pack/s  unpack/s  mean difference  RMS   largest\n",
        n, folder, shard_set_size(set));
    for (int k = 1; k < (argc > 2 ? argc : 3); k++) {
        const int quality = k == 1 ? ZSTD : argc > 2 ? (int)strtol(argv[k], NULL, 10) : 95;
        struct sum s = {0};
        char name[16];

        for (uint32_t i = 0; i < n; i++) {
            const struct shard_picture *p = shard_set_picture(set, i);
            uint8_t *pixels = malloc((size_t)p->height * p->width * 3);

            check(pixels ? shard_set_read(set, i, pixels, true, &err) : -1, &err);
            add(&s, pixels, p, quality);
            free(pixels);
        }
        snprintf(name, sizeof name, quality == ZSTD ? "zstd" : "jpeg %d", quality);
        printf("%-10s  %-7.1f %-7.4f %-8.1f %-7.0f %-9.0f %-16.3f %-5.2f %d\n", name,
               (double)s.stored / 1e6, (double)s.stored / (double)s.pixels,
               (double)s.stored / n / 1e3, n / s.pack_s, n / s.unpack_s,
               (double)s.off / (double)s.pixels, sqrt((double)s.squares / (double)s.pixels),
               s.largest);
    }
    shard_set_close(set);
    return 0;
}
