/* limits.h - what the machine can do at most, measured, for bench_conv to print beside its figures.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BENCH_LIMITS_H
#define PRESIZE_BENCH_LIMITS_H

#include <stddef.h>

#include "base/isa.h"
#include "base/thread.h"

struct limits {   /* of all threads together, per second */
    double flops; /* fp32 fused multiply-adds in registers, two operations each */
    double bytes; /* read, one after the other, from beyond the caches */
};
/* Measured with as many threads as POOL has, in the instructions of ISA; takes about a second. */
struct limits limits_measure(struct pool *pool, enum isa isa);

struct
    limit_kernels { /* limits_isa.c; what they give back only keeps the compiler from leaving them out */
    double flops; /* of one round of fused() */
    float (*fused)(int rounds);
    float (*read)(const float *data, size_t n); /* N: a multiple of 128 */
};

#endif
