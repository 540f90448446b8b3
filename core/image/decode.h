/* decode.h - a picture file's bytes to RGB pixels, bit for bit as Pillow 13 converts them.
 *
 * The format is sniffed by magic bytes, never by name: JPEG, PNG, GIF, WebP and TIFF (the first picture of each),
 * BMP, PPM; HEIC and AVIF where the build has libheif. Alpha is dropped, palette, grey, 16-bit and CMYK converted as
 * Pillow's convert("RGB") does, EXIF orientation ignored unless asked for. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_IMAGE_DECODE_H
#define PRESIZE_IMAGE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum image_format {
    IMAGE_UNKNOWN,
    IMAGE_JPEG,
    IMAGE_PNG,
    IMAGE_GIF,
    IMAGE_WEBP,
    IMAGE_BMP,
    IMAGE_PPM,
    IMAGE_TIFF,
    IMAGE_HEIF,
    IMAGE_AVIF,
    IMAGE_FORMATS
};

struct image {
    uint8_t *pixels;   /* (height, width, 3) RGB dense; owned; released by image_free */
    int height, width; /* > 0, at most 65500 each and 2^28 pixels together */
    enum image_format format;
    size_t capacity;   /* bytes behind pixels */
    int orientation;   /* 2..8: EXIF or XMP asks to turn the picture; 1: nothing does */
    bool more;         /* the file has further pictures: an animation, pages */
    bool alpha;        /* it has transparency, or room for it, which was dropped */
    char warning[200]; /* decoder's first warning, "" when there was none */
};

enum { IMAGE_SNIFF_BYTES = 64 };
enum image_format image_sniff(const uint8_t *bytes, size_t size); /* IMAGE_SNIFF_BYTES are enough */
const char *image_format_name(enum image_format f);               /* "JPEG", ... */
/* "image/jpeg", ...; NULL: none of the formats. */
const char *image_media_type(enum image_format f);
/* What the ending of PATH says that the file is, of all common picture formats, also those that are not decoded:
 * "TGA"; NULL: nothing. */
const char *image_known_by_name(const char *path);
/* 1..8: how EXIF, else XMP, of the file's bytes says that the picture is to be turned; 1: not, or nothing. */
int image_orientation(const uint8_t *bytes, size_t size);
/* 1 when the file is a picture by its first bytes or by its ending, whether or not it can be decoded; 0 when not; -1
 * when it cannot be read. FORMAT (may be NULL) is what would decode it. Never waits: a pipe is no picture. */
int image_is_picture(const char *path, enum image_format *format);
/* The name of the format of such a file ("JPEG", "JPEG XL", ...), also of one that is not decoded; NULL: no picture. */
const char *image_kind_of_file(const char *path);

/* Decodes SIZE bytes. ERR_FORMAT says what is wrong with the data ("JPEG ends too early"),
 * ERR_NOMEM. Reuses img->pixels when it is large enough (->capacity bytes); start from all zero. */
int image_decode(struct image *img, const uint8_t *bytes, size_t size, bool apply_exif,
                 struct err *err) MUST_USE;
void image_free(struct image *img);
/* Decodes a JPEG of SIZE bytes into PIXELS (HEIGHT, WIDTH, 3), RGB dense, the caller's, by the settings of
 * image_decode(). ERR_FORMAT: a JPEG of another size, or anything that the decoder complains about: the writer's own
 * files give no warnings. PIXELS are then undefined, and nothing beyond them was written. ERR_NOMEM. Any thread. */
int image_decode_jpeg(uint8_t *pixels, uint32_t height, uint32_t width, const uint8_t *bytes,
                      size_t size, struct err *err) MUST_USE;
const char *image_jpeg_version(void); /* "libjpeg-turbo 2.1.5"; borrowed for good */
/* Loads what decoders would open at their first use: for threads that may open nothing. Once, before they start. */
void image_begin(void);
/* "libjpeg-turbo 2.1.5, spng 0.7.3, ...": the libraries of JPEG, PNG, GIF and WebP, and of the further formats whose
 * bits (1 << enum image_format) are in FORMATS. Borrowed until the thread's next call. */
const char *image_decoder_version(unsigned formats);
void image_libraries(FILE *file); /* for base/version.h */

#endif
