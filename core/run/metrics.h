/* metrics.h - what predictions of N pictures are worth, beyond the error rate; each as published, and as scikit-learn
 * 1.9 and torchmetrics 1.9 compute it (tests/oracle/metrics.py).
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_RUN_METRICS_H
#define PRESIZE_RUN_METRICS_H

#include <jansson.h>

#include "base/monitor.h"
#include "run/predictions.h"

enum { METRICS_BINS = 15 }; /* of Guo et al. 2017 */

/* A member for each row of monitor.h that not every line of metrics.jsonl has:
 * - top5: share of pictures whose class is among the five likeliest; ties by place;
 * - balanced_accuracy: mean recall of the classes that have pictures (Brodersen et al. 2010, ICPR);
 * - macro_f1: mean F1 of the classes that occur, actual or predicted; 0 for 0/0;
 * - mcc: Matthews 1975 for many classes (Gorodkin 2004, Comput. Biol. Chem. 28); 0 for 0/0;
 * - log_loss: mean loss, nat: no smoothing, no class weights (Good 1952);
 * - brier: mean over pictures of the sum over classes of squared errors, 0 to 2 (Brier 1950);
 * - ece: |confidence - accuracy|, mean over equal-mass bins (Nguyen and O'Connor 2015);
 * - temperature: that makes the log loss lowest on these pictures (Guo et al. 2017); from 0.05 to 20;
 * - scaled_log_loss, scaled_ece: at that temperature: how they would be at best. */
#define METRIC_MEMBER(id, member, key, label, direction, what) double member;
/* And the 95 % interval of the calibration error: [2 ece - q.975, 2 ece - q.025] with quantiles of the ECE over
 * resampled pictures, the basic bootstrap (Davison and Hinkley 1997, section 5.2.1), as both the ECE and its resamples
 * are too large on average. The lower end is 0 where the ECE is at most the .975 quantile of a calibrated network's on
 * these confidences (Broecker and Smith 2007, Weather and Forecasting 22). The draws are Philox's, of seed 0. NAN: not
 * computed. */
// clang-format off
struct metrics {
    EACH_CHOSEN_METRIC(METRIC_MEMBER) EACH_FITTED_METRIC(METRIC_MEMBER)
    double ece_low, ece_high;
};
// clang-format on

/* Bin of confidences: a METRICS_BINS-th of the pictures, by rising probability of the prediction, ties by place; the
 * first bins have one more where it does not divide (as numpy.array_split). */
struct calibration_bin {
    uint32_t n, correct;
    double confidence; /* mean probability of the prediction */
};

/* P has a picture at least. ERR_NOMEM. */
int metrics_of(struct metrics *out, const struct predictions *p, struct err *err) MUST_USE;
/* WHICH alone, one that not every line of metrics.jsonl has; of P it reads no id and no name. Sums in P's order and
 * square roots, no other function of libm. P has a picture at least. ERR_NOMEM. */
int metrics_one(double *out, enum monitor which, const struct predictions *p,
                struct err *err) MUST_USE;
/* *n: how many bins there are, at most METRICS_BINS and P's pictures. ERR_NOMEM. */
int metrics_bins(struct calibration_bin bins[METRICS_BINS], int *n, const struct predictions *p,
                 struct err *err) MUST_USE;
/* WHICH of M, one of MONITORS_ALWAYS to METRICS - 1. */
double metrics_value(const struct metrics *m, enum monitor which);
/* Whether WHICH says something of predictions among so many CLASSES: the top-5 accuracy of 5 is always 1. */
bool metrics_says(enum monitor which, int32_t classes);
/* Its 95 % interval; false: none was computed. */
bool metrics_interval(double *low, double *high, const struct metrics *m, enum monitor which);
/* {"top5_accuracy": ..., ...}, owned by the caller; NULL: out of memory. */
json_t *metrics_json(const struct metrics *m);

#endif
