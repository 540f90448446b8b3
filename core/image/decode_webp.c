/* decode_webp.c - WebP pictures, through libwebp; of an animation the first frame on its canvas, as Pillow takes it.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "image/codec.h"

/* The canvas after the first frame; what the frame leaves free is black, alpha is dropped. */
static int decode_first(struct image *img, const uint8_t *bytes, size_t size, struct err *err)
{
    const WebPData data = {bytes, size};
    WebPAnimDecoderOptions options;
    WebPAnimDecoder *decoder = NULL;
    WebPAnimInfo info;
    uint8_t *canvas = NULL;
    int time, rc = -1;

    if (WebPAnimDecoderOptionsInit(&options)) {
        options.color_mode = MODE_RGBA;
        decoder = WebPAnimDecoderNew(&data, &options);
    }
    if (!decoder || !WebPAnimDecoderGetInfo(decoder, &info)) {
        err_set(err, ERR_FORMAT, "damaged or truncated animation");
        goto out;
    }
    if (image_reserve(img, info.canvas_height, info.canvas_width, err) < 0)
        goto out;
    if (!WebPAnimDecoderGetNext(decoder, &canvas, &time)) {
        err_set(err, ERR_FORMAT, "damaged or truncated animation");
        goto out;
    }
    for (size_t i = 0; i < (size_t)img->height * (size_t)img->width; i++)
        memcpy(img->pixels + 3 * i, canvas + 4 * i, 3);
    img->more = info.frame_count > 1;
    rc = 0;
out:
    WebPAnimDecoderDelete(decoder);
    return rc;
}

static int webp_decode(struct image *img, const uint8_t *bytes, size_t size, struct err *err)
{
    WebPBitstreamFeatures features;
    VP8StatusCode status = WebPGetFeatures(bytes, size, &features);
    size_t pitch;

    if (status == VP8_STATUS_NOT_ENOUGH_DATA)
        return err_set(err, ERR_FORMAT, "the file ends too early (truncated)");
    if (status != VP8_STATUS_OK)
        return err_set(err, ERR_FORMAT, "damaged");
    img->alpha = features.has_alpha;
    if (features.has_animation)
        return decode_first(img, bytes, size, err);
    if (features.width <= 0 || features.height <= 0)
        return err_set(err, ERR_FORMAT, "empty picture");
    if (image_reserve(img, (uint64_t)features.height, (uint64_t)features.width, err) < 0)
        return -1;
    pitch = (size_t)img->width * 3;
    if (!WebPDecodeRGBInto(bytes, size, img->pixels, pitch * (size_t)img->height, (int)pitch))
        return err_set(err, ERR_FORMAT, "damaged or truncated");
    return 0;
}

static bool webp_matches(const uint8_t *bytes, size_t size)
{
    return size >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0;
}

static void webp_version(char *out, size_t size)
{
    const int v = WebPGetDecoderVersion();

    snprintf(out, size, "libwebp %d.%d.%d", v >> 16, v >> 8 & 255, v & 255);
}

const struct codec codec_webp = {.format = IMAGE_WEBP,
                                 .name = "WebP",
                                 .media_type = "image/webp",
                                 .matches = webp_matches,
                                 .decode = webp_decode,
                                 .version = webp_version};
