/* encode_jpeg.h - a picture as JPEG in memory, for pages and shards.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_IMAGE_ENCODE_JPEG_H
#define PRESIZE_IMAGE_ENCODE_JPEG_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum jpeg_colour {
    JPEG_420, /* colour at half the resolution: smaller, for the eye */
    JPEG_444  /* at the whole one: for pixels that are decoded and used */
};

/* PIXELS (height, width, 3), uint8, RGB, dense, sides from 1 to 65500; QUALITY from 1 to 100. *out: SIZE bytes, a
 * baseline JPEG with Huffman tables made for it, owned by the caller, released with free(). The same pixels give the
 * same bytes with one version of the library. ERR_NOMEM, ERR_INPUT (a side out of range). */
int encode_jpeg(uint8_t **out, size_t *size, const uint8_t *pixels, int height, int width,
                int quality, enum jpeg_colour colour, struct err *err) MUST_USE;

#endif
