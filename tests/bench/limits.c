/* limits.c - see limits.h. SPDX-License-Identifier: MIT */
#include "limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"

enum { TIMES = 5 };

extern const struct limit_kernels limit_kernels_base, limit_kernels_avx2, limit_kernels_avx512;

static const struct limit_kernels *kernels_of(enum isa isa)
{
#if defined(__x86_64__)
    return isa >= ISA_AVX512 ? &limit_kernels_avx512
           : isa == ISA_AVX2 ? &limit_kernels_avx2
                             : &limit_kernels_base;
#else
    (void)isa;
    return &limit_kernels_base;
#endif
}

struct job {
    const struct limit_kernels *kernels;
    int rounds;
    const float *data;
    size_t floats; /* of each task */
};

static volatile float sink;

static void fused_task(void *ctx, int i, int worker)
{
    const struct job *j = ctx;

    (void)i;
    (void)worker;
    sink = j->kernels->fused(j->rounds);
}

static void read_task(void *ctx, int i, int worker)
{
    const struct job *j = ctx;

    (void)worker;
    sink = j->kernels->read(j->data + (size_t)i * j->floats, j->floats);
}

/* Seconds that one task per thread takes, the best of several times. */
static double best(struct pool *pool, void (*task)(void *ctx, int i, int worker), struct job *j)
{
    double least = 1e9;

    for (int k = 0; k < TIMES; k++) {
        const double start = clock_seconds();
        double taken;

        pool_run(pool, pool_threads(pool), task, j);
        taken = clock_seconds() - start;
        least = taken < least ? taken : least;
    }
    return least;
}

/* Twice the last cache, within reason. */
static size_t beyond_caches(void)
{
    const size_t least = (size_t)256 << 20, most = (size_t)1 << 30;
    const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    const size_t bytes = cache > 0 ? 2 * (size_t)cache : 0;

    return bytes < least ? least : bytes > most ? most : bytes;
}

struct limits limits_measure(struct pool *pool, enum isa isa)
{
    const int threads = pool_threads(pool);
    const size_t bytes = beyond_caches();
    float *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct job j = {.kernels = kernels_of(isa), .rounds = isa == ISA_BASE ? 1 << 19 : 1 << 22};
    struct limits l = {0};

    if (data == MAP_FAILED) {
        fprintf(stderr, "bench_conv: %zu MiB to read: out of memory\n", bytes >> 20);
        exit(1);
    }
    madvise(data, bytes, MADV_HUGEPAGE);
    for (size_t i = 0; i < bytes / sizeof *data; i++)
        data[i] = 1;
    j.data = data;
    j.floats = bytes / sizeof *data / (size_t)threads / 128 * 128;
    l.flops = threads * j.kernels->flops * j.rounds / best(pool, fused_task, &j);
    l.bytes = (double)((size_t)threads * j.floats * sizeof *data) / best(pool, read_task, &j);
    munmap(data, bytes);
    return l;
}
