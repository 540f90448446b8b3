/* key_typed.c - what people type who know the word, but not the key.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/key_private.h"
#include "base/log.h"

/* Where the value means the same, the word is taken for the key; elsewhere the key is only named: "--fp16" and
 * "num_workers=0" are right in other programs and would be wrong here. */
static const struct {
    const char *typed, *key;
    bool same;
    const char *kind; /* of an item of a list: only where this is its kind; NULL: of any */
} words[] = {
    {"epochs", "train.phases.0.epochs", true, NULL},
    {"n_epochs", "train.phases.0.epochs", true, NULL},
    {"epoch", "train.phases.0.epochs", true, NULL},
    {"lr", "train.phases.0.base_lr", true, "fine_tune"},
    {"lr", "train.phases.0.lr", true, NULL},
    {"learning_rate", "train.phases.0.base_lr", true, "fine_tune"},
    {"learning_rate", "train.phases.0.lr", true, NULL},
    {"lr_max", "train.phases.0.lr", true, NULL},
    {"base_lr", "train.phases.0.base_lr", true, NULL},
    {"freeze_epochs", "train.phases.0.freeze_epochs", true, NULL},
    {"bs", "train.batch", true, NULL},
    {"batch", "train.batch", true, NULL},
    {"batch_size", "train.batch", true, NULL},
    {"size", "train.size", true, NULL},
    {"size", "presize.size", true, NULL},
    {"img_size", "train.size", true, NULL},
    {"image_size", "train.size", true, NULL},
    {"imgsz", "train.size", true, NULL},
    {"resize", "presize.size", true, NULL},
    {"seed", "seed", true, NULL},
    {"wd", "optim.wd", true, NULL},
    {"weight_decay", "optim.wd", true, NULL},
    {"mom", "optim.mom", true, NULL},
    {"momentum", "optim.mom", true, NULL},
    {"optimizer", "optim.name", true, NULL},
    {"opt", "optim.name", true, NULL},
    {"arch", "model.arch", true, NULL},
    {"architecture", "model.arch", true, NULL},
    {"backbone", "model.arch", true, NULL},
    {"model", "model.arch", false, NULL},
    {"pretrained", "model.weights", false, NULL},
    {"weights", "model.weights", true, NULL},
    {"dropout", "model.head.dropout", true, NULL},
    {"workers", "exec.threads", false, NULL},
    {"num_workers", "exec.threads", false, NULL},
    {"threads", "exec.threads", true, NULL},
    {"device", "exec.backend", false, NULL},
    {"dataset", "data.set", true, NULL},
    {"set", "data.set", true, NULL},
    {"valid_pct", "data.valid", true, NULL},
    {"val_split", "data.valid", false, NULL},
    {"fp16", "train.precision", false, NULL},
    {"amp", "train.precision", false, NULL},
    {"precision", "train.precision", true, NULL},
    {"accumulate", "train.accumulate", true, NULL},
    {"clip", "train.clip", true, NULL},
    {"ema", "train.ema", true, NULL},
    {"label_smoothing", "train.loss.smoothing", true, NULL},
    {"patience", "train.early_stop", true, NULL},
    {"monitor", "train.monitor", true, NULL},
    {"plant", "data.plant", true, NULL},
    {"clean", "data.clean", true, NULL},
    {"early_stopping", "train.early_stop", false, NULL},
};

/* As an option is written, or a key: dashes are underscores. The first N bytes of TYPED. */
static bool is_word(const char *typed, size_t n, const char *word)
{
    if (strlen(word) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (typed[i] != word[i] && !(typed[i] == '-' && word[i] == '_'))
            return false;
    return true;
}

const char *key_typed(const char *typed, bool (*exists)(void *ctx, const char *key), void *ctx)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!words[i].kind && is_word(typed, strlen(typed), words[i].typed) &&
            exists(ctx, words[i].key))
            return words[i].key;
    return NULL;
}

bool key_is_short(const char *typed, bool (*exists)(void *ctx, const char *key), void *ctx)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].same && is_word(typed, strlen(typed), words[i].typed) &&
            exists(ctx, words[i].key))
            return true;
    return false;
}

/* The list of maps in TREE that KEY ("train.phases.0.lr") has an item of; NULL: it has none. */
static const json_t *list_of(const json_t *tree, const char *key)
{
    const char *dot;

    for (; (dot = strchr(key, '.')); key = dot + 1) {
        if (json_is_array(tree))
            return tree;
        tree = json_object_getn(tree, key, (size_t)(dot - key));
    }
    return NULL;
}

/* Which key the word means in TREE: a row of words; -1: none. */
static int find_short(const struct key_join *j, const json_t *tree, const char *word, size_t n)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const json_t *item = json_array_get(list_of(tree, words[i].key), 0);
        const char *kind = json_string_value(json_object_get(item, "kind"));

        if (words[i].same && strcmp(words[i].typed, words[i].key) != 0 &&
            is_word(word, n, words[i].typed) && key_has((void *)(uintptr_t)j, words[i].key) &&
            (!words[i].kind || (kind && strcmp(kind, words[i].kind) == 0)))
            return (int)i;
    }
    return -1;
}

int keys_set_word(json_t *tree, const struct key_table *tables, size_t n, const char *word,
                  struct err *err)
{
    const struct key_join j = {.tables = tables, .n = n, .version = KEYS_NEWEST};
    const size_t length = strcspn(word, "=");
    const int found = word[length] ? find_short(&j, tree, word, length) : -1;
    size_t items;
    char *whole;
    int rc;

    if (found < 0) {
        if (keys_check_name(tables, n, KEYS_NEWEST, word, err) < 0)
            return -1;
        return keys_override(tree, word, err);
    }
    items = json_array_size(list_of(tree, words[found].key));
    if (items > 1)
        return err_set(
            err, ERR_INPUT,
            "%.*s: the experiment has %zu phases: say which one, as in %s=%s (the first)",
            (int)length, word, items, words[found].key, word + length + 1);
    if (asprintf(&whole, "%s%s", words[found].key, word + length) < 0)
        return err_set(err, ERR_NOMEM, "keys: out of memory");
    log_info("%.*s is short for %s", (int)length, word, words[found].key);
    rc = keys_override(tree, whole, err);
    free(whole);
    return rc;
}
