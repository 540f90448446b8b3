/* isa.c - what this processor can run.
 * SPDX-License-Identifier: MIT */
#include "base/isa.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

static enum isa detect(void)
{
    unsigned a, b, c, d;

    __builtin_cpu_init(); /* the builtins also ask whether the system saves the registers */
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1U << 29))) /* F16C */
        return ISA_BASE;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return ISA_BASE;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return ISA_AVX512;
    return ISA_AVX2;
}
#else
static enum isa detect(void)
{
    return ISA_BASE;
}
#endif

static const char *const names[] = {"base", "avx2", "avx512"};

enum isa isa_best(void)
{
    enum isa best = detect();
    const char *wish = getenv("PRESIZE_ISA");

    for (int i = 0; wish && i < (int)best; i++)
        if (strcmp(wish, names[i]) == 0)
            return (enum isa)i;
    return best;
}

const char *isa_name(enum isa isa)
{
    return names[isa];
}
