/* test_formats.c - TIFF, BMP and PPM of many forms give Pillow's pixels; formats that are not decoded are
 * pictures all the same.
 *
 * The files are made by the rules of tests/oracle/formats.py, which printed the tables: the first 16 digits of the
 * SHA-256 over height, width (uint32, little-endian) and pixels as Pillow 13.0 converts them.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include "base/hash.h"
#include "base/path.h"
#include "image/decode.h"
#include "made_file.h"

enum { W = 24, H = 19 };

static uint8_t made(size_t i)
{
    return (uint8_t)((uint64_t)i * 2654435761u >> 11);
}

static void put_made(struct out *o, size_t n, size_t start)
{
    for (size_t i = 0; i < n; i++)
        o->bytes[o->n++] = made(start + i);
}

static void expect_digest(const struct out *o, const char *digest, const char *what, size_t row)
{
    struct image img = {0};
    struct err err = {0};
    struct sha256 *sha;
    char hex[SHA256_HEX];

    if (image_decode(&img, o->bytes, o->n, false, &err) < 0)
        fail_msg("%s %zu: %s", what, row, err.msg);
    assert_int_equal(sha256_new(&sha, &err), 0);
    sha256_update(sha, &img.height, 4);
    sha256_update(sha, &img.width, 4);
    sha256_update(sha, img.pixels, (size_t)img.height * (size_t)img.width * 3);
    sha256_hex(sha, hex);
    sha256_free(sha);
    if (strncmp(hex, digest, 16) != 0)
        fail_msg("%s %zu: %.16s, not %s", what, row, hex, digest);
    for (size_t cut = 1; cut < o->n;
         cut += o->n / 7) { /* no beginning of it is a picture, or crashes */
        struct err ignored = {0};

        (void)!image_decode(&img, o->bytes, o->n - cut, false, &ignored);
    }
    image_free(&img);
}

/* --- TIFF --- */

struct form {
    int depth, samples, photometric, planar, format, extra, big, tile, lsb;
};

struct tag {
    unsigned number, type;
    size_t n;
    uint32_t values[1024];
};

static void put_tags(struct out *o, struct tag *tags, size_t n, bool big)
{
    const size_t ifd = o->n;
    size_t more = ifd + 2 + 12 * n + 4;

    put(o, n, 2, big);
    for (size_t t = 0; t < n; t++) {
        const int each = tags[t].type == 3 ? 2 : 4;
        const size_t bytes = tags[t].n * (size_t)each, here = o->n + 12;

        put(o, tags[t].number, 2, big);
        put(o, tags[t].type, 2, big);
        put(o, tags[t].n, 4, big);
        if (bytes > 4)
            put(o, more, 4, big);
        if (bytes > 4)
            o->n = more;
        for (size_t i = 0; i < tags[t].n; i++)
            put(o, tags[t].values[i], each, big);
        if (bytes > 4)
            more = o->n;
        memset(o->bytes + o->n, 0, bytes < 4 ? 4 - bytes : 0);
        o->n = here;
    }
    put(o, 0, 4, big);
    o->n = more;
}

struct tags {
    struct tag of[20];
    size_t n;
};

/* N values from FIRST on, each STEP more than the one before. */
static void add_tag(struct tags *t, unsigned number, unsigned type, size_t n, size_t first,
                    size_t step)
{
    struct tag *tag = &t->of[t->n++];

    *tag = (struct tag){.number = number, .type = type, .n = n};
    for (size_t i = 0; i < n; i++)
        tag->values[i] = (uint32_t)(first + i * step);
}

/* Where the PARTS of SIZE bytes each are, and of how many SAMPLES a pixel: strips, or tiles. Tags go by number. */
static void add_parts(struct tags *t, bool tiles, size_t parts, size_t size, size_t samples)
{
    if (tiles) {
        add_tag(t, 322, 4, 1, 16, 0);
        add_tag(t, 323, 4, 1, 16, 0);
        add_tag(t, 324, 4, parts, 8, size);
        add_tag(t, 325, 4, parts, size, 0);
        return;
    }
    add_tag(t, 273, 4, parts, 8, size);
    add_tag(t, 277, 3, 1, samples, 0);
    add_tag(t, 278, 4, 1, H, 0);
    add_tag(t, 279, 4, parts, size, 0);
}

static void make_tiff(struct out *o, const struct form *f)
{
    static struct tags t;
    const size_t samples = (size_t)f->samples, depth = (size_t)f->depth;
    const size_t planes = f->planar == 2 ? samples : 1, each = f->planar == 2 ? 1 : samples;
    const size_t across = (W + 15) / 16, down = (H + 15) / 16;
    const size_t size = f->tile ? 16 * depth * each / 8 * 16 : (W * depth * each + 7) / 8 * H;
    const size_t parts = f->tile ? across * down * planes : planes;

    memset(o, 0, sizeof *o);
    t.n = 0;
    put_text(o, f->big ? "MM" : "II");
    put(o, 42, 2, f->big);
    put(o, 8 + size * parts, 4, f->big);
    put_made(o, size * parts, 0);
    add_tag(&t, 256, 4, 1, W, 0);
    add_tag(&t, 257, 4, 1, H, 0);
    add_tag(&t, 258, 3, samples, depth, 0);
    add_tag(&t, 259, 3, 1, 1, 0);
    add_tag(&t, 262, 3, 1, (size_t)f->photometric, 0);
    if (f->lsb)
        add_tag(&t, 266, 3, 1, 2, 0);
    if (f->tile)
        add_tag(&t, 277, 3, 1, samples, 0);
    else
        add_parts(&t, false, parts, size, samples);
    add_tag(&t, 284, 3, 1, (size_t)f->planar, 0);
    if (f->photometric == 3) {
        add_tag(&t, 320, 3, (size_t)3 << depth, 0, 0);
        for (size_t i = 0; i < (size_t)3 << depth; i++)
            t.of[t.n - 1].values[i] = made(7 + i) * 257u % 65536;
    }
    if (f->tile)
        add_parts(&t, true, parts, size, samples);
    if (f->extra >= 0)
        add_tag(&t, 338, 3, 1, (size_t)f->extra, 0);
    add_tag(&t, 339, 3, samples, (size_t)f->format, 0);
    put_tags(o, t.of, t.n, f->big);
}

static const struct {
    struct form form;
    const char *digest;
} tiffs[] = {
    // clang-format off
    {{1, 1, 0, 1, 1, -1, 0, 0, 0}, "21e8dbd4c4c48120"},
    {{1, 1, 0, 1, 1, -1, 1, 0, 0}, "21e8dbd4c4c48120"},
    {{2, 1, 0, 1, 1, -1, 0, 0, 0}, "5e8683fe82270f99"},
    {{2, 1, 0, 1, 1, -1, 1, 0, 0}, "5e8683fe82270f99"},
    {{4, 1, 0, 1, 1, -1, 0, 0, 0}, "2fac6aa3adc6e435"},
    {{4, 1, 0, 1, 1, -1, 1, 0, 0}, "2fac6aa3adc6e435"},
    {{8, 1, 0, 1, 1, -1, 0, 0, 0}, "173c4a9b06f1df34"},
    {{8, 1, 0, 1, 1, -1, 1, 0, 0}, "173c4a9b06f1df34"},
    {{1, 1, 1, 1, 1, -1, 0, 0, 0}, "945f89106b93bf62"},
    {{1, 1, 1, 1, 1, -1, 1, 0, 0}, "945f89106b93bf62"},
    {{2, 1, 1, 1, 1, -1, 0, 0, 0}, "b8c3f404602dde0a"},
    {{2, 1, 1, 1, 1, -1, 1, 0, 0}, "b8c3f404602dde0a"},
    {{4, 1, 1, 1, 1, -1, 0, 0, 0}, "856c8ca34ad1fce0"},
    {{4, 1, 1, 1, 1, -1, 1, 0, 0}, "856c8ca34ad1fce0"},
    {{8, 1, 1, 1, 1, -1, 0, 0, 0}, "1c7a70de8877adaa"},
    {{8, 1, 1, 1, 1, -1, 1, 0, 0}, "1c7a70de8877adaa"},
    {{16, 1, 1, 1, 1, -1, 0, 0, 0}, "ec7e2368ca107107"},
    {{16, 1, 1, 1, 1, -1, 1, 0, 0}, "aefe67393f1e5bae"},
    {{16, 1, 1, 1, 2, -1, 0, 0, 0}, "bf306d6a4b352cc0"},
    {{16, 1, 1, 1, 2, -1, 1, 0, 0}, "869b5962a344237e"},
    {{32, 1, 1, 1, 2, -1, 0, 0, 0}, "b99313c312141a04"},
    {{32, 1, 1, 1, 2, -1, 1, 0, 0}, "4073ceb348d8d31a"},
    {{32, 1, 1, 1, 3, -1, 0, 0, 0}, "78030d7366febf31"},
    {{32, 1, 1, 1, 3, -1, 1, 0, 0}, "2a63b0a60e05c000"},
    {{8, 3, 2, 1, 1, -1, 0, 0, 0}, "bb69a5309072439c"},
    {{8, 3, 2, 1, 1, -1, 1, 0, 0}, "bb69a5309072439c"},
    {{8, 3, 2, 2, 1, -1, 0, 0, 0}, "3c5d20dda6337aa0"},
    {{8, 3, 2, 2, 1, -1, 1, 0, 0}, "3c5d20dda6337aa0"},
    {{16, 3, 2, 1, 1, -1, 0, 0, 0}, "c7e3e4fa67f3df9a"},
    {{16, 3, 2, 1, 1, -1, 1, 0, 0}, "28a05f2e1c3a6b23"},
    {{8, 4, 2, 1, 1, 0, 0, 0, 0}, "1070f67a9519b2c9"},
    {{8, 4, 2, 1, 1, 1, 0, 0, 0}, "a84426c90811ffff"},
    {{8, 4, 2, 1, 1, 2, 0, 0, 0}, "1070f67a9519b2c9"},
    {{16, 4, 2, 1, 1, 1, 0, 0, 0}, "ea005279745b07a5"},
    {{8, 2, 1, 1, 1, 2, 0, 0, 0}, "27dfed70c5fc076d"},
    {{8, 4, 5, 1, 1, -1, 0, 0, 0}, "aa6f868fb8c12a3f"},
    {{16, 4, 5, 1, 1, -1, 0, 0, 0}, "13498cf1c3a536d6"},
    {{1, 1, 3, 1, 1, -1, 0, 0, 0}, "4c13ce34218d5c15"},
    {{2, 1, 3, 1, 1, -1, 0, 0, 0}, "23df30fdfa3859d9"},
    {{4, 1, 3, 1, 1, -1, 0, 0, 0}, "41177c870a557c32"},
    {{8, 1, 3, 1, 1, -1, 0, 0, 0}, "d5888e10d856c3d7"},
    {{8, 3, 2, 1, 1, -1, 0, 1, 0}, "4b8cc7fe42570feb"},
    {{8, 3, 2, 2, 1, -1, 0, 1, 0}, "845478ddcee9485b"},
    {{4, 1, 1, 1, 1, -1, 0, 1, 0}, "0e21f67953831ccb"},
    {{1, 1, 1, 1, 1, -1, 0, 0, 1}, "a1ff306bd04057c1"},
    // clang-format on
};

static void tiffs_are_pillows(void **state)
{
    static struct out o;

    (void)state;
    for (size_t i = 0; i < sizeof tiffs / sizeof *tiffs; i++) {
        make_tiff(&o, &tiffs[i].form);
        expect_digest(&o, tiffs[i].digest, "TIFF", i);
    }
}

static void odd_tiffs_are_refused_by_name(void **state)
{
    static const struct {
        struct form form;
        const char *says;
    } bad[] = {{{8, 3, 8, 1, 1, -1, 0, 0, 0}, "L*a*b*"},
               {{16, 1, 32803, 1, 1, -1, 0, 0, 0}, "raw file"},
               {{12, 1, 1, 1, 1, -1, 0, 0, 0}, "not understood"},
               {{64, 1, 1, 1, 3, -1, 0, 0, 0}, "not understood"}};
    static struct out o;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct image img = {0};
        struct err err = {0};

        make_tiff(&o, &bad[i].form);
        assert_int_equal(image_decode(&img, o.bytes, o.n, false, &err), -1);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("no '%s' in: %s", bad[i].says, err.msg);
        image_free(&img);
    }
}

/* --- BMP and PPM --- */

static void put_runs(struct out *o, int depth)
{
    for (int y = 0; y < H; y++) {
        put(o, depth == 8 ? 11 : 10, 1, false);
        put(o, (uint64_t)y * 7, 1, false);
        put(o, depth == 8 ? 0x500 : 0x600, 2, false);
        put_made(o, depth == 8 ? 5 : 3, (size_t)y);
        put(o, 0, 1, false);
        put(o, 8, 1, false);
        put(o, (uint64_t)y, 1, false);
        put(o, 0, 2, false);
    }
    put(o, 0x100, 2, false);
}

static void make_bmp(struct out *o, int depth, int compression, bool core, const uint32_t *masks)
{
    static struct out body;
    const size_t colours = depth <= 8 ? (size_t)(core ? 3 : 4) << depth : 0;
    const size_t middle = masks[0] ? 12 : 0;
    const size_t offset = 14 + (core ? 12u : 40u) + middle + colours;

    body.n = o->n = 0;
    if (compression == 1 || compression == 2)
        put_runs(&body, depth);
    else
        put_made(&body, (W * (size_t)depth + 31) / 32 * 4 * H, 0);
    put_text(o, "BM");
    put(o, offset + body.n, 4, false);
    put(o, 0, 4, false);
    put(o, offset, 4, false);
    put(o, core ? 12 : 40, 4, false);
    put(o, W, core ? 2 : 4, false);
    put(o, H, core ? 2 : 4, false);
    put(o, 1, 2, false);
    put(o, (uint64_t)depth, 2, false);
    if (!core) {
        put(o, (uint64_t)compression, 4, false);
        put(o, body.n, 4, false);
        put(o, 0, 8, false);
        put(o, 0, 8, false);
    }
    for (size_t i = 0; i < middle / 4; i++)
        put(o, masks[i], 4, false);
    put_made(o, colours, 99);
    memcpy(o->bytes + o->n, body.bytes, body.n);
    o->n += body.n;
}

static const struct {
    int depth, compression, core;
    uint32_t masks[3];
    const char *digest;
} bmps[] = {
    // clang-format off
    {1, 0, 0, {0x0, 0x0, 0x0}, "ec9809f8aeab9657"},
    {1, 0, 1, {0x0, 0x0, 0x0}, "df75c9d22d726041"},
    {4, 0, 0, {0x0, 0x0, 0x0}, "0d14d73592da4596"},
    {4, 0, 1, {0x0, 0x0, 0x0}, "b25e63acee92edc5"},
    {8, 0, 0, {0x0, 0x0, 0x0}, "3d41f67f371ff266"},
    {8, 0, 1, {0x0, 0x0, 0x0}, "7dc40527539eb046"},
    {24, 0, 0, {0x0, 0x0, 0x0}, "5ba1922c72984d17"},
    {24, 0, 1, {0x0, 0x0, 0x0}, "5ba1922c72984d17"},
    {16, 0, 0, {0x0, 0x0, 0x0}, "b4c7ded5bc4060bd"},
    {32, 0, 0, {0x0, 0x0, 0x0}, "f4086c1938627988"},
    {16, 3, 0, {0xf800, 0x7e0, 0x1f}, "6c178b25b40060f1"},
    {16, 3, 0, {0x7c00, 0x3e0, 0x1f}, "b4c7ded5bc4060bd"},
    {32, 3, 0, {0xff0000, 0xff00, 0xff}, "f4086c1938627988"},
    {32, 3, 0, {0xff000000, 0xff0000, 0xff00}, "10d1a0519724e7e6"},
    {8, 1, 0, {0x0, 0x0, 0x0}, "ce60c4f593556a75"},
    {4, 2, 0, {0x0, 0x0, 0x0}, "0975569ae50360ce"},
    // clang-format on
};

static void bmps_are_pillows(void **state)
{
    static struct out o;

    (void)state;
    for (size_t i = 0; i < sizeof bmps / sizeof *bmps; i++) {
        make_bmp(&o, bmps[i].depth, bmps[i].compression, bmps[i].core, bmps[i].masks);
        expect_digest(&o, bmps[i].digest, "BMP", i);
    }
}

static void make_ppm(struct out *o, int kind, unsigned most)
{
    const size_t n = (size_t)W * H * (kind == 3 || kind == 6 ? 3 : 1);
    char text[64];

    o->n = 0;
    snprintf(text, sizeof text, "P%d\n# made\n%d %d\n", kind, W, H);
    put_text(o, text);
    if (kind != 1 && kind != 4) {
        snprintf(text, sizeof text, "%u\n", most);
        put_text(o, text);
    }
    if (kind == 4)
        put_made(o, W / 8 * H, 0);
    for (size_t i = 0; kind != 4 && i < n; i++) {
        const unsigned v = (made(i) * 257u + 3) % (most + 1);

        if (kind > 3) {
            put(o, v, most > 255 ? 2 : 1, true);
            continue;
        }
        snprintf(text, sizeof text, kind == 1 ? "%u" : "%u ", kind == 1 ? made(i) & 1u : v);
        put_text(o, text);
    }
}

static const struct {
    int kind;
    unsigned most;
    const char *digest;
} ppms[] = {
    // clang-format off
    {1, 1, "b01022f4a5ee63a7"},
    {4, 1, "21e8dbd4c4c48120"},
    {2, 100, "357f6c0555ee3022"},
    {2, 255, "2f7772a72f52cd83"},
    {2, 4095, "115de45f0e8ad637"},
    {2, 65535, "8e12e64972281020"},
    {3, 100, "02e581be6f701bba"},
    {3, 255, "e73fcdeb7133d9f6"},
    {3, 4095, "37909d4810f14ffc"},
    {3, 65535, "dab639aca5919107"},
    {5, 100, "357f6c0555ee3022"},
    {5, 255, "2f7772a72f52cd83"},
    {5, 4095, "115de45f0e8ad637"},
    {5, 65535, "8e12e64972281020"},
    {6, 100, "02e581be6f701bba"},
    {6, 255, "e73fcdeb7133d9f6"},
    {6, 4095, "37909d4810f14ffc"},
    {6, 65535, "dab639aca5919107"},
    // clang-format on
};

static void ppms_are_pillows(void **state)
{
    static struct out o;

    (void)state;
    for (size_t i = 0; i < sizeof ppms / sizeof *ppms; i++) {
        make_ppm(&o, ppms[i].kind, ppms[i].most);
        expect_digest(&o, ppms[i].digest, "PPM", i);
    }
}

/* --- animated WebP, formats by name, pipes --- */

static void of_an_animation_the_first_frame_is_taken(void **state)
{
    static uint8_t rgb[2][8 * 6 * 3];
    WebPMux *mux = WebPMuxNew();
    WebPMuxAnimParams params = {.bgcolor = 0xffffffff};
    WebPData all = {NULL, 0};
    struct image img = {0};
    struct err err = {0};

    (void)state;
    assert_non_null(mux);
    for (int f = 0; f < 2; f++) {
        WebPMuxFrameInfo info = {.id = WEBP_CHUNK_ANMF, .duration = 100};
        uint8_t *out = NULL;

        for (size_t i = 0; i < sizeof rgb[f]; i++)
            rgb[f][i] = made(i + 1000 * (size_t)f);
        info.bitstream.size = WebPEncodeLosslessRGB(rgb[f], 8, 6, 24, &out);
        info.bitstream.bytes = out;
        assert_int_equal(WebPMuxPushFrame(mux, &info, 1), WEBP_MUX_OK);
        WebPFree(out);
    }
    assert_int_equal(WebPMuxSetAnimationParams(mux, &params), WEBP_MUX_OK);
    assert_int_equal(WebPMuxAssemble(mux, &all), WEBP_MUX_OK);
    assert_int_equal(image_decode(&img, all.bytes, all.size, false, &err), 0);
    assert_int_equal(img.height, 6);
    assert_int_equal(img.width, 8);
    assert_true(img.more);
    assert_memory_equal(img.pixels, rgb[0], sizeof rgb[0]);
    assert_int_equal(image_decode(&img, all.bytes, all.size / 2, false, &err), -1);
    WebPDataClear(&all);
    WebPMuxDelete(mux);
    image_free(&img);
}

static void what_is_a_picture_is_told_by_bytes_or_name(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t n;
        int picture;
        const char *says; /* of decoding it */
    } cases[] = {
        {"a.txt", "\0\0\0\x0cjP  \r\n\x87\n", 12, 1, "JPEG 2000"},
        {"b", "8BPS", 4, 1, "Photoshop"},
        {"c.bin",
         "\0\0\0\x18"
         "ftypheic\0\0\0\0mif1heic",
         24, 1, "HEIC"},
        {"d.bin",
         "\0\0\0\x1c"
         "ftypmif1\0\0\0\0mif1avifmiaf",
         28, 1, "AVIF"},
        {"e.CR2", "II*\0\x10\0\0\0CR\2\0", 12, 1, "camera raw"},
        {"f.tga", "xx", 2, 1, "no known format"},
        {"g.JPEG", "", 0, 1, "empty"},
        {"h.ico", "\0\0\1\0", 4, 1, "no known format"},
        {"i.txt", "P5 is a class", 13, 0, NULL},
        {"j.mat", "MATLAB 5.0", 10, 0, NULL},
        {"k.mp4",
         "\0\0\0\x18"
         "ftypisom\0\0\0\0isomiso2",
         24, 0, NULL},
        {"l.csv", "path,label\n", 11, 0, NULL},
    };
    char folder[] = "/tmp/test_formats.XXXXXX", path[PATH_LEN];
    struct err err = {0};

    (void)state;
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct image img = {0};

        assert_int_equal(path_format(path, &err, "%s/%s", folder, cases[i].name), 0);
        assert_int_equal(path_write(path, cases[i].bytes, cases[i].n, &err), 0);
        if (image_is_picture(path, NULL) != cases[i].picture)
            fail_msg("%s: not %d", cases[i].name, cases[i].picture);
        assert_int_equal(
            image_decode(&img, (const uint8_t *)cases[i].bytes, cases[i].n, false, &err), -1);
        if (cases[i].says && !strstr(err.msg, cases[i].says))
            fail_msg("no '%s' in: %s", cases[i].says, err.msg);
        image_free(&img);
    }
    assert_int_equal(path_format(path, &err, "%s/pipe.jpg", folder), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(image_is_picture(path, NULL), 0); /* and does not wait */
    assert_int_equal(path_remove_tree(folder, &err), 0);
}

static void every_format_has_a_row(void **state)
{
    (void)state;
    for (int f = IMAGE_UNKNOWN + 1; f < IMAGE_FORMATS; f++) {
        const char *type = image_media_type((enum image_format)f);

        assert_string_not_equal(image_format_name((enum image_format)f), "unknown");
        assert_non_null(type);
        assert_memory_equal(type, "image/", 6);
    }
    assert_null(image_media_type(IMAGE_UNKNOWN)); /* the control */
}

static void old_sets_keep_their_decoders_line(void **state)
{
    char base[256];

    (void)state;
    snprintf(base, sizeof base, "%s", image_decoder_version(0));
    assert_non_null(strstr(base, "giflib"));
    assert_null(strstr(base, "libtiff"));
    assert_string_equal(image_decoder_version(1u << IMAGE_JPEG | 1u << IMAGE_PPM), base);
    assert_non_null(strstr(image_decoder_version(1u << IMAGE_TIFF), ", libtiff 4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiffs_are_pillows),
        cmocka_unit_test(odd_tiffs_are_refused_by_name),
        cmocka_unit_test(bmps_are_pillows),
        cmocka_unit_test(ppms_are_pillows),
        cmocka_unit_test(of_an_animation_the_first_frame_is_taken),
        cmocka_unit_test(what_is_a_picture_is_told_by_bytes_or_name),
        cmocka_unit_test(every_format_has_a_row),
        cmocka_unit_test(old_sets_keep_their_decoders_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
