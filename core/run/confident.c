/* confident.c - thresholds, then each picture by itself. SPDX-License-Identifier: MIT */
#include "run/confident.h"

#include <stdlib.h>

/* cleanlab's: how far below a threshold still counts, by how much the given label is favoured, the least threshold */
static const double slack = 1e-6, least_threshold = 2e-6;

/* Mean probability of each class over the pictures that are labelled so; a class without pictures has a threshold that
 * none reaches. */
static void find_thresholds(double *threshold, uint32_t *count, const int32_t *given,
                            const double *prob, uint32_t n, int32_t classes)
{
    for (uint32_t i = 0; i < n; i++) {
        count[given[i]]++;
        threshold[given[i]] += prob[(size_t)i * (size_t)classes + (size_t)given[i]];
    }
    for (int32_t c = 0; c < classes; c++) {
        threshold[c] = count[c] ? threshold[c] / count[c] : 2;
        if (threshold[c] < least_threshold)
            threshold[c] = least_threshold;
    }
}

static void judge(struct issue *issue, int32_t given, const double *p, const double *threshold,
                  int32_t classes)
{
    int32_t confident = -1, n = 0, best = 0;

    for (int32_t c = 0; c < classes; c++) {
        if (p[c] > p[best])
            best = c;
        if (p[c] >= threshold[c] - slack) {
            confident = confident < 0 ? c : confident;
            n++;
        }
    }
    confident = n > 1 ? best : confident;
    issue->suggested = best;
    issue->score = p[given];
    /* the given label wins where it is as probable as the best, within the slack (ties go to the first class) */
    issue->likely = confident >= 0 && confident != given && best != given &&
                    (p[given] + slack < p[best] || (p[given] + slack <= p[best] && best < given));
}

static int by_rank(const void *a, const void *b)
{
    const struct issue *x = a, *y = b;

    if (x->likely != y->likely)
        return x->likely ? -1 : 1;
    if (x->score < y->score || x->score > y->score)
        return x->score < y->score ? -1 : 1;
    return (x->i > y->i) - (x->i < y->i);
}

int confident_find(struct issue **out, uint32_t *n_likely, const int32_t *given, const double *prob,
                   uint32_t n, int32_t classes, struct err *err)
{
    struct issue *list = calloc((size_t)n + 1, sizeof *list);
    double *threshold = calloc((size_t)classes, sizeof *threshold);
    uint32_t *count = calloc((size_t)classes, sizeof *count);
    int rc = 0;

    *out = NULL;
    *n_likely = 0;
    if (!list || !threshold || !count) {
        rc = err_set(err, ERR_NOMEM, "issues of %u pictures", n);
        free(list);
    } else {
        find_thresholds(threshold, count, given, prob, n, classes);
        for (uint32_t i = 0; i < n; i++) {
            list[i].i = i;
            judge(&list[i], given[i], prob + (size_t)i * (size_t)classes, threshold, classes);
            *n_likely += list[i].likely;
        }
        qsort(list, n, sizeof *list, by_rank);
        *out = list;
    }
    free(threshold);
    free(count);
    return rc;
}
