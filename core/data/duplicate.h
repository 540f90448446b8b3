/* duplicate.h - pictures that are there twice: the same bytes, or nearly the same picture.
 *
 * Near duplicates are found by a difference hash of 256 bits (16 x 16 comparisons of neighbouring cells of a grid of
 * mean brightness) of the picture and of its mirror image. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_DUPLICATE_H
#define PRESIZE_DATA_DUPLICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Two pictures are near duplicates when at most this many of the 256 bits differ. Measured on 695 pictures of
 * Oxford-IIIT Pet at 460 px: docs/architecture.md, "Duplicates". At most 15: see duplicate.c. */
enum { DUPLICATE_DISTANCE = 15, DUPLICATE_GROUP_MAX = 32 };

struct picture_hash {
    uint64_t bits[2][4]; /* as it is; mirrored */
    bool flat;           /* nearly constant: says nothing about the picture */
};

/* Of PIXELS (height, width, 3), uint8 RGB. The same on every machine. */
void picture_hash(struct picture_hash *out, const uint8_t *pixels, int height, int width);
/* Bits in which A differs from B, or from B's mirror image where that is nearer. */
unsigned picture_distance(const struct picture_hash *a, const struct picture_hash *b);

struct duplicate_item { /* what is known of a picture */
    struct picture_hash hash;
    uint64_t size;   /* bytes of its file */
    uint32_t crc32c; /* of these bytes */
    bool left_out;   /* it has no part in this */
};

/* Groups of duplicates among N pictures. EXACT[i], NEAR[i] (n each): the first picture of i's group, i itself when
 * it is alone or first. Exact groups lie within near ones. SAME tells whether two files have the same bytes (1, 0, -1
 * with ERR), and is asked only where size and CRC agree. A near duplicate that would make a group larger than
 * DUPLICATE_GROUP_MAX stays out of it. ERR_NOMEM, and what SAME gives. */
int duplicate_find(uint32_t *exact, uint32_t *near, const struct duplicate_item *items, uint32_t n,
                   int (*same)(void *ctx, uint32_t a, uint32_t b, struct err *err), void *ctx,
                   struct err *err) MUST_USE;

#endif
