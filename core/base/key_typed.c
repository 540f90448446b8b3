/* key_typed.c - what people type who know the word, but not the key.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/key.h"

static const struct {
    const char *typed, *key;
} words[] = {
    {"epochs", "train.phases.0.epochs"},
    {"n_epochs", "train.phases.0.epochs"},
    {"epoch", "train.phases.0.epochs"},
    {"lr", "train.phases.0.lr"},
    {"learning_rate", "train.phases.0.lr"},
    {"lr_max", "train.phases.0.lr"},
    {"base_lr", "train.phases.0.base_lr"},
    {"freeze_epochs", "train.phases.0.freeze_epochs"},
    {"bs", "train.batch"},
    {"batch", "train.batch"},
    {"batch_size", "train.batch"},
    {"size", "train.size"},
    {"size", "presize.size"},
    {"img_size", "train.size"},
    {"image_size", "train.size"},
    {"imgsz", "train.size"},
    {"resize", "presize.size"},
    {"wd", "optim.wd"},
    {"weight_decay", "optim.wd"},
    {"mom", "optim.mom"},
    {"momentum", "optim.mom"},
    {"optimizer", "optim.name"},
    {"opt", "optim.name"},
    {"arch", "model.arch"},
    {"architecture", "model.arch"},
    {"backbone", "model.arch"},
    {"pretrained", "model.weights"},
    {"weights", "model.weights"},
    {"dropout", "model.dropout"},
    {"workers", "exec.threads"},
    {"num_workers", "exec.threads"},
    {"threads", "exec.threads"},
    {"dataset", "data.set"},
    {"set", "data.set"},
    {"valid_pct", "data.valid"},
    {"val_split", "data.valid"},
    {"fp16", "train.precision"},
    {"amp", "train.precision"},
    {"precision", "train.precision"},
    {"accumulate", "train.accumulate"},
    {"clip", "train.clip"},
    {"ema", "train.ema"},
    {"label_smoothing", "train.loss.smoothing"},
    {"patience", "train.early_stop"},
    {"early_stopping", "train.early_stop"},
};

/* As an option is written, or a key: dashes are underscores. */
static bool is_word(const char *typed, const char *word)
{
    for (; *typed && *word; typed++, word++)
        if (*typed != *word && !(*typed == '-' && *word == '_'))
            return false;
    return *typed == *word;
}

const char *key_typed(const char *typed, bool (*exists)(void *ctx, const char *key), void *ctx)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (is_word(typed, words[i].typed) && exists(ctx, words[i].key))
            return words[i].key;
    return NULL;
}
