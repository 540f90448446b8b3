/* experiment.c - one experiment: files of the extends chain, then the command line, in key tables.
 *
 * Invariants: every file is applied to the struct on its own, so an error names the file it is in;
 * the merged tree is kept only to give overrides of list items (train.phases.0.epochs) something to
 * edit. SPDX-License-Identifier: MIT */
#include "experiment/experiment.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "data/dataset.h"
#include "data/shard_choice.h"
#include "remote/remote.h"

enum { CHAIN_MAX = 8, GIVEN_MAX = 1 << 20, N_TABLES = 7 };

// clang-format off
static const struct key own_keys[] = {
    KEY_STR(struct experiment, title, "title", "", "the question this experiment asks", .flags = KEY_NO_RESULT),
    KEY_INT(struct experiment, seed, "seed", "42", 0, 9007199254740992.0, "1",
            "seed of initial weights, order, augmentation and dropout", .flags = KEY_REPEAT),
    KEY_BOOL(struct experiment, score_train, "train.score_train", "false",
             "score the training pictures too when the run ends (no augmentation)", .flags = KEY_NO_RESULT),
    KEY_END,
};

static const struct key_table tables[N_TABLES] = {
    {own_keys, 0},
    {data_keys, offsetof(struct experiment, data)},
    {model_keys, offsetof(struct experiment, model)},
    {augment_keys, offsetof(struct experiment, augment)},
    {train_keys, offsetof(struct experiment, train)},
    {optim_keys, offsetof(struct experiment, optim)},
    {exec_keys, offsetof(struct experiment, exec)},
};

// clang-format on

static int today(void)
{
    return keys_version(tables, N_TABLES);
}

/* Path of experiment NAME; when it comes from `extends` in the file FROM, beside that file first.
 */
static int find_file(char out[PATH_LEN], const char *name, const char *from, struct err *err)
{
    if (from) {
        int folder = (int)(path_base(from) - from);

        if (path_format(out, err, "%.*s%s%s", folder, from, name,
                        text_ends_in(name, ".yaml") ? "" : ".yaml") < 0)
            return -1;
        if (path_is_file(out))
            return 0;
    }
    if (text_ends_in(name, ".yaml")) {
        if (!path_is_file(name))
            return err_set(err, ERR_INPUT, "experiment %s: no such file", name);
        return path_format(out, err, "%s", name);
    }
    return path_find_share(out, SHARE_EXPERIMENTS, name, err);
}

/* Reads the chain, the file itself first. TREES with room for CHAIN_MAX; the caller releases *n. */
static int read_chain(json_t **trees, char (*paths)[PATH_LEN], int *n, const char *name,
                      struct err *err)
{
    char next[256];
    const char *from = NULL;

    for (;;) {
        json_t *extends;

        if (*n == CHAIN_MAX)
            return err_set(err, ERR_INPUT, "%s: extends goes more than %d files deep", paths[0],
                           CHAIN_MAX);
        if (find_file(paths[*n], name, from, err) < 0)
            return from ? err_wrap(err, "%s: extends", from) : -1;
        for (int i = 0; i < *n; i++)
            if (strcmp(paths[i], paths[*n]) == 0)
                return err_set(err, ERR_INPUT, "%s: extends leads back to %s: a loop", from,
                               paths[i]);
        if (yaml_read(&trees[*n], paths[*n], err) < 0)
            return -1;
        from = paths[*n];
        ++*n;
        if (json_is_null(trees[*n - 1])) { /* only comments: every key has its default */
            json_decref(trees[*n - 1]);
            trees[*n - 1] = json_object();
        }
        if (!json_is_object(trees[*n - 1]))
            return err_set(err, ERR_INPUT, "%s: expected keys and values (model: ...)", from);
        extends = json_object_get(trees[*n - 1], "extends");
        if (!extends || json_is_null(extends)) {
            json_object_del(trees[*n - 1], "extends");
            return 0;
        }
        if (!json_is_string(extends) || json_string_length(extends) >= sizeof next)
            return err_set(err, ERR_INPUT, "%s: extends: expected the name of one experiment",
                           from);
        memcpy(next, json_string_value(extends), json_string_length(extends) + 1);
        name = next;
        json_object_del(trees[*n - 1], "extends");
    }
}

/* The oldest version that a file of the chain was written for: what none of them names is then what it was
 * in that version. Takes the member `version` out of the trees. */
static int chain_version(int *version, json_t **trees, char (*paths)[PATH_LEN], int n,
                         struct err *err)
{
    *version = today();
    for (int i = 0; i < n; i++) {
        const json_t *json = json_object_get(trees[i], "version");
        const char *text = json_string_value(json);
        char *end = NULL;
        /* until version 2, a record did not say it */
        long own = strcmp(path_base(paths[i]), "resolved.yaml") == 0 ? 1 : today();

        if (json) {
            own = text ? strtol(text, &end, 10) : 0;
            if (!text || end == text || *end || own < 1 || own > today())
                return err_set(
                    err, ERR_INPUT,
                    "%s: version: %.40s: this presize reads versions 1 to %d of the keys%s",
                    paths[i], text ? text : "no number", today(),
                    own > today() ? "; a newer one wrote this" : "");
        }
        json_object_del(trees[i], "version");
        *version = own < *version ? (int)own : *version;
    }
    return 0;
}

static int apply_words(struct experiment *e, json_t *merged, char *const *words, int n,
                       struct err *err)
{
    for (int i = 0; i < n; i++)
        if (keys_set_word(merged, tables, N_TABLES, words[i], err) < 0)
            return err_usage(err);
    return n > 0 ? keys_apply(tables, N_TABLES, e->version, e, merged, NULL, err) : 0;
}

static int apply_all(struct experiment *e, json_t **trees, char (*paths)[PATH_LEN], int n,
                     char *const *words, int n_words, struct err *err)
{
    json_t *merged = json_object();
    int rc = -1;

    if (!merged)
        return err_set(err, ERR_NOMEM, "experiment");
    if (chain_version(&e->version, trees, paths, n, err) < 0)
        goto out;
    keys_default(tables, N_TABLES, e->version, e);
    for (int i = n - 1; i >= 0; i--) { /* what is extended first, the file itself last */
        if (keys_apply(tables, N_TABLES, e->version, e, trees[i], paths[i], err) < 0)
            goto out;
        if (keys_merge(merged, trees[i], err) < 0)
            goto out;
    }
    rc = apply_words(e, merged, words, n_words, err);
out:
    json_decref(merged);
    return rc;
}

/* E, read by the rules of an older version, becomes one of today's, which cannot say what retired keys
 * said. */
static int renew(struct experiment *e, const char *path, struct err *err)
{
    json_t *outdated = keys_outdated(tables, N_TABLES, e->version, e);
    const char *name = json_object_iter_key(json_object_iter(outdated));
    int rc = outdated ? 0 : err_set(err, ERR_NOMEM, "experiment");

    if (name) {
        rc = keys_check_name(tables, N_TABLES, KEYS_NEWEST, name, err);
        err_wrap(err, "%s", path);
    }
    json_decref(outdated);
    e->version = today();
    return rc;
}

/* RECORD: NAME is a run's, and stays of its version. */
static int read_experiment(struct experiment **out, const char *name, bool record,
                           char *const *words, int n, struct err *err)
{
    struct experiment *e = calloc(1, sizeof *e);
    char(*paths)[PATH_LEN] = calloc(CHAIN_MAX, sizeof *paths);
    json_t *trees[CHAIN_MAX] = {0};
    int n_trees = 0, rc = -1;
    size_t size, length;
    const char *base;

    *out = NULL;
    if (!e || !paths) {
        err_set(err, ERR_NOMEM, "experiment: %zu bytes", sizeof *e);
        goto out;
    }
    if (read_chain(trees, paths, &n_trees, name, err) < 0)
        goto out;
    if (path_read(&e->given, &size, paths[0], GIVEN_MAX, err) < 0)
        goto out;
    if (apply_all(e, trees, paths, n_trees, words, n, err) < 0)
        goto out;
    if (!record && renew(e, paths[0], err) < 0)
        goto out;
    base = path_base(paths[0]);
    length = strlen(base) - strlen(".yaml");
    if (length >= sizeof e->name) {
        err_set(err, ERR_INPUT, "%s: the name is longer than %zu characters", paths[0],
                sizeof e->name - 1);
        goto out;
    }
    memcpy(e->name, base, length);
    e->name[length] = 0;
    *out = e;
    e = NULL;
    rc = 0;
out:
    for (int i = 0; i < CHAIN_MAX; i++)
        json_decref(trees[i]);
    free(paths);
    experiment_free(e);
    return rc;
}

int experiment_read(struct experiment **out, const char *name, char *const *words, int n,
                    struct err *err)
{
    return read_experiment(out, name, false, words, n, err);
}

int experiment_reopen(struct experiment **out, const char *folder, char *const *words, int n,
                      struct err *err)
{
    char path[PATH_LEN];

    *out = NULL;
    if (path_format(path, err, "%s/resolved.yaml", folder) < 0)
        return -1;
    if (read_experiment(out, path, true, words, n, err) < 0)
        return -1;
    if (path_format(path, err, "%s/clean.csv", folder) < 0)
        return -1;
    if ((*out)->data.clean[0] && path_is_file(path))
        memcpy((*out)->data.clean_copy, path, sizeof path);
    return 0;
}

int experiment_default(struct experiment **out, char *const *words, int n, struct err *err)
{
    struct experiment *e = calloc(1, sizeof *e);
    json_t *tree = json_object();
    int rc = -1;

    *out = NULL;
    if (!e || !tree) {
        err_set(err, ERR_NOMEM, "experiment");
        goto out;
    }
    e->version = today();
    keys_default(tables, N_TABLES, e->version, e);
    if (apply_words(e, tree, words, n, err) < 0)
        goto out;
    *out = e;
    e = NULL;
    rc = 0;
out:
    json_decref(tree);
    experiment_free(e);
    return rc;
}

void experiment_free(struct experiment *e)
{
    if (!e)
        return;
    free(e->given);
    free(e);
}

/* TREE is taken over; NULL: out of memory. */
static int write_tree(json_t *tree, const char *folder, const char *name, struct err *err)
{
    char path[PATH_LEN];
    struct new_file file = {0};

    if (path_format(path, err, "%s/%s", folder, name) < 0)
        goto fail;
    if (!tree)
        return err_set(err, ERR_NOMEM, "%s", path);
    if (new_file_begin(&file, path, err) < 0)
        goto fail;
    if (yaml_write(file.file, tree, err) < 0)
        goto fail;
    json_decref(tree);
    return new_file_finish(&file, err);
fail:
    json_decref(tree);
    new_file_abort(&file);
    return -1;
}

/* The record: the version, then every key, nested. Version 1 did not name itself. */
static json_t *record_tree(const struct experiment *e)
{
    json_t *tree = keys_tree(tables, N_TABLES, e->version, e, false), *all;

    if (!tree || e->version == 1)
        return tree;
    all = json_pack("{s:i}", "version", e->version);
    if (all && json_object_update(all, tree) < 0) {
        json_decref(all);
        all = NULL;
    }
    json_decref(tree);
    return all;
}

int experiment_write(const struct experiment *e, const char *folder, struct err *err)
{
    char path[PATH_LEN];

    if (path_format(path, err, "%s/experiment.yaml", folder) < 0)
        return -1;
    if (path_write(path, e->given, strlen(e->given), err) < 0)
        return -1;
    if (write_tree(record_tree(e), folder, "resolved.yaml", err) < 0)
        return -1;
    return write_tree(keys_tree(tables, N_TABLES, e->version, e, false), folder, "params.yaml",
                      err);
}

int experiment_sha256(const struct experiment *e, char hex[SHA256_HEX], struct err *err)
{
    json_t *tree = keys_tree(tables, N_TABLES, e->version, e, true);
    char *text;

    if (!tree)
        return err_set(err, ERR_NOMEM, "experiment");
    for (size_t t = 0; t < N_TABLES; t++)
        for (const struct key *row = tables[t].rows; row->name; row++)
            if (row->flags & KEY_NO_RESULT)
                json_object_del(tree, row->name);
    if (e->version > 1 && json_object_set_new(tree, "version", json_integer(e->version)) < 0) {
        json_decref(tree);
        return err_set(err, ERR_NOMEM, "experiment");
    }
    /* 17 digits: what jansson's default was when the first records were hashed */
    text = json_dumps(tree, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    json_decref(tree);
    if (!text)
        return err_set(err, ERR_NOMEM, "experiment");
    sha256_of(text, strlen(text), hex);
    free(text);
    return 0;
}

bool experiment_is_harmless(const char *name)
{
    return keys_flagged(tables, N_TABLES, name, KEY_NO_RESULT);
}

bool experiment_is_repeat(const char *name)
{
    return keys_flagged(tables, N_TABLES, name, KEY_REPEAT);
}

int experiment_params(json_t **out, const struct experiment *e, struct err *err)
{
    json_t *tree = keys_tree(tables, N_TABLES, KEYS_NEWEST, e, true);
    json_t *outdated = keys_outdated(tables, N_TABLES, e->version, e);
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    int rc = -1;

    *out = NULL;
    if (!tree || !outdated || !file || json_object_update(tree, outdated) < 0)
        err_set(err, ERR_NOMEM, "experiment");
    else
        rc = yaml_write(file, tree, err);
    if (file && fclose(file) != 0 && rc == 0)
        rc = err_set(err, ERR_NOMEM, "experiment");
    if (rc == 0)
        rc = yaml_parse(out, text, err);
    free(text);
    json_decref(tree);
    json_decref(outdated);
    return rc;
}

const struct key_table *experiment_keys(size_t *n)
{
    *n = N_TABLES;
    return tables;
}

void experiment_document(FILE *file)
{
    fputs("# Experiments\n\n"
          "One file, one question: the first comment of `NAME.yaml` says which. Run it with\n"
          "\n"
          "    bin/train --exp NAME [KEY=VALUE ...]\n"
          "\n"
          "`extends: OTHER` inherits from `OTHER.yaml`: maps merge, lists replace. Any key can be\n"
          "set on the command line, an item of a list by its number\n"
          "(`train.phases.0.epochs=3`). An unknown key is an error. The resolved copy of every\n"
          "key is kept in the run folder (`resolved.yaml`, `params.yaml`).\n"
          "\n"
          "Keys come and go, so a run records the version of its keys. A run keeps the meaning it "
          "had\n"
          "in its own version: a newer key has the value that the table gives for older records, "
          "and a\n"
          "retired key is still read. `train --exp results/RUN/resolved.yaml` repeats what a "
          "run of\n"
          "any version did. A file of yours that says `version: 1` is read in the same way.\n"
          "\n"
          "This file is written by `bin/train --keys`; a test compares.\n"
          "\n",
          file);
    fprintf(file, "The keys of version %d:\n\n", today());
    keys_document(file, tables, N_TABLES);
}

/* A folder of another machine cannot be listed: without data.size, the size is that of the set's description. */
static int fetch_index(int64_t *size, const struct experiment *e, const char *data, struct err *err)
{
    struct dataset_options set;
    char sub[PATH_LEN];

    if (!*size) {
        if (dataset_read(&set, e->data.set, NULL, 0, err) < 0)
            return err_append(err, "; or say which shards are there by data.size=N");
        *size = set.size;
    }
    return path_format(sub, err, "%s/shards-%jd", e->data.set, (intmax_t)*size) < 0
               ? -1
               : remote_index(data, sub, err);
}

int experiment_shards(char out[PATH_LEN], const struct experiment *e, const char *data,
                      struct err *err)
{
    char folder[PATH_LEN];
    int64_t size = e->data.size ? e->data.size : e->presize;

    if (!e->data.set[0])
        return err_set(err, ERR_INPUT,
                       "data.set: which set of pictures? name one in the experiment or as "
                       "data.set=NAME");
    if (path_format(folder, err, "%s/%s", data, e->data.set) < 0)
        return -1;
    if (remote_is(data) && fetch_index(&size, e, data, err) < 0)
        return -1;
    if (!size && shard_choose(&size, folder, err) < 0)
        return -1;
    if (size) {
        if (path_format(out, err, "%s/shards-%jd/index.json", folder, (intmax_t)size) < 0)
            return -1;
        if (path_exists(out))
            return path_format(out, err, "%s/shards-%jd", folder, (intmax_t)size);
        return err_set(err, ERR_INPUT, "%s is missing: run `prep %s presize.size=%jd` first", out,
                       e->data.set, (intmax_t)size);
    }
    if (!path_is_dir(folder))
        return err_set(err, ERR_INPUT,
                       "%s: no such data set: run `fetch %s` and `prep %s` first, or say where it "
                       "is with --data DIR",
                       folder, e->data.set, e->data.set);
    return err_set(err, ERR_INPUT, "%s has no shards: run `prep %s` first", folder, e->data.set);
}

const char *experiment_final(const struct experiment *e)
{
    return e->train.watch.finish == FINISH_BEST ? "best" : "last";
}

enum dtype experiment_dtype(const struct experiment *e, const struct be_info *info,
                            const char **note)
{
    *note = NULL;
    if (e->train.precision == PRECISION_FP32)
        return DTYPE_F32;
    if (e->train.precision == PRECISION_FP16 && info->has_fp16)
        return DTYPE_F16;
    if (!info->has_bf16) {
        *note = e->train.precision == PRECISION_FP16
                    ? "this device has neither fp16 nor bf16 training kernels: running in fp32"
                    : "this device has no bf16 kernels: running in fp32";
        return DTYPE_F32;
    }
    if (e->train.precision == PRECISION_FP16)
        *note = "this device has no fp16 training kernels: running in bf16";
    return DTYPE_BF16;
}
