/* predictions.h - predictions.csv and .h5 of a run, confusion.csv, per_class.csv: written and read.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_RUN_PREDICTIONS_H
#define PRESIZE_RUN_PREDICTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct predictions {
    uint32_t n;
    int32_t classes;
    char **ids;                  /* n paths: the pictures' ids */
    int32_t *actual, *predicted; /* n labels */
    float *prob;                 /* (n, classes), rows add up to 1 */
    float *loss;                 /* n, nat */
    char **vocab;                /* classes */
    /* as older files have it: 0 in per_class.csv, not blanks, where nothing can be said */
    bool zero_absent;
    bool plain_csv; /* cells as older programs wrote them: what a spreadsheet would run as it is */
};
int predictions_new(struct predictions **out, uint32_t n, int32_t classes,
                    struct err *err) MUST_USE;
int32_t predictions_class(const struct predictions *p, const char *name); /* its number; -1: none */
void predictions_free(struct predictions *p); /* frees ids and vocab strings too; NULL is fine */

/* FOLDER/predictions.csv: id,actual,predicted,p_actual,p_predicted,loss (quoted as RFC 4180 says,
 * lines end in LF); predictions.h5: ids, actual, predicted, prob, loss, vocab; confusion.csv: rows
 * actual, columns predicted; per_class.csv. Each whole or not; equal input gives equal bytes. */
int predictions_write(const struct predictions *p, const char *folder, struct err *err) MUST_USE;
/* confusion.csv alone; COUNTS by confusion_count(). */
int predictions_write_confusion(const struct predictions *p, const uint32_t *counts,
                                const char *folder, struct err *err) MUST_USE;
/* From predictions.h5. ERR_INPUT when there is none, ERR_IO, ERR_FORMAT. */
int predictions_read(struct predictions **out, const char *folder, struct err *err) MUST_USE;

/* order: the N pictures by falling loss, ties by place (as torch.topk gives them); owned by the
 * caller. */
int predictions_by_loss(uint32_t **order, const struct predictions *p, struct err *err) MUST_USE;

/* counts (classes, classes), rows actual; owned by the caller. */
int confusion_count(uint32_t **counts, const struct predictions *p, struct err *err) MUST_USE;
struct confused {
    int32_t actual, predicted;
    uint32_t count;
};
/* Off-diagonal cells >= MIN (0 is taken as 1) by count, ties in row-major order (as fastai's
 * most_confused). Owned by the caller. */
int confusion_most(struct confused **out, size_t *n, const uint32_t *counts, int32_t classes,
                   uint32_t min, struct err *err) MUST_USE;

/* One class: 0 where the quotient is 0/0, as scikit-learn has it. */
struct class_score {
    double precision, recall, f1; /* fractions */
    double low, high;             /* 95 % interval of recall (stats_wilson) */
    uint32_t support, predicted, correct;
};
/* scores out: CLASSES. */
void confusion_scores(struct class_score *scores, const uint32_t *counts, int32_t classes);

#endif
