/* thumb.c - a picture of the shards, made small, as JPEG in base64. SPDX-License-Identifier: MIT */
#include "draw/thumb.h"

#include <stdlib.h>

#include "base/field.h"
#include "base/log.h"
#include "base/markup.h"
#include "base/size.h"
#include "draw/element.h"
#include "image/encode_jpeg.h"
#include "image/resize.h"

struct thumb { /* what a picture's object has of it */
    const char *jpeg;
    int64_t w, h;
};
static const struct field thumb_fields[] = {
    FIELD_TEXT(struct thumb, jpeg, "jpeg", "in base64"),
    FIELD_INT(struct thumb, w, "w", 1, THUMB_SIDE, "px", "width"),
    FIELD_INT(struct thumb, h, "h", 1, THUMB_SIDE, "px", "height"),
    FIELD_END,
};

/* *out: (h, w, 3), owned by the caller. A picture whose longer side is at most SIDE stays as it is. */
static int shrink(uint8_t **out, int *h, int *w, const uint8_t *pixels, int height, int width,
                  uint32_t side, struct err *err)
{
    const int longer = height > width ? height : width;
    const double scale = longer > (int)side ? (double)side / longer : 1;
    struct resizer resizer = {0};
    int rc;

    *h = (int)(height * scale + 0.5) + ((int)(height * scale + 0.5) == 0);
    *w = (int)(width * scale + 0.5) + ((int)(width * scale + 0.5) == 0);
    *out = malloc((size_t)*h * (size_t)*w * 3);
    if (!*out)
        return err_set(err, ERR_NOMEM, "%d x %d pixels", *w, *h);
    rc = resize_bilinear(&resizer, *out, *h, *w, pixels, height, width,
                         (struct box){0, 0, width, height}, err);
    resizer_free(&resizer);
    if (rc < 0) {
        free(*out);
        *out = NULL;
    }
    return rc;
}

static int read_small(uint8_t **out, int *h, int *w, const struct shard_set *shards, uint32_t rank,
                      uint32_t side, struct err *err)
{
    const struct shard_picture *p = shard_set_picture(shards, rank);
    uint8_t *pixels = malloc((size_t)p->height * p->width * 3);
    int rc = -1;

    *out = NULL;
    if (!pixels)
        err_set(err, ERR_NOMEM, "%s", p->path);
    else if (shard_set_read(shards, rank, pixels, true, err) == 0)
        rc = shrink(out, h, w, pixels, (int)p->height, (int)p->width, side, err);
    free(pixels);
    return rc;
}

int thumb_set(json_t *object, const char *member, const uint8_t *jpeg, size_t size, struct err *err)
{
    return json_object_set_new(object, member, element_base64(jpeg, size)) < 0
               ? err_set(err, ERR_NOMEM, "picture")
               : 0;
}

int thumb_jpeg(uint8_t **jpeg, size_t *size, const struct shard_set *shards, uint32_t rank,
               uint32_t side, struct err *err)
{
    uint8_t *pixels;
    int h, w, rc;

    if (read_small(&pixels, &h, &w, shards, rank, side, err) < 0)
        return -1;
    rc = encode_jpeg(jpeg, size, pixels, h, w, PICTURE_QUALITY, JPEG_444, err);
    free(pixels);
    return rc;
}

/* PIXELS, of a thumbnail's size, join PICTURE. */
static int put_small(json_t *picture, const uint8_t *pixels, int h, int w, struct err *err)
{
    json_t *text, *members;
    uint8_t *jpeg;
    size_t size;
    int rc;

    if (encode_jpeg(&jpeg, &size, pixels, h, w, THUMB_QUALITY, JPEG_420, err) < 0)
        return -1;
    text = element_base64(jpeg, size);
    members = fields_json(thumb_fields, &(struct thumb){json_string_value(text), w, h});
    rc = json_object_update(picture, members) < 0 ? err_set(err, ERR_NOMEM, "picture") : 0;
    json_decref(text);
    json_decref(members);
    free(jpeg);
    return rc;
}

int thumb_of(json_t *picture, const uint8_t *pixels, int height, int width, struct err *err)
{
    uint8_t *small;
    int h, w, rc;

    if (shrink(&small, &h, &w, pixels, height, width, THUMB_SIDE, err) < 0)
        return -1;
    rc = put_small(picture, small, h, w, err);
    free(small);
    return rc;
}

int thumb_add(json_t *picture, const struct shard_set *shards, const char *path, struct err *err)
{
    const int64_t rank = shards ? shard_set_rank(shards, path) : -1;
    struct err why = {0};
    uint8_t *pixels;
    int h, w, rc;

    if (rank < 0)
        return 0;
    if (read_small(&pixels, &h, &w, shards, (uint32_t)rank, THUMB_SIDE, &why) < 0) {
        if (why.kind == ERR_NOMEM)
            return err_set(err, why.kind, "%s", why.msg);
        log_warn("%s; the page is without this picture", why.msg);
        return 0;
    }
    rc = put_small(picture, pixels, h, w, err);
    free(pixels);
    return rc;
}

void thumb_put(FILE *out, const json_t *picture, const char *alt)
{
    struct thumb t;

    fields_read(thumb_fields, 0, &t, picture, NULL);
    if (!t.jpeg) {
        fputs("<span class=\"gone\">no picture</span>", out);
        return;
    }
    fprintf(out, "<img width=\"%lld\" height=\"%lld\" alt=\"", (long long)t.w, (long long)t.h);
    markup_text(out, alt);
    fprintf(out, "\" src=\"data:image/jpeg;base64,%s\">", t.jpeg);
}
