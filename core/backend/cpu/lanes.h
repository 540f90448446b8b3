/* lanes.h - vectors of 16 channels, for the *_isa.c files of this folder alone.
 *
 * Written once as 16 floats, which the compiler splits for narrower machines; instructions are named only where
 * they give the same bits sooner. bf16 is rounded to nearest even, in integers or by the processor's
 * instruction: the same bits, as the workers flush denormals and no NaN arises but the processor's own.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CPU_LANES_H
#define PRESIZE_BACKEND_CPU_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "backend/op.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

typedef float f16v __attribute__((vector_size(64)));
typedef int32_t i16v __attribute__((vector_size(64)));
typedef uint32_t u16v __attribute__((vector_size(64)));
typedef uint16_t h16v __attribute__((vector_size(32)));
typedef uint8_t b16v __attribute__((vector_size(16)));
typedef double d16v __attribute__((vector_size(128)));

INLINE h16v to_bf16(f16v v)
{
    h16v h;
#ifdef __AVX512BF16__
    __m256bh b;
    __m512 m;

    memcpy(&m, &v, sizeof m);
    b = _mm512_cvtneps_pbh(m);
    memcpy(&h, &b, sizeof h);
#else
    u16v u;

    memcpy(&u, &v, sizeof u);
    h = __builtin_convertvector((u + 0x7fff + ((u >> 16) & 1)) >> 16, h16v);
#endif
    return h;
}

INLINE f16v from_bf16(h16v h)
{
    f16v v;
#ifdef __AVX512F__ /* of the vector below gcc 12 makes two halves, at twice the time of a whole pass */
    __m256i narrow;
    __m512i wide;

    memcpy(&narrow, &h, sizeof narrow);
    wide = _mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow), 16);
    memcpy(&v, &wide, sizeof v);
#else
    const u16v u = __builtin_convertvector(h, u16v) << 16;

    memcpy(&v, &u, sizeof v);
#endif
    return v;
}

INLINE size_t dtype_bytes(enum dtype t) /* of F32 and BF16 */
{
    return t == DTYPE_BF16 ? sizeof(uint16_t) : sizeof(float);
}

INLINE f16v load(const void *base, size_t i, enum dtype t)
{
    f16v v;

    if (t == DTYPE_BF16) {
        h16v h;

        memcpy(&h, (const uint16_t *)base + i, sizeof h);
        v = from_bf16(h);
    } else {
        memcpy(&v, (const float *)base + i, sizeof v);
    }
    return v;
}

/* Returns what a later load will give. */
INLINE f16v store(void *base, size_t i, f16v v, enum dtype t)
{
    if (t == DTYPE_BF16) {
        const h16v h = to_bf16(v);

        memcpy((uint16_t *)base + i, &h, sizeof h);
        v = from_bf16(h);
    } else {
        memcpy((float *)base + i, &v, sizeof v);
    }
    return v;
}

/* The same past the caches, for what is not read soon: the line need not be fetched first. BASE is aligned to LANES
 * elements. */
INLINE f16v store_past(void *base, size_t i, f16v v, enum dtype t)
{
#ifdef __AVX512F__
    if (t == DTYPE_BF16) {
        const h16v h = to_bf16(v);
        __m256i m;

        memcpy(&m, &h, sizeof m);
        _mm256_stream_si256((__m256i *)(void *)((uint16_t *)base + i), m);
        return from_bf16(h);
    } else {
        __m512 m;

        memcpy(&m, &v, sizeof m);
        _mm512_stream_ps((float *)base + i, m);
        return v;
    }
#elif defined __AVX2__
    __m256 half[2];

    if (t == DTYPE_BF16)
        return store(base, i, v, t);
    memcpy(half, &v, sizeof half);
    _mm256_stream_ps((float *)base + i, half[0]);
    _mm256_stream_ps((float *)base + i + 8, half[1]);
    return v;
#else
    return store(base, i, v, t);
#endif
}

/* Ends what was stored past the caches, so that other threads find it. */
INLINE void end_stores(void)
{
#ifdef __AVX2__
    _mm_sfence();
#endif
}

INLINE f16v load_f32(const float *p)
{
    return load(p, 0, DTYPE_F32);
}

INLINE f16v splat(float x)
{
    return (f16v){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}

/* Comparisons, lane by lane: -1 or 0. Of vectors wider than a register gcc 12 compares one number at a time, so
 * they are taken apart. */
#if defined __AVX512F__
#define COMPARED(name, type, relation)                                                             \
    INLINE i16v name(type a, type b)                                                               \
    {                                                                                              \
        return (i16v)(a relation b);                                                               \
    }
#else
#if defined __AVX2__
typedef float fpart __attribute__((vector_size(32)));
typedef int32_t ipart __attribute__((vector_size(32)));
#else
typedef float fpart __attribute__((vector_size(16)));
typedef int32_t ipart __attribute__((vector_size(16)));
#endif
#define COMPARED(name, type, relation)                                                             \
    INLINE i16v name(type a, type b)                                                               \
    {                                                                                              \
        type##_part x[sizeof a / sizeof(type##_part)], y[sizeof a / sizeof(type##_part)];          \
        ipart r[sizeof a / sizeof(ipart)];                                                         \
        i16v mask;                                                                                 \
                                                                                                   \
        memcpy(x, &a, sizeof a);                                                                   \
        memcpy(y, &b, sizeof b);                                                                   \
        for (size_t i = 0; i < sizeof r / sizeof *r; i++)                                          \
            r[i] = x[i] relation y[i];                                                             \
        memcpy(&mask, r, sizeof mask);                                                             \
        return mask;                                                                               \
    }
typedef fpart f16v_part;
typedef ipart i16v_part;
#endif
COMPARED(greater, f16v, >)
COMPARED(differs, f16v, !=)
COMPARED(same, i16v, ==)
#undef COMPARED

INLINE f16v where(i16v mask, f16v v) /* v in the lanes of mask (-1), else +0 */
{
    i16v u;

    memcpy(&u, &v, sizeof u);
    u &= mask;
    memcpy(&v, &u, sizeof v);
    return v;
}

INLINE f16v choose(i16v mask, f16v a, f16v b)
{
    i16v x, y;

    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    x = (x & mask) | (y & ~mask);
    memcpy(&a, &x, sizeof a);
    return a;
}

/* Bit k: whether lane k is above 0. */
INLINE uint16_t above_zero(f16v v)
{
#ifdef __AVX512F__
    __m512 m;

    memcpy(&m, &v, sizeof m);
    return _mm512_cmp_ps_mask(m, _mm512_setzero_ps(), _CMP_GT_OQ);
#elif defined __AVX2__
    const i16v above = greater(v, (f16v){0});
    __m256 half[2];

    memcpy(half, &above, sizeof half);
    return (uint16_t)(_mm256_movemask_ps(half[0]) | _mm256_movemask_ps(half[1]) << 8);
#else
    const i16v above = greater(v, (f16v){0});
    int bits = 0;

    for (int k = 0; k < 16; k++)
        bits |= (above[k] & 1) << k;
    return (uint16_t)bits;
#endif
}

INLINE f16v where_bits(uint16_t bits, f16v v) /* v in the lanes whose bit is set, else +0 */
{
#ifdef __AVX512F__
    __m512 m;

    memcpy(&m, &v, sizeof m);
    m = _mm512_maskz_mov_ps(bits, m);
    memcpy(&v, &m, sizeof v);
    return v;
#else
    const i16v each = {1,      1 << 1, 1 << 2,  1 << 3,  1 << 4,  1 << 5,  1 << 6,  1 << 7,
                       1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15};

    return where(same(each & bits, each), v);
#endif
}

INLINE d16v widen(f16v v)
{
    return __builtin_convertvector(v, d16v);
}

INLINE void put_doubles(double *p, d16v v)
{
    memcpy(p, &v, sizeof v);
}

#endif
