/* decode_tiff.c - the first picture of a TIFF, through libtiff, converted as Pillow does.
 *
 * Samples are read by strip or tile and converted here: 16-bit colour keeps its high byte, 16-bit grey is clipped at
 * 255, alpha is dropped (colours that were multiplied by it are divided again), CMYK goes through Pillow's product.
 * What has no plain samples (YCbCr that is not JPEG, LogLuv) goes through libtiff's own conversion. The
 * orientation is applied always, as Pillow does when it loads a TIFF.
 * SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tiffio.h>

#include "base/size.h"
#include "image/codec.h"

enum { SAMPLES_MAX = 16 };
static const uint64_t raw_max = (uint64_t)1 << 31; /* bytes of samples of one picture */

struct source {
    const uint8_t *bytes;
    uint64_t size, at;
    char message[160]; /* libtiff's first complaint */
};

struct tiff {
    TIFF *file;
    uint32_t width, height;
    uint16_t depth, samples, photometric, planar, format, compression, orientation;
    uint16_t extras, *extra; /* what the samples behind the colours are */
    uint16_t *map[3];        /* palette */
    uint8_t *raw;            /* planes of HEIGHT rows of PITCH bytes */
    size_t pitch, plane;
};

/* --- the file in memory ------------------------------------------------------------------------- */

static tmsize_t read_bytes(thandle_t handle, void *out, tmsize_t n)
{
    struct source *s = handle;
    const uint64_t left = s->at < s->size ? s->size - s->at : 0;
    const size_t take = (uint64_t)n < left ? (size_t)n : (size_t)left;

    memcpy(out, s->bytes + s->at, take);
    s->at += take;
    return (tmsize_t)take;
}

static tmsize_t write_bytes(thandle_t handle, void *in, tmsize_t n)
{
    (void)handle;
    (void)in;
    (void)n;
    return 0;
}

static toff_t seek(thandle_t handle, toff_t offset, int whence)
{
    struct source *s = handle;

    s->at = whence == SEEK_CUR ? s->at + offset : whence == SEEK_END ? s->size + offset : offset;
    return s->at;
}

static int close_source(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t size_of(thandle_t handle)
{
    return ((struct source *)handle)->size;
}

static int on_error(TIFF *file, void *ctx, const char *module, const char *format, va_list args)
{
    struct source *s = ctx;

    (void)file;
    (void)module;
    if (!s->message[0])
        vsnprintf(s->message, sizeof s->message, format, args);
    return 1;
}

static int on_warning(TIFF *file, void *ctx, const char *module, const char *format, va_list args)
{
    (void)file;
    (void)ctx;
    (void)module;
    (void)format;
    (void)args;
    return 1;
}

static TIFF *open_source(struct source *s)
{
    TIFFOpenOptions *o = TIFFOpenOptionsAlloc();
    TIFF *file = NULL;

    if (!o)
        return NULL;
    TIFFOpenOptionsSetErrorHandlerExtR(o, on_error, s);
    TIFFOpenOptionsSetWarningHandlerExtR(o, on_warning, s);
    /* "m": no mapping, the bytes are in memory already */
    file = TIFFClientOpenExt("TIFF", "rm", s, read_bytes, write_bytes, seek, close_source, size_of,
                             NULL, NULL, o);
    TIFFOpenOptionsFree(o);
    return file;
}

static int damaged(const struct source *s, struct err *err)
{
    return err_set(err, ERR_FORMAT, "damaged or truncated: %s",
                   s->message[0] ? s->message : "it cannot be read");
}

/* --- samples ------------------------------------------------------------------------------------ */

static int read_header(struct tiff *t, struct err *err)
{
    uint32_t kind = 0;
    void *dng = NULL;

    if (!TIFFGetField(t->file, TIFFTAG_IMAGEWIDTH, &t->width) ||
        !TIFFGetField(t->file, TIFFTAG_IMAGELENGTH, &t->height) ||
        !TIFFGetField(t->file, TIFFTAG_PHOTOMETRIC, &t->photometric))
        return err_set(err, ERR_FORMAT, "damaged: no size, or no kind of colours");
    TIFFGetFieldDefaulted(t->file, TIFFTAG_BITSPERSAMPLE, &t->depth);
    TIFFGetFieldDefaulted(t->file, TIFFTAG_SAMPLESPERPIXEL, &t->samples);
    TIFFGetFieldDefaulted(t->file, TIFFTAG_PLANARCONFIG, &t->planar);
    TIFFGetFieldDefaulted(t->file, TIFFTAG_SAMPLEFORMAT, &t->format);
    TIFFGetFieldDefaulted(t->file, TIFFTAG_COMPRESSION, &t->compression);
    TIFFGetFieldDefaulted(t->file, TIFFTAG_ORIENTATION, &t->orientation);
    TIFFGetFieldDefaulted(t->file, TIFFTAG_EXTRASAMPLES, &t->extras, &t->extra);
    TIFFGetFieldDefaulted(t->file, TIFFTAG_SUBFILETYPE, &kind);
    if (TIFFGetField(t->file, TIFFTAG_DNGVERSION, &dng) || (kind & FILETYPE_REDUCEDIMAGE) ||
        t->photometric == PHOTOMETRIC_CFA || t->photometric == 34892) /* LinearRaw, DNG 1.4 */
        return err_set(err, ERR_FORMAT,
                       "a camera's raw file: only its thumbnail could be read; convert it");
    if (t->photometric >= PHOTOMETRIC_CIELAB && t->photometric <= PHOTOMETRIC_ITULAB)
        return err_set(err, ERR_FORMAT, "L*a*b* colours are not understood; convert it to RGB");
    if (t->photometric == PHOTOMETRIC_PALETTE &&
        !TIFFGetField(t->file, TIFFTAG_COLORMAP, &t->map[0], &t->map[1], &t->map[2]))
        return err_set(err, ERR_FORMAT, "damaged: no palette");
    if (t->photometric == PHOTOMETRIC_YCBCR && t->compression == COMPRESSION_JPEG &&
        t->depth == 8) {
        TIFFSetField(t->file, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        t->photometric = PHOTOMETRIC_RGB;
    }
    return 0;
}

static int colours(const struct tiff *t)
{
    return t->photometric == PHOTOMETRIC_SEPARATED ? 4 : t->photometric == PHOTOMETRIC_RGB ? 3 : 1;
}

/* Whether the samples can be taken as they are. */
static bool is_plain(const struct tiff *t)
{
    const bool grey = t->photometric <= PHOTOMETRIC_MINISBLACK;
    const bool integer = t->format == SAMPLEFORMAT_UINT || t->format == SAMPLEFORMAT_VOID;

    if (t->photometric > PHOTOMETRIC_PALETTE && t->photometric != PHOTOMETRIC_SEPARATED)
        return false;
    if (t->samples < colours(t) || t->samples > SAMPLES_MAX)
        return false;
    switch (t->depth) {
    case 1:
    case 2:
    case 4:
        return integer && t->samples == 1;
    case 8:
        return integer;
    case 16:
        return t->photometric == PHOTOMETRIC_PALETTE ? false
               : grey                                ? t->format != SAMPLEFORMAT_IEEEFP
                                                     : integer;
    case 32:
        return grey && t->samples == 1;
    default:
        return false;
    }
}

static int read_tiles(struct tiff *t, const struct source *s, int plane, struct err *err)
{
    uint32_t tw = 0, th = 0;
    const size_t bytes = (size_t)TIFFTileSize(t->file), row = (size_t)TIFFTileRowSize(t->file);
    uint8_t *tile = bytes ? malloc(bytes) : NULL;
    int rc = 0;

    TIFFGetField(t->file, TIFFTAG_TILEWIDTH, &tw);
    TIFFGetField(t->file, TIFFTAG_TILELENGTH, &th);
    if (!tile || !tw || !th || row * th > bytes) {
        free(tile);
        return damaged(s, err);
    }
    for (uint32_t y = 0; rc == 0 && y < t->height; y += th)
        for (uint32_t x = 0; rc == 0 && x < t->width; x += tw) {
            const size_t at = (size_t)x / tw * row, rows = t->height - y < th ? t->height - y : th;
            const size_t take = at < t->pitch ? (t->pitch - at < row ? t->pitch - at : row) : 0;

            memset(tile, 0, bytes);
            if (TIFFReadEncodedTile(t->file, TIFFComputeTile(t->file, x, y, 0, (uint16_t)plane),
                                    tile, (tmsize_t)bytes) < 0)
                rc = damaged(s, err);
            for (size_t i = 0; rc == 0 && i < rows; i++)
                memcpy(t->raw + (size_t)plane * t->plane + (y + i) * t->pitch + at, tile + i * row,
                       take);
        }
    free(tile);
    return rc;
}

static int read_strips(struct tiff *t, const struct source *s, int plane, struct err *err)
{
    uint32_t rows = 0;

    TIFFGetFieldDefaulted(t->file, TIFFTAG_ROWSPERSTRIP, &rows);
    if (rows == 0)
        return damaged(s, err);
    for (uint32_t y = 0; y<t->height; y += rows> t->height - y ? t->height - y : rows) {
        const uint32_t n = t->height - y < rows ? t->height - y : rows;
        const uint32_t strip = TIFFComputeStrip(t->file, y, (uint16_t)plane);

        if (TIFFReadEncodedStrip(t->file, strip,
                                 t->raw + (size_t)plane * t->plane + (size_t)y * t->pitch,
                                 (tmsize_t)(n * t->pitch)) < 0)
            return damaged(s, err);
    }
    return 0;
}

static int read_samples(struct tiff *t, const struct source *s, struct err *err)
{
    const int planes = t->planar == PLANARCONFIG_SEPARATE ? t->samples : 1;

    t->pitch = (size_t)TIFFScanlineSize(t->file);
    if (t->pitch < ((size_t)t->width * t->depth * (planes > 1 ? 1u : t->samples) + 7) / 8)
        return damaged(s, err);
    if ((uint64_t)t->pitch * t->height > raw_max / (uint64_t)planes)
        return err_set(err, ERR_FORMAT, "more than %llu bytes of samples",
                       (unsigned long long)raw_max);
    t->plane = t->pitch * t->height;
    t->raw = calloc((size_t)planes, t->plane);
    if (!t->raw)
        return err_set(err, ERR_NOMEM, "out of memory: %zu bytes", t->plane);
    for (int i = 0; i < planes; i++)
        if ((TIFFIsTiled(t->file) ? read_tiles : read_strips)(t, s, i, err) < 0)
            return -1;
    return 0;
}

/* Sample I of the pixel, as Pillow brings it to 8 bits; of a palette: the index. */
static unsigned sample(const struct tiff *t, uint32_t y, uint32_t x, unsigned i)
{
    const bool apart = t->planar == PLANARCONFIG_SEPARATE;
    const size_t number = apart ? x : (size_t)x * t->samples + i;
    const uint8_t *row = t->raw + (apart ? i * t->plane : 0) + y * t->pitch;
    const bool grey = t->photometric <= PHOTOMETRIC_MINISBLACK;
    uint16_t half;
    uint32_t word;
    float real;

    switch (t->depth) {
    case 8:
        return row[number];
    case 16: /* host order, as libtiff gives it */
        memcpy(&half, row + 2 * number, 2);
        if (!grey || t->samples > 1)
            return half >> 8;
        if (t->format == SAMPLEFORMAT_INT && (int16_t)half < 0)
            return 0;
        return half > 255 ? 255 : half;
    case 32:
        memcpy(&word, row + 4 * number, 4);
        memcpy(&real, &word, 4);
        if (t->format == SAMPLEFORMAT_IEEEFP)
            return !(real > 0) ? 0 : real >= 255 ? 255 : (unsigned)real;
        return (int32_t)word < 0 ? 0 : word > 255 ? 255 : word;
    default: {
        const size_t bit = number * t->depth;
        const unsigned most = (1u << t->depth) - 1;
        const unsigned v = (unsigned)(row[bit / 8] >> (8 - t->depth - bit % 8)) & most;

        return grey ? v * 255 / most : v;
    }
    }
}

static void put_pixel(uint8_t out[3], const struct tiff *t, uint32_t y, uint32_t x)
{
    const bool divided = t->extras > 0 && t->extra && t->extra[0] == EXTRASAMPLE_ASSOCALPHA;
    unsigned v[4] = {0}, alpha;

    for (int i = 0; i < colours(t); i++)
        v[i] = sample(t, y, x, (unsigned)i);
    switch (t->photometric) {
    case PHOTOMETRIC_MINISWHITE:
        if (t->depth <= 8)
            v[0] = 255 - v[0];
        memset(out, (int)v[0], 3);
        return;
    case PHOTOMETRIC_MINISBLACK:
        memset(out, (int)v[0], 3);
        return;
    case PHOTOMETRIC_PALETTE:
        for (int i = 0; i < 3; i++)
            out[i] = (uint8_t)(t->map[i][v[0]] >> 8);
        return;
    case PHOTOMETRIC_SEPARATED:
        for (int i = 0; i < 3; i++) {
            const unsigned nk = 255 - v[3], product = v[i] * nk + 128;
            const int value = (int)nk - (int)(((product >> 8) + product) >> 8);

            out[i] = (uint8_t)(value < 0 ? 0 : value);
        }
        return;
    default:
        alpha = divided && t->samples > 3 ? sample(t, y, x, 3) : 255;
        for (int i = 0; i < 3; i++) {
            const unsigned value = alpha == 0 ? 0 : alpha == 255 ? v[i] : v[i] * 255 / alpha;

            out[i] = (uint8_t)(value > 255 ? 255 : value);
        }
    }
}

static int convert(struct image *img, struct tiff *t, const struct source *s, struct err *err)
{
    if (read_samples(t, s, err) < 0)
        return -1;
    for (uint32_t y = 0; y < t->height; y++)
        for (uint32_t x = 0; x < t->width; x++)
            put_pixel(img->pixels + ((size_t)y * t->width + x) * 3, t, y, x);
    if (t->depth >= 16 && t->photometric <= PHOTOMETRIC_MINISBLACK && t->samples == 1)
        image_warn(img, "TIFF: %u-bit grey, values above 255 are clipped (as Pillow does)",
                   t->depth);
    return 0;
}

/* libtiff's own conversion, for what has no plain samples. */
static int convert_rgba(struct image *img, struct tiff *t, const struct source *s, struct err *err)
{
    const size_t n = (size_t)t->width * t->height;
    char why[1024] = "";
    uint32_t *raster;
    int rc = 0;

    if (!TIFFRGBAImageOK(t->file, why))
        return err_set(err, ERR_FORMAT, "%u bits, %u samples, kind %u are not understood: %s",
                       t->depth, t->samples, t->photometric, why);
    raster = malloc(n * sizeof *raster);
    if (!raster)
        return err_set(err, ERR_NOMEM, "out of memory: %zu bytes", n * sizeof *raster);
    image_warn(img, "TIFF: converted by libtiff, which may differ from Pillow by one level");
    TIFFSetField(t->file, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT); /* turned by us */
    if (!TIFFReadRGBAImageOriented(t->file, t->width, t->height, raster, ORIENTATION_TOPLEFT, 1))
        rc = damaged(s, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        img->pixels[3 * i] = (uint8_t)TIFFGetR(raster[i]);
        img->pixels[3 * i + 1] = (uint8_t)TIFFGetG(raster[i]);
        img->pixels[3 * i + 2] = (uint8_t)TIFFGetB(raster[i]);
    }
    free(raster);
    return rc;
}

static int tiff_decode(struct image *img, const uint8_t *bytes, size_t size, struct err *err)
{
    struct source s = {.bytes = bytes, .size = size};
    struct tiff t = {.file = open_source(&s)};
    int rc = -1;

    if (!t.file)
        return damaged(&s, err);
    if (read_header(&t, err) == 0 && image_reserve(img, t.height, t.width, err) == 0)
        rc = is_plain(&t) ? convert(img, &t, &s, err) : convert_rgba(img, &t, &s, err);
    img->alpha = t.extras > 0 && t.extra && t.extra[0] != EXTRASAMPLE_UNSPECIFIED;
    img->more = rc == 0 && !TIFFLastDirectory(t.file);
    free(t.raw);
    TIFFClose(t.file);
    if (rc == 0 && t.orientation >= 2 && t.orientation <= 8)
        rc = exif_apply(img, t.orientation, err);
    return rc;
}

/* Canon's raw files are TIFFs, too: "CR" behind the header. */
static bool tiff_matches(const uint8_t *bytes, size_t size)
{
    return size >= 10 &&
           (memcmp(bytes, "II*\0", 4) == 0 || memcmp(bytes, "MM\0*", 4) == 0 ||
            memcmp(bytes, "II+\0", 4) == 0 || memcmp(bytes, "MM\0+", 4) == 0) &&
           memcmp(bytes + 8, "CR", 2) != 0;
}

static void tiff_version(char *out, size_t size)
{
    const char *text = TIFFGetVersion(); /* "LIBTIFF, Version 4.5.0\n..." */
    const char *number = strpbrk(text, "0123456789");

    snprintf(out, size, "libtiff %.*s", number ? (int)strcspn(number, "\n") : 1,
             number ? number : "?");
}

const struct codec codec_tiff = {.format = IMAGE_TIFF,
                                 .name = "TIFF",
                                 .media_type = "image/tiff",
                                 .matches = tiff_matches,
                                 .decode = tiff_decode,
                                 .version = tiff_version};
