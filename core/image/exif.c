/* exif.c - the one EXIF field that matters for pixels: orientation (Exif 2.32, tag 0x0112).
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "image/codec.h"

enum { TAG_ORIENTATION = 0x0112, ENTRY_BYTES = 12 };

static uint32_t get16(const uint8_t *p, bool little)
{
    return little ? le16(p) : (uint32_t)p[0] << 8 | p[1];
}

/* The integer of TYPE at P, as cameras and programs write it: BYTE, SHORT, LONG, signed or not; 0: another type. */
static uint32_t get_integer(const uint8_t *p, uint32_t type, bool little)
{
    switch (type) {
    case 1:
    case 6:
        return p[0];
    case 3:
    case 8:
        return get16(p, little);
    case 4:
    case 9:
        return little ? le32(p) : be32(p);
    default:
        return 0;
    }
}

int exif_orientation(const uint8_t *tiff, size_t size)
{
    bool little;
    size_t at, n;

    if (size < 14)
        return 0;
    if (memcmp(tiff, "II*\0", 4) == 0)
        little = true;
    else if (memcmp(tiff, "MM\0*", 4) == 0)
        little = false;
    else
        return 0;
    at = little ? le32(tiff + 4) : be32(tiff + 4);
    if (at > size - 2)
        return 0;
    n = get16(tiff + at, little);
    at += 2;
    for (; n > 0 && size - at >= ENTRY_BYTES; n--, at += ENTRY_BYTES) {
        uint32_t value;

        if (get16(tiff + at, little) != TAG_ORIENTATION)
            continue;
        value = get_integer(tiff + at + 8, get16(tiff + at + 2, little), little);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 0;
}

int exif_apply(struct image *img, int orientation, struct err *err)
{
    const size_t h = (size_t)img->height, w = (size_t)img->width;
    const bool swap = orientation >= 5;
    const size_t out_h = swap ? w : h, out_w = swap ? h : w;
    const bool flip_x =
        orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    const bool flip_y =
        orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    uint8_t *turned;

    /* Output (y, x) comes from (y, x), transposed where the axes swap, then flipped as above. */
    turned = malloc(h * w * 3);
    if (!turned)
        return err_set(err, ERR_NOMEM, "out of memory: %zu bytes of pixels", h * w * 3);
    for (size_t y = 0; y < out_h; y++) {
        for (size_t x = 0; x < out_w; x++) {
            size_t sy = swap ? x : y, sx = swap ? y : x;

            sy = flip_y ? h - 1 - sy : sy;
            sx = flip_x ? w - 1 - sx : sx;
            memcpy(turned + (y * out_w + x) * 3, img->pixels + (sy * w + sx) * 3, 3);
        }
    }
    free(img->pixels);
    img->pixels = turned;
    img->capacity = h * w * 3;
    img->height = (int)out_h;
    img->width = (int)out_w;
    return 0;
}
