/* isa.c - what this processor can run.
 * SPDX-License-Identifier: MIT */
#include "base/isa.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ISAS = ISA_AVX512BF16 + 1 };

const char *const isa_choices[] = {"auto", "base", "avx2", "avx512", "avx512bf16", NULL};

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
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return ISA_AVX2;
    return __builtin_cpu_supports("avx512bf16") ? ISA_AVX512BF16 : ISA_AVX512;
}
#else
static enum isa detect(void)
{
    return ISA_BASE;
}
#endif

const char *isa_name(enum isa isa)
{
#if defined(__aarch64__)
    if (isa == ISA_BASE)
        return "neon";
#endif
    return isa_choices[isa + 1];
}

/* NAME as it is, or as this machine calls it. */
static bool find(enum isa *out, const char *name)
{
    for (int i = 0; i < ISAS; i++)
        if (strcmp(name, isa_choices[i + 1]) == 0 || strcmp(name, isa_name((enum isa)i)) == 0) {
            *out = (enum isa)i;
            return true;
        }
    return false;
}

static int refuse(const char *source, const char *wish, bool known, enum isa best, struct err *err)
{
    if (known)
        err_set(err, ERR_UNSUPPORTED, "%s%s: this processor does not have it; it has", source,
                wish);
    else
        err_set(err, ERR_INPUT, "%s%.60s: there is no such instruction set; expected auto,", source,
                wish);
    for (int i = 0; i <= (known ? (int)best : ISAS - 1); i++)
        err_append(err, "%s %s", i ? "," : "", known ? isa_name((enum isa)i) : isa_choices[i + 1]);
    return -1;
}

static bool is_auto(const char *wish)
{
    return !wish || !*wish || strcmp(wish, isa_choices[0]) == 0;
}

bool isa_is_named(const char *wish)
{
    return !is_auto(wish) || !is_auto(getenv("PRESIZE_ISA"));
}

int isa_choose(enum isa *out, const char *wish, struct err *err)
{
    const enum isa best = detect();
    const char *source = "exec.isa=";
    enum isa chosen = best;

    if (is_auto(wish)) {
        wish = getenv("PRESIZE_ISA");
        source = "PRESIZE_ISA=";
    }
    if (!is_auto(wish)) {
        const bool known = find(&chosen, wish);

        if (!known || chosen > best)
            return refuse(source, wish, known, best, err);
    }
    *out = chosen;
    return 0;
}

enum isa isa_best(void)
{
    enum isa isa;

    if (isa_choose(&isa, NULL, NULL) < 0)
        isa = detect();
    return isa > ISA_AVX512 ? ISA_AVX512 : isa;
}
