/* planted.cpp - see planted.h. SPDX-License-Identifier: MIT */
#include "planted.h"

#include "backend/cuda/device.h"

enum planted { NONE, DIVERGENT, UNWRITTEN, TWO_WRITERS };

/* x[i] = x[63 - i] through shared memory, 64 threads. */
static __global__ void reverse(float *x, enum planted planted)
{
    SHARED(float, part, 64);
    unsigned me = threadIdx.x;

    if (planted != UNWRITTEN || me > 0)
        part[planted == TWO_WRITERS ? me / 2 : me] = x[me];
    if (planted == DIVERGENT && me % 2)
        return;
    BARRIER();
    x[me] = planted == TWO_WRITERS ? 0.0f : (float)part[63 - me];
}

static __global__ void shift(float *x, unsigned by)
{
    x[threadIdx.x + by] = 1.0f;
}

static __global__ void four(float *x)
{
    store<4>(x, load<4>(x));
}

static int run(float *x, enum planted planted)
{
    LAUNCH_BARRIERS((reverse), dim3(1), dim3(64), NULL, x, planted);
    return LAUNCHED();
}

int planted_none(float *x)
{
    return run(x, NONE);
}

int planted_divergent_barrier(float *x)
{
    return run(x, DIVERGENT);
}

int planted_unexpected_barrier(float *x)
{
    LAUNCH((reverse), dim3(1), dim3(64), NULL, x, NONE);
    return LAUNCHED();
}

int planted_unwritten(float *x)
{
    return run(x, UNWRITTEN);
}

int planted_two_writers(float *x)
{
    return run(x, TWO_WRITERS);
}

int planted_beyond(float *x)
{
    LAUNCH((shift), dim3(1), dim3(64), NULL, x, 1u);
    return LAUNCHED();
}

int planted_misaligned(float *x)
{
    LAUNCH((four), dim3(1), dim3(1), NULL, x + 1);
    return LAUNCHED();
}
