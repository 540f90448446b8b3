/* limits_isa.c - the loops of limits.h, in the vectors that the convolutions use.
 * SPDX-License-Identifier: MIT */
#include "limits.h"

#include "backend/cpu/simd.h"

/* More sums than a fused multiply-add takes cycles on all of a core's units, fewer than there are registers. */
enum { SUMS = 12, READS = 8 };

#define UNROLL _Pragma("GCC unroll 16")

static float fused(int rounds)
{
    const vf a = splat_v(0.5F), b = splat_v(1);
    vf sum[SUMS], all = {0};

    UNROLL for (int k = 0; k < SUMS; k++) sum[k] = splat_v((float)k);
    for (int i = 0; i < rounds; i++)
        UNROLL for (int k = 0; k < SUMS; k++) sum[k] = fmadd(sum[k], a, b);
    UNROLL for (int k = 0; k < SUMS; k++) all += sum[k];
    return all[0];
}

static float read_all(const float *data, size_t n)
{
    vf sum[READS], all = {0};

    UNROLL for (int k = 0; k < READS; k++) sum[k] = (vf){0};
    for (size_t i = 0; i < n; i += (size_t)READS * VL)
        UNROLL for (int k = 0; k < READS; k++) sum[k] += load_v(data + i + (size_t)k * VL);
    UNROLL for (int k = 0; k < READS; k++) all += sum[k];
    return all[0];
}

extern const struct limit_kernels ISA_NAME(limit_kernels);
const struct limit_kernels ISA_NAME(limit_kernels) = {
    .flops = 2.0 * SUMS * VL,
    .fused = fused,
    .read = read_all,
};
