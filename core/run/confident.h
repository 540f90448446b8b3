/* confident.h - which labels are likely wrong: confident learning (Northcutt, Jiang, Chuang 2021, "Confident Learning:
 * Estimating Uncertainty in Dataset Labels", JAIR 70).
 *
 * A class's threshold is the mean probability that its pictures have of it. A picture is confidently of the classes
 * whose thresholds its probabilities reach, and of the most probable of them where there are several. Where that is not
 * the given label, and the label is not the most probable class either, the label is likely wrong: the off-diagonal of
 * the confident joint, cleanlab's filter_by="confident_learning". Probabilities must be those of networks that were not
 * trained with the picture. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_RUN_CONFIDENT_H
#define PRESIZE_RUN_CONFIDENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct issue {
    uint32_t i;        /* the picture */
    int32_t suggested; /* the most probable class; the first of equal ones */
    bool likely;       /* beyond the cut: likely wrong */
    double score;      /* probability of the given label, in [0, 1]: the lower, the worse */
};

/* All N pictures, the likely ones first, each by rising score, ties by number; *N_LIKELY of them are likely.
 *   given  n, in [0, classes)     prob  (n, classes), rows add up to 1
 * Owned by the caller. ERR_NOMEM. */
int confident_find(struct issue **out, uint32_t *n_likely, const int32_t *given, const double *prob,
                   uint32_t n, int32_t classes, struct err *err) MUST_USE;

#endif
