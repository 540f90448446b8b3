/* device.h - what the .cu files share: numbers as stored, vectors of them, launches, sums over a block.
 *
 * The common subset of CUDA C++ and, for the tests, host C++ (emulate.h): shared memory through
 * SHARED, barriers through BARRIER, no warp intrinsics, no assembler.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BACKEND_CUDA_DEVICE_H
#define PRESIZE_BACKEND_CUDA_DEVICE_H

#include <type_traits>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#define DEVICE static __device__ __forceinline__
#define SHARED(type, name, n) __shared__ type name[n]
#define SHARED_ARG(type, name) type *name
#define BARRIER() __syncthreads()
/* KERNEL in parentheses; LAUNCH for those without BARRIER */
#define LAUNCH(kernel, grid, block, stream, ...)                                                   \
    (kernel)<<<(grid), (block), 0, (cudaStream_t)(stream)>>>(__VA_ARGS__)
#define LAUNCH_BARRIERS LAUNCH
#define LAUNCHED() ((int)cudaGetLastError())
#else
#include "backend/cuda/emulate.h"
#endif

#include "backend/cuda/cuda_kernels.h"
#include "backend/elem.h"

enum { THREADS = 256, INVALID = 1 /* cudaErrorInvalidValue */ };

/* --- numbers as stored ----------------------------------------------------------------------- */

struct f16 {
    uint16_t bits;
};
struct bf16 {
    uint16_t bits;
};

DEVICE float value(float x)
{
    return x;
}

DEVICE float value(f16 x)
{
#ifdef __CUDA_ARCH__
    return __half2float(__ushort_as_half(x.bits));
#else
    return f32_from_f16(x.bits);
#endif
}

DEVICE float value(bf16 x)
{
    return f32_from_bf16(x.bits);
}

DEVICE void store(float *p, float x)
{
    *p = x;
}

DEVICE void store(f16 *p, float x)
{
#ifdef __CUDA_ARCH__
    p->bits = __half_as_ushort(__float2half_rn(x));
#else
    p->bits = f16_from_f32(x);
#endif
}

DEVICE void store(bf16 *p, float x)
{
#ifdef __CUDA_ARCH__
    p->bits = __bfloat16_as_ushort(__float2bfloat16_rn(x));
#else
    p->bits = bf16_from_f32(x);
#endif
}

/* N values that are loaded and stored as one, or ALIGN bytes at a time. */
template <typename T, int N, int ALIGN = sizeof(T) * N> struct alignas(ALIGN) vec {
    T v[N];
};

template <int N, typename T> DEVICE vec<T, N> load(const T *p)
{
    return *(const vec<T, N> *)p;
}

template <int N, int ALIGN, typename T> DEVICE vec<T, N, ALIGN> load(const T *p)
{
    return *(const vec<T, N, ALIGN> *)p;
}

template <int N, typename T, int ALIGN> DEVICE void store(T *p, const vec<T, N, ALIGN> &x)
{
    *(vec<T, N, ALIGN> *)p = x;
}

/* --- which kernel ---------------------------------------------------------------------------- */

template <typename... P> static bool aligned(const P *...p)
{
    return (((uintptr_t)p | ...) & 15) == 0; /* a NULL is */
}

/* F(T(), width): the values of one thread, as many as 16 bytes hold where WIDE and C allow, else one. */
template <typename F> static int with_type(enum dtype type, bool wide, int c, F f)
{
    std::integral_constant<int, 1> one;
    std::integral_constant<int, 4> four;
    std::integral_constant<int, 8> eight;

    switch (type) {
    case DTYPE_F32:
        return wide && c % 4 == 0 ? f(float(), four) : f(float(), one);
    case DTYPE_F16:
        return wide && c % 8 == 0 ? f(f16(), eight) : f(f16(), one);
    case DTYPE_BF16:
        return wide && c % 8 == 0 ? f(bf16(), eight) : f(bf16(), one);
    default:
        return INVALID;
    }
}

/* Blocks of THREADS for N threads; 0 where there are too many. */
static inline unsigned blocks_for(size_t n)
{
    return n > 0x7fffffff ? 0 : (unsigned)((n + THREADS - 1) / THREADS);
}

/* This thread's number in the whole grid, below 2^31. */
DEVICE unsigned thread_number()
{
    return blockIdx.x * blockDim.x + threadIdx.x;
}

/* --- sums ------------------------------------------------------------------------------------ */

/* The sum of X over a one-dimensional block of THREADS, in a fixed tree; for thread 0. */
DEVICE double block_sum(SHARED_ARG(double, part), double x)
{
    part[threadIdx.x] = x;
    for (unsigned half = THREADS / 2; half > 0; half /= 2) {
        BARRIER();
        if (threadIdx.x < half)
            part[threadIdx.x] = part[threadIdx.x] + part[threadIdx.x + half];
    }
    return threadIdx.x == 0 ? (double)part[0] : 0.0;
}

#endif
