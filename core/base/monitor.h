/* monitor.h - the one table of metrics: a row names a metric wherever it is computed, chosen, recorded or printed.
 *
 * A new metric is a row here and its computation in run/metrics.c.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_MONITOR_H
#define PRESIZE_BASE_MONITOR_H

#include <stdbool.h>

// clang-format off
/* ROW(ID, member of struct metrics, name in records and as train.monitor, name in text, direction, what it is)
 * Those that every line of metrics.jsonl has, then those that a line has where train.monitor chose them, then those
 * that are fitted to the predictions that they judge, which train.monitor cannot choose. */
#define EACH_EPOCH_METRIC(ROW) \
    ROW(VALID_LOSS, valid_loss, "valid_loss", "loss", LOWER, "mean loss of the validation pictures, nat") \
    ROW(ERROR_RATE, error_rate, "error_rate", "error rate", LOWER, "share of the validation pictures that are wrong") \
    ROW(ACCURACY, accuracy, "accuracy", "accuracy", HIGHER, "share of the validation pictures that are right")
#define EACH_CHOSEN_METRIC(ROW) \
    ROW(TOP5, top5, "top5_accuracy", "top-5 accuracy", HIGHER, "1 is best") \
    ROW(BALANCED_ACCURACY, balanced_accuracy, "balanced_accuracy", "balanced accuracy", HIGHER, \
        "mean recall of the classes") \
    ROW(MACRO_F1, macro_f1, "macro_f1", "macro F1", HIGHER, "mean F1 of the classes") \
    ROW(MCC, mcc, "mcc", "Matthews correlation (MCC)", HIGHER, "1 is best, 0 is chance") \
    ROW(LOG_LOSS, log_loss, "log_loss", "log loss", LOWER, "nat; 0 is best") \
    ROW(BRIER, brier, "brier", "Brier score", LOWER, "0 is best, 2 is worst") \
    ROW(ECE, ece, "ece", "calibration error (ECE)", LOWER, "0 is best; bins of equally many pictures")
#define EACH_FITTED_METRIC(ROW) \
    ROW(TEMPERATURE, temperature, "temperature", "temperature", LOWER, \
        "logits divided by it would give the lowest log loss here") \
    ROW(SCALED_LOG_LOSS, scaled_log_loss, "scaled_log_loss", "log loss at that temperature", LOWER, \
        "nat; fitted on these same pictures") \
    ROW(SCALED_ECE, scaled_ece, "scaled_ece", "calibration error at that temperature", LOWER, \
        "fitted on these same pictures")
#define METRIC_ID(id, member, key, label, direction, what) MONITOR_##id,
/* "accuracy, top5_accuracy, ..., ", a constant: those of train.monitor that are best where they are highest. */
#define MONITORS_HIGHER EACH_EPOCH_METRIC(NAME_WHERE_HIGHER) EACH_CHOSEN_METRIC(NAME_WHERE_HIGHER)
#define NAME_WHERE_HIGHER(id, member, key, label, direction, what) NAME_OF_##direction(key)
#define NAME_OF_HIGHER(key) key ", "
#define NAME_OF_LOWER(key) ""

enum monitor {
    EACH_EPOCH_METRIC(METRIC_ID)
    MONITORS_ALWAYS, /* how many lines always have; from here on they are those of struct metrics */
    MONITORS_ALWAYS_LAST = MONITORS_ALWAYS - 1,
    EACH_CHOSEN_METRIC(METRIC_ID)
    MONITORS, /* how many train.monitor can be */
    MONITORS_LAST = MONITORS - 1,
    EACH_FITTED_METRIC(METRIC_ID)
    METRICS
};
// clang-format on

struct monitor_row {
    const char *key;   /* value of train.monitor, member of a line of metrics.jsonl */
    const char *label; /* in text */
    const char *what;  /* a few words */
    bool higher;       /* is better */
    bool always;       /* every line of metrics.jsonl has it; else only where it is monitored */
};
extern const struct monitor_row monitor_rows[METRICS];
extern const char *const monitor_keys[]; /* of the first MONITORS rows, then NULL */

/* By its key. NULL (runs older than the key) and unknown names: valid_loss. */
enum monitor monitor_find(const char *key);

#endif
