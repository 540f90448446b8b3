/* thumb.h - small pictures from shards, for pages.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DRAW_THUMB_H
#define PRESIZE_DRAW_THUMB_H

#include <jansson.h>

#include "data/shard.h"

enum { THUMB_SIDE = 160, THUMB_QUALITY = 76 }; /* px of the longer side; some 5 KB */
enum { PICTURE_QUALITY = 90 };                 /* of a picture that fills the screen */

/* Adds to PICTURE (an object) the picture PATH of SHARDS as "w" and "h" (px) and "jpeg" (base64). Adds nothing where
 * SHARDS is NULL, has no such picture, or it is damaged (a warning says so). ERR_NOMEM. */
int thumb_add(json_t *picture, const struct shard_set *shards, const char *path,
              struct err *err) MUST_USE;

/* As thumb_add(), of HEIGHT x WIDTH pixels (h, w, 3) that are in memory. */
int thumb_of(json_t *picture, const uint8_t *pixels, int height, int width,
             struct err *err) MUST_USE;

/* MEMBER of OBJECT becomes JPEG, SIZE bytes, in base64. ERR_NOMEM. */
int thumb_set(json_t *object, const char *member, const uint8_t *jpeg, size_t size,
              struct err *err) MUST_USE;

/* The picture of RANK as JPEG, its longer side at most SIDE px, never enlarged. *jpeg: SIZE bytes, owned by the caller.
 * ERR_IO, ERR_FORMAT, ERR_NOMEM. */
int thumb_jpeg(uint8_t **jpeg, size_t *size, const struct shard_set *shards, uint32_t rank,
               uint32_t side, struct err *err) MUST_USE;

/* The picture of an object by thumb_add() as an <img>; a word where it has none. ALT is what is told who cannot see
 * it. */
void thumb_put(FILE *out, const json_t *picture, const char *alt);

#endif
