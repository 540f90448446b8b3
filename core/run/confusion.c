/* confusion.c - counts of who is taken for whom, and what follows from them.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "base/size.h"
#include "run/predictions.h"
#include "run/stats.h"

/* qsort_r: the losses are CTX. */
static int by_loss(const void *a, const void *b, void *ctx)
{
    const uint32_t *i = a, *j = b;
    const float *loss = ctx;

    if (loss[*i] != loss[*j])
        return loss[*i] < loss[*j] ? 1 : -1;
    return (*i > *j) - (*i < *j);
}

int predictions_by_loss(uint32_t **order, const struct predictions *p, struct err *err)
{
    *order = calloc((size_t)p->n + 1, sizeof **order);
    if (!*order)
        return err_set(err, ERR_NOMEM, "order of %u pictures", p->n);
    for (uint32_t i = 0; i < p->n; i++)
        (*order)[i] = i;
    qsort_r(*order, p->n, sizeof **order, by_loss, p->loss);
    return 0;
}

int confusion_count(uint32_t **counts, const struct predictions *p, struct err *err)
{
    size_t classes = (size_t)p->classes, cells;

    *counts = NULL;
    if (mul_size(&cells, classes, classes))
        *counts = calloc(cells, sizeof **counts);
    if (!*counts)
        return err_set(err, ERR_NOMEM, "confusion of %zu classes", classes);
    for (uint32_t i = 0; i < p->n; i++)
        (*counts)[(size_t)p->actual[i] * classes + (size_t)p->predicted[i]]++;
    return 0;
}

/* Falling count, then row-major. */
static int by_count(const void *a, const void *b)
{
    const struct confused *x = a, *y = b;

    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    if (x->actual != y->actual)
        return x->actual < y->actual ? -1 : 1;
    return (x->predicted > y->predicted) - (x->predicted < y->predicted);
}

int confusion_most(struct confused **out, size_t *n, const uint32_t *counts, int32_t classes,
                   uint32_t min, struct err *err)
{
    size_t found = 0;

    *out = NULL;
    *n = 0;
    if (min == 0)
        min = 1;
    /* Twice over the cells: once to count, once to fill. */
    for (int pass = 0; pass < 2; pass++) {
        found = 0;
        for (int32_t a = 0; a < classes; a++)
            for (int32_t p = 0; p < classes; p++) {
                uint32_t count = counts[(size_t)a * (size_t)classes + (size_t)p];

                if (a == p || count < min)
                    continue;
                if (pass == 1)
                    (*out)[found] = (struct confused){a, p, count};
                found++;
            }
        if (pass == 0) {
            *out = calloc(found + 1, sizeof **out);
            if (!*out)
                return err_set(err, ERR_NOMEM, "most confused");
        }
    }
    *n = found;
    qsort(*out, found, sizeof **out, by_count);
    return 0;
}

void confusion_scores(struct class_score *scores, const uint32_t *counts, int32_t classes)
{
    for (int32_t c = 0; c < classes; c++) {
        struct class_score *s = &scores[c];
        uint32_t both;

        *s = (struct class_score){0};
        s->correct = counts[(size_t)c * (size_t)classes + (size_t)c];
        for (int32_t i = 0; i < classes; i++) {
            s->support += counts[(size_t)c * (size_t)classes + (size_t)i];
            s->predicted += counts[(size_t)i * (size_t)classes + (size_t)c];
        }
        both = s->support + s->predicted;
        s->precision = s->predicted ? (double)s->correct / s->predicted : 0;
        s->recall = s->support ? (double)s->correct / s->support : 0;
        s->f1 = both ? 2.0 * s->correct / both : 0;
        stats_wilson(&s->low, &s->high, s->correct, s->support);
    }
}
