/* decode_gif.c - the first frame of a GIF, through giflib.
 *
 * As Pillow: the picture is the logical screen, grown where the frame reaches beyond it; what the
 * frame leaves free has the transparent colour's index, or index 0; transparency itself is dropped.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gif_lib.h>

#include "image/codec.h"

struct gif_input {
    const uint8_t *at;
    size_t left;
};

static int read_input(GifFileType *gif, GifByteType *out, int n)
{
    struct gif_input *in = gif->UserData;
    const size_t take = n > 0 && (size_t)n < in->left ? (size_t)n : n > 0 ? in->left : 0;

    memcpy(out, in->at, take);
    in->at += take;
    in->left -= take;
    return (int)take;
}

static int gif_failed(struct err *err, int code)
{
    const char *text = GifErrorString(code);

    if (code == D_GIF_ERR_READ_FAILED || code == D_GIF_ERR_EOF_TOO_SOON)
        return err_set(err, ERR_FORMAT, "the file ends too early (truncated)");
    if (code == D_GIF_ERR_NOT_ENOUGH_MEM)
        return err_set(err, ERR_NOMEM, "out of memory");
    return err_set(err, ERR_FORMAT, "%s", text ? text : "damaged");
}

/* Reads records up to the first picture's descriptor; *transparent is its index or -1. */
static int find_frame(GifFileType *gif, int *transparent, struct err *err)
{
    GifRecordType type;

    *transparent = -1;
    for (;;) {
        if (DGifGetRecordType(gif, &type) == GIF_ERROR)
            return gif_failed(err, gif->Error);
        if (type == TERMINATE_RECORD_TYPE)
            return err_set(err, ERR_FORMAT, "no picture in the file");
        if (type == IMAGE_DESC_RECORD_TYPE)
            return DGifGetImageDesc(gif) == GIF_ERROR ? gif_failed(err, gif->Error) : 0;
        if (type == EXTENSION_RECORD_TYPE) {
            GraphicsControlBlock control;
            GifByteType *block;
            int code;

            if (DGifGetExtension(gif, &code, &block) == GIF_ERROR)
                return gif_failed(err, gif->Error);
            if (code == GRAPHICS_EXT_FUNC_CODE && block &&
                DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK)
                *transparent = control.TransparentColor;
            while (block)
                if (DGifGetExtensionNext(gif, &block) == GIF_ERROR)
                    return gif_failed(err, gif->Error);
        }
    }
}

static void put_index(uint8_t *out, int index, const ColorMapObject *map)
{
    if (!map) {
        out[0] = out[1] = out[2] = (uint8_t)index;
    } else if (index < map->ColorCount) {
        out[0] = map->Colors[index].Red;
        out[1] = map->Colors[index].Green;
        out[2] = map->Colors[index].Blue;
    } else {
        out[0] = out[1] = out[2] = 0;
    }
}

static int read_frame(GifFileType *gif, struct image *img, const ColorMapObject *map, uint8_t *line,
                      struct err *err)
{
    static const int first[4] = {0, 4, 2, 1}, step[4] = {8, 8, 4, 2};
    const GifImageDesc *d = &gif->Image;
    const int passes = d->Interlace ? 4 : 1;

    for (int pass = 0; pass < passes; pass++) {
        for (int y = d->Interlace ? first[pass] : 0; y < d->Height;
             y += d->Interlace ? step[pass] : 1) {
            uint8_t *out =
                img->pixels + ((size_t)(d->Top + y) * (size_t)img->width + (size_t)d->Left) * 3;

            if (DGifGetLine(gif, line, d->Width) == GIF_ERROR)
                return gif_failed(err, gif->Error);
            for (int x = 0; x < d->Width; x++)
                put_index(out + 3 * x, line[x], map);
        }
    }
    return 0;
}

/* Whether another frame follows. What cannot be read here does not matter: the first frame is whole. */
static bool has_more(GifFileType *gif)
{
    GifRecordType type;

    while (DGifGetRecordType(gif, &type) == GIF_OK && type == EXTENSION_RECORD_TYPE) {
        GifByteType *block;
        int code;

        if (DGifGetExtension(gif, &code, &block) == GIF_ERROR)
            return false;
        while (block)
            if (DGifGetExtensionNext(gif, &block) == GIF_ERROR)
                return false;
    }
    return type == IMAGE_DESC_RECORD_TYPE;
}

static int decode_with(GifFileType *gif, struct image *img, struct err *err)
{
    const ColorMapObject *map;
    const GifImageDesc *d = &gif->Image;
    int transparent, right, bottom, rc;
    uint8_t fill[3], *line;

    if (find_frame(gif, &transparent, err) < 0)
        return -1;
    if (d->Width <= 0 || d->Height <= 0)
        return err_set(err, ERR_FORMAT, "empty frame");
    right = d->Left + d->Width > gif->SWidth ? d->Left + d->Width : gif->SWidth;
    bottom = d->Top + d->Height > gif->SHeight ? d->Top + d->Height : gif->SHeight;
    if (image_reserve(img, (uint64_t)bottom, (uint64_t)right, err) < 0)
        return -1;
    img->alpha = transparent >= 0;
    map = d->ColorMap ? d->ColorMap : gif->SColorMap;
    put_index(fill, transparent >= 0 ? transparent : 0, map);
    for (size_t i = 0; i < (size_t)right * (size_t)bottom; i++)
        memcpy(img->pixels + 3 * i, fill, 3);
    line = malloc((size_t)d->Width);
    if (!line)
        return err_set(err, ERR_NOMEM, "out of memory");
    rc = read_frame(gif, img, map, line, err);
    free(line);
    if (rc == 0)
        img->more = has_more(gif);
    return rc;
}

static int gif_decode(struct image *img, const uint8_t *bytes, size_t size, struct err *err)
{
    struct gif_input in = {bytes, size};
    int code = 0, rc;
    GifFileType *gif = DGifOpen(&in, read_input, &code);

    if (!gif)
        return gif_failed(err, code);
    rc = decode_with(gif, img, err);
    DGifCloseFile(gif, &code);
    return rc;
}

static bool gif_matches(const uint8_t *bytes, size_t size)
{
    return size >= 6 && (memcmp(bytes, "GIF87a", 6) == 0 || memcmp(bytes, "GIF89a", 6) == 0);
}

static void gif_version(char *out, size_t size)
{
    snprintf(out, size, "giflib %d.%d.%d", GIFLIB_MAJOR, GIFLIB_MINOR, GIFLIB_RELEASE);
}

const struct codec codec_gif = {.format = IMAGE_GIF,
                                .name = "GIF",
                                .media_type = "image/gif",
                                .matches = gif_matches,
                                .decode = gif_decode,
                                .version = gif_version};
