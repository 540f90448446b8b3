/* philox.h - Philox4x32-10, in the common subset of C17 and CUDA C++: for base/rng.h, and for kernels that cannot call
 * that. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_PHILOX_H
#define PRESIZE_BASE_PHILOX_H

#include <stdint.h>

#ifdef __CUDACC__
#define PHILOX static __host__ __device__ __forceinline__
#else
#define PHILOX static inline
#endif

/* Four words of SEED and the counter words (purpose, epoch, position, draw). Multipliers and Weyl increments are those
 * of Salmon, Moraes, Dror, Shaw 2011 (SC11), section 3.3 and table 2. */
PHILOX void philox_words(uint32_t out[4], uint64_t seed, uint32_t purpose, uint32_t epoch,
                         uint32_t position, uint32_t draw)
{
    uint32_t c0 = purpose, c1 = epoch, c2 = position, c3 = draw;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);

    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xd2511f53u * c0, b = (uint64_t)0xcd9e8d57u * c2;

        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

#endif
