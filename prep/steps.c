/* steps.c - prep --summary: every step on one picture, with its shapes.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "base/isa.h"
#include "base/text.h"
#include "prep.h"

enum { FAILURES_SHOWN = 5 };

static void print_label(const struct prep *p, const struct dataset_item *item)
{
    static const char *const lists[] = {"not named by the official lists",
                                        "in the official trainval list",
                                        "in the official test list"};
    const struct dataset *d = p->dataset;

    switch (p->options.label_from) {
    case LABEL_REGEX:
        printf("label     %s searched in '%s', group 1: '%s'\n", p->options.label_regex,
               path_base(item->path), d->vocab[item->label]);
        break;
    case LABEL_FOLDER:
        printf("label     the parent folder's name: '%s'\n", d->vocab[item->label]);
        break;
    default:
        printf("label     from %s: '%s'\n", p->options.label_csv, d->vocab[item->label]);
    }
    printf("          class %d of %d, counted from 0 in the bytewise order of the names\n",
           item->label, d->n_classes);
    if (p->options.official_trainval[0] || p->options.official_test[0])
        printf("split     %s\n", lists[item->official + 1]);
}

static void print_pixels(const char *what, const uint8_t *pixels, int h, int w)
{
    const size_t n = (size_t)h * (size_t)w;
    uint64_t sum[3] = {0};

    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++)
            sum[c] += pixels[3 * i + c];
    printf("%-9s uint8 %d x %d x 3 (height, width, RGB), mean %.2f %.2f %.2f\n", what, h, w,
           (double)sum[0] / (double)n, (double)sum[1] / (double)n, (double)sum[2] / (double)n);
}

static int print_steps(const struct prep *p, struct picture *c, struct err *err)
{
    const struct box *b = &c->plan.box;

    printf("file      %zu bytes, %s by its first bytes\n", c->size,
           image_format_name(c->image.format));
    print_pixels("decode", c->image.pixels, c->image.height, c->image.width);
    printf("          by %s; EXIF orientation %d, %s\n", prep_decoder(p), c->image.orientation,
           p->options.exif == EXIF_APPLY ? "applied" : "ignored (decode.exif=apply honours it)");
    if (c->image.warning[0])
        printf("          warning: %s\n", c->image.warning);
    if (b->width != c->image.width || b->height != c->image.height)
        printf("cut       to %d x %d at row %d, column %d: longer than %g x its short side\n",
               b->height, b->width, b->top, b->left, p->options.max_aspect);
    else
        printf("cut       none: not longer than %g x its short side\n", p->options.max_aspect);
    print_pixels("presize", c->pixels, c->plan.height, c->plan.width);
    printf("          bilinear with antialiasing, Pillow's bits, %s kernels\n",
           isa_name(isa_best()));
    if (picture_pack(c, p, err) < 0)
        return err_wrap(err, "store");
    printf("store     %s, %zu bytes for %zu of pixels, CRC-32C %08x, in %s\n",
           dataset_storage_names[p->options.storage], picture_stored(c, p), picture_bytes(c),
           crc32c(0, c->pixels, picture_bytes(c)), p->folder);
    return 0;
}

/* The first picture that can be decoded, *I its number; says which step failed on those before it. */
static int decode_first(struct picture *c, const struct prep *p, uint32_t *i, struct err *err)
{
    for (*i = 0; *i < p->dataset->n; ++*i) {
        struct err bad = {0};

        if (picture_decode(c, p, *i, &bad) == 0)
            return 0;
        if (bad.kind == ERR_NOMEM) {
            *err = bad;
            return -1;
        }
        if (*i < FAILURES_SHOWN)
            printf("decode    FAILED: %s\n", bad.msg);
    }
    return err_set(err, ERR_FORMAT, "decode: none of the %u pictures below %s can be decoded",
                   p->dataset->n, p->dataset->root);
}

int prep_summary(struct prep *p, struct err *err)
{
    struct picture c = {0};
    uint32_t i;
    int rc;

    if (prep_list(p, err) < 0)
        return -1;
    printf("set       %s: %u pictures of %d classes below %s, %u other file%s skipped\n", p->set,
           p->dataset->n, p->dataset->n_classes, p->dataset->root, p->dataset->n_skipped,
           PLURAL(p->dataset->n_skipped));
    rc = decode_first(&c, p, &i, err);
    if (rc == 0 && (rc = picture_presize(&c, err)) < 0)
        err_wrap(err, "presize");
    if (rc == 0) {
        printf("picture   %s, number %u in the sorted listing\n", p->dataset->items[i].path, i);
        print_label(p, &p->dataset->items[i]);
        rc = print_steps(p, &c, err);
    }
    if (rc == 0)
        printf("then      train takes a crop of it to train.size with its augmentation, in one "
               "interpolation\n");
    picture_free(&c);
    return rc;
}
