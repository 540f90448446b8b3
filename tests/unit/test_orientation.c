/* test_orientation.c - how a picture is to be turned is found wherever files bear it.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "image/decode.h"
#include "made_file.h"

/* A TIFF block with one entry: orientation VALUE of TYPE. */
static void put_exif(struct out *o, unsigned type, unsigned value, bool big)
{
    const int bytes = type == 1 || type == 6 ? 1 : type == 3 || type == 8 ? 2 : 4;

    put_text(o, big ? "MM" : "II");
    put(o, 42, 2, big);
    put(o, 8, 4, big);
    put(o, 1, 2, big);
    put(o, 0x112, 2, big);
    put(o, type, 2, big);
    put(o, 1, 4, big);
    put(o, value, bytes, big);
    put(o, 0, 4 - bytes + 4, big);
}

static const char xmp_attribute[] = "<rdf:Description tiff:Make='x' tiff:Orientation=\"5\" a='1'/>";
static const char xmp_element[] = "<tiff:Orientation>7</tiff:Orientation>";

static void put_jpeg_segment(struct out *o, const void *head, size_t n_head, const struct out *body)
{
    put(o, 0xffe1, 2, true);
    put(o, 2 + n_head + body->n, 2, true);
    memcpy(o->bytes + o->n, head, n_head);
    memcpy(o->bytes + o->n + n_head, body->bytes, body->n);
    o->n += n_head + body->n;
}

static void jpegs_say_it_in_any_integer_and_in_xmp(void **state)
{
    static const unsigned types[] = {1, 3, 4, 6, 8, 9};
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/";
    static struct out o, body;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof types / sizeof *types; i++) {
        o.n = body.n = 0;
        put(&o, 0xffd8, 2, true);
        put_exif(&body, types[i / 2], 6, i & 1);
        put_jpeg_segment(&o, "Exif\0", 6, &body);
        put(&o, 0xffd9, 2, true);
        assert_int_equal(image_orientation(o.bytes, o.n), 6);
        for (size_t cut = 0; cut < o.n; cut++) /* never beyond the end */
            (void)image_orientation(o.bytes, cut);
    }
    for (int i = 0; i < 4; i++) {
        static const int expected[] = {5, 7, 3, 1};

        o.n = body.n = 0;
        put(&o, 0xffd8, 2, true);
        put_text(&body, i ? xmp_element : xmp_attribute);
        put_jpeg_segment(&o, xmp, sizeof xmp, &body);
        body.n = 0;
        put_exif(&body, 3, i == 2 ? 3 : 1, true);
        if (i >= 2) /* EXIF comes first, wherever it stands, also where it says upright */
            put_jpeg_segment(&o, "Exif\0", 6, &body);
        put(&o, 0xffd9, 2, true);
        assert_int_equal(image_orientation(o.bytes, o.n), expected[i]);
    }
    o.n = body.n = 0; /* controls: none, an impossible one, a type that is no integer */
    put(&o, 0xffd8ffd9, 4, true);
    assert_int_equal(image_orientation(o.bytes, o.n), 1);
    for (int i = 0; i < 2; i++) {
        o.n = body.n = 0;
        put(&o, 0xffd8, 2, true);
        put_exif(&body, i ? 11 : 3, i ? 6 : 9, false);
        put_jpeg_segment(&o, "Exif\0", 6, &body);
        put(&o, 0xffd9, 2, true);
        assert_int_equal(image_orientation(o.bytes, o.n), 1);
    }
}

static void put_chunk(struct out *o, const char *type, const struct out *body)
{
    put(o, body->n, 4, true);
    put_text(o, type);
    memcpy(o->bytes + o->n, body->bytes, body->n);
    o->n += body->n;
    put(o, 0, 4, true);
}

/* As ImageMagick writes a profile: digits in lines of 72. */
static void put_profile(struct out *o, const struct out *exif)
{
    char text[32];

    snprintf(text, sizeof text, "\nexif\n%8zu\n", exif->n);
    put_text(o, text);
    for (size_t i = 0; i < exif->n; i++) {
        snprintf(text, sizeof text, i % 36 == 35 ? "%02x\n" : "%02x", exif->bytes[i]);
        put_text(o, text);
    }
}

static void pngs_say_it_in_chunks_and_profiles(void **state)
{
    static struct out o, body, exif, text;
    uLongf packed;

    (void)state;
    put_text(&exif, "Exif");
    put(&exif, 0, 2, true);
    put_exif(&exif, 3, 8, false);
    put_profile(&text, &exif);
    for (int form = 0; form < 6; form++) {
        o.n = body.n = 0;
        put_text(&o, "\x89PNG\r\n\x1a\n");
        if (form == 0) {
            put_exif(&body, 4, 8, true);
            put_chunk(&o, "eXIf", &body);
        } else if (form < 3) {
            put_text(&body, "Raw profile type exif");
            put(&body, 0, form, true);
            packed = MOST - body.n;
            if (form == 2)
                assert_int_equal(compress(body.bytes + body.n, &packed, text.bytes, text.n), Z_OK);
            else
                memcpy(body.bytes + body.n, text.bytes, packed = text.n);
            body.n += packed;
            put_chunk(&o, form == 2 ? "zTXt" : "tEXt", &body);
        } else if (form < 5) {
            put_text(&body, "XML:com.adobe.xmp");
            put(&body, form == 4 ? 0x0100 : 0, 3, true);
            put(&body, 0, 2, true);
            packed = MOST - body.n;
            if (form == 4)
                assert_int_equal(compress(body.bytes + body.n, &packed,
                                          (const Bytef *)xmp_attribute, sizeof xmp_attribute),
                                 Z_OK);
            else
                memcpy(body.bytes + body.n, xmp_attribute, packed = sizeof xmp_attribute);
            body.n += packed;
            put_chunk(&o, "iTXt", &body);
        } else {
            put_chunk(&o, "tIME", &body);
        }
        assert_int_equal(image_orientation(o.bytes, o.n), form < 3 ? 8 : form < 5 ? 5 : 1);
        for (size_t cut = 0; cut < o.n; cut++)
            (void)image_orientation(o.bytes, cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jpegs_say_it_in_any_integer_and_in_xmp),
        cmocka_unit_test(pngs_say_it_in_chunks_and_profiles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
