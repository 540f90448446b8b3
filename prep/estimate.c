/* estimate.c - prep --plan: time, memory and disk, from a sample spread evenly over the listing.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/text.h"
#include "data/shard_write.h"
#include "prep.h"

enum { SAMPLE = 64, SLOTS_PER_WORKER = 4 };

struct sample {
    uint32_t n, bad, cut;
    double seconds, seconds2; /* sum and sum of squares, of one picture */
    double decode_seconds;
    double source_bytes, pixel_bytes, stored_bytes;
    size_t most_source, most_pixels, most_packed, most_decoded; /* packed: 0 with storage raw */
};

static int add(struct sample *s, struct picture *c, const struct prep *p, uint32_t item,
               struct err *err)
{
    const double began = clock_seconds();
    double decoded, spent;
    size_t side;
    struct err bad = {0};

    if (picture_decode(c, p, item, &bad) < 0) {
        if (bad.kind == ERR_NOMEM) {
            *err = bad;
            return -1;
        }
        s->bad++;
        return 0;
    }
    decoded = clock_seconds();
    if (picture_presize(c, err) < 0)
        return -1;
    if (picture_pack(c, p, err) < 0)
        return -1;
    (void)crc32c(0, c->pixels, picture_bytes(c));
    spent = clock_seconds() - began;
    side = (size_t)c->image.height * (size_t)c->image.width * 3;
    s->n++;
    s->cut += c->plan.box.width != c->image.width || c->plan.box.height != c->image.height;
    s->seconds += spent;
    s->seconds2 += spent * spent;
    s->decode_seconds += decoded - began;
    s->source_bytes += (double)c->size;
    s->pixel_bytes += (double)picture_bytes(c);
    s->stored_bytes += (double)picture_stored(c, p);
    s->most_packed = c->packed_capacity > s->most_packed ? c->packed_capacity : s->most_packed;
    s->most_source = c->size > s->most_source ? c->size : s->most_source;
    s->most_pixels = picture_bytes(c) > s->most_pixels ? picture_bytes(c) : s->most_pixels;
    s->most_decoded = side > s->most_decoded ? side : s->most_decoded;
    return 0;
}

static void print_disk(const struct prep *p, double bytes)
{
    struct statvfs fs;
    char folder[PATH_LEN], *slash;
    struct err err = {0};

    /* the nearest folder that exists: the data folder may not be there yet */
    if (path_format(folder, &err, "%s", p->folder) < 0)
        return;
    while (statvfs(folder, &fs) < 0) {
        slash = strrchr(folder, '/');
        if (!slash || slash == folder)
            snprintf(folder, sizeof folder, slash ? "/" : ".");
        else
            *slash = 0;
    }
    printf("disk      %.1f MB of pixels in %s; %.1f MB are free there%s\n", bytes / 1e6, p->folder,
           (double)fs.f_bavail * (double)fs.f_frsize / 1e6,
           bytes > (double)fs.f_bavail * (double)fs.f_frsize ? ": TOO LITTLE" : "");
}

static void print(const struct prep *p, const struct sample *s)
{
    const double n = p->dataset->n - (double)p->dataset->n * s->bad / (s->n + s->bad);
    const double mean = s->seconds / s->n;
    const double var = s->n > 1 ? fmax(0, (s->seconds2 - s->n * mean * mean) / (s->n - 1)) : 0;
    const double wall = n * mean / p->workers, error = n * sqrt(var / s->n) / p->workers;
    /* of a worker, in pictures: the resize's rows; libjpeg's coefficients of 2 bytes, too */
    const double scratch = p->options.storage == STORAGE_JPEG ? 4 : 2;
    const double slots = (double)p->workers * SLOTS_PER_WORKER;
    char text[32];

    clock_duration(wall, text, sizeof text);
    printf("set       %s: %u pictures of %d classes in %s\n", p->set, p->dataset->n,
           p->dataset->n_classes, p->dataset->root);
    printf(
        "sample    %u pictures spread over the listing, on one thread: decode %.2f ms, presize%s "
        "%.2f ms each\n",
        s->n + s->bad, s->decode_seconds / s->n * 1e3,
        p->options.storage == STORAGE_RAW ? "" : " and compress",
        (s->seconds - s->decode_seconds) / s->n * 1e3);
    if (s->bad)
        printf("          %u of them cannot be decoded\n", s->bad);
    printf("time      %s with %d worker%s (%.1f s, standard error %.1f s; writing not counted)\n",
           text, p->workers, PLURAL(p->workers), wall, error);
    printf("memory    about %.0f MB: %.0f presized and %d decoded pictures of the sample's largest "
           "size\n",
           (slots * ((double)s->most_pixels + (double)s->most_packed) +
            p->workers * ((double)s->most_decoded + scratch * (double)s->most_pixels +
                          2.0 * (double)s->most_source)) /
               1e6,
           slots, p->workers);
    print_disk(p, n * s->stored_bytes / s->n);
    printf("shards    %.0f of %jd pictures\n", ceil(n / (double)p->options.shard_pictures),
           (intmax_t)p->options.shard_pictures);
    printf("cut       %u of the sample are longer than %g x their short side\n", s->cut,
           p->options.max_aspect);
}

int prep_plan(struct prep *p, struct err *err)
{
    struct sample s = {0};
    struct picture c = {0};
    uint32_t n;
    int rc = 0;

    if (prep_list(p, err) < 0)
        return -1;
    n = p->dataset->n < SAMPLE ? p->dataset->n : SAMPLE;
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        rc = add(&s, &c, p, (uint32_t)((uint64_t)i * p->dataset->n / n), err);
    picture_free(&c);
    if (rc == 0 && s.n == 0)
        rc = err_set(err, ERR_FORMAT, "none of %u sampled pictures can be decoded", n);
    if (rc == 0)
        print(p, &s);
    return rc;
}
