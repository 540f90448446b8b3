/* size.h - products of sizes that cannot overflow unseen.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_SIZE_H
#define PRESIZE_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* *out = a * b; false when the product does not fit (then *out is undefined). */
static inline bool mul_size(size_t *out, size_t a, size_t b)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* X rounded up to a multiple of ALIGN, a power of two. */
static inline size_t align_up(size_t x, size_t align)
{
    return (x + align - 1) & ~(align - 1);
}

#endif
