/* sampler.c - which variant of the augmentation kernel this processor gets.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/sampler.h"

const struct sampler_kernels *sampler_kernels(enum isa isa)
{
    (void)isa;
#if defined(__x86_64__)
    switch (isa) {
    case ISA_AVX512BF16:
    case ISA_AVX512:
        return &sampler_kernels_avx512;
    case ISA_AVX2:
        return &sampler_kernels_avx2;
    default:
        break;
    }
#endif
    return &sampler_kernels_base;
}
