/* decode_png.c - PNG through libspng; samples are converted here, as Pillow's convert("RGB") does.
 *
 * Grey of 1, 2 or 4 bits is scaled to 8; 16-bit grey alone is clipped at 255 (Pillow's mode I;16),
 * 16-bit colour keeps its high byte; alpha and tRNS are dropped; an index beyond the palette is
 * black. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <spng.h>

#include "image/codec.h"

enum { CHUNK_MAX = 64 << 20, CHUNKS_MAX = 128 << 20 };

static int spng_failed(struct err *err, int rc)
{
    if (rc == SPNG_EMEM)
        return err_set(err, ERR_NOMEM, "out of memory");
    if (rc == SPNG_IO_EOF || rc == SPNG_EIDAT_TOO_SHORT)
        return err_set(err, ERR_FORMAT, "the file ends too early (truncated)");
    return err_set(err, ERR_FORMAT, "%s", spng_strerror(rc));
}

static unsigned packed_sample(const uint8_t *row, size_t x, unsigned depth)
{
    const size_t bit = x * depth;

    return (unsigned)(row[bit / 8] >> (8 - depth - bit % 8)) & ((1u << depth) - 1);
}

static unsigned sample16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof v); /* SPNG_FMT_PNG gives host order */
    return v;
}

static void grey_row(uint8_t *out, const uint8_t *in, size_t width, unsigned depth, size_t channels)
{
    for (size_t x = 0; x < width; x++, out += 3) {
        unsigned v;

        if (depth == 16) {
            v = sample16(in + x * 2 * channels);
            v = channels > 1 ? v >> 8 : v > 255 ? 255 : v;
        } else if (depth == 8) {
            v = in[x * channels];
        } else {
            v = packed_sample(in, x, depth) * (255 / ((1u << depth) - 1));
        }
        out[0] = out[1] = out[2] = (uint8_t)v;
    }
}

static void palette_row(uint8_t *out, const uint8_t *in, size_t width, unsigned depth,
                        const struct spng_plte *plte)
{
    for (size_t x = 0; x < width; x++, out += 3) {
        const unsigned v = depth == 8 ? in[x] : packed_sample(in, x, depth);

        if (v < plte->n_entries) {
            out[0] = plte->entries[v].red;
            out[1] = plte->entries[v].green;
            out[2] = plte->entries[v].blue;
        } else {
            out[0] = out[1] = out[2] = 0;
        }
    }
}

static void colour_row(uint8_t *out, const uint8_t *in, size_t width, unsigned depth,
                       size_t channels)
{
    for (size_t x = 0; x < width; x++, out += 3)
        for (size_t c = 0; c < 3; c++)
            out[c] = depth == 16 ? (uint8_t)(sample16(in + (x * channels + c) * 2) >> 8)
                                 : in[x * channels + c];
}

static void convert(struct image *img, const uint8_t *raw, size_t pitch,
                    const struct spng_ihdr *ihdr, const struct spng_plte *plte)
{
    const size_t width = (size_t)img->width, height = (size_t)img->height;
    const unsigned depth = ihdr->bit_depth;

    for (size_t y = 0; y < height; y++) {
        const uint8_t *in = raw + y * pitch;
        uint8_t *out = img->pixels + y * width * 3;

        switch (ihdr->color_type) {
        case SPNG_COLOR_TYPE_GRAYSCALE:
            grey_row(out, in, width, depth, 1);
            break;
        case SPNG_COLOR_TYPE_GRAYSCALE_ALPHA:
            grey_row(out, in, width, depth, 2);
            break;
        case SPNG_COLOR_TYPE_INDEXED:
            palette_row(out, in, width, depth, plte);
            break;
        case SPNG_COLOR_TYPE_TRUECOLOR:
            colour_row(out, in, width, depth, 3);
            break;
        default:
            colour_row(out, in, width, depth, 4);
        }
    }
}

static int decode_with(spng_ctx *ctx, struct image *img, int *orientation, struct err *err)
{
    struct spng_ihdr ihdr;
    struct spng_plte plte = {0};
    struct spng_exif exif;
    uint8_t *raw;
    size_t bytes;
    int rc;

    rc = spng_get_ihdr(ctx, &ihdr);
    if (rc)
        return spng_failed(err, rc);
    if (image_reserve(img, ihdr.height, ihdr.width, err) < 0)
        return -1;
    if (ihdr.color_type == SPNG_COLOR_TYPE_INDEXED) {
        rc = spng_get_plte(ctx, &plte);
        if (rc)
            return spng_failed(err, rc);
    }
    rc = spng_decoded_image_size(ctx, SPNG_FMT_PNG, &bytes);
    if (rc)
        return spng_failed(err, rc);
    raw = malloc(bytes);
    if (!raw)
        return err_set(err, ERR_NOMEM, "out of memory: %zu bytes", bytes);
    rc = spng_decode_image(ctx, raw, bytes, SPNG_FMT_PNG, 0);
    if (rc == 0) {
        convert(img, raw, bytes / ihdr.height, &ihdr, &plte);
        if (ihdr.color_type == SPNG_COLOR_TYPE_GRAYSCALE && ihdr.bit_depth == 16)
            image_warn(img, "PNG: 16-bit grey, values above 255 are clipped (as Pillow does)");
        if (orientation && spng_get_exif(ctx, &exif) == 0)
            *orientation = exif_orientation((const uint8_t *)exif.data, exif.length);
    }
    free(raw);
    return rc ? spng_failed(err, rc) : 0;
}

static int png_decode(struct image *img, const uint8_t *bytes, size_t size, int *orientation,
                      struct err *err)
{
    spng_ctx *ctx = spng_ctx_new(0);
    int rc;

    if (!ctx)
        return err_set(err, ERR_NOMEM, "out of memory");
    /* A damaged ancillary chunk (text, colour profile) does not touch the pixels. */
    spng_set_crc_action(ctx, SPNG_CRC_ERROR, SPNG_CRC_DISCARD);
    spng_set_image_limits(ctx, IMAGE_SIDE_MAX, IMAGE_SIDE_MAX);
    spng_set_chunk_limits(ctx, CHUNK_MAX, CHUNKS_MAX);
    rc = spng_set_png_buffer(ctx, bytes, size);
    rc = rc ? spng_failed(err, rc) : decode_with(ctx, img, orientation, err);
    spng_ctx_free(ctx);
    return rc;
}

static bool png_matches(const uint8_t *bytes, size_t size)
{
    return size >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0;
}

static void png_version(char *out, size_t size)
{
    snprintf(out, size, "spng %s", spng_version_string());
}

const struct codec codec_png = {.format = IMAGE_PNG,
                                .name = "PNG",
                                .matches = png_matches,
                                .decode = png_decode,
                                .version = png_version};
