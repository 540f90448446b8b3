/* experiment.c - one experiment: files of the extends chain, then the command line, in key tables.
 *
 * Invariants: every file is applied to the struct on its own, so an error names the file it is in;
 * the merged tree is kept only to give overrides of list items (train.phases.0.epochs) something to
 * edit. SPDX-License-Identifier: MIT */
#include "experiment/experiment.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/yaml.h"

enum { CHAIN_MAX = 8, GIVEN_MAX = 1 << 20, N_TABLES = 7 };

// clang-format off
static const struct key own_keys[] = {
    KEY_STR(struct experiment, title, "title", "", "the question this experiment asks"),
    KEY_INT(struct experiment, seed, "seed", "42", 0, 9007199254740992.0, "1",
            "of initial weights, order, augmentation and dropout"),
    KEY_BOOL(struct experiment, score_train, "train.score_train", "false",
             "score the training pictures too when the run ends (no augmentation)"),
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

/* Keys that cannot change a bit of the weights. */
static const char *const harmless[] = {
    "title", "exec.threads", "exec.prefetch", "exec.cuda_graph", "data.verify", "train.score_train",
    "train.checkpoint_minutes",
};
// clang-format on

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n >= m && strcmp(s + n - m, end) == 0;
}

/* Path of experiment NAME; when it comes from `extends` in the file FROM, beside that file first.
 */
static int find_file(char out[PATH_LEN], const char *name, const char *from, struct err *err)
{
    if (from) {
        int folder = (int)(path_base(from) - from);

        if (path_format(out, err, "%.*s%s%s", folder, from, name,
                        ends_with(name, ".yaml") ? "" : ".yaml") < 0)
            return -1;
        if (path_is_file(out))
            return 0;
    }
    if (ends_with(name, ".yaml")) {
        if (!path_is_file(name))
            return err_set(err, ERR_INPUT, "experiment %s: no such file", name);
        return path_format(out, err, "%s", name);
    }
    return path_find_share(out, "experiments", name, err);
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

static int apply_all(struct experiment *e, json_t **trees, char (*paths)[PATH_LEN], int n,
                     char *const *words, int n_words, struct err *err)
{
    json_t *merged = json_object();
    int rc = -1;

    if (!merged)
        return err_set(err, ERR_NOMEM, "experiment");
    keys_default(tables, N_TABLES, e);
    for (int i = n - 1; i >= 0; i--) { /* what is extended first, the file itself last */
        if (keys_apply(tables, N_TABLES, e, trees[i], paths[i], err) < 0)
            goto out;
        if (keys_merge(merged, trees[i], err) < 0)
            goto out;
    }
    for (int i = 0; i < n_words; i++) {
        if (keys_override(merged, words[i], err) < 0) {
            if (!strstr(err->msg, "command line"))
                err_wrap(err, "command line");
            goto out;
        }
    }
    if (n_words && keys_apply(tables, N_TABLES, e, merged, "command line", err) < 0)
        goto out;
    rc = 0;
out:
    json_decref(merged);
    return rc;
}

int experiment_read(struct experiment **out, const char *name, char *const *words, int n,
                    struct err *err)
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

void experiment_free(struct experiment *e)
{
    if (!e)
        return;
    free(e->given);
    free(e);
}

static int write_tree(const struct experiment *e, const char *folder, const char *name, bool flat,
                      struct err *err)
{
    char path[PATH_LEN];
    struct new_file file = {0};
    json_t *tree;

    if (path_format(path, err, "%s/%s", folder, name) < 0)
        return -1;
    tree = keys_tree(tables, N_TABLES, e, flat);
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

int experiment_write(const struct experiment *e, const char *folder, struct err *err)
{
    char path[PATH_LEN];

    if (path_format(path, err, "%s/experiment.yaml", folder) < 0)
        return -1;
    if (path_write(path, e->given, strlen(e->given), err) < 0)
        return -1;
    if (write_tree(e, folder, "resolved.yaml", false, err) < 0)
        return -1;
    return write_tree(e, folder, "params.yaml", true, err);
}

int experiment_sha256(const struct experiment *e, char hex[SHA256_HEX], struct err *err)
{
    json_t *tree = keys_tree(tables, N_TABLES, e, true);
    char *text;

    if (!tree)
        return err_set(err, ERR_NOMEM, "experiment");
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        json_object_del(tree, harmless[i]);
    if (!e->model
             .weights_key[0]) /* younger than the first records: unset, they have their old hash */
        json_object_del(tree, "model.weights_key");
    text = json_dumps(tree, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(tree);
    if (!text)
        return err_set(err, ERR_NOMEM, "experiment");
    sha256_of(text, strlen(text), hex);
    free(text);
    return 0;
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
          "This file is written by `bin/train --keys`; a test compares.\n"
          "\n",
          file);
    keys_document(file, tables, N_TABLES);
}

int experiment_shards(char out[PATH_LEN], const struct experiment *e, const char *data,
                      struct err *err)
{
    char folder[PATH_LEN];
    long size = (long)(e->data.size ? e->data.size : e->presize);
    DIR *dir;
    const struct dirent *entry;

    if (!e->data.set[0])
        return err_set(err, ERR_INPUT,
                       "data.set: which set of pictures? name one in the experiment or as "
                       "data.set=NAME");
    if (path_format(folder, err, "%s/%s", data, e->data.set) < 0)
        return -1;
    if (!size && (dir = opendir(folder))) {
        while ((entry = readdir(dir))) {
            char *end;
            long found;

            if (strncmp(entry->d_name, "shards-", 7) != 0)
                continue;
            found = strtol(entry->d_name + 7, &end, 10);
            if (*end == 0 && found > size &&
                path_format(out, err, "%s/%s/index.json", folder, entry->d_name) == 0 &&
                path_exists(out))
                size = found;
        }
        closedir(dir);
    }
    if (size) {
        if (path_format(out, err, "%s/shards-%ld/index.json", folder, size) < 0)
            return -1;
        if (path_exists(out))
            return path_format(out, err, "%s/shards-%ld", folder, size);
        return err_set(err, ERR_INPUT, "%s is missing: run `prep %s presize.size=%ld` first", out,
                       e->data.set, size);
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
