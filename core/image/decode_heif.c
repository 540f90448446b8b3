/* decode_heif.c - HEIC and AVIF, through libheif where the build has it: the primary picture, upright.
 *
 * libheif turns and mirrors as the file says, so no orientation of EXIF is applied again. Without the library the two
 * formats are known by name, and a picture of them is one that cannot be decoded.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "image/codec.h"

#ifdef PRESIZE_HEIF
#include <libheif/heif.h>

static int failed(struct err *err, struct heif_error e)
{
    if (e.code == heif_error_Memory_allocation_error)
        return err_set(err, ERR_NOMEM, "out of memory");
    return err_set(err, ERR_FORMAT, "damaged or not understood: %s", e.message);
}

static int copy(struct image *img, const struct heif_image *in, struct err *err)
{
    const int w = heif_image_get_width(in, heif_channel_interleaved);
    const int h = heif_image_get_height(in, heif_channel_interleaved);
    int stride = 0;
    const uint8_t *rows = heif_image_get_plane_readonly(in, heif_channel_interleaved, &stride);

    if (w <= 0 || h <= 0 || !rows)
        return err_set(err, ERR_FORMAT, "empty picture");
    if (image_reserve(img, (uint64_t)h, (uint64_t)w, err) < 0)
        return -1;
    for (int y = 0; y < h; y++)
        memcpy(img->pixels + (size_t)y * (size_t)w * 3, rows + (size_t)y * (size_t)stride,
               (size_t)w * 3);
    return 0;
}

static int decode_primary(struct image *img, struct heif_context *ctx, struct err *err)
{
    struct heif_image_handle *handle = NULL;
    struct heif_image *out = NULL;
    struct heif_decoding_options *options;
    struct heif_error e = heif_context_get_primary_image_handle(ctx, &handle);
    int rc;

    if (e.code != heif_error_Ok)
        return failed(err, e);
    options = heif_decoding_options_alloc();
    if (options)
        options->convert_hdr_to_8bit = 1;
    /* the size is known before anything is decoded */
    rc = image_reserve(img, (uint64_t)heif_image_handle_get_height(handle),
                       (uint64_t)heif_image_handle_get_width(handle), err);
    if (rc == 0) {
        e = heif_decode_image(handle, &out, heif_colorspace_RGB, heif_chroma_interleaved_RGB,
                              options);
        rc = e.code == heif_error_Ok ? copy(img, out, err) : failed(err, e);
    }
    img->more = heif_context_get_number_of_top_level_images(ctx) > 1;
    heif_image_release(out);
    heif_decoding_options_free(options);
    heif_image_handle_release(handle);
    return rc;
}

static int heif_decode(struct image *img, const uint8_t *bytes, size_t size, struct err *err)
{
    struct heif_context *ctx = heif_context_alloc();
    struct heif_error e;
    int rc;

    if (!ctx)
        return err_set(err, ERR_NOMEM, "out of memory");
    e = heif_context_read_from_memory_without_copy(ctx, bytes, size, NULL);
    rc = e.code == heif_error_Ok ? decode_primary(img, ctx, err) : failed(err, e);
    heif_context_free(ctx);
    return rc;
}

static void heif_version(char *out, size_t size)
{
    snprintf(out, size, "libheif %s", heif_get_version());
}

static void heif_begin(void) /* its plug-ins, from 1.14 on */
{
#if LIBHEIF_HAVE_VERSION(1, 13, 0)
    (void)heif_init(NULL);
#endif
}
#else
#define heif_begin NULL
#define heif_decode NULL
#define heif_version NULL
#endif

/* ISO base media: "ftyp", the brand, a version, then the brands that the file is compatible with. */
static bool has_brand(const uint8_t *bytes, size_t size, const char *const *brands)
{
    size_t end = size < 12 || memcmp(bytes + 4, "ftyp", 4) != 0 ? 0 : be32(bytes);

    end = end < size ? end : size;
    for (size_t at = 8; at + 4 <= end; at += at == 8 ? 8 : 4)
        for (size_t i = 0; brands[i]; i++)
            if (memcmp(bytes + at, brands[i], 4) == 0)
                return true;
    return false;
}

static bool avif_matches(const uint8_t *bytes, size_t size)
{
    static const char *const brands[] = {"avif", "avis", NULL};

    return has_brand(bytes, size, brands);
}

static bool heif_matches(const uint8_t *bytes, size_t size)
{
    static const char *const brands[] = {"heic", "heix", "heim", "heis", "hevc", "hevx",
                                         "hevm", "hevs", "mif1", "msf1", NULL};

    return has_brand(bytes, size, brands);
}

const struct codec codec_avif = {.format = IMAGE_AVIF,
                                 .name = "AVIF",
                                 .media_type = "image/avif",
                                 .matches = avif_matches,
                                 .decode = heif_decode,
                                 .version = heif_version,
                                 .begin = heif_begin};
const struct codec codec_heif = {.format = IMAGE_HEIF,
                                 .name = "HEIC",
                                 .media_type = "image/heic",
                                 .matches = heif_matches,
                                 .decode = heif_decode,
                                 .version = heif_version,
                                 .begin = heif_begin};
