/* verify_data.c - what a run was trained on: shards, manifest, pictures, split.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "data/index_record.h"
#include "data/manifest.h"
#include "data/offenders.h"
#include "data/shard_check.h"
#include "experiment/checkpoint.h"
#include "verify_private.h"

static void show(void *ctx, uint64_t done, uint64_t total)
{
    bool *begun = ctx;

    if (!*begun)
        progress_begin("Shards", total);
    *begun = true;
    progress_set(done, NULL);
}

/* What came later was in no shard: prep sees to it. */
static void note_difference(void *ctx, const char *how, const char *path)
{
    if (strcmp(how, "extra") != 0)
        offenders_add(ctx, "%s %s", how, path);
}

/* The fetched files against the MANIFEST beside their TREE. */
static void check_pictures(struct chain *c, const char *manifest, const char *tree)
{
    struct offenders offenders = {0};
    struct manifest m = {0};
    struct err err;

    if (!path_is_dir(tree)) {
        chain_say(c, "pictures", RESULT_UNCHECKED, "%s is not there", tree);
        return;
    }
    if (manifest_read(&m, manifest, &err) < 0 ||
        manifest_check(&m, tree, NULL, note_difference, &offenders, &err) < 0) {
        chain_say(c, "pictures", RESULT_FAILED, "%s", err.msg);
    } else if (offenders.n == 0) {
        chain_say(c, "pictures", RESULT_OK, "%zu files, every byte, as the manifest has them",
                  m.n_files);
    } else {
        err_set(&err, ERR_CHECKSUM, "%u of %zu files are not as fetched", offenders.n, m.n_files);
        offenders_append(&err, &offenders);
        chain_say(c, "pictures", RESULT_FAILED, "%s", err.msg);
    }
    manifest_free(&m);
}

/* The manifest that index.json names, then the file itself beside the shards, and what it lists. */
static void check_manifest(struct chain *c)
{
    const int above = (int)(path_base(c->shards) - c->shards); /* of DATA/SET/ */
    char path[PATH_LEN], tree[PATH_LEN], hex[SHA256_HEX];
    struct index_record r;
    json_t *index = NULL;
    struct err err;

    if (path_format(path, &err, "%s/index.json", c->shards) == 0 &&
        json_read(&index, path, &err) < 0)
        chain_say(c, "shards' manifest", RESULT_FAILED, "%s", err.msg);
    fields_read(index_fields, SHARD_INDEX_VERSION, &r, index, NULL);
    if (index && !r.manifest_sha256)
        chain_say(c, "shards' manifest", RESULT_FAILED, "index.json has no manifest_sha256");
    else if (index)
        chain_compare(c, "shards' manifest", "manifest", r.manifest_sha256,
                      "what index.json names");
    if (!r.fetched) {
        chain_say(c, "pictures", RESULT_UNCHECKED, "they lie in a folder that was not fetched");
    } else if (path_format(path, &err, "%.*smanifest.jsonl", above, c->shards) == 0 &&
               path_format(tree, &err, "%.*stree", above, c->shards) == 0) {
        if (!path_is_file(path)) {
            chain_say(c, "manifest", RESULT_UNCHECKED, "%s is not there", path);
        } else if (manifest_sha256(path, hex, &err) < 0) {
            chain_say(c, "manifest", RESULT_FAILED, "%s", err.msg);
        } else {
            chain_compare(c, "manifest", "manifest", hex, path);
            check_pictures(c, path, tree);
        }
    }
    json_decref(index);
}

/* The numbers of pictures that run.json has. */
static void check_numbers(struct chain *c, const struct split *split, int classes)
{
    const struct run_pictures *p = &c->l->run.facts.pictures;
    const bool same = p->train == split->n_train && p->valid == split->n_valid &&
                      p->test == split->n_test && p->left_out == split->n_left_out &&
                      c->l->run.facts.classes == classes;

    chain_say(c, "pictures' number", same ? RESULT_OK : RESULT_FAILED,
              same ? "%u to train, %u to validate, %u to test, %d classes"
                   : "run.json differs from the shards: %u to train, %u to validate, %u to "
                     "test, %d classes",
              split->n_train, split->n_valid, split->n_test, classes);
}

/* What data.clean and data.plant did, as run.json has it. */
static void check_cleaning(struct chain *c, const struct split *split)
{
    json_t *now = split_cleaning_json(split, &c->e->data);
    const json_t *then = c->l->run.facts.cleaning;

    if (json_is_null(now) && !then) {
        json_decref(now);
        return;
    }
    if (now && json_equal(now, then))
        chain_say(c, "cleaning", RESULT_OK, "as many labels are changed as run.json says");
    else
        chain_say(c, "cleaning", RESULT_FAILED,
                  "run.json says of data.clean and data.plant what the set and the table do not");
    json_decref(now);
}

/* Cut again as resolved.yaml says. */
static void check_split(struct chain *c)
{
    char hex[SHA256_HEX], text[1200];
    struct shard_set *shards = NULL;
    struct split *split = NULL;
    struct err err;

    if (!c->e)
        return;
    if (c->e->data.clean[0]) /* by itself: a table that was changed may be none that can be read */
        chain_compare_file(c, "cleaning table", "clean", split_clean_file(&c->e->data));
    if (shard_set_open(&shards, c->shards, &err) < 0 ||
        split_make(&split, &c->e->data, shards, &err) < 0 ||
        split_sha256(hex, split, shards, &err) < 0) {
        chain_say(c, "split", RESULT_FAILED, "%s", err.msg);
    } else {
        split_text(text, sizeof text, &c->e->data);
        chain_compare(c, "split", "split", hex, text);
        check_numbers(c, split, shard_set_classes(shards));
        check_cleaning(c, split);
        c->n_train = split->n_train;
    }
    split_free(split);
    shard_set_close(shards);
}

void verify_data(struct chain *c)
{
    struct shard_check_report report;
    char path[PATH_LEN];
    bool begun = false;
    struct err err;

    look_find_shards(c->shards, c->l, c->r);
    if (!c->shards[0]) {
        chain_say(c, "shards", RESULT_UNCHECKED, "%s is not there; --data DIR names where data lie",
                  c->l->run.facts.shards ? c->l->run.facts.shards : "their folder");
        return;
    }
    if (path_format(path, &err, "%s/index.json", c->shards) == 0)
        chain_compare_file(c, "index", "index", path);
    if (shard_check(&report, c->shards, show, &begun, &err) < 0)
        chain_say(c, "shards", RESULT_FAILED, "%s", err.msg);
    else
        chain_say(c, "shards", RESULT_OK,
                  "%u picture%s in %u file%s, every byte, as index.json has it", report.pictures,
                  PLURAL(report.pictures), report.shards, PLURAL(report.shards));
    if (begun)
        progress_end();
    check_manifest(c);
    check_split(c);
}
