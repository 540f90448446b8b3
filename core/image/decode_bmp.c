/* decode_bmp.c - uncompressed Windows bitmaps of 1, 4, 8, 24 and 32 bits (BITMAPINFOHEADER and
 * later).
 *
 * Other forms (run-length, bit fields, OS/2 1.x, embedded JPEG) are refused by name.
 * SPDX-License-Identifier: MIT */
#include "image/codec.h"

enum { FILE_HEADER = 14, INFO_HEADER = 40, PALETTE_MAX = 256 };

struct bmp {
    const uint8_t *pixels, *palette; /* palette: blue, green, red, unused */
    size_t pitch, n_palette;
    unsigned depth;
    bool top_down;
};

static int read_header(struct bmp *b, struct image *img, const uint8_t *bytes, size_t size,
                       struct err *err)
{
    size_t info, offset;
    uint32_t compression;
    int64_t width, height;

    if (size < FILE_HEADER + INFO_HEADER)
        return err_set(err, ERR_FORMAT, "the file ends too early (truncated)");
    offset = le32(bytes + 10);
    info = le32(bytes + 14);
    width = (int32_t)le32(bytes + 18);
    height = (int32_t)le32(bytes + 22);
    b->depth = le16(bytes + 28);
    compression = le32(bytes + 30);
    if (info < INFO_HEADER || info > size - FILE_HEADER)
        return err_set(err, ERR_FORMAT, "a header of %zu bytes is not understood", info);
    if (compression != 0)
        return err_set(err, ERR_FORMAT, "compressed bitmap (kind %u) is not understood",
                       compression);
    if (b->depth != 1 && b->depth != 4 && b->depth != 8 && b->depth != 24 && b->depth != 32)
        return err_set(err, ERR_FORMAT, "%u bits a pixel are not understood", b->depth);
    b->top_down = height < 0;
    height = height < 0 ? -height : height;
    if (width <= 0)
        return err_set(err, ERR_FORMAT, "width %jd", (intmax_t)width);
    if (image_reserve(img, (uint64_t)height, (uint64_t)width, err) < 0)
        return -1;
    b->pitch = ((size_t)width * b->depth + 31) / 32 * 4;
    if (offset > size || b->pitch * (size_t)height > size - offset)
        return err_set(err, ERR_FORMAT, "the file ends too early (truncated)");
    b->pixels = bytes + offset;
    b->palette = bytes + FILE_HEADER + info;
    b->n_palette = 0;
    if (b->depth <= 8) {
        const size_t room = (size - FILE_HEADER - info) / 4, given = le32(bytes + 46);

        b->n_palette = given ? given : (size_t)1 << b->depth;
        if (b->n_palette > PALETTE_MAX || b->n_palette > room)
            return err_set(err, ERR_FORMAT, "a palette of %zu colours is not understood",
                           b->n_palette);
    }
    return 0;
}

static void put_pixel(uint8_t *out, const struct bmp *b, const uint8_t *row, size_t x)
{
    static const uint8_t black[3];
    const uint8_t *p;
    size_t index;

    if (b->depth > 8) {
        p = row + x * (b->depth / 8);
    } else {
        const size_t bit = x * b->depth;

        index = (size_t)(row[bit / 8] >> (8 - b->depth - bit % 8)) & ((1u << b->depth) - 1);
        p = index < b->n_palette ? b->palette + 4 * index : black;
    }
    out[0] = p[2];
    out[1] = p[1];
    out[2] = p[0];
}

static int bmp_decode(struct image *img, const uint8_t *bytes, size_t size, int *orientation,
                      struct err *err)
{
    struct bmp b = {0};

    (void)orientation;
    if (read_header(&b, img, bytes, size, err) < 0)
        return -1;
    for (size_t y = 0; y < (size_t)img->height; y++) {
        const uint8_t *row = b.pixels + (b.top_down ? y : (size_t)img->height - 1 - y) * b.pitch;
        uint8_t *out = img->pixels + y * (size_t)img->width * 3;

        for (size_t x = 0; x < (size_t)img->width; x++)
            put_pixel(out + 3 * x, &b, row, x);
    }
    return 0;
}

/* "BM" alone is too weak a mark; the second header's size is one of a few. */
static bool bmp_matches(const uint8_t *bytes, size_t size)
{
    static const uint8_t sizes[] = {12, 40, 52, 56, 64, 108, 124};

    if (size < 16 || bytes[0] != 'B' || bytes[1] != 'M' || bytes[15] != 0)
        return false;
    for (size_t i = 0; i < sizeof sizes; i++)
        if (bytes[14] == sizes[i])
            return true;
    return false;
}

const struct codec codec_bmp = {
    .format = IMAGE_BMP, .name = "BMP", .matches = bmp_matches, .decode = bmp_decode};
