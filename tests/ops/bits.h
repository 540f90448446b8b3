/* bits.h - a hash of an op's results, so that machines can be compared. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_BITS_H
#define PRESIZE_TESTS_BITS_H

#include "ops.h"

static inline uint64_t ops_hash(uint64_t hash, const float *v, size_t n)
{
    for (size_t i = 0; v && i < n; i++) {
        const uint32_t bits = isnan(v[i]) ? 0x7fc00000 : elem_bits(v[i]);

        for (int b = 0; b < 32; b += 8)
            hash = (hash ^ (bits >> b & 0xff)) * 0x100000001b3; /* FNV-1a */
    }
    return hash;
}

/* A hash of the results' bits, one NaN as good as another. */
static inline uint64_t ops_bits(const struct ops_setup *s, const struct ops_results *r)
{
    uint64_t hash = 0xcbf29ce484222325;

    for (int i = 0; i < MAX_OUT; i++)
        hash = ops_hash(hash, r->out[i], s->n_out[i]);
    for (int i = 0; i < MAX_IN; i++)
        hash = ops_hash(hash, r->state[i], s->n_in[i]);
    return hash;
}

/* With $OPS_BITS: a line "bits HASH CASE" (tests/slow/test_arm64.sh compares them). */
static inline void ops_print_bits(const struct ops_setup *s, const struct ops_results *r)
{
    if (getenv("OPS_BITS") && (r->out[0] || r->out[1] || r->state[1]))
        printf("bits %016llx %s\n", (unsigned long long)ops_bits(s, r), ops_case_name(&s->c));
}

#endif
