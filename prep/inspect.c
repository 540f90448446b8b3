/* inspect.c - looking at shards and classes without making anything: --check, --vocab, up to date or not.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "data/index_record.h"
#include "data/shard.h"
#include "data/shard_check.h"
#include "prep.h"

/* The settings that the writer recorded, against those of now. */
static bool settings_differ(const struct dataset_options *o, const struct index_settings *s)
{
    return s->size != o->size || s->pictures != o->shard_pictures ||
           !(s->max_aspect == o->max_aspect) || !s->storage ||
           strcmp(s->storage, dataset_storage_names[o->storage]) != 0 ||
           (o->storage == STORAGE_JPEG && s->quality != o->quality) ||
           strcmp(s->exif, o->exif == EXIF_APPLY ? "apply" : "ignore") != 0;
}

static bool classes_differ(const struct prep *p, const struct shard_set *s)
{
    const struct dataset *d = p->dataset;

    if (shard_set_classes(s) != d->n_classes)
        return true;
    for (int32_t i = 0; i < d->n_classes; i++) {
        const char *was = shard_set_group(s, i);
        const char *now = d->group[i] >= 0 ? p->options.groups[d->group[i]].name : NULL;

        if (strcmp(shard_set_label(s, i), d->vocab[i]) != 0 || !was != !now ||
            (was && strcmp(was, now) != 0))
            return true;
    }
    return false;
}

/* Paths, labels and official lists of all pictures; those that were left out are passed over. */
static bool pictures_differ(const struct dataset *d, const struct shard_set *s, size_t n_skipped)
{
    const uint32_t n = shard_set_count(s);
    uint32_t rank = 0;

    for (uint32_t i = 0; i < d->n && rank < n; i++) {
        const struct shard_picture *was = shard_set_picture(s, rank);

        if (strcmp(was->path, d->items[i].path) != 0)
            continue;
        if (was->label != d->items[i].label || was->official != d->items[i].official)
            return true;
        rank++;
    }
    return rank != n || n + n_skipped != d->n;
}

bool prep_index_differs(const struct prep *p, const struct index_record *index, char why[256])
{
    const char *manifest = index->manifest_sha256, *decoder = index->decoder;
    const size_t n_skipped = json_array_size(index->skipped);

    if (!manifest || strcmp(manifest, p->manifest_sha256) != 0)
        snprintf(why, 256, "the pictures differ from those it was made from");
    else if (settings_differ(&p->options, &index->settings))
        snprintf(why, 256, "the settings differ");
    else if (n_skipped && p->options.on_error == ON_ERROR_FAIL)
        snprintf(why, 256, "%zu pictures were left out", n_skipped);
    else if (!decoder || strcmp(decoder, prep_decoder(p)) != 0)
        snprintf(why, 256, "it was decoded by %.200s", decoder ? decoder : "an unknown library");
    else
        return false;
    return true;
}

/* The same of all that the finished shards hold. */
static bool differs(const struct prep *p, const struct shard_set *s, char why[256])
{
    const struct index_record *index = shard_set_record(s);
    const size_t n_skipped = json_array_size(index->skipped);

    if (prep_index_differs(p, index, why))
        return true;
    if (classes_differ(p, s) || pictures_differ(p->dataset, s, n_skipped)) {
        snprintf(why, 256, "labels, groups or lists differ");
        return true;
    }
    return false;
}

bool prep_is_current(const struct prep *p, char why[256])
{
    char path[PATH_LEN];
    struct err err = {0};
    struct shard_set *s = NULL;
    bool current = false;

    why[0] = 0;
    if (path_format(path, &err, "%s/index.json", p->folder) < 0 || !path_exists(path))
        return false;
    if (shard_set_open(&s, p->folder, &err) < 0)
        snprintf(why, 256, "%.250s", err.msg);
    else
        current = !differs(p, s, why);
    shard_set_close(s);
    return current;
}

int prep_print_json(const struct prep *p, struct err *err)
{
    static const char *const keys[] = {"set",     "count",   "size",      "classes",
                                       "skipped", "remarks", "duplicates"};
    char path[PATH_LEN], *text;
    json_t *index = NULL, *out;
    struct index_record r;

    if (path_format(path, err, "%s/index.json", p->folder) < 0 || json_read(&index, path, err) < 0)
        return -1;
    fields_read(index_fields, SHARD_INDEX_VERSION, &r, index, NULL);
    out = json_pack("{s:s}", "folder", p->folder);
    for (size_t i = 0; out && i < sizeof keys / sizeof *keys; i++) {
        const struct field *row = field_find(index_fields, keys[i]);

        if (!field_is_missing(row, &r))
            json_object_set_new(out, keys[i], field_json(row, &r));
    }
    text = out ? json_text(out, 2) : NULL;
    if (text)
        puts(text);
    else
        err_set(err, ERR_NOMEM, "out of memory");
    json_decref(out);
    json_decref(index);
    free(text);
    return text ? 0 : -1;
}

static void show_progress(void *ctx, uint64_t done, uint64_t total)
{
    bool *begun = ctx;

    if (!*begun)
        progress_begin("check", total);
    *begun = true;
    progress_set(done, NULL);
}

int prep_check(struct prep *p, struct err *err)
{
    struct shard_check_report report = {0};
    char hex[SHA256_HEX], path[PATH_LEN], why[256];
    bool begun = false;
    int rc;

    if (path_format(path, err, "%s/index.json", p->folder) < 0)
        return -1;
    if (!path_exists(path))
        return err_set(err, ERR_INPUT, "%s: no finished shards there; run `prep %s` first",
                       p->folder, p->typed);
    rc = shard_check(&report, p->folder, show_progress, &begun, err);
    progress_end();
    if (rc < 0)
        return err_wrap(err, "%u problem%s; `prep %s --repair` makes damaged shards again",
                        report.problems, PLURAL(report.problems), p->typed);
    if (sha256_file(path, hex, NULL, err) < 0)
        return -1;
    if (path_is_dir(p->tree)) {
        struct err now = {0};

        if (prep_list(p, &now) < 0 || prep_hash(p, &now) < 0)
            log_warn("sound, but `prep %s` would make nothing now: %s", p->typed, now.msg);
        else if (!prep_is_current(p, why))
            log_warn("sound, but not what `prep %s` would make now: %s", p->typed, why);
    }
    printf("sound     %u shard%s, %u picture%s, %ju bytes\nindex     %s\n%s\n", report.shards,
           PLURAL(report.shards), report.pictures, PLURAL(report.pictures), (uintmax_t)report.bytes,
           hex, p->folder);
    return 0;
}

int prep_vocab(struct prep *p, struct err *err)
{
    uint32_t *counts;

    if (prep_list(p, err) < 0)
        return -1;
    counts = calloc((size_t)p->dataset->n_classes, sizeof *counts);
    if (!counts)
        return err_set(err, ERR_NOMEM, "out of memory");
    for (uint32_t i = 0; i < p->dataset->n; i++)
        counts[p->dataset->items[i].label]++;
    for (int32_t i = 0; i < p->dataset->n_classes; i++)
        printf("%d\t%s\t%u\n", i, p->dataset->vocab[i], counts[i]);
    free(counts);
    return 0;
}
