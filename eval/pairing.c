/* pairing.c - who got which picture wrong, and what that proves.
 * SPDX-License-Identifier: MIT */
#include "pairing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RESAMPLES_MOST = 10000, RESAMPLES_LEAST = 1000, DRAWS = 50000000, BOOTSTRAP_SEED = 42 };

struct named {
    const char *id;
    uint32_t i;
};

static int by_id(const void *a, const void *b)
{
    const struct named *x = a, *y = b;

    return strcmp(x->id, y->id);
}

static struct named *sorted(const struct predictions *p)
{
    struct named *list = calloc((size_t)p->n + 1, sizeof *list);

    for (uint32_t i = 0; list && i < p->n; i++)
        list[i] = (struct named){p->ids[i], i};
    if (list)
        qsort(list, p->n, sizeof *list, by_id);
    return list;
}

static uint32_t in_common(const struct named *x, uint32_t n, const struct named *y, uint32_t m)
{
    uint32_t i = 0, j = 0, found = 0;

    while (i < n && j < m) {
        int order = strcmp(x[i].id, y[j].id);

        found += order == 0;
        i += order <= 0;
        j += order >= 0;
    }
    return found;
}

static bool same_vocab(const struct predictions *a, const struct predictions *b)
{
    if (a->classes != b->classes)
        return false;
    for (int32_t c = 0; c < a->classes; c++)
        if (strcmp(a->vocab[c], b->vocab[c]) != 0)
            return false;
    return true;
}

/* Whether the lists pair up; WHY_NOT says why not. */
static bool pair_up(struct pairing *out, const struct predictions *a, const struct named *x,
                    const struct predictions *b, const struct named *y)
{
    uint32_t common;

    if (!same_vocab(a, b)) {
        snprintf(out->why_not, sizeof out->why_not, "other classes (%d and %d)", a->classes,
                 b->classes);
        return false;
    }
    common = in_common(x, a->n, y, b->n);
    if (common != a->n || common != b->n) {
        snprintf(out->why_not, sizeof out->why_not, "other pictures (%u and %u, %u in common)",
                 a->n, b->n, common);
        return false;
    }
    for (uint32_t i = 0; i < a->n; i++)
        if (a->actual[x[i].i] != b->actual[y[i].i]) {
            snprintf(out->why_not, sizeof out->why_not, "other labels: %.200s is %.100s and %.100s",
                     x[i].id, a->vocab[a->actual[x[i].i]], b->vocab[b->actual[y[i].i]]);
            return false;
        }
    return true;
}

/* In the order of the ids, so that the bootstrap does not depend on the files'. */
static void count(struct pairing *out, double *differences, const struct predictions *a,
                  const struct named *x, const struct predictions *b, const struct named *y)
{
    size_t row = (size_t)a->classes;

    out->n = a->n;
    out->identical = true;
    for (uint32_t k = 0; k < a->n; k++) {
        uint32_t i = x[k].i, j = y[k].i;
        bool wrong = a->predicted[i] != a->actual[i], wrong_too = b->predicted[j] != b->actual[j];

        out->first_only += wrong && !wrong_too;
        out->second_only += wrong_too && !wrong;
        out->both += wrong && wrong_too;
        differences[k] = (double)wrong_too - (double)wrong;
        if (memcmp(a->prob + i * row, b->prob + j * row, row * sizeof *a->prob) != 0)
            out->identical = false;
    }
}

static int test(struct pairing *out, const double *differences, struct err *err)
{
    uint32_t disagree = out->first_only + out->second_only;
    uint32_t resamples = (uint32_t)fmin(RESAMPLES_MOST, fmax(RESAMPLES_LEAST, DRAWS / out->n));
    struct mcnemar m = stats_mcnemar(out->first_only, out->second_only);

    out->difference = ((double)out->second_only - (double)out->first_only) / out->n;
    out->exact = m.exact;
    out->p = out->adjusted = m.mid_p;
    out->least = 1.96 * sqrt(disagree) / out->n; /* |b - c| > 1.96 sqrt(b + c) */
    out->tested = true;
    if (disagree == 0 && !out->identical) {
        /* nothing to resample; so rarely do they disagree: Clopper and Pearson 1934 (Biometrika), none of n */
        out->least = out->high = 1 - pow(0.025, 1.0 / out->n);
        out->low = -out->high;
        return 0;
    }
    return stats_bootstrap(&out->low, &out->high, differences, out->n, resamples, BOOTSTRAP_SEED,
                           err);
}

int pairing_test(struct pairing *out, const struct predictions *a, const struct predictions *b,
                 struct err *err)
{
    struct named *x = sorted(a), *y = sorted(b);
    double *differences = calloc((size_t)a->n + 1, sizeof *differences);
    int rc = 0;

    memset(out, 0, sizeof *out);
    if (!x || !y || !differences) {
        rc = err_set(err, ERR_NOMEM, "comparison of %u pictures", a->n);
    } else if (a->n == 0) {
        snprintf(out->why_not, sizeof out->why_not, "no pictures");
    } else if (pair_up(out, a, x, b, y)) {
        count(out, differences, a, x, b, y);
        rc = test(out, differences, err);
    }
    free(x);
    free(y);
    free(differences);
    return rc;
}

int pairing_match(uint32_t **match, const struct predictions *a, const struct predictions *b,
                  struct err *err)
{
    struct named *x = sorted(a), *y = sorted(b);

    *match = calloc((size_t)a->n + 1, sizeof **match);
    for (uint32_t i = 0; x && y && *match && i < a->n && i < b->n; i++)
        (*match)[x[i].i] = y[i].i;
    if (!x || !y) {
        free(*match);
        *match = NULL;
    }
    free(x);
    free(y);
    return *match ? 0 : err_set(err, ERR_NOMEM, "%u pictures", a->n);
}

enum verdict_kind pairing_verdict(const struct pairing *p)
{
    if (!p->tested)
        return VERDICT_UNTESTED;
    if (!(p->adjusted < 0.05))
        return VERDICT_SAME;
    return p->difference > 0 ? VERDICT_WORSE : VERDICT_BETTER;
}

const char *pairing_word(const struct pairing *p)
{
    static const char *const words[] = {[VERDICT_UNTESTED] = "not tested",
                                        [VERDICT_SAME] = "not distinguishable",
                                        [VERDICT_BETTER] = "better",
                                        [VERDICT_WORSE] = "worse"};

    return words[pairing_verdict(p)];
}

void pairing_print(FILE *out, const struct pairing *p, size_t n)
{
    if (p->identical) {
        fprintf(out, "identical: every probability of %u pictures has the same bits\n", p->n);
        return;
    }
    fprintf(out,
            "%s\n  error rate %+.4f (95 %% interval %+.4f to %+.4f) on %u pictures; %u only wrong "
            "there, %u only wrong here\n  McNemar mid-p %.4g",
            pairing_word(p), p->difference, p->low, p->high, p->n, p->first_only, p->second_only,
            p->p);
    if (n > 1)
        fprintf(out,
                "; %.4g for %zu tests at once (Holm), which decides; interval and bound are of "
                "this test alone",
                p->adjusted, n);
    fputc('\n', out);
    if (pairing_verdict(p) == VERDICT_SAME)
        fprintf(out, "  at this disagreement, a difference below %.4f cannot be told from none\n",
                p->least);
}
