/* rng.c - Philox4x32-10 (Salmon et al. 2011) and what is drawn from it.
 * SPDX-License-Identifier: MIT */
#include "base/rng.h"

#include <math.h>

#include "base/err.h"
#include "base/philox.h"
#include "base/real.h"

static const double two_to_minus_32 = 1.0 / 4294967296.0;

void rng_words(uint32_t out[4], uint64_t seed, struct rng_counter c)
{
    philox_words(out, seed, c.purpose, c.epoch, c.position, c.draw);
}

struct rng rng_begin(uint64_t seed, enum rng_purpose purpose, uint32_t epoch, uint32_t position)
{
    struct rng r = {.seed = seed,
                    .next = {.purpose = (uint32_t)purpose, .epoch = epoch, .position = position}};

    return r;
}

uint32_t rng_u32(struct rng *r)
{
    if (r->left == 0) {
        rng_words(r->words, r->seed, r->next);
        r->next.draw++;
        r->left = 4;
    }
    return r->words[4 - r->left--];
}

double rng_uniform(struct rng *r, double low, double high)
{
    double x = low + (high - low) * (rng_u32(r) * two_to_minus_32);

    return x < high ? x : low; /* rounding may reach HIGH where the range is narrow */
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
    uint64_t product;

    BUG_IF(n == 0);
    product = (uint64_t)rng_u32(r) * n;
    if ((uint32_t)product < n) {
        uint32_t threshold = (0U - n) % n; /* 2^32 mod n */

        while ((uint32_t)product < threshold)
            product = (uint64_t)rng_u32(r) * n;
    }
    return (uint32_t)(product >> 32);
}

double rng_normal(struct rng *r)
{
    static const double two_pi = 6.283185307179586476925286766559;
    double u = (rng_u32(r) + 1.0) * two_to_minus_32; /* (0, 1] */
    double v = rng_u32(r) * two_to_minus_32;

    return sqrt(-2.0 * real_log(u)) * real_cos(two_pi * v);
}

void rng_permutation(uint32_t *out, uint32_t n, uint64_t seed, enum rng_purpose purpose,
                     uint32_t epoch)
{
    struct rng r = rng_begin(seed, purpose, epoch, 0);

    for (uint32_t i = 0; i < n; i++)
        out[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = rng_below(&r, i), swap = out[i - 1];

        out[i - 1] = out[j];
        out[j] = swap;
    }
}
