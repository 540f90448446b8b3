/* bench_prep.c - images/s of prep on one core: decode, presize, write, and the ratio of decoding alone to
 * decoding and presizing. Medians of REPEATS passes over the 695 real pictures.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/isa.h"
#include "data/duplicate.h"
#include "data/shard_write.h"
#include "image/decode.h"
#include "prep.h"

enum { REPEATS = 7, WRITES = 5 };

struct stat {
    double v[REPEATS];
    int n;
};

/* Of this thread: other load on the machine disturbs it less than the wall clock. */
static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(struct stat *s)
{
    qsort(s->v, (size_t)s->n, sizeof s->v[0], by_value);
    return s->n % 2 ? s->v[s->n / 2] : (s->v[s->n / 2 - 1] + s->v[s->n / 2]) / 2;
}

static void print(const char *what, struct stat *s, uint32_t n)
{
    const double m = median(s);

    printf("%-28s %8.0f images/s  %6.3f ms  (%.0f to %.0f, %d passes)\n", what, n / m, m / n * 1e3,
           n / s->v[s->n - 1], n / s->v[0], s->n);
}

/* One pass; the seconds spent in each part. */
static int pass(struct prep *p, struct picture *c, double *decode, double *presize, struct err *err)
{
    *decode = *presize = 0;
    for (uint32_t i = 0; i < p->dataset->n; i++) {
        double t[3];

        t[0] = cpu_seconds();
        if (picture_decode(c, p, i, err) < 0)
            return -1;
        t[1] = cpu_seconds();
        if (picture_presize(c, err) < 0)
            return -1;
        t[2] = cpu_seconds();
        *decode += t[1] - t[0];
        *presize += t[2] - t[1];
    }
    return 0;
}

/* Two files of one size and CRC: none of the 695 are. */
static int same_bytes(void *ctx, uint32_t a, uint32_t b, struct err *err)
{
    (void)ctx, (void)a, (void)b, (void)err;
    return 1;
}

/* What prep does beyond its pixels to say what is odd: orientation, CRC of the file, difference hashes and the search
 * for duplicates. REST: to decode and presize, in the same pass. */
static int check_pass(struct prep *p, struct picture *c, double *checks, double *rest,
                      struct err *err)
{
    const uint32_t n = p->dataset->n;
    struct duplicate_item *items = calloc(n, sizeof *items);
    uint32_t *groups = calloc(2 * (size_t)n, sizeof *groups);
    volatile int orientation;
    double began, decoded;
    int rc = items && groups ? 0 : err_set(err, ERR_NOMEM, "duplicates");

    *checks = *rest = 0;
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        began = cpu_seconds();
        rc = picture_decode(c, p, i, err);
        if (rc == 0)
            rc = picture_presize(c, err);
        decoded = cpu_seconds();
        orientation = image_orientation((const uint8_t *)c->bytes, c->size);
        items[i].size = c->size;
        items[i].crc32c = crc32c(0, c->bytes, c->size);
        picture_hash(&items[i].hash, c->pixels, c->plan.height, c->plan.width);
        *rest += decoded - began;
        *checks += cpu_seconds() - decoded;
    }
    (void)orientation;
    began = cpu_seconds();
    if (rc == 0)
        rc = duplicate_find(groups, groups + n, items, n, same_bytes, NULL, err);
    *checks += cpu_seconds() - began;
    free(groups);
    free(items);
    return rc;
}

static int decode_only(struct prep *p, struct picture *c, double *seconds, struct err *err)
{
    const double began = cpu_seconds();

    for (uint32_t i = 0; i < p->dataset->n; i++)
        if (picture_decode(c, p, i, err) < 0)
            return -1;
    *seconds = cpu_seconds() - began;
    return 0;
}

/* CRC and writing, the pixels made in between and not counted. */
static int write_pass(struct prep *p, struct picture *c, double *seconds, struct err *err)
{
    const struct shard_plan plan = {.set = p->set,
                                    .options = &p->options,
                                    .dataset = p->dataset,
                                    .decoder = image_decoder_version(0),
                                    .manifest_sha256 = ""};
    struct shard_writer *w;
    double began;

    *seconds = 0;
    if (shard_writer_open(&w, p->folder, &plan, err) < 0)
        return -1;
    for (uint32_t i = 0; i < p->dataset->n; i++) {
        struct shard_pixels out;

        if (picture_decode(c, p, shard_writer_order(w, i), err) < 0 ||
            picture_presize(c, err) < 0) {
            shard_writer_abort(w);
            return -1;
        }
        began = clock_seconds();
        out = (struct shard_pixels){.height = (uint32_t)c->plan.height,
                                    .width = (uint32_t)c->plan.width,
                                    .original_height = (uint32_t)c->image.height,
                                    .original_width = (uint32_t)c->image.width,
                                    .format = "jpeg",
                                    .bytes = c->pixels,
                                    .size = picture_bytes(c)};
        out.crc32c = crc32c(0, c->pixels, out.size);
        if (shard_writer_add(w, &out, err) < 0) {
            shard_writer_abort(w);
            return -1;
        }
        *seconds += clock_seconds() - began;
    }
    began = clock_seconds();
    if (shard_writer_finish(w, err) < 0)
        return -1;
    *seconds += clock_seconds() - began;
    return 0;
}

static int bench(struct prep *p, struct err *err)
{
    struct stat alone = {0}, decode = {0}, presize = {0}, both = {0}, write = {0}, ratio = {0};
    struct stat checks = {0};
    struct picture c = {0};
    double a, d = 0, z = 0, k = 0, rest = 1;
    int rc = decode_only(p, &c, &a, err); /* warms page cache and clock */

    for (int i = 0; rc == 0 && i < REPEATS; i++) {
        rc = decode_only(p, &c, &a, err);
        if (rc == 0)
            rc = pass(p, &c, &d, &z, err);
        if (rc == 0)
            rc = check_pass(p, &c, &k, &rest, err);
        checks.v[checks.n++] = k / rest;
        alone.v[alone.n++] = a;
        decode.v[decode.n++] = d;
        presize.v[presize.n++] = z;
        both.v[both.n++] = d + z;
        ratio.v[ratio.n++] = a / (d + z);
    }
    for (int i = 0; rc == 0 && i < WRITES; i++) {
        rc = write_pass(p, &c, &a, err);
        write.v[write.n++] = a;
    }
    picture_free(&c);
    if (rc < 0)
        return -1;
    printf("prep, one core, %u pictures to short side %jd, %s, %s\n", p->dataset->n,
           (intmax_t)p->options.size, isa_name(isa_best()), image_decoder_version(0));
    print("read and decode alone (CPU)", &alone, p->dataset->n);
    print("presize (CPU)", &presize, p->dataset->n);
    print("decode + presize (CPU)", &both, p->dataset->n);
    print("CRC + write + sync (wall)", &write, p->dataset->n);
    a = median(&ratio);
    printf("ratio (decode alone) / (decode + presize) = %.3f (%.3f to %.3f); aim 0.75\n", a,
           ratio.v[0], ratio.v[ratio.n - 1]);
    a = median(&checks);
    printf("orientation, CRC, duplicates: %.2f %% of decode + presize (%.2f to %.2f); aim 3 of all "
           "of prep\n",
           100 * a, 100 * checks.v[0], 100 * checks.v[checks.n - 1]);
    return 0;
}

int main(void)
{
    const char *shared = getenv("PRESIZE_SHARED");
    struct prep p = {.name = "pets-mini", .workers = 1};
    struct err err = {0};
    char archive[PATH_LEN], folder[] = "/tmp/bench_prep.XXXXXX", command[2 * PATH_LEN + 64];
    int rc;

    if (path_format(archive, &err, "%s/data/oxford-iiit-pet-mini.tgz",
                    shared ? shared : "../shared") < 0)
        return 1;
    if (!path_is_file(archive)) {
        printf("bench_prep: skipped: no %s (set PRESIZE_SHARED)\n", archive);
        return 77;
    }
    if (!mkdtemp(folder))
        return 1;
    snprintf(
        command, sizeof command,
        "mkdir -p %s/pets-mini/tree && tar -xzf '%s' -C %s/pets-mini/tree --strip-components=1",
        folder, archive, folder);
    rc = system(command) == 0 ? 0 : err_set(&err, ERR_IO, "cannot unpack %s", archive);
    if (rc == 0)
        rc = prep_open(&p, folder, NULL, 0, &err);
    if (rc == 0)
        rc = prep_list(&p, &err);
    if (rc == 0)
        rc = bench(&p, &err);
    if (rc < 0)
        fprintf(stderr, "bench_prep: %s\n", err.msg);
    prep_close(&p);
    if (path_remove_tree(folder, &err) < 0)
        fprintf(stderr, "bench_prep: %s\n", err.msg);
    return rc < 0;
}
