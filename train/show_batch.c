/* show_batch.c - a stream as training reads it, a list of the one op that augments, a sheet.
 * SPDX-License-Identifier: MIT */
#include "show_batch.h"

#include <stdlib.h>

#include "backend/elem_sample.h"
#include "data/stream.h"
#include "draw/sheet.h"

enum { CELLS = 9, COLUMNS = 3, SIDE_MIN = 160, SIDE_MAX = 512 };

struct augmenter { /* the program and what it gave */
    const struct device *device;
    struct be_program *program;
    int x;         /* the tensor */
    float *values; /* (batch, 3, size, size) */
    uint8_t *pixels;
};

static void augmenter_free(struct augmenter *a)
{
    if (a->program)
        a->device->kind->release(a->program);
    free(a->values);
    free(a->pixels);
}

static int augmenter_new(struct augmenter *a, const struct session *s, int batch, int size,
                         struct err *err)
{
    const size_t plane = (size_t)size * (size_t)size;
    struct op_list *list = op_list_new(batch, 1);
    struct op op = {.kind = OP_AUGMENT};
    int rc = -1;

    *a = (struct augmenter){.device = &s->device};
    a->values = calloc((size_t)batch * 3 * plane, sizeof *a->values);
    a->pixels = calloc(3, plane);
    if (!list || !a->values || !a->pixels) {
        err_set(err, ERR_NOMEM, "%d pictures of %d px", batch, size);
        goto out;
    }
    a->x = op_list_tensor(list, "x", TENSOR_ACT, s->dtype, batch, 3, size, size);
    op.out[0] = a->x;
    op_list_add(list, op);
    rc = s->device.kind->prepare(&a->program, s->device.be, list, err);
out:
    op_list_free(list);
    return rc;
}

void show_pixels(uint8_t *pixels, const float *x, int size)
{
    const size_t plane = (size_t)size * (size_t)size;

    for (size_t i = 0; i < plane; i++)
        for (int c = 0; c < 3; c++) {
            float v = x[(size_t)c * plane + i] / imagenet_scale(c) + imagenet_mean(c);

            v = fminf(fmaxf(v, 0.0f), 1.0f);
            pixels[3 * i + (size_t)c] = (uint8_t)(v * 255.0f + 0.5f);
        }
}

/* "Birman" and nothing, or of a mixed picture "Birman 0.70" and "+ Bengal 0.30". */
static void label_text(char own[256], char partner[256], const struct session *s,
                       const struct step *step, int i)
{
    const struct mix *m = step->mixes ? &step->mixes[i] : NULL;
    const char *label = shard_set_label(s->shards, step->pictures[i].label);

    snprintf(own, 256, "%s", label);
    partner[0] = 0;
    if (!m || m->partner == i)
        return;
    snprintf(own, 256, "%s %.2f", label, 1.0 - (double)m->share);
    snprintf(partner, 256, "+ %s %.2f",
             shard_set_label(s->shards, step->pictures[m->partner].label), (double)m->share);
}

/* Augments the pictures of STEP and draws the first. */
static int put_batch(FILE *out, struct sheet *sheet, struct augmenter *a, const struct session *s,
                     const struct step *step, const uint32_t *ranks, struct err *err)
{
    const int size = s->phases[0].size;

    if (a->device->kind->run(a->program, step, err) < 0 ||
        a->device->kind->read(a->program, a->x, a->values, err) < 0)
        return -1;
    for (int i = 0; i < step->n_pictures && i < CELLS; i++) {
        const char *path = shard_set_picture(s->shards, ranks[i])->path;
        char own[256], partner[256];

        label_text(own, partner, s, step, i);
        show_pixels(a->pixels, a->values + (size_t)i * 3 * (size_t)size * (size_t)size, size);
        if (sheet_put(sheet, i, a->pixels, size, size, own, partner[0] ? partner : path, err) < 0)
            return -1;
        fprintf(out, "%d  %s%s%s  %s\n", i + 1, own, partner[0] ? " " : "", partner, path);
    }
    return 0;
}

/* The side of a cell: small pictures grow by a whole factor, large ones shrink. */
static int cell_side(int size)
{
    int side = (SIDE_MIN + size - 1) / size * size;

    return side < SIDE_MAX ? side : SIDE_MAX;
}

/* The first picture of the epoch, as often as there are cells. */
static int repeat_first(uint32_t ranks[CELLS], const struct stream_options *o,
                        const struct shard_set *shards, struct err *err)
{
    const struct picture *pictures;
    const uint32_t *first;
    struct stream *stream;
    int n, more;

    if (stream_open(&stream, shards, o, err) < 0)
        return -1;
    more = stream_next(stream, &pictures, &first, &n, err);
    for (int i = 0; more == 1 && i < CELLS; i++)
        ranks[i] = first[0];
    stream_close(stream);
    return more < 0 ? -1 : 0;
}

int show_batch(FILE *out, const struct session *s, const char *png, bool unique, struct err *err)
{
    struct stream_options o;
    struct augmenter a;
    struct stream *stream = NULL;
    struct sheet *sheet = NULL;
    struct step step = {.seed = (uint64_t)s->e->seed};
    uint32_t same[CELLS];
    const uint32_t *ranks;
    int rc = -1;

    session_stream_options(&o, s, 0, 0);
    o.prefetch = 1;
    /* else the batch as it is: a mixed picture's partner may be any of it */
    if (unique || o.batch < CELLS)
        o.batch = s->split->n_train < CELLS ? (int)s->split->n_train : CELLS;
    if (augmenter_new(&a, s, unique ? CELLS : o.batch, o.size, err) < 0)
        goto out;
    if (unique) {
        if (repeat_first(same, &o, s->shards, err) < 0)
            goto out;
        o.ranks = same;
        o.n = CELLS;
        o.batch = CELLS;
        o.sample_sums = NULL;
    }
    if (sheet_new(&sheet, o.batch < CELLS ? o.batch : CELLS, COLUMNS, cell_side(o.size), err) < 0)
        goto out;
    if (stream_open(&stream, s->shards, &o, err) < 0)
        goto out;
    if (stream_next(stream, &step.pictures, &ranks, &step.n_pictures, err) < 0)
        goto out;
    step.mixes = stream_mixes(stream);
    if (put_batch(out, sheet, &a, s, &step, ranks, err) < 0)
        goto out;
    if (sheet_write(sheet, png, err) < 0)
        goto out;
    fprintf(out, "%s\n", png);
    rc = 0;
out:
    stream_close(stream);
    sheet_free(sheet);
    augmenter_free(&a);
    return rc;
}
