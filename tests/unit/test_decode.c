/* test_decode.c - every format gives Pillow's pixels; damaged files are refused, by a clear message.
 *
 * The whole-set digests were made with Pillow 13.0 (open, convert("RGB"), crop, resize BILINEAR): SHA-256
 * over height, width (uint32, little-endian) and pixels of all 695 pictures in bytewise order of names.
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gif_lib.h>
#include <jpeglib.h>
#include <spng.h>
#include <webp/encode.h>

#include "base/hash.h"
#include "base/path.h"
#include "base/rng.h"
#include "image/decode.h"
#include "image/resize.h"

static const char decode_digest[] =
    "318365ed6eaa821bf16f2a4e63caa9f3c64c8015cc639c309322e341c7505fbc";
static const char presize_digest[] =
    "d23bbb6b22ada3fe0c7afc2a26ac5a72839a9146eae460c7e83292819593d90f";

/* --- pictures made on the spot ------------------------------------------------------------------------ */

struct file {
    uint8_t *bytes;
    size_t size;
};

static struct file make_jpeg(const uint8_t *pixels, int h, int w, int channels, int orientation)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr e;
    unsigned char *out = NULL;
    unsigned long size = 0;
    uint8_t exif[] = "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x01\0\0\0\0\0\0";

    c.err = jpeg_std_error(&e);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &out, &size);
    c.image_height = (JDIMENSION)h;
    c.image_width = (JDIMENSION)w;
    c.input_components = channels;
    c.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, 100, TRUE);
    jpeg_start_compress(&c, TRUE);
    exif[25] = (uint8_t)orientation;
    if (orientation)
        jpeg_write_marker(&c, JPEG_APP0 + 1, exif, sizeof exif - 1);
    while (c.next_scanline < c.image_height) {
        uint8_t *row = (uint8_t *)(uintptr_t)pixels + c.next_scanline * (size_t)(w * channels);

        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return (struct file){out, size};
}

static struct file make_png(const void *raw, size_t bytes, uint32_t w, uint8_t depth, uint8_t type,
                            uint8_t interlace, struct spng_plte *plte)
{
    const bool rgb = type == SPNG_COLOR_TYPE_TRUECOLOR && depth == 8;
    struct spng_ihdr ihdr = {.width = w,
                             .height = rgb ? (uint32_t)bytes / w / 3 : 1,
                             .bit_depth = depth,
                             .color_type = type,
                             .interlace_method = interlace};
    spng_ctx *ctx = spng_ctx_new(SPNG_CTX_ENCODER);
    struct file f;
    int rc;

    assert_non_null(ctx);
    spng_set_option(ctx, SPNG_ENCODE_TO_BUFFER, 1);
    assert_int_equal(spng_set_ihdr(ctx, &ihdr), 0);
    if (plte)
        assert_int_equal(spng_set_plte(ctx, plte), 0);
    assert_int_equal(spng_encode_image(ctx, raw, bytes, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE), 0);
    f.bytes = spng_get_png_buffer(ctx, &f.size, &rc);
    assert_non_null(f.bytes);
    spng_ctx_free(ctx);
    return f;
}

struct writer {
    uint8_t bytes[4096];
    size_t size;
};

static int gif_write(GifFileType *g, const GifByteType *data, int n)
{
    struct writer *w = g->UserData;

    assert_true(w->size + (size_t)n <= sizeof w->bytes);
    memcpy(w->bytes + w->size, data, (size_t)n);
    w->size += (size_t)n;
    return n;
}

/* A screen of 6 x 5 whose only frame is 3 x 2 at (2, 1), colours 0..3. */
static void make_gif(struct writer *w, int transparent)
{
    static const GifColorType colours[4] = {
        {10, 20, 30}, {40, 50, 60}, {70, 80, 90}, {200, 210, 220}};
    GifByteType lines[2][3] = {{1, 2, 3}, {3, 1, 0}};
    ColorMapObject *map = GifMakeMapObject(4, colours);
    int code;
    GifFileType *g = EGifOpen(w, gif_write, &code);

    assert_true(g && map);
    EGifSetGifVersion(g, true);
    assert_int_equal(EGifPutScreenDesc(g, 6, 5, 8, 0, map), GIF_OK);
    if (transparent >= 0) {
        GraphicsControlBlock gcb = {.TransparentColor = transparent};
        GifByteType ext[4];

        EGifGCBToExtension(&gcb, ext);
        assert_int_equal(EGifPutExtension(g, GRAPHICS_EXT_FUNC_CODE, 4, ext), GIF_OK);
    }
    assert_int_equal(EGifPutImageDesc(g, 2, 1, 3, 2, false, NULL), GIF_OK);
    for (int y = 0; y < 2; y++)
        assert_int_equal(EGifPutLine(g, lines[y], 3), GIF_OK);
    EGifCloseFile(g, &code);
    GifFreeMapObject(map);
}

static void expect(const uint8_t *bytes, size_t size, enum image_format format, int h, int w,
                   const uint8_t *pixels)
{
    struct image img = {0};
    struct err err = {0};

    if (image_decode(&img, bytes, size, false, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(img.format, format);
    assert_int_equal(img.height, h);
    assert_int_equal(img.width, w);
    assert_memory_equal(img.pixels, pixels, (size_t)h * (size_t)w * 3);
    image_free(&img);
}

static void expect_error(const uint8_t *bytes, size_t size, const char *text)
{
    struct image img = {0};
    struct err err = {0};

    assert_true(image_decode(&img, bytes, size, false, &err) < 0);
    assert_int_equal(err.kind, ERR_FORMAT);
    if (!strstr(err.msg, text))
        fail_msg("'%s' lacks '%s'", err.msg, text);
    image_free(&img);
}

/* --- the cases ------------------------------------------------------------------------------------------ */

static void png_forms(void **state)
{
    static const uint16_t v[9] = {0, 1, 100, 255, 256, 257, 1000, 32768, 65535};
    static const uint8_t grey16[27] = {0,   0,   0,   1,   1,   1,   100, 100, 100,
                                       255, 255, 255, 255, 255, 255, 255, 255, 255,
                                       255, 255, 255, 255, 255, 255, 255, 255, 255};
    static const uint8_t rgb16[9] = {0, 0, 0, 0, 1, 1, 3, 128, 255}, grey2[] = {0x1b};
    static const uint8_t grey2_rgb[12] = {0, 0, 0, 85, 85, 85, 170, 170, 170, 255, 255, 255};
    static const uint8_t grey1_rgb[9] = {0, 0, 0, 255, 255, 255, 0, 0, 0}, grey1[] = {0x40};
    static const uint8_t la[] = {7, 0, 9, 128}, la_rgb[6] = {7, 7, 7, 9, 9, 9};
    static const uint8_t rgba[] = {1, 2, 3, 0, 4, 5, 6, 255}, rgba_rgb[6] = {1, 2, 3, 4, 5, 6};
    struct spng_plte plte = {
        .n_entries = 4, .entries = {{10, 20, 30, 0}, {40, 50, 60, 0}, {1, 2, 3, 0}, {7, 8, 9, 0}}};
    static const uint8_t index[] = {3, 0, 1, 2};
    static const uint8_t index_rgb[12] = {7, 8, 9, 10, 20, 30, 40, 50, 60, 1, 2, 3};
    struct file f;

    (void)state;
#define CASE(raw, w, depth, type, p, want)                                                         \
    for (uint8_t lace = 0; lace < 2; lace++) {                                                     \
        f = make_png(raw, sizeof raw, w, depth, type, lace, p);                                    \
        expect(f.bytes, f.size, IMAGE_PNG, 1, w, want);                                            \
        free(f.bytes);                                                                             \
    }
    CASE(v, 9, 16, SPNG_COLOR_TYPE_GRAYSCALE, NULL, grey16)
    CASE(v, 3, 16, SPNG_COLOR_TYPE_TRUECOLOR, NULL, rgb16)
    CASE(grey2, 4, 2, SPNG_COLOR_TYPE_GRAYSCALE, NULL, grey2_rgb)
    CASE(grey1, 3, 1, SPNG_COLOR_TYPE_GRAYSCALE, NULL, grey1_rgb)
    CASE(la, 2, 8, SPNG_COLOR_TYPE_GRAYSCALE_ALPHA, NULL, la_rgb)
    CASE(rgba, 2, 8, SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, NULL, rgba_rgb)
    CASE(index, 4, 8, SPNG_COLOR_TYPE_INDEXED, &plte, index_rgb)
#undef CASE
    f = make_png(rgba, sizeof rgba, 2, 8, SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, 0, NULL);
    for (size_t n = 8; n + 12 + 4 + 6 < f.size;
         n++) { /* only checksums and the end may be missing */
        struct image img = {0};
        struct err err = {0};

        assert_true(image_decode(&img, f.bytes, n, false, &err) < 0);
        image_free(&img);
    }
    f.bytes[16] = 0x7f; /* width 2 + 0x7f000000 */
    expect_error(f.bytes, f.size, "PNG");
    free(f.bytes);
}

static void gif_screen_is_filled(void **state)
{
    static const uint8_t c[4][3] = {{10, 20, 30}, {40, 50, 60}, {70, 80, 90}, {200, 210, 220}};

    (void)state;
    for (int transparent = -1; transparent < 4; transparent += 4) {
        struct writer w = {.size = 0};
        uint8_t want[5 * 6 * 3];
        static const int frame[2][3] = {{1, 2, 3}, {3, 1, 0}};

        make_gif(&w, transparent);
        for (int i = 0; i < 30; i++)
            memcpy(want + 3 * i, c[transparent < 0 ? 0 : transparent], 3);
        for (int y = 0; y < 2; y++)
            for (int x = 0; x < 3; x++)
                memcpy(want + ((y + 1) * 6 + x + 2) * 3, c[frame[y][x]], 3);
        expect(w.bytes, w.size, IMAGE_GIF, 5, 6, want);
        expect_error(w.bytes, w.size - 8, "GIF");
    }
}

static void webp_lossless(void **state)
{
    uint8_t rgb[7 * 5 * 3], *out;
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * 37);
    size = WebPEncodeLosslessRGB(rgb, 5, 7, 15, &out);
    assert_true(size > 0);
    expect(out, size, IMAGE_WEBP, 7, 5, rgb);
    expect_error(out, size - 4, "WebP");
    WebPFree(out);
}

static void bmp_and_ppm(void **state)
{
    static const uint8_t rgb[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    static const uint8_t ppm[] = "P6 # a comment\n2 2\n255\n\1\2\3\4\5\6\7\10\11\12\13\14";
    static const uint8_t pgm[] = "P5\n2 1\n255\n\7\11", grey[6] = {7, 7, 7, 9, 9, 9};
    uint8_t bmp[54 + 16] = {'B', 'M'};

    (void)state;
    expect(ppm, sizeof ppm - 1, IMAGE_PPM, 2, 2, rgb);
    expect(pgm, sizeof pgm - 1, IMAGE_PPM, 1, 2, grey);
    expect_error(ppm, sizeof ppm - 2, "truncated");
    expect_error((const uint8_t *)"P6 65500 65500 255 ", 19, "larger than what is accepted");
    expect_error((const uint8_t *)"P6 2 2 65535\n1234567890123456", 29, "truncated");
    expect_error((const uint8_t *)"P6 2 2 65536\n1234567890123456", 30, "1 to 65535");
    bmp[10] = 54;
    bmp[14] = 40;
    bmp[18] = bmp[22] = 2;
    bmp[26] = 1;
    bmp[28] = 24;
    for (int y = 0; y < 2; y++)
        for (int x = 0; x < 2; x++)
            for (int k = 0; k < 3; k++)
                bmp[54 + (1 - y) * 8 + 3 * x + k] = rgb[(y * 2 + x) * 3 + 2 - k];
    expect(bmp, sizeof bmp, IMAGE_BMP, 2, 2, rgb);
    expect_error(bmp, sizeof bmp - 1, "truncated");
    bmp[30] = 4;
    expect_error(bmp, sizeof bmp, "compressed");
}

static void jpeg_cmyk_and_grey(void **state)
{
    uint8_t flat[16 * 16 * 4], grey[16 * 16];
    struct image img = {0};
    struct err err = {0};
    struct file f;

    (void)state;
    for (size_t i = 0; i < sizeof flat; i += 4) /* as Adobe stores it: 255 - ink */
        memcpy(flat + i, (const uint8_t[]){200, 100, 50, 180}, 4);
    f = make_jpeg(flat, 16, 16, 4, 0);
    assert_int_equal(image_decode(&img, f.bytes, f.size, false, &err), 0);
    /* 180 - 180 * ink / 255 with ink 55, 155, 205 */
    assert_in_range(img.pixels[0], 140, 142);
    assert_in_range(img.pixels[1], 70, 72);
    assert_in_range(img.pixels[2], 34, 36);
    free(f.bytes);
    memset(grey, 77, sizeof grey);
    f = make_jpeg(grey, 16, 16, 1, 0);
    assert_int_equal(image_decode(&img, f.bytes, f.size, false, &err), 0);
    for (size_t i = 0; i < 16 * 16 * 3; i++)
        assert_int_equal(img.pixels[i], 77);
    free(f.bytes);
    image_free(&img);
}

/* A picture of four quarters; the top left one is red as the camera saw it. */
static void exif_orientation(void **state)
{
    static const int red[9][2] = {{0, 0}, {0, 0}, {0, 1}, {1, 1}, {1, 0},
                                  {0, 0}, {0, 1}, {1, 1}, {1, 0}};
    uint8_t rgb[32 * 48 * 3];

    (void)state;
    memset(rgb, 0, sizeof rgb);
    for (int y = 0; y < 16; y++)
        for (int x = 0; x < 24; x++)
            rgb[(y * 48 + x) * 3] = 255;
    for (int o = 1; o <= 8; o++) {
        struct file f = make_jpeg(rgb, 32, 48, 3, o);
        struct image img = {0};
        struct err err = {0};

        for (int apply = 0; apply < 2; apply++) {
            const int *corner = apply ? red[o] : red[1];
            const bool swap = apply && o >= 5;

            assert_int_equal(image_decode(&img, f.bytes, f.size, apply, &err), 0);
            assert_int_equal(img.height, swap ? 48 : 32);
            assert_int_equal(img.width, swap ? 32 : 48);
            for (int i = 0; i < 4; i++) {
                const int y = i / 2 ? img.height - 2 : 1, x = i % 2 ? img.width - 2 : 1;
                const int v = img.pixels[(y * img.width + x) * 3];

                assert_int_equal(v > 128, i / 2 == corner[0] && i % 2 == corner[1]);
            }
        }
        image_free(&img);
        free(f.bytes);
    }
}

static void damaged_jpeg(void **state)
{
    uint8_t rgb[64 * 64 * 3];
    struct image img = {0};
    struct err err = {0};
    struct file f;

    (void)state;
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * i / 97);
    f = make_jpeg(rgb, 64, 64, 3, 0);
    for (size_t n = 3; n < f.size; n += n < f.size - 40 ? 37 : 1)
        expect_error(f.bytes, n, "JPEG: ");
    expect_error(f.bytes, f.size / 2, "ends too early");
    expect_error(f.bytes, f.size - 1, "ends too early");
    expect_error(f.bytes, 0, "empty");
    expect_error((const uint8_t *)"<html><body>no</body>", 21, "no known format");
    /* What is not fatal is kept as a warning: a marker in the middle of the data. */
    memcpy(f.bytes + f.size * 3 / 4, "\xff\xd3\xff\xd4", 4);
    assert_int_equal(image_decode(&img, f.bytes, f.size, false, &err), 0);
    assert_non_null(strstr(img.warning, "JPEG: "));
    image_free(&img);
    free(f.bytes);
}

/* Random damage: never a crash (the debug build watches), and what is accepted has its pixels. */
static void mutate(const uint8_t *bytes, size_t size, uint32_t which)
{
    struct image img = {0};
    uint8_t *copy = malloc(size);
    struct rng r = rng_begin(3, RNG_TEST, 1, which);

    assert_non_null(copy);
    for (int i = 0; i < 400; i++) {
        struct err err = {0};
        size_t n = rng_below(&r, 4) ? size : rng_below(&r, (uint32_t)size);

        memcpy(copy, bytes, size);
        for (uint32_t k = 1 + rng_below(&r, 4); k > 0; k--)
            copy[rng_below(&r, (uint32_t)(rng_below(&r, 2) && size > 64 ? 64 : size))] =
                (uint8_t)rng_u32(&r);
        if (image_decode(&img, copy, n, rng_below(&r, 2), &err) == 0)
            assert_true(img.height > 0 && img.width > 0 &&
                        (size_t)img.height * (size_t)img.width * 3 <= img.capacity);
        else
            assert_true(err.msg[0] != 0);
    }
    free(copy);
    image_free(&img);
}

static void mutated_files(void **state)
{
    uint8_t rgb[12 * 20 * 3], *webp;
    struct writer gif = {.size = 0};
    struct file f;
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * 37);
    f = make_jpeg(rgb, 12, 20, 3, 6);
    mutate(f.bytes, f.size, 0);
    free(f.bytes);
    f = make_png(rgb, 60, 20, 8, SPNG_COLOR_TYPE_TRUECOLOR, 1, NULL);
    mutate(f.bytes, f.size, 1);
    free(f.bytes);
    make_gif(&gif, 2);
    mutate(gif.bytes, gif.size, 2);
    size = WebPEncodeRGB(rgb, 20, 12, 60, 80, &webp);
    assert_true(size > 0);
    mutate(webp, size, 3);
    WebPFree(webp);
}

/* --- the real pictures --------------------------------------------------------------------------------- */

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_jpg(const struct dirent *e)
{
    const size_t n = strlen(e->d_name);

    return n > 4 && strcmp(e->d_name + n - 4, ".jpg") == 0;
}

static void digest(struct sha256 *s, int h, int w, const uint8_t *pixels)
{
    const uint32_t size[2] = {(uint32_t)h, (uint32_t)w};

    sha256_update(s, size, sizeof size);
    sha256_update(s, pixels, (size_t)h * (size_t)w * 3);
}

static bool is_odd(const char *name, const struct image *img)
{
    static const struct {
        const char *name, *md5;
        enum image_format format;
    } odd[] = {
        {"Abyssinian_34.jpg", "4d82e924cda8a3a6c4ba32bcd8704562", IMAGE_GIF},
        {"Abyssinian_5.jpg", "cdc793eb44d828ff2d72fd22c24e95a2", IMAGE_PNG},
        {"Egyptian_Mau_14.jpg", "c05e3b95ee0d187175844d75d17ae5f2", IMAGE_PNG},
        {"Egyptian_Mau_156.jpg", "6eb102baf7a72feee045ca075b062688", IMAGE_PNG},
        {"Egyptian_Mau_138.jpg", "c1eb3da66d1cf6f1a9a7deeb406863eb", IMAGE_JPEG},
    };
    char md5[MD5_HEX];

    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        if (strcmp(odd[i].name, name) != 0)
            continue;
        md5_of(img->pixels, (size_t)img->height * (size_t)img->width * 3, md5);
        assert_string_equal(md5, odd[i].md5);
        assert_int_equal(img->format, odd[i].format);
        return true;
    }
    return false;
}

static void load(struct image *img, const char *folder, const char *name)
{
    char path[PATH_LEN], *bytes;
    struct err err = {0};
    size_t size;

    assert_int_equal(path_format(path, &err, "%s/%s", folder, name), 0);
    assert_int_equal(path_read(&bytes, &size, path, 1 << 30, &err), 0);
    if (image_decode(img, (const uint8_t *)bytes, size, false, &err) < 0)
        fail_msg("%s: %s", name, err.msg);
    free(bytes);
}

static void real_pictures(void **state)
{
    const char *folder = *state;
    struct image img = {0};
    struct resizer r = {0};
    struct err err = {0};
    struct dirent **list;
    struct sha256 *decoded, *presized;
    uint8_t *out = malloc(460 * 920 * 3);
    char hex[SHA256_HEX];
    int n, found = 0;

    if (!folder[0])
        skip();
    n = scandir(folder, &list, is_jpg, by_bytes);
    assert_int_equal(n, 695);
    assert_non_null(out);
    assert_int_equal(sha256_new(&decoded, &err), 0);
    assert_int_equal(sha256_new(&presized, &err), 0);
    for (int i = 0; i < n; i++) {
        struct presize p;

        load(&img, folder, list[i]->d_name);
        found += is_odd(list[i]->d_name, &img);
        digest(decoded, img.height, img.width, img.pixels);
        p = presize_plan(img.height, img.width, 460, 2.0);
        assert_int_equal(resize_bilinear(&r, out, p.height, p.width, img.pixels, img.height,
                                         img.width, p.box, &err),
                         0);
        digest(presized, p.height, p.width, out);
        free(list[i]);
    }
    assert_int_equal(found, 5);
    sha256_hex(decoded, hex);
    assert_string_equal(hex, decode_digest);
    sha256_hex(presized, hex);
    assert_string_equal(hex, presize_digest);
    sha256_free(decoded);
    sha256_free(presized);
    resizer_free(&r);
    image_free(&img);
    free(list);
    free(out);
}

/* Unpacks the real pictures into a folder of their own; "" where they are not at hand. */
static char scratch[64], pictures[128];

static int unpack(void **state)
{
    const char *shared = getenv("PRESIZE_SHARED");
    char archive[PATH_LEN], command[2 * PATH_LEN];
    struct err err = {0};

    *state = pictures;
    if (path_format(archive, &err, "%s/data/oxford-iiit-pet-mini.tgz",
                    shared ? shared : "../shared") < 0)
        return -1;
    if (!path_is_file(archive)) {
        print_message("skipped: no %s (set PRESIZE_SHARED)\n", archive);
        return 0;
    }
    snprintf(scratch, sizeof scratch, "/tmp/test_decode.XXXXXX");
    if (!mkdtemp(scratch))
        return -1;
    snprintf(command, sizeof command, "tar -xzf '%s' -C '%s' oxford-iiit-pet/images", archive,
             scratch);
    snprintf(pictures, sizeof pictures, "%s/oxford-iiit-pet/images", scratch);
    return system(command);
}

static int clean(void **state)
{
    struct err err = {0};

    (void)state;
    return scratch[0] ? path_remove_tree(scratch, &err) : 0;
}

/* --write FOLDER: one picture as .ppm, .png and .webp, without loss, for the tests of tools. */
static int write_forms(const char *folder)
{
    enum { SIDE = 64 };
    uint8_t ppm[13 + SIDE * SIDE * 3] = "P6 64 64 255\n", *rgb = ppm + 13, *webp;
    struct file forms[3] = {{ppm, sizeof ppm}};
    static const char *const endings[] = {"ppm", "png", "webp"};
    char path[PATH_LEN];
    int rc = 0;

    for (size_t i = 0; i < SIDE * SIDE * 3; i++)
        rgb[i] = (uint8_t)(i * 37 + i / 97);
    forms[1] = make_png(rgb, SIDE * SIDE * 3, SIDE, 8, SPNG_COLOR_TYPE_TRUECOLOR, 0, NULL);
    forms[2].size = WebPEncodeLosslessRGB(rgb, SIDE, SIDE, 3 * SIDE, &webp);
    forms[2].bytes = webp;
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = path_format(path, NULL, "%s/form.%s", folder, endings[i]) < 0 ||
             path_write(path, forms[i].bytes, forms[i].size, NULL) < 0;
    return rc;
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_forms),
        cmocka_unit_test(gif_screen_is_filled),
        cmocka_unit_test(webp_lossless),
        cmocka_unit_test(bmp_and_ppm),
        cmocka_unit_test(jpeg_cmyk_and_grey),
        cmocka_unit_test(exif_orientation),
        cmocka_unit_test(damaged_jpeg),
        cmocka_unit_test(mutated_files),
        cmocka_unit_test_setup_teardown(real_pictures, unpack, clean),
    };

    if (argc == 3 && strcmp(argv[1], "--write") == 0)
        return write_forms(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
