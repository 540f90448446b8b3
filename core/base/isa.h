/* isa.h - which compiled variant of the vectorised kernels this processor gets.
 *
 * A file NAME_isa.c is compiled once per instruction set with -DISA=base, avx2 or avx512 and exports
 * ISA_NAME(thing); the caller picks one at start. All variants compute the same bits.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_ISA_H
#define PRESIZE_BASE_ISA_H

enum isa { ISA_BASE, ISA_AVX2, ISA_AVX512 };

/* The best of this processor and build; $PRESIZE_ISA (base, avx2, avx512) may lower it. */
enum isa isa_best(void);
const char *isa_name(enum isa isa);

#define ISA_PASTE2(a, b) a##_##b
#define ISA_PASTE(a, b) ISA_PASTE2(a, b)
#define ISA_NAME(name) ISA_PASTE(name, ISA) /* in NAME_isa.c: kernels_avx512 */

#endif
