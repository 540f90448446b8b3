/* contact.c - prep --show: presized pictures on one sheet, each with its label and its name.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "base/log.h"
#include "draw/sheet.h"
#include "prep.h"

enum { COLUMNS = 6, ROWS = 4, SIDE = 180 };

static int draw_all(struct sheet *s, struct prep *p, int cells, struct err *err)
{
    struct picture c = {0};
    int rc = 0, drawn = 0;

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
            rc = picture_pack(&c, p, err);
        if (rc == 0)
            rc = sheet_put(s, i, c.pixels, c.plan.height, c.plan.width,
                           p->dataset->vocab[item->label], item->path, err);
        drawn++;
    }
    picture_free(&c);
    if (rc == 0 && drawn == 0)
        rc = err_set(err, ERR_FORMAT, "none of %d pictures below %s can be decoded", cells,
                     p->dataset->root);
    return rc;
}

int prep_show(struct prep *p, const char *png, struct err *err)
{
    struct sheet *s;
    int cells, rc;

    if (prep_list(p, err) < 0)
        return -1;
    cells = p->dataset->n < COLUMNS * ROWS ? (int)p->dataset->n : COLUMNS * ROWS;
    if (sheet_new(&s, cells, COLUMNS, SIDE, err) < 0)
        return -1;
    rc = draw_all(s, p, cells, err);
    if (rc == 0)
        rc = sheet_write(s, png, err);
    sheet_free(s);
    if (rc == 0)
        puts(png);
    return rc;
}
