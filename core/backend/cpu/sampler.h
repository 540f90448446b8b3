/* sampler.h - the augmentation kernel: presized picture to normalised network input.
 *
 * elem_sample() for every output pixel, bit for bit, vectorised over the pixels of a row.
 * Compiled once per instruction set (sampler_isa.c). SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CPU_SAMPLER_H
#define PRESIZE_BACKEND_CPU_SAMPLER_H

#include <stdint.h>

#include "base/isa.h"
#include "step/picture.h"

/* DST (3, size, size) planes R, G, B, dense; the picture is at least 1x1, its map's k in [1, 3]. */
struct sampler_kernels {
    void (*f32)(float *dst, const struct picture *p, int size);
    void (*bf16)(uint16_t *dst, const struct picture *p, int size);
};

const struct sampler_kernels *sampler_kernels(enum isa isa);

/* The variants, for tests; only those this processor has may be called. */
extern const struct sampler_kernels sampler_kernels_base;
#if defined(__x86_64__)
extern const struct sampler_kernels sampler_kernels_avx2, sampler_kernels_avx512;
#endif

#endif
