/* split_folds.c - k-fold cross-validation: which fold each picture validates in.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "data/split_private.h"

/* Dealt out class by class, the classes one after the other, as scikit-learn's StratifiedKFold does: so the folds as a
 * whole are as even as each class is. */
static int deal_by_class(uint32_t *fold, const uint32_t *order, uint32_t n, uint32_t folds,
                         const struct shard_set *s, struct err *err)
{
    const size_t classes = (size_t)shard_set_classes(s);
    uint32_t *next = calloc(classes + 1, sizeof *next);

    if (!next)
        return err_set(err, ERR_NOMEM, "folds: out of memory");
    for (uint32_t i = 0; i < n; i++)
        next[shard_set_picture(s, order[i])->label + 1]++;
    for (size_t c = 0; c < classes; c++)
        next[c + 1] += next[c];
    for (uint32_t i = 0; i < n; i++)
        fold[order[i]] = next[shard_set_picture(s, order[i])->label]++ % folds + 1;
    free(next);
    return 0;
}

/* FIRST (one per rank, zeroed): the fold of each group's first picture in ORDER. */
static void join_twins(uint32_t *fold, uint32_t *first, const uint32_t *order, uint32_t n,
                       const uint32_t *twin)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t *group = &first[twin[order[i]]];

        if (*group == 0)
            *group = fold[order[i]];
        fold[order[i]] = *group;
    }
}

/* A class whose pictures all lie in one fold could not be learnt there: fold 0, which never validates. */
static int keep_small_classes(uint32_t *fold, const uint32_t *order, uint32_t n,
                              const struct shard_set *s, struct err *err)
{
    const uint32_t several = UINT32_MAX;
    uint32_t *only = calloc((size_t)shard_set_classes(s), sizeof *only);

    if (!only)
        return err_set(err, ERR_NOMEM, "folds: out of memory");
    for (uint32_t i = 0; i < n; i++) {
        uint32_t *o = &only[shard_set_picture(s, order[i])->label];

        *o = *o == 0 || *o == fold[order[i]] ? fold[order[i]] : several;
    }
    for (uint32_t i = 0; i < n; i++)
        if (only[shard_set_picture(s, order[i])->label] != several)
            fold[order[i]] = 0;
    free(only);
    return 0;
}

int split_cut_folds(uint8_t *parts, const uint32_t *order, uint32_t n, const uint32_t *twin,
                    const struct data_options *o, const struct shard_set *s, struct err *err)
{
    const uint32_t folds = (uint32_t)o->folds;
    uint32_t *fold = calloc(shard_set_count(s), sizeof *fold);
    uint32_t *first = calloc(shard_set_count(s), sizeof *first);
    int rc = -1;

    if (!fold || !first) {
        err_set(err, ERR_NOMEM, "folds: out of memory");
        goto out;
    }
    for (uint32_t k = 0; k < folds && !o->stratify; k++)
        for (uint64_t i = (uint64_t)k * n / folds; i < (k + (uint64_t)1) * n / folds; i++)
            fold[order[i]] = k + 1;
    if (o->stratify && deal_by_class(fold, order, n, folds, s, err) < 0)
        goto out;
    if (o->duplicates == DUPLICATES_TOGETHER)
        join_twins(fold, first, order, n, twin);
    if (o->stratify && keep_small_classes(fold, order, n, s, err) < 0)
        goto out;
    for (uint32_t i = 0; i < n; i++)
        parts[order[i]] = fold[order[i]] == o->fold ? VALID : TRAIN;
    rc = 0;
out:
    free(fold);
    free(first);
    return rc;
}

int split_check_folds(const struct data_options *o, struct err *err)
{
    if (o->folds == 0 && o->fold == 1)
        return 0;
    if (o->folds == 0)
        return err_set(err, ERR_INPUT,
                       "data.fold is %lld, but there are no folds: set data.folds, too",
                       (long long)o->fold);
    if (o->folds == 1)
        return err_set(err, ERR_INPUT,
                       "data.folds is 1, which leaves no pictures to train with: set 2 or more, or "
                       "0 for a split without folds");
    if (o->fold > o->folds)
        return err_set(err, ERR_INPUT, "data.fold is %lld, but data.folds is %lld",
                       (long long)o->fold, (long long)o->folds);
    if (o->split == SPLIT_CSV)
        return err_set(err, ERR_INPUT,
                       "data.folds goes with data.split random, official, folder and hash; a csv "
                       "names the validation pictures itself");
    return 0;
}
