/* worth.c - prep --quality: pictures that may be of no use, from the shards that are there.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "data/picture_quality.h"
#include "data/shard.h"
#include "prep.h"

struct listing {
    const struct shard_set *shards;
    struct quality *all;                  /* of each picture */
    uint32_t n[QUALITY_FAULTS], pictures; /* of each fault; with any */
};

static void count(struct listing *l, const struct quality *q)
{
    l->pictures += q->faults != 0;
    for (int i = 0; i < QUALITY_FAULTS; i++)
        l->n[i] += q->faults >> i & 1U;
}

static void print_text(const struct listing *l)
{
    if (l->pictures > 0)
        puts("path\tlabel\tfaults\tdarkest\tlightest\tdetail\tsides");
    for (uint32_t i = 0; i < shard_set_count(l->shards); i++) {
        const struct shard_picture *p = shard_set_picture(l->shards, i);
        const struct quality *q = &l->all[i];
        const char *before = "";

        if (!q->faults)
            continue;
        printf("%s\t%s\t", p->path, shard_set_label(l->shards, p->label));
        for (int k = 0; k < QUALITY_FAULTS; k++)
            if (q->faults & 1U << k) {
                printf("%s%s", before, quality_names[k]);
                before = ",";
            }
        printf("\t%.2f\t%.2f\t%.3f\t%ux%u\n", q->dark_px, q->light_px, q->detail, p->original_width,
               p->original_height);
    }
}

static int measure_all(struct listing *l, struct err *err)
{
    const struct shard_set *s = l->shards;
    uint8_t *pixels = NULL;
    size_t room = 0;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < shard_set_count(s); i++) {
        const struct shard_picture *p = shard_set_picture(s, i);
        const size_t size = (size_t)p->height * p->width * 3;

        if (size > room) {
            free(pixels);
            pixels = malloc(size);
            room = pixels ? size : 0;
            if (!pixels)
                return err_set(err, ERR_NOMEM, "%s: %zu bytes", p->path, size);
        }
        rc = shard_set_read(s, i, pixels, true, err);
        if (rc == 0)
            rc = quality_measure(&l->all[i], pixels, p->height, p->width, p->original_height,
                                 p->original_width, err);
        if (rc == 0)
            count(l, &l->all[i]);
        progress_set(i + 1, NULL);
    }
    free(pixels);
    return rc;
}

static void say(const struct listing *l)
{
    char text[256] = "";

    for (int i = 0; i < QUALITY_FAULTS; i++) {
        const size_t used = strlen(text);

        if (l->n[i] > 0)
            snprintf(text + used, sizeof text - used, "%s%u %s", used ? ", " : ": ", l->n[i],
                     quality_names[i]);
    }
    log_info("%u of %u pictures may be of no use%s; all stay in the set (data.clean drops pictures "
             "from a training)",
             l->pictures, shard_set_count(l->shards), text);
}

static json_t *faults_of(const struct quality *q)
{
    json_t *list = json_array();

    for (int i = 0; list && i < QUALITY_FAULTS; i++)
        if (q->faults & 1U << i)
            json_array_append_new(list, json_string(quality_names[i]));
    return list;
}

static json_t *row_of(const struct shard_picture *p, const char *label, const struct quality *q)
{
    return json_pack("{s:s, s:s, s:o, s:f, s:f, s:f, s:[I, I]}", "path", p->path, "label", label,
                     "faults", faults_of(q), "darkest", q->dark_px, "lightest", q->light_px,
                     "detail", q->detail, "sides", (json_int_t)p->original_width,
                     (json_int_t)p->original_height);
}

static int print_json(const struct prep *p, const struct listing *l, struct err *err)
{
    const struct shard_set *s = l->shards;
    json_t *rows = json_array();
    json_t *out = json_pack("{s:s, s:I, s:o}", "folder", p->folder, "pictures",
                            (json_int_t)shard_set_count(s), "faulty", rows);
    char *text = NULL;
    int rc = out ? 0 : -1;

    for (uint32_t i = 0; i < shard_set_count(s) && rc == 0; i++) {
        const struct shard_picture *picture = shard_set_picture(s, i);

        if (l->all[i].faults)
            rc = json_array_append_new(
                rows, row_of(picture, shard_set_label(s, picture->label), &l->all[i]));
    }
    text = rc == 0 ? json_text(out, 2) : NULL;
    rc = text ? 0 : err_set(err, ERR_NOMEM, "quality");

    if (text)
        puts(text);
    free(text);
    json_decref(out);
    return rc;
}

int prep_quality(struct prep *p, struct err *err)
{
    struct listing l = {0};
    struct shard_set *s;
    char path[PATH_LEN];
    int rc;

    if (path_format(path, err, "%s/index.json", p->folder) < 0)
        return -1;
    if (!path_exists(path))
        return err_set(err, ERR_INPUT, "%s: no finished shards there; run `prep %s` first",
                       p->folder, p->typed);
    if (shard_set_open(&s, p->folder, err) < 0)
        return -1;
    l.shards = s;
    l.all = calloc((size_t)shard_set_count(s) + 1, sizeof *l.all);
    progress_begin("Quality", shard_set_count(s));
    rc = l.all ? measure_all(&l, err) : err_set(err, ERR_NOMEM, "quality");
    progress_end();
    if (rc == 0 && p->json)
        rc = print_json(p, &l, err);
    else if (rc == 0)
        print_text(&l);
    if (rc == 0)
        say(&l);
    free(l.all);
    shard_set_close(s);
    return rc;
}
