/* cams.c - see cams.h. SPDX-License-Identifier: MIT */
#include "experiment/cams.h"

#include <stdlib.h>

#include "data/augment.h"
#include "draw/heat.h"
#include "draw/thumb.h"
#include "image/encode_jpeg.h"

struct cams {
    struct trained *owned; /* NULL: the caller's */
    const struct trained *t;
    struct cam *cam;
};

int cams_lay(uint8_t *out, int side, struct cam *c, const struct picture *pictures, int n,
             const int *classes, struct err *err)
{
    const size_t pixels = (size_t)cam_side(c) * (size_t)cam_side(c);
    float *maps = calloc((size_t)n * pixels, sizeof *maps);
    int rc = maps ? cam_run(c, pictures, n, classes, maps, err)
                  : err_set(err, ERR_NOMEM, "class activation maps");

    for (int i = 0; i < n && rc == 0; i++)
        rc = heat_lay(out + (size_t)i * (size_t)side * (size_t)side * 3, side, pictures[i].pixels,
                      pictures[i].height, pictures[i].width, maps + (size_t)i * pixels, cam_side(c),
                      err);
    free(maps);
    return rc;
}

int cams_check(const struct trained *t, struct err *err)
{
    if (t->experiment->augment.resize == RESIZE_CROP)
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   "class activation maps are drawn over the centre square, which this run's "
                   "augment.resize does not take");
}

int cams_new(struct cams **out, const struct trained *t, struct err *err)
{
    struct cams *c = calloc(1, sizeof *c);

    *out = NULL;
    if (!c)
        return err_set(err, ERR_NOMEM, "class activation maps");
    c->t = t;
    if (cams_check(t, err) < 0 || cam_new(&c->cam, t, err) < 0) {
        cams_close(c);
        return -1;
    }
    *out = c;
    return 0;
}

int cams_open(struct cams **out, const char *folder, const char *which, char *const *words,
              int n_words, struct err *err)
{
    struct trained *t;

    *out = NULL;
    if (trained_open(&t, folder, which, words, n_words, NULL, err) < 0)
        return -1;
    if (cams_new(out, t, err) < 0) {
        trained_close(t);
        return -1;
    }
    (*out)->owned = t;
    return 0;
}

void cams_close(struct cams *c)
{
    if (!c)
        return;
    cam_free(c->cam);
    trained_close(c->owned);
    free(c);
}

int cams_jpeg(uint8_t **jpeg, size_t *size, struct cams *c, const struct shard_set *shards,
              uint32_t rank, int class, int side, struct err *err)
{
    const struct shard_picture *p = shard_set_picture(shards, rank);
    uint8_t *pixels = malloc((size_t)p->height * p->width * 3);
    uint8_t *laid = malloc((size_t)side * (size_t)side * 3);
    struct picture picture = {
        .pixels = pixels, .height = (int)p->height, .width = (int)p->width, .label = -1};
    int rc = -1;

    if (!pixels || !laid)
        err_set(err, ERR_NOMEM, "%s", p->path);
    else if (class < 0 || class >= c->t->classes)
        err_set(err, ERR_INPUT, "%s: a class that the network does not have", p->path);
    else if (shard_set_read(shards, rank, pixels, true, err) == 0) {
        augment_validation(&picture.map, &c->t->experiment->augment, picture.height, picture.width,
                           c->t->size);
        rc = cams_lay(laid, side, c->cam, &picture, 1, &class, err);
    }
    if (rc == 0)
        rc = encode_jpeg(jpeg, size, laid, side, side, THUMB_QUALITY, JPEG_420, err);
    free(pixels);
    free(laid);
    return rc;
}

int cams_for_report(void *of, uint8_t **jpeg, size_t *size, uint32_t rank, int class,
                    struct err *err)
{
    const struct cams_source *s = of;

    return cams_jpeg(jpeg, size, s->cams, s->shards, rank, class, THUMB_SIDE, err);
}
