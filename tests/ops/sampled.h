/* sampled.h - the augmentation kernels of every variant against elem_sample(), on any picture and map.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_SAMPLED_H
#define PRESIZE_TESTS_SAMPLED_H

#include "backend/cpu/sampler.h"
#include "backend/elem_sample.h"
#include "base/isa.h"
#include "ops.h"

struct variant {
    const char *name;
    const struct sampler_kernels *kernels;
};

/* The variants of this processor; their number. */
static inline int variants(struct variant v[3])
{
    int n = 0;

    v[n++] = (struct variant){"base", &sampler_kernels_base};
#if defined(__x86_64__)
    if (isa_best() >= ISA_AVX2)
        v[n++] = (struct variant){"avx2", &sampler_kernels_avx2};
    if (isa_best() >= ISA_AVX512)
        v[n++] = (struct variant){"avx512", &sampler_kernels_avx512};
#endif
    return n;
}

static inline struct two_steps random_steps(struct rng *r, int height, int width, int size)
{
    int side = height < width ? height : width;
    int crop = 1 + (int)rng_below(r, (uint32_t)side);
    int area = rng_below(r, 2) ? crop : 1 + crop / 2;

    return (struct two_steps){
        .side = side,
        .left = (int32_t)rng_below(r, (uint32_t)(width - side + 1)),
        .top = (int32_t)rng_below(r, (uint32_t)(height - side + 1)),
        .crop_side = crop,
        .crop_left = (int32_t)rng_below(r, (uint32_t)(side - crop + 1)),
        .crop_top = (int32_t)rng_below(r, (uint32_t)(side - crop + 1)),
        .area = area,
        .step = size > 1 ? (float)(area - 1) / (float)(size - 1) : 0.0f,
    };
}

/* A map of one of several kinds: about the picture's middle, turned, stretched and warped. */
static inline struct sample_map random_map(struct rng *r, int height, int width, int size)
{
    int kind = (int)rng_below(r, 8);
    double angle = rng_uniform(r, -0.2, 0.2), flip = rng_below(r, 2) ? 1.0 : -1.0;
    double side = rng_uniform(r, 0.3, 1.1) * (height < width ? height : width);
    double scale = side / size, half = (size - 1) / 2.0;
    double wx = kind == 1 ? rng_uniform(r, -0.4, 0.4) / size : 0.0;
    double wy = kind == 1 ? rng_uniform(r, -0.4, 0.4) / size : 0.0;
    double cx = (width - 1) / 2.0, cy = (height - 1) / 2.0;
    double a = flip * scale * cos(angle), b = -scale * sin(angle);
    double c = flip * scale * sin(angle), d = scale * cos(angle);
    double w8 = 1.0 - (wx + wy) * half;
    double m[9];
    struct sample_map map = {.k = 1 + (int)rng_below(r, 3),
                             .lighting = (int)rng_below(r, 2),
                             .brightness = (float)rng_uniform(r, -0.4, 0.4),
                             .contrast = (float)rng_uniform(r, 0.8, 1.25),
                             .black = rng_below(r, 4) == 0};

    if (kind == 2) { /* far outside */
        cx += rng_uniform(r, -5.0, 5.0) * width;
        cy += rng_uniform(r, -1e6, 1e6);
    }
    m[0] = a + cx * wx;
    m[1] = b + cx * wy;
    m[2] = cx * w8 - half * (a + b);
    m[3] = c + cy * wx;
    m[4] = d + cy * wy;
    m[5] = cy * w8 - half * (c + d);
    m[6] = wx;
    m[7] = wy;
    m[8] = w8;
    if (kind == 3) { /* whole pixels, to and beyond the last one */
        memset(m, 0, sizeof m);
        m[0] = m[4] = m[8] = 1.0;
    }
    if (kind == 4) /* a denominator that passes through 0 */
        m[8] = -m[6] * half;
    for (int i = 0; i < 9; i++)
        map.m[i] = (float)m[i];
    if (rng_below(r, 3) == 0) {
        map.colour = 1;
        map.saturation = rng_below(r, 4) ? (float)rng_uniform(r, 0.0, 2.0) : 1.0f;
        map.hue = rng_below(r, 4) ? (float)rng_uniform(r, -3.0, 3.0) : 0.0f;
    }
    if (rng_below(r, 3) == 0) {
        map.erased.left = (int32_t)rng_below(r, (uint32_t)size);
        map.erased.top = (int32_t)rng_below(r, (uint32_t)size);
        map.erased.right = map.erased.left + 1 + (int32_t)rng_below(r, (uint32_t)size);
        map.erased.bottom = map.erased.top + 1 + (int32_t)rng_below(r, (uint32_t)size);
    }
    if (kind == 5) { /* in two steps */
        map.k = 1;
        map.two = random_steps(r, height, width, size);
    }
    return map;
}

/* All variants against the scalar formula on one picture. */
static inline void check_picture(const struct picture *p, int size, float *want, float *got)
{
    struct variant v[3];
    int n = variants(v);
    size_t plane = (size_t)size * (size_t)size;

    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++) {
            float rgb[3];

            elem_sample(rgb, p->pixels, p->height, p->width, &p->map, j, i);
            for (size_t c = 0; c < 3; c++)
                want[c * plane + (size_t)i * (size_t)size + (size_t)j] = rgb[c];
        }
    for (int k = 0; k < n; k++) {
        uint16_t *half = (uint16_t *)(void *)got;

        got[3 * plane] = 12345.0f;
        v[k].kernels->f32(got, p, size);
        if (memcmp(got, want, 3 * plane * sizeof *got) != 0 || got[3 * plane] != 12345.0f)
            fail_msg("%s: %dx%d to %d, k %d: other bits than elem_sample()", v[k].name, p->height,
                     p->width, size, p->map.k);
        half[3 * plane] = 12345;
        v[k].kernels->bf16(half, p, size);
        for (size_t i = 0; i < 3 * plane; i++)
            assert_int_equal(half[i], bf16_from_f32(want[i]));
        assert_int_equal(half[3 * plane], 12345);
    }
}

#endif
