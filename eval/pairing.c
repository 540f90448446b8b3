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

struct list { /* of pictures, by id */
    struct named *of;
    uint32_t n;
};

/* Those of P but for the ids in LEFT_OUT (an object, NULL: all); ->of NULL: out of memory. */
static struct list sorted(const struct predictions *p, const json_t *left_out)
{
    struct list l = {calloc((size_t)p->n + 1, sizeof *l.of), 0};

    for (uint32_t i = 0; l.of && i < p->n; i++)
        if (!json_object_get(left_out, p->ids[i]))
            l.of[l.n++] = (struct named){p->ids[i], i};
    if (l.of)
        qsort(l.of, l.n, sizeof *l.of, by_id);
    return l;
}

static uint32_t in_common(const struct list *x, const struct list *y)
{
    uint32_t i = 0, j = 0, found = 0;

    while (i < x->n && j < y->n) {
        int order = strcmp(x->of[i].id, y->of[j].id);

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
static bool pair_up(struct pairing *out, const struct predictions *a, const struct list *x,
                    const struct predictions *b, const struct list *y)
{
    uint32_t common;

    if (!same_vocab(a, b)) {
        snprintf(out->why_not, sizeof out->why_not, "different classes (%d and %d)", a->classes,
                 b->classes);
        return false;
    }
    common = in_common(x, y);
    if (common != x->n || common != y->n) {
        snprintf(out->why_not, sizeof out->why_not, "different pictures (%u and %u, %u in common)",
                 x->n, y->n, common);
        return false;
    }
    for (uint32_t k = 0; k < x->n; k++) {
        const int32_t one = a->actual[x->of[k].i], other = b->actual[y->of[k].i];

        if (one == other)
            continue;
        snprintf(out->why_not, sizeof out->why_not, "different labels: %.200s is %.100s and %.100s",
                 x->of[k].id, a->vocab[one], b->vocab[other]);
        return false;
    }
    return true;
}

/* In the order of the ids, so that the bootstrap does not depend on the files'. */
static void count(struct pairing *out, double *differences, const struct predictions *a,
                  const struct list *x, const struct predictions *b, const struct list *y)
{
    size_t row = (size_t)a->classes;

    out->n = x->n;
    out->identical = true;
    for (uint32_t k = 0; k < x->n; k++) {
        uint32_t i = x->of[k].i, j = y->of[k].i;
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

static int pair(struct pairing *out, const struct predictions *a, const struct predictions *b,
                const json_t *left_out, struct err *err)
{
    struct list x = sorted(a, left_out), y = sorted(b, left_out);
    double *differences = calloc((size_t)a->n + 1, sizeof *differences);
    int rc = 0;

    memset(out, 0, sizeof *out);
    if (!x.of || !y.of || !differences) {
        rc = err_set(err, ERR_NOMEM, "comparison of %u pictures", a->n);
    } else if (x.n == 0) {
        snprintf(out->why_not, sizeof out->why_not, "no pictures");
    } else if (pair_up(out, a, &x, b, &y)) {
        count(out, differences, a, &x, b, &y);
        rc = test(out, differences, err);
    }
    free(x.of);
    free(y.of);
    free(differences);
    return rc;
}

int pairing_test(struct pairing *out, const struct predictions *a, const struct predictions *b,
                 struct err *err)
{
    return pair(out, a, b, NULL, err);
}

int pairing_test_without(struct pairing *out, const struct predictions *a,
                         const struct predictions *b, const json_t *left_out, struct err *err)
{
    json_t *ids = json_object(); /* as a table to look up in */
    const json_t *id;
    size_t i;
    int rc;

    json_array_foreach(left_out, i, id)
        json_object_set_new(ids, json_string_value(id), json_true());
    rc = ids ? pair(out, a, b, ids, err) : err_set(err, ERR_NOMEM, "pictures left out");
    json_decref(ids);
    return rc;
}

int pairing_match(uint32_t **match, const struct predictions *a, const struct predictions *b,
                  struct err *err)
{
    struct list x = sorted(a, NULL), y = sorted(b, NULL);

    *match = x.of && y.of ? calloc((size_t)a->n + 1, sizeof **match) : NULL;
    for (uint32_t i = 0; *match && i < x.n && i < y.n; i++)
        (*match)[x.of[i].i] = y.of[i].i;
    free(x.of);
    free(y.of);
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
            "%s\n  error rate %+.4f (95 %% interval %+.4f to %+.4f) on %u pictures; %u "
            "mistakes gone, %u new\n  McNemar mid-p %.4g",
            pairing_word(p), p->difference, p->low, p->high, p->n, p->first_only, p->second_only,
            p->p);
    if (n > 1)
        fprintf(out,
                "; %.4g for %zu tests at once (Holm), which decides; interval and bound are of "
                "this test alone",
                p->adjusted, n);
    fputc('\n', out);
    if (pairing_verdict(p) == VERDICT_SAME)
        fprintf(out, "  at this disagreement, a difference below %.4f would not be significant\n",
                p->least);
}
