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

enum { CHUNK_MAX = 64 << 20, CHUNKS_MAX = 128 << 20, HEAD = 4096 };

static int spng_failed(struct err *err, int rc)
{
    if (rc == SPNG_EMEM)
        return err_set(err, ERR_NOMEM, "out of memory");
    if (rc == SPNG_IO_EOF || rc == SPNG_EIDAT_TOO_SHORT)
        return err_set(err, ERR_FORMAT, "the file ends too early (truncated)");
    return err_set(err, ERR_FORMAT, "%s", spng_strerror(rc));
}

/* 16-bit grey, host order, to RGB. */
static void clip_grey(uint8_t *out, const uint16_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        memset(out + 3 * i, in[i] > 255 ? 255 : in[i], 3);
}

static int decode_grey16(spng_ctx *ctx, struct image *img, struct err *err)
{
    const size_t n = (size_t)img->height * (size_t)img->width;
    uint16_t *raw = malloc(n * sizeof *raw);
    int rc;

    if (!raw)
        return err_set(err, ERR_NOMEM, "out of memory: %zu bytes", n * sizeof *raw);
    rc = spng_decode_image(ctx, raw, n * sizeof *raw, SPNG_FMT_PNG, 0);
    if (rc == 0) {
        clip_grey(img->pixels, raw, n);
        image_warn(img, "PNG: 16-bit grey, values above 255 are clipped (as Pillow does)");
    }
    free(raw);
    return rc ? spng_failed(err, rc) : 0;
}

static int decode_with(spng_ctx *ctx, struct image *img, struct err *err)
{
    struct spng_ihdr ihdr;
    int rc;

    rc = spng_get_ihdr(ctx, &ihdr);
    if (rc)
        return spng_failed(err, rc);
    if (image_reserve(img, ihdr.height, ihdr.width, err) < 0)
        return -1;
    img->alpha = ihdr.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA ||
                 ihdr.color_type == SPNG_COLOR_TYPE_TRUECOLOR_ALPHA;
    if (ihdr.color_type == SPNG_COLOR_TYPE_GRAYSCALE && ihdr.bit_depth == 16) {
        if (decode_grey16(ctx, img, err) < 0)
            return -1;
    } else {
        const size_t bytes = (size_t)ihdr.height * ihdr.width * 3;

        /* Not SPNG_FMT_PNG: spng 0.7.3 gets interlaced pictures of less than 8 bits wrong there. */
        rc = spng_decode_image(ctx, img->pixels, bytes, SPNG_FMT_RGB8, 0);
        if (rc)
            return spng_failed(err, rc);
    }
    return 0;
}

static int png_decode(struct image *img, const uint8_t *bytes, size_t size, struct err *err)
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
    rc = rc ? spng_failed(err, rc) : decode_with(ctx, img, err);
    /* an animated PNG has this chunk in front of its pixels */
    img->more = rc == 0 && memmem(bytes, size < HEAD ? size : HEAD, "acTL", 4) != NULL;
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
                                .media_type = "image/png",
                                .matches = png_matches,
                                .decode = png_decode,
                                .version = png_version};
