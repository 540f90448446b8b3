/* monitor.c - see monitor.h. SPDX-License-Identifier: MIT */
#include "base/monitor.h"

#include <stddef.h>
#include <string.h>

// clang-format off
enum { LOWER = false, HIGHER = true };
#define EPOCH_ROW(id, member, key, label, direction, what) [MONITOR_##id] = {key, label, what, direction, true},
#define OTHER_ROW(id, member, key, label, direction, what) [MONITOR_##id] = {key, label, what, direction, false},
#define KEY_OF(id, member, key, label, direction, what) [MONITOR_##id] = key,

const struct monitor_row monitor_rows[METRICS] = {
    EACH_EPOCH_METRIC(EPOCH_ROW) EACH_CHOSEN_METRIC(OTHER_ROW) EACH_FITTED_METRIC(OTHER_ROW)
};
const char *const monitor_keys[] = {
    EACH_EPOCH_METRIC(KEY_OF) EACH_CHOSEN_METRIC(KEY_OF) [MONITORS] = NULL
};
// clang-format on

enum monitor monitor_find(const char *key)
{
    for (int i = 0; key && i < MONITORS; i++)
        if (strcmp(monitor_rows[i].key, key) == 0)
            return (enum monitor)i;
    return MONITOR_VALID_LOSS;
}
