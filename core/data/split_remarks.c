/* split_remarks.c - what a split leaves out or mixes, and which duplicates lie across it.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "data/part_folder.h"
#include "data/shard_choice.h"
#include "data/shard_open.h"
#include "data/split_private.h"

static void note_left_out(struct split *p, const struct shard_set *s, const uint8_t *parts)
{
    for (uint32_t i = 0; i < shard_set_count(s); i++)
        if (parts[i] == LEFT_OUT)
            remarks_add(&p->remarks, REMARK_IN_NO_PART, "%s", shard_set_picture(s, i)->path);
}

static int note_classes(struct split *p, const struct shard_set *s, const uint8_t *parts,
                        struct err *err)
{
    const int32_t classes = shard_set_classes(s);
    uint32_t(*n)[TEST + 1] = calloc((size_t)classes, sizeof *n);

    if (!n)
        return err_set(err, ERR_NOMEM, "split: out of memory");
    for (uint32_t i = 0; i < shard_set_count(s); i++)
        n[shard_set_picture(s, i)->label][parts[i]]++;
    for (int32_t c = 0; c < classes; c++) {
        const char *name = shard_set_label(s, c);

        if (n[c][TRAIN] + n[c][VALID] + n[c][TEST] == 0) {
            if (n[c][LEFT_OUT] > 0)
                remarks_add(&p->remarks, REMARK_CLASSES_IN_NO_PART, "%s (%u pictures)", name,
                            n[c][LEFT_OUT]);
        } else if (n[c][TRAIN] == 0) {
            remarks_add(&p->remarks, REMARK_CLASSES_NOT_TRAINED, "%s", name);
        } else if (n[c][VALID] == 0) {
            remarks_add(&p->remarks, REMARK_CLASSES_NOT_VALIDATED, "%s (%u training pictures)",
                        name, n[c][TRAIN]);
        }
    }
    free(n);
    return 0;
}

/* Folders called train and valid or test that the split mixes. */
static void note_folders(struct split *p, const struct data_options *o, const struct shard_set *s)
{
    uint32_t n[PART_TEST + 1] = {0};

    if (o->split == SPLIT_FOLDER)
        return;
    for (uint32_t i = 0; i < shard_set_count(s); i++)
        n[part_folder_of_path(shard_set_picture(s, i)->path, NULL, NULL)]++;
    if (n[PART_TRAIN] == 0 || n[PART_VALID] + n[PART_TEST] == 0)
        return;
    for (uint32_t i = 0; i < shard_set_count(s); i++)
        if (part_folder_of_path(shard_set_picture(s, i)->path, NULL, NULL) != PART_NONE)
            remarks_add(&p->remarks, REMARK_FOLDERS_NOT_USED, "%s", shard_set_picture(s, i)->path);
}

int split_keep_together(struct split *p, uint8_t *parts, const uint32_t *twin,
                        const struct shard_set *s, struct err *err)
{
    const uint32_t n = shard_set_count(s);
    uint8_t *trains = calloc(n, 1);

    if (!trains)
        return err_set(err, ERR_NOMEM, "split: out of memory");
    for (uint32_t i = 0; i < n; i++)
        trains[twin[i]] |= parts[i] == TRAIN;
    for (uint32_t i = 0; i < n; i++)
        if (parts[i] == VALID && trains[twin[i]]) {
            parts[i] = TRAIN;
            remarks_add(&p->remarks, REMARK_COPIES_TO_TRAINING, "%s",
                        shard_set_picture(s, i)->path);
        }
    free(trains);
    return 0;
}

static int note_leaks(struct split *p, const uint8_t *parts, const uint32_t *twin,
                      const struct shard_set *s, struct err *err)
{
    const uint32_t n = shard_set_count(s);
    uint32_t *train = malloc(n * sizeof *train); /* of each group: a training picture, or none */

    p->leaks = calloc(n, 1);
    if (!train || !p->leaks) {
        free(train);
        return err_set(err, ERR_NOMEM, "split: out of memory");
    }
    memset(train, 0xff, n * sizeof *train);
    for (uint32_t i = 0; i < n; i++)
        if (parts[i] == TRAIN && train[twin[i]] == UINT32_MAX)
            train[twin[i]] = i;
    for (uint32_t i = 0; i < n; i++) {
        if ((parts[i] != VALID && parts[i] != TEST) || train[twin[i]] == UINT32_MAX)
            continue;
        p->leaks[i] = 1;
        p->n_leaks++;
        remarks_add(&p->remarks, REMARK_LEAKS, "%s (like %s)", shard_set_picture(s, i)->path,
                    shard_set_picture(s, train[twin[i]])->path);
    }
    free(train);
    return 0;
}

int split_remark(struct split *p, const struct data_options *o, const uint8_t *parts,
                 const uint32_t *twin, const struct shard_set *s, struct err *err)
{
    if (shard_is_stale(s->folder))
        remarks_add(&p->remarks, REMARK_STALE_SHARDS, "%s", s->folder);
    note_left_out(p, s, parts);
    note_folders(p, o, s);
    if (note_classes(p, s, parts, err) < 0 || note_leaks(p, parts, twin, s, err) < 0)
        return -1;
    if (p->n_leaks > 0 && o->split == SPLIT_RANDOM)
        remarks_advise(&p->remarks, REMARK_LEAKS,
                       "data.duplicates=together keeps duplicates on one side");
    return 0;
}
