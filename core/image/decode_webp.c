/* decode_webp.c - still WebP pictures, through libwebp.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include <webp/decode.h>

#include "image/codec.h"

/* RIFF container: 12 bytes of header, then chunks of 4 bytes name, 4 bytes size, even payload. */
static void find_orientation(const uint8_t *bytes, size_t size, int *orientation)
{
    size_t at = 12;

    while (size - at >= 8 && at <= size) {
        const size_t length = le32(bytes + at + 4), left = size - at - 8;
        const uint8_t *data = bytes + at + 8;

        if (length > left)
            return;
        if (memcmp(bytes + at, "EXIF", 4) == 0) {
            const size_t skip = length > 6 && memcmp(data, "Exif\0", 6) == 0 ? 6 : 0;

            *orientation = exif_orientation(data + skip, length - skip);
            return;
        }
        if (length + (length & 1) > left)
            return;
        at += 8 + length + (length & 1);
    }
}

static int webp_decode(struct image *img, const uint8_t *bytes, size_t size, int *orientation,
                       struct err *err)
{
    WebPBitstreamFeatures features;
    VP8StatusCode status = WebPGetFeatures(bytes, size, &features);
    size_t pitch;

    if (status == VP8_STATUS_NOT_ENOUGH_DATA)
        return err_set(err, ERR_FORMAT, "the file ends too early (truncated)");
    if (status != VP8_STATUS_OK)
        return err_set(err, ERR_FORMAT, "damaged");
    if (features.has_animation)
        return err_set(err, ERR_FORMAT, "animated WebP is not understood; convert its first frame");
    if (features.width <= 0 || features.height <= 0)
        return err_set(err, ERR_FORMAT, "empty picture");
    if (image_reserve(img, (uint64_t)features.height, (uint64_t)features.width, err) < 0)
        return -1;
    pitch = (size_t)img->width * 3;
    if (!WebPDecodeRGBInto(bytes, size, img->pixels, pitch * (size_t)img->height, (int)pitch))
        return err_set(err, ERR_FORMAT, "damaged or truncated");
    if (orientation)
        find_orientation(bytes, size, orientation);
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
                                 .matches = webp_matches,
                                 .decode = webp_decode,
                                 .version = webp_version};
