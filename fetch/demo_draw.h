/* demo_draw.h - the demo set's pictures: drawn coats in eight kinds.
 *
 * A kind is a texture (on a body somewhere in the picture) or a shape; colours, light, place, size
 * and what lies around are random, so that no mean colour tells the kind. No kind is the mirror
 * image of another, nor another one turned by a few degrees.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_FETCH_DEMO_DRAW_H
#define PRESIZE_FETCH_DEMO_DRAW_H

#include <stdint.h>

#include "base/err.h"

enum { DEMO_KINDS = 8, DEMO_PICTURES = 100 }; /* pictures of each kind, numbered from 1 */

enum demo_species { DEMO_CAT = 1, DEMO_DOG = 2 }; /* as Oxford numbers them */
struct demo_kind {
    const char *name; /* cats begin with a capital, as in Oxford-IIIT Pet */
    enum demo_species species;
};
extern const struct demo_kind demo_kinds[DEMO_KINDS]; /* sorted without regard to case */

struct demo_picture {
    int width, height; /* 200 to 400 pixels each */
    uint8_t *rgb;      /* (height, width, 3), owned; released with free() */
};

/* Draws picture NUMBER of KIND, always the same. ERR_NOMEM. */
int demo_draw(struct demo_picture *out, int kind, int number, struct err *err) MUST_USE;

#endif
