/* pairing.h - two runs' predictions of the same pictures, brought together by the pictures' ids.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_EVAL_PAIRING_H
#define PRESIZE_EVAL_PAIRING_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "run/predictions.h"
#include "run/stats.h"

struct pairing {
    bool tested;
    char why_not[3072];                        /* tested is false */
    bool identical;                            /* all probabilities equal to the bit */
    uint32_t n, first_only, second_only, both; /* pictures; mistaken by ... */
    /* error rate of the second less the first's; 95 %: bootstrap, Clopper and Pearson's where none disagrees */
    double difference, low, high;
    double p, adjusted; /* mid-p of McNemar; by Holm over all pairs of a comparison */
    double exact;
    double least; /* a difference below this would not be significant, at this n */
};

/* ERR_NOMEM; pictures that are not the same are no error but a reason in WHY_NOT. */
int pairing_test(struct pairing *out, const struct predictions *a, const struct predictions *b,
                 struct err *err) MUST_USE;
/* The same without the pictures whose ids are in LEFT_OUT, a JSON list of texts. */
int pairing_test_without(struct pairing *out, const struct predictions *a,
                         const struct predictions *b, const json_t *left_out,
                         struct err *err) MUST_USE;

/* *match: of each picture of A its place in B, owned by the caller; for a pair that was tested. ERR_NOMEM. */
int pairing_match(uint32_t **match, const struct predictions *a, const struct predictions *b,
                  struct err *err) MUST_USE;

enum verdict_kind { VERDICT_UNTESTED, VERDICT_SAME, VERDICT_BETTER, VERDICT_WORSE };
/* At 5 %, adjusted. */
enum verdict_kind pairing_verdict(const struct pairing *p);
const char *pairing_word(const struct pairing *p); /* of the verdict: "not distinguishable", ... */
/* Verdict, difference, interval and test of a tested pair: the end of a line, and lines after it. N:
 * tests made at once. */
void pairing_print(FILE *out, const struct pairing *p, size_t n);

#endif
