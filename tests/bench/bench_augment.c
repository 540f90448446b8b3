/* bench_augment.c - pictures per second and core of the augmentation kernel, 460 px presized to 224
 * px.
 *
 * By the thread's own processor time, so that what else runs counts little. Median of 7 runs per variant
 * and kind of map; noise is (fastest - slowest) / median.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "backend/cpu/sampler.h"
#include "base/isa.h"
#include "base/rng.h"
#include "data/augment.h"

enum { SIZE = 224, HEIGHT = 460, WIDTH = 613, PICTURES = 16, RUNS = 7 };

struct map_case {
    const char *name;
    float side, angle, warp;
    int k, lighting, colour;
};

/* The output's centre on the picture's centre, SIDE source pixels across, turned by ANGLE radians.
 */
static struct sample_map map_of(const struct map_case *m)
{
    float scale = m->side / SIZE, half = (SIZE - 1) / 2.0f;
    float a = scale * cosf(m->angle), b = scale * sinf(m->angle);
    float cx = WIDTH / 2.0f, cy = HEIGHT / 2.0f;
    struct sample_map map = {.k = m->k,
                             .lighting = m->lighting,
                             .brightness = 0.2f,
                             .contrast = 1.1f,
                             .colour = m->colour,
                             .saturation = 1.2f,
                             .hue = 0.3f};
    float w6 = m->warp / SIZE, w8 = 1.0f - m->warp / 2.0f;
    float rows[9] = {a + cx * w6, -b,   cx * w8 - half * (a - b),
                     b + cy * w6, a,    cy * w8 - half * (a + b),
                     w6,          0.0f, w8};

    for (int i = 0; i < 9; i++)
        map.m[i] = rows[i];
    return map;
}

static double processor_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Maps as MODE draws them for the pictures of an epoch, or of its validation. */
static void drawn_maps(struct sample_map maps[PICTURES], int mode, bool train)
{
    struct augment_options o;

    keys_default(&(struct key_table){augment_keys, 0}, 1, KEYS_NEWEST, &o);
    o.mode = mode;
    for (uint32_t i = 0; i < PICTURES; i++)
        if (train)
            augment_training(&maps[i], &o, HEIGHT, WIDTH, SIZE, 1, 0, i, i);
        else
            augment_validation(&maps[i], &o, HEIGHT, WIDTH, SIZE);
}

static void measure(const char *isa, const struct sampler_kernels *k, const char *name,
                    const struct sample_map maps[PICTURES], int pictures, const uint8_t *pixels,
                    float *dst)
{
    double rate[RUNS];
    size_t size = (size_t)HEIGHT * WIDTH * 3;

    for (int run = 0; run < RUNS; run++) {
        double start = processor_seconds();

        for (int i = 0; i < pictures; i++) {
            struct picture p = {.pixels = pixels + (size_t)(i % PICTURES) * size,
                                .height = HEIGHT,
                                .width = WIDTH,
                                .map = maps[i % PICTURES]};

            if (i % 2)
                k->f32(dst, &p, SIZE);
            else
                k->bf16((uint16_t *)(void *)dst, &p, SIZE);
        }
        rate[run] = pictures / (processor_seconds() - start);
    }
    qsort(rate, RUNS, sizeof *rate, rising);
    printf("%-8s %-28s %8.0f images/s  (noise %.0f %%)\n", isa, name, rate[RUNS / 2],
           100.0 * (rate[RUNS - 1] - rate[0]) / rate[RUNS / 2]);
}

int main(void)
{
    static const struct map_case cases[] = {
        {"train, inside", 400.0f, 0.0f, 0.0f, 2, 1, 0},
        {"train, hue and saturation", 400.0f, 0.0f, 0.0f, 2, 1, 1},
        {"train, turned and warped", 440.0f, 0.15f, 0.15f, 2, 1, 0},
        {"train, no lighting", 400.0f, 0.1f, 0.1f, 2, 0, 0},
        {"validation", 460.0f, 0.0f, 0.0f, 2, 0, 0},
        {"three samples", 460.0f, 0.15f, 0.2f, 3, 1, 0},
        {"one sample", 224.0f, 0.0f, 0.0f, 1, 1, 0},
    };
    size_t bytes = (size_t)PICTURES * HEIGHT * WIDTH * 3;
    uint8_t *pixels = malloc(bytes);
    float *dst = malloc(sizeof *dst * 3 * SIZE * SIZE);
    struct sample_map maps[PICTURES];
    struct rng r = rng_begin(1, RNG_TEST, 0, 0);

    if (!pixels || !dst)
        return 1;
    for (size_t i = 0; i < bytes; i++)
        pixels[i] = (uint8_t)rng_u32(&r);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int k = 0; k < PICTURES; k++)
            maps[k] = map_of(&cases[i]);
        measure(isa_name(isa_best()), sampler_kernels(isa_best()), cases[i].name, maps, 64, pixels,
                dst);
#if defined(__x86_64__)
        if (isa_best() > ISA_AVX2)
            measure(isa_name(ISA_AVX2), &sampler_kernels_avx2, cases[i].name, maps, 64, pixels,
                    dst);
#endif
    }
    for (int i = 0; i < 4; i++) {
        static const char *const names[] = {"mode presize, training", "mode presize, validation",
                                            "mode fastai, training", "mode fastai, validation"};

        drawn_maps(maps, i < 2 ? AUGMENT_PRESIZE : AUGMENT_FASTAI, i % 2 == 0);
        measure(isa_name(isa_best()), sampler_kernels(isa_best()), names[i], maps, i < 2 ? 64 : 8,
                pixels, dst);
    }
    free(pixels);
    free(dst);
    return 0;
}
