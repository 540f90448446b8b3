/* simd.h - the vectors of the convolutions' kernels: VL floats, as wide as a register of the instruction
 * set that the *_isa.c file is compiled for. A block of 16 channels is PARTS of them.
 *
 * Lanes are different outputs and never meet, so the width changes no bit. A fused multiply-add is stated
 * as fmadd() and nothing else is fused. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CPU_CONV_SIMD_H
#define PRESIZE_BACKEND_CPU_CONV_SIMD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "backend/cpu/lanes.h"

#if defined __AVX512F__
enum { VL = 16 };
typedef float vf __attribute__((vector_size(64)));
#elif defined __FMA__
enum { VL = 8 };
typedef float vf __attribute__((vector_size(32)));
#else
enum { VL = 4 };
typedef float vf __attribute__((vector_size(16)));
#endif

typedef int32_t vi __attribute__((vector_size(VL * 4)));
typedef uint32_t vu __attribute__((vector_size(VL * 4)));
typedef uint16_t vh __attribute__((vector_size(VL * 2)));

enum { PARTS = 16 / VL };

#if defined __aarch64__
#include <arm_neon.h>
#elif !defined __FMA__
typedef double vd __attribute__((vector_size(32)));
typedef int64_t vl __attribute__((vector_size(32)));

/* Without the instruction: the product is exact in double; its sum with C is rounded to odd, which keeps what
 * the one rounding to float needs (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums"). */
INLINE vf fmadd_emulated(vf a, vf b, vf c)
{
    const vd p = __builtin_convertvector(a, vd) * __builtin_convertvector(b, vd);
    const vd d = __builtin_convertvector(c, vd), s = p + d;
    const vd back = s - p, error = (p - (s - back)) + (d - back); /* exact: Knuth's two-sum */
    vl bits, inexact = (error > 0) | (error < 0), toward;
    vd odd;

    memcpy(&bits, &s, sizeof bits);
    toward = 1 | ((error > 0) ^ (s > 0)); /* +1 away from 0, -1 towards 0 */
    bits += toward & inexact & ((bits & 1) - 1);
    memcpy(&odd, &bits, sizeof odd);
    return __builtin_convertvector(odd, vf);
}
#endif

/* A loop that is unrolled, so that what it indexes can lie in registers. */
#define EACH(i, n) _Pragma("GCC unroll 36") for (int i = 0; i < (n); i++)

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

/* Element AT of BASE and those behind it, of type T. load() and store() of lanes.h do the same, but gcc 12 keeps their
 * vectors on the stack where they are wider than a register: on AVX2 a fifth of ResNet-50's inference was that. */
INLINE vf load_typed(const void *base, size_t at, enum dtype t)
{
#if defined __AVX512F__
    return load(base, at, t);
#else
    vh h;
    vu u;
    vf v;

    if (t != DTYPE_BF16)
        return load_v((const float *)base + at);
    memcpy(&h, (const uint16_t *)base + at, sizeof h);
    u = __builtin_convertvector(h, vu) << 16;
    memcpy(&v, &u, sizeof v);
    return v;
#endif
}

INLINE void store_typed(void *base, size_t at, vf v, enum dtype t)
{
#if defined __AVX512F__
    store(base, at, v, t);
#else
    vh h;
    vu u;

    if (t != DTYPE_BF16) {
        store_v((float *)base + at, v);
        return;
    }
    memcpy(&u, &v, sizeof u);
    h = __builtin_convertvector((u + 0x7fff + ((u >> 16) & 1)) >> 16, vh);
    memcpy((uint16_t *)base + at, &h, sizeof h);
#endif
}

/* max(v, 0), where NaN stays. */
INLINE vf relu_v(vf v)
{
    vi below = v < 0, bits;

    memcpy(&bits, &v, sizeof bits);
    bits &= ~below;
    memcpy(&v, &bits, sizeof v);
    return v;
}

#endif
