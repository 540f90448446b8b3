/* driver.c - a fuzz target without libFuzzer: seeded mutations of its good inputs.
 *
 * fuzz_NAME [N [SEED]]      N mutated inputs after the good ones; the same ones for the same seed
 * fuzz_NAME --write FOLDER  the good inputs as files: libFuzzer's first corpus
 * SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <stdbool.h>
#include <string.h>

#include "base/rng.h"

enum { SEEDS_MAX = 64, MUTATIONS_MAX = 6, GROWTH = 4096 };

struct input {
    uint8_t *bytes;
    size_t size;
};

static struct input seeds[SEEDS_MAX];
static int n_seeds;

static size_t below(struct rng *r, size_t n)
{
    return n ? rng_below(r, (uint32_t)n) : 0;
}

/* Sizes, counts and offsets of files: small, large, and at the edges of their types. */
static void put_number(struct rng *r, struct input *in)
{
    static const uint64_t numbers[] = {0,          1,         2,          127,        128,
                                       255,        0x7fff,    0xffff,     0x7fffffff, 0x80000000,
                                       UINT32_MAX, INT64_MAX, UINT64_MAX, 1000000,    1ULL << 40};
    static const size_t widths[] = {1, 2, 4, 8};
    uint64_t number = numbers[below(r, sizeof numbers / sizeof *numbers)];
    size_t width = widths[below(r, 4)];

    if (in->size >= width)
        memcpy(in->bytes + below(r, in->size - width + 1), &number, width);
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Another number of at most as many digits for one in a text, in all places where it stands. */
static void put_digits(struct rng *r, struct input *in)
{
    size_t at = below(r, in->size + 1), n = 0;
    uint8_t old[8], fresh[8];

    while (at < in->size && !is_digit(in->bytes[at]))
        at++;
    while (n < sizeof old && at + n < in->size && is_digit(in->bytes[at + n]))
        n++;
    if (n == 0)
        return;
    memcpy(old, in->bytes + at, n);
    for (size_t i = 0; i < n; i++)
        fresh[i] = (uint8_t)('0' + rng_below(r, 10));
    for (size_t i = 0; i + n <= in->size; i++)
        if (memcmp(in->bytes + i, old, n) == 0)
            memcpy(in->bytes + i, fresh, n);
}

/* A run of bytes of IN or of another good input, written over IN or pushed between its bytes. */
static void put_run(struct rng *r, struct input *in, size_t room)
{
    const struct input *from = rng_below(r, 2) ? &seeds[below(r, (size_t)n_seeds)] : in;
    size_t n = 1 + below(r, from->size < 64 ? from->size : 64), at = below(r, in->size + 1);
    size_t first = from->size > n ? below(r, from->size - n) : 0;
    uint8_t run[64];

    if (from->size < n)
        return;
    memcpy(run, from->bytes + first, n);
    if (rng_below(r, 2)) {
        if (at + n <= in->size)
            memcpy(in->bytes + at, run, n);
    } else if (in->size + n <= room) {
        memmove(in->bytes + at + n, in->bytes + at, in->size - at);
        memcpy(in->bytes + at, run, n);
        in->size += n;
    }
}

static void cut(struct rng *r, struct input *in)
{
    size_t at = below(r, in->size), n = 1 + below(r, 16);

    if (rng_below(r, 4) == 0 || at + n > in->size) {
        in->size = at;
    } else {
        memmove(in->bytes + at, in->bytes + at + n, in->size - at - n);
        in->size -= n;
    }
}

static void mutate(struct rng *r, struct input *in, size_t room)
{
    switch (rng_below(r, 6)) {
    case 0:
        if (in->size)
            in->bytes[below(r, in->size)] ^= (uint8_t)(1U << rng_below(r, 8));
        return;
    case 1:
        if (in->size)
            in->bytes[below(r, in->size)] = (uint8_t)rng_u32(r);
        return;
    case 2:
        put_number(r, in);
        return;
    case 3:
        put_run(r, in, room);
        return;
    case 4:
        put_digits(r, in);
        return;
    default:
        if (in->size)
            cut(r, in);
    }
}

/* Runs INPUT out of memory of exactly its size, so that a sanitizer sees the byte after it. */
static void run(const struct input *in)
{
    uint8_t *bytes = malloc(in->size ? in->size : 1);

    CHECK(bytes);
    memcpy(bytes, in->bytes, in->size);
    LLVMFuzzerTestOneInput(bytes, in->size);
    free(bytes);
}

static void run_mutated(uint64_t seed, uint32_t round)
{
    struct rng r = rng_begin(seed, RNG_TEST, 0, round);
    const struct input *from = &seeds[below(&r, (size_t)n_seeds)];
    struct input in = {malloc(from->size + GROWTH), from->size};

    CHECK(in.bytes);
    memcpy(in.bytes, from->bytes, from->size);
    for (uint32_t k = rng_below(&r, 2) ? 1 : rng_below(&r, MUTATIONS_MAX) + 1; k > 0; k--)
        mutate(&r, &in, from->size + GROWTH);
    run(&in);
    free(in.bytes);
}

static int write_seeds(const char *folder)
{
    for (int i = 0; i < n_seeds; i++) {
        char path[4096];
        FILE *file;

        snprintf(path, sizeof path, "%s/seed%02d", folder, i);
        file = fopen(path, "wb");
        CHECK(file && fwrite(seeds[i].bytes, 1, seeds[i].size, file) == seeds[i].size &&
              fclose(file) == 0);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const uint32_t rounds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000;
    const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    int status = 0;

    while (n_seeds < SEEDS_MAX &&
           (seeds[n_seeds].bytes = fuzz_seed(n_seeds, &seeds[n_seeds].size)) != NULL)
        n_seeds++;
    CHECK(n_seeds > 0);
    if (argc > 2 && strcmp(argv[1], "--write") == 0) {
        status = write_seeds(argv[2]);
    } else {
        for (int i = 0; i < n_seeds; i++)
            run(&seeds[i]);
        for (uint32_t round = 0; round < rounds; round++)
            run_mutated(seed, round);
        printf("%d good inputs, %u mutated ones of seed %llu\n", n_seeds, rounds,
               (unsigned long long)seed);
    }
    for (int i = 0; i < n_seeds; i++)
        free(seeds[i].bytes);
    return status;
}
