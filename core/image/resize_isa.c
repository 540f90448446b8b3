/* resize_isa.c - the loops of the resize, compiled once per instruction set: same integers in each.
 *
 * unpack, madd and pack work inside 128-bit lanes on every x86 width, so one text serves SSE2, AVX2
 * and AVX-512; elsewhere the plain loops do. Everything is exact integer arithmetic, so that the
 * order and the width cannot matter. SPDX-License-Identifier: MIT */
#include "base/isa.h"
#include "image/resize_kernels.h"

#if defined(__AVX512BW__)
#include <immintrin.h>
#define VECTOR 64
typedef __m512i vec;
#define V(op) _mm512_##op
#define V_LOAD(p) _mm512_loadu_si512((const void *)(p))
#define V_STORE(p, v) _mm512_storeu_si512((void *)(p), v)
#define V_ZERO() _mm512_setzero_si512()
#elif defined(__AVX2__)
#include <immintrin.h>
#define VECTOR 32
typedef __m256i vec;
#define V(op) _mm256_##op
#define V_LOAD(p) _mm256_loadu_si256((const __m256i *)(p))
#define V_STORE(p, v) _mm256_storeu_si256((__m256i *)(p), v)
#define V_ZERO() _mm256_setzero_si256()
#elif defined(__SSE2__)
#include <emmintrin.h>
#define VECTOR 16
typedef __m128i vec;
#define V(op) _mm_##op
#define V_LOAD(p) _mm_loadu_si128((const __m128i *)(p))
#define V_STORE(p, v) _mm_storeu_si128((__m128i *)(p), v)
#define V_ZERO() _mm_setzero_si128()
#else
#define VECTOR 0
#endif

static uint8_t blend_one(const uint8_t *src, size_t pitch, const struct taps *t)
{
    uint32_t acc = 1u << (WEIGHT_BITS - 1);

    for (int k = 0; k < t->n; k++) {
        const struct tap_pair *p = &t->pairs[k / 2];
        const int shift = k & 1 ? 16 : 0;
        const uint32_t w =
            ((p->high >> shift & 0xffff) << WEIGHT_SPLIT) + (p->low >> shift & 0xffff);

        acc += w * src[(size_t)k * pitch];
    }
    acc >>= WEIGHT_BITS;
    return (uint8_t)(acc > 255 ? 255 : acc);
}

#if VECTOR

/* The bytes of two taps as 4 vectors of 16-bit pairs (a, b), in an order that pack() undoes. */
static inline void widen(vec out[4], const uint8_t *a, const uint8_t *b)
{
    const vec x = V_LOAD(a), y = V_LOAD(b), zero = V_ZERO();
    const vec low = V(unpacklo_epi8)(x, y), high = V(unpackhi_epi8)(x, y);

    out[0] = V(unpacklo_epi8)(low, zero);
    out[1] = V(unpackhi_epi8)(low, zero);
    out[2] = V(unpacklo_epi8)(high, zero);
    out[3] = V(unpackhi_epi8)(high, zero);
}

static inline vec finish(vec high, vec low)
{
    const vec half = V(set1_epi32)(1 << (WEIGHT_BITS - 1));

    high = V(add_epi32)(V(slli_epi32)(high, WEIGHT_SPLIT), V(add_epi32)(low, half));
    return V(srli_epi32)(high, WEIGHT_BITS);
}

static inline void pack(uint8_t *dst, const vec v[4])
{
    V_STORE(dst, V(packus_epi16)(V(packs_epi32)(v[0], v[1]), V(packs_epi32)(v[2], v[3])));
}

/* Two taps: all that enlarging needs. */
static inline void blend_two(uint8_t *dst, const uint8_t *a, const uint8_t *b, vec wh, vec wl)
{
    vec v[4];

    widen(v, a, b);
    for (int i = 0; i < 4; i++)
        v[i] = finish(V(madd_epi16)(v[i], wh), V(madd_epi16)(v[i], wl));
    pack(dst, v);
}

static inline void blend_many(uint8_t *dst, const uint8_t *src, size_t pitch, const struct taps *t)
{
    vec high[4], low[4], v[4];

    for (int i = 0; i < 4; i++)
        high[i] = low[i] = V_ZERO();
    for (int k = 0; k < t->n; k += 2) {
        const uint8_t *a = src + (size_t)k * pitch, *b = k + 1 < t->n ? a + pitch : a;
        const vec wh = V(set1_epi32)((int)t->pairs[k / 2].high);
        const vec wl = V(set1_epi32)((int)t->pairs[k / 2].low);

        widen(v, a, b);
        for (int i = 0; i < 4; i++) {
            high[i] = V(add_epi32)(high[i], V(madd_epi16)(v[i], wh));
            low[i] = V(add_epi32)(low[i], V(madd_epi16)(v[i], wl));
        }
    }
    for (int i = 0; i < 4; i++)
        v[i] = finish(high[i], low[i]);
    pack(dst, v);
}

static void blend(uint8_t *dst, size_t n, const uint8_t *src, size_t pitch, const struct taps *t)
{
    if (n < VECTOR) {
        for (size_t j = 0; j < n; j++)
            dst[j] = blend_one(src + j, pitch, t);
        return;
    }
    /* The last vector overlaps the one before: no tail. */
    if (t->n <= 2) {
        const uint8_t *b = t->n > 1 ? src + pitch : src;
        const vec wh = V(set1_epi32)((int)t->pairs[0].high),
                  wl = V(set1_epi32)((int)t->pairs[0].low);

        for (size_t j = 0; j < n - VECTOR; j += VECTOR)
            blend_two(dst + j, src + j, b + j, wh, wl);
        blend_two(dst + n - VECTOR, src + n - VECTOR, b + n - VECTOR, wh, wl);
        return;
    }
    for (size_t j = 0; j < n - VECTOR; j += VECTOR)
        blend_many(dst + j, src + j, pitch, t);
    blend_many(dst + n - VECTOR, src + n - VECTOR, pitch, t);
}

static void blend64(uint8_t *dst, const uint8_t *src, const struct taps *t, int out_w)
{
    const size_t pitch = 3 * 64;

    for (int x = 0; x < out_w; x++, t++, dst += 3 * 64) {
        const uint8_t *from = src + (size_t)t->first * pitch;

        if (t->n <= 2) {
            const uint8_t *b = t->n > 1 ? from + pitch : from;
            const vec wh = V(set1_epi32)((int)t->pairs[0].high);
            const vec wl = V(set1_epi32)((int)t->pairs[0].low);

            for (size_t j = 0; j < 3 * 64; j += VECTOR)
                blend_two(dst + j, from + j, b + j, wh, wl);
        } else {
            for (size_t j = 0; j < 3 * 64; j += VECTOR)
                blend_many(dst + j, from + j, pitch, t);
        }
    }
}

/* Four rounds of interleaving the first half with the second transpose 16 x 16 bytes. */
static inline void transpose16(uint8_t *dst, size_t dst_pitch, const uint8_t *src, size_t src_pitch)
{
    __m128i a[16], b[16];

    for (size_t i = 0; i < 16; i++)
        a[i] = _mm_loadu_si128((const __m128i *)(const void *)(src + i * src_pitch));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 8; i++) {
            b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
            b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
        }
        for (int i = 0; i < 8; i++) {
            a[2 * i] = _mm_unpacklo_epi8(b[i], b[i + 8]);
            a[2 * i + 1] = _mm_unpackhi_epi8(b[i], b[i + 8]);
        }
    }
    for (size_t i = 0; i < 16; i++)
        _mm_storeu_si128((__m128i *)(void *)(dst + i * dst_pitch), a[i]);
}

static void transpose(uint8_t *dst, size_t dst_pitch, const uint8_t *src, size_t src_pitch,
                      size_t rows, size_t cols)
{
    if (rows < 16 || cols < 16) {
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < cols; j++)
                dst[j * dst_pitch + i] = src[i * src_pitch + j];
        return;
    }
    for (size_t i = 0; i < rows; i += 16) {
        const size_t r = i + 16 <= rows ? i : rows - 16;

        for (size_t j = 0; j < cols; j += 16) {
            const size_t c = j + 16 <= cols ? j : cols - 16;

            transpose16(dst + c * dst_pitch + r, dst_pitch, src + r * src_pitch + c, src_pitch);
        }
    }
}

#else

static void blend(uint8_t *dst, size_t n, const uint8_t *src, size_t pitch, const struct taps *t)
{
    for (size_t j = 0; j < n; j++)
        dst[j] = blend_one(src + j, pitch, t);
}

static void blend64(uint8_t *dst, const uint8_t *src, const struct taps *t, int out_w)
{
    for (int x = 0; x < out_w; x++)
        blend(dst + (size_t)x * 192, 192, src + (size_t)t[x].first * 192, 192, &t[x]);
}

static void transpose(uint8_t *dst, size_t dst_pitch, const uint8_t *src, size_t src_pitch,
                      size_t rows, size_t cols)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            dst[j * dst_pitch + i] = src[i * src_pitch + j];
}

#endif

const struct resize_kernels ISA_NAME(resize_kernels) = {
    .blend = blend, .blend64 = blend64, .transpose = transpose};
