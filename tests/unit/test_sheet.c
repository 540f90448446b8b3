/* test_sheet.c - a contact sheet read back: where each picture lies and that its pixels are its own.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/path.h"
#include "draw/sheet.h"
#include "image/decode.h"

enum { SIDE = 40, MARGIN = 8, TEXT = 34 };

static char folder[] = "/tmp/presize-sheet-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    struct err err;

    (void)state;
    return path_remove_tree(folder, &err);
}

static void read_png(struct image *image, const char *path)
{
    struct err err = {0};
    char *bytes;
    size_t size;

    assert_int_equal(path_read(&bytes, &size, path, 1 << 24, &err), 0);
    *image = (struct image){0};
    assert_int_equal(image_decode(image, (const uint8_t *)bytes, size, false, &err), 0);
    free(bytes);
}

static const uint8_t *at(const struct image *image, int x, int y)
{
    return image->pixels + 3 * ((size_t)y * (size_t)image->width + (size_t)x);
}

static void is(const struct image *image, int x, int y, uint8_t r, uint8_t g, uint8_t b)
{
    const uint8_t want[3] = {r, g, b};

    assert_memory_equal(at(image, x, y), want, 3);
}

static int dark_pixels(const struct image *image, int x0, int y0, int width, int height)
{
    int n = 0;

    for (int y = y0; y < y0 + height; y++)
        for (int x = x0; x < x0 + width; x++)
            n += at(image, x, y)[0] < 128;
    return n;
}

static void pictures_lie_in_their_cells(void **state)
{
    const uint8_t small[] = {10, 20, 30, 40, 50, 60}; /* 1 x 2 */
    uint8_t exact[SIDE * SIDE * 3];
    const int pitch = SIDE + MARGIN, row = SIDE + TEXT + MARGIN;
    struct image image;
    struct sheet *s;
    struct err err = {0};
    char path[PATH_LEN];

    (void)state;
    for (size_t i = 0; i < sizeof exact; i++)
        exact[i] = (uint8_t)(i * 37);
    assert_int_equal(path_format(path, &err, "%s/sheet.png", folder), 0);
    assert_int_equal(sheet_new(&s, 4, 3, SIDE, &err), 0);
    assert_int_equal(sheet_put(s, 0, exact, SIDE, SIDE, "", "", &err), 0);
    assert_int_equal(sheet_put(s, 2, small, 1, 2, "label", "", &err), 0);
    assert_int_equal(sheet_put(s, 3, small, 2, 1, "", "a note", &err), 0);
    assert_int_equal(sheet_write(s, path, &err), 0);
    sheet_free(s);
    read_png(&image, path);
    assert_int_equal(image.width, MARGIN + 3 * pitch);
    assert_int_equal(image.height, MARGIN + 2 * row);
    for (int y = 0; y < SIDE; y++) /* as large as the cell: every pixel as it is */
        assert_memory_equal(at(&image, MARGIN, MARGIN + y), exact + y * SIDE * 3, SIDE * 3);
    is(&image, MARGIN + pitch + SIDE / 2, MARGIN + SIDE / 2, 255, 255, 255); /* left empty */
    is(&image, MARGIN + 2 * pitch, MARGIN + SIDE / 2, 10, 20, 30);           /* grown, in squares */
    is(&image, MARGIN + 2 * pitch + SIDE / 2 - 1, MARGIN + SIDE / 2, 10, 20, 30);
    is(&image, MARGIN + 2 * pitch + SIDE / 2, MARGIN + SIDE / 2, 40, 50, 60);
    is(&image, MARGIN + 2 * pitch, MARGIN + SIDE / 4 - 1, 255, 255, 255); /* centred */
    is(&image, MARGIN + SIDE / 2, MARGIN + row, 10, 20, 30);
    is(&image, MARGIN + SIDE / 4 - 1, MARGIN + row, 255, 255, 255);
    assert_true(dark_pixels(&image, MARGIN + 2 * pitch, MARGIN + SIDE, SIDE, TEXT) > 10);
    assert_int_equal(dark_pixels(&image, MARGIN, MARGIN + SIDE, SIDE, TEXT), 0);
    image_free(&image);
}

static void text_stays_below_its_picture(void **state)
{
    const uint8_t white[] = {255, 255, 255};
    char text[600];
    struct image image;
    struct sheet *s;
    struct err err = {0};
    char path[PATH_LEN];

    (void)state;
    memset(text, 'W', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_int_equal(path_format(path, &err, "%s/text.png", folder), 0);
    assert_int_equal(sheet_new(&s, 2, 2, SIDE, &err), 0);
    assert_int_equal(sheet_put(s, 0, white, 1, 1, text, text, &err), 0);
    /* letters of two bytes, where a cut in the middle of one would be refused by cairo; no UTF-8 */
    assert_int_equal(sheet_put(s, 0, white, 1, 1,
                               "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", "\xff\xfe",
                               &err),
                     0);
    assert_int_equal(sheet_write(s, path, &err), 0);
    sheet_free(s);
    read_png(&image, path);
    assert_true(dark_pixels(&image, MARGIN, MARGIN + SIDE, SIDE, TEXT) > 10);
    assert_int_equal(dark_pixels(&image, MARGIN + SIDE + 2, 0, SIDE, image.height), 0);
    image_free(&image);
}

static void a_folder_that_is_not_there(void **state)
{
    struct sheet *s;
    struct err err = {0};

    (void)state;
    assert_int_equal(sheet_new(&s, 1, 1, SIDE, &err), 0);
    assert_true(sheet_write(s, "/tmp/presize/no/such/folder/sheet.png", &err) < 0);
    assert_int_equal(err.kind, ERR_IO);
    sheet_free(s);
    assert_true(sheet_new(&s, 10000, 1, 512, &err) < 0);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_null(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_lie_in_their_cells),
        cmocka_unit_test(text_stays_below_its_picture),
        cmocka_unit_test(a_folder_that_is_not_there),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
