/* orientation.c - how a picture is to be turned, found in its file without decoding it.
 *
 * Sources, the first that says something counts, as in Pillow's getexif(): EXIF (JPEG's APP1, PNG's eXIf chunk and raw
 * profiles, WebP's EXIF chunk), then XMP's tiff:Orientation. Every length is held against what is there.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "image/codec.h"

enum { TEXT_MAX = 1 << 22 };

static const uint8_t *find(const uint8_t *in, size_t size, const char *what)
{
    return size ? memmem(in, size, what, strlen(what)) : NULL;
}

/* EXIF as blocks bear it: with "Exif\0\0" before the TIFF block, or without. */
static int from_exif(const uint8_t *p, size_t size)
{
    const size_t skip = size > 6 && memcmp(p, "Exif\0", 6) == 0 ? 6 : 0;

    return exif_orientation(p + skip, size - skip);
}

/* tiff:Orientation="6" or <tiff:Orientation>6</tiff:Orientation> */
static int from_xmp(const uint8_t *p, size_t size)
{
    static const char name[] = "tiff:Orientation";
    const uint8_t *end = p + size;

    while ((p = find(p, (size_t)(end - p), name)) != NULL) {
        p += sizeof name - 1;
        while (p < end && (*p == ' ' || *p == '='))
            p++;
        if (p + 1 < end && (*p == '"' || *p == '\'' || *p == '>')) {
            p++;
            while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
                p++;
            if (p < end && *p >= '1' && *p <= '8')
                return *p - '0';
        }
    }
    return 0;
}

/* The first that says something; 0: none does so far. */
static void note(int *best, int found)
{
    if (*best == 0)
        *best = found;
}

/* EXIF's word counts, "upright" (1) included. */
static int decided(int exif, int xmp)
{
    return exif ? exif : xmp ? xmp : 1;
}

static int of_jpeg(const uint8_t *b, size_t size)
{
    static const char xmp_head[] = "http://ns.adobe.com/xap/1.0/";
    int exif = 0, xmp = 0;

    for (size_t at = 2; at + 4 <= size && b[at] == 0xff;) {
        const uint8_t marker = b[at + 1];
        size_t length;

        if (marker == 0xff) { /* fill */
            at++;
            continue;
        }
        if (marker == 0xda || marker == 0xd9) /* pixels, or the end */
            break;
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7)) {
            at += 2;
            continue;
        }
        length = (size_t)b[at + 2] << 8 | b[at + 3];
        if (length < 2 || length > size - at - 2)
            break;
        if (marker == 0xe1 && length > 8 && memcmp(b + at + 4, "Exif\0", 6) == 0)
            note(&exif, exif_orientation(b + at + 10, length - 8));
        else if (marker == 0xe1 && length > 2 + sizeof xmp_head &&
                 memcmp(b + at + 4, xmp_head, sizeof xmp_head) == 0)
            note(&xmp, from_xmp(b + at + 4, length - 2));
        at += 2 + length;
    }
    return decided(exif, xmp);
}

/* --- PNG ---------------------------------------------------------------------------------------- */

static int digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ImageMagick's raw profile: "\nexif\n    1234\n" and then hexadecimal digits. */
static int from_raw_profile(const uint8_t *text, size_t size)
{
    uint8_t *bytes = malloc(size / 2 + 1);
    size_t n = 0, at = 0;
    int lines = 0, found = 0;

    while (at < size && lines < 3)
        lines += text[at++] == '\n';
    for (; bytes && at + 1 < size; at++) {
        const int high = digit(text[at]), low = digit(text[at + 1]);

        if (high >= 0 && low >= 0) {
            bytes[n++] = (uint8_t)(high << 4 | low);
            at++;
        }
    }
    if (bytes)
        found = from_exif(bytes, n);
    free(bytes);
    return found;
}

/* What a keyword's text says; XMP goes to *XMP. */
static void from_text(const char *keyword, const uint8_t *text, size_t size, int *exif, int *xmp)
{
    if (strcmp(keyword, "Raw profile type exif") == 0 ||
        strcmp(keyword, "Raw profile type APP1") == 0)
        note(exif, from_raw_profile(text, size));
    else if (strcmp(keyword, "XML:com.adobe.xmp") == 0 ||
             strcmp(keyword, "Raw profile type xmp") == 0)
        note(xmp, from_xmp(text, size));
}

static void from_compressed(const char *keyword, const uint8_t *data, size_t size, int *exif,
                            int *xmp)
{
    uint8_t *text = malloc(TEXT_MAX);
    uLongf n = TEXT_MAX;

    if (text && uncompress(text, &n, data, (uLong)size) == Z_OK)
        from_text(keyword, text, n, exif, xmp);
    free(text);
}

/* A tEXt, zTXt or iTXt chunk: keyword, 0, then as the kind has it. */
static void read_text_chunk(const uint8_t *type, const uint8_t *data, size_t size, int *exif,
                            int *xmp)
{
    const uint8_t *end = memchr(data, 0, size < 80 ? size : 80);
    const char *keyword = (const char *)data;
    size_t left;

    if (!end ||
        (strncmp(keyword, "Raw profile type ", 17) != 0 && strncmp(keyword, "XML:", 4) != 0))
        return;
    left = size - (size_t)(end + 1 - data);
    data = end + 1;
    if (memcmp(type, "tEXt", 4) == 0) {
        from_text(keyword, data, left, exif, xmp);
    } else if (memcmp(type, "zTXt", 4) == 0 && left > 1) {
        from_compressed(keyword, data + 1, left - 1, exif, xmp);
    } else if (left > 4) { /* iTXt: flag, method, language, 0, translated keyword, 0 */
        const bool packed = data[0] == 1;
        const uint8_t *p = memchr(data + 2, 0, left - 2);

        p = p ? memchr(p + 1, 0, left - (size_t)(p + 1 - data)) : NULL;
        if (!p)
            return;
        left -= (size_t)(p + 1 - data);
        if (packed)
            from_compressed(keyword, p + 1, left, exif, xmp);
        else
            from_text(keyword, p + 1, left, exif, xmp);
    }
}

static int of_png(const uint8_t *b, size_t size)
{
    int exif = 0, xmp = 0;

    for (size_t at = 8; at + 12 <= size;) {
        const size_t length = be32(b + at);
        const uint8_t *type = b + at + 4, *data = b + at + 8;

        if (length > size - at - 12)
            break;
        if (memcmp(type, "eXIf", 4) == 0)
            note(&exif, from_exif(data, length));
        else if (length > 0 && (memcmp(type, "tEXt", 4) == 0 || memcmp(type, "zTXt", 4) == 0 ||
                                memcmp(type, "iTXt", 4) == 0))
            read_text_chunk(type, data, length, &exif, &xmp);
        at += 12 + length;
    }
    return decided(exif, xmp);
}

/* RIFF container: 12 bytes of header, then chunks of 4 bytes name, 4 bytes size, even payload. */
static int of_webp(const uint8_t *b, size_t size)
{
    int exif = 0, xmp = 0;

    for (size_t at = 12; at + 8 <= size;) {
        const size_t length = le32(b + at + 4);

        if (length > size - at - 8)
            break;
        if (memcmp(b + at, "EXIF", 4) == 0)
            note(&exif, from_exif(b + at + 8, length));
        else if (memcmp(b + at, "XMP ", 4) == 0)
            note(&xmp, from_xmp(b + at + 8, length));
        at += 8 + length + (length & 1);
    }
    return decided(exif, xmp);
}

int image_orientation(const uint8_t *bytes, size_t size)
{
    switch (image_sniff(bytes, size)) {
    case IMAGE_JPEG:
        return of_jpeg(bytes, size);
    case IMAGE_PNG:
        return of_png(bytes, size);
    case IMAGE_WEBP:
        return of_webp(bytes, size);
    default: /* GIF, BMP and PPM carry none; TIFF's and HEIF's is applied by what decodes them */
        return 1;
    }
}
