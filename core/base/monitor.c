/* monitor.c - see monitor.h. SPDX-License-Identifier: MIT */
#include "base/monitor.h"

#include <stddef.h>
#include <string.h>

// clang-format off
#define EACH_MONITOR(ROW) \
    ROW(VALID_LOSS,        "valid_loss",        "loss",                       false, true)  \
    ROW(ERROR_RATE,        "error_rate",        "error rate",                 false, true)  \
    ROW(ACCURACY,          "accuracy",          "accuracy",                   true,  true)  \
    ROW(TOP5,              "top5_accuracy",     "top-5 accuracy",             true,  false) \
    ROW(BALANCED_ACCURACY, "balanced_accuracy", "balanced accuracy",          true,  false) \
    ROW(MACRO_F1,          "macro_f1",          "macro F1",                   true,  false) \
    ROW(MCC,               "mcc",               "Matthews correlation (MCC)", true,  false) \
    ROW(LOG_LOSS,          "log_loss",          "log loss",                   false, false) \
    ROW(BRIER,             "brier",             "Brier score",                false, false) \
    ROW(ECE,               "ece",               "calibration error (ECE)",    false, false)
#define ROW_OF(id, key, label, higher, always) [MONITOR_##id] = {key, label, higher, always},
#define KEY_OF(id, key, label, higher, always) [MONITOR_##id] = key,
// clang-format on

const struct monitor_row monitor_rows[MONITORS] = {EACH_MONITOR(ROW_OF)};
const char *const monitor_keys[] = {EACH_MONITOR(KEY_OF)[MONITORS] = NULL};

enum monitor monitor_find(const char *key)
{
    for (int i = 0; key && i < MONITORS; i++)
        if (strcmp(monitor_rows[i].key, key) == 0)
            return (enum monitor)i;
    return MONITOR_VALID_LOSS;
}
