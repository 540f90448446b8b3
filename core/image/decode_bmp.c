/* decode_bmp.c - Windows and OS/2 bitmaps: 1, 4, 8, 16, 24 and 32 bits, bit fields, run lengths.
 *
 * As Pillow: alpha is dropped, a sample of fewer than 8 bits is scaled by 255 / most, rounded down. An embedded JPEG or
 * PNG is refused by name. SPDX-License-Identifier: MIT */
#include <string.h>

#include "image/codec.h"

enum { FILE_HEADER = 14, CORE_HEADER = 12, INFO_HEADER = 40, PALETTE_MAX = 256 };
enum { RAW = 0, RLE8 = 1, RLE4 = 2, BIT_FIELDS = 3, ALPHA_BIT_FIELDS = 6 };

struct bmp {
    /* palette: blue, green, red, and of all but OS/2's an unused byte */
    const uint8_t *data, *palette;
    size_t data_size, pitch, n_palette, entry;
    uint32_t mask[3]; /* of red, green, blue, where depth is 16 or 32 */
    unsigned depth, compression;
    bool top_down;
};

static int too_short(struct err *err)
{
    return err_set(err, ERR_FORMAT, "the file ends too early (truncated)");
}

/* Masks of the colours: in the header, behind it, or those that go without saying. */
static int read_masks(struct bmp *b, const uint8_t *bytes, size_t size, struct err *err)
{
    static const uint32_t preset[2][3] = {{0x7c00, 0x3e0, 0x1f}, {0xff0000, 0xff00, 0xff}};

    memcpy(b->mask, preset[b->depth == 32], sizeof b->mask);
    if (b->compression != BIT_FIELDS && b->compression != ALPHA_BIT_FIELDS)
        return 0;
    if (size < FILE_HEADER + INFO_HEADER + 12)
        return too_short(err);
    for (size_t i = 0; i < 3;
         i++) /* a larger header has them where they would follow a small one */
        b->mask[i] = le32(bytes + FILE_HEADER + INFO_HEADER + 4 * i);
    if (!b->mask[0] && !b->mask[1] && !b->mask[2])
        memcpy(b->mask, preset[b->depth == 32], sizeof b->mask);
    for (size_t i = 0; i < 3; i++)
        if (!b->mask[i])
            return err_set(err, ERR_FORMAT, "bit fields without a colour are not understood");
    return 0;
}

static int check_depth(const struct bmp *b, struct err *err)
{
    switch (b->compression) {
    case RAW:
        if (b->depth == 1 || b->depth == 4 || b->depth == 8 || b->depth == 16 || b->depth == 24 ||
            b->depth == 32)
            return 0;
        return err_set(err, ERR_FORMAT, "%u bits a pixel are not understood", b->depth);
    case RLE8:
    case RLE4:
        if (b->depth == (b->compression == RLE8 ? 8 : 4) && !b->top_down)
            return 0;
        break;
    case BIT_FIELDS:
    case ALPHA_BIT_FIELDS:
        if (b->depth == 16 || b->depth == 32)
            return 0;
        break;
    default:
        break;
    }
    return err_set(err, ERR_FORMAT, "compressed bitmap (kind %u, %u bits) is not understood",
                   b->compression, b->depth);
}

static int read_palette(struct bmp *b, const uint8_t *bytes, size_t size, size_t info, size_t given,
                        struct err *err)
{
    b->entry = info == CORE_HEADER ? 3 : 4;
    b->palette = bytes + FILE_HEADER + info;
    b->n_palette = 0;
    if (b->depth > 8)
        return 0;
    b->n_palette = given ? given : (size_t)1 << b->depth;
    if (b->n_palette > PALETTE_MAX || b->n_palette > (size - FILE_HEADER - info) / b->entry)
        return err_set(err, ERR_FORMAT, "a palette of %zu colours is not understood", b->n_palette);
    return 0;
}

static int read_header(struct bmp *b, struct image *img, const uint8_t *bytes, size_t size,
                       struct err *err)
{
    size_t info, offset;
    int64_t width, height;
    bool core;

    if (size < FILE_HEADER + CORE_HEADER)
        return too_short(err);
    offset = le32(bytes + 10);
    info = le32(bytes + 14);
    core = info == CORE_HEADER;
    if (!core && size < FILE_HEADER + INFO_HEADER)
        return too_short(err);
    if ((!core && info < INFO_HEADER) || info > size - FILE_HEADER)
        return err_set(err, ERR_FORMAT, "a header of %zu bytes is not understood", info);
    width = core ? (int64_t)le16(bytes + 18) : (int32_t)le32(bytes + 18);
    height = core ? (int64_t)le16(bytes + 20) : (int32_t)le32(bytes + 22);
    b->depth = le16(bytes + (core ? 24 : 28));
    b->compression = core ? RAW : le32(bytes + 30);
    b->top_down = height < 0;
    height = height < 0 ? -height : height;
    if (check_depth(b, err) < 0)
        return -1;
    if (width <= 0)
        return err_set(err, ERR_FORMAT, "width %jd", (intmax_t)width);
    if (image_reserve(img, (uint64_t)height, (uint64_t)width, err) < 0)
        return -1;
    if (offset > size)
        return too_short(err);
    b->pitch = ((size_t)width * b->depth + 31) / 32 * 4;
    b->data = bytes + offset;
    b->data_size = size - offset;
    if (b->compression != RLE8 && b->compression != RLE4 &&
        b->pitch * (size_t)height > b->data_size)
        return too_short(err);
    if (b->depth == 16 || b->depth == 32)
        return read_masks(b, bytes, size, err);
    return read_palette(b, bytes, size, info, core ? 0 : le32(bytes + 46), err);
}

static void put_index(uint8_t *out, const struct bmp *b, size_t index)
{
    static const uint8_t black[3];
    const uint8_t *p = index < b->n_palette ? b->palette + b->entry * index : black;

    out[0] = p[2];
    out[1] = p[1];
    out[2] = p[0];
}

static uint8_t field(uint32_t value, uint32_t mask)
{
    const unsigned shift = (unsigned)__builtin_ctz(mask);
    const uint32_t most = mask >> shift;

    return (uint8_t)((uint64_t)((value & mask) >> shift) * 255 / most);
}

static void put_pixel(uint8_t *out, const struct bmp *b, const uint8_t *row, size_t x)
{
    if (b->depth == 24) {
        out[0] = row[3 * x + 2];
        out[1] = row[3 * x + 1];
        out[2] = row[3 * x];
    } else if (b->depth > 8) {
        const uint32_t v = b->depth == 16 ? le16(row + 2 * x) : le32(row + 4 * x);

        for (size_t c = 0; c < 3; c++)
            out[c] = field(v, b->mask[c]);
    } else {
        const size_t bit = x * b->depth;

        put_index(out, b,
                  (size_t)(row[bit / 8] >> (8 - b->depth - bit % 8)) & ((1u << b->depth) - 1));
    }
}

struct pen { /* where the next pixel of a run goes, from the lower left corner */
    struct image *img;
    const struct bmp *b;
    size_t x, y;
};

static void draw(struct pen *p, unsigned index)
{
    const size_t w = (size_t)p->img->width, h = (size_t)p->img->height;

    if (p->x < w && p->y < h)
        put_index(p->img->pixels + ((h - 1 - p->y) * w + p->x) * 3, p->b, index);
    p->x++;
}

/* Pixel I of a run: of 8 bits a byte each, of 4 bits the high half first. */
static unsigned run_index(const struct bmp *b, const uint8_t *data, size_t i, bool repeated)
{
    if (b->depth == 8)
        return data[repeated ? 0 : i];
    return (i & 1 ? data[repeated ? 0 : i / 2] : data[repeated ? 0 : i / 2] >> 4) & 15;
}

/* Pairs of bytes: N and what is drawn N times; after 0: 0 end of line, 1 end, 2 move, else N as they are. */
static int decode_runs(struct image *img, const struct bmp *b, struct err *err)
{
    struct pen pen = {img, b, 0, 0};
    const uint8_t *p = b->data, *end = p + b->data_size;
    const size_t pixels = (size_t)img->width * (size_t)img->height;

    for (size_t i = 0; i < pixels; i++)
        put_index(img->pixels + 3 * i, b, 0);
    while (pen.y < (size_t)img->height) {
        size_t n, bytes;

        if (end - p < 2)
            return too_short(err);
        n = p[0] ? p[0] : p[1];
        p += 2;
        if (p[-2] > 0) {
            for (size_t i = 0; i < n; i++)
                draw(&pen, run_index(b, p - 1, i, true));
        } else if (n == 0) {
            pen.x = 0;
            pen.y++;
        } else if (n == 1) {
            return 0;
        } else if (n == 2) {
            if (end - p < 2)
                return too_short(err);
            pen.x += p[0];
            pen.y += p[1];
            p += 2;
        } else {
            bytes = b->depth == 8 ? n : (n + 1) / 2;
            if ((size_t)(end - p) < bytes)
                return too_short(err);
            for (size_t i = 0; i < n; i++)
                draw(&pen, run_index(b, p, i, false));
            bytes += bytes & 1;
            p += (size_t)(end - p) < bytes ? (size_t)(end - p) : bytes;
        }
    }
    return 0;
}

static int bmp_decode(struct image *img, const uint8_t *bytes, size_t size, struct err *err)
{
    struct bmp b = {0};

    if (read_header(&b, img, bytes, size, err) < 0)
        return -1;
    if (b.compression == RLE8 || b.compression == RLE4)
        return decode_runs(img, &b, err);
    for (size_t y = 0; y < (size_t)img->height; y++) {
        const uint8_t *row = b.data + (b.top_down ? y : (size_t)img->height - 1 - y) * b.pitch;
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

const struct codec codec_bmp = {.format = IMAGE_BMP,
                                .name = "BMP",
                                .media_type = "image/bmp",
                                .matches = bmp_matches,
                                .decode = bmp_decode};
