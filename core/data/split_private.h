/* split_private.h - between split.c, split_folds.c, split_remarks.c and clean.c.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_DATA_SPLIT_PRIVATE_H
#define PRESIZE_DATA_SPLIT_PRIVATE_H

#include "data/split.h"

enum part { LEFT_OUT, TRAIN, VALID, TEST, DROPPED };

/* Cuts the N ranks of ORDER, as torch permutes them, into o->folds folds; those of o->fold validate (PARTS), the rest
 * trains. Fold k is ORDER[(k - 1) n / folds] up to ORDER[k n / folds], so fold 1 of 5 is what valid = 0.2 cuts. With
 * stratify the pictures are dealt out class by class (sizes differ by at most one, of a class, too), and a class that
 * would lie in one fold alone always trains. With duplicates TOGETHER a group of TWIN lies in the fold of its first
 * picture. ERR_NOMEM. */
int split_cut_folds(uint8_t *parts, const uint32_t *order, uint32_t n, const uint32_t *twin,
                    const struct data_options *o, const struct shard_set *s,
                    struct err *err) MUST_USE;
/* Whether the keys of folds go together, and with the kind of split. ERR_INPUT. */
int split_check_folds(const struct data_options *o, struct err *err) MUST_USE;
/* data.clean on a set that is cut: pictures that are dropped leave their part of PARTS (one per rank), others have
 * another label in S from now on. ERR_INPUT names file and row: an unknown picture, action or label, rows that
 * contradict one another. ERR_IO, ERR_FORMAT: csv_read(). */
int split_clean(struct split *p, uint8_t *parts, const struct data_options *o, struct shard_set *s,
                struct err *err) MUST_USE;
/* data.plant: of the training and validation pictures together, a share gets another label of S, by split_seed; so all
 * folds of one split have the same wrong labels. ERR_INPUT: of one class. ERR_NOMEM. */
int split_plant(struct split *p, const uint8_t *parts, const struct data_options *o,
                struct shard_set *s, struct err *err) MUST_USE;
/* Validation pictures whose duplicate trains go to the training part. PARTS and TWIN: one per rank. ERR_NOMEM. */
int split_keep_together(struct split *p, uint8_t *parts, const uint32_t *twin,
                        const struct shard_set *s, struct err *err) MUST_USE;
/* Fills ->remarks, ->leaks and ->n_leaks. ERR_NOMEM. */
int split_remark(struct split *p, const struct data_options *o, const uint8_t *parts,
                 const uint32_t *twin, const struct shard_set *s, struct err *err) MUST_USE;

#endif
