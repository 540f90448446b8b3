/* contact.c - prep --show: presized pictures on one sheet, each with its label, as a PNG by cairo.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include <cairo.h>

#include "base/log.h"
#include "prep.h"

enum { COLUMNS = 6, ROWS = 4, CELL = 180, TEXT = 34, MARGIN = 8 };

/* The pixels as cairo wants them: native-endian 0xffRRGGBB. NULL when cairo is out of memory. */
static cairo_surface_t *surface_of(const struct picture *c)
{
    cairo_surface_t *s =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, c->plan.width, c->plan.height);
    uint8_t *data;
    size_t pitch;

    if (cairo_surface_status(s) != CAIRO_STATUS_SUCCESS) {
        cairo_surface_destroy(s);
        return NULL;
    }
    cairo_surface_flush(s);
    data = cairo_image_surface_get_data(s);
    pitch = (size_t)cairo_image_surface_get_stride(s);
    for (size_t y = 0; y < (size_t)c->plan.height; y++) {
        const uint8_t *in = c->pixels + y * (size_t)c->plan.width * 3;

        for (size_t x = 0; x < (size_t)c->plan.width; x++, in += 3) {
            const uint32_t v =
                0xff000000u | (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | (uint32_t)in[2];

            memcpy(data + y * pitch + 4 * x, &v, sizeof v);
        }
    }
    cairo_surface_mark_dirty(s);
    return s;
}

static void draw_text(cairo_t *cr, double x, double y, double size, const char *text)
{
    char shown[128];
    cairo_text_extents_t e;

    snprintf(shown, sizeof shown, "%s", text);
    cairo_set_font_size(cr, size);
    for (size_t n = strlen(shown); n > 0; n--) {
        cairo_text_extents(cr, shown, &e);
        if (e.x_advance <= CELL)
            break;
        shown[n - 1] = 0;
    }
    cairo_move_to(cr, x, y);
    cairo_show_text(cr, shown);
}

static int draw_cell(cairo_t *cr, const struct picture *c, const char *label, const char *path,
                     int cell, struct err *err)
{
    const double x = MARGIN + (cell % COLUMNS) * (CELL + MARGIN);
    const double y = MARGIN + (cell / COLUMNS) * (CELL + TEXT + MARGIN);
    const int longer = c->plan.width > c->plan.height ? c->plan.width : c->plan.height;
    const double scale = (double)CELL / longer;
    cairo_surface_t *s = surface_of(c);

    if (!s)
        return err_set(err, ERR_NOMEM, "out of memory for the contact sheet");
    cairo_save(cr);
    cairo_translate(cr, x + (CELL - c->plan.width * scale) / 2,
                    y + (CELL - c->plan.height * scale) / 2);
    cairo_scale(cr, scale, scale);
    cairo_set_source_surface(cr, s, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(cr), CAIRO_FILTER_GOOD);
    cairo_paint(cr);
    cairo_restore(cr);
    cairo_surface_destroy(s);
    cairo_set_source_rgb(cr, 0, 0, 0);
    draw_text(cr, x, y + CELL + 14, 13, label);
    cairo_set_source_rgb(cr, .45, .45, .45);
    draw_text(cr, x, y + CELL + 27, 9.5, path);
    return 0;
}

static int draw_all(cairo_t *cr, struct prep *p, int cells, struct err *err)
{
    struct picture c = {0};
    int rc = 0;

    cairo_set_source_rgb(cr, 1, 1, 1);
    cairo_paint(cr);
    cairo_select_font_face(cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    for (int i = 0; rc == 0 && i < cells; i++) {
        const uint32_t n = (uint32_t)((uint64_t)i * p->dataset->n / (uint64_t)cells);
        const struct dataset_item *item = &p->dataset->items[n];
        struct err bad = {0};

        if (picture_decode(&c, p, n, &bad) < 0) {
            log_warn("left out: %s", bad.msg);
            continue;
        }
        rc = picture_presize(&c, err);
        if (rc == 0)
            rc = draw_cell(cr, &c, p->dataset->vocab[item->label], item->path, i, err);
    }
    picture_free(&c);
    return rc;
}

static int write_png(cairo_surface_t *s, const char *png, struct err *err)
{
    struct new_file f;
    cairo_status_t status;

    if (new_file_begin_by_name(&f, png, err) < 0)
        return -1;
    status = cairo_surface_write_to_png(s, f.tmp);
    if (status != CAIRO_STATUS_SUCCESS) {
        new_file_abort(&f);
        return err_set(err, ERR_IO, "%s: %s", png, cairo_status_to_string(status));
    }
    return new_file_finish(&f, err);
}

int prep_show(struct prep *p, const char *png, struct err *err)
{
    cairo_surface_t *s;
    cairo_t *cr;
    int cells, rows, columns, rc;

    if (prep_list(p, err) < 0)
        return -1;
    cells = p->dataset->n < COLUMNS * ROWS ? (int)p->dataset->n : COLUMNS * ROWS;
    columns = cells < COLUMNS ? cells : COLUMNS;
    rows = (cells + COLUMNS - 1) / COLUMNS;
    s = cairo_image_surface_create(CAIRO_FORMAT_RGB24, MARGIN + columns * (CELL + MARGIN),
                                   MARGIN + rows * (CELL + TEXT + MARGIN));
    cr = cairo_create(s);
    rc = draw_all(cr, p, cells, err);
    if (rc == 0 && cairo_status(cr) != CAIRO_STATUS_SUCCESS)
        rc = err_set(err, ERR_NOMEM, "%s: %s", png, cairo_status_to_string(cairo_status(cr)));
    if (rc == 0)
        rc = write_png(s, png, err);
    cairo_destroy(cr);
    cairo_surface_destroy(s);
    if (rc == 0)
        puts(png);
    return rc;
}
