/* sheet.c - pictures, labels and notes drawn by cairo.
 * SPDX-License-Identifier: MIT */
#include "draw/sheet.h"

#include <cairo.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/markup.h"
#include "base/path.h"

enum { TEXT = 34, MARGIN = 8, TEXT_MAX = 256, SIDE_MAX = 16000 }; /* pixels; bytes */

struct sheet {
    cairo_surface_t *surface;
    cairo_t *cairo;
    int n, columns, side;
};

int sheet_new(struct sheet **out, int n, int columns, int side_px, struct err *err)
{
    struct sheet *s;
    int width, height;

    *out = NULL;
    BUG_IF(n < 1 || columns < 1 || side_px < 1);
    columns = n < columns ? n : columns;
    width = MARGIN + columns * (side_px + MARGIN);
    height = MARGIN + (n + columns - 1) / columns * (side_px + TEXT + MARGIN);
    if (width > SIDE_MAX || height > SIDE_MAX)
        return err_set(err, ERR_INPUT, "a sheet of %d x %d pixels is too large", width, height);
    s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ERR_NOMEM, "contact sheet: %zu bytes", sizeof *s);
    s->n = n;
    s->columns = columns;
    s->side = side_px;
    s->surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    s->cairo = cairo_create(s->surface);
    if (cairo_status(s->cairo) != CAIRO_STATUS_SUCCESS) {
        sheet_free(s);
        return err_set(err, ERR_NOMEM, "contact sheet: %d x %d pixels", width, height);
    }
    cairo_set_source_rgb(s->cairo, 1, 1, 1);
    cairo_paint(s->cairo);
    cairo_select_font_face(s->cairo, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
                           CAIRO_FONT_WEIGHT_NORMAL);
    *out = s;
    return 0;
}

/* The pixels as cairo wants them: native-endian 0xffRRGGBB. NULL when cairo is out of memory. */
static cairo_surface_t *surface_of(const uint8_t *pixels, int height, int width)
{
    cairo_surface_t *s = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    uint8_t *data;
    size_t pitch;

    if (cairo_surface_status(s) != CAIRO_STATUS_SUCCESS) {
        cairo_surface_destroy(s);
        return NULL;
    }
    cairo_surface_flush(s);
    data = cairo_image_surface_get_data(s);
    pitch = (size_t)cairo_image_surface_get_stride(s);
    for (size_t y = 0; y < (size_t)height; y++)
        for (size_t x = 0; x < (size_t)width; x++, pixels += 3) {
            const uint32_t v = 0xff000000u | (uint32_t)pixels[0] << 16 | (uint32_t)pixels[1] << 8 |
                               (uint32_t)pixels[2];

            memcpy(data + y * pitch + 4 * x, &v, sizeof v);
        }
    cairo_surface_mark_dirty(s);
    return s;
}

static void draw_text(struct sheet *s, double x, double y, double size, double grey,
                      const char *text)
{
    char shown[TEXT_MAX];
    cairo_text_extents_t extents;

    markup_clean(shown, sizeof shown, text);
    cairo_set_source_rgb(s->cairo, grey, grey, grey);
    cairo_set_font_size(s->cairo, size);
    for (size_t n = strlen(shown); n > 0; n--) {
        cairo_text_extents(s->cairo, shown, &extents);
        if (extents.x_advance <= s->side)
            break;
        markup_clean(shown, n, text); /* at most n - 1 bytes */
    }
    cairo_move_to(s->cairo, x, y);
    cairo_show_text(s->cairo, shown);
}

int sheet_put(struct sheet *s, int cell, const uint8_t *pixels, int height, int width,
              const char *label, const char *note, struct err *err)
{
    const double x = MARGIN + cell % s->columns * (s->side + MARGIN);
    const double y = MARGIN + cell / s->columns * (s->side + TEXT + MARGIN);
    const double scale = (double)s->side / (width > height ? width : height);
    cairo_surface_t *picture;

    BUG_IF(cell < 0 || cell >= s->n || height < 1 || width < 1);
    picture = surface_of(pixels, height, width);
    if (!picture)
        return err_set(err, ERR_NOMEM, "contact sheet: a picture of %d x %d pixels", width, height);
    cairo_save(s->cairo);
    cairo_translate(s->cairo, x + (s->side - width * scale) / 2,
                    y + (s->side - height * scale) / 2);
    cairo_scale(s->cairo, scale, scale);
    cairo_set_source_surface(s->cairo, picture, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(s->cairo),
                             scale < 1 ? CAIRO_FILTER_GOOD : CAIRO_FILTER_NEAREST);
    cairo_rectangle(s->cairo, 0, 0, width, height);
    cairo_fill(s->cairo);
    cairo_restore(s->cairo);
    cairo_surface_destroy(picture);
    draw_text(s, x, y + s->side + 14, 13, 0, label);
    draw_text(s, x, y + s->side + 27, 9.5, 0.45, note);
    if (cairo_status(s->cairo) != CAIRO_STATUS_SUCCESS)
        return err_set(err, ERR_NOMEM, "contact sheet: %s",
                       cairo_status_to_string(cairo_status(s->cairo)));
    return 0;
}

static cairo_status_t append(void *file, const unsigned char *data, unsigned size)
{
    return fwrite(data, 1, size, file) == size ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

int sheet_check_path(const char *path, struct err *err)
{
    const char *dot = strrchr(path_base(path), '.');

    if (dot && strcasecmp(dot, ".png") == 0)
        return 0;
    return err_set(err, ERR_INPUT, "%s: the sheet is written as PNG: give a name that ends in .png",
                   path);
}

int sheet_write(struct sheet *s, const char *path, struct err *err)
{
    struct new_file f;
    cairo_status_t status;

    if (sheet_check_path(path, err) < 0 || new_file_begin(&f, path, err) < 0)
        return -1;
    status = cairo_surface_write_to_png_stream(s->surface, append, f.file);
    if (status != CAIRO_STATUS_SUCCESS && !ferror(f.file)) {
        new_file_abort(&f);
        return err_set(err, ERR_IO, "cannot write %s: %s", path, cairo_status_to_string(status));
    }
    return new_file_finish(&f, err);
}

void sheet_free(struct sheet *s)
{
    if (!s)
        return;
    if (s->cairo)
        cairo_destroy(s->cairo);
    if (s->surface)
        cairo_surface_destroy(s->surface);
    free(s);
}
