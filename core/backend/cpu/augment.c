/* augment.c - which variant of the augmentation kernel this processor gets.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/augment.h"

#include "base/isa.h"

const struct augment_kernels *augment_kernels(void)
{
#if defined(__x86_64__)
    switch (isa_best()) {
    case ISA_AVX512:
        return &augment_kernels_avx512;
    case ISA_AVX2:
        return &augment_kernels_avx2;
    default:
        break;
    }
#endif
    return &augment_kernels_base;
}
