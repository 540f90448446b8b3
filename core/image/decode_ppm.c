/* decode_ppm.c - binary PPM (P6) and PGM (P5) with 8-bit samples of full range.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "image/codec.h"

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* One decimal number after blanks and comments; false when there is none below 10^8. */
static bool read_number(const uint8_t *bytes, size_t size, size_t *at, uint32_t *out)
{
    size_t i = *at;
    bool comment = false;

    for (; i < size && (comment || is_space(bytes[i]) || bytes[i] == '#'); i++) {
        if (bytes[i] == '#')
            comment = true;
        else if (bytes[i] == '\n')
            comment = false;
    }
    if (i >= size || bytes[i] < '0' || bytes[i] > '9')
        return false;
    *out = 0;
    for (; i < size && bytes[i] >= '0' && bytes[i] <= '9'; i++) {
        if (*out >= 10000000)
            return false;
        *out = *out * 10 + (uint32_t)(bytes[i] - '0');
    }
    *at = i;
    return true;
}

static int ppm_decode(struct image *img, const uint8_t *bytes, size_t size, int *orientation,
                      struct err *err)
{
    const bool colour = bytes[1] == '6';
    uint32_t width, height, most;
    size_t at = 2, pixels;

    (void)orientation;
    if (!read_number(bytes, size, &at, &width) || !read_number(bytes, size, &at, &height) ||
        !read_number(bytes, size, &at, &most) || at >= size)
        return err_set(err, ERR_FORMAT, "damaged header");
    if (most != 255)
        return err_set(err, ERR_FORMAT, "samples up to %u; only 255 is understood", most);
    if (image_reserve(img, height, width, err) < 0)
        return -1;
    at++; /* exactly one blank */
    pixels = (size_t)height * width;
    if (size - at < pixels * (colour ? 3 : 1))
        return err_set(err, ERR_FORMAT, "the file ends too early (truncated)");
    if (colour) {
        memcpy(img->pixels, bytes + at, pixels * 3);
        return 0;
    }
    for (size_t i = 0; i < pixels; i++)
        memset(img->pixels + 3 * i, bytes[at + i], 3);
    return 0;
}

static bool ppm_matches(const uint8_t *bytes, size_t size)
{
    return size >= 3 && bytes[0] == 'P' && (bytes[1] == '5' || bytes[1] == '6') &&
           is_space(bytes[2]);
}

const struct codec codec_ppm = {
    .format = IMAGE_PPM, .name = "PPM", .matches = ppm_matches, .decode = ppm_decode};
