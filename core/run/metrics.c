/* metrics.c - sums over predictions in their order, in double. SPDX-License-Identifier: MIT */
#include "run/metrics.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/real.h"
#include "base/rng.h"
#include "run/stats.h"

/* --- from the confusion matrix -------------------------------------------------------------------- */

static void count_metrics(struct metrics *m, const struct class_score *scores, int32_t classes,
                          double n)
{
    double recalls = 0, f1 = 0, correct = 0, both = 0, actual2 = 0, predicted2 = 0, under;
    int with = 0, occur = 0;

    for (int32_t c = 0; c < classes; c++) {
        const struct class_score *s = &scores[c];
        double support = s->support, predicted = s->predicted;

        recalls += s->recall;
        with += s->support > 0;
        f1 += s->f1;
        occur += s->support > 0 || s->predicted > 0;
        correct += s->correct;
        both += support * predicted;
        actual2 += support * support;
        predicted2 += predicted * predicted;
    }
    m->balanced_accuracy = recalls / with;
    m->macro_f1 = f1 / occur;
    under = sqrt((n * n - predicted2) * (n * n - actual2));
    m->mcc = under > 0 ? (correct * n - both) / under : 0;
}

/* --- from the probabilities ----------------------------------------------------------------------- */

static const float *row_of(const struct predictions *p, uint32_t i)
{
    return p->prob + (size_t)i * (size_t)p->classes;
}

static bool is_in_top(const float *row, int32_t classes, int32_t actual, int k)
{
    int before = 0;

    for (int32_t c = 0; c < classes; c++)
        before += row[c] > row[actual] || (row[c] >= row[actual] && c < actual);
    return before < k;
}

static void sum_metrics(struct metrics *m, const struct predictions *p)
{
    double top5 = 0, loss = 0, brier = 0;

    for (uint32_t i = 0; i < p->n; i++) {
        const float *row = row_of(p, i);

        top5 += is_in_top(row, p->classes, p->actual[i], 5);
        loss += (double)p->loss[i];
        for (int32_t c = 0; c < p->classes; c++) {
            double error = (double)row[c] - (c == p->actual[i]);

            brier += error * error;
        }
    }
    m->top5 = top5 / p->n;
    m->log_loss = loss / p->n;
    m->brier = brier / p->n;
}

/* --- calibration ---------------------------------------------------------------------------------- */

struct confident {
    double confidence;
    uint32_t place;
    bool correct;
};

static int by_confidence(const void *a, const void *b)
{
    const struct confident *x = a, *y = b;

    if (x->confidence != y->confidence)
        return x->confidence < y->confidence ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

/* LIST, sorted in place, into bins; returns how many. */
static int fill_bins(struct calibration_bin bins[METRICS_BINS], struct confident *list, uint32_t n)
{
    const uint32_t count = n < METRICS_BINS ? n : METRICS_BINS;
    uint32_t at = 0;

    qsort(list, n, sizeof *list, by_confidence);
    for (uint32_t b = 0; b < count; b++) {
        struct calibration_bin *bin = &bins[b];

        *bin = (struct calibration_bin){.n = n / count + (b < n % count)};
        for (uint32_t k = 0; k < bin->n; k++, at++) {
            bin->confidence += list[at].confidence / bin->n;
            bin->correct += list[at].correct;
        }
    }
    return (int)count;
}

static double ece_of(struct confident *list, uint32_t n)
{
    struct calibration_bin bins[METRICS_BINS];
    int count = fill_bins(bins, list, n);
    double sum = 0;

    for (int b = 0; b < count; b++)
        sum += fabs(bins[b].confidence * bins[b].n - bins[b].correct) / n;
    return sum;
}

/* --- interval of the calibration error --- */

enum { DRAWS_MOST = 10000000, RESAMPLES_MOST = 1000, RESAMPLES_LEAST = 200 };

/* LIST in rising order, picture k of it COUNTS[k] times, N in all, in equal-mass bins. */
static double resampled_ece(const struct confident *list, const uint32_t *counts, uint32_t n)
{
    const uint32_t bins = n < METRICS_BINS ? n : METRICS_BINS;
    uint32_t k = 0, used = 0; /* of picture k */
    double sum = 0;

    for (uint32_t b = 0; b < bins; b++) {
        double off = 0;

        for (uint32_t left = n / bins + (b < n % bins); left > 0;) {
            const uint32_t here = counts[k] - used < left ? counts[k] - used : left;

            off += here * (list[k].confidence - list[k].correct);
            left -= here;
            used += here;
            if (used == counts[k]) {
                k++;
                used = 0;
            }
        }
        sum += fabs(off);
    }
    return sum / n;
}

static void resample(uint32_t *counts, uint32_t n, uint32_t round)
{
    struct rng r = rng_begin(0, RNG_BOOTSTRAP, BOOTSTRAP_ECE, round);

    memset(counts, 0, n * sizeof *counts);
    for (uint32_t i = 0; i < n; i++)
        counts[rng_below(&r, n)]++;
}

/* Outcomes as a calibrated network has them. */
static void calibrate(struct confident *list, uint32_t n, uint32_t round)
{
    struct rng r = rng_begin(0, RNG_BOOTSTRAP, BOOTSTRAP_CALIBRATED, round);

    for (uint32_t i = 0; i < n; i++)
        list[i].correct = rng_uniform(&r, 0, 1) < list[i].confidence;
}

/* LIST of the N pictures, m->ece is known; LIST is left in rising order with other outcomes. */
static int ece_interval(struct metrics *m, struct confident *list, uint32_t n, struct err *err)
{
    const uint32_t wanted = DRAWS_MOST / n;
    const uint32_t rounds = wanted > RESAMPLES_MOST    ? RESAMPLES_MOST
                            : wanted < RESAMPLES_LEAST ? RESAMPLES_LEAST
                                                       : wanted;
    uint32_t *counts = calloc(n, sizeof *counts);
    double *values = calloc(rounds, sizeof *values), low, high;

    if (!counts || !values) {
        free(counts);
        free(values);
        return err_set(err, ERR_NOMEM, "interval of the calibration error");
    }
    qsort(list, n, sizeof *list, by_confidence);
    for (uint32_t r = 0; r < rounds; r++) {
        resample(counts, n, r);
        values[r] = resampled_ece(list, counts, n);
    }
    stats_sort(values, rounds);
    low = 2 * m->ece - stats_quantile(values, rounds, 0.975);
    high = 2 * m->ece - stats_quantile(values, rounds, 0.025);
    for (uint32_t i = 0; i < n; i++)
        counts[i] = 1;
    for (uint32_t r = 0; r < rounds; r++) {
        calibrate(list, n, r);
        values[r] = resampled_ece(list, counts, n);
    }
    stats_sort(values, rounds);
    m->ece_low = low < 0 || m->ece <= stats_quantile(values, rounds, 0.975) ? 0 : low;
    m->ece_high = high < 0 ? 0 : high > 1 ? 1 : high;
    free(counts);
    free(values);
    return 0;
}

static void list_confident(struct confident *list, const struct predictions *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        list[i] = (struct confident){(double)row_of(p, i)[p->predicted[i]], i,
                                     p->predicted[i] == p->actual[i]};
}

int metrics_bins(struct calibration_bin bins[METRICS_BINS], int *n, const struct predictions *p,
                 struct err *err)
{
    struct confident *list = calloc((size_t)p->n + 1, sizeof *list);

    if (!list)
        return err_set(err, ERR_NOMEM, "calibration");
    list_confident(list, p);
    *n = fill_bins(bins, list, p->n);
    free(list);
    return 0;
}

/* log p of class C; a probability that float32 lost is the least that it can hold. */
static double log_prob(const float *row, int32_t c)
{
    return real_log(fmax((double)row[c], 1e-45));
}

/* Of softmax(BETA log p) of one picture: its log loss, the slope and the curvature of that over beta; *top: the
 * largest probability. */
static double scaled_loss(const float *row, int32_t classes, int32_t actual, int32_t predicted,
                          double beta, double *slope, double *curve, double *top)
{
    const double most = log_prob(row, predicted);
    double sum = 0, first = 0, second = 0;

    for (int32_t c = 0; c < classes; c++) {
        double l = log_prob(row, c) - most, e = real_exp(beta * l);

        sum += e;
        first += e * l;
        second += e * l * l;
    }
    first /= sum;
    second /= sum;
    *slope = first - (log_prob(row, actual) - most);
    *curve = second - first * first;
    *top = 1 / sum;
    return real_log(sum) - beta * (log_prob(row, actual) - most);
}

static double all_scaled(const struct predictions *p, double beta, double *slope, double *curve,
                         struct confident *list)
{
    double loss = 0, s, c, top;

    *slope = *curve = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        loss += scaled_loss(row_of(p, i), p->classes, p->actual[i], p->predicted[i], beta, &s, &c,
                            &top);
        *slope += s;
        *curve += c;
        list[i].confidence = top;
    }
    return loss / p->n;
}

/* The log loss is convex in beta = 1 / temperature: Newton's steps, halved where they leave the bracket. */
static void fit_temperature(struct metrics *m, const struct predictions *p, struct confident *list)
{
    double low = 1.0 / 20, high = 1.0 / 0.05, beta = 1, slope, curve;

    for (int i = 0; i < 60; i++) {
        double next;

        all_scaled(p, beta, &slope, &curve, list);
        if (slope > 0)
            high = beta;
        else
            low = beta;
        next = curve > 0 ? beta - slope / curve : low;
        if (!(next > low && next < high))
            next = (low + high) / 2;
        if (fabs(next - beta) <= 1e-9 * beta)
            break;
        beta = next;
    }
    list_confident(list, p); /* places and marks: the order of the last sums was another */
    m->scaled_log_loss = all_scaled(p, beta, &slope, &curve, list);
    m->scaled_ece = ece_of(list, p->n);
    m->temperature = 1 / beta;
}

/* Everything but what a temperature does; LIST: room for the pictures. */
static int plain_metrics(struct metrics *out, const struct predictions *p, struct confident *list,
                         struct err *err)
{
    struct class_score *scores = calloc((size_t)p->classes, sizeof *scores);
    uint32_t *counts = NULL;
    int rc = -1;

    if (!scores)
        err_set(err, ERR_NOMEM, "metrics");
    else if (confusion_count(&counts, p, err) == 0) {
        confusion_scores(scores, counts, p->classes);
        count_metrics(out, scores, p->classes, p->n);
        sum_metrics(out, p);
        list_confident(list, p);
        out->ece = ece_of(list, p->n);
        rc = 0;
    }
    free(counts);
    free(scores);
    return rc;
}

/* ALL: not only what a monitor can be. */
static int compute(struct metrics *out, const struct predictions *p, bool all, struct err *err)
{
    struct confident *list = calloc((size_t)p->n + 1, sizeof *list);
    int rc;

    BUG_IF(p->n == 0);
    *out = (struct metrics){.ece_low = NAN, .ece_high = NAN};
    if (!list)
        return err_set(err, ERR_NOMEM, "metrics");
    rc = plain_metrics(out, p, list, err);
    if (rc == 0 && all) {
        fit_temperature(out, p, list);
        list_confident(list, p);
        rc = ece_interval(out, list, p->n, err);
    }
    free(list);
    return rc;
}

int metrics_of(struct metrics *out, const struct predictions *p, struct err *err)
{
    return compute(out, p, true, err);
}

double metrics_value(const struct metrics *m, enum monitor which)
{ // clang-format off
#define METRIC_PLACE(id, member, key, label, direction, what) [MONITOR_##id] = offsetof(struct metrics, member),
    static const size_t places[METRICS] = {
        EACH_CHOSEN_METRIC(METRIC_PLACE) EACH_FITTED_METRIC(METRIC_PLACE)
    };
#undef METRIC_PLACE
    // clang-format on
    BUG_IF(which < MONITORS_ALWAYS || which >= METRICS);
    return *(const double *)(const void *)((const char *)m + places[which]);
}

int metrics_one(double *out, enum monitor which, const struct predictions *p, struct err *err)
{
    struct metrics m;

    if (compute(&m, p, false, err) < 0)
        return -1;
    *out = metrics_value(&m, which);
    return 0;
}

bool metrics_says(enum monitor which, int32_t classes)
{
    return which != MONITOR_TOP5 || classes > 5;
}

bool metrics_interval(double *low, double *high, const struct metrics *m, enum monitor which)
{
    *low = m->ece_low;
    *high = m->ece_high;
    return which == MONITOR_ECE && !isnan(m->ece_low);
}

/* "KEY", or with an ending "KEY_low95". */
static bool put(json_t *out, enum monitor which, const char *ending, double value)
{
    char key[60];

    snprintf(key, sizeof key, "%s%s", monitor_rows[which].key, ending);
    return json_object_set_new(out, key, json_real(value)) == 0;
}

json_t *metrics_json(const struct metrics *m)
{
    json_t *out = json_object();
    double low, high;

    for (int i = MONITORS_ALWAYS; i < METRICS; i++) {
        const enum monitor which = (enum monitor)i;

        if (!put(out, which, "", metrics_value(m, which)) ||
            (metrics_interval(&low, &high, m, which) &&
             (!put(out, which, "_low95", low) || !put(out, which, "_high95", high)))) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}
