/* decode.c - which decoder a picture's bytes go to, and what all of them share.
 *
 * Pillow 13 is the reference for every conversion (docs/architecture.md, "Pixels"): alpha is
 * dropped without compositing, 16-bit grey is clipped at 255, CMYK goes through Pillow's product.
 * SPDX-License-Identifier: MIT */
#include "image/decode.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/size.h"
#include "base/version.h"
#include "image/codec.h"

static const struct codec *const codecs[] = {&codec_jpeg, &codec_png,  &codec_gif,
                                             &codec_webp, &codec_bmp,  &codec_ppm,
                                             &codec_tiff, &codec_avif, &codec_heif};
enum { CODECS = sizeof codecs / sizeof codecs[0] };

static const struct codec *find_codec(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < CODECS; i++)
        if (codecs[i]->matches(bytes, size))
            return codecs[i];
    return NULL;
}

int image_reserve(struct image *img, uint64_t height, uint64_t width, struct err *err)
{
    uint8_t *grown;
    size_t bytes;

    if (height == 0 || width == 0)
        return err_set(err, ERR_FORMAT, "picture of %ju x %ju pixels", (uintmax_t)width,
                       (uintmax_t)height);
    if (height > IMAGE_SIDE_MAX || width > IMAGE_SIDE_MAX || height * width > IMAGE_PIXELS_MAX)
        return err_set(
            err, ERR_FORMAT,
            "picture of %ju x %ju pixels is larger than what is accepted (%d a side, %d in "
            "all)",
            (uintmax_t)width, (uintmax_t)height, IMAGE_SIDE_MAX, IMAGE_PIXELS_MAX);
    bytes = (size_t)height * (size_t)width * 3;
    if (bytes > img->capacity) {
        grown = malloc(bytes);
        if (!grown)
            return err_set(err, ERR_NOMEM, "out of memory: %zu bytes of pixels", bytes);
        free(img->pixels);
        img->pixels = grown;
        img->capacity = bytes;
    }
    img->height = (int)height;
    img->width = (int)width;
    return 0;
}

void image_warn(struct image *img, const char *format, ...)
{
    va_list args;

    if (img->warning[0])
        return;
    va_start(args, format);
    vsnprintf(img->warning, sizeof img->warning, format, args);
    va_end(args);
}

enum image_format image_sniff(const uint8_t *bytes, size_t size)
{
    const struct codec *c = find_codec(bytes, size);

    return c ? c->format : IMAGE_UNKNOWN;
}

const char *image_format_name(enum image_format f)
{
    for (size_t i = 0; i < CODECS; i++)
        if (codecs[i]->format == f)
            return codecs[i]->name;
    return "unknown";
}

const char *image_media_type(enum image_format f)
{
    for (size_t i = 0; i < CODECS; i++)
        if (codecs[i]->format == f)
            return codecs[i]->media_type;
    return NULL;
}

/* The first bytes of a regular file: how many; -1: it cannot be read; -2: not a regular file, not waited for. */
static ssize_t read_head(const char *path, uint8_t bytes[IMAGE_SNIFF_BYTES])
{
    ssize_t have = 0, got;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return -2;
    }
    do {
        got = read(fd, bytes + have, (size_t)(IMAGE_SNIFF_BYTES - have));
        have += got > 0 ? got : 0;
    } while (got > 0 && have < IMAGE_SNIFF_BYTES);
    close(fd);
    return got < 0 ? -1 : have;
}

int image_is_picture(const char *path, enum image_format *format)
{
    uint8_t bytes[IMAGE_SNIFF_BYTES];
    const ssize_t n = read_head(path, bytes);

    if (format)
        *format = IMAGE_UNKNOWN;
    if (n < 0)
        return n == -1 ? -1 : 0;
    if (format)
        *format = image_sniff(bytes, (size_t)n);
    return find_codec(bytes, (size_t)n) || image_known_by_bytes(bytes, (size_t)n) ||
           image_known_by_name(path);
}

const char *image_kind_of_file(const char *path)
{
    uint8_t bytes[IMAGE_SNIFF_BYTES];
    const ssize_t n = read_head(path, bytes);
    const struct codec *c = n > 0 ? find_codec(bytes, (size_t)n) : NULL;
    const char *known = n > 0 && !c ? image_known_by_bytes(bytes, (size_t)n) : NULL;

    return c ? c->name : known ? known : image_known_by_name(path);
}

static int not_decoded(const char *name, struct err *err)
{
    return err_set(err, ERR_FORMAT,
                   "%s is a picture format that this build does not decode; convert the picture to "
                   "PNG or JPEG",
                   name);
}

int image_decode(struct image *img, const uint8_t *bytes, size_t size, bool apply_exif,
                 struct err *err)
{
    const struct codec *c = find_codec(bytes, size);
    const char *known = c ? NULL : image_known_by_bytes(bytes, size);

    img->warning[0] = 0;
    img->format = IMAGE_UNKNOWN;
    img->orientation = 1;
    img->more = img->alpha = false;
    if (size == 0)
        return err_set(err, ERR_FORMAT, "the file is empty");
    if (known || (c && !c->decode))
        return not_decoded(known ? known : c->name, err);
    if (!c)
        return err_set(err, ERR_FORMAT, "not a picture: its first bytes are of no known format");
    if (c->decode(img, bytes, size, err) < 0)
        return err_wrap(err, "%s", c->name);
    img->format = c->format;
    img->orientation = image_orientation(bytes, size);
    if (apply_exif && img->orientation != 1)
        return exif_apply(img, img->orientation, err);
    return 0;
}

void image_free(struct image *img)
{
    if (!img)
        return;
    free(img->pixels);
    memset(img, 0, sizeof *img);
}

void image_begin(void)
{
    for (size_t i = 0; i < CODECS; i++)
        if (codecs[i]->begin)
            codecs[i]->begin();
}

const char *image_decoder_version(unsigned formats)
{
    static _Thread_local char text[256];
    size_t used = 0;

    for (size_t i = 0; i < CODECS; i++) {
        char one[64] = "";

        /* those that were there first are always named, so that sets made with them stay as they are */
        if (!codecs[i]->version ||
            (codecs[i]->format >= IMAGE_TIFF && !(formats & 1u << codecs[i]->format)))
            continue;
        codecs[i]->version(one, sizeof one);
        if (strstr(text, one) && used) /* AVIF and HEIC share a library */
            continue;
        snprintf(text + used, sizeof text - used, "%s%s", used ? ", " : "", one);
        used = strlen(text);
    }
    return text;
}

void image_libraries(FILE *file)
{
    char last[64] = "", one[64];

    for (size_t i = 0; i < CODECS; i++) {
        if (!codecs[i]->version)
            continue;
        codecs[i]->version(one, sizeof one);
        if (strcmp(one, last) != 0) /* AVIF and HEIC share a library */
            fprintf(file, "  %s\n", one);
        memcpy(last, one, sizeof last);
    }
    version_library(file, "zlib", zlibVersion());
}
