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
    uint32_t n[QUALITY_FAULTS], pictures; /* of each fault; with any */
    json_t *rows;
};

static json_t *faults_of(const struct quality *q)
{
    json_t *list = json_array();

    for (int i = 0; list && i < QUALITY_FAULTS; i++)
        if (q->faults & 1U << i)
            json_array_append_new(list, json_string(quality_names[i]));
    return list;
}

static int add(struct listing *l, const struct shard_picture *p, const char *label,
               const struct quality *q, struct err *err)
{
    if (!q->faults)
        return 0;
    l->pictures++;
    for (int i = 0; i < QUALITY_FAULTS; i++)
        l->n[i] += q->faults >> i & 1U;
    if (json_array_append_new(
            l->rows, json_pack("{s:s, s:s, s:o, s:f, s:f, s:f, s:[I, I]}", "path", p->path, "label",
                               label, "faults", faults_of(q), "darkest", q->dark_px, "lightest",
                               q->light_px, "detail", q->detail, "sides",
                               (json_int_t)p->original_width, (json_int_t)p->original_height)) < 0)
        return err_set(err, ERR_NOMEM, "quality");
    return 0;
}

static double number(const json_t *row, const char *member)
{
    return json_number_value(json_object_get(row, member));
}

static void print_text(const struct listing *l)
{
    const json_t *row, *fault;
    size_t i, k;

    if (l->pictures > 0)
        puts("path\tlabel\tfaults\tdarkest\tlightest\tdetail\tsides");
    json_array_foreach(l->rows, i, row)
    {
        const json_t *sides = json_object_get(row, "sides");

        printf("%s\t%s\t", json_string_value(json_object_get(row, "path")),
               json_string_value(json_object_get(row, "label")));
        json_array_foreach(json_object_get(row, "faults"), k, fault)
            printf("%s%s", k ? "," : "", json_string_value(fault));
        printf("\t%.2f\t%.2f\t%.3f\t%dx%d\n", number(row, "darkest"), number(row, "lightest"),
               number(row, "detail"), (int)json_integer_value(json_array_get(sides, 0)),
               (int)json_integer_value(json_array_get(sides, 1)));
    }
}

static int measure_all(struct listing *l, const struct shard_set *s, struct err *err)
{
    uint8_t *pixels = NULL;
    size_t room = 0;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < shard_set_count(s); i++) {
        const struct shard_picture *p = shard_set_picture(s, i);
        const size_t size = (size_t)p->height * p->width * 3;
        struct quality q;

        if (size > room) {
            free(pixels);
            pixels = malloc(size);
            room = pixels ? size : 0;
            if (!pixels)
                return err_set(err, ERR_NOMEM, "%s: %zu bytes", p->path, size);
        }
        rc = shard_set_read(s, i, pixels, true, err);
        if (rc == 0)
            rc = quality_measure(&q, pixels, p->height, p->width, p->original_height,
                                 p->original_width, err);
        if (rc == 0)
            rc = add(l, p, shard_set_label(s, p->label), &q, err);
        progress_set(i + 1, NULL);
    }
    free(pixels);
    return rc;
}

static void say(const struct listing *l, const struct shard_set *s)
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
             l->pictures, shard_set_count(s), text);
}

static int print_json(const struct prep *p, const struct listing *l, const struct shard_set *s,
                      struct err *err)
{
    json_t *out = json_pack("{s:s, s:I, s:O}", "folder", p->folder, "pictures",
                            (json_int_t)shard_set_count(s), "faulty", l->rows);
    char *text = out ? json_text(out, 2) : NULL;
    const int rc = text ? 0 : err_set(err, ERR_NOMEM, "quality");

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
    l.rows = json_array();
    if (!l.rows)
        return err_set(err, ERR_NOMEM, "quality");
    if (shard_set_open(&s, p->folder, err) < 0) {
        json_decref(l.rows);
        return -1;
    }
    progress_begin("Quality", shard_set_count(s));
    rc = measure_all(&l, s, err);
    progress_end();
    if (rc == 0 && p->json)
        rc = print_json(p, &l, s, err);
    else if (rc == 0)
        print_text(&l);
    if (rc == 0)
        say(&l, s);
    json_decref(l.rows);
    shard_set_close(s);
    return rc;
}
