/* decode.h - a picture file's bytes to RGB pixels, bit for bit as Pillow 13 converts them.
 *
 * The format is sniffed by magic bytes, never by name: JPEG, PNG, GIF (first frame), WebP, and BMP
 * / PPM where cheap. Alpha is dropped, palette, grey, 16-bit and CMYK converted as Pillow's
 * convert("RGB") does, EXIF orientation ignored unless asked for. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_IMAGE_DECODE_H
#define PRESIZE_IMAGE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum image_format {
    IMAGE_UNKNOWN,
    IMAGE_JPEG,
    IMAGE_PNG,
    IMAGE_GIF,
    IMAGE_WEBP,
    IMAGE_BMP,
    IMAGE_PPM
};

struct image {
    uint8_t *pixels;   /* (height, width, 3) RGB dense; owned; released by image_free */
    int height, width; /* > 0, at most 65500 each and 2^28 pixels together */
    enum image_format format;
    size_t capacity;   /* bytes behind pixels */
    char warning[200]; /* decoder's first warning, "" when there was none */
};

enum image_format image_sniff(const uint8_t *bytes, size_t size); /* 16 bytes are enough */
const char *image_format_name(enum image_format f);               /* "JPEG", ... */
/* 1 when the file begins like a known format, 0 when not, -1 when it cannot be read. */
int image_is_picture(const char *path);

/* Decodes SIZE bytes. ERR_FORMAT says what is wrong with the data ("JPEG ends too early"),
 * ERR_NOMEM. Reuses img->pixels when it is large enough (->capacity bytes); start from all zero. */
int image_decode(struct image *img, const uint8_t *bytes, size_t size, bool apply_exif,
                 struct err *err) MUST_USE;
void image_free(struct image *img);
const char *image_decoder_version(void); /* "libjpeg-turbo 2.1.5, spng 0.7.3, ..." */

#endif
