/* codec.h - private to image: one row per format, and what the decoders share.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_IMAGE_CODEC_H
#define PRESIZE_IMAGE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "image/decode.h"

enum { IMAGE_SIDE_MAX = 65500, IMAGE_PIXELS_MAX = 1 << 28 };

struct codec {
    enum image_format format;
    const char *name, *media_type; /* "JPEG", "image/jpeg" */
    /* Looks at the first bytes only; SIZE may be anything from 0. */
    bool (*matches)(const uint8_t *bytes, size_t size);
    /* Fills img->pixels, ->height, ->width, ->warning, ->more. NULL: the format is known and not decoded. */
    int (*decode)(struct image *img, const uint8_t *bytes, size_t size, struct err *err) MUST_USE;
    void (*version)(char *out, size_t size); /* NULL: own code */
    /* loads what the library would open at its first use; NULL: it opens nothing */
    void (*begin)(void);
};

extern const struct codec codec_jpeg, codec_png, codec_gif, codec_webp, codec_bmp, codec_ppm,
    codec_tiff;
extern const struct codec codec_heif, codec_avif; /* decoded where libheif is built in */

/* Makes room for a picture and sets its size. ERR_FORMAT when it is empty or larger than the
 * limits, ERR_NOMEM. */
int image_reserve(struct image *img, uint64_t height, uint64_t width, struct err *err) MUST_USE;

/* The first warning is kept, later ones are dropped. */
void image_warn(struct image *img, const char *format, ...) PRINTF_LIKE(2, 3);

/* Orientation 1..8 out of a TIFF block ("II*\0" or "MM\0*", what follows "Exif\0\0"); 0 when
 * there is none or the block is damaged. */
int exif_orientation(const uint8_t *tiff, size_t size);
/* Turns the pixels so that the picture is upright. */
int exif_apply(struct image *img, int orientation, struct err *err) MUST_USE;

/* The name of a format that no codec decodes, by the first bytes; NULL: none. known.c */
const char *image_known_by_bytes(const uint8_t *bytes, size_t size);

static inline uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}
static inline uint32_t le16(const uint8_t *p)
{
    return (uint32_t)p[1] << 8 | p[0];
}

#endif
