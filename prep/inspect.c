/* inspect.c - looking at shards and classes without making anything: --check, --vocab, up to date or not.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "data/shard_check.h"
#include "prep.h"

static const struct key_table tables[] = {{dataset_keys, 0}};

/* The first way in which the index differs from what would be made now. */
static bool index_differs(const struct prep *p, json_t *index, char why[256])
{
    const char *manifest, *decoder;
    json_t *settings, *now = keys_tree(tables, 1, &p->options, false);
    bool differs = true;

    why[0] = 0;
    settings = json_object_get(index, "settings");
    if (json_get_string(index, "manifest_sha256", &manifest, NULL) < 0 ||
        json_get_string(index, "decoder", &decoder, NULL) < 0 || !now)
        snprintf(why, 256, "its index cannot be understood");
    else if (strcmp(manifest, p->manifest_sha256) != 0)
        snprintf(why, 256, "the pictures are others than those it was made from");
    else if (!json_equal(settings, now))
        snprintf(why, 256, "the settings are others");
    else if (strcmp(decoder, image_decoder_version()) != 0)
        snprintf(why, 256, "it was decoded by %s", decoder);
    else
        differs = false;
    json_decref(now);
    return differs;
}

bool prep_is_current(const struct prep *p, char why[256])
{
    char path[PATH_LEN];
    struct err err = {0};
    json_t *index;
    bool current;

    why[0] = 0;
    if (path_format(path, &err, "%s/index.json", p->folder) < 0 || !path_exists(path))
        return false;
    if (json_read(&index, path, &err) < 0) {
        snprintf(why, 256, "%.200s", err.msg);
        return false;
    }
    current = !index_differs(p, index, why);
    json_decref(index);
    return current;
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
                       p->folder, p->name);
    rc = shard_check(&report, p->folder, show_progress, &begun, err);
    progress_end();
    if (rc < 0)
        return err_wrap(err, "%u problems; `prep %s --force` makes the shards anew",
                        report.problems, p->name);
    if (sha256_file(path, hex, NULL, err) < 0)
        return -1;
    if (path_is_dir(p->tree)) {
        if (prep_list(p, err) < 0 || prep_hash(p, err) < 0)
            return -1;
        if (!prep_is_current(p, why))
            log_warn("sound, but not what `prep %s` would make now: %s", p->name, why);
    }
    printf("sound     %u shards, %u pictures, %ju bytes\nindex     %s\n%s\n", report.shards,
           report.pictures, (uintmax_t)report.bytes, hex, p->folder);
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
