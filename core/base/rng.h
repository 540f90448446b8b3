/* rng.h - Philox4x32-10: random numbers that belong to an item, never to a thread.
 *
 * Counter-based (Salmon, Moraes, Dror, Shaw 2011, SC11, "Parallel random numbers: as easy as 1, 2,
 * 3"): no state, key = seed, counter = (purpose, epoch, position, draw). The same counter gives the
 * same numbers on every machine and at any thread count.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_RNG_H
#define PRESIZE_BASE_RNG_H

#include <stdint.h>

/* What a draw is for. Numbers are part of the recipe: append only. */
enum rng_purpose {
    RNG_INIT = 1,    /* initial weights: position = tensor number, draw = element / 4 */
    RNG_ORDER = 2,   /* order of an epoch */
    RNG_AUGMENT = 3, /* position = picture's place in the epoch */
    RNG_DROPOUT = 4, /* position = place in the epoch, draw = (layer << 24) + element / 4 */
    RNG_MIXUP = 5,   /* a picture's share: position = place in the epoch */
    RNG_BOOTSTRAP = 6,
    RNG_SHARD = 7, /* order of pictures inside shards (fixed seed 0) */
    RNG_SPLIT = 8,
    RNG_DEMO = 9, /* the procedural demo set */
    RNG_TEST = 10,
    RNG_MIXING = 11, /* partners and box of a batch: position = its first picture's place */
    RNG_DRAW = 12,   /* pictures drawn by weight: position = place in the epoch */
    RNG_PLANT = 13,  /* labels that are made wrong: position = rank */
    RNG_ERASE = 14,  /* a picture's erased rectangle: position = place in the epoch */
    RNG_POLICY = 15, /* a picture's operation of TrivialAugment: position = place in the epoch */
};

struct rng_counter {
    uint32_t purpose, epoch, position, draw;
};

/* Four uniform 32-bit words for one counter value. */
void rng_words(uint32_t out[4], uint64_t seed, struct rng_counter c);

/* A cursor over successive draws of one item, for code that draws a varying number of values. */
struct rng {
    uint64_t seed;
    struct rng_counter next; /* draw counts up */
    uint32_t words[4];
    int left;
};
struct rng rng_begin(uint64_t seed, enum rng_purpose purpose, uint32_t epoch, uint32_t position);
uint32_t rng_u32(struct rng *r);
double rng_uniform(struct rng *r, double low, double high); /* [low, high), 2^-32 steps */
uint32_t rng_below(struct rng *r, uint32_t n); /* [0, n), n > 0, unbiased (Lemire 2019) */
double rng_normal(struct rng *r);              /* N(0, 1), Box-Muller (1958), in double */

/* Fisher-Yates over 0..n-1 into out, by (seed, purpose, epoch). O(n). */
void rng_permutation(uint32_t *out, uint32_t n, uint64_t seed, enum rng_purpose purpose,
                     uint32_t epoch);

#endif
