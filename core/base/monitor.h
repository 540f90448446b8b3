/* monitor.h - what train.monitor can be: the one table of these metrics, for whoever chooses by one or names it.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_MONITOR_H
#define PRESIZE_BASE_MONITOR_H

#include <stdbool.h>

enum monitor {
    MONITOR_VALID_LOSS,
    MONITOR_ERROR_RATE,
    MONITOR_ACCURACY,
    MONITOR_TOP5,
    MONITOR_BALANCED_ACCURACY,
    MONITOR_MACRO_F1,
    MONITOR_MCC,
    MONITOR_LOG_LOSS,
    MONITOR_BRIER,
    MONITOR_ECE,
    MONITORS
};
struct monitor_row {
    const char *key;   /* value of train.monitor, member of a line of metrics.jsonl */
    const char *label; /* in text */
    bool higher;       /* is better */
    bool always;       /* every line of metrics.jsonl has it; else only where it is monitored */
};
extern const struct monitor_row monitor_rows[MONITORS];
extern const char *const monitor_keys[]; /* of the rows, then NULL */

/* By its key. NULL (runs older than the key) and unknown names: valid_loss. */
enum monitor monitor_find(const char *key);

#endif
