/* decode_ppm.c - the PPM family: bits, grey and colours, as text (P1 to P3) or binary (P4 to P6), 8 or 16 bits.
 *
 * As Pillow: samples are scaled to 255, rounded to even; grey of more than 8 bits is scaled to 65535 and then
 * clipped at 255. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "image/codec.h"

struct ppm {
    const uint8_t *bytes;
    size_t size, at;
    bool text, bits; /* P1 to P3; P1 and P4 */
    uint32_t most;   /* largest sample */
    unsigned channels;
};

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Skips blanks and comments. */
static void skip(struct ppm *p)
{
    bool comment = false;

    for (; p->at < p->size && (comment || is_space(p->bytes[p->at]) || p->bytes[p->at] == '#');
         p->at++) {
        if (p->bytes[p->at] == '#')
            comment = true;
        else if (p->bytes[p->at] == '\n' || p->bytes[p->at] == '\r')
            comment = false;
    }
}

/* One decimal number after blanks and comments; false when there is none below 10^8. */
static bool read_number(struct ppm *p, uint32_t *out)
{
    skip(p);
    if (p->at >= p->size || p->bytes[p->at] < '0' || p->bytes[p->at] > '9')
        return false;
    *out = 0;
    for (; p->at < p->size && p->bytes[p->at] >= '0' && p->bytes[p->at] <= '9'; p->at++) {
        if (*out >= 10000000)
            return false;
        *out = *out * 10 + (uint32_t)(p->bytes[p->at] - '0');
    }
    return true;
}

static uint8_t scale(const struct ppm *p, uint32_t v)
{
    double share, out;

    if (p->most == 255)
        return (uint8_t)v;
    share = (double)v / p->most;
    if (p->channels == 1 && p->most > 255)
        out = p->most == 65535 ? v : nearbyint(share * 65535);
    else
        out = nearbyint(share * 255);
    return (uint8_t)(out > 255 ? 255 : out);
}

static int too_short(struct err *err)
{
    return err_set(err, ERR_FORMAT, "the file ends too early (truncated)");
}

static int decode_text(struct image *img, struct ppm *p, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t v;
        uint8_t value;

        if (p->bits) { /* digits need no blanks between them */
            skip(p);
            if (p->at >= p->size)
                return too_short(err);
            v = p->bytes[p->at++];
            if (v != '0' && v != '1')
                return err_set(err, ERR_FORMAT, "a bit that is neither 0 nor 1");
            value = v == '1' ? 0 : 255;
        } else {
            if (!read_number(p, &v))
                return p->at >= p->size ? too_short(err)
                                        : err_set(err, ERR_FORMAT, "a sample that is no number");
            if (v > p->most)
                return err_set(err, ERR_FORMAT, "a sample of %u, the header says %u at most", v,
                               p->most);
            value = scale(p, v);
        }
        if (p->channels == 3)
            img->pixels[i] = value;
        else
            memset(img->pixels + 3 * i, value, 3);
    }
    return 0;
}

static int decode_bits(struct image *img, const struct ppm *p, struct err *err)
{
    const size_t w = (size_t)img->width, pitch = (w + 7) / 8;

    if (p->size - p->at < pitch * (size_t)img->height)
        return too_short(err);
    for (size_t y = 0; y < (size_t)img->height; y++)
        for (size_t x = 0; x < w; x++) {
            const uint8_t byte = p->bytes[p->at + y * pitch + x / 8];

            memset(img->pixels + (y * w + x) * 3, byte >> (7 - x % 8) & 1 ? 0 : 255, 3);
        }
    return 0;
}

static int decode_binary(struct image *img, const struct ppm *p, size_t n, struct err *err)
{
    const size_t bytes = p->most > 255 ? 2 : 1;
    const uint8_t *in = p->bytes + p->at;

    if ((p->size - p->at) / bytes < n)
        return too_short(err);
    for (size_t i = 0; i < n; i++, in += bytes) {
        const uint8_t value = scale(p, bytes == 2 ? (uint32_t)in[0] << 8 | in[1] : in[0]);

        if (p->channels == 3)
            img->pixels[i] = value;
        else
            memset(img->pixels + 3 * i, value, 3);
    }
    return 0;
}

static int ppm_decode(struct image *img, const uint8_t *bytes, size_t size, struct err *err)
{
    const int kind = bytes[1] - '0';
    struct ppm p = {.bytes = bytes,
                    .size = size,
                    .at = 2,
                    .text = kind <= 3,
                    .bits = kind == 1 || kind == 4,
                    .most = 1,
                    .channels = kind == 3 || kind == 6 ? 3 : 1};
    uint32_t width, height;
    size_t n;

    if (!read_number(&p, &width) || !read_number(&p, &height) ||
        (!p.bits && !read_number(&p, &p.most)) || p.at >= size)
        return err_set(err, ERR_FORMAT, "damaged header");
    if (p.most < 1 || p.most > 65535)
        return err_set(err, ERR_FORMAT, "samples up to %u; 1 to 65535 are understood", p.most);
    if (image_reserve(img, height, width, err) < 0)
        return -1;
    n = (size_t)height * width * p.channels;
    if (p.channels == 1 && p.most > 255)
        image_warn(img, "PPM: 16-bit grey, values above 255 are clipped (as Pillow does)");
    if (p.text)
        return decode_text(img, &p, n, err);
    p.at++; /* exactly one blank */
    return p.bits ? decode_bits(img, &p, err) : decode_binary(img, &p, n, err);
}

static bool ppm_matches(const uint8_t *bytes, size_t size)
{
    size_t at = 2;

    if (size < 3 || bytes[0] != 'P' || bytes[1] < '1' || bytes[1] > '6')
        return false;
    while (at < size && is_space(bytes[at]))
        at++;
    /* a width or a comment follows, which a text that begins like this has not */
    return at == size || bytes[at] == '#' || (at > 2 && bytes[at] >= '0' && bytes[at] <= '9');
}

const struct codec codec_ppm = {.format = IMAGE_PPM,
                                .name = "PPM",
                                .media_type = "image/x-portable-anymap",
                                .matches = ppm_matches,
                                .decode = ppm_decode};
