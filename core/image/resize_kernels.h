/* resize_kernels.h - private to image: the loops of the resize that are compiled per instruction
 * set. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_IMAGE_RESIZE_KERNELS_H
#define PRESIZE_IMAGE_RESIZE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Pillow's weights have 22 bits. Two taps at a time fit pmaddwd (16 x 16 -> 32 bits) when a weight
 * is split at bit 11: w = high * 2^11 + low, both below 2^12. */
enum { WEIGHT_BITS = 22, WEIGHT_SPLIT = 11 };

struct tap_pair { /* weights of taps 2i (low half of each word) and 2i + 1 (high half) */
    uint32_t high, low;
};

/* One output line: the taps first .. first + n - 1 of the source, n > 0. */
struct taps {
    int first, n;
    const struct tap_pair *pairs; /* (n + 1) / 2; an odd last one has weight 0 */
};

struct resize_kernels {
    /* dst[j] = (2^21 + sum over k of w_k * src[k * pitch + j]) >> 22, for j < n. */
    void (*blend)(uint8_t *dst, size_t n, const uint8_t *src, size_t pitch, const struct taps *t);
    /* The horizontal pass on 64 transposed rows: for output x < out_w and channel c < 3,
     * dst[(3 x + c) * 64 + row] = blend of src[(3 (first + k) + c) * 64 + row]. 64-byte aligned. */
    void (*blend64)(uint8_t *dst, const uint8_t *src, const struct taps *t, int out_w);
    /* dst[j * dst_pitch + i] = src[i * src_pitch + j] for i < rows, j < cols. */
    void (*transpose)(uint8_t *dst, size_t dst_pitch, const uint8_t *src, size_t src_pitch,
                      size_t rows, size_t cols);
};

extern const struct resize_kernels resize_kernels_base, resize_kernels_avx2, resize_kernels_avx512;

#endif
