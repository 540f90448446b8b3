/* isa.h - the instruction sets that kernels are compiled for, and the one that is used.
 *
 * A file NAME_isa.c is compiled once per instruction set with -DISA=base, avx2 or avx512 (some files
 * avx512bf16, too) and exports ISA_NAME(thing); the caller picks one at start. All variants compute the
 * same bits.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_ISA_H
#define PRESIZE_BASE_ISA_H

#include <stdbool.h>

#include "base/err.h"

/* Each has all before it. On x86-64, base is SSE2; on arm64 there is base alone, which is NEON. */
enum isa { ISA_BASE, ISA_AVX2, ISA_AVX512, ISA_AVX512BF16 };

/* Their names as a key's choices: "auto", then those of enum isa in its order, then NULL. */
extern const char *const isa_choices[];
/* The name on this machine: that of isa_choices, but "neon" for ISA_BASE on arm64. */
const char *isa_name(enum isa isa);

/* *OUT: what WISH names (the key exec.isa); where that is NULL, "" or "auto", what $PRESIZE_ISA names;
 * where that is not set or "auto", the best of this processor. Names are those of isa_choices and
 * isa_name(). ERR_INPUT: no such name, ERR_UNSUPPORTED: this processor lacks it; both messages say which
 * there are. ERR may be NULL. */
int isa_choose(enum isa *out, const char *wish, struct err *err) MUST_USE;

/* Whether WISH or else $PRESIZE_ISA names one, so that isa_choose() does not take the best there is. */
bool isa_is_named(const char *wish);

/* isa_choose() of nothing, at most ISA_AVX512: what every NAME_isa.c is compiled for. A $PRESIZE_ISA that
 * isa_choose() refuses counts as not set; cli_parse() has ended the program by then. */
enum isa isa_best(void);

#define ISA_PASTE2(a, b) a##_##b
#define ISA_PASTE(a, b) ISA_PASTE2(a, b)
#define ISA_NAME(name) ISA_PASTE(name, ISA) /* in NAME_isa.c: kernels_avx512 */

#endif
