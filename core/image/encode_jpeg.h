/* encode_jpeg.h - a picture as JPEG in memory, for pages.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_IMAGE_ENCODE_JPEG_H
#define PRESIZE_IMAGE_ENCODE_JPEG_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* PIXELS (height, width, 3), uint8, RGB, dense, sides from 1 to 65500; QUALITY from 1 to 100. *out: SIZE bytes, owned
 * by the caller, released with free(). ERR_NOMEM, ERR_INPUT (a side out of range). */
int encode_jpeg(uint8_t **out, size_t *size, const uint8_t *pixels, int height, int width,
                int quality, struct err *err) MUST_USE;

#endif
