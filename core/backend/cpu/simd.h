/* simd.h - vectors as wide as a register of the instruction set that a *_isa.c file is compiled for: VL numbers.
 *
 * Lanes are different outputs and never meet, so the width changes no bit. A block of 16 channels is PARTS vectors,
 * which a pass takes one after the other: gcc 12 keeps vectors that are wider than a register on the stack.
 * Instructions are named only where they give the same bits sooner. A fused multiply-add is stated as fmadd(), and
 * nothing else is fused. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CPU_SIMD_H
#define PRESIZE_BACKEND_CPU_SIMD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "backend/op.h"

#if defined __FMA__
#include <immintrin.h>
#elif defined __aarch64__
#include <arm_neon.h>
#endif

#define INLINE static inline __attribute__((always_inline))

#if defined __AVX512F__
enum { VL = 16 };
#elif defined __FMA__
enum { VL = 8 };
#else
enum { VL = 4 };
#endif
#define VECTOR(type) __attribute__((vector_size(VL * sizeof(type)))) type

typedef VECTOR(float) vf;
typedef VECTOR(int32_t) vi;
typedef VECTOR(uint32_t) vu;
typedef VECTOR(uint16_t) vh;
typedef VECTOR(uint8_t) vb;
typedef VECTOR(double) vd; /* for what is rare: two registers */

enum { PARTS = 16 / VL };

/* A loop that is unrolled, so that what it indexes can lie in registers. */
#define EACH(i, n) _Pragma("GCC unroll 36") for (int i = 0; i < (n); i++)

#if !defined __aarch64__ && !defined __FMA__
typedef int64_t v64 __attribute__((vector_size(VL * sizeof(int64_t))));

/* Without the instruction: the product is exact in double; its sum with C is rounded to odd, which keeps what
 * the one rounding to float needs (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums"). */
INLINE vf fmadd_emulated(vf a, vf b, vf c)
{
    const vd p = __builtin_convertvector(a, vd) * __builtin_convertvector(b, vd);
    const vd d = __builtin_convertvector(c, vd), s = p + d;
    const vd back = s - p, error = (p - (s - back)) + (d - back); /* exact: Knuth's two-sum */
    v64 bits, inexact = (error > 0) | (error < 0), toward;
    vd odd;

    memcpy(&bits, &s, sizeof bits);
    toward = 1 | ((error > 0) ^ (s > 0)); /* +1 away from 0, -1 towards 0 */
    bits += toward & inexact & ((bits & 1) - 1);
    memcpy(&odd, &bits, sizeof odd);
    return __builtin_convertvector(odd, vf);
}
#endif

/* a b + c, rounded once. */
INLINE vf fmadd(vf a, vf b, vf c)
{
#if defined __AVX512F__
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined __FMA__
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined __aarch64__
    return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return fmadd_emulated(a, b, c);
#endif
}

/* c + a b as two products of bf16 numbers in each lane, that of the high halves first. */
#if defined __AVX512BF16__
INLINE vf dot_v(vf a, vf b, vf c)
{
    return (vf)_mm512_dpbf16_ps((__m512)c, (__m512bh)a, (__m512bh)b);
}
#endif

INLINE vf splat_v(float x)
{
#if defined __AVX512F__
    return (vf)_mm512_set1_ps(x);
#elif defined __FMA__
    return (vf)_mm256_set1_ps(x);
#else
    return (vf){x, x, x, x};
#endif
}

/* ---- memory ---- */

INLINE size_t dtype_bytes(enum dtype t) /* of F32 and BF16 */
{
    return t == DTYPE_BF16 ? sizeof(uint16_t) : sizeof(float);
}

INLINE vf load_v(const float *p)
{
    vf v;

    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void store_v(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}

/* VL numbers of 16 bits as words. With AVX-512 gcc 12 makes two halves of the plain conversion, at twice the time of a
 * whole pass. */
INLINE vu load_halves(const uint16_t *p)
{
    vh h;

    memcpy(&h, p, sizeof h);
#if defined __AVX512F__
    return (vu)_mm512_cvtepu16_epi32((__m256i)h);
#else
    return __builtin_convertvector(h, vu);
#endif
}

/* To nearest even, in integers or by the processor's instruction: the same bits, as the workers flush subnormals and
 * no NaN arises but the processor's own. */
INLINE vh to_bf16(vf v)
{
#if defined __AVX512BF16__
    return (vh)_mm512_cvtneps_pbh((__m512)v);
#else
    const vu u = (vu)v;

    return __builtin_convertvector((u + 0x7fff + ((u >> 16) & 1)) >> 16, vh);
#endif
}

/* Element AT of BASE and those behind it, of type T. */
INLINE vf load_typed(const void *base, size_t at, enum dtype t)
{
    if (t == DTYPE_BF16)
        return (vf)(load_halves((const uint16_t *)base + at) << 16);
    return load_v((const float *)base + at);
}

/* Returns what a later load will give. */
INLINE vf store_typed(void *base, size_t at, vf v, enum dtype t)
{
    vh h;

    if (t != DTYPE_BF16) {
        store_v((float *)base + at, v);
        return v;
    }
    h = to_bf16(v);
    memcpy((uint16_t *)base + at, &h, sizeof h);
    return load_typed(&h, 0, t);
}

/* The same past the caches, for what is not read soon: the line need not be fetched first. BASE is aligned to 64
 * bytes, AT a multiple of VL. */
INLINE vf store_past(void *base, size_t at, vf v, enum dtype t)
{
#if defined __AVX512F__
    if (t == DTYPE_BF16) {
        const vh h = to_bf16(v);

        _mm256_stream_si256((__m256i *)(void *)((uint16_t *)base + at), (__m256i)h);
        return load_typed(&h, 0, t);
    }
    _mm512_stream_ps((float *)base + at, (__m512)v);
    return v;
#elif defined __FMA__
    if (t == DTYPE_BF16)
        return store_typed(base, at, v, t);
    _mm256_stream_ps((float *)base + at, (__m256)v);
    return v;
#else
    return store_typed(base, at, v, t);
#endif
}

/* Ends what was stored past the caches, so that other threads find it. */
INLINE void end_stores(void)
{
#if defined __FMA__
    _mm_sfence();
#endif
}

/* ---- lanes by a mask: -1 or 0 in each, as comparisons give ---- */

INLINE vf where_v(vi mask, vf v) /* v in the lanes of the mask, else +0 */
{
    return (vf)((vi)v & mask);
}

INLINE vf choose_v(vi mask, vf a, vf b)
{
    return (vf)(((vi)a & mask) | ((vi)b & ~mask));
}

/* max(v, 0), where NaN stays. */
INLINE vf relu_v(vf v)
{
    return where_v(~(v < 0), v);
}

INLINE vi lane_bits_v(void) /* 1 << lane */
{
    vi each;

    EACH (i, VL)
        each[i] = 1 << i;
    return each;
}

/* Bit k: whether lane k is above 0. */
INLINE unsigned above_zero_v(vf v)
{
#if defined __AVX512F__
    return _mm512_cmp_ps_mask((__m512)v, _mm512_setzero_ps(), _CMP_GT_OQ);
#elif defined __FMA__
    return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps((__m256)v, _mm256_setzero_ps(), _CMP_GT_OQ));
#else
    const vi bits = (v > 0) & lane_bits_v();

    return (unsigned)(bits[0] | bits[1] | bits[2] | bits[3]);
#endif
}

INLINE vf where_bits_v(unsigned bits, vf v) /* v in the lanes whose bit is set, else +0 */
{
#if defined __AVX512F__
    return (vf)_mm512_maskz_mov_ps((__mmask16)bits, (__m512)v);
#else
    const vi each = lane_bits_v();

    return where_v((each & (int)bits) == each, v);
#endif
}

#endif
